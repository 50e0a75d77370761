"""prime-rl: ``rollouts/step_N/train/all/traces.jsonl``, else the shares in ``metrics.jsonl``."""

from __future__ import annotations

from pathlib import Path

from grpolab.errors import UserError
from grpolab.validate.monitor.evidence import logged_groups
from grpolab.validate.monitor.files import (
    Notes,
    Plan,
    ReadOnce,
    Trainer,
    current,
    dumped_groups,
    last_branch,
    log_rows,
    merge_steps,
    step_of,
)
from grpolab.validate.monitor.scalars import metrics_of, training_row
from grpolab.validate.monitor.state import StepView
from grpolab.validate.readers import prime_rl
from grpolab.validate.readers.format import ReadOptions
from grpolab.validate.readers.source import Sample

_REST = 60.0  # episodes of the newest step may still be coming in


class PrimeSource:
    """Exact groups from the traces; episodes that failed for outside reasons have no verdict."""

    trainer = "prime-rl"

    def __init__(self, folder: Path, groups_per_step: int | None) -> None:
        self._folder, self._groups_per_step = folder, groups_per_step
        self._kept = ReadOnce()

    def read(self, options: ReadOptions, notes: Notes) -> list[StepView]:
        """All steps whose traces are complete; UserError when only pruned traces are there."""
        metrics = self._folder / "metrics.jsonl"
        rows = _rows(metrics, notes) if metrics.is_file() else {}
        traces = current(_traces(self._folder, "all"), notes)
        if not traces and _traces(self._folder, "effective"):
            raise UserError(
                f"{self._folder}: only 'effective' traces, from which groups without an advantage"
                " were dropped: every group in them is informative, and nothing can be tested"
            )
        groups = dumped_groups(traces, prime_rl.FORMAT, options, notes, self._kept, rest=_REST)
        if not traces:
            groups = logged_groups(
                rows, known=self._groups_per_step, notes=notes, group_size=options.group_size
            )
            notes["no traces: shares of solved groups are read from metrics.jsonl"] = None
        return merge_steps(groups, {step: metrics_of(row) for step, row in rows.items()})

    def plan(self) -> Plan:
        """Not in these files."""
        return Plan()


def find(folder: Path, groups_per_step: int | None = None) -> PrimeSource | None:
    """The run in a folder, if it has prime-rl's traces or metrics."""
    metrics = folder / "metrics.jsonl"
    if _traces(folder, "all") or _traces(folder, "effective"):
        return PrimeSource(folder, groups_per_step)
    if metrics.is_file() and metrics.stat().st_size and Sample(metrics).has("step", "time"):
        return PrimeSource(folder, groups_per_step)
    return None


def _traces(folder: Path, subset: str) -> list[tuple[int, Path]]:
    found = []
    for path in folder.glob(f"rollouts/step_*/train/{subset}/traces.jsonl"):
        number = path.parents[2].name.removeprefix("step_")
        if number.isdigit():
            found.append((int(number), path))
    return sorted(found)


def _rows(log: Path, notes: Notes) -> dict[int, dict[str, float]]:
    """Numbers of training by step; the lines of a step are one row."""
    found: list[tuple[int, dict[str, float]]] = []
    for row in log_rows(log, notes):
        step = step_of(row)
        if step is None:
            continue
        if found and found[-1][0] == step:
            found[-1][1].update(training_row(row))
        else:
            found.append((step, training_row(row)))
    return last_branch(found)


TRAINER = Trainer(
    name="prime-rl",
    tool="prime-rl",
    files="`rollouts/step_*/train/all/traces.jsonl`, else the solved shares in `metrics.jsonl`",
    needs="-",
    find=find,
)

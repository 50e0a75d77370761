"""prime-rl: ``rollouts/step_N/train/all/traces.jsonl``, else the shares in ``metrics.jsonl``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from grpolab.errors import UserError
from grpolab.validate.monitor.files import (
    Notes,
    ReadOnce,
    Trainer,
    current,
    dumped_groups,
    last_branch,
    log_rows,
    merge_steps,
    number_of,
    step_of,
)
from grpolab.validate.monitor.state import GroupTally, StepMetrics, StepView, tally_share
from grpolab.validate.readers import prime_rl
from grpolab.validate.readers.format import ReadOptions
from grpolab.validate.readers.source import Sample

_REST = 60.0  # episodes of the newest step may still be coming in


class PrimeSource:
    """Exact groups from the traces; episodes that failed for outside reasons have no verdict."""

    trainer = "prime-rl"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept = ReadOnce()

    def read(self, options: ReadOptions, notes: Notes) -> list[StepView]:
        """All steps whose traces are complete; UserError when only pruned traces are there."""
        metrics = self._folder / "metrics.jsonl"
        rows = list(log_rows(metrics, notes)) if metrics.is_file() else []
        traces = current(_traces(self._folder, "all"), notes)
        if not traces and _traces(self._folder, "effective"):
            raise UserError(
                f"{self._folder}: only 'effective' traces, from which groups without an advantage"
                " were dropped: every group in them is informative, and nothing can be tested"
            )
        groups = dumped_groups(traces, prime_rl.FORMAT, options, notes, self._kept, rest=_REST)
        if not traces:
            groups = _shares(rows)
            notes["no traces: shares of solved groups are read from metrics.jsonl"] = None
        return merge_steps(groups, _metrics(rows))


def find(folder: Path, groups_per_step: int | None = None) -> PrimeSource | None:
    """The run in a folder, if it has prime-rl's traces or metrics."""
    metrics = folder / "metrics.jsonl"
    if _traces(folder, "all") or _traces(folder, "effective"):
        return PrimeSource(folder)
    if metrics.is_file() and metrics.stat().st_size and Sample(metrics).has("step", "time"):
        return PrimeSource(folder)
    return None


def _traces(folder: Path, subset: str) -> list[tuple[int, Path]]:
    found = []
    for path in folder.glob(f"rollouts/step_*/train/{subset}/traces.jsonl"):
        number = path.parents[2].name.removeprefix("step_")
        if number.isdigit():
            found.append((int(number), path))
    return sorted(found)


def _shares(rows: list[dict[str, Any]]) -> dict[int, GroupTally]:
    """Groups from solved_none, solved_some and solved_all: counts, or shares of one group."""
    found = []
    for row in rows:
        step = step_of(row)
        prefix = next(
            (key.removesuffix("solved_none") for key in sorted(row)
             if key.endswith("solved_none") and "effective" not in key and "eval" not in key),
            None,
        )  # fmt: skip
        if step is None or prefix is None:
            continue
        none, full = number_of(row, f"{prefix}solved_none"), number_of(row, f"{prefix}solved_all")
        if none is None or full is None or none != none or full != full:
            continue
        some = number_of(row, f"{prefix}solved_some")
        total = none + full + (some if some is not None else max(0.0, 1 - none - full))
        if total > 0:
            groups = tally_share((none + full) / total, total)
            found.append((step, groups._replace(num_all_wrong=none)))
    return last_branch(found)


def _metrics(rows: list[dict[str, Any]]) -> dict[int, StepMetrics]:
    found = []
    for row in rows:
        step = step_of(row)
        metrics = StepMetrics(
            entropy=number_of(row, "entropy/mean"),
            loss=number_of(row, "loss/mean"),
            grad_norm=number_of(row, "optim/grad_norm"),
        )
        if step is not None and metrics != StepMetrics():
            found.append((step, metrics))
    return last_branch(found)


TRAINER = Trainer(
    name="prime-rl",
    tool="prime-rl",
    files="`rollouts/step_*/train/all/traces.jsonl`, else the solved shares in `metrics.jsonl`",
    needs="-",
    find=find,
)

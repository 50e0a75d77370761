"""verl: ``{step}.jsonl`` files of ``rollout_data_dir``, and the lines of its file logger."""

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
from grpolab.validate.readers import verl
from grpolab.validate.readers.format import ReadOptions
from grpolab.validate.readers.source import Sample

_REST = 5.0  # seconds after which the newest file is taken to be whole
_DEPTH = 3  # folders below the run in which rollouts may lie


class VerlSource:
    """Groups from the rollout dumps, metrics from the file logger; either may be missing."""

    trainer = "verl"

    def __init__(self, dumps: Path | None, log: Path | None, groups_per_step: int | None) -> None:
        self._dumps, self._log, self._groups_per_step = dumps, log, groups_per_step
        self._kept = ReadOnce()

    def read(self, options: ReadOptions, notes: Notes) -> list[StepView]:
        """All whole files and lines."""
        dumps = _numbered(self._dumps) if self._dumps is not None else []
        files = current(((int(path.stem), path) for path in dumps), notes)
        groups = dumped_groups(files, verl.FORMAT, options, notes, self._kept, rest=_REST)
        rows = _rows(self._log, notes) if self._log is not None else {}
        if self._dumps is None:
            notes["no rollout dumps ({step}.jsonl): set trainer.rollout_data_dir; without it only"
                  " what the log says of a whole batch is known"] = None  # fmt: skip
            groups = logged_groups(
                rows, known=self._groups_per_step, notes=notes, group_size=options.group_size
            )
        return merge_steps(groups, {step: metrics_of(row) for step, row in rows.items()})

    def plan(self) -> Plan:
        """Not in these files."""
        return Plan()


def find(folder: Path, groups_per_step: int | None = None) -> VerlSource | None:
    """The dumps and the log in or below a folder; UserError when there are several dumps."""
    depths = ["/".join("*" * n) for n in range(1, _DEPTH)]
    below = [p for depth in depths for p in sorted(folder.glob(depth)) if p.is_dir()]
    dumps = [p for p in (folder, *below) if not _is_validation(p, folder) and _has_dumps(p)]
    if len(dumps) > 1:
        names = ", ".join(str(p) for p in dumps[:4])
        raise UserError(f"{folder}: rollouts in several folders ({names}); give one of them")
    logs = [
        p
        for where in (folder, *below)
        for p in sorted(where.glob("*.jsonl"))
        if not p.stem.isdigit() and p.stat().st_size and Sample(p).has("step", "data")
    ]
    if not dumps and not logs:
        return None
    newest = max(logs, key=lambda p: p.stat().st_mtime) if logs else None
    return VerlSource(dumps[0] if dumps else None, newest, groups_per_step)


def _is_validation(path: Path, folder: Path) -> bool:
    inside = path.relative_to(folder).parts
    return any(word in part.lower() for part in inside for word in ("val", "eval", "test"))


def _has_dumps(folder: Path) -> bool:
    files = _numbered(folder)
    return bool(files) and any(
        verl.FORMAT.detect(Sample(path)) for path in files[:3] if path.stat().st_size
    )


def _numbered(folder: Path) -> list[Path]:
    files = [p for p in folder.glob("*.jsonl") if p.stem.isdigit()]
    return sorted(files, key=lambda p: int(p.stem))


def _rows(log: Path, notes: Notes) -> dict[int, dict[str, float]]:
    """Numbers of training by step; rows of a validation alone have none of the actor's."""
    rows = ((step_of(row), row.get("data")) for row in log_rows(log, notes))
    return last_branch(
        (step, training_row(data))
        for step, data in rows
        if step is not None and isinstance(data, dict) and "actor/grad_norm" in data
    )


TRAINER = Trainer(
    name="verl",
    tool="verl",
    files="`{step}.jsonl` of both trainers, metrics from the `.jsonl` of the file logger",
    needs="`trainer.rollout_data_dir`",
    find=find,
)

"""A plain log of a run: one file, or the only one in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from grpolab.errors import UserError
from grpolab.validate.monitor.evidence import logged_groups
from grpolab.validate.monitor.files import (
    Notes,
    Plan,
    ReadOnce,
    Trainer,
    last_branch,
    merge_steps,
)
from grpolab.validate.monitor.logs import KINDS, Rows, is_event_file, is_log, read_log
from grpolab.validate.monitor.scalars import (
    PLANNED,
    end_of,
    metrics_of,
    note_constant_rewards,
)
from grpolab.validate.monitor.state import StepView
from grpolab.validate.readers.format import ReadOptions

_HEAD = 200  # lines of a log in which its groups must be mentioned
_PATTERNS = ("*", "*/*", "*/*/*")  # as deep as wandb/offline-run-*/run-*.wandb


class LogSource:
    """Groups and metrics from the numbers that a trainer logged, in one file or in several parts.

    A run that was resumed has several event files of TensorBoard, in the order of their names.
    """

    trainer = "log"

    def __init__(self, paths: Sequence[Path], groups_per_step: int | None) -> None:
        self._paths, self._groups_per_step = paths, groups_per_step
        self._kept, self._plan = ReadOnce(), Plan()

    def read(self, options: ReadOptions, notes: Notes) -> list[StepView]:
        """All rows of training that are there."""
        pairs: list[tuple[int, dict[str, float]]] = []
        for path in self._paths:
            part, remarks = self._kept.get(path, _load)
            notes.update(remarks)
            pairs += part.items()
        rows = last_branch(pairs)
        if rows:
            last = rows[max(rows)]
            self._plan = Plan(round(last[PLANNED]) if PLANNED in last else None, end_of(last))
        groups = logged_groups(
            rows, known=self._groups_per_step, notes=notes, group_size=options.group_size
        )
        note_constant_rewards(rows, notes)
        return merge_steps(groups, {step: metrics_of(row) for step, row in rows.items()})

    def plan(self) -> Plan:
        """What the last row says of the end."""
        return self._plan


def _load(path: Path) -> tuple[Rows, Notes]:
    notes: Notes = {}
    return read_log(path, notes), notes


def find(path: Path, groups_per_step: int | None = None) -> LogSource | None:
    """The log, if a file is given; the one in a folder that says something of the groups."""
    if path.is_file():
        if not is_log(path):
            raise UserError(f"{path}: not a log of a run; known are {KINDS}")
        return LogSource([path], groups_per_step)
    logs: dict[Path, list[Path]] = {}
    for pattern in _PATTERNS:
        for file in sorted(path.glob(pattern)):
            if file.is_file() and file.stat().st_size and is_log(file) and _has_signal(file):
                real = file.resolve()  # W&B has a link to its latest run
                parts = logs.setdefault(real.parent if is_event_file(real) else real, [])
                parts += [real] if real not in parts else []
    if len(logs) > 1:
        names = ", ".join(str(file) for file in list(logs)[:4])
        raise UserError(f"{path}: several logs say something of the groups ({names}); give one")
    return LogSource(next(iter(logs.values())), groups_per_step) if logs else None


def _has_signal(path: Path) -> bool:
    """Whether a log says something of the groups; what cannot be read does not."""
    try:
        rows = read_log(path, {}, limit=_HEAD)
    except (UserError, OSError):
        return False
    return bool(logged_groups(rows, known=1, notes={}))


TRAINER = Trainer(
    name="log",
    tool="any trainer",
    files=f"a log: {KINDS}",
    needs="the zero-std share, the shares of solved groups, `reward_std`, or verl's scores",
    find=find,
)

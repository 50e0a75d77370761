"""TRL: ``completions/*.parquet`` for the groups, ``trainer_state.json`` for the metrics."""

from __future__ import annotations

import contextlib
import functools
from pathlib import Path
from typing import Any

from grpolab.errors import UserError
from grpolab.validate.monitor.contrast import Contrast
from grpolab.validate.monitor.evidence import logged_groups
from grpolab.validate.monitor.files import (
    Notes,
    Plan,
    Problems,
    ReadOnce,
    Trainer,
    current,
    file_groups,
    merge_steps,
    step_of,
)
from grpolab.validate.monitor.scalars import (
    end_of,
    metrics_of,
    note_constant_rewards,
    training_row,
)
from grpolab.validate.monitor.state import GroupTally, StepView
from grpolab.validate.readers import trl_completions
from grpolab.validate.readers.format import ReadOptions
from grpolab.validate.readers.trainer_state import (
    histories,
    is_evaluation,
    planned_steps,
    trainer_states,
)


class TrlSource:
    """Groups from the completions where they are logged, else from the logged numbers.

    ``trainer_state.json`` is only written with a checkpoint, and does not say how many groups a
    step has: without ``groups_per_step`` one is assumed, which weakens the evidence.
    """

    trainer = "trl"

    def __init__(self, folder: Path, *, groups_per_step: int | None) -> None:
        self._folder = folder
        self._groups_per_step = groups_per_step
        self._kept = ReadOnce()
        self._anchor: Path | None = None  # a file from which the reward column can be told
        self._plan = Plan()

    def read(self, options: ReadOptions, notes: Notes) -> list[StepView]:
        """All whole files, steps of evaluations left out."""
        history = next(histories(self._folder), [])
        self._plan = self._planned(history)
        evaluated = {step_of(row) for row in history if is_evaluation(row)}
        by_step = {
            step: training_row(row)
            for row in history
            if ("grad_norm" in row or "loss" in row) and (step := step_of(row)) is not None
        }
        files = [p for _, p in current(((_step(p), p) for p in _completions(self._folder)), notes)]
        if files:
            groups = {
                step: found
                for step, found in self._from_completions(files, options, notes).items()
                if step not in evaluated
            }
        else:
            notes["no completions/*.parquet (log_completions=True): the groups are known by what"
                  " the last checkpoint logged only"] = None  # fmt: skip
            groups = logged_groups(
                by_step, known=self._groups_per_step, notes=notes, group_size=options.group_size
            )
        note_constant_rewards(by_step, notes)
        return merge_steps(groups, {step: metrics_of(row) for step, row in by_step.items()})

    def plan(self) -> Plan:
        """``max_steps`` of the newest state, and whether its log ends with a summary."""
        return self._plan

    def _planned(self, history: list[dict[str, Any]]) -> Plan:
        for path in trainer_states(self._folder)[:1]:
            with contextlib.suppress(UserError):
                return Plan(planned_steps(path), end_of(history[-1]) if history else "")
        return Plan()

    def _from_completions(
        self, files: list[Path], options: ReadOptions, notes: Notes
    ) -> dict[int, GroupTally]:
        found: dict[int, GroupTally] = {}
        seen, problems = Contrast(), Problems()
        for before, path in zip([None, *files], files, strict=False):
            if not _whole(path):  # come back later
                continue
            near = (self._anchor, before)  # they show the reward column, and rows written twice
            load = functools.partial(
                file_groups,
                format=trl_completions.FORMAT,
                step=_step(path),
                options=options,
                context=[p for p in near if p is not None and p != path and _whole(p)],
            )
            groups, problem, contrast = self._kept.get(path, load)
            seen = seen.plus(contrast)
            if problem is not None:
                problems.add(path, problem, first=self._anchor is None)
            else:
                self._anchor = self._anchor or path
            if groups is not None:
                found[_step(path)] = groups
        problems.note(notes)
        notes.update(dict.fromkeys(seen.remarks()))
        return found


def find(folder: Path, groups_per_step: int | None = None) -> TrlSource | None:
    """The run in a folder, if it has TRL's completions or a trainer's state."""
    if folder.name == "completions" and _completions(folder.parent):
        folder = folder.parent
    if _completions(folder) or trainer_states(folder):
        return TrlSource(folder, groups_per_step=groups_per_step)
    return None


def _completions(folder: Path) -> list[Path]:
    files = folder.glob("completions/completions_*.parquet")
    return sorted((p for p in files if _step(p) >= 0), key=_step)


def _step(path: Path) -> int:
    number = path.stem.removeprefix("completions_")
    return int(number) if number.isdigit() else -1


def _whole(path: Path) -> bool:
    """Whether a parquet file has its end: the footer is written last."""
    with path.open("rb") as handle:
        head = handle.read(4)
        if handle.seek(0, 2) < 12:
            return False
        handle.seek(-4, 2)
        return head == b"PAR1" and handle.read(4) == b"PAR1"


TRAINER = Trainer(
    name="trl",
    tool="TRL",
    files=("`completions/*.parquet`, metrics from the newest `checkpoint-*/trainer_state.json`"),
    needs=(
        "`log_completions=True`, `logging_steps=1`; else `--groups-per-step M` and the logged share"
        " of the last checkpoint"
    ),
    find=find,
)

"""Follow the files of a run: which trainer wrote them, what they say now, what has changed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from grpolab.errors import UserError
from grpolab.validate.monitor import from_grpolab, from_log, from_prime_rl, from_trl, from_verl
from grpolab.validate.monitor.files import Notes, Source
from grpolab.validate.monitor.monitor import Alarm, SignalMonitor
from grpolab.validate.monitor.state import MonitorConfig, StepView
from grpolab.validate.readers import open_instruct
from grpolab.validate.readers.format import ReadOptions
from grpolab.validate.readers.source import Sample

_SURELY_FILTERED = 200  # groups, all of them informative, before that looks odd
TRAINERS = (
    from_grpolab.TRAINER, from_prime_rl.TRAINER, from_trl.TRAINER, from_verl.TRAINER,
    from_log.TRAINER,
)  # fmt: skip
"""All trainers, in the order in which a folder is searched for their files."""


class NoRunYet(UserError):
    """A folder in which no trainer has written anything yet; it may still come."""


class Moment(NamedTuple):
    """The monitor after one step: what the figures draw."""

    step: int
    num_groups: float
    num_informative: float
    evidence: float
    entropy: float | None
    reward: float | None


@dataclass(slots=True)
class Followed:
    """A run as its files tell it now."""

    trainer: str
    monitor: SignalMonitor
    alarms: list[Alarm]
    history: list[Moment]
    notes: list[str]


@dataclass(slots=True)
class Follower:
    """Reads a run again and again; every reading is replayed from its first step.

    So a run that was resumed from an earlier step is judged by what came out of it, and no step is
    counted twice.
    """

    source: Source
    config: MonitorConfig = field(default_factory=MonitorConfig)
    options: ReadOptions = field(default_factory=ReadOptions)

    def look(self) -> Followed:
        """Read what is there."""
        notes: Notes = {}
        views = self.source.read(self.options, notes)
        monitor = SignalMonitor(self.config)
        alarms: list[Alarm] = []
        history = []
        for view in views:
            alarms += monitor.observe(view)
            history.append(_moment(view, monitor))
        _note_filtered(monitor, notes)
        return Followed(self.source.trainer, monitor, alarms, history, list(notes))


def find_source(folder: Path, *, groups_per_step: int | None = None) -> Source | None:
    """The source in a folder, or a single log; None when the folder is still empty.

    UserError for anything else.
    """
    if folder.is_file():
        return from_log.find(folder, groups_per_step)
    if not folder.is_dir():
        raise NoRunYet(f"{folder}: no such folder; --wait waits for it")
    for trainer in TRAINERS:
        found = trainer.find(folder, groups_per_step)
        if found is not None:
            return found
    if not any(folder.iterdir()):
        return None
    for path in sorted(folder.glob("*.jsonl"))[:3]:
        if path.stat().st_size and open_instruct.FORMAT.detect(Sample(path)):
            raise UserError(
                f"{folder}: open-instruct writes its rollouts after its zero-std filter: all groups"
                " in them are informative, and nothing can be tested"
            )
    looked_for = "; ".join(f"{t.files} ({t.tool})" for t in TRAINERS).replace("`", "")
    raise NoRunYet(f"{folder}: no run of a known trainer; looked for {looked_for}")


def _moment(view: StepView, monitor: SignalMonitor) -> Moment:
    groups = view.groups
    return Moment(
        view.step,
        0.0 if groups is None else groups.num_groups,
        0.0 if groups is None else groups.num_informative,
        monitor.evidence,
        view.metrics.entropy,
        _reward(view),
    )


def _reward(view: StepView) -> float | None:
    """Mean reward of a step as logged, else the share of right rollouts where that is known."""
    if view.metrics.reward is not None or view.groups is None:
        return view.metrics.reward
    share = view.groups.num_correct / max(view.groups.num_rollouts, 1)
    return None if math.isnan(share) else share


def _note_filtered(monitor: SignalMonitor, notes: Notes) -> None:
    state = monitor.state
    if state.num_groups >= _SURELY_FILTERED and state.num_informative == state.num_groups:
        notes[f"all {state.num_groups:.0f} groups are informative: if dynamic sampling drops the"
              " others before they are written, this says nothing"] = None  # fmt: skip

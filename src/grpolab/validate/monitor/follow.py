"""Follow the files of a run: which trainer wrote them, what they say now, what has changed."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
from dataclasses import dataclass, field, replace
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
    num_low: float | None = None  # informative at least; then num_informative is "at most"


@dataclass(slots=True)
class Followed:
    """A run as its files tell it now."""

    trainer: str
    monitor: SignalMonitor
    alarms: list[Alarm]
    history: list[Moment]
    notes: list[str]
    planned: int | None = None  # steps of the run, where they are known
    ended: str = ""  # why the run is known to be over


@dataclass(slots=True)
class Follower:
    """Reads a run again and again; every reading is replayed from its first step.

    So a run that was resumed from an earlier step is judged by what came out of it, and no step is
    counted twice. ``planned`` is the number of steps of the run, else it is what the files say, and
    ``pid`` a process of the trainer, whose end is that of the run. With ``futility`` the outcome is
    forecast as soon as the number of steps is known.
    """

    source: Source
    config: MonitorConfig = field(default_factory=MonitorConfig)
    options: ReadOptions = field(default_factory=ReadOptions)
    planned: int | None = None
    pid: int | None = None
    futility: bool = False

    def look(self) -> Followed:
        """Read what is there."""
        notes: Notes = {}
        gone = self.pid is not None and not is_running(self.pid)  # before the last steps are read
        views = self.source.read(self.options, notes)
        plan = self.source.plan()
        planned = self.planned or plan.steps
        config = replace(self.config, steps=planned) if self.futility and planned else self.config
        monitor = SignalMonitor(config)
        alarms: list[Alarm] = []
        history = []
        for view in views:
            alarms += monitor.observe(view)
            history.append(_moment(view, monitor))
        _note_filtered(monitor, notes)
        ended = plan.end or _last_step([view.step for view in views], planned)
        if gone and not ended:
            ended = f"process {self.pid} is gone"
        return Followed(self.source.trainer, monitor, alarms, history, list(notes), planned, ended)


def _last_step(steps: list[int], planned: int | None) -> str:
    """Words where the last planned step was reached, counted from 0 or from 1.

    >>> _last_step([0, 1, 2], 3), _last_step([1, 2], 3), _last_step([5, 10], 10)
    ('step 2 is the last of 3', '', 'step 10 is the last of 10')
    """
    if not steps or planned is None:
        return ""
    between = min((b - a for a, b in itertools.pairwise(steps)), default=1)
    reached = steps[-1] + (between if steps[0] == 0 else 0)
    return f"step {steps[-1]} is the last of {planned}" if reached >= planned else ""


def is_running(pid: int) -> bool:
    """Whether a process is there; one that has ended and was not waited for is not."""
    with contextlib.suppress(OSError):  # where there is no /proc
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


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
        None if groups is None or math.isnan(groups.num_low) else groups.num_low,
    )


def _reward(view: StepView) -> float | None:
    """Mean reward of a step as logged, else the share of right rollouts where that is known."""
    if view.metrics.reward is not None or view.groups is None:
        return view.metrics.reward
    share = view.groups.num_correct / max(view.groups.num_rollouts, 1)
    return None if math.isnan(share) else share


def _note_filtered(monitor: SignalMonitor, notes: Notes) -> None:
    state = monitor.state
    counted = monitor.recent.bounds is None
    if counted and state.num_informative == state.num_groups >= _SURELY_FILTERED:
        notes[f"all {state.num_groups:.0f} groups are informative: if dynamic sampling drops the"
              " others before they are written, this says nothing"] = None  # fmt: skip

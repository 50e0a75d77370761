"""Follow the files of a run: which trainer wrote them, what they say now, what has changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from grpolab.errors import UserError
from grpolab.validate.monitor import from_grpolab, from_prime_rl, from_trl, from_verl
from grpolab.validate.monitor.files import Notes, Source
from grpolab.validate.monitor.monitor import Alarm, SignalMonitor
from grpolab.validate.monitor.state import MonitorConfig, StepView
from grpolab.validate.readers import open_instruct
from grpolab.validate.readers.source import Sample
from grpolab.validate.readers.verdicts import ReadOptions

_SURELY_FILTERED = 200  # groups, all of them informative, before that looks odd
_LOOKED_FOR = (
    "run.json and steps.jsonl (grpolab train); rollouts/step_*/train/all/traces.jsonl or"
    " metrics.jsonl (prime-rl); completions/*.parquet or checkpoint-*/trainer_state.json (TRL);"
    " {step}.jsonl rollouts or a file-logger .jsonl (verl)"
)


class Moment(NamedTuple):
    """The monitor after one step: what the figures draw."""

    step: int
    num_groups: float
    num_informative: float
    evidence: float
    entropy: float | None


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
    """The source in a folder, None when the folder is still empty; UserError for anything else."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    ours = from_grpolab.find(folder) or from_prime_rl.find(folder)
    found = ours or from_trl.find(folder, groups_per_step=groups_per_step) or from_verl.find(folder)
    if found is not None:
        return found
    if not any(folder.iterdir()):
        return None
    for path in sorted(folder.glob("*.jsonl"))[:3]:
        if path.stat().st_size and open_instruct.recognises(Sample(path)):
            raise UserError(
                f"{folder}: open-instruct writes its rollouts after its zero-std filter: all groups"
                " in them are informative, and nothing can be tested"
            )
    raise UserError(f"{folder}: no run of a known trainer; looked for {_LOOKED_FOR}")


def _moment(view: StepView, monitor: SignalMonitor) -> Moment:
    groups = view.groups
    return Moment(
        view.step,
        0.0 if groups is None else groups.num_groups,
        0.0 if groups is None else groups.num_informative,
        monitor.evidence,
        view.metrics.entropy,
    )


def _note_filtered(monitor: SignalMonitor, notes: Notes) -> None:
    state = monitor.state
    if state.num_groups >= _SURELY_FILTERED and state.num_informative == state.num_groups:
        notes[f"all {state.num_groups:.0f} groups are informative: if dynamic sampling drops the"
              " others before they are written, this says nothing"] = None  # fmt: skip

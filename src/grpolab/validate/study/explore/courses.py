"""Starts and what RL made of them, the same arrays for every committed study and the trial.

Studies that repeat the starts of another one (the plain runs of ``causes`` and ``controls``) are
left out: they would count one design twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from grpolab.theory.groups import FloatArray, GroupCounts, IntArray, PromptTotals
from grpolab.validate.study.families import Family
from grpolab.validate.study.monitor_trials.finished import (
    Finished,
    runs_of_trial,
    views_of_record,
)
from grpolab.validate.study.record import FILE, Ladder, Record, Run, RunKey, Start
from grpolab.validate.study.trial.counts import DesignCounts, finished_designs
from grpolab.validate.study.trial.protocol import protocol

STUDIES = ("full", "data", "real")
"""Studies with starts of their own."""
TRIAL = "trial"


@dataclass(frozen=True, slots=True)
class Courses:
    """One design: S ladders of D starts, R runs from each, P held-out prompts.

    ``before`` [S, D, P] successes of ``samples``; ``end`` [S, D, R, P] of ``end_samples``;
    ``curve`` [S, D, R, P] of ``curve_samples`` by step. ``second`` [S, P]: prompts of a class that
    narrow SFT does not show. ``nll`` [S, D, 2]: nats of the canonical answer on prompts of the
    first and the second class, NaN where that was not measured. ``runs`` [S, D, R] as a monitor
    saw them.
    """

    name: str
    task: str
    starts: tuple[str, ...]
    narrow: bool
    steps: int
    group_size: int
    prompts_per_step: int
    samples: int
    before: IntArray
    end_samples: int
    end: IntArray
    curve_samples: int
    curve: Mapping[int, IntArray]
    second: IntArray
    nll: FloatArray
    runs: tuple[tuple[tuple[Finished, ...], ...], ...]

    @property
    def rate(self) -> FloatArray:
        """Success rates before RL, [S, D, P]."""
        return np.asarray(self.before / self.samples)

    @property
    def end_rate(self) -> FloatArray:
        """Success rates after RL, [S, D, R, P]."""
        return np.asarray(self.end / self.end_samples)


def courses(results: Path) -> list[Courses]:
    """All designs of the committed studies and the finished ones of the trial."""
    found: list[Courses] = []
    for study in STUDIES:
        if (results / study / FILE).is_file():
            found += _of_record(Record.read(results / study))
    return found + [of_trial(one) for one in finished_designs(protocol(), results / TRIAL)]


def of_trial(counts: DesignCounts) -> Courses:
    """A design of the trial."""
    design, shape = counts.design, counts.end.shape[:3]
    runs = iter(runs_of_trial(counts))
    return Courses(
        name=f"trial: {design.name}", task=design.task,
        starts=tuple(map(str, design.depths)), narrow=design.data == "narrow",
        steps=design.steps, group_size=design.group_size,
        prompts_per_step=design.prompts_per_step, samples=counts.samples, before=counts.before,
        end_samples=counts.samples, end=counts.end, curve_samples=counts.curve_samples,
        curve=counts.curve, second=1 - counts.first,
        nll=np.full((*shape[:2], 2), np.nan),
        runs=tuple(
            tuple(tuple(next(runs) for _ in range(shape[2])) for _ in range(shape[1]))
            for _ in range(shape[0])
        ),
    )  # fmt: skip


def _of_record(record: Record) -> list[Courses]:
    """Designs of a study: its families, or one choice among SFT data where all have one depth."""
    config = record.config
    if len(config.depths) > 1:
        return [
            _design(record, f"{family.task} {family.regime}", [
                [(family, depth) for depth in config.depths] for _ in config.seeds
            ], [str(depth) for depth in config.depths])
            for family in config.parsed
        ]  # fmt: skip
    (depth,) = config.depths
    return [
        _design(record, f"{task} {config.preset}", [
            [(f, depth) for f in config.parsed if f.task == task] for _ in config.seeds
        ], [f.regime for f in config.parsed if f.task == task])
        for task in config.tasks
    ]  # fmt: skip


def _design(
    record: Record, name: str, ladders: list[list[tuple[Family, int]]], starts: list[str]
) -> Courses:
    keys = [
        [RunKey(f.task, f.regime, seed, depth, "plain") for f, depth in ladder]
        for seed, ladder in zip(record.config.seeds, ladders, strict=True)
    ]
    runs = [[record.runs[key] for key in row] for row in keys]
    first = keys[0][0]
    shown = record.classes[first.task][0]
    ends = [[run.eval.counts().by_prompt() for run in row] for row in runs]
    before = [
        [
            _of_prompts(record.before[k.start].eval.counts(), run)
            for k, run in zip(*pair, strict=True)
        ]
        for pair in zip(keys, runs, strict=True)
    ]
    evals = [[_curve(run.evals) for run in row] for row in runs]
    steps = sorted(set(evals[0][0]) - {record.config.grpo.steps})
    size = int(runs[0][0].evals.group_size[0])
    return Courses(
        name=name, task=first.task, starts=tuple(starts),
        narrow=first.start.data == "narrow", steps=record.config.grpo.steps,
        group_size=record.config.grpo.group_size,
        prompts_per_step=record.config.grpo.prompts_per_step,
        samples=int(before[0][0].num_samples[0]),
        before=np.array([[c.num_correct for c in row] for row in before]),
        end_samples=int(ends[0][0].num_samples[0]),
        end=np.array([[c.num_correct for c in row] for row in ends])[:, :, None],
        curve_samples=size,
        curve={s: np.array([[e[s] for e in row] for row in evals])[:, :, None] for s in steps},
        second=np.array([row[0].eval.label.astype(str) != shown for row in runs], dtype=np.int64),
        nll=np.array([[_losses(record, key) for key in row] for row in keys]),
        runs=tuple(
            tuple(
                (Finished("/".join(map(str, key)), name, views_of_record(run), np.nan),)
                for key, run in zip(*pair, strict=True)
            )
            for pair in zip(keys, runs, strict=True)
        ),
    )  # fmt: skip


def _of_prompts(counts: GroupCounts, run: Run) -> PromptTotals:
    return counts.select(np.isin(counts.prompt_id, run.eval.prompt_id)).by_prompt()


def _curve(evals: GroupCounts) -> dict[int, IntArray]:
    return {int(s): evals.select(evals.step == s).num_correct for s in np.unique(evals.step)}


def _losses(record: Record, key: RunKey) -> list[float]:
    start: Start = key.start
    nll = record.nll[Ladder(start.task, start.data, "plain", start.seed)][start.depth]
    return [nll[name] for name in record.classes[key.task][:2]]

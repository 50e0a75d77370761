"""Finished runs as a monitor saw them, with what came of them: what forecasts are judged by."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from grpolab.errors import UserError
from grpolab.store import json_lines
from grpolab.theory.groups import GroupCounts
from grpolab.validate.monitor.follow import Follower, find_source
from grpolab.validate.monitor.futility import BLOCKS
from grpolab.validate.monitor.monitor import SignalMonitor
from grpolab.validate.monitor.state import GroupTally, MonitorConfig, StepMetrics, StepView
from grpolab.validate.study.record import FILE, Record, Run
from grpolab.validate.study.trial.counts import DesignCounts, finished_designs
from grpolab.validate.study.trial.protocol import protocol


class Finished(NamedTuple):
    """A run that was left to its end: its steps and the gain in the score of held-out prompts.

    Runs of one ``design`` are alike, so it is the unit that is left out or drawn anew.
    """

    name: str
    design: str
    views: list[StepView]
    gain: float

    def course(self, *, until: int = BLOCKS) -> list[list[float]]:
        """The sums by block that the monitor keeps, of the first ``until`` blocks."""
        monitor = SignalMonitor(MonitorConfig(steps=len(self.views)))
        for view in self.views:
            monitor.observe(view)
        return [row for row in monitor.state.course if row[0] < until]


def finished_runs(folder: Path) -> list[Finished]:
    """All runs below a folder: records of studies and finished designs of the trial.

    Where there is neither, run folders of ``grpolab train``. UserError where there is none.
    """
    records = sorted(path.parent for path in folder.rglob(FILE))
    found = [run for path in records for run in _of_record(path)]
    fixed = protocol()
    trials = sorted(
        {path.parent for d in fixed.designs for path in folder.rglob(f"{d.name}.parquet")}
    )
    for path in trials:
        for design in finished_designs(fixed, path):
            found += runs_of_trial(design)
    if not records and not trials:
        folders = sorted(path.parent for path in folder.rglob("run.json"))
        found = [run for path in folders for run in _of_folder(path)]
    if not found:
        raise UserError(
            f"{folder}: no record of a study, no finished design of the trial and no finished run"
            " with evaluations"
        )
    return found


def _of_record(folder: Path) -> Iterator[Finished]:
    record = Record.read(folder)
    for key, run in record.runs.items():
        gain = _gain(run.evals, run.eval.counts())
        if not math.isnan(gain):
            name = "/".join(map(str, (folder.name, *key)))
            yield Finished(name, f"{key.task}/{key.regime}", views_of_record(run), gain)


def _gain(evals: GroupCounts, after: GroupCounts) -> float:
    """Mean over prompts of the rate after the run minus that before its first step."""
    first = _rates(evals.select(evals.step == evals.step.min())) if len(evals) else {}
    last = _rates(after)
    both = [last[p] - first[p] for p in first if p in last]
    return float(np.mean(both)) if both else math.nan


def _rates(counts: GroupCounts) -> Mapping[int, float]:
    totals = counts.by_prompt()
    return dict(zip(totals.prompt_id.tolist(), totals.rate.tolist(), strict=True))


def views_of_record(run: Run) -> list[StepView]:
    """The steps of a recorded run as the monitor sees them."""
    steps, evals = run.steps, run.evals
    scores = {}
    for step in np.unique(evals.step).tolist():
        scores[step] = float(np.mean(list(_rates(evals.select(evals.step == step)).values())))
    views = []
    for i, step in enumerate(steps.step.tolist()):
        groups = GroupTally(
            float(steps.num_groups[i]), float(steps.num_informative[i]),
            num_rollouts=float(steps.num_samples[i]), num_correct=float(steps.num_correct[i]),
        )  # fmt: skip
        numbers = (steps.entropy[i], steps.frac_truncated[i], steps.loss[i], steps.grad_norm[i])
        entropy, truncated, loss, grad_norm = map(float, numbers)
        metrics = StepMetrics(entropy, truncated, loss, grad_norm, held_out=scores.get(step))
        views.append(StepView(step, groups, metrics))
    return views


def runs_of_trial(counts: DesignCounts) -> list[Finished]:
    """The runs of a design, whose steps hold counts and evaluations and no other metric."""
    design = counts.design
    before = (counts.before / counts.samples).mean(axis=-1)
    after = (counts.end / counts.samples).mean(axis=-1)
    return [
        Finished(
            f"{design.name}/{sft}/{design.depths[depth]}/{rl}",
            design.name,
            _views_of_trial(counts, (sft, depth, rl)),
            float(after[sft, depth, rl] - before[sft, depth]),
        )
        for sft, depth, rl in np.ndindex(after.shape)
    ]


def _views_of_trial(counts: DesignCounts, place: tuple[int, int, int]) -> list[StepView]:
    groups, size = counts.design.prompts_per_step, counts.design.group_size
    informative, right = counts.train_informative[place], counts.train_correct[place]
    scores = {
        step: float(found[place].mean()) / counts.curve_samples
        for step, found in counts.curve.items()
    }
    return [
        StepView(
            step,
            GroupTally(
                float(groups), float(informative[step]), num_rollouts=float(groups * size),
                num_correct=float(right[step]),
            ),
            StepMetrics(held_out=scores.get(step)),
        )
        for step in range(len(right))
    ]  # fmt: skip


def _of_folder(folder: Path) -> Iterator[Finished]:
    """A run of ``grpolab train`` that has done all its steps, with two evaluations or more."""
    source, evals = find_source(folder), folder / "evals.jsonl"
    if source is None or source.trainer != "grpolab" or not evals.is_file():
        return
    views, planned = source.read(Follower(source).options, {}), source.plan().steps
    rows = (row for _, row in json_lines(evals))
    scores = {int(r["step"]): r["mean_reward"] for r in rows if r["mean_reward"] is not None}
    if not planned or len(views) < planned or len(scores) < 2:
        return
    gain = scores[max(scores)] - scores[min(scores)]
    yield Finished(str(folder), folder.parent.name, views, gain)

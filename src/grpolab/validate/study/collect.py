"""From the finished jobs of a study to its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from grpolab import __version__
from grpolab.store import read_counts, read_json
from grpolab.theory.groups import FloatArray, GroupCounts
from grpolab.validate.rollouts.table import Rollouts
from grpolab.validate.study.config import StudyConfig
from grpolab.validate.study.jobs import RESULT, force_key, ladder_key, pre_key, rl_key
from grpolab.validate.study.plain import from_plain
from grpolab.validate.study.record import (
    EARLY_STEPS,
    Before,
    Forces,
    Ladder,
    Record,
    Run,
    RunKey,
    Samples,
    Settings,
    Start,
    Steps,
    Thresholds,
)
from grpolab.validate.study.tasks import make_task
from grpolab.validate.training.plasticity import Plasticity

Labels = Mapping[int, str]


def collect(config: StudyConfig, *, root: Path) -> Record:
    """Read the folders of all jobs of a finished study."""
    classes: dict[str, tuple[str, ...]] = {}
    nll: dict[Ladder, Any] = {}
    before: dict[Start, Before] = {}
    runs: dict[RunKey, Run] = {}
    forces: dict[RunKey, Forces] = {}
    measured: dict[Start, Plasticity] = {}
    size = config.grpo.group_size
    for seed in config.seeds:
        for name in config.tasks:
            task = make_task(name, seed=seed)
            classes[name] = tuple(task.classes)
            labels = {p.id: p.label for split in ("eval", "rl") for p in task.prompts(split)}
            for key in _ladders(config, name, seed):
                found = read_json(root / ladder_key(*key[:2], key.seed, sft=key.sft) / RESULT)
                nll[key] = {int(d): losses for d, losses in found["held_out_nll"].items()}
            for data in config.data_of(name):
                for depth in config.depths:
                    folder = root / pre_key(name, data, seed, depth)
                    start = Start(name, data, seed, depth)
                    if told := read_json(folder / RESULT).get("plasticity"):
                        measured[start] = from_plain(Plasticity, told)
                    before[start] = Before(
                        eval=_samples(folder / "eval.parquet", labels, group_size=size),
                        greedy=_samples(folder / "greedy.parquet", labels),
                        train=_samples(folder / "train.parquet", labels),
                    )
            for family in (f for f in config.parsed if f.task == name):
                for arm in config.arms:
                    for depth in config.depths_of(arm):
                        where = RunKey(name, family.regime, seed, depth, arm.name)
                        folder = root / rl_key(family, seed, depth, arm.name)
                        runs[where] = _run(folder, labels)
                for depth in config.depths if config.force_steps else ():
                    told = read_json(root / force_key(family, seed, depth) / RESULT)
                    where = RunKey(name, family.regime, seed, depth, "force")
                    forces[where] = from_plain(Forces, told)
    thresholds = None
    if config.simulated_groups:
        thresholds = from_plain(Thresholds, read_json(root / "simulate" / RESULT))
    return Record(
        version=__version__, settings=config.as_dict(), config=config, classes=classes, nll=nll,
        before=before, runs=runs, forces=forces, thresholds=thresholds,
        plasticity=measured,
    )  # fmt: skip


def _ladders(config: StudyConfig, task: str, seed: int) -> list[Ladder]:
    variants = dict.fromkeys(["plain", *(arm.sft for arm in config.arms)])
    return [Ladder(task, data, sft, seed) for data in config.data_of(task) for sft in variants]


def _samples(path: Path, labels: Labels, *, group_size: int = 0) -> Samples:
    """Rollouts by prompt; groups and repeats are kept where ``group_size`` is given."""
    table = Rollouts.read(path)
    prompts, row = np.unique(table.prompt_id, return_inverse=True)
    group = table.group if group_size else np.zeros_like(table.group)
    shape = (len(prompts), int(group.max()) + 1)
    cell = row * shape[1] + group
    seen = ~np.isnan(table.reward)
    size = np.bincount(cell, weights=seen, minlength=shape[0] * shape[1])
    correct = np.bincount(cell, weights=np.where(seen, table.reward, 0.0), minlength=len(size))
    count = np.bincount(row)
    tokens = np.bincount(row, weights=table.num_tokens)
    entropy = np.bincount(row, weights=table.entropy * table.num_tokens)
    return Samples(
        prompt_id=prompts,
        label=np.array([labels[i] for i in prompts.tolist()], dtype=object),
        num_correct=correct.reshape(shape).astype(np.int64),
        group_size=size.reshape(shape).astype(np.int64),
        num_completions=count,
        num_tokens=tokens.astype(np.int64),
        num_truncated=np.bincount(row, weights=table.truncated).astype(np.int64),
        token_entropy=entropy / tokens,
        completion_entropy=np.bincount(row, weights=table.entropy) / count,
        logprob=np.bincount(row, weights=table.logprob) / count,
        **_repeats(table, row, group_size),
    )


def _repeats(table: Rollouts, row: Any, group_size: int) -> dict[str, FloatArray]:
    """Distinct texts among a group, and pairs of equal texts, of every prompt [P]."""
    order = np.argsort(row, kind="stable")
    ends = np.cumsum(np.bincount(row))
    if not group_size or ends[0] < group_size:
        return {name: np.full(len(ends), np.nan) for name in ("distinct", "collision_rate")}
    alone = [table.select(rows) for rows in np.split(order, ends[:-1])]
    return {
        "distinct": np.array([one.distinct(group_size) for one in alone]),
        "collision_rate": np.array([one.collision_rate() for one in alone]),
    }


def _run(folder: Path, labels: Labels) -> Run:
    result = read_json(folder / RESULT)
    groups = read_counts(folder / "groups.parquet")
    early = groups.step < EARLY_STEPS
    return Run(
        settings=Settings(
            temperature=result["temperature"],
            lr=result["lr"],
            num_prompts=result["num_prompts"],
            eval_entropy={row["step"]: row["token_entropy"] for row in result["evals"]},
        ),
        groups=groups.select(early),
        windows=_windows(groups.select(~early)),
        evals=_sorted(read_counts(folder / "evals.parquet")),
        steps=_steps(groups, result["steps"]),
        eval=_samples(folder / "eval.parquet", labels),
        train=_samples(folder / "train.parquet", labels),
    )


def _sorted(counts: GroupCounts) -> GroupCounts:
    return counts.select(np.lexsort((counts.prompt_id, counts.step)))


def _windows(groups: GroupCounts) -> GroupCounts:
    """Totals of every prompt in each window of `EARLY_STEPS` steps."""
    first = groups.step // EARLY_STEPS * EARLY_STEPS
    cells, row = np.unique(np.stack([first, groups.prompt_id]), axis=1, return_inverse=True)
    correct, size = (
        np.bincount(row.reshape(-1), weights=values, minlength=cells.shape[1])
        for values in (groups.num_correct, groups.group_size)
    )
    return GroupCounts(correct, size, prompt_id=cells[1], step=cells[0])


def _steps(groups: GroupCounts, logs: Sequence[Mapping[str, Any]]) -> Steps:
    step = np.array([log["step"] for log in logs], dtype=np.int64)
    place = np.searchsorted(step, groups.step)
    mixed = ~(groups.all_wrong | groups.all_right)

    def total(values: Any) -> Any:
        return np.bincount(place, weights=values, minlength=len(step)).astype(np.int64)

    return Steps(
        step=step,
        num_groups=total(np.ones(len(groups))),
        num_informative=total(mixed),
        num_samples=total(groups.group_size),
        num_correct=total(groups.num_correct),
        **{name: np.array([np.nan if log[name] is None else log[name] for log in logs])
           for name in ("entropy", "grad_norm", "loss", "kl", "clip_low", "clip_high",
                        "frac_truncated")},
    )  # fmt: skip

"""Which prompts an arm trains on, and the temperature that gives it another depth's entropy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from grpolab.streams import generator, stream_seed
from grpolab.theory.groups import FloatArray
from grpolab.validate.rollouts.table import Rollouts
from grpolab.validate.study.config import StudyConfig
from grpolab.validate.study.families import REGIMES
from grpolab.validate.study.inputs import ask
from grpolab.validate.study.jobs import StudyJob, eval_prompts, job_seed, pre_key
from grpolab.validate.study.tasks import StudyTask
from grpolab.validate.tasks import Prompt


def prompt_rates(
    job: StudyJob, prompts: Sequence[Prompt], *, root: Path, depth: int
) -> tuple[list[Prompt], FloatArray]:
    """The prompts that were sampled before RL, and the share right of each at a depth."""
    table = Rollouts.read(root / pre_key(job.task, job.data, job.seed, depth) / "train.parquet")
    totals = table.counts().by_prompt()
    rate = dict(zip(totals.prompt_id.tolist(), totals.rate.tolist(), strict=True))
    known = [p for p in prompts if p.id in rate]
    return known, np.array([rate[p.id] for p in known])


def select_prompts(
    config: StudyConfig, job: StudyJob, prompts: Sequence[Prompt], *, root: Path
) -> list[Prompt]:
    """The RL prompts of an arm, chosen by rollouts from before RL (see `Arm`).

    Where they are fewer than a step needs, others fill up: for ``unsolved`` those of the lowest
    rate first.
    """
    arm = job.arm
    assert arm is not None
    if arm.prompts == "all":
        return list(prompts)
    known, rate = prompt_rates(job, prompts, root=root, depth=job.depth)
    if arm.prompts == "solved":
        keep = (rate > 0) & (rate < 1)
    elif arm.prompts == "unsolved":
        keep = rate == 0
    elif arm.prompts == "solved-by":
        keep = prompt_rates(job, prompts, root=root, depth=arm.other)[1] > 0
    else:
        goal = float(prompt_rates(job, prompts, root=root, depth=arm.other)[1].mean())
        keep = with_mean(rate, goal, rng=generator(job.seed, "equal p"))
    chosen = [p for p, k in zip(known, keep.tolist(), strict=True) if k]
    least = config.grpo_of(arm).prompts_per_step
    if len(chosen) >= least:
        return chosen
    far = rate if arm.prompts == "unsolved" else np.zeros(len(rate))
    order = np.argsort(np.where(keep, -1.0, far), kind="stable")
    return [known[i] for i in order[:least].tolist()]


def with_mean(rate: FloatArray, goal: float, *, rng: np.random.Generator) -> Any:
    """A mask [P] that drops prompts until the mean rate of the others has come to ``goal``.

    Only prompts on the wrong side of the goal are dropped, in random order.

    >>> mask = with_mean(np.array([0.0, 0.0, 0.5, 0.5]), 0.3, rng=np.random.default_rng(0))
    >>> int(mask.sum())
    3
    """
    keep = np.ones(len(rate), dtype=bool)
    total, left, rising = float(rate.sum()), len(rate), rate.mean() < goal
    for i in rng.permutation(len(rate)):
        if left == 1 or (total / left >= goal) == rising:
            break
        if (rate[i] < goal) == rising:
            keep[i] = False
            total, left = total - float(rate[i]), left - 1
    return keep


def matched_temperature(
    config: StudyConfig, job: StudyJob, model: Any, tokenizer: Any, *, task: StudyTask, root: Path
) -> float:
    """The temperature at which this checkpoint's token entropy is that of another depth.

    Bisection on its logarithm; the entropy is that of the law that is sampled, on held-out prompts.
    """
    assert job.arm is not None
    folder = root / pre_key(job.task, job.data, job.seed, job.arm.entropy_of)
    prompts = eval_prompts(config, task, classes=REGIMES[job.regime].rl_classes)
    asked = {p.id for p in prompts}
    table = Rollouts.read(folder / "eval.parquet")
    goal = table.select(np.isin(table.prompt_id, list(asked))).token_entropy
    low, high = np.log(0.02), np.log(8.0)
    for _ in range(12):
        middle = (low + high) / 2
        drawn = ask(
            model, tokenizer, task=task, prompts=prompts, num_samples=8,
            law=replace(config.grpo.law(task), temperature=float(np.exp(middle))),
            seed=stream_seed(job_seed(job), "temperature"),
        )  # fmt: skip
        low, high = (middle, high) if drawn.token_entropy < goal else (low, middle)
    return float(np.exp((low + high) / 2))

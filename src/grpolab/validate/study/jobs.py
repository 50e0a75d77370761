"""The plan of a study: jobs, what each waits for, and roughly how long it takes.

A job reads the finished folders of the jobs that it depends on and writes ``result.json`` beside
its artefacts. Keys are paths: ``countdown/base/seed0``, ``countdown/ladder/narrow/plain/seed0``,
``countdown/pre/narrow/seed0/depth8``, ``countdown/rl/shift/seed0/depth8/plain``,
``countdown/force/shift/seed0/depth8``, ``simulate``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from grpolab.streams import stream_seed
from grpolab.validate.study.arms import SFT_VARIANTS, Arm
from grpolab.validate.study.config import StudyConfig
from grpolab.validate.study.families import Family
from grpolab.validate.study.tasks import StudyTask
from grpolab.validate.tasks import Prompt

RESULT = "result.json"


class Progress(Protocol):
    """Takes the share of a job that is done, and in words how it is doing."""

    def __call__(self, share: float, words: str = "", /) -> None:
        """Both, whenever there is something new."""


@dataclass(frozen=True, slots=True)
class StudyJob:
    """One node of the study: what it is, what it waits for, roughly how long it takes."""

    key: str
    kind: str
    needs: tuple[str, ...]
    weight: float  # CPU seconds, for the progress bar and for starting long jobs first
    task: str = ""
    seed: int = 0
    data: str = ""
    sft: str = "plain"
    regime: str = ""
    depth: int = 0
    arm: Arm | None = None


def base_key(task: str, seed: int) -> str:
    """Folder of a base model."""
    return f"{task}/base/seed{seed}"


def ladder_key(task: str, data: str, seed: int, *, sft: str = "plain") -> str:
    """Folder of an SFT ladder."""
    return f"{task}/ladder/{data}/{sft}/seed{seed}"


def checkpoint_key(task: str, data: str, seed: int, depth: int, *, sft: str = "plain") -> str:
    """Folder of the model at a depth of an SFT ladder; depth 0 is the base model."""
    if depth == 0:
        return f"{base_key(task, seed)}/model"
    return f"{ladder_key(task, data, seed, sft=sft)}/depth-{depth}"


def pre_key(task: str, data: str, seed: int, depth: int) -> str:
    """Folder of the rollouts of a checkpoint before RL."""
    return f"{task}/pre/{data}/seed{seed}/depth{depth}"


def rl_key(family: Family, seed: int, depth: int, arm: str) -> str:
    """Folder of a GRPO run."""
    return f"{family.task}/rl/{family.regime}/seed{seed}/depth{depth}/{arm}"


def force_key(family: Family, seed: int, depth: int) -> str:
    """Folder of the short runs that switch forces on and off."""
    return f"{family.task}/force/{family.regime}/seed{seed}/depth{depth}"


def plan(config: StudyConfig) -> list[StudyJob]:
    """All jobs of a study, dependencies before dependents."""
    jobs = [StudyJob("simulate", "simulate", (), 20.0)] if config.simulated_groups else []
    for seed in config.seeds:
        for task in config.tasks:
            jobs += _before_rl(config, task, seed)
        for family in config.parsed:
            jobs += _runs(config, family, seed)
    return jobs


_PRETRAINED = 400.0
"""What a step or a completion of a pretrained model costs, in units of the tiny model's."""


def _before_rl(config: StudyConfig, task: str, seed: int) -> Iterator[StudyJob]:
    base, effort = base_key(task, seed), _PRETRAINED if config.pretrained else 1.0
    weight = 10.0 if config.pretrained else 0.05 * config.base.steps
    yield StudyJob(base, "base", (), weight, task, seed)
    variants = {arm.sft for arm in config.arms}
    rows = config.eval_prompts * config.num_samples + config.train_prompts * config.train_samples
    for data in config.data_of(task):
        for sft in SFT_VARIANTS:
            if sft in variants or sft == "plain":
                depths = config.sft_of(sft).depths
                key = ladder_key(task, data, seed, sft=sft)
                weight = 0.012 * effort * max(depths)
                yield StudyJob(key, "ladder", (base,), weight, task, seed, data, sft)
        for depth in config.depths:
            ladder = ladder_key(task, data, seed)
            key = pre_key(task, data, seed, depth)
            weight = 5e-5 * effort * rows
            yield StudyJob(key, "pre", (ladder,), weight, task, seed, data, "plain", "", depth)


def _runs(config: StudyConfig, family: Family, seed: int) -> Iterator[StudyJob]:
    evals = config.grpo.steps / config.grpo.eval_every + 1
    rows = config.eval_prompts * (config.num_samples + config.quick_samples * evals)
    task, regime, data = family.task, family.regime, family.data
    effort = _PRETRAINED if config.pretrained else 1.0
    for arm in config.arms:
        for depth in config.depths_of(arm):
            needs = [ladder_key(task, data, seed, sft=arm.sft)]
            if arm.reference.startswith("depth"):
                needs.append(ladder_key(task, data, seed))
            if arm.entropy_of:
                needs.append(pre_key(task, data, seed, arm.entropy_of))
            if arm.prompts != "all":
                needs += [pre_key(task, data, seed, d) for d in {depth, arm.other} - {0}]
            yield StudyJob(
                rl_key(family, seed, depth, arm.name), "rl", tuple(sorted(set(needs))),
                effort * (0.035 * config.grpo.steps + 5e-5 * rows), task, seed, data, arm.sft,
                regime, depth, arm,
            )  # fmt: skip
    if config.force_steps:
        for depth in config.depths:
            yield StudyJob(
                force_key(family, seed, depth), "force", (pre_key(task, data, seed, depth),),
                40.0, task, seed, data, "plain", regime, depth,
            )  # fmt: skip


def job_seed(job: StudyJob) -> int:
    """A seed of its own for each job, of the study's seed and the job's key."""
    return stream_seed(job.seed, job.key)


def eval_prompts(config: StudyConfig, task: StudyTask, *, classes: int = 2) -> list[Prompt]:
    """Held-out prompts, equally many of each of the first ``classes`` classes."""
    share = config.eval_prompts // len(task.classes)
    prompts = task.prompts("eval")
    return [
        p
        for label in task.classes[:classes]
        for p in [q for q in prompts if q.label == label][:share]
    ]

"""Real tiny GRPO runs, good and bad, each left to its end: what monitors are judged by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grpolab.streams import stream_seed
from grpolab.validate.estimate.bootstrap import half_width, mean_stderr
from grpolab.validate.monitor.state import StepMetrics, StepView, tally
from grpolab.validate.study.base import BaseConfig, train_base
from grpolab.validate.study.config import LADDER
from grpolab.validate.study.inputs import ask, demonstrations, examples
from grpolab.validate.study.tasks import make_task
from grpolab.validate.tasks import NoVerdict, Prompt, Task
from grpolab.validate.training.config import GRPOConfig
from grpolab.validate.training.rundir import RunDir
from grpolab.validate.training.sft import train_ladder

if TYPE_CHECKING:
    from grpolab.validate.training.log import GRPORun

TASK = "countdown"
GROUP_SIZE = 8
PROMPTS_PER_STEP = 16
_SIFT = 64  # rollouts per prompt by which prompts are called never or always solved
_SIFTED = 600
_ASKED = 200  # held-out prompts
_SAMPLES = 32


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of run.

    ``prompts``: all, or those that the start solves in none (never) or all (always) of 64 rollouts.
    ``grader``: right, or one that rejects or accepts everything; it gives no verdict at all in the
    steps of ``outage``. The learning rate rises to ``lr`` over ``warmup`` steps.
    """

    name: str
    depth: int
    prompts: str = "all"
    grader: str = "right"
    lr: float = 1e-4
    warmup: int = 30
    entropy_coef: float = 0.0
    outage: tuple[int, int] = (0, 0)


@dataclass(slots=True)
class TrialRun:
    """A finished run: its steps as a monitor sees them, and what came of it on held-out prompts."""

    scenario: Scenario
    seed: int
    views: list[StepView] = field(default_factory=list)
    before: float = 0.0  # pass@1 on held-out prompts
    gain: float = 0.0
    gain_low: float = 0.0

    @property
    def doomed(self) -> bool:
        """No gain on held-out prompts beyond the noise of measuring it."""
        return self.gain_low <= 0


class GradedTask(Task):
    """A task with another grader; ``step`` says where the run is."""

    def __init__(self, task: Task, scenario: Scenario) -> None:
        self.name, self.max_new_tokens = task.name, task.max_new_tokens
        self._task, self._scenario = task, scenario
        self.step = 0

    def prompts(self, split: str) -> tuple[Prompt, ...]:
        """Those of the task."""
        return self._task.prompts(split)

    def verify(self, prompt: Prompt, completion: str) -> bool:
        """What the scenario's grader says."""
        first, last = self._scenario.outage
        if first <= self.step < last:
            raise NoVerdict
        if self._scenario.grader == "right":
            return self._task.verify(prompt, completion)
        return self._scenario.grader == "accepts"


def scenarios(*, steps: int) -> list[Scenario]:
    """The kinds of runs of the evaluation."""
    outage = (3 * steps // 10, 11 * steps // 20)
    return [
        *(Scenario("plain", depth) for depth in (8, 32, 128)),
        Scenario("little signal", 512),
        *(Scenario("never solved", depth, "never") for depth in (128, 512)),
        *(Scenario("always solved", depth, "always") for depth in (128, 512)),
        Scenario("grader rejects all", 32, grader="rejects"),
        Scenario("grader accepts all", 32, grader="accepts"),
        *(Scenario("rate too high", depth, lr=3e-3, warmup=0) for depth in (8, 128)),
        *(Scenario("rate rises too high", depth, lr=3e-3, warmup=steps // 2)
          for depth in (8, 32, 128)),
        *(Scenario("entropy pushed up", depth, lr=3e-4, entropy_coef=c)
          for depth, c in ((8, 0.3), (32, 1.0), (128, 1.0))),
        *(Scenario("outage", depth, outage=outage) for depth in (8, 128)),
        Scenario("grader rejects all, outage", 32, grader="rejects", outage=outage),
    ]  # fmt: skip


def build_starts(root: Path, *, seed: int, depths: Sequence[int]) -> None:
    """Train a base model and a ladder of SFT checkpoints: ``root/seed{seed}/depth-{depth}``."""
    from grpolab.validate.models import TinyConfig, build_model

    folder = root / f"seed{seed}"
    if all((folder / f"depth-{depth}").is_dir() for depth in depths):
        return
    task = make_task(TASK, seed=seed)
    model, tokenizer = build_model(task.vocabulary, TinyConfig(), seed=stream_seed(seed, "weights"))
    train_base(model, tokenizer, task=task, config=BaseConfig(steps=1000), seed=seed)
    train_ladder(
        model, tokenizer, run=RunDir(folder),
        train=examples(demonstrations(task, "narrow", seed=seed), tokenizer), held_out=(),
        config=replace(LADDER, depths=tuple(depths)), seed=stream_seed(seed, "ladder"),
    )  # fmt: skip


def run_trial(root: Path, scenario: Scenario, *, seed: int, steps: int) -> TrialRun:
    """Train one run to its end and ask held-out prompts before and after."""
    from grpolab.validate.models import load_model
    from grpolab.validate.training.grpo import train_grpo

    task = make_task(TASK, seed=seed)
    model, tokenizer = load_model(root / f"seed{seed}/depth-{scenario.depth}")
    draw = _sampler(model, tokenizer, task)
    train = _sift(task.prompts("rl"), scenario.prompts, draw, stream_seed(seed, "sift"))
    asked = _sift(task.prompts("eval"), scenario.prompts, draw, stream_seed(seed, "sift held out"))[
        :_ASKED
    ]
    config = GRPOConfig(
        steps=steps, prompts_per_step=PROMPTS_PER_STEP, group_size=GROUP_SIZE, lr=scenario.lr,
        warmup=scenario.warmup, entropy_coef=scenario.entropy_coef,
    )  # fmt: skip
    before = draw(asked, _SAMPLES, stream_seed(seed, "before"))
    graded = GradedTask(task, scenario)

    def tick(share: float, words: str) -> None:
        graded.step = round(share * steps)

    run = train_grpo(
        model, tokenizer, task=graded, prompts=train, config=config,
        seed=stream_seed(seed, "training"), progress=tick,
    )  # fmt: skip
    change = draw(asked, _SAMPLES, stream_seed(seed, "after")) - before
    gain = float(change.mean())
    return TrialRun(
        scenario,
        seed,
        views_of(run),
        float(before.mean()),
        gain,
        gain - half_width(mean_stderr(change)),
    )


def views_of(run: GRPORun) -> list[StepView]:
    """The steps of a run of our own loop as a monitor sees them."""
    return [
        StepView(
            record.log.step,
            tally(record.num_correct, record.group_size),
            StepMetrics(
                record.log.entropy, record.log.frac_truncated, record.log.loss,
                record.log.grad_norm,
            ),
        )
        for record in run.records
    ]  # fmt: skip


Sampler = Callable[[Sequence[Prompt], int, int], Any]


def _sampler(model: Any, tokenizer: Any, task: Task) -> Sampler:
    """Success rates [P] of prompts, from so many samples each, at a seed."""

    def rates(prompts: Sequence[Prompt], num_samples: int, seed: int) -> Any:
        table = ask(
            model, tokenizer, task=task, prompts=prompts, num_samples=num_samples,
            law=GRPOConfig().law(task), seed=seed,
        )  # fmt: skip
        totals = table.counts().by_prompt()
        by_id = dict(zip(totals.prompt_id.tolist(), totals.rate.tolist(), strict=True))
        return np.array([by_id[p.id] for p in prompts])

    return rates


def _sift(prompts: Sequence[Prompt], kind: str, draw: Sampler, seed: int) -> list[Prompt]:
    """All prompts, or those that the start solves in none or in all of its rollouts."""
    if kind == "all":
        return list(prompts)
    some = list(prompts)[:_SIFTED]
    rate = draw(some, _SIFT, seed)
    wanted = 0.0 if kind == "never" else 1.0
    return [p for p, r in zip(some, rate, strict=True) if r == wanted]

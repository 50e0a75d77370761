"""What the jobs of a study start from: tasks, demonstrations, prompts, checkpoints, the law."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from grpolab.streams import generator
from grpolab.validate.models.precision import compute_in, fixed_weights
from grpolab.validate.rollouts.collect import collect
from grpolab.validate.rollouts.plan import RolloutPlan
from grpolab.validate.rollouts.table import Rollouts, SamplingLaw
from grpolab.validate.study.config import StudyConfig
from grpolab.validate.study.families import DATA, REGIMES
from grpolab.validate.study.jobs import eval_prompts
from grpolab.validate.study.pretrained import Trimmed
from grpolab.validate.study.tasks import StudyTask, make_task
from grpolab.validate.tasks import Prompt, Task
from grpolab.validate.training.sft_data import Example, example


@contextmanager
def open_task(config: StudyConfig, name: str, *, seed: int) -> Iterator[StudyTask]:
    """A task whose sandbox, if it has one, is closed in the end."""
    task = make_task(name, seed=seed)
    if config.pretrained:
        task = Trimmed(task)
    try:
        yield task
    finally:
        task.close()


def demonstrations(task: StudyTask, data: str, *, seed: int) -> list[tuple[str, str]]:
    """The SFT pairs of a kind of data."""
    kind = DATA[data]
    rng = generator(seed, "demonstrations")
    prompts = list(_split(task, kind.split))
    size = kind.size or len(prompts)
    if kind.size:  # smaller sets are beginnings of larger ones
        rounds = -(-size // len(prompts))
        order = np.concatenate([rng.permutation(len(prompts)) for _ in range(rounds)])
        prompts = [prompts[i] for i in order.tolist()]
        if kind.shortest:
            lengths = generator(seed, "lengths")
            shown = task.demonstrations(prompts, style="short", rng=lengths)
            words = [answer.count(" ") for answer in shown]
            prompts = [prompts[i] for i in np.argsort(words, kind="stable").tolist()]
        prompts = prompts[:size]
    answers = task.demonstrations(prompts, style=kind.style, rng=rng)
    return [(p.text, a) for p, a in zip(prompts, answers, strict=True)]


def _split(task: StudyTask, name: str) -> Sequence[Prompt]:
    if name != "spare":
        return task.prompts(name)
    asked = {p.id for p in task.prompts("rl")}
    return [p for p in task.prompts("base") if p.id not in asked]


def rl_prompts(task: StudyTask, regime: str) -> list[Prompt]:
    """The training prompts of RL in a regime."""
    allowed = task.classes[: REGIMES[regime].rl_classes]
    return [p for p in task.prompts("rl") if p.label in allowed]


def held_out_pairs(
    config: StudyConfig, task: StudyTask, *, seed: int
) -> dict[str, list[tuple[str, str]]]:
    """Held-out prompts with their canonical answers, by prompt class."""
    rng = generator(seed, "held-out answers")
    out = {}
    for label in task.classes:
        prompts = [p for p in eval_prompts(config, task) if p.label == label]
        answers = task.demonstrations(prompts, style="canonical", rng=rng)
        out[label] = [(p.text, a) for p, a in zip(prompts, answers, strict=True)]
    return out


def examples(pairs: Sequence[tuple[str, str]], tokenizer: Any) -> list[Example]:
    """Pairs of prompt and answer, a space between them, as tokens; the loss on the answer only."""
    return [example({"prompt": prompt, "completion": f" {a}"}, tokenizer) for prompt, a in pairs]


def load(config: StudyConfig, path: Path) -> tuple[Any, Any]:
    """A checkpoint on the study's device, computing in its type."""
    from grpolab.validate.models import load_model

    model, tokenizer = load_model(path, device=config.device)
    return compute_in(model, config.dtype), tokenizer


def ask(
    model: Any,
    tokenizer: Any,
    *,
    task: Task,
    prompts: Sequence[Prompt],
    num_samples: int,
    law: SamplingLaw,
    seed: int,
    batch_rows: int = 2048,
    group_size: int = 0,
) -> Rollouts:
    """Rollouts of a model in memory, in groups of ``group_size`` (0: one group per prompt)."""
    from grpolab.validate.rollouts.hf import HFEngine

    plan = RolloutPlan(
        law, num_samples=num_samples, group_size=group_size or num_samples, seed=seed
    )  # fmt: skip
    engine = HFEngine.of(model, tokenizer, batch_rows=batch_rows)
    with fixed_weights(model):
        return collect(engine, plan, task=task, prompts=prompts)

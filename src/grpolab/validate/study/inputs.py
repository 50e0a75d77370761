"""What the jobs of a study start from: tasks, demonstrations, prompts, checkpoints, the law."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from grpolab.validate.rollouts.table import SamplingLaw
from grpolab.validate.study.config import StudyConfig
from grpolab.validate.study.families import DATA, REGIMES
from grpolab.validate.study.jobs import eval_prompts
from grpolab.validate.study.tasks import make_task
from grpolab.validate.tasks import Prompt, Task


@contextmanager
def open_task(name: str, *, seed: int) -> Iterator[Task]:
    """A task whose sandbox, if it has one, is closed in the end."""
    task = make_task(name, seed=seed)
    try:
        yield task
    finally:
        close = getattr(task, "close", None)
        if close is not None:
            close()


def demonstrations(task: Task, data: str, *, seed: int) -> list[tuple[str, str]]:
    """The SFT pairs of a kind of data."""
    kind = DATA[data]
    rng = np.random.default_rng([seed, 1])
    prompts = list(_split(task, kind.split))
    size = kind.size or len(prompts)
    if kind.size:  # smaller sets are beginnings of larger ones
        rounds = -(-size // len(prompts))
        order = np.concatenate([rng.permutation(len(prompts)) for _ in range(rounds)])
        prompts = [prompts[i] for i in order.tolist()]
        if kind.shortest:
            shown = task.demonstrations(prompts, style="short", rng=np.random.default_rng(seed))
            words = [answer.count(" ") for answer in shown]
            prompts = [prompts[i] for i in np.argsort(words, kind="stable").tolist()]
        prompts = prompts[:size]
    answers = task.demonstrations(prompts, style=kind.style, rng=rng)
    return [(p.text, a) for p, a in zip(prompts, answers, strict=True)]


def _split(task: Task, name: str) -> Sequence[Prompt]:
    if name != "spare":
        return task.prompts(name)
    asked = {p.id for p in task.prompts("rl")}
    return [p for p in task.prompts("base") if p.id not in asked]


def rl_prompts(task: Task, regime: str) -> list[Prompt]:
    """The training prompts of RL in a regime."""
    allowed = task.classes[: REGIMES[regime].rl_classes]
    return [p for p in task.prompts("rl") if p.label in allowed]


def held_out_pairs(
    config: StudyConfig, task: Task, *, seed: int
) -> dict[str, list[tuple[str, str]]]:
    """Held-out prompts with their canonical answers, by prompt class."""
    rng = np.random.default_rng([seed, 2])
    out = {}
    for label in task.classes:
        prompts = [p for p in eval_prompts(config, task) if p.label == label]
        answers = task.demonstrations(prompts, style="canonical", rng=rng)
        out[label] = [(p.text, a) for p, a in zip(prompts, answers, strict=True)]
    return out


def load(config: StudyConfig, path: Path) -> tuple[Any, Any]:
    """A checkpoint on the study's device."""
    from grpolab.validate.models import load_model

    model, tokenizer = load_model(path, device=config.device)
    return model, tokenizer


def law(task: Task, *, temperature: float) -> SamplingLaw:
    """The study's sampling law at a temperature; 0 is greedy."""
    return SamplingLaw(max_new_tokens=task.max_new_tokens, temperature=temperature)

"""Tasks that the study trains on: every problem and its right answers are known; torch-free."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from grpolab.errors import UserError
from grpolab.validate.study.tasks.coins import coins
from grpolab.validate.study.tasks.countdown import countdown
from grpolab.validate.study.tasks.labels import labels
from grpolab.validate.study.tasks.problems import (
    EnumeratedTask,
    Problem,
    ProblemTask,
    SplitSizes,
    StudyTask,
    Style,
)
from grpolab.validate.study.tasks.programs import ProgramTask, programs
from grpolab.validate.study.tasks.routes import routes
from grpolab.validate.study.tasks.spelling import SpellingTask, spelling
from grpolab.validate.study.tasks.sums import SumTask, sums

__all__ = [
    "TASKS",
    "EnumeratedTask",
    "Problem",
    "ProblemTask",
    "ProgramTask",
    "SpellingTask",
    "SplitSizes",
    "StudyTask",
    "Style",
    "SumTask",
    "coins",
    "countdown",
    "labels",
    "make_task",
    "programs",
    "routes",
    "spelling",
    "sums",
]

TASKS: Mapping[str, Callable[..., StudyTask]] = MappingProxyType(
    {
        "coins": coins, "countdown": countdown, "labels": labels, "programs": programs,
        "routes": routes, "spelling": spelling, "sums": sums,
    }
)  # fmt: skip
"""Task constructors by name; each takes ``seed`` and, optionally, ``noise`` and ``sizes``."""


def make_task(name: str, *, seed: int, noise: float = 0.4) -> StudyTask:
    """The task of that name, its problems split by ``seed``; UserError names the known ones.

    ``noise`` is the share of the corpus whose prompts ask for something else.

    >>> make_task("countdown", seed=0).classes
    ('add', 'mul')
    """
    if name not in TASKS:
        raise UserError(f"unknown task {name!r}; known tasks: {', '.join(sorted(TASKS))}")
    return TASKS[name](seed=seed, noise=noise)

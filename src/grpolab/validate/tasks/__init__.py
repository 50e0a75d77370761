"""Verifiable tasks with binary rewards; torch-free."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from grpolab.errors import UserError
from grpolab.validate.tasks.base import Prompt, Style, Task
from grpolab.validate.tasks.coins import coins
from grpolab.validate.tasks.countdown import countdown
from grpolab.validate.tasks.enumerated import EnumeratedTask, Problem, SplitSizes

__all__ = [
    "TASKS",
    "EnumeratedTask",
    "Problem",
    "Prompt",
    "SplitSizes",
    "Style",
    "Task",
    "coins",
    "countdown",
    "make_task",
]

TASKS: Mapping[str, Callable[..., Task]] = MappingProxyType(
    {"coins": coins, "countdown": countdown}
)
"""Task constructors by name; each takes ``seed`` and, optionally, ``noise`` and ``sizes``."""


def make_task(name: str, *, seed: int) -> Task:
    """The task of that name, its problems split by ``seed``; UserError names the known ones.

    >>> make_task("countdown", seed=0).classes
    ('add', 'mul')
    """
    if name not in TASKS:
        raise UserError(f"unknown task {name!r}; known tasks: {', '.join(sorted(TASKS))}")
    return TASKS[name](seed=seed)

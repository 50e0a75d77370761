"""Verifiable tasks with binary rewards; torch-free."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from grpolab.errors import UserError
from grpolab.validate.tasks.base import Prompt, Style, Task
from grpolab.validate.tasks.code import CodeTask
from grpolab.validate.tasks.code_formats import FORMATS, CodeProblem
from grpolab.validate.tasks.coins import coins
from grpolab.validate.tasks.countdown import countdown
from grpolab.validate.tasks.enumerated import EnumeratedTask
from grpolab.validate.tasks.judging import BatchVerifier, NoVerdict, Verifiable
from grpolab.validate.tasks.load import load_task
from grpolab.validate.tasks.problems import Problem, ProblemTask, SplitSizes
from grpolab.validate.tasks.programs import ProgramTask, programs
from grpolab.validate.tasks.records import RecordTask
from grpolab.validate.tasks.rows import load_rows
from grpolab.validate.tasks.verifiers import VERIFIERS, TrlReward, make_verifier

__all__ = [
    "FORMATS",
    "TASKS",
    "VERIFIERS",
    "BatchVerifier",
    "CodeProblem",
    "CodeTask",
    "EnumeratedTask",
    "NoVerdict",
    "Problem",
    "ProblemTask",
    "ProgramTask",
    "Prompt",
    "RecordTask",
    "SplitSizes",
    "Style",
    "Task",
    "TrlReward",
    "Verifiable",
    "coins",
    "countdown",
    "load_rows",
    "load_task",
    "make_task",
    "make_verifier",
    "programs",
]

TASKS: Mapping[str, Callable[..., Task]] = MappingProxyType(
    {"coins": coins, "countdown": countdown, "programs": programs}
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

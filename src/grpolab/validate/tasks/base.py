"""What a task is: prompts, verdicts on completions, and what it used to reach them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from grpolab.errors import UserError
from grpolab.validate.tasks.identity import VerifierId, verifier_id

Verdict = bool | None
"""Right, wrong, or None: no verdict, which is never counted as wrong."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One problem as the model reads it; ``id`` is unique within a task, whatever the split.

    A conversation has its (role, content) pairs in ``messages``, and the last content as ``text``.
    """

    id: int
    text: str
    label: str
    messages: tuple[tuple[str, str], ...] = ()


class NoVerdict(Exception):
    """A verifier could not decide, for a reason that says nothing about the completion."""


class TaskReport(NamedTuple):
    """Where verdicts came from: the level of the sandbox ("" without one), outcomes so far."""

    level: str = ""
    outcomes: Mapping[str, int] = MappingProxyType({})


class Task(ABC):
    """A verifiable task with binary rewards. Subclasses give ``prompts`` and ``verify``.

    ``name`` is what the task is called in reports and manifests; ``max_new_tokens`` is the length
    of the longest right completion with its end token, 0 where the task sets none. A completion
    ends before the first of the texts in ``stop``.

    >>> class Even(Task):
    ...     name = "even"
    ...     def prompts(self, split):
    ...         return (Prompt(0, "an even number:", "all"),)
    ...     def verify(self, prompt, completion):
    ...         return completion.strip().isdigit() and int(completion) % 2 == 0
    >>> Even().verify(Even().prompts("eval")[0], "12"), Even().max_new_tokens
    (True, 0)
    """

    name: str
    max_new_tokens: int = 0
    stop: tuple[str, ...] = ()

    @abstractmethod
    def prompts(self, split: str) -> tuple[Prompt, ...]:
        """Prompts of a split, always in the same order; UserError when there is no such split."""

    @property
    def verifier(self) -> VerifierId:
        """Which verifier judges; here the class, known by the source of its file."""
        return verifier_id(type(self).__name__, *_classes(type(self)))

    @abstractmethod
    def verify(self, prompt: Prompt, completion: str) -> bool:
        """Whether a completion is right; NoVerdict where that cannot be told.

        Whatever else it raises counts as an error of the verifier, which gives no verdict.
        """

    def verify_many(
        self, prompts: Sequence[Prompt], completions: Sequence[str]
    ) -> list[Verdict] | None:
        """One verdict per pair; None (as here) asks the caller to call ``verify`` for each."""
        return None

    def report(self) -> TaskReport:
        """What the task used to judge, and what came of it."""
        return TaskReport()

    def close(self) -> None:
        """Give back what the task holds, such as a sandbox; a later verdict opens it anew."""
        return


class OneSplit(Task):
    """A task of given rows: all prompts are in the split ``eval``; subclasses set ``_prompts``."""

    _prompts: tuple[Prompt, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels in order of first appearance."""
        return tuple(dict.fromkeys(prompt.label for prompt in self._prompts))

    def prompts(self, split: str = "eval") -> tuple[Prompt, ...]:
        """All prompts; ``eval`` is the only split."""
        if split != "eval":
            raise UserError(f"task {self.name} has the split 'eval' only, not {split!r}")
        return self._prompts


def _classes(kind: type) -> list[type]:
    """A class and those of its bases that say how a completion is judged."""
    return [c for c in kind.__mro__ if c is not Task and issubclass(c, Task)]

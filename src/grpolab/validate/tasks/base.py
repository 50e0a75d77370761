"""What a task is: prompts in classes, an exact verifier, demonstrations, a broad corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np

Style = Literal["canonical", "random", "short", "long"]
"""Which right answer is shown: always the same one, any known one, any of the shortest (in words),
any of the longest."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One problem as the model reads it; ``id`` is unique within a task, whatever the split.

    A conversation has its (role, content) pairs in ``messages``, and the last content as ``text``.
    """

    id: int
    text: str
    label: str
    messages: tuple[tuple[str, str], ...] = ()


class Task(Protocol):
    """A verifiable task with binary rewards and, usually, several right answers per prompt.

    Prompts and completions are words of ``vocabulary`` joined by single spaces; special tokens
    belong to the tokenizer and appear in neither.
    """

    @property
    def name(self) -> str:
        """The name under which `make_task` finds the task."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Prompt classes; the first is the one that narrow SFT shows."""
        ...

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Every word that a prompt or a right completion may contain."""
        ...

    @property
    def max_new_tokens(self) -> int:
        """Words in the longest right completion, and one for the end token."""
        ...

    def prompts(self, split: str) -> tuple[Prompt, ...]:
        """Prompts of a split, always in the same order; UserError when there is no such split."""
        ...

    def verify(self, prompt: Prompt, completion: str) -> bool:
        """Whether a completion, end token removed, is right; any string is allowed."""
        ...

    def demonstrations(
        self, prompts: Sequence[Prompt], *, style: Style, rng: np.random.Generator
    ) -> list[str]:
        """One right completion per prompt, see `Style`; ``canonical`` does not touch ``rng``."""
        ...

    def corpus(self, size: int, *, rng: np.random.Generator) -> list[tuple[str, str]]:
        """Pairs (prompt text, completion) for pre-training: broad, and partly wrong."""
        ...


class NoVerdict(Exception):
    """A verifier could not decide, for a reason that says nothing about the completion."""


class Verifiable(Protocol):
    """The part of a task that rollouts need."""

    @property
    def name(self) -> str:
        """What the task is called in reports and manifests."""
        ...

    def prompts(self, split: str) -> tuple[Prompt, ...]:
        """Prompts of a split, always in the same order; UserError when there is no such split."""
        ...

    def verify(self, prompt: Prompt, completion: str) -> bool:
        """Whether a completion is right; NoVerdict where that cannot be told."""
        ...


@runtime_checkable
class BatchVerifier(Protocol):
    """A task that judges many completions better than one by one."""

    def verify_many(
        self, prompts: Sequence[Prompt], completions: Sequence[str]
    ) -> list[bool | None]:
        """One verdict per pair, None where there is none; never raises for a completion."""
        ...

"""What rollouts ask of a task: prompts, verdicts, and possibly verdicts in bulk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from grpolab.validate.tasks.base import Prompt


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

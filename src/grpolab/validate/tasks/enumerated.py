"""EnumeratedTask: a task small enough that every right answer to every problem is written down."""

from __future__ import annotations

from functools import cached_property

from grpolab.validate.tasks.base import Prompt
from grpolab.validate.tasks.problems import ProblemTask


class EnumeratedTask(ProblemTask):
    """A `ProblemTask` whose problems list every right completion; all others are wrong."""

    @cached_property
    def _right(self) -> tuple[frozenset[str], ...]:
        return tuple(frozenset(problem.solutions) for problem in self._problems)

    def verify(self, prompt: Prompt, completion: str) -> bool:
        """Whether a completion, end token removed, is right; any string is allowed.

        Exact to the character. Raises ValueError for a prompt of another task.
        """
        self._check(prompt)
        return completion in self._right[prompt.id]

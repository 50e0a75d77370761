"""Sandboxed: a task that owns a sandbox, and opens it only when there is something to judge."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Self

from grpolab.validate.sandbox import Outcome, Sandbox
from grpolab.validate.tasks.base import Task, TaskReport


class Sandboxed(Task):
    """A context manager that owns a sandbox; forgotten, it still ends the sandbox's servers.

    ``outcomes`` counts what came of every program judged so far.
    """

    def __init__(self, make: Callable[[], Sandbox]) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self._make_sandbox = make
        self._sandbox: Sandbox | None = None
        self._end: Callable[[], object] = lambda: None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def level(self) -> str:
        """Level of isolation of the sandbox; opens it."""
        return str(self._open().level)

    def report(self) -> TaskReport:
        """Level of the sandbox, and how many programs came to each outcome."""
        return TaskReport(self.level, {str(name): n for name, n in sorted(self.outcomes.items())})

    def close(self) -> None:
        """End the sandbox; a later verdict opens a new one."""
        self._end()
        self._sandbox = None

    def _open(self) -> Sandbox:
        if self._sandbox is None:
            self._sandbox = self._make_sandbox()
            self._end = weakref.finalize(self, self._sandbox.close)
        return self._sandbox

"""Progress with time left, on stderr: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any


class ProgressBar:
    """Adds up the parts of concurrent jobs, in units of their weights."""

    def __init__(self, total: float, *, note: str, every: float = 15.0) -> None:
        self._total = max(total, 1e-9)
        self._note = note
        self._every = every
        self._parts: dict[str, float] = {}
        self._start = self._last = time.monotonic()
        self._rich: Any = None
        self._task: Any = None

    def __enter__(self) -> ProgressBar:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self._rich = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f}%"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._rich.start()
            self._task = self._rich.add_task(self._note, total=self._total)
        else:
            self._line(self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._rich is not None:
            self._rich.stop()

    def part(self, key: str, amount: float, *, finished: bool = False) -> None:
        """Say how much of a job is done."""
        self._parts[key] = amount
        share = min(sum(self._parts.values()) / self._total, 1.0)
        if self._rich is not None:
            names = [k for k in self._parts if not finished or k != key]
            label = names[-1] if names else key
            self._rich.update(self._task, completed=share * self._total, description=label)
        elif finished or time.monotonic() - self._last > self._every:
            self._line(
                f"{100 * share:3.0f}%  {key}{' done' if finished else ''}{self._left(share)}"
            )

    def _left(self, share: float) -> str:
        elapsed = time.monotonic() - self._start
        if share <= 0.02:
            return ""
        return f"  ({_clock(elapsed)} so far, about {_clock(elapsed * (1 - share) / share)} left)"

    def _line(self, text: str) -> None:
        self._last = time.monotonic()
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def _clock(seconds: float) -> str:
    """Minutes and seconds.

    >>> _clock(125.2)
    '2:05'
    """
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"

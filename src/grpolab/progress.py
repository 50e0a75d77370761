"""Progress with time left, on stderr: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import contextlib
import math
import sys
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from types import TracebackType
from typing import Any

from grpolab.terminal import printable

_QUIET: ContextVar[bool] = ContextVar("quiet", default=False)


@contextlib.contextmanager
def without_progress(quiet: bool) -> Iterator[None]:
    """Show no progress inside the block, if ``quiet``.

    >>> with without_progress(True):
    ...     is_quiet()
    True
    """
    token = _QUIET.set(quiet or _QUIET.get())
    try:
        yield
    finally:
        _QUIET.reset(token)


def is_quiet() -> bool:
    """Whether progress and plans are left out."""
    return _QUIET.get()


class ProgressBar:
    """Adds up the parts of concurrent jobs, in units of their weights.

    Nothing is shown in the first ``patience`` seconds, so that a short job prints nothing. What
    is reported in the first second was done before, by a run that this one takes up, and says
    nothing about the pace.
    """

    def __init__(
        self, total: float, *, note: str, every: float = 15.0, patience: float = 0.0
    ) -> None:
        self._total = max(total, 1e-9)
        self._note = note
        self._quiet = is_quiet()
        self._every = every
        self._patience = patience
        self._parts: dict[str, float] = {}
        self._start = self._last = time.monotonic()
        self._behind: float | None = None  # share of what was done before
        self._begun = threading.Event()
        self._timer = threading.Timer(patience, self._begin)
        self._timer.daemon = True
        self._rich: Any = None
        self._task: Any = None

    def __enter__(self) -> ProgressBar:
        if self._quiet:
            return self
        if self._patience > 0:
            self._timer.start()
        else:
            self._begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        if self._timer.is_alive():
            self._timer.join()
        if self._rich is not None:
            self._rich.stop()

    def part(self, key: str, amount: float, *, finished: bool = False, speed: str = "") -> None:
        """Say how much of a job is done, and in words how fast it goes."""
        self._parts[key] = amount
        share = min(sum(self._parts.values()) / self._total, 1.0)
        first = self._behind is None
        if self._behind is None:
            self._behind = share if time.monotonic() - self._start < 1 else 0.0
        if not self._begun.is_set():
            return
        if self._rich is not None:
            names = [k for k in self._parts if not finished or k != key]
            label = names[-1] if names else key
            move = self._rich.reset if first and self._behind else self._rich.update
            shown = f"{label}  {speed}" if speed else label
            move(self._task, completed=share * self._total, description=printable(shown))
        elif finished or time.monotonic() - self._last > self._every:
            ending = " done" if finished else f"  {speed}" if speed else ""
            self._line(f"{100 * share:3.0f}%  {key}{ending}{self._left(share)}")

    def _begin(self) -> None:
        if not sys.stderr.isatty():
            self._line(self._note)
            self._begun.set()
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._rich = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._rich.start()
        done = min(sum(list(self._parts.values())), self._total)
        label = next(reversed(self._parts), self._note)
        self._task = self._rich.add_task(printable(label), total=self._total, completed=done)
        self._begun.set()

    def _left(self, share: float) -> str:
        elapsed, new = time.monotonic() - self._start, share - (self._behind or 0.0)
        if new <= 0.02:
            return ""
        if share >= 1:
            return f"  (in {_clock(elapsed)})"
        return f"  ({_clock(elapsed)} so far, about {_clock(elapsed * (1 - share) / new)} left)"

    def _line(self, text: str) -> None:
        self._last = time.monotonic()
        sys.stderr.write(printable(text) + "\n")
        sys.stderr.flush()


class Pace:
    """How fast steps go; what is done before the end of the first one is not counted."""

    def __init__(self) -> None:
        self._began = math.nan
        self._steps, self._tokens = 0, 0.0

    def after(self, tokens: float) -> str:
        """Seconds per step and tokens per second, after a step of so many tokens.

        >>> Pace().after(4096)  # nothing before the second step
        ''
        """
        if math.isnan(self._began):
            self._began = time.monotonic()
            return ""
        self._steps += 1
        self._tokens += tokens
        passed = max(time.monotonic() - self._began, 1e-9)
        speed = f", {self._tokens / passed:,.0f} tokens/s" if self._tokens else ""
        return f", {passed / self._steps:.2g} s/step{speed}"


def _clock(seconds: float) -> str:
    """Minutes and seconds.

    >>> _clock(125.2)
    '2:05'
    """
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"

"""Ctrl-C and SIGTERM end a run after the step that is under way, with its checkpoint."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from grpolab.validate.training.processes import num_processes

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(Exception):
    """A run was asked to stop and has saved what it goes on from; ``signum`` says who asked."""

    def __init__(self, step: int, signum: int) -> None:
        super().__init__(f"stopped before step {step}, saved; the same command goes on from there")
        self.signum = signum


@contextlib.contextmanager
def stop_requests() -> Iterator[Callable[[], int]]:
    """A function that says which signal has asked to stop, 0 while none has.

    A second signal interrupts at once. Of several processes each would see it at another step, so
    there, and outside the main thread, signals do what they always do.
    """
    asked: list[int] = []

    def note(signum: int, frame: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(signum)
        sys.stderr.write("stopping after this step; once more: at once\n")

    if num_processes() > 1 or threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    before = {number: signal.signal(number, note) for number in _SIGNALS}
    try:
        yield lambda: asked[0] if asked else 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

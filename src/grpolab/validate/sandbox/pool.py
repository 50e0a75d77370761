"""Sandbox: many programs judged in parallel."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from grpolab.validate.sandbox.jobs import Job, Limits, Outcome, Result
from grpolab.validate.sandbox.levels import Level
from grpolab.validate.sandbox.pair import Pair
from grpolab.validate.sandbox.probe import choose_level

TRIES = 3
"""Times that a job runs before a failing sandbox is its result."""


class Sandbox:
    """A pool of sandboxes; a context manager, and usable from one thread at a time.

    ``level`` None takes the strongest whose walls stand; ``packages`` are folders that programs
    may import from, shown read-only; ``workers`` None is one per processor that we may use.
    Servers start with the first job and stay until `close`.
    """

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        level: Level | None = None,
        unsafe: bool = False,
        workers: int | None = None,
        packages: Sequence[Path] = (),
    ) -> None:
        if workers is not None and workers < 1:
            raise ValueError(f"workers must be >= 1, got {workers}")
        self.limits = limits or Limits()
        self.level = choose_level(level, unsafe=unsafe)
        count = workers or len(os.sched_getaffinity(0))
        self._pairs = [Pair(self.level, self.limits, packages) for _ in range(count)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def run(self, job: Job) -> Result:
        """The result of one job."""
        return _run_stubbornly(self._pairs[0], job)

    def run_many(
        self,
        jobs: Sequence[Job],
        *,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> list[Result]:
        """Results in the order of the jobs; ``progress(done, total)`` after each of them."""
        waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        finished: queue.SimpleQueue[tuple[int, Result | BaseException]] = queue.SimpleQueue()
        for i in range(len(jobs)):
            waiting.put(i)
        stop = threading.Event()

        def work(pair: Pair) -> None:
            while not stop.is_set():
                try:
                    i = waiting.get_nowait()
                except queue.Empty:
                    return
                try:
                    finished.put((i, _run_stubbornly(pair, jobs[i])))
                except BaseException as err:
                    finished.put((i, err))

        threads = [
            threading.Thread(target=work, args=(pair,), daemon=True)
            for pair in self._pairs[: len(jobs)]
        ]
        results: dict[int, Result] = {}
        try:
            for thread in threads:
                thread.start()
            while len(results) < len(jobs):
                i, result = finished.get()
                if isinstance(result, BaseException):
                    raise result
                results[i] = result
                progress(len(results), len(jobs))
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        return [results[i] for i in range(len(jobs))]

    def close(self) -> None:
        """End all servers."""
        for pair in self._pairs:
            pair.close()


def _run_stubbornly(pair: Pair, job: Job) -> Result:
    """Run until there is a verdict, at most TRIES times, each after a failure in new servers.

    A program whose server dies under it every time, the first perhaps excepted, which a program
    before it may have spoiled, brings that about itself: it is wrong.
    """
    tries, deaths = 1, 0
    while (result := pair.run(job)).outcome is Outcome.SANDBOX_ERROR:
        deaths += pair.lost_running
        pair.close()
        if tries == TRIES:
            if deaths >= TRIES - 1:
                detail = f"its server died in {deaths} of {TRIES} tries: {result.detail}"
                result = result._replace(outcome=Outcome.WRONG, detail=detail)
            break
        tries += 1
    return result._replace(tries=tries)

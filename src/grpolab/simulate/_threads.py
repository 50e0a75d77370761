"""Chunks of work on all cores. The compiled kernels let go of the interpreter lock."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from grpolab.theory import _check

T = TypeVar("T")


def available_cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def map_chunks(
    work: Callable[[int, int], T],
    high: int,
    *,
    low: int = 0,
    chunk: int,
    threads: int | None = None,
) -> list[T]:
    """``[work(a, b), ...]`` over consecutive chunks of range(low, high), in order.

    The results must not depend on the chunks; threads defaults to the cores of this process.
    """
    if threads is not None:
        threads = _check.one_whole("threads", threads)
    bounds = [(a, min(a + chunk, high)) for a in range(low, high, chunk)]
    workers = min(threads or available_cores(), len(bounds))
    if workers <= 1:
        return [work(low, high) for low, high in bounds]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda b: work(*b), bounds))

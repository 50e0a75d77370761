"""The processes that torchrun or accelerate started for one run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


def num_processes() -> int:
    """Processes of this run, by their environment."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first_process() -> bool:
    """Whether this process is the one that writes and prints."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def process_group() -> Iterator[None]:
    """End the process group of torch that the block begins.

    A process that exits with an open group may abort in the destructors of its threads, and a run
    that had succeeded counts as failed.
    """
    try:
        yield
    finally:
        from torch import distributed

        if distributed.is_available() and distributed.is_initialized():
            distributed.destroy_process_group()

"""The processes that torchrun or accelerate started for one run."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


def num_processes() -> int:
    """Processes of this run, by their environment."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first_process() -> bool:
    """Whether this process is the one that writes and prints."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def process_group() -> Iterator[None]:
    """End the process group of torch that the block begins."""
    try:
        yield
    finally:
        from torch import distributed

        if distributed.is_available() and distributed.is_initialized():
            distributed.destroy_process_group()


def leave(status: int) -> NoReturn:
    """End a process of several without taking the interpreter down.

    Threads that torch and its libraries leave behind are destroyed with it while they run, which
    aborts the process now and then: a run that has succeeded would count as failed.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)

"""What can go wrong in the middle of a run, in words: no memory left, weights that are spoilt."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from grpolab.errors import UserError, first_line
from grpolab.validate.models.memory import exhausted

_SAMPLER = "probability tensor contains"
Latest = Callable[[], Path | None]


class BrokenRun(Exception):
    """Training cannot go on, through no fault of the input; the command line exits with 1."""


def broken(step: int | None, what: str, latest: Path | None) -> BrokenRun:
    """Say what broke, and from where to go on.

    >>> print(broken(3, "loss is nan", None))
    step 3: loss is nan; no checkpoint yet: start again with a lower --lr and another --out
    """
    where = "" if step is None else f"step {step}: "
    go_on = (
        f"last good checkpoint: {latest}; go on from it as MODEL"
        if latest
        else "no checkpoint yet: start again"
    )
    return BrokenRun(f"{where}{what}; {go_on} with a lower --lr and another --out")


def spoilt(checkpoint: Path, err: Exception) -> UserError:
    """What to do about a checkpoint of the run that cannot be read."""
    reason = first_line(err).removeprefix(f"{checkpoint}: ")
    return UserError(
        f"{checkpoint}: cannot be read ({reason}); remove it to go on from the checkpoint before"
    )


@contextlib.contextmanager
def reading(checkpoint: str | Path | None) -> Iterator[None]:
    """Turn whatever a loader raises over a checkpoint of the run into one line."""
    try:
        yield
    except Exception as err:  # the loaders raise anything
        if checkpoint is None:
            raise
        raise spoilt(Path(checkpoint), err) from err


@contextlib.contextmanager
def saving(target: Path) -> Iterator[None]:
    """Turn whatever a writer raises over a folder of the run into one line."""
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as err:  # torch and safetensors have errors of their own for a full disk
        reason = err.strerror if isinstance(err, OSError) and err.strerror else first_line(err)
        raise UserError(
            f"{target}: cannot be written ({reason}); free some space if the disk is full, and run"
            " the same command again to go on"
        ) from err


def check_finite(step: int, *, loss: float, grad_norm: float, latest: Latest) -> None:
    """Raise BrokenRun where loss or gradient is no number: the weights are spoilt from there on."""
    for name, value in (("loss", loss), ("grad_norm", grad_norm)):
        if not math.isfinite(value):
            raise broken(step, f"{name} is {value}", latest())


def check_weights(step: int, model: Any, *, latest: Latest) -> None:
    """Raise BrokenRun rather than let weights that are no numbers be saved."""
    import torch

    if not all(bool(torch.isfinite(p).all()) for p in model.parameters()):
        raise broken(step, "weights are no longer finite", latest())


@contextlib.contextmanager
def training_errors(advice: str, *, latest: Latest) -> Iterator[None]:
    """Turn what torch says of a full memory or spoilt weights into one line.

    >>> with training_errors("lower -g", latest=lambda: None):
    ...     raise MemoryError
    Traceback (most recent call last):
    ...
    grpolab.errors.UserError: out of memory: lower -g
    """
    try:
        yield
    except (MemoryError, RuntimeError) as err:
        if exhausted(err):
            raise UserError(f"out of memory: {advice}") from err
        said = str(err).lower()
        if _SAMPLER in said:
            raise broken(None, "the policy's probabilities are no numbers", latest()) from err
        raise


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

"""What can go wrong in the middle of a run, in words: no memory left, weights that are spoilt."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from grpolab.errors import UserError

_ALLOCATOR = ("can't allocate memory", "not enough memory", "out of memory")
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
    said = str(err).strip().splitlines()
    reason = said[0].removeprefix(f"{checkpoint}: ") if said else type(err).__name__
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
    except MemoryError as err:
        raise UserError(f"out of memory: {advice}") from err
    except RuntimeError as err:  # torch.OutOfMemoryError is one; the CPU allocator has no type
        said = str(err).lower()
        if any(words in said for words in _ALLOCATOR):
            raise UserError(f"out of memory: {advice}") from err
        if _SAMPLER in said:
            raise broken(None, "the policy's probabilities are no numbers", latest()) from err
        raise

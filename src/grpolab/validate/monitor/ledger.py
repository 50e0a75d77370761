"""The rewards of a function that is watched while TRL trains, counted group by group."""

from __future__ import annotations

import functools
import hashlib
import inspect
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from grpolab.validate.monitor.state import GroupTally, tally_rewards

T = TypeVar("T")


class Taken(NamedTuple):
    """Groups of one step, and the mean number of distinct completions in one (NaN: not known)."""

    groups: GroupTally
    distinct: float


class RewardLedger:
    """Collects the rewards that a wrapped function returns while training, in order."""

    def __init__(self) -> None:
        self.open = False  # rewards outside of a training step are those of an evaluation
        self.name = ""
        self.num_odd = 0  # finite rewards that were neither 0 nor 1
        self.called = False  # by the trainer, in training
        self._threshold: float | None = None
        self._rewards: list[float] = []
        self._texts: list[str] = []

    def wrap(self, reward: Callable[..., Any], *, threshold: float | None) -> Callable[..., Any]:
        """The same function, watched; ValueError when another one is watched already."""
        if self.name:
            raise ValueError(f"only one reward function can be watched, and {self.name!r} is")
        self.name = str(getattr(reward, "__name__", type(reward).__name__))
        self._threshold = threshold
        if inspect.iscoroutinefunction(reward) or inspect.iscoroutinefunction(
            getattr(reward, "__call__", None)  # noqa: B004 - an object whose call is a coroutine
        ):

            async def watched_later(*args: Any, **kwargs: Any) -> Any:
                return self._note(await reward(*args, **kwargs), kwargs)

            return self._named(watched_later, reward)

        def watched(*args: Any, **kwargs: Any) -> Any:
            return self._note(reward(*args, **kwargs), kwargs)

        return self._named(watched, reward)

    def _named(self, wrapper: Callable[..., Any], reward: Callable[..., Any]) -> Callable[..., Any]:
        functools.update_wrapper(wrapper, reward)
        wrapper.__name__ = self.name
        return wrapper

    def _note(self, values: Any, given: dict[str, Any]) -> Any:
        values = list(values)
        if self.open:
            self.called = True
            self._rewards += [self._verdict(value) for value in values]
            completions = given.get("completions")
            if completions is not None and len(completions) == len(values):
                self._texts += [_key(completion) for completion in completions]
        return values

    def _verdict(self, value: Any) -> float:
        """1, 0, or NaN where there is no verdict."""
        number = math.nan if value is None else float(value)
        if self._threshold is not None and not math.isnan(number):
            return float(number > self._threshold)
        if math.isnan(number) or number in (0.0, 1.0):
            return number
        self.num_odd += 1
        return math.nan

    def take(self, *, group_size: int) -> Taken | None:
        """The groups since the last call, of all processes together; None where there were none.

        Every process must call it at the same time: a group may be cut by a process boundary, and
        only the rewards of all processes, in the order of their ranks, are whole groups.
        """
        rewards, texts = gather(self._rewards), gather(self._texts)
        self._rewards, self._texts = [], []
        if not rewards or len(rewards) % group_size:
            return None
        groups = tally_rewards(np.array(rewards), group_size=group_size)
        distinct = math.nan
        if len(texts) == len(rewards):
            starts = range(0, len(texts), group_size)
            distinct = sum(len(set(texts[i : i + group_size])) for i in starts) / len(starts)
        return Taken(groups, distinct)


def _key(completion: Any) -> str:
    """A short key of a completion, text or messages: equal completions have equal keys."""
    return hashlib.blake2b(repr(completion).encode(), digest_size=8).hexdigest()


def gather(values: Sequence[T]) -> list[T]:
    """The values of all processes, in the order of their ranks; of this one alone otherwise."""
    distributed = getattr(sys.modules.get("torch"), "distributed", None)
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return list(values)
    parts: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(parts, list(values))
    return [value for part in parts for value in part]

"""A reducer of inspect_ai: the zero-std share of groups of k, from the epochs of every sample.

inspect_ai finds this module by its entry point, so that ``Epochs(16, ["mean",
"grpolab/zero_std_8"])`` works wherever both packages are installed; without inspect_ai the module
can be imported and the reducer is a plain function.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from grpolab.theory.groups import equal_rewards

NAME = "grpolab/zero_std"
"""What inspect_ai calls the reducer; in logs with the group size, ``grpolab/zero_std_8``."""


def share_equal(rewards: Sequence[float], k: int) -> float:
    """Share of the groups of k, drawn without replacement, in which all rewards are equal.

    ``sum_v C(n_v, k) / C(n, k)`` over the distinct rewards v, of which there are n_v among n; for 0
    and 1 it is `grpolab.thin_zero_std`. Rewards are equal where `equal_rewards` says so. NaN
    with fewer than k rewards.

    >>> share_equal([0, 0, 0, 1], 2), share_equal([0.1, 0.2], 3)
    (0.5, nan)
    """
    values = sorted(rewards)
    if len(values) < k:
        return math.nan
    sizes = [0]
    for before, value in zip([math.nan, *values], values, strict=False):
        if sizes[-1] and not equal_rewards([before, value]):
            sizes.append(0)
        sizes[-1] += 1
    return sum(math.comb(n, k) for n in sizes) / math.comb(len(values), k)


def zero_std(k: int = 8) -> Callable[[list[Any]], Any]:
    """Score reducer: the chance that a group of k epochs of a sample has equal rewards.

    The mean over samples is the ``zero std`` of ``grpolab audit`` on the log. A sample with fewer
    than k scores is unscored; scores that are dictionaries or lists are reduced entry by entry.

    ValueError unless k is at least 2.
    """
    if k < 2:
        raise ValueError(f"k must be >= 2, got {k}")

    def reduce(scores: list[Any]) -> Any:
        from inspect_ai.scorer import Score

        return Score(value=_reduced([score.value for score in scores], k))

    return reduce


def _reduced(values: Sequence[Any], k: int) -> Any:
    """The share for scalars, or for every entry of dictionaries and lists."""
    from inspect_ai.scorer import value_to_float

    first = next((v for v in values if isinstance(v, dict | list)), None)
    if isinstance(first, dict):
        there = [v for v in values if isinstance(v, dict)]
        return {key: _reduced([v.get(key) for v in there], k) for key in first}
    if isinstance(first, list):
        rows = [v for v in values if isinstance(v, list)]
        return [_reduced(column, k) for column in zip(*rows, strict=False)]
    number = value_to_float()
    found = np.array([math.nan if v is None else number(v) for v in values], dtype=np.float64)
    return share_equal(found[~np.isnan(found)].tolist(), k)


if importlib.util.find_spec("inspect_ai") is not None:
    zero_std = importlib.import_module("inspect_ai.scorer").score_reducer(name=NAME)(zero_std)

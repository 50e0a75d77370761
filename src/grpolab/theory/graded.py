"""Graded rewards: values on a grid, and sums of components such as correctness and format.

A group has no signal where all of its rewards are equal, so what counts is which values coincide. A
constant component changes nothing. A rare one beside a binary reward makes groups that are all
wrong differ, and with them an update that says nothing on correctness; two components that add up
to the same value by different ways make different rollouts equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import comb

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, xlogy

from grpolab.theory import _check
from grpolab.theory.groups import EQUAL, FloatArray

_MOST = 1_000_000  # compositions of a group


@dataclass(frozen=True, slots=True, eq=False)
class RewardLaw:
    """The reward of a rollout of one prompt: distinct rising values [V] and their chances [V].

    `reward_law` makes one. Two laws are equal if values and chances are.
    """

    value: FloatArray
    prob: FloatArray

    def __eq__(self, other: object) -> bool:
        """The same values with the same chances."""
        if not isinstance(other, RewardLaw):
            return NotImplemented
        return np.array_equal(self.value, other.value) and np.array_equal(self.prob, other.prob)

    __hash__ = None  # type: ignore[assignment]

    def sample(self, number: int, *, rng: np.random.Generator) -> FloatArray:
        """Rewards of ``number`` independent rollouts.

        >>> reward_law([0.0, 2.0], [0.0, 1.0]).sample(2, rng=np.random.default_rng(0)).tolist()
        [2.0, 2.0]
        """
        drawn = _check.one_whole("number", number, least=0)
        place = np.searchsorted(np.cumsum(self.prob), rng.random(drawn), side="right")
        return np.asarray(self.value[np.minimum(place, len(self.value) - 1)])


def reward_law(value: npt.ArrayLike, prob: npt.ArrayLike) -> RewardLaw:
    """A law of rewards; equal values are one, values of chance 0 are none.

    ValueError for values that are not finite, and chances that do not sum to 1.

    >>> reward_law([1.0, 0.0, 1.0], [0.25, 0.5, 0.25]).prob.tolist()
    [0.5, 0.5]
    """
    level = np.atleast_1d(_check.within("value", value, -np.inf, np.inf, ends="none"))
    chance = np.atleast_1d(_check.distribution("prob", prob))
    if level.ndim != 1 or level.shape != chance.shape:
        raise ValueError(
            f"value and prob must have one shape [V], got {list(level.shape)} and"
            f" {list(chance.shape)}"
        )
    order = np.argsort(level, kind="stable")
    level, chance = level[order][chance[order] > 0], chance[order][chance[order] > 0]
    # what differs by rounding alone is equal, as a trainer sees it
    new = np.diff(level, prepend=-np.inf) > EQUAL * max(float(np.abs(level).max()), 1e-300)
    place = np.cumsum(new) - 1
    return RewardLaw(level[new], np.bincount(place, weights=chance).astype(np.float64))


def _require_law(law: object) -> None:
    if not isinstance(law, RewardLaw):
        raise ValueError(f"law must be a RewardLaw, as reward_law makes it, got {law!r}")


def sum_of_components(*laws: RewardLaw) -> RewardLaw:
    """The law of a sum of independent components of one rollout.

    >>> right = reward_law([0.0, 1.0], [0.5, 0.5])
    >>> tidy = reward_law([0.0, 0.5], [0.75, 0.25])
    >>> sum_of_components(right, tidy).value.tolist()
    [0.0, 0.5, 1.0, 1.5]
    """
    if not laws:
        raise ValueError("laws must hold at least one component")
    for law in laws:
        _require_law(law)
    total = laws[0]
    for law in laws[1:]:
        value = total.value[:, None] + law.value
        total = reward_law(value.ravel(), (total.prob[:, None] * law.prob).ravel())
    return total


def graded_zero_std(law: RewardLaw, group_size: int) -> float:
    """``sum_v P(R = v)^g``: all rewards of the group are equal; 1 at g = 1. Derived here.

    An independent component that is constant leaves it, any other lowers it, beyond g = 1, even
    where its values coincide with those of another (Young's inequality for convolutions).

    >>> graded_zero_std(reward_law([0.0, 0.5, 1.0], [0.5, 0.25, 0.25]), 2)
    0.375
    """
    _require_law(law)
    g = _check.one_whole("group_size", group_size)
    return float(np.minimum(np.sum(law.prob**g), 1.0))


def graded_variance(law: RewardLaw, group_size: int) -> float:
    """``E[sigma^2] = Var(R) (g-1)/g``, ddof 0. Variances of independent components add up.

    >>> graded_variance(reward_law([0.0, 1.0], [0.5, 0.5]), 8)
    0.21875
    """
    _require_law(law)
    g = _check.one_whole("group_size", group_size)
    mean = law.prob @ law.value
    return float(law.prob @ (law.value - mean) ** 2 * (g - 1) / g)


def graded_std(law: RewardLaw, group_size: int) -> float:
    """``E[sigma]``, ddof 0: the sum over all compositions of a group, exact. Derived here.

    ValueError where there are more than a million of them.

    >>> round(graded_std(reward_law([0.0, 1.0], [0.5, 0.5]), 3), 6)
    0.353553
    """
    _require_law(law)
    g = _check.one_whole("group_size", group_size)
    values = len(law.value)
    if comb(g + values - 1, values - 1) > _MOST:
        raise ValueError(
            f"group_size must leave at most {_MOST} groups of {values} values, got {g}"
        )
    counts = np.array(
        [
            np.diff([-1, *bars, g + values - 1]) - 1
            for bars in _bars(g, values)
        ],
        dtype=np.float64,
    )  # fmt: skip
    log = gammaln(g + 1.0) + np.sum(xlogy(counts, law.prob) - gammaln(counts + 1.0), axis=1)
    mean = counts @ law.value / g
    centred = counts @ ((law.value - law.value.mean()) ** 2) / g - (mean - law.value.mean()) ** 2
    spread = np.where(counts.max(axis=1) == g, 0.0, np.maximum(centred, 0.0))
    return float(np.exp(log) @ np.sqrt(spread))


def _bars(size: int, values: int) -> list[tuple[int, ...]]:
    """Places of the bars between ``values`` heaps of ``size`` in all."""
    return [
        tuple(place + i for i, place in enumerate(heap))
        for heap in combinations_with_replacement(range(size + 1), values - 1)
    ]

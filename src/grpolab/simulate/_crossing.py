"""Where a simulated statistic that falls as p rises passes a wanted value, with an interval.

All p are played with the same random numbers, so the statistic falls almost as smoothly as its
expectation; the interval holds every p at which an exact test does not reject the wanted value
(derived here).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy import stats
from scipy.special import expit, logit

Statistic = Callable[[float, int], float]
_GRID = np.concatenate([np.geomspace(1e-6, 0.4, 40), np.linspace(0.42, 0.98, 15)])
_SCAN = 1 << 13  # groups per point of the grid
_SURE = 6.0  # standard errors by which the grid must miss the wanted value to bracket p*
_HALVINGS = 12  # of a bracket of about one grid step: 1e-4 of p*, below the noise


class CriticalPEstimate(NamedTuple):
    """p* and its confidence interval; nan where the share never falls to the wanted one."""

    estimate: float
    low: float
    high: float
    level: float
    num_groups: int


class Target(NamedTuple):
    """Value wanted per group, and what the exact test at p* accepts for the sum over N groups."""

    centre: float
    least: float
    most: float
    num_groups: int
    spread: float  # standard deviation of one group's value at p*


def share_target(frac: float, *, number: int, level: float) -> Target:
    """Target of a count of events among ``number``: the exact binomial test at share ``frac``."""
    tail = (1 - level) / 2
    least, most = stats.binom.ppf([tail, 1 - tail], number, frac)
    return Target(frac, float(least), float(most), number, float(np.sqrt(frac * (1 - frac))))


def invert_crossing(statistic: Statistic, target: Target, level: float) -> CriticalPEstimate:
    """Where a sum over groups that falls with m passes the wanted value and the accepted ones."""
    total = cache(lambda m: statistic(m, target.num_groups))
    floor, best, low, high = _bracket(statistic, target)
    wanted = target.centre * target.num_groups
    count = target.num_groups
    if total(best) > target.most:  # even the best mean has too many
        return CriticalPEstimate(np.nan, np.nan, np.nan, level, count)
    if total(floor) <= target.most:
        raise ValueError(f"p* lies below {floor}, the smallest mean that is tried")
    left = _last(lambda m: total(m) > target.most, low if total(low) > target.most else floor, best)
    if total(best) >= target.least:  # it touches the wanted value and does not cross it
        right = _last(lambda m: total(m) <= target.most, best, float(_GRID[-1]))
        return CriticalPEstimate(best, left, right, level, count)
    high = high if total(high) < target.least else best
    middle = _last(lambda m: total(m) > wanted, left, high)
    right = _last(lambda m: total(m) >= target.least, left, high)
    return CriticalPEstimate(middle, left, right, level, count)


def _bracket(statistic: Statistic, target: Target) -> tuple[float, float, float, float]:
    """(smallest mean, mean with the least sum, a mean surely below p*, one surely above it)."""
    groups = min(_SCAN, target.num_groups)
    value = np.array([statistic(float(m), groups) for m in _GRID]) / groups
    best = int(np.argmin(value))
    margin = _SURE * target.spread / np.sqrt(groups)
    if value[best] > target.centre - margin:  # hardly below: let all groups choose the best mean
        close = np.flatnonzero(value < value[best] + margin)
        best = int(close[np.argmin([statistic(float(_GRID[i]), target.num_groups) for i in close])])
    over = np.flatnonzero(value[: best + 1] > target.centre + margin)
    low = int(over[-1]) if over.size else 0
    under = low + np.flatnonzero(value[low : best + 1] < target.centre - margin)
    high = int(under[0]) if under.size else best
    return float(_GRID[0]), float(_GRID[best]), float(_GRID[low]), float(_GRID[high])


def _last(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Where a property that holds at low and not at high ends, halving on the logit scale."""
    a, b = float(logit(low)), float(logit(high))
    for _ in range(_HALVINGS):
        middle = 0.5 * (a + b)
        if holds(float(expit(middle))):
            a = middle
        else:
            b = middle
    return float(expit(0.5 * (a + b)))


def check_numbers(number: int, level: float) -> None:
    """Raise ValueError for too few groups or an impossible level."""
    if number < 100:
        raise ValueError(f"num_groups and num_chains must be >= 100, got {number}")
    if not 0 < level < 1:
        raise ValueError(f"level must lie in (0, 1), got {level}")

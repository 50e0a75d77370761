"""p* from simulated groups: an estimate and an interval that use no formula for the share.

The share of groups without a signal falls as the mean m rises from 0, and p* is where it crosses
the wanted share. It is the place where a training run waits two steps, on average, for its first
update, and nothing else happens there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
from scipy import stats
from scipy.special import expit, logit

from grpolab.simulate.bernoulli import simulate_bernoulli
from grpolab.simulate.draw import tally_groups
from grpolab.streams import stream_seed
from grpolab.theory.advantage import GRPO
from grpolab.theory.dependence import MODELS
from grpolab.theory.objective import TwoValued

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


Event = Literal["identical", "all-wrong"]
_LONGEST_WAIT = 64  # steps; at p* a chain waits longer once in 2**64


def derive_critical_p(
    group_size: int,
    *,
    rho: float = 0.0,
    model: str = "beta-binomial",
    event: Event = "identical",
    frac: float = 0.5,
    num_groups: int = 1 << 17,
    seed: int,
    level: float = 0.95,
) -> CriticalPEstimate:
    """The smallest mean at which at most ``frac`` of simulated groups show the event.

    Plays ``num_groups`` groups of the dependence model at each mean it tries. Where the share
    only touches ``frac`` (g = 2, rho = 0) the estimate is where it is least. Raises ValueError
    for bad input.

    >>> found = derive_critical_p(8, num_groups=20_000, seed=1)
    >>> found.low < 0.083 < found.high, round(found.estimate, 3)
    (True, 0.084)
    """
    check_numbers(num_groups, level)
    if model not in MODELS:
        raise ValueError(f"model must be one of {sorted(MODELS)}, got {model}")
    if event not in ("identical", "all-wrong"):
        raise ValueError(f"event must be identical or all-wrong, got {event}")
    if group_size < 2 and event == "identical":
        raise ValueError(f"group_size must be >= 2: rewards of one are alike, got {group_size}")
    if not 0 < frac < 1:
        raise ValueError(f"frac must lie in (0, 1), got {frac}")

    def silent_groups(mean: float, groups: int) -> float:
        law = MODELS[model](mean=mean, rho=rho)
        tally = tally_groups(law, group_size=group_size, num_groups=groups, seed=stream)
        return float(tally[0] + tally[-1] if event == "identical" else tally[0])

    stream = stream_seed(seed, "p* from groups")
    target = share_target(frac, number=num_groups, level=level)
    return invert_crossing(silent_groups, target, level)


def derive_critical_p_from_waiting(
    group_size: int,
    *,
    rule: TwoValued = GRPO,
    learning_rate: float = 0.1,
    num_chains: int = 1 << 15,
    seed: int,
    level: float = 0.95,
) -> CriticalPEstimate:
    """The smallest p from which a training run waits at most 2 steps, on average, to move.

    Plays the training dynamics and times the first change of each chain's policy; the interval
    inverts the negative binomial law of the summed waits. Raises ValueError for bad input.

    >>> found = derive_critical_p_from_waiting(8, num_chains=20_000, seed=1)
    >>> found.low < 0.083 < found.high, round(found.estimate, 3)
    (True, 0.083)
    """
    check_numbers(num_chains, level)
    stream = stream_seed(seed, "p* from waiting")

    def total_wait(p: float, chains: int) -> float:
        run = simulate_bernoulli(
            p, group_size=group_size, learning_rate=learning_rate, rule=rule,
            num_steps=_LONGEST_WAIT, num_chains=chains, seed=stream, escape_p=0.5,
        )  # fmt: skip
        return float(np.where(run.first_move < 0, _LONGEST_WAIT, run.first_move).sum())

    tail = (1 - level) / 2
    least, most = num_chains + stats.nbinom.ppf([tail, 1 - tail], num_chains, 0.5)
    target = Target(2.0, least, most, num_chains, np.sqrt(2.0))
    return invert_crossing(total_wait, target, level)

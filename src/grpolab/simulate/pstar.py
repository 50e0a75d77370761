"""p* from simulated groups: an estimate and an interval that use no formula for the share.

The share of groups without a signal falls as the mean m rises from 0, and p* is where it crosses
the wanted share. It is the place where a training run waits two steps, on average, for its first
update, and nothing else happens there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Literal, NamedTuple, get_args

import numpy as np
from scipy import stats
from scipy.special import expit, logit

from grpolab.simulate.bernoulli import simulate_bernoulli
from grpolab.simulate.draw import tally_groups
from grpolab.streams import stream_seed
from grpolab.theory import _check
from grpolab.theory.advantage import GRPO, Rule
from grpolab.theory.critical import BoolArray, last_law
from grpolab.theory.dependence import family
from grpolab.theory.groups import FloatArray
from grpolab.theory.model import Model

Statistic = Callable[[float, int], float]
_GRID = np.concatenate([np.geomspace(1e-6, 0.4, 40), np.linspace(0.42, 0.98, 15)])
_SCAN = 1 << 13  # groups per point of the grid
_SURE = 6.0  # standard errors by which the grid must miss the wanted value to bracket p*
_FINE = 1 / 256  # of the interval: how closely its ends and the estimate are located
_HALVINGS = 60  # at most; a double has no more digits


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


def invert_crossing(
    statistic: Statistic, target: Target, level: float, *, grid: FloatArray = _GRID
) -> CriticalPEstimate:
    """Where a sum over groups that falls with m passes the wanted value and the accepted ones.

    Ends are halved to 1/256 of the interval, however small the number of groups makes it, and are
    rounded outwards. ``grid`` holds the means that are scanned, rising.
    """
    total = cache(lambda m: statistic(m, target.num_groups))
    floor, best, low, high = _bracket(statistic, target, grid)
    wanted = target.centre * target.num_groups
    count = target.num_groups
    if total(best) > target.most:  # even the best mean has too many
        return CriticalPEstimate(np.nan, np.nan, np.nan, level, count)
    if total(floor) <= target.most and floor == _GRID[0]:
        raise ValueError(f"p* lies below {floor}, the smallest mean that is tried")
    if total(floor) <= target.most:  # the family has no law at smaller means
        left = _Crossing(lambda m: False, floor, floor)
    else:
        left = _Crossing(
            lambda m: total(m) > target.most, low if total(low) > target.most else floor, best
        )
    if total(best) >= target.least:  # it touches the wanted value and does not cross it
        right = _Crossing(lambda m: total(m) <= target.most, best, float(grid[-1]))
        _refine(left, right)
        return CriticalPEstimate(best, left.low, right.high, level, count)
    high = high if total(high) < target.least else best
    right = _Crossing(lambda m: total(m) >= target.least, left.low, high)
    _refine(left, right)
    middle = _Crossing(lambda m: total(m) > wanted, left.low, right.high)
    _refine(middle, width=_FINE * (right.b - left.a))
    return CriticalPEstimate(float(expit(middle.middle)), left.low, right.high, level, count)


def _bracket(
    statistic: Statistic, target: Target, grid: FloatArray
) -> tuple[float, float, float, float]:
    """(smallest mean, mean with the least sum, a mean surely below p*, one surely above it)."""
    groups = min(_SCAN, target.num_groups)
    value = np.array([statistic(float(m), groups) for m in grid]) / groups
    best = int(np.argmin(value))
    margin = _SURE * target.spread / np.sqrt(groups)
    if value[best] > target.centre - margin:  # hardly below: let all groups choose the best mean
        close = np.flatnonzero(value < value[best] + margin)
        best = int(close[np.argmin([statistic(float(grid[i]), target.num_groups) for i in close])])
    over = np.flatnonzero(value[: best + 1] > target.centre + margin)
    low = int(over[-1]) if over.size else 0
    under = low + np.flatnonzero(value[low : best + 1] < target.centre - margin)
    high = int(under[0]) if under.size else best
    return float(grid[0]), float(grid[best]), float(grid[low]), float(grid[high])


class _Crossing:
    """Where a property that holds at low and not at high ends: a bracket on the logit scale."""

    def __init__(self, holds: Callable[[float], bool], low: float, high: float) -> None:
        self._holds = holds
        self.a, self.b = float(logit(low)), float(logit(high))

    @property
    def middle(self) -> float:
        return 0.5 * (self.a + self.b)

    @property
    def low(self) -> float:
        """The last place known to have the property."""
        return float(expit(self.a))

    @property
    def high(self) -> float:
        """The first place known not to have it."""
        return float(expit(self.b))

    def halve(self) -> None:
        middle = self.middle
        if self._holds(float(expit(middle))):
            self.a = middle
        else:
            self.b = middle


def _refine(*crossings: _Crossing, width: float | None = None) -> None:
    """Halve brackets until they are narrow against the interval from the first to the last."""
    for _ in range(_HALVINGS):
        inner = crossings[-1].a - crossings[0].b  # the least that the interval can be
        wanted = _FINE * max(inner, 0.0) if width is None else width
        wide = [c for c in crossings if c.b - c.a > wanted]
        if not wide:
            return
        for crossing in wide:
            crossing.halve()


def check_numbers(number: int, level: float) -> None:
    """Raise ValueError for too few groups or an impossible level."""
    _check.one_whole("num_groups and num_chains", number, least=100)
    _check.single("level", _check.within("level", level, 0.0, 1.0, ends="none"))


Event = Literal["identical", "all-wrong"]
_LONGEST_WAIT = 64  # steps; at p* a chain waits longer once in 2**64


def derive_critical_p(
    group_size: int,
    *,
    rho: float = 0.0,
    model: str | type[Model] = "beta-binomial",
    event: Event = "identical",
    frac: float = 0.5,
    num_groups: int = 1 << 17,
    seed: int,
    level: float = 0.95,
) -> CriticalPEstimate:
    """The smallest mean at which at most ``frac`` of simulated groups show the event.

    Simulates ``num_groups`` groups of the dependence model, one of `MODELS` or a class, at
    each mean it tries. Where the share only touches ``frac`` (g = 2, rho = 0) the estimate is where
    it is least. Raises ValueError for bad input.

    >>> found = derive_critical_p(8, num_groups=20_000, seed=1)
    >>> found.low < 0.083 < found.high, round(found.estimate, 3)
    (True, 0.083)
    """
    check_numbers(num_groups, level)
    at = family(model)
    _check.choice("event", event, get_args(Event))
    _check.one_whole("group_size", group_size)
    if group_size < 2 and event == "identical":
        raise ValueError(f"group_size must be >= 2: rewards of one are alike, got {group_size}")
    _check.single("frac", _check.within("frac", frac, 0.0, 1.0, ends="none"))
    rho = _check.single("rho", _check.probability("rho", rho))
    grid = _means_with_a_law(at, rho)

    def silent_groups(mean: float, groups: int) -> float:
        law = at(mean=mean, rho=rho)
        tally = tally_groups(law, group_size=group_size, num_groups=groups, seed=stream)
        return float(tally[0] + tally[-1] if event == "identical" else tally[0])

    stream = stream_seed(seed, "p* from groups")
    target = share_target(frac, number=num_groups, level=level)
    return invert_crossing(silent_groups, target, level, grid=grid)


def _means_with_a_law(at: type[Model], rho: float) -> FloatArray:
    """The grid, cut to the means at which the family has a law, with the ends of these added."""

    def held(mean: FloatArray) -> BoolArray:
        return at(mean=mean, rho=np.full(np.shape(mean), float(rho))).has_law

    good = held(_GRID)
    if np.all(good):
        return _GRID
    if not np.any(good):
        raise ValueError(f"model must have laws with rho = {rho}, {at.__name__} has none")
    grid = _GRID[good]
    ends = [last_law(held, grid[[i]], np.array([end])) for i, end in ((0, 0.0), (-1, 1.0))]
    return np.unique(np.concatenate([ends[0], grid, ends[1]]).clip(_GRID[0], _GRID[-1]))


def derive_critical_p_from_waiting(
    group_size: int,
    *,
    rule: Rule = GRPO,
    learning_rate: float = 0.1,
    num_chains: int = 1 << 15,
    seed: int,
    level: float = 0.95,
) -> CriticalPEstimate:
    """The smallest p from which a training run waits at most 2 steps, on average, to move.

    Simulates the training dynamics and times the first change of each chain's policy; the interval
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

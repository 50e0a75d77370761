"""What mean and correlation alone say about zero-std groups: bounds without a model."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from grpolab.theory import _check
from grpolab.theory._numeric import binomial_pmf
from grpolab.theory.critical import critical_p
from grpolab.theory.groups import FloatArray
from grpolab.theory.signal import expected_variance
from grpolab.theory.zero_std import prob_zero_std

Side = Literal["low", "high"]
_SIDES: tuple[Side, Side] = ("low", "high")
_GRID = 161  # first grid of p; refined around the support of the optimum
_REFINED = 3  # solutions on ever finer grids
_LARGEST_GROUP = 10_000  # beyond, thresholds are as small as the solver is exact
_ROUNDS = 8  # grids tried in all
_MOMENT_ERROR = 1e-7  # a law whose moments are this close is taken to have them


class Band(NamedTuple):
    """The least and the largest possible value."""

    low: FloatArray | np.float64
    high: FloatArray | np.float64


class _Problem(NamedTuple):
    """Least mean of ``cost`` over mixtures on a grid with given means of ``features``."""

    features: Callable[[FloatArray], FloatArray]  # grid [N] -> [F, N]
    target: FloatArray  # [F]
    cost: Callable[[FloatArray], FloatArray]  # grid [N] -> [N]
    anchors: FloatArray  # points that every grid holds


def sandwich(mean: npt.ArrayLike, group_size: npt.ArrayLike, *, rho: npt.ArrayLike = 0.0) -> Band:
    """``4 E[sigma^2] <= P(mixed) <= g^2/(g-1) E[sigma^2]``: bounds of P(zero std) for any law.

    In a mixed group (g-1)/g^2 <= sigma^2 <= 1/4, and sigma^2 = 0 otherwise. With E[sigma^2] =
    m(1-m)(1-rho)(g-1)/g. Clipped to [0, 1]. Arguments broadcast; ValueError outside of their range.
    Derived here.

    >>> sandwich(0.5, 2).low.item(), sandwich(0.5, 2).high.item()
    (0.5, 0.5)
    """
    g = _check.whole("group_size", group_size)
    spread = expected_variance(_check.probability("mean", mean), g, rho=rho)
    free = np.maximum(g - 1.0, 1.0)
    return Band(
        _check.result(np.clip(1.0 - g * g / free * spread, 0.0, 1.0)),
        _check.result(np.clip(1.0 - 4.0 * spread, 0.0, 1.0)),
    )


def zero_std_band(
    group_size: int,
    *,
    mean: float,
    rho: float,
    moments: npt.ArrayLike = (),
    kind: Literal["mixture", "exchangeable"] = "mixture",
) -> Band:
    """Bounds of P(zero std), sharp to 1e-6, given E[p], Var p = rho m(1-m), and E[p^3], E[p^4], ...

    ``mixture``: over all laws of p (a linear programme, solved on a grid that is refined around its
    support). ``exchangeable``: over all exchangeable laws of the g rewards, which need not extend
    to larger groups and may have rho < 0; no moments then. With moments up to order g the band
    closes. Raises ValueError when no law has these moments. Derived here.

    >>> band = zero_std_band(8, mean=0.151, rho=0.2)
    >>> round(float(band.low), 3), round(float(band.high), 3)
    (0.373, 0.551)
    """
    g = _check.one_whole("group_size", group_size)
    m = _check.single("mean", _check.probability("mean", mean))
    _check.choice("kind", kind, ("mixture", "exchangeable"))
    extra = _check.probability("moments", moments if np.size(moments) else np.empty(0)).ravel()
    corr = _check.single("rho", _check.within("rho", rho, -1.0, 1.0))
    if kind == "exchangeable":
        if extra.size:
            raise ValueError("moments must be empty for kind 'exchangeable'")
        return _exchangeable_band(g, m, corr)
    _check.probability("rho", corr)
    if not extra.size:
        return Band(*sorted(zero_std_end(g, mean=m, rho=corr, side=side) for side in _SIDES))
    target = np.concatenate([_moments(m, corr), extra])
    return _band(g, _powers(len(target)), target, anchors=np.array([m]))


def zero_std_end(group_size: int, *, mean: float, rho: float, side: Side) -> np.float64:
    """One end of `zero_std_band` without further moments, at half of its cost.

    ValueError for arguments outside of their range.

    >>> float(zero_std_end(8, mean=0.151, rho=0.2, side="high").round(3))
    0.551
    """
    _check.choice("side", side, _SIDES)
    g = _check.one_whole("group_size", group_size)
    m = _check.single("mean", _check.probability("mean", mean))
    corr = _check.single("rho", _check.probability("rho", rho))
    if corr in (0.0, 1.0):  # one law each: one rate, or prompts of 0 and 1
        return np.float64(1.0 if corr else prob_zero_std(m, g))
    target = _moments(m, corr)
    return _end(g, _powers(len(target)), target, side, anchors=np.array([m]))


def _moments(mean: float, rho: float) -> FloatArray:
    """E[1], E[p] and E[p^2]."""
    return np.array([1.0, mean, mean * mean + rho * mean * (1.0 - mean)])


def _powers(count: int) -> Callable[[FloatArray], FloatArray]:
    return lambda p: p ** np.arange(count, dtype=np.float64)[:, None]


def zero_std_band_from_counts(
    group_size: int, *, count_pmf: npt.ArrayLike, tolerance: float = 1e-7
) -> Band:
    """Sharp bounds of P(zero std) at g from the law of the number correct among n samples, [n + 1].

    Knowing that law is knowing the first n moments of p over prompts: for g <= n the answer is a
    number (thin_zero_std), for g > n a band. ``tolerance`` lets every probability be off by that
    much, as estimated ones are. Raises ValueError when no law of p fits. Derived here.

    >>> band = zero_std_band_from_counts(2, count_pmf=[0.25, 0.5, 0.25])
    >>> round(float(band.low), 6), round(float(band.high), 6)
    (0.5, 0.5)
    """
    g = _check.one_whole("group_size", group_size)
    law = _check.probability("count_pmf", count_pmf)
    if law.ndim != 1 or len(law) < 2 or abs(law.sum() - 1.0) > 1e-6:
        raise ValueError(f"count_pmf must be n + 1 numbers that sum to 1, got sum {law.sum():g}")

    def features(p: FloatArray) -> FloatArray:
        return binomial_pmf(p, len(law) - 1).T

    centre = np.array([law @ np.arange(len(law)) / (len(law) - 1)]).clip(0.0, 1.0)
    width = _check.single("tolerance", _check.positive("tolerance", tolerance))
    return _band(g, features, law, anchors=centre, slack=width)


def critical_p_band(group_size: int, *, rho: float, frac: float = 0.5) -> Band:
    """Model-free band of p*: where the lower and the upper bound of P(zero std) cross ``frac``.

    Whatever the law of p, at a mean between ``high`` and its mirror image fewer than ``frac`` of
    the groups are without a signal, and below ``low`` more are. Derived here.

    Parameters
    ----------
    group_size : int
        Rollouts per group, in 1..10000.
    rho : float
        Correlation of two rewards of a group over prompts, in [0, 1].
    frac : float
        Share of groups without a signal at the threshold, in (0, 1).

    Returns
    -------
    Band
        ``low`` and ``high``; nan where the bound never crosses.

    Raises
    ------
    ValueError
        An argument outside of its range.

    Examples
    --------
    >>> band = critical_p_band(8, rho=0.1)
    >>> round(float(band.low), 3), round(float(band.high), 3)
    (0.093, 0.125)
    """
    share = _check.single("frac", _check.within("frac", frac, 0.0, 1.0, ends="none"))
    corr = _check.single("rho", _check.probability("rho", rho))
    _check.one_whole("group_size", group_size, most=_LARGEST_GROUP)
    if corr == 0:  # one law only
        only = critical_p(_check.one_whole("group_size", group_size), frac=share)
        return Band(only, only)
    from scipy.optimize import brentq

    def crossing(side: Side) -> float:
        def excess(mean: float) -> float:
            return float(zero_std_end(group_size, mean=mean, rho=corr, side=side)) - share

        if excess(0.5) > 0 or corr == 1:
            return float("nan")
        return float(brentq(excess, 1e-9, 0.5, xtol=1e-7))

    return Band(np.float64(crossing("low")), np.float64(crossing("high")))


def _band(
    group_size: int,
    features: Callable[[FloatArray], FloatArray],
    target: FloatArray,
    *,
    anchors: FloatArray,
    slack: float = 0.0,
) -> Band:
    # two programmes solved apart may cross by rounding where the band is a number
    ends = (
        _end(group_size, features, target, side, anchors=anchors, slack=slack) for side in _SIDES
    )
    return Band(*sorted(ends))


def _end(
    group_size: int,
    features: Callable[[FloatArray], FloatArray],
    target: FloatArray,
    side: Side,
    *,
    anchors: FloatArray,
    slack: float = 0.0,
) -> np.float64:
    sign = 1.0 if side == "low" else -1.0

    def cost(p: FloatArray) -> FloatArray:
        return np.asarray(sign * prob_zero_std(p, group_size))

    found = sign * _least_mean(_Problem(features, target, cost, anchors), slack)
    return np.float64(min(max(found, 0.0), 1.0))


@cache
def _first_grid() -> FloatArray:
    """Chebyshev points of [0, 1]: dense where p^g and q^g bend."""
    return (1.0 - np.cos(np.pi * np.arange(_GRID) / (_GRID - 1))) / 2.0


def _least_mean(problem: _Problem, slack: float) -> float:
    """Solve on the grid, put finer points around the support, and again.

    Where the grid holds no law with these means, the support of the nearest one is refined instead.
    """
    coarse = np.union1d(_first_grid(), problem.anchors)
    grid, value, nearest, solved = coarse, np.nan, np.nan, 0
    for _ in range(_ROUNDS):
        answer = _solve(problem, grid, slack)
        if answer is None:
            weight, miss = _nearest(problem, grid)
            if miss < _MOMENT_ERROR:
                nearest = float(problem.cost(grid) @ weight)
        else:
            value, weight = answer
            solved += 1
            if solved == _REFINED:
                break
        place = np.flatnonzero(weight > 1e-12)
        left, right = grid[np.maximum(place - 1, 0)], grid[np.minimum(place + 1, len(grid) - 1)]
        finer = np.linspace(left, right, 25).ravel()
        grid = np.union1d(np.union1d(coarse[::4], problem.anchors), finer)
    # a law that the moments pin down may never be on the grid to the solver's last digit
    value = nearest if np.isnan(value) else value
    if np.isnan(value):
        raise ValueError("moments must be those of a law on [0, 1]: none has them")
    return value


def _solve(problem: _Problem, grid: FloatArray, slack: float) -> tuple[float, FloatArray] | None:
    """Least mean of the cost and its weights [N]; None where the grid has no such law."""
    from scipy.optimize import linprog

    rows, cost = problem.features(grid), problem.cost(grid)
    if slack:
        near = np.concatenate([problem.target + slack, slack - problem.target])
        one = np.ones((1, len(grid)))
        answer = linprog(cost, np.concatenate([rows, -rows]), near, A_eq=one, b_eq=[1.0])
    else:
        answer = linprog(cost, A_eq=rows, b_eq=problem.target)
    return (float(answer.fun), answer.x) if answer.status == 0 else None


def _nearest(problem: _Problem, grid: FloatArray) -> tuple[FloatArray, float]:
    """Weights [N] of the law on the grid whose means miss the target by least, and by how much."""
    from scipy.optimize import linprog

    rows = problem.features(grid)
    size, count = rows.shape
    miss = np.hstack([np.eye(size), -np.eye(size)])
    cost = np.concatenate([np.zeros(count), np.ones(2 * size)])
    answer = linprog(cost, A_eq=np.hstack([rows, miss]), b_eq=problem.target)
    return answer.x[:count], float(answer.fun)


def _exchangeable_band(group_size: int, mean: float, rho: float) -> Band:
    """The linear programme over P(K = k), k = 0..g."""
    from scipy.optimize import linprog

    g = group_size
    k = np.arange(g + 1, dtype=np.float64)
    second = mean * mean + rho * mean * (1.0 - mean)
    rows = np.stack([np.ones(g + 1), k / g, k * (k - 1) / max(g * (g - 1), 1)])
    target = np.array([1.0, mean, second if g > 1 else 0.0])
    cost = ((k == 0) | (k == g)).astype(np.float64)
    ends = []
    for sign in (1.0, -1.0):
        answer = linprog(sign * cost, A_eq=rows, b_eq=target, method="highs")
        if answer.status != 0:
            raise ValueError(
                f"rho must be a correlation that {g} rewards of mean {mean:g} can have, got {rho:g}"
            )
        ends.append(np.float64(np.clip(sign * answer.fun, 0.0, 1.0)))
    return Band(ends[0], ends[1])

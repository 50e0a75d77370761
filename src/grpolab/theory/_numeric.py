"""Gauss-Legendre rules on the unit interval, made once."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from scipy.special import expit

from grpolab.theory import _check
from grpolab.theory.groups import FloatArray


@cache
def unit_rule(order: int) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights on (0, 1)."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    return (nodes + 1) / 2, weights / 2


_CHUNK = 1 << 20  # cells of a pmf table held at once


def complement_log(p: FloatArray) -> FloatArray:
    """log(1 - p) without loss at small p; -inf at p = 1."""
    with np.errstate(divide="ignore"):
        return np.log1p(-p)


def logit_of(p: float) -> float:
    """log(p / (1 - p)) of one number inside (0, 1)."""
    return math.log(p) - math.log1p(-p)


def log_odds(p: FloatArray) -> FloatArray:
    """log(p / (1 - p)); -inf and inf at the ends."""
    with np.errstate(divide="ignore"):
        odds: FloatArray = np.log(p) - np.log1p(-p)
    return odds


def binomial_pmf(p: FloatArray, size: int) -> FloatArray:
    """P(K = k) for K ~ Bin(size, p); p of shape [M] gives [M, size + 1].

    ValueError for a size that memory does not hold.
    """
    return _binomial(log_odds(p), p, size)


def binomial_pmf_at(logit: FloatArray, size: int) -> FloatArray:
    """The same from logit p, [M]: with full relative accuracy where p rounds to 1, too."""
    return _binomial(logit, expit(logit), size)


def _binomial(logit: FloatArray, p: FloatArray, size: int) -> FloatArray:
    k = np.arange(_check.summed("group_size", size), dtype=np.float64)
    log_ratio = np.log((size - k) / (k + 1)) + logit[:, None]
    return _from_ratios(log_ratio, np.minimum(np.floor((size + 1) * p), size))


def hypergeometric_pmf(total: FloatArray, correct: FloatArray, size: int) -> FloatArray:
    """P(J = j) correct among ``size`` drawn without replacement, [M, size + 1]."""
    j = np.arange(_check.summed("group_size", size), dtype=np.float64)
    rest = (total - correct)[:, None] - size + j + 1
    with np.errstate(divide="ignore"):
        more = np.log(np.maximum(correct[:, None] - j, 0.0) * (size - j))
        fewer = np.log((j + 1) * np.maximum(rest, 0.0))
    with np.errstate(invalid="ignore"):
        log_ratio = more - fewer
    return _from_ratios(log_ratio, np.floor((size + 1) * (correct + 1) / (total + 2)))


def _from_ratios(log_ratio: FloatArray, mode: FloatArray) -> FloatArray:
    """Probabilities [M, n + 1] from log P(k+1)/P(k) of shape [M, n], anchored at the mode [M]."""
    rows, size = log_ratio.shape
    up = np.arange(size) >= mode[:, None]
    weight = np.zeros((rows, size + 1))
    weight[:, 1:] = np.cumsum(np.where(up, log_ratio, 0.0), axis=1)
    weight[:, :-1] += np.cumsum(np.where(up, 0.0, -log_ratio)[:, ::-1], axis=1)[:, ::-1]
    np.exp(weight, out=weight)
    weight /= weight.sum(axis=1, keepdims=True)
    return weight


def binomial_mean(
    value: Callable[[FloatArray, int], FloatArray], p: FloatArray, size: FloatArray
) -> FloatArray:
    """E[value(K, n)] for K ~ Bin(n, p), broadcast over p and n; value(k, n) has shape [n + 1].

    Sizes below zero give nan: they ask for a group that does not exist.
    """
    p, size = np.broadcast_arrays(p, size)
    flat_p, flat_size = p.ravel(), size.ravel()
    out = np.full(flat_p.shape, np.nan)
    for n in np.unique(flat_size[flat_size >= 0]):
        number = _check.summed("group_size", n)
        table = value(np.arange(number + 1, dtype=np.float64), number)
        rows = np.flatnonzero(flat_size == n)
        step = max(1, _CHUNK // (number + 1))
        for part in (rows[i : i + step] for i in range(0, len(rows), step)):
            out[part] = binomial_pmf(flat_p[part], number) @ table
    return out.reshape(p.shape)


_DIRECT = 16  # factors taken one by one; from there on Euler-Maclaurin is exact to rounding
_ORDER = 32
_FACTORS = 1 << 14  # computed at once: more would leave the processor's cache
# B_{2k}/(2k)! (2k-2)! for k = 1..6
BERNOULLI = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360)


def log_all_miss(
    share: FloatArray, rest: FloatArray, rho: FloatArray, size: FloatArray
) -> FloatArray:
    """Log of that product; share + rest = 1 are given apart so that either may be tiny."""
    share, rest, rho, size = np.broadcast_arrays(share, rest, rho, size)
    most = float(size.max(initial=0.0))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        total = np.where(share < 0.5, np.log1p(-np.minimum(share, 0.5)), np.log(rest))
        for j in _pieces(np.arange(1.0, min(_DIRECT, most), dtype=np.float64), size):
            for term in np.where(j < size, _term(share, rest, rho, j), 0.0):
                total = total + term
        if most > _DIRECT:
            tail = _tail(share, rest, rho, np.maximum(size, _DIRECT))
            # rest = 0 at rho = 0 makes every factor zero
            total = total + np.where((size > _DIRECT) & np.isfinite(total), tail, 0.0)
    return total


def _pieces(values: FloatArray, like: FloatArray) -> list[FloatArray]:
    """Numbers [J] for a new first axis before those of ``like``, some at a time."""
    step = max(1, _FACTORS // max(1, like.size))
    columns = values.reshape(-1, *(1 for _ in like.shape))
    return [columns[i : i + step] for i in range(0, len(values), step)]


def _term(
    share: FloatArray, rest: FloatArray, rho: FloatArray, j: FloatArray | float
) -> FloatArray:
    """Log of factor j."""
    below = (1 - rho) + j * rho
    fall = share * (1 - rho) / below
    return np.where(fall < 0.5, np.log1p(-fall), np.log((rest * (1 - rho) + j * rho) / below))


def _tail(share: FloatArray, rest: FloatArray, rho: FloatArray, size: FloatArray) -> FloatArray:
    """Sum of the factors' logs over j = 16..g-1 by Euler-Maclaurin."""
    start = float(_DIRECT)
    top = rest * (1 - rho) + start * rho
    # substitution that makes the integrand analytic on the scale of the rule, and linear as rho->0
    span = np.where(top > 0, np.log1p(rho * (size - start) / np.where(top > 0, top, 1.0)), 0.0)
    total = (_term(share, rest, rho, start) - _term(share, rest, rho, size)) / 2
    nodes, weights = (_pieces(part, size) for part in unit_rule(_ORDER))
    whole = _exprel(span)
    for node, weight in zip(nodes, weights, strict=True):
        at = start + (size - start) * node * _exprel(span * node) / whole
        pace = (size - start) * np.exp(span * node) / whole
        for term in weight * pace * _term(share, rest, rho, at):
            total = total + term
    return total + _ends(rest, rho, size) - _ends(rest, rho, np.full_like(size, start))


def _ends(rest: FloatArray, rho: FloatArray, at: FloatArray) -> FloatArray:
    """Euler-Maclaurin's derivative terms at one end."""
    upper = rho / (rest * (1 - rho) + at * rho)
    lower = rho / ((1 - rho) + at * rho)
    upper = np.where(np.isfinite(upper), upper, 0.0)
    total = np.zeros_like(upper)
    for k, factor in enumerate(BERNOULLI, start=1):
        total = total + factor * (upper ** (2 * k - 1) - lower ** (2 * k - 1))
    return total


def _exprel(x: FloatArray) -> FloatArray:
    """(e^x - 1)/x, 1 at 0."""
    return np.where(x == 0, 1.0, np.expm1(x) / np.where(x == 0, 1.0, x))


Function = Callable[[FloatArray], FloatArray]


def find_root(function: Function, low: FloatArray, high: FloatArray) -> FloatArray:
    """Roots to full precision, elementwise; nan where the ends have one sign.

    ``function`` maps an array of the broadcast shape of low and high to one of the same shape. An
    end at which it is exactly zero is a root.
    """
    a, b = (np.array(x) for x in np.broadcast_arrays(high, low))
    a, b = a.astype(np.float64), b.astype(np.float64)
    fa, fb = function(a), function(b)
    lost = ~(np.sign(fa) * np.sign(fb) <= 0)
    c, fc = a.copy(), fa.copy()
    t = np.full(a.shape, 0.5)
    for _ in range(200):
        x = a + t * (b - a)
        fx = function(x)
        same = np.sign(fx) == np.sign(fa)
        c, fc = np.where(same, a, b), np.where(same, fa, fb)
        b, fb = np.where(same, b, a), np.where(same, fb, fa)
        a, fa = x, fx
        best = np.where(np.abs(fa) < np.abs(fb), a, b)
        width = np.abs(b - a)
        tolerance = 2e-16 * np.abs(best) + 1e-320
        if np.all(lost | (fa == 0) | (fb == 0) | (width <= 2 * tolerance)):
            break
        t = _step(a, b, c, fa, fb, fc, np.clip(tolerance / np.maximum(width, 1e-320), 0, 0.5))
    root = np.where(np.abs(fa) <= np.abs(fb), a, b)
    return np.where(lost, np.nan, root)


def _step(
    a: FloatArray,
    b: FloatArray,
    c: FloatArray,
    fa: FloatArray,
    fb: FloatArray,
    fc: FloatArray,
    least: FloatArray,
) -> FloatArray:
    """Inverse quadratic interpolation where it is safe, else bisection."""
    with np.errstate(all="ignore"):
        xi, phi = (a - b) / (c - b), (fa - fb) / (fc - fb)
        safe = (phi * phi < xi) & ((1 - phi) ** 2 < 1 - xi)
        t = fa / (fb - fa) * fc / (fb - fc) + (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb)
    t = np.where(safe & np.isfinite(t), t, 0.5)
    return np.clip(t, least, 1 - least)


def find_minimum(function: Function, low: FloatArray, high: FloatArray) -> FloatArray:
    """Place of the least value of a function that falls and then rises (golden section)."""
    ratio = (np.sqrt(5.0) - 1) / 2
    a, b = np.array(low, dtype=np.float64), np.array(high, dtype=np.float64)
    x, y = b - ratio * (b - a), a + ratio * (b - a)
    fx, fy = function(x), function(y)
    for _ in range(80):
        left = fx < fy
        a, b = np.where(left, a, x), np.where(left, y, b)
        x, y = b - ratio * (b - a), a + ratio * (b - a)
        fx, fy = function(x), function(y)
    return (a + b) / 2


def all_roots(
    function: Function,
    low: float,
    high: float,
    *,
    points: int = 4001,
    slope: Function | None = None,
) -> FloatArray:
    """Rising roots found from sign changes on ``points`` evenly spaced points.

    Two roots closer than the spacing are missed, as is a root where the function only touches zero.
    With ``slope``, the derivative, its roots join the grid: then a pair of close roots is missed
    only where the slope turns twice within the spacing, too.
    """
    grid = np.linspace(low, high, points)
    if slope is not None:
        grid = np.union1d(grid, all_roots(slope, low, high, points=points))
    sign = np.sign(function(grid))
    exact = grid[sign == 0]
    change = np.flatnonzero(sign[:-1] * sign[1:] < 0)
    between = find_root(function, grid[change], grid[change + 1])
    return np.sort(np.concatenate([exact, between]))

"""Products of a beta-binomial law: accurate for rho from 0 to 1, any group size, tiny means.

With a share s and its complement c = 1 - s, and rho = 1/(1 + a + b), the chance that g draws all
miss is prod_{j<g} (c(1-rho) + j rho)/((1-rho) + j rho): no gamma function, no division by rho.
"""

from __future__ import annotations

import numpy as np

from grpolab.theory._quadrature import unit_rule
from grpolab.theory.groups import FloatArray

_DIRECT = 16  # factors taken one by one; from there on Euler-Maclaurin is exact to rounding
_ORDER = 32
# B_{2k}/(2k)! (2k-2)! for k = 1..6
_BERNOULLI = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360)


def log_all_miss(
    share: FloatArray, rest: FloatArray, rho: FloatArray, size: FloatArray
) -> FloatArray:
    """Log of that product; share + rest = 1 are given apart so that either may be tiny."""
    share, rest, rho, size = np.broadcast_arrays(share, rest, rho, size)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        total = np.where(share < 0.5, np.log1p(-np.minimum(share, 0.5)), np.log(rest))
        for j in range(1, min(_DIRECT, int(size.max(initial=0.0)))):
            total = total + np.where(j < size, _term(share, rest, rho, float(j)), 0.0)
        if size.max(initial=0.0) > _DIRECT:
            tail = _tail(share, rest, rho, np.maximum(size, _DIRECT))
            # rest = 0 at rho = 0 makes every factor zero
            total = total + np.where((size > _DIRECT) & np.isfinite(total), tail, 0.0)
    return total


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
    for node, weight in zip(*unit_rule(_ORDER), strict=True):
        at = start + (size - start) * node * _exprel(span * node) / _exprel(span)
        pace = (size - start) * np.exp(span * node) / _exprel(span)
        total = total + weight * pace * _term(share, rest, rho, at)
    return total + _ends(rest, rho, size) - _ends(rest, rho, np.full_like(size, start))


def _ends(rest: FloatArray, rho: FloatArray, at: FloatArray) -> FloatArray:
    """Euler-Maclaurin's derivative terms at one end."""
    upper = rho / (rest * (1 - rho) + at * rho)
    lower = rho / ((1 - rho) + at * rho)
    upper = np.where(np.isfinite(upper), upper, 0.0)
    total = np.zeros_like(upper)
    for k, factor in enumerate(_BERNOULLI, start=1):
        total = total + factor * (upper ** (2 * k - 1) - lower ** (2 * k - 1))
    return total


def _exprel(x: FloatArray) -> FloatArray:
    """(e^x - 1)/x, 1 at 0."""
    return np.where(x == 0, 1.0, np.expm1(x) / np.where(x == 0, 1.0, x))

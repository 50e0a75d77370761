"""Cover@tau: the share of prompts with p >= tau, of which every law of a group is a projection.

C(tau) = P(p >= tau) falls from 1 to 0 (Cover@tau, arXiv 2510.08325). For any f with f(0) known,
E[f(p)] = f(0) + int f'(tau) C(tau) dtau. So the chance that more than j of g rollouts are right is
the mean of C under the law Beta(j+1, g-j), and with it every statistic of groups of g:

    P(K > j) = int C dBeta(j+1, g-j),    E[v(K)] = v_0 + sum_j (v_{j+1} - v_j) P(K > j).

pass@k is its mean under Beta(1, k) (arXiv 2510.08325), the all-right share under Beta(g, 1), the
mean reward its area. What lies between two curves with the same projections, groups of g cannot
tell.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, xlog1py, xlogy

from grpolab.theory import _check
from grpolab.theory.groups import FloatArray


def _curve(tau: npt.ArrayLike, cover: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    level, share = _check.probability("tau", tau), _check.probability("cover", cover)
    if level.ndim != 1 or not level.size or np.any(np.diff(level) <= 0) or level[-1] != 1.0:
        raise ValueError("tau must be rising numbers [N] that end at 1")
    if share.shape[-1:] != level.shape or np.any(np.diff(share, axis=-1) > 1e-12):
        raise ValueError(f"cover must fall along {level.size} numbers, one per tau")
    return level, share


def count_survival(tau: npt.ArrayLike, cover: npt.ArrayLike, *, group_size: int) -> FloatArray:
    """``P(K > j) = int C dBeta(j+1, g-j)`` for j = 0..g-1, [..., g]: a group, seen from the curve.

    The curve is a step: C(t) = cover[i] for tau[i-1] < t <= tau[i] (from 0 for i = 0), as the
    share of prompts with p >= t is where all p are among the tau; then the answer is exact. tau [N]
    rises to 1, cover [..., N] falls; ValueError otherwise. Derived here; j = 0 is arXiv 2510.08325.

    >>> count_survival([0.5, 1.0], [1.0, 0.0], group_size=2).tolist()  # all prompts have p = 1/2
    [0.75, 0.25]
    """
    level, share = _curve(tau, cover)
    g = _check.summed("group_size", _check.one_whole("group_size", group_size))
    j = np.arange(g)[:, None]
    below = betainc(j + 1.0, g - j.astype(np.float64), np.concatenate([[0.0], level]))
    total: FloatArray = share @ np.diff(below, axis=-1).T
    return total


def expected_from_cover(
    tau: npt.ArrayLike, cover: npt.ArrayLike, *, values: npt.ArrayLike
) -> FloatArray:
    """``E[v(K)] = v_0 + sum_j (v_{j+1} - v_j) P(K > j)`` for any statistic v of a group's K.

    values [g + 1] at K = 0..g: (1, 0, ..., 0, 1) is the zero-std share, sqrt(K(g-K))/g the mean
    std, 1{K > 0} pass@g. The curve as in `count_survival`. Derived here.

    >>> expected_from_cover([0.5, 1.0], [1.0, 0.0], values=[1.0, 0.0, 1.0]).item()
    0.5
    """
    value = _check.within("values", values, -np.inf, np.inf, ends="none")
    if value.ndim != 1 or value.size < 2:
        raise ValueError(f"values must have shape [g + 1], got {list(value.shape)}")
    above = count_survival(tau, cover, group_size=value.size - 1)
    return _check.result(value[0] + above @ np.diff(value))


def cover_kernel(tau: npt.ArrayLike, *, values: npt.ArrayLike) -> FloatArray:
    """``f'(tau) = sum_j (v_{j+1} - v_j) beta(tau; j+1, g-j)``: what E[v(K)] weighs the curve with.

    Positive where prompts that become easier raise the statistic: k (1-tau)^(k-1) for pass@k,
    negative up to 1/2 for the zero-std share. values [g + 1]; shape of tau. Derived here.

    >>> cover_kernel([0.0, 0.5], values=[0.0, 1.0, 1.0]).tolist()  # pass@2: 2 (1 - tau)
    [2.0, 1.0]
    """
    level = _check.probability("tau", tau)
    value = _check.within("values", values, -np.inf, np.inf, ends="none")
    if value.ndim != 1 or value.size < 2:
        raise ValueError(f"values must have shape [g + 1], got {list(value.shape)}")
    size = value.size - 1
    ways = np.ones(size)
    for i in range(1, size):
        ways[i] = ways[i - 1] * (size - i) / i
    j = np.arange(size)
    at = level[..., None]
    chance = ways * np.exp(xlogy(j, at) + xlog1py(size - 1.0 - j, -at))
    return _check.result(size * (chance @ np.diff(value)))

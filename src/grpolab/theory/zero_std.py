"""Groups without a signal when rewards are independent given the prompt.

A group whose rewards are all equal has zero standard deviation, hence zero advantage. Rewards of
one prompt under a fixed policy are independent Bernoulli(p); for means over prompts, where that
fails, see dependence.py, and for the thresholds critical.py.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from grpolab.theory import _check
from grpolab.theory._numeric import complement_log
from grpolab.theory.groups import FloatArray


def prob_all_wrong(p: npt.ArrayLike, group_size: npt.ArrayLike) -> FloatArray:
    """``(1 - p)^g``: no rollout of the group is correct.

    p in [0, 1] and group_size >= 1 broadcast. Raises ValueError outside. Derived here.

    >>> prob_all_wrong(0.5, 8).item()
    0.00390625
    """
    return _power_of_complement(_check.probability("p", p), _check.whole("group_size", group_size))


def prob_all_right(p: npt.ArrayLike, group_size: npt.ArrayLike) -> FloatArray:
    """``p^g``: every rollout of the group is correct.

    p in [0, 1] and group_size >= 1 broadcast. Raises ValueError outside. Derived here.

    >>> prob_all_right(0.5, 4).item()
    0.0625
    """
    return np.power(_check.probability("p", p), _check.whole("group_size", group_size))


def prob_zero_std(p: npt.ArrayLike, group_size: npt.ArrayLike) -> FloatArray:
    """``d_g(p) = p^g + (1 - p)^g``: all rewards of the group are equal.

    Convex in p for g >= 2, so its mean over prompts is at least its value at the mean of p (Jensen;
    arXiv 2605.07689).

    Parameters
    ----------
    p : array_like
        Success rate of a prompt, in [0, 1].
    group_size : array_like of int
        Rollouts per group, >= 1; broadcasts against p.

    Returns
    -------
    ndarray
        Probability in [0, 1], of the broadcast shape; 1 at g = 1.

    Raises
    ------
    ValueError
        p outside [0, 1], or group_size not a whole number >= 1.

    Examples
    --------
    >>> prob_zero_std(0.5, 2).item()
    0.5
    """
    g = _check.whole("group_size", group_size)
    chance = _check.probability("p", p)
    total = np.power(chance, g) + _power_of_complement(chance, g)
    return _check.result(np.where(g == 1, 1.0, np.minimum(total, 1.0)))


def prob_mixed(p: npt.ArrayLike, group_size: npt.ArrayLike) -> FloatArray:
    """``1 - p^g - (1 - p)^g``: the group holds both rewards, with full relative accuracy.

    p in [0, 1] and group_size >= 1 broadcast; ValueError outside. Derived here.

    >>> prob_mixed(1e-300, 8).item()
    8e-300
    """
    chance = _check.probability("p", p)
    g = _check.whole("group_size", group_size)
    small = np.where(chance > 0.5, 1.0 - chance, chance)  # 1 - p is exact for p >= 1/2
    mixed = -np.expm1(g * complement_log(small)) - np.power(small, g)
    return _check.result(np.where(g == 1, 0.0, mixed))


def _power_of_complement(p: FloatArray, g: FloatArray) -> FloatArray:
    """(1 - p)^g: a plain power where 1 - p is exact, through log1p elsewhere."""
    rest = 1.0 - p
    return _check.result(
        np.where(1.0 - rest == p, np.power(rest, g), np.exp(g * complement_log(p)))
    )

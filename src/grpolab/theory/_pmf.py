"""Binomial and hypergeometric probabilities, accurate from p = 0 to p = 1 and up to g = 1e6.

Both are built from the ratios of neighbouring probabilities, summed outwards from the mode, so that
nothing large is ever subtracted; the scale then follows from the sum being one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from grpolab.theory.groups import FloatArray

_CHUNK = 1 << 20  # cells of a pmf table held at once


def complement_log(p: FloatArray) -> FloatArray:
    """log(1 - p) without loss at small p; -inf at p = 1."""
    with np.errstate(divide="ignore"):
        return np.log1p(-p)


def log_odds(p: FloatArray) -> FloatArray:
    """log(p / (1 - p)); -inf and inf at the ends."""
    with np.errstate(divide="ignore"):
        odds: FloatArray = np.log(p) - np.log1p(-p)
    return odds


def binomial_pmf(p: FloatArray, size: int) -> FloatArray:
    """P(K = k) for K ~ Bin(size, p); p of shape [M] gives [M, size + 1]."""
    k = np.arange(size, dtype=np.float64)
    log_ratio = np.log((size - k) / (k + 1)) + log_odds(p)[:, None]
    return _from_ratios(log_ratio, np.minimum(np.floor((size + 1) * p), size))


def hypergeometric_pmf(total: FloatArray, correct: FloatArray, size: int) -> FloatArray:
    """P(J = j) correct among ``size`` drawn without replacement, [M, size + 1]."""
    j = np.arange(size, dtype=np.float64)
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
        number = int(n)
        table = value(np.arange(number + 1, dtype=np.float64), number)
        rows = np.flatnonzero(flat_size == n)
        step = max(1, _CHUNK // (number + 1))
        for part in (rows[i : i + step] for i in range(0, len(rows), step)):
            out[part] = binomial_pmf(flat_p[part], number) @ table
    return out.reshape(p.shape)

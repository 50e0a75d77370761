"""Rank correlation over a handful of checkpoints, with exact permutation p-values.

Runs that share a checkpoint are one observation of its predictor: permuting runs pretends to more
evidence than there is. With 5 checkpoints the smallest two-sided p-value that any data can reach
is 2/120, so ``clusters`` permutes whole checkpoints.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from grpolab.theory.groups import FloatArray, IntArray
from grpolab.validate.estimate.bootstrap import check_level, percentile_interval

EXACT_LIMIT = 8  # 8! = 40,320 orderings
_TOLERANCE = 1e-12


class RankCorrelation(NamedTuple):
    """A rank correlation, its two-sided permutation p-value, and how that was computed.

    ``min_p_value`` is the smallest p-value that any data of this design could give.
    """

    value: float
    p_value: float
    min_p_value: float
    num_clusters: int
    exact: bool


class RankInterval(NamedTuple):
    """Cluster-bootstrap interval of a rank correlation and the share of resamples without order."""

    low: float
    high: float
    frac_undefined: float


def spearman(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    clusters: npt.ArrayLike | None = None,
    rng: np.random.Generator | int | None = None,
    num_permutations: int = 20_000,
) -> RankCorrelation:
    """Spearman's rho (mid-ranks for ties) with a permutation p-value over checkpoints.

    ``x`` and ``y`` have shape [R], one entry per run; ``clusters`` [R] says which runs share a
    checkpoint, and then x must be constant within each. Up to 8 checkpoints every ordering is
    enumerated; beyond that ``rng`` is required. Constant x or y: value NaN, p-value 1.

    >>> result = spearman([1, 2, 3, 4], [10, 20, 30, 40])
    >>> round(result.value, 9), round(result.p_value, 9)
    (1.0, 0.083333333)
    """
    return _test(_spearman, x, y, clusters, rng, num_permutations)


def kendall(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    clusters: npt.ArrayLike | None = None,
    rng: np.random.Generator | int | None = None,
    num_permutations: int = 20_000,
) -> RankCorrelation:
    """Kendall's tau-b (tie-corrected) with a permutation p-value; arguments as in `spearman`.

    >>> kendall([1, 2, 2, 3], [1, 2, 3, 4]).value == 5 / 30**0.5
    True
    """
    return _test(_kendall, x, y, clusters, rng, num_permutations)


def rank_interval(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    rng: np.random.Generator | int,
    method: str = "spearman",
    clusters: npt.ArrayLike | None = None,
    level: float = 0.95,
    num_resamples: int = 1000,
) -> RankInterval:
    """Cluster-bootstrap interval of a rank correlation; checkpoints are resampled whole.

    With fewer than 5 checkpoints the interval is nearly [-1, 1], which is what such data say.
    Resamples in which x or y is constant have no rank correlation and are left out.

    >>> interval = rank_interval(range(10), range(10), rng=0)
    >>> round(interval.low, 9), round(interval.high, 9)
    (1.0, 1.0)
    """
    statistic = _statistic(method)
    xs, ys, labels = _columns(x, y, clusters)
    check_level(level)
    rng = np.random.default_rng(rng)
    rows = [np.flatnonzero(labels == c) for c in range(labels.max() + 1)]
    draws = np.empty(num_resamples)
    for i in range(num_resamples):
        picked = np.concatenate([rows[c] for c in rng.integers(len(rows), size=len(rows))])
        draws[i] = statistic(xs[None, picked], ys[picked])[0]
    undefined = float(np.isnan(draws).mean())
    if undefined == 1.0:
        return RankInterval(-1.0, 1.0, 1.0)
    low, high = percentile_interval(draws, level=level, num_clusters=len(rows))
    return RankInterval(low, high, undefined)


def _statistic(method: str) -> Callable[[FloatArray, FloatArray], FloatArray]:
    if method not in ("spearman", "kendall"):
        raise ValueError(f"method must be 'spearman' or 'kendall', got {method!r}")
    return _spearman if method == "spearman" else _kendall


def _normalised(top: FloatArray, x_square: FloatArray, y_square: FloatArray) -> FloatArray:
    """Quotient top / sqrt(x_square y_square); NaN where either is constant."""
    bottom = np.sqrt(x_square * y_square)
    return np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1.0), np.nan)


def _spearman(x: FloatArray, y: FloatArray) -> FloatArray:
    """Correlation of mid-ranks of the rows of x [B, R] with y [R]; shape [B]."""
    rx = stats.rankdata(x, axis=-1)
    ry = stats.rankdata(y)
    rx = rx - rx.mean(axis=-1, keepdims=True)
    ry = ry - ry.mean()
    return _normalised(rx @ ry, (rx**2).sum(axis=-1), np.asarray((ry**2).sum()))


def _kendall(x: FloatArray, y: FloatArray) -> FloatArray:
    """Tau-b of the rows of x [B, R] with y [R]; shape [B]."""
    first, second = np.triu_indices(len(y), 1)
    sx = np.sign(x[:, second] - x[:, first])
    sy = np.sign(y[second] - y[first])
    return _normalised(sx @ sy, (sx**2).sum(axis=-1), np.asarray((sy**2).sum()))


def _columns(
    x: npt.ArrayLike, y: npt.ArrayLike, clusters: npt.ArrayLike | None
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Checked columns; cluster labels renumbered 0..C-1."""
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if xs.ndim != 1 or xs.shape != ys.shape or len(xs) < 2:
        raise ValueError(
            f"x and y must have one shape [R] with R >= 2, got {list(xs.shape)}, {list(ys.shape)}"
        )
    if not (np.isfinite(xs).all() and np.isfinite(ys).all()):
        raise ValueError("x and y must be finite")
    raw = np.arange(len(xs)) if clusters is None else np.asarray(clusters)
    if raw.shape != xs.shape:
        raise ValueError(f"clusters must have shape {list(xs.shape)}, got {list(raw.shape)}")
    labels = np.unique(raw, return_inverse=True)[1].astype(np.int64)
    return xs, ys, labels


def _orderings(
    size: int, rng: np.random.Generator | int | None, num_permutations: int
) -> tuple[IntArray, bool]:
    """All permutations up to EXACT_LIMIT, random ones beyond it; shape [B, size]."""
    if size <= EXACT_LIMIT:
        return np.array(list(itertools.permutations(range(size))), dtype=np.int64), True
    if rng is None:
        raise ValueError(f"rng is required for more than {EXACT_LIMIT} checkpoints, got {size}")
    keys = np.random.default_rng(rng).random((num_permutations, size))
    return np.argsort(keys, axis=-1), False


def _test(
    statistic: Callable[[FloatArray, FloatArray], FloatArray],
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    clusters: npt.ArrayLike | None,
    rng: np.random.Generator | int | None,
    num_permutations: int,
) -> RankCorrelation:
    xs, ys, labels = _columns(x, y, clusters)
    count = int(labels.max()) + 1
    level = np.array([xs[labels == c][0] for c in range(count)])
    if not np.array_equal(level[labels], xs):
        raise ValueError("x must be constant within each cluster")
    value = float(statistic(xs[None, :], ys)[0])
    if math.isnan(value):
        return RankCorrelation(math.nan, 1.0, 1.0, count, count <= EXACT_LIMIT)
    orders, exact = _orderings(count, rng, num_permutations)
    permuted = np.abs(statistic(level[orders][:, labels], ys))
    hits = int(np.sum(permuted >= abs(value) - _TOLERANCE))
    if not exact:
        hits, total = hits + 1, len(orders) + 1
        return RankCorrelation(value, hits / total, 1 / total, count, False)
    most = int(np.sum(permuted >= permuted.max() - _TOLERANCE))
    return RankCorrelation(value, hits / len(orders), most / len(orders), count, True)

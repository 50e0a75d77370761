"""Clusters with equal counts are interchangeable, so a data set is a short table of cells.

Ten thousand prompts with 100 samples each fill at most 101 distinct (num_correct, num_samples)
cells. Every estimator here is a function of weighted sums over cells, and a cluster bootstrap is
nothing but a multinomial draw of the weights: shape [U] becomes [B, U] and the same code runs.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from grpolab.theory.groups import FloatArray, GroupCounts, IntArray

Unit = Literal["prompts", "groups"]


class Cells(NamedTuple):
    """Distinct (num_correct, num_samples) pairs [U] and how many clusters have them [..., U]."""

    num_correct: IntArray
    num_samples: IntArray
    weight: FloatArray

    @property
    def num_clusters(self) -> int:
        """Clusters in the data (every resample has as many)."""
        return round(float(np.sum(self.weight[..., :], axis=-1).flat[0]))

    @property
    def rate(self) -> FloatArray:
        """Share of correct samples per cell, shape [U]."""
        return self.num_correct / self.num_samples


def tabulate(counts: GroupCounts, *, unit: Unit = "prompts") -> Cells:
    """Cells of the prompts (all groups of a prompt pooled) or of the groups.

    >>> tabulate(GroupCounts([1, 1, 3], 4)).weight.tolist()
    [2.0, 1.0]
    """
    if unit not in ("prompts", "groups"):
        raise ValueError(f"unit must be 'prompts' or 'groups', got {unit!r}")
    if len(counts) == 0:
        raise ValueError("counts must hold at least one group")
    if unit == "prompts":
        totals = counts.by_prompt()
        correct, size = totals.num_correct, totals.num_samples
    else:
        correct, size = counts.num_correct, counts.group_size
    base = int(size.max()) + 1
    keys, weight = np.unique(size * base + correct, return_counts=True)
    return Cells(keys % base, keys // base, weight.astype(np.float64))


def resample(cells: Cells, *, num_resamples: int, rng: np.random.Generator) -> Cells:
    """Cluster bootstrap: the weights of ``num_resamples`` resampled data sets, shape [B, U]."""
    if num_resamples < 1:
        raise ValueError(f"num_resamples must be >= 1, got {num_resamples}")
    total = cells.num_clusters
    drawn = rng.multinomial(total, cells.weight / total, size=num_resamples)
    return cells._replace(weight=drawn.astype(np.float64))


def cell_mean(cells: Cells, values: FloatArray) -> FloatArray:
    """Mean over clusters of a value per cell [U]; shape of the weights without the last axis."""
    mean: FloatArray = (cells.weight @ values) / cells.weight.sum(axis=-1)
    return mean


def check_level(level: float) -> float:
    """Return the level of an interval if it lies in (0, 1)."""
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie in (0, 1), got {level}")
    return level


def percentile_interval(
    draws: npt.NDArray[np.float64], *, level: float, num_clusters: int
) -> tuple[float, float]:
    """Expanded percentile interval of bootstrap draws [B].

    A plain percentile interval of k clusters is too short by sqrt((k-1)/k) and by a normal in place
    of a t quantile; the tail probability Phi(-sqrt(k/(k-1)) t_{k-1}) mends both (Hesterberg 2015,
    The American Statistician 69, section 5.3).

    >>> low, high = percentile_interval(np.linspace(0, 1, 1001), level=0.9, num_clusters=16)
    >>> round(low, 4), round(high, 4)
    (0.0351, 0.9649)
    """
    tail = (1.0 - check_level(level)) / 2.0
    if num_clusters > 1:
        stretch = math.sqrt(num_clusters / (num_clusters - 1))
        tail = float(stats.norm.cdf(stretch * stats.t.ppf(tail, num_clusters - 1)))
    low, high = np.nanquantile(draws, [tail, 1.0 - tail])
    return float(low), float(high)


def share_interval(
    draws: npt.NDArray[np.float64], *, value: float, level: float, num_clusters: int
) -> tuple[float, float]:
    """Bootstrap interval of a mean of numbers in [0, 1]; never of zero length.

    Where every cluster holds the same value 0 or 1 the bootstrap sees no spread, and the one-sided
    bound tail**(1/k) takes its place: with mean mu, k clusters all show 1 with probability at most
    mu**k (derived here).

    >>> low, high = share_interval(np.ones(5), value=1.0, level=0.95, num_clusters=16)
    >>> round(low, 4), high
    (0.7941, 1.0)
    """
    low, high = percentile_interval(draws, level=level, num_clusters=num_clusters)
    margin = ((1.0 - level) / 2.0) ** (1.0 / num_clusters)
    if value >= 1.0:
        return min(low, margin), 1.0
    if value <= 0.0:
        return 0.0, max(high, 1.0 - margin)
    return low, high


def t_quantile(level: float, free: int) -> float:
    """Two-sided Student quantile; infinite without a degree of freedom.

    >>> round(t_quantile(0.95, 10), 3), t_quantile(0.95, 0)
    (2.228, inf)
    """
    tail = (1.0 + check_level(level)) / 2.0
    return float(stats.t.ppf(tail, free)) if free >= 1 else math.inf

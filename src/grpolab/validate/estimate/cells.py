"""Clusters with equal counts are interchangeable, so a data set is a short table of cells.

Ten thousand prompts with 100 samples each fill at most 101 distinct (num_correct, num_samples)
cells. Every estimator here is a function of weighted sums over cells, and a cluster bootstrap is
nothing but a multinomial draw of the weights: shape [U] becomes [B, U] and the same code runs.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache, wraps
from typing import Any, Literal, NamedTuple, TypeVar, cast

import numpy as np
from scipy import special

from grpolab.theory.groups import FloatArray, GroupCounts, IntArray

Unit = Literal["prompts", "groups"]


class CountCells(NamedTuple):
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

    @property
    def log_choose(self) -> FloatArray:
        """Log of the binomial coefficient C(n, c) per cell, shape [U]."""
        c, n = self.num_correct, self.num_samples
        return np.asarray(-np.log1p(n) - special.betaln(c + 1.0, n - c + 1.0))


_Function = TypeVar("_Function", bound=Callable[..., Any])
_KEPT, _BATCHES = 32, 3


def remembered(function: _Function) -> _Function:
    """A function of cells that finds its last results again where it gets an equal data set.

    Many numbers of a report follow from one law, or from the same resamples. Arrays in a result
    cannot be written to; of batches of data sets a few are kept.
    """

    def fresh(same: _Same, *options: Hashable) -> Any:
        return _locked(function(same.data, *options))

    one, batch = lru_cache(maxsize=_KEPT)(fresh), lru_cache(maxsize=_BATCHES)(fresh)

    @wraps(function)
    def found(data: CountCells, *options: Hashable) -> Any:
        return (batch if data.weight.ndim > 1 else one)(_Same(data), *options)

    return cast(_Function, found)


class _Same:
    """Cells that are equal to others of the same numbers."""

    def __init__(self, data: CountCells) -> None:
        self.data = data
        self.key = tuple((part.dtype.str, part.tobytes()) for part in data)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.key == other.key


def _locked(result: Any) -> Any:
    for part in result:
        if isinstance(part, np.ndarray):
            part.setflags(write=False)
    return result


def tabulate(counts: GroupCounts, *, unit: Unit = "prompts") -> CountCells:
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
    return CountCells(keys % base, keys // base, weight.astype(np.float64))


def unfiltered(counts: GroupCounts, *, unit: Unit = "prompts") -> CountCells:
    """`tabulate`, with ValueError for a table of mixed groups only (``provenance.filtered``)."""
    if counts.provenance.filtered:
        raise ValueError(
            "counts are marked filtered (mixed groups only), so everything computed from them is"
            " conditional on a mixed group; use a dump taken before filtering, or"
            " truncated.fit_truncated"
        )
    return tabulate(counts, unit=unit)


def require_pairs(data: CountCells) -> None:
    """ValueError where no prompt has two samples."""
    if data.num_samples.max() < 2:
        raise ValueError(
            "counts must hold a prompt with at least 2 samples: one sample per prompt says nothing"
            " about the spread of p"
        )


def cell_mean(cells: CountCells, values: FloatArray) -> FloatArray:
    """Mean over clusters of a value per cell [..., U]; shape of the weights without the last axis.

    >>> cell_mean(tabulate(GroupCounts([1, 1, 3], 4)), np.array([0.0, 1.0])).round(6).item()
    0.333333
    """
    mean: FloatArray = np.vecdot(cells.weight, values) / cells.weight.sum(axis=-1)
    return mean

"""Cover@tau from counts: what n samples per prompt say of the curve, at every tau at once.

Counts of n samples are seen through binomials, so they say little of the curve between rates that n
samples hardly tell apart, and nothing that holds for one tau alone. The band here asks which laws
of p agree with the counts in all that was counted, and takes the least and the largest curve among
them: it holds for all tau together, and for any law of p.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import optimize, special

from grpolab.theory.groups import FloatArray, GroupCounts
from grpolab.validate.estimate import bootstrap, cells, likelihood, smoothed
from grpolab.validate.estimate.cells import CountCells

TAUS = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
"""Where an audit says the curve."""
_THRESHOLDS = 16  # numbers of correct samples at which counts and law are compared
_SOLVED = 1e-6  # to which a linear program is solved: ends are moved outwards by so much
_JUST_BELOW = 1e-9


class Cover(NamedTuple):
    """Share of prompts with p >= tau: estimate and simultaneous band; shapes [N].

    ``low`` and ``high`` are nan where no law of p agrees with the counts, as for samples that are
    no independent draws.
    """

    tau: FloatArray
    value: FloatArray
    low: FloatArray
    high: FloatArray

    def as_dict(self) -> dict[str, list[float]]:
        """Plain JSON types."""
        return {name: array.tolist() for name, array in self._asdict().items()}


def cover_curve(counts: GroupCounts, tau: Sequence[float] = TAUS, *, level: float = 0.95) -> Cover:
    """Cover@tau (arXiv 2510.08325) with a band that holds for all tau at once and any law of p.

    The estimate is that of the smoothed mixture. The band: the shares of prompts with more than j
    correct have exact intervals (Clopper and Pearson 1934) at 1 - (1 - level)/m for the m numbers j
    that are compared (all, or 16), and for numbers of samples that differ each with its part of the
    error; a curve is in the band if a law of p with that curve lies in all of these intervals. Two
    linear programs per tau, exact up to the grid of p. Needs prompts that are a random sample and
    rollouts that are independent given the prompt. Derived here.

    ValueError for tau outside of (0, 1], for tables marked filtered, and where no prompt has two
    samples.

    >>> found = cover_curve(GroupCounts([0, 0, 1, 2, 4, 4, 3, 0] * 20, 4), [0.05, 0.5])
    >>> [(round(float(v), 2), round(float(a), 2), round(float(b), 2))
    ...  for v, a, b in zip(found.value, found.low, found.high)]
    [(0.73, 0.42, 1.0), (0.44, 0.13, 0.76)]
    """
    levels = np.asarray(tau, dtype=np.float64)
    if levels.ndim != 1 or not levels.size or not np.all((levels > 0) & (levels <= 1)):
        raise ValueError(f"tau must be numbers in (0, 1], got {list(tau)}")
    bootstrap.check_level(level)
    data = cells.unfiltered(counts)
    cells.require_pairs(data)
    law = smoothed.smoothed_law(data)
    value = (law.support >= levels[:, None] - _JUST_BELOW / 2) @ law.weight
    below = np.clip(levels - _JUST_BELOW, 0.0, 1.0)
    grid = np.unique(np.concatenate([likelihood.rate_grid(data), levels, below]))
    rows, least, most = _constraints(data, grid, 1.0 - level)
    ends = [_ends(grid >= t - _JUST_BELOW / 2, rows, least, most) for t in levels]
    low, high = (np.array(side) for side in zip(*ends, strict=True))
    value = np.where(np.isnan(low), value, np.clip(value, low, high))
    return Cover(levels, value, low, high)


def _constraints(
    data: CountCells, grid: FloatArray, error: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """P(c > j) at every rate [M, G], and the exact intervals of its share over prompts [M]."""
    rows, least, most = [], [], []
    for n in np.unique(data.num_samples).tolist():
        here = data.num_samples == n
        weight, c = data.weight[here], data.num_correct[here]
        prompts = float(weight.sum())
        part = error * prompts / data.num_clusters
        j = np.unique(np.linspace(0, n - 1, min(n, _THRESHOLDS)).round())
        above = np.array([weight[c > k].sum() for k in j])
        low, high = bootstrap.exact_intervals(above, prompts, level=1.0 - part / len(j))
        rows.append(special.bdtrc(j[:, None], n, grid))
        least.append(low)
        most.append(high)
    return np.concatenate(rows), np.concatenate(least), np.concatenate(most)


def _ends(
    event: FloatArray, rows: FloatArray, least: FloatArray, most: FloatArray
) -> tuple[float, float]:
    """Least and largest chance of the event among the laws of p that keep to the intervals."""
    found = [
        optimize.linprog(
            sign * event.astype(np.float64), A_ub=np.concatenate([rows, -rows]),
            b_ub=np.concatenate([most, -least]), A_eq=np.ones((1, rows.shape[1])), b_eq=[1.0],
            bounds=(0.0, None), method="highs", options={"presolve": False},  # small and dense
        )
        for sign in (1.0, -1.0)
    ]  # fmt: skip
    if not all(one.success for one in found):
        return np.nan, np.nan
    low, high = float(found[0].fun) - _SOLVED, _SOLVED - float(found[1].fun)
    return max(0.0, low), min(high, 1.0)

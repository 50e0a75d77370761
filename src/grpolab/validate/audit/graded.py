"""Graded scores that a threshold made binary: what the scores themselves say of the groups.

A trainer is given the scores, not what a threshold made of them. A group without a signal is then
one whose scores are equal, which no threshold can tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import gammaln

from grpolab.figures.words import percent
from grpolab.theory.groups import EQUAL, FloatArray, IntArray
from grpolab.validate.readers.format import Samples


def equal_share(samples: Samples, group_size: int) -> float | None:
    """Share of groups of g samples of a prompt whose scores are all equal, by thinning.

    The mean over prompts (and steps) with at least g scores of ``sum_v C(n_v, g) / C(n, g)``, n_v
    samples with score v; scores that differ by at most `EQUAL` of the largest of the prompt are
    one. Unbiased for any law of the scores. None where no prompt has g scores.
    """
    seen = ~np.isnan(samples.score)
    score, cell = samples.score[seen], samples.prompt[seen]
    if samples.step is not None:
        _, step = np.unique(samples.step[seen], return_inverse=True)
        cell = cell * (int(step.max(initial=0)) + 1) + step
    _, cell = np.unique(cell, return_inverse=True)
    order = np.lexsort((score, cell))
    score, cell = score[order], cell[order]
    size = np.bincount(cell)
    enough = size >= group_size
    if not enough.any():
        return None
    scale = np.zeros(len(size))
    np.maximum.at(scale, cell, np.abs(score))
    new = np.ones(len(score), dtype=bool)
    new[1:] = (cell[1:] != cell[:-1]) | (np.diff(score) > EQUAL * scale[cell[1:]])
    value = np.cumsum(new) - 1
    alike = np.bincount(value)
    owner = cell[new]
    share = np.bincount(owner, weights=_subsets(alike, group_size), minlength=len(size))
    return float(np.mean(share[enough] / _subsets(size, group_size)[enough]))


def _subsets(size: IntArray, group_size: int) -> FloatArray:
    """C(n, g) over C(largest n, g): ratios of these are exact where C itself overflows."""
    n = size.astype(np.float64)
    top = float(n.max())
    log = gammaln(n + 1) - gammaln(np.maximum(n - group_size, 0) + 1)
    ratio = np.exp(log - (gammaln(top + 1) - gammaln(max(top - group_size, 0) + 1)))
    return np.where(size >= group_size, ratio, 0.0)


def equal_shares(samples: Samples | None, group_sizes: Sequence[int]) -> dict[int, float]:
    """`equal_share` at every size that some prompt allows; empty where scores are binary."""
    if samples is None or not samples.is_graded:
        return {}
    shares = {g: equal_share(samples, g) for g in group_sizes}
    return {g: share for g, share in shares.items() if share is not None}


def lead(shares: Mapping[int, float], sides: Mapping[int, float]) -> list[str]:
    """The first advice on graded scores; ``sides`` are the shares after the threshold."""
    return [
        f"g={g}: {percent(shares[g])} of the groups have equal scores and no signal for a trainer"
        f" that is given the scores. The threshold puts all scores of {percent(side)} of the groups"
        " on one side, which counts only where the reward is made by it."
        for g, side in sides.items()
        if g in shares
    ]

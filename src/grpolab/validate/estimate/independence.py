"""Are the rollouts of a prompt independent draws? A test that does not confuse it with difficulty.

Rewards of one prompt under a fixed policy are independent whatever the policy's entropy; shared
seeds, grader outages, shared prefixes and a policy that changes inside the group break that. Over
prompts rewards are always correlated because prompts differ in difficulty, so a pooled test of
overdispersion rejects on every real data set and says nothing about the sampler. With one group
per prompt the two cannot be told apart: any mixture over prompts explains exchangeable counts.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from grpolab import streams
from grpolab.theory.groups import FloatArray, GroupCounts, IntArray
from grpolab.validate.estimate.permute import tail_p

_FEW = 5  # permutations beyond the statistic below which the tail is continued


class PairContrast(NamedTuple):
    """Correlation of two rewards of one group beyond what the prompt explains.

    ``identifiable`` is False where no prompt has two groups at one step; the numbers are then NaN
    and ``reason`` says why.
    """

    identifiable: bool
    rho: float
    stderr: float
    p_value: float
    num_prompts: int
    reason: str


class Blocks(NamedTuple):
    """Prompts with at least two groups: successes and sizes padded with zeros, shapes [P, J]."""

    num_correct: IntArray
    group_size: IntArray


def repeated_groups(counts: GroupCounts) -> Blocks:
    """Groups that share prompt and step: groups of two steps come from two policies.

    >>> repeated_groups(GroupCounts([1, 3, 2], 4, prompt_id=[7, 7, 9])).num_correct.tolist()
    [[1, 3]]
    """
    if len(counts) == 0:
        raise ValueError("counts must hold at least one group")
    keys = np.stack([counts.prompt_id, counts.step])
    _, row, times = np.unique(keys, axis=1, return_inverse=True, return_counts=True)
    order = np.argsort(row, kind="stable")
    place = np.arange(len(row)) - np.repeat(np.cumsum(times) - times, times)
    shape = (len(times), int(times.max()))
    correct, size = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    correct[row[order], place] = counts.num_correct[order]
    size[row[order], place] = counts.group_size[order]
    keep = times >= 2
    return Blocks(correct[keep], size[keep])


def pair_contrast(
    counts: GroupCounts, *, rng: np.random.Generator | int, num_permutations: int = 999
) -> PairContrast:
    """Correlation given the prompt, ``(A - B) / (mean R - B)``, with an exact permutation test.

    A is the mean product of two rewards of one group, B of two rewards of different groups of the
    same prompt and step; numerator and denominator are unbiased for any distribution of p. The
    test conditions on the prompt's total, under which the group counts are multivariate
    hypergeometric, and is two-sided: shared seeds give rho > 0, antithetic or without-replacement
    sampling rho < 0. Beyond the permutations the tail is continued (see `permute.tail_p`). Standard
    error by jackknife over prompts. Derived here.

    >>> pair_contrast(GroupCounts([1, 2], 4), rng=0).identifiable
    False
    >>> apart = GroupCounts([0, 4] * 6, 4, prompt_id=np.repeat(np.arange(6), 2))
    >>> pair_contrast(apart, rng=0).rho
    1.0
    """
    if counts.provenance.filtered:
        return _unidentifiable("the dump was filtered to mixed groups, which correlates rewards")
    blocks = repeated_groups(counts)
    if len(blocks.group_size) == 0:
        return _unidentifiable(
            "no prompt has two groups sampled by one policy, so dependence given the prompt and"
            " differences between prompts fit such data equally well"
        )
    if int(blocks.group_size.max()) < 2:
        return _unidentifiable("groups of one rollout have no pairs")
    totals = blocks.num_correct.sum(axis=1)
    mixed = (totals > 0) & (totals < blocks.group_size.sum(axis=1))
    if not mixed.any():
        return _unidentifiable("every prompt with two groups is always right or always wrong")
    terms = _terms(blocks)
    rho = _contrast(terms.sum(axis=0))
    stderr = _jackknife(terms)
    p_value = _permutation_p(
        Blocks(blocks.num_correct[mixed], blocks.group_size[mixed]),
        rng=streams.generator(rng, "permutations"),
        num_permutations=num_permutations,
    )
    return PairContrast(True, rho, stderr, p_value, len(totals), "")


def _unidentifiable(reason: str) -> PairContrast:
    return PairContrast(False, math.nan, math.nan, math.nan, 0, reason)


def _terms(blocks: Blocks) -> FloatArray:
    """Per prompt: within-group pair mean, cross-group pair mean, mean reward; shape [P, 3]."""
    k, g = blocks.num_correct.astype(float), blocks.group_size.astype(float)
    total, size = k.sum(axis=1), g.sum(axis=1)
    pairs = np.sum(g * (g - 1), axis=1)
    some = pairs > 0  # a prompt whose groups hold one verdict each has no pair
    within = np.sum(k * (k - 1), axis=1)[some] / pairs[some]
    across = (total**2 - np.sum(k**2, axis=1)) / (size**2 - np.sum(g**2, axis=1))
    return np.stack([within, across[some], (total / size)[some]], axis=1)


def _contrast(sums: FloatArray) -> float:
    gap = float(sums[2] - sums[1])
    return float(sums[0] - sums[1]) / gap if gap > 0 else math.nan


def _jackknife(terms: FloatArray) -> float:
    rest = terms.sum(axis=0) - terms
    gap = rest[:, 2] - rest[:, 1]
    if len(terms) < 2 or np.any(gap <= 0):
        return math.nan
    values = (rest[:, 0] - rest[:, 1]) / gap
    return float(np.sqrt((len(terms) - 1) * np.var(values)))


def _permutation_p(blocks: Blocks, *, rng: np.random.Generator, num_permutations: int) -> float:
    """Two-sided p-value of the within-group pair products, rewards permuted within prompts."""
    k, g = blocks.num_correct, blocks.group_size
    weight = 1.0 / np.maximum(np.sum(g * (g - 1), axis=1), 1)
    observed = float(np.sum(k * (k - 1), axis=1) @ weight)
    draws = np.zeros(num_permutations)
    chunk = max(1, 2_000_000 // k.size)
    for start in range(0, num_permutations, chunk):
        stop = min(start + chunk, num_permutations)
        shape = (stop - start, len(k))
        left = np.broadcast_to(k.sum(axis=1), shape).copy()
        rest = g.sum(axis=1)
        for j in range(k.shape[1]):
            drawn = rng.hypergeometric(left, rest - left, g[:, j])
            draws[start:stop] += (drawn * (drawn - 1)) @ weight
            left -= drawn
            rest = rest - g[:, j]
    slack = 1e-9 * (1.0 + abs(observed))
    above, below = int(np.sum(draws >= observed - slack)), int(np.sum(draws <= observed + slack))
    if min(above, below) < _FEW:
        centre = draws.mean()
        far = np.abs(draws - centre)
        return tail_p(abs(observed - centre), far)
    return min(1.0, 2.0 * (1 + min(above, below)) / (num_permutations + 1))

"""Samples that were chosen by their outcome: traces in the counts that no law of p can leave.

Independent draws give counts that are a mixture of binomials, so ``a_k = P(K = k) / C(g, k)`` are
moments E[p^k (1-p)^(g-k)] and log-convex: ``a_k^2 <= a_{k-1} a_{k+1}`` (Cauchy-Schwarz), whatever
the prompts. A dump without its zero-std groups, or with the best and the worst of each group,
breaks that. Sampling that stops at the first success shows in the last sample of each prompt.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from scipy import special

from grpolab.theory.groups import FloatArray, GroupCounts, IntArray
from grpolab.theory.samples import SampleRows

_AGREE = 0.9  # share of prompts that follow one rule of stopping; the others have errors
Kind = Literal["mixed only", "no all-wrong", "no all-right", "extremes", "too even"]


class Selection(NamedTuple):
    """Counts against the law of every mixture of binomials.

    ``kind`` says what is missing or too frequent: groups with a zero spread ("mixed only", or one
    side of them), the middle of groups of two ("extremes": best and worst kept), or anything else
    ("too even"). ``missing`` is how many groups without spread the others imply at least; the
    p-value is corrected for the number of counts k and sizes g that were looked at.
    """

    kind: Kind
    group_size: int
    missing: float
    p_value: float


class Stopping(NamedTuple):
    """Whether the number of samples of a prompt depends on their outcomes.

    ``ends`` of ``num_prompts`` prompts with fewer samples than the others end with a success (or,
    with ``on_success`` False, with a failure); ``expected`` if order did not matter.
    """

    on_success: bool
    ends: int
    expected: float
    num_prompts: int
    p_value: float


def selection_test(counts: GroupCounts) -> Selection | None:
    """An exact test of ``P(K=k)^2 / C(g,k)^2 <= P(K=k-1) P(K=k+1) / (C(g,k-1) C(g,k+1))``.

    Given the sum and the number of groups at k - 1, k and k + 1, the number at k has at the
    boundary a law without free parameters (for g = 2 that of the exact test of Hardy-Weinberg), and
    is stochastically smaller inside. Bonferroni over k and over the sizes that a fifth of the
    groups have. None where no such group of two or more is mixed. Derived here.

    >>> selection_test(GroupCounts(np.repeat([1, 2, 3], 30), 4)).kind
    'mixed only'
    """
    sizes, times = np.unique(counts.group_size, return_counts=True)
    common = [int(g) for g, m in zip(sizes, times, strict=True) if g >= 2 and m >= len(counts) / 5]
    looked, best = 0, None
    for g in common:
        seen = np.bincount(counts.num_correct[counts.group_size == g], minlength=g + 1)
        looked += g - 1
        for k in (np.flatnonzero(seen[1:g]) + 1).tolist():
            found = _boundary_p(g, k, seen)
            if best is None or found < best[0]:
                best = (found, g, k, seen)
    if best is None:
        return None
    p_value, g, k, seen = best
    return Selection(
        _kind(g, k, seen), g, _implied(g, seen), min(1.0, looked * float(p_value))
    )  # fmt: skip


def _boundary_p(g: int, k: int, seen: IntArray) -> float:
    """P(as many groups at k or more) on the boundary, given their sum and number."""
    a, b, d = (int(v) for v in seen[k - 1 : k + 2])
    total, weighted = a + b + d, b + 2 * d
    if b == 0:
        return 1.0
    low = max(0, weighted - total)  # groups at k + 1 that the sum allows
    upper = np.arange(low, weighted // 2 + 1)
    middle = weighted - 2 * upper
    rest = total - middle - upper
    keep = rest >= 0
    upper, middle, rest = upper[keep], middle[keep], rest[keep]
    # sqrt(c) with c = C(g,k)^2 / (C(g,k-1) C(g,k+1)) = (k+1)(g-k+1) / (k (g-k))
    step = 0.5 * np.log((k + 1) * (g - k + 1) / (k * (g - k)))
    log = middle * step - special.gammaln(upper + 1) - special.gammaln(middle + 1)
    log -= special.gammaln(rest + 1)
    chance = np.exp(log - special.logsumexp(log))
    return float(min(1.0, chance[middle >= b].sum()))


def _implied(g: int, seen: IntArray) -> float:
    """Groups without spread that the others imply at least: ``(g-1)/(2g) N_1^2 / N_2`` a side."""
    if g < 3:
        return float("nan")
    left = (g - 1) / (2 * g) * seen[1] ** 2 / max(int(seen[2]), 1)
    right = (g - 1) / (2 * g) * seen[g - 1] ** 2 / max(int(seen[g - 2]), 1)
    return float(left + right)


def _kind(g: int, k: int, seen: IntArray) -> Kind:
    if g == 2:
        return "extremes"
    if seen[0] == 0 and seen[g] == 0 and k in (1, g - 1):
        return "mixed only"
    if seen[0] == 0 and k == 1:
        return "no all-wrong"
    if seen[g] == 0 and k == g - 1:
        return "no all-right"
    return "too even"


def stopping_test(counts: GroupCounts, rows: SampleRows | None = None) -> Stopping | None:
    """Does sampling of a prompt end with its first success (or failure)?

    Looked at are prompts with at least 2 samples and fewer than the most. With the samples in order
    (``rows``): given K of n right the last is right with chance K / n. Without: by the chance that
    exactly one of n is right, at most (1 - 1/n)^(n-1) whatever p is. One-sided exact tests
    (Poisson-binomial) for success and for failure. None where all prompts have as many samples, or
    where they do not agree on how many successes (failures) end the sampling.

    >>> found = stopping_test(GroupCounts([1] * 20, np.arange(20) % 4 + 3))
    >>> found.on_success, found.p_value < 1e-3
    (True, True)
    """
    totals = counts.by_prompt()
    n, c = totals.num_samples, totals.num_correct
    if len(n) == 0 or n.min() == n.max():
        return None
    if rows is None:
        chance = (1.0 - 1.0 / n) ** (n - 1)
        short = (n >= 2) & (n < n.max())
        return _surer(
            [
                _stopping(on_success, hits[short] == 1, chance[short])
                for on_success, hits in ((True, c), (False, n - c))
                if short.any() and _one_rule(n, hits, 1)
            ]
        )
    size = np.bincount(rows.request)
    right = np.bincount(rows.request, weights=rows.reward).astype(np.int64)
    last = np.zeros(len(size))
    last[rows.request] = rows.reward  # the last one written stays
    short = (size >= 2) & (size < size.max()) & (right > 0) & (right < size)
    return _surer(
        [
            _stopping(on_success, last[short] == on_success, (hits / size)[short])
            for on_success, hits in ((True, right), (False, size - right))
            if short.any() and _one_rule(size, hits, int(np.bincount(hits[short]).argmax()))
        ]
    )


def _one_rule(size: IntArray, hits: IntArray, most: int) -> bool:
    """Whether sampling can end at the ``most``-th success: nearly all have that many, none more."""
    short = size < size.max()
    return bool(np.mean(hits[short] == most) >= _AGREE and np.mean(hits[~short] <= most) >= _AGREE)


def _surer(found: list[Stopping]) -> Stopping | None:
    return min(found, key=lambda s: s.p_value, default=None)


def _stopping(on_success: bool, ends: IntArray, chance: FloatArray) -> Stopping:
    found, expected = int(np.sum(ends)), float(np.sum(chance))
    p_value = min(1.0, 2 * upper_tail(found, chance))
    return Stopping(on_success, found, expected, len(chance), p_value)


def upper_tail(found: int, chance: FloatArray) -> float:
    """P(at least ``found`` of independent events with these chances): exact up to 2000 events.

    Beyond, the binomial with the largest chance takes its place, which is too large.

    >>> upper_tail(2, np.array([0.5, 0.5]))
    0.25
    """
    if len(chance) > 2000:
        return float(special.bdtrc(found - 1, len(chance), float(chance.max())))
    law = np.ones(1)
    for q in chance:
        law = np.convolve(law, [1.0 - q, q])
    return float(min(1.0, law[found:].sum()))

"""Pairs of checkpoints: who has more signal, who is equal, and what would settle the rest.

All pairs are tested on the same prompts and corrected for their number (Holm), so that checkpoints
that are equal get a winner in at most 5% of the triages, however many there are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from grpolab.theory.groups import FloatArray, GroupCounts
from grpolab.theory.pass_at_k import thin_std
from grpolab.validate.estimate.contrasts import (
    Gap,
    contrasts,
    first_settled,
    growth_factors,
    paired_gap,
)
from grpolab.validate.forecast.law import prompt_laws

MAX_SIGNAL = 0.5
"""The largest expected standard deviation of binary rewards."""


class CheckpointPair(NamedTuple):
    """Two checkpoints: does the first have more signal than the second?

    ``low`` to ``high`` is the interval of the difference that holds for all pairs at once;
    ``p_value`` (of no difference) and ``p_equal`` (of a difference of the margin or more) are
    Holm-adjusted over all pairs. ``decided``: one has more. ``equal``: the difference is below the
    margin. ``prob_more`` is the shrunk chance that the first has more. ``prompts_needed`` at the
    present samples per prompt, or ``samples_needed`` per prompt at the present prompts (inf where
    no number would do), settle the pair one way or the other with chance 0.8; NaN where it is
    settled.
    """

    first: str
    second: str
    difference: float
    low: float
    high: float
    p_value: float
    p_equal: float
    prob_more: float
    decided: bool
    equal: bool
    prompts_needed: float
    samples_needed: float


def signals(counts: GroupCounts, group_size: int) -> FloatArray:
    """E[sigma] of every prompt, shape [P]."""
    return prompt_laws(counts).expected_std(group_size)


def compare_pairs(
    counts: Mapping[str, GroupCounts],
    values: FloatArray,
    order: Sequence[int],
    prob_more: FloatArray,
    *,
    group_size: int,
    samples: int,
    level: float,
    margin: float,
) -> list[CheckpointPair]:
    """Every pair of checkpoints in the given order; ``values`` [K, P] are their signals."""
    names = list(counts)
    pairs = list(itertools.combinations(order, 2))
    gaps = [paired_gap(values[a] - values[b], span=MAX_SIGNAL, margin=margin) for a, b in pairs]
    noise = [sampling_variance(c, group_size) for c in counts.values()]
    tail = (1.0 - level) / max(len(pairs), 1)
    found = []
    for (a, b), gap, one in zip(
        pairs, gaps, contrasts(gaps, level=level, margin=margin), strict=True
    ):
        more_samples = math.nan
        if not math.isnan(one.prompts_needed):
            inside = float(np.mean(noise[a] + noise[b]))
            more_samples = _samples_needed(gap, inside, samples=samples, margin=margin, tail=tail)
        found.append(
            CheckpointPair(names[a], names[b], one.difference, one.low, one.high, one.p_value,
                           one.p_equal, float(prob_more[a, b]), one.decided, one.equal,
                           one.prompts_needed, more_samples)
        )  # fmt: skip
    return found


def _samples_needed(gap: Gap, inside: float, *, samples: int, margin: float, tail: float) -> float:
    """Samples of each of the same prompts that settle the pair with chance 0.8.

    Of the variance of a prompt's gap only the part ``inside``, from the choice of samples, shrinks
    with more of them. NaN where that part is not known.
    """
    if math.isnan(inside) or gap.free < 1:
        return math.nan
    if gap.stderr <= 1e-12:  # alike on every prompt: more prompts could tell, samples would not
        return math.inf
    total = gap.num_prompts * gap.stderr**2
    inside = min(inside, total)
    factors = growth_factors()
    ahead = np.sqrt(inside * (1.0 - 1.0 / factors) / gap.num_prompts)
    later = np.sqrt((total - inside + inside / factors) / gap.num_prompts)
    prompts = np.full(len(factors), float(gap.num_prompts))
    return samples * first_settled(gap, ahead, later, prompts=prompts, margin=margin, tail=tail)


def sampling_variance(counts: GroupCounts, group_size: int) -> FloatArray:
    """Variance [P] of `signals` from the choice of samples, by the jackknife over samples.

    Leaving out one of c right or n - c wrong samples gives one of two values, so that all n
    leave-one-out estimates need two evaluations. Too large rather than too small (by a quarter at
    n = 2 g). NaN where n = group_size: none can be left out.
    """
    totals = counts.by_prompt()
    n, c = totals.num_samples, totals.num_correct
    less = np.maximum(n - 1, 1)
    without_right = thin_std(less, np.clip(c - 1, 0, less), group_size)
    without_wrong = thin_std(less, np.minimum(c, less), group_size)
    mean = (c * without_right + (n - c) * without_wrong) / n
    squares = c * (without_right - mean) ** 2 + (n - c) * (without_wrong - mean) ** 2
    return np.asarray((n - 1) / n * squares)

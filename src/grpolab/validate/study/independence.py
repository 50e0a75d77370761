"""The question of independence over many checkpoints: one row each, and a verdict for all.

Three questions that are easily taken for one. Are the rewards of a group independent *given the
prompt*? (T1: only that would be a fault of the sampler.) How much do prompts differ? (T2: the ICC.)
What does that do to the groups and to the threshold p*? (T3.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from grpolab.figures.words import percent
from grpolab.streams import generator
from grpolab.theory.bounds import critical_p_band, zero_std_band
from grpolab.theory.critical import critical_p
from grpolab.theory.groups import GroupCounts
from grpolab.validate.estimate.bootstrap import half_width
from grpolab.validate.estimate.contrasts import holm
from grpolab.validate.estimate.icc import icc_interval
from grpolab.validate.estimate.independence import pair_contrast
from grpolab.validate.forecast.law import fit_law

_LEVEL = 0.05


class IndependenceRow(NamedTuple):
    """T1, T2 and T3 of one checkpoint.

    T1: ``rho`` given the prompt with its standard error, and the permutation ``p_value`` (NaN where
    no prompt has two groups, or none is mixed). T2: ``icc`` with a 95% interval. T3: share of
    zero-std groups as counted, at the mean rate alone, under a beta-binomial, and the model-free
    band at the same mean and ICC; p* without spread, under a beta with this ICC, and its model-free
    band (NaN where half of the groups have zero std at every mean).
    """

    label: str
    mean: float
    rho: float
    stderr: float
    p_value: float
    icc: float
    icc_low: float
    icc_high: float
    zero_std: float
    zero_std_iid: float
    zero_std_beta: float
    zero_std_low: float
    zero_std_high: float
    critical_p_iid: float
    critical_p: float
    critical_p_low: float
    critical_p_high: float

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return self._asdict()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> IndependenceRow:
        """The row that `as_dict` described; null, which JSON has for NaN, is NaN again."""
        filled: dict[str, Any] = {k: math.nan if v is None else v for k, v in values.items()}
        return cls(**filled)


class IndependenceVerdict(NamedTuple):
    """All checkpoints together; p-values are corrected for their number (Holm 1979).

    ``mean_rho`` is the precision-weighted mean of rho given the prompt, with its standard error for
    checkpoints that are independent draws. ``text`` says it in words.
    """

    num_tests: int
    num_rejected: int
    least_p: float
    least_adjusted_p: float
    mean_rho: float
    mean_rho_stderr: float
    text: str


def independence_row(
    counts: GroupCounts,
    *,
    group_size: int,
    label: str,
    rng: np.random.Generator | int,
    num_permutations: int = 1999,
    num_resamples: int = 400,
) -> IndependenceRow:
    """T1, T2 and T3 for groups of ``group_size`` of one checkpoint.

    ``counts`` should hold several groups of each prompt, sampled by one policy.

    >>> table = GroupCounts([0, 4, 3, 3, 8, 7, 1, 0], 8, prompt_id=[0, 0, 1, 1, 2, 2, 3, 3])
    >>> row = independence_row(table, group_size=8, label="a", rng=0, num_permutations=99)
    >>> round(row.critical_p_iid, 4), row.zero_std
    (0.083, 0.375)
    """
    rng = generator(rng, "independence row")
    contrast = pair_contrast(counts, rng=rng, num_permutations=num_permutations)
    spread = icc_interval(counts, rng=rng, num_resamples=num_resamples)
    at = counts.group_size == group_size
    observed = counts.select(at).frac_zero_std if at.any() else math.nan
    beta = fit_law(counts, "beta-binomial")
    mean = float(counts.by_prompt().rate.mean())
    rho = float(np.clip(spread.estimate, 0.0, 1.0))
    band = zero_std_band(group_size, mean=mean, rho=rho)
    band_of_critical = critical_p_band(group_size, rho=rho)
    return IndependenceRow(
        label, mean, contrast.rho, contrast.stderr, contrast.p_value,
        spread.estimate, spread.low, spread.high,
        observed, float(fit_law(counts, "mean-p").zero_std(group_size)),
        float(beta.zero_std(group_size)),
        float(band.low), float(band.high),
        float(critical_p(group_size)), float(critical_p(group_size, rho=rho)),
        float(band_of_critical.low), float(band_of_critical.high),
    )  # fmt: skip


def independence_verdict(rows: Sequence[IndependenceRow]) -> IndependenceVerdict:
    """Is independence given the prompt rejected on any checkpoint, and does the spread matter?

    ``rows`` must be of different rollouts: a checkpoint that serves two families counts once.
    """
    if len(rows) == 0:
        raise ValueError("rows must hold at least one checkpoint")
    labels = [row.label for row in rows]
    if len(set(labels)) < len(labels):
        raise ValueError("rows must be of different checkpoints: a label is there twice")
    tested = [row for row in rows if not np.isnan(row.p_value)]
    spread = _spread_text(rows)
    if not tested:
        text = "Independence given the prompt cannot be tested on these rollouts. " + spread
        return IndependenceVerdict(0, 0, np.nan, np.nan, np.nan, np.nan, text)
    adjusted = holm([row.p_value for row in tested])
    rejected = [row.label for row, p in zip(tested, adjusted, strict=True) if p < _LEVEL]
    precise = [row for row in tested if row.stderr > 0]
    weight = np.array([row.stderr**-2 for row in precise])
    mean = float(weight @ np.array([row.rho for row in precise]) / weight.sum()) if precise else 0.0
    error = float(weight.sum() ** -0.5) if precise else np.nan
    least = min(row.p_value for row in tested)
    if rejected:
        found = (
            f"Given the prompt, rewards of a group are not independent on {len(rejected)} of"
            f" {len(tested)} checkpoints ({', '.join(rejected[:5])}): look at the sampler."
        )
    else:
        found = (
            f"Given the prompt, nothing speaks against independence: {len(tested)} permutation"
            f" tests, smallest p {least:.3f}, {min(adjusted):.2f} after Holm's"
            f" correction; correlation over all {mean:+.4f} ±{half_width(error):.4f}."
        )
    return IndependenceVerdict(
        len(tested), len(rejected), least, min(adjusted), mean, error, f"{found} {spread}"
    )


def _spread_text(rows: Sequence[IndependenceRow]) -> str:
    icc = [row.icc for row in rows]
    below = sum(row.icc_low <= 0 for row in rows)
    shares = np.array([[row.zero_std, row.zero_std_iid] for row in rows])
    shares = shares[~np.isnan(shares).any(axis=1)]
    text = f"Over prompts they are correlated: ICC {min(icc):.2f} to {max(icc):.2f}"
    text += f", above 0 on {len(rows) - below} of {len(rows)} checkpoints."
    if len(shares):
        seen, said = shares.mean(axis=0)
        text += (
            f" So {percent(seen)} of the groups are without a signal on average, where the mean"
            f" rate alone says {percent(said)}."
        )
    return text

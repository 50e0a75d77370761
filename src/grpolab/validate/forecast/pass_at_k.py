"""pass@k: unbiased up to the number of samples, and an extrapolation beyond it.

For large k the answer is the left tail of the law of p. A beta gives a power law k^(-a); extra
prompts that are never solved give a plateau. With few samples per prompt the data hardly tell the
two apart, so every model's value is reported beside the others.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from grpolab.theory.dependence import BetaBinomial
from grpolab.theory.groups import FloatArray, GroupCounts, IntArray
from grpolab.theory.pass_at_k import expected_pass_at_k, pass_at_k, thin_pmf
from grpolab.validate.estimate import betabin, cells, mixture
from grpolab.validate.forecast.beyond import beyond
from grpolab.validate.forecast.law import fit_law


class PassAtK(NamedTuple):
    """pass@k of a data set, its interval over prompts, and where its standard error comes from.

    ``stderr_within`` is the sampling noise if the prompts are the whole population;
    ``stderr_total`` adds the choice of the prompts. The interval is of the second kind.
    """

    k: int
    value: float
    low: float
    high: float
    stderr_within: float
    stderr_total: float


def estimate_pass_at_k(
    counts: GroupCounts,
    k: int,
    *,
    rng: np.random.Generator | int,
    level: float = 0.95,
    num_resamples: int = 1000,
) -> PassAtK:
    """pass@k of the data set, the mean over prompts of 1 - C(n-c,k) / C(n,k) (arXiv 2107.03374).

    Every prompt needs n >= k samples. The per-prompt values are independent draws of prompt and
    samples together, so resampling prompts covers both levels; resampling inside prompts as well
    would count the sampling noise twice.

    >>> round(estimate_pass_at_k(GroupCounts([0, 2, 4], 4), 2, rng=0).value, 6)
    0.611111
    """
    _check_k(k)
    data = cells.unfiltered(counts)
    y, n = data.num_correct, data.num_samples
    if int(n.min()) < k:
        raise ValueError(
            f"k must not exceed the samples of any prompt ({int(n.min())}), got {k};"
            " see extrapolate_pass_at_k"
        )
    law = fit_law(counts, "thinning")
    value = float(law.pass_at(k))
    low, high = law.interval(
        lambda one: one.pass_at(k), rng=rng, level=level, num_resamples=num_resamples
    )
    within = float(cells.cell_mean(data, _within_variance(n, y, k))) / data.num_clusters
    spread = float(cells.cell_mean(data, (pass_at_k(n, y, k) - value) ** 2))
    total = spread / max(data.num_clusters - 1, 1)
    return PassAtK(k, value, low, high, float(np.sqrt(within)), float(np.sqrt(total)))


def _check_k(k: int) -> None:
    if k < 1:
        raise ValueError(f"k must be >= 1, got {k}")


def _within_variance(num_samples: IntArray, num_correct: IntArray, k: int) -> FloatArray:
    """Variance of the unbiased estimator given p = c / n, shape [U].

    Two k-subsets share j samples with hypergeometric chance h_j, and then both fail with chance
    q^(2k - j), so the variance is ``sum_j h_j (q^(2k-j) - q^(2k))`` (derived here).
    """
    q = 1.0 - num_correct / num_samples
    shared = np.arange(k + 1)
    chance = thin_pmf(num_samples, np.minimum(num_samples, k), k)  # k of n were taken before
    both = q[:, None] ** (2 * k - shared) - q[:, None] ** (2 * k)
    return np.asarray(np.vecdot(chance, both))


class Extrapolation(NamedTuple):
    """pass@k under four models; ``low`` and ``high`` hold for any law of p.

    ``value`` is that of the smoothed mixture. ``tail_exponent`` is the beta's a in 1 - pass@k ~
    k^(-a); ``frac_zero`` the share of prompts with p = 0 under the zero-inflated beta, and
    ``zero_gain`` what it adds to the log-likelihood (below 1.35 the one-sided test at 5% cannot
    tell it from 0).
    """

    k: int
    value: float
    beta_binomial: float
    zero_inflated: float
    mixture: float
    low: float
    high: float
    tail_exponent: float
    frac_zero: float
    zero_gain: float


def extrapolate_pass_at_k(counts: GroupCounts, k: int, *, level: float = 0.95) -> Extrapolation:
    """pass@k for any k: smoothed mixture, beta ``1 - B(a, b + k) / B(a, b)``, inflated beta, NPMLE.

    k >= 1. The interval is that of `beyond.beyond`. Source of the power law: arXiv 2407.21787; the
    comparison of models is derived here.

    >>> counts = GroupCounts([0, 0, 1, 3, 8, 5, 2, 0], 8)
    >>> result = extrapolate_pass_at_k(counts, 64)
    >>> result.low <= result.beta_binomial <= result.high
    True
    """
    _check_k(k)
    value, low, high = beyond(counts, lambda p: expected_pass_at_k(p, k), level=level)
    beta = betabin.fit_beta_binomial(counts)
    inflated = mixture.fit_inflated_beta(counts, one=False)
    tail = BetaBinomial.from_ab(inflated.a, inflated.b)
    return Extrapolation(
        k=k,
        value=value,
        beta_binomial=float(fit_law(counts, "beta-binomial").pass_at(k)),
        zero_inflated=(1.0 - inflated.frac_zero) * (1.0 - float(tail.prob_all_wrong(k))),
        mixture=float(fit_law(counts, "mixture").pass_at(k)),
        low=low,
        high=high,
        tail_exponent=beta.a,
        frac_zero=inflated.frac_zero,
        zero_gain=max(0.0, inflated.loglik - beta.loglik),
    )

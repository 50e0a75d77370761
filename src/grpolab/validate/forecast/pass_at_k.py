"""pass@k: unbiased up to the number of samples, and an extrapolation beyond it.

For large k the answer is the left tail of the law of p. A beta gives a power law k^(-a); extra
prompts that are never solved give a plateau. With few samples per prompt the data hardly tell the
two apart, so every model's value is reported beside the others.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from grpolab.theory.dependence import BetaBinomial
from grpolab.theory.groups import GroupCounts
from grpolab.theory.pass_at_k import expected_pass_at_k, thin_all_wrong
from grpolab.validate.estimate import betabin, cells, mixture
from grpolab.validate.estimate.cells import CountCells
from grpolab.validate.forecast import partly
from grpolab.validate.forecast.beyond import beyond
from grpolab.validate.forecast.law import EmpiricalLaw, fit_law, fit_rows


class PassAtK(NamedTuple):
    """pass@k of a data set, its interval over prompts, and where its standard error comes from.

    ``stderr_within`` is the sampling noise if the prompts are the whole population;
    ``stderr_total`` adds the choice of the prompts. The interval is of the second kind.
    ``num_fitted`` prompts have fewer than k samples and take the value that a fitted beta says.
    """

    k: int
    value: float
    low: float
    high: float
    stderr_within: float
    stderr_total: float
    num_fitted: int = 0


def estimate_pass_at_k(
    counts: GroupCounts,
    k: int,
    *,
    rng: np.random.Generator | int,
    level: float = 0.95,
    num_resamples: int = 1000,
) -> PassAtK:
    """pass@k of the data set, the mean over prompts of 1 - C(n-c,k) / C(n,k) (arXiv 2107.03374).

    More than half of the prompts need n >= k samples; the others take their posterior under a
    fitted beta, and ``num_fitted`` counts them. The per-prompt values are independent draws of
    prompt and samples together, so resampling prompts covers both levels; resampling inside prompts
    as well would count the sampling noise twice. One prompt has no ``stderr_total`` (NaN).

    >>> round(estimate_pass_at_k(GroupCounts([0, 2, 4], 4), 2, rng=0).value, 6)
    0.611111
    """
    _check_k(k)
    data = cells.unfiltered(counts)
    if not partly.mostly(data, k):
        have = data.num_clusters - partly.num_short(data, k)
        raise ValueError(
            f"k must not exceed the samples of most prompts ({have} of {data.num_clusters} have as"
            f" many), got {k}; see extrapolate_pass_at_k"
        )
    law = fit_rows(data, "thinning")
    assert isinstance(law, EmpiricalLaw)
    value = float(law.pass_at(k))
    low, high = law.interval(
        lambda one: one.pass_at(k), rng=rng, level=level, num_resamples=num_resamples
    )
    each = law.each().pass_at(k)
    prompts = data.num_clusters
    spread = float(cells.cell_mean(data, (each - value) ** 2))
    within = within_variance(data, k) / prompts
    total = max(spread / (prompts - 1), within) if prompts > 1 else math.nan
    errors = math.sqrt(within), math.sqrt(total)
    return PassAtK(k, value, low, high, *errors, num_fitted=law.num_fitted(k))


def _check_k(k: int) -> None:
    if k < 1:
        raise ValueError(f"k must be >= 1, got {k}")


def within_variance(data: CountCells, k: int) -> float:
    """Mean over prompts of the variance of 1 - C(n-c,k)/C(n,k) given p; O(1) per prompt.

    Given p it is ``sum_j h_j q^(2k-j) - q^2k``, for two k-subsets that share j samples with the
    hypergeometric chance h_j. The sum is the mean square of v = C(n-c,k)/C(n,k), and thinning to 2k
    is unbiased for q^2k, so ``v^2 - C(n-c,2k)/C(n,2k)`` is unbiased for the variance. Where n < 2k
    the posterior of p under the beta fitted to all prompts gives E[q^2k] instead, and where n < k
    its variance of q^k is all that is left. The result is then at least the bound of a U-statistic
    (Hoeffding 1948), ``k^2/n (q^(2k-1) - q^2k)``. Derived here.

    >>> data = cells.tabulate(GroupCounts([0, 1, 2, 4], 4))
    >>> round(within_variance(data, 1), 6), round(float(np.mean([0, 3, 4, 0])) / 48, 6)
    (0.036458, 0.036458)
    """
    c, n = data.num_correct, data.num_samples
    known = n >= k
    square = np.where(known, np.nan_to_num(thin_all_wrong(n, c, k)) ** 2, 0.0)
    both = np.nan_to_num(thin_all_wrong(n, c, 2 * k))
    if np.any(n < 2 * k):
        post = partly.posterior(partly.fit_prior(data), data)
        one, two = post.prob_all_wrong(k), post.prob_all_wrong(2 * k)
        both = np.where(n >= 2 * k, both, two)
        least = k**2 / n * (post.prob_all_wrong(2 * k - 1) - two)
        found, low = (
            float(cells.cell_mean(data, np.where(known, value, two - one**2)))
            for value in (square - both, least)
        )
        return max(found, low)
    return max(float(cells.cell_mean(data, square - both)), 0.0)


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

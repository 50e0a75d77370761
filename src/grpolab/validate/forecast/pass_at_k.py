"""pass@k beyond the number of samples: an extrapolation, and how far it depends on the model.

For large k the answer is the left tail of the distribution of p. A beta gives a power law k^(-a);
extra prompts that are never solved give a plateau. With few samples per prompt the data hardly
tell the two apart, so every model's value is reported beside the others.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from grpolab import streams
from grpolab.theory.dependence import BetaBinomial
from grpolab.theory.groups import GroupCounts
from grpolab.validate.estimate import betabin, cells, mixture
from grpolab.validate.forecast import zero_std as estimate


class Extrapolation(NamedTuple):
    """pass@k under three models; ``low`` and ``high`` cover the intervals of beta and mixture.

    ``tail_exponent`` is the beta's a in 1 - pass@k ~ k^(-a); ``frac_zero`` the share of prompts
    with p = 0 under the zero-inflated beta, and ``zero_gain`` what it adds to the log-likelihood
    (below 1.35 the one-sided test at 5 % cannot tell it from 0).
    """

    k: int
    beta_binomial: float
    zero_inflated: float
    mixture: float
    low: float
    high: float
    tail_exponent: float
    frac_zero: float
    zero_gain: float


def extrapolate_pass_at_k(
    counts: GroupCounts,
    k: int,
    *,
    rng: np.random.Generator | int,
    level: float = 0.95,
    num_resamples: int = 100,
) -> Extrapolation:
    """pass@k for any k, by beta-binomial ``1 - B(a, b + k) / B(a, b)``, inflated beta and NPMLE.

    k >= 1. The interval is the union of the prompt-bootstrap intervals of the beta and of the
    mixture. Source of the power law: arXiv 2407.21787; the comparison of models is derived here.

    >>> counts = GroupCounts([0, 0, 1, 3, 8, 5, 2, 0], 8)
    >>> result = extrapolate_pass_at_k(counts, 64, rng=0, num_resamples=20)
    >>> result.low <= result.beta_binomial <= result.high
    True
    """
    if k < 1:
        raise ValueError(f"k must be >= 1, got {k}")
    beta = estimate.fit_beta_binomial(counts)
    inflated = mixture.fit_inflated_beta(counts, one=False)
    data = cells.tabulate(counts)
    boot = cells.resample(
        data, num_resamples=num_resamples, rng=streams.generator(rng, "bootstrap")
    )
    fits = betabin.maximise(betabin.tails(boot))
    by_beta = 1.0 - BetaBinomial(mean=fits.mean, rho=fits.rho).prob_all_wrong(k)
    by_mixture = np.array(
        [
            _mixture_pass(mixture.fit_cells(data._replace(weight=w), tolerance=1e-4), k)
            for w in boot.weight
        ]
    )
    ends = [
        cells.percentile_interval(d, level=level, num_clusters=data.num_clusters)
        for d in (by_beta, by_mixture)
    ]
    tail = BetaBinomial.from_ab(inflated.a, inflated.b)
    return Extrapolation(
        k=k,
        beta_binomial=1.0 - float(BetaBinomial(mean=beta.mean, rho=beta.rho).prob_all_wrong(k)),
        zero_inflated=(1.0 - inflated.frac_zero) * (1.0 - float(tail.prob_all_wrong(k))),
        mixture=_mixture_pass(mixture.fit_mixture(counts), k),
        low=min(e[0] for e in ends),
        high=max(e[1] for e in ends),
        tail_exponent=beta.a,
        frac_zero=inflated.frac_zero,
        zero_gain=max(0.0, inflated.loglik - beta.loglik),
    )


def _mixture_pass(fit: mixture.Mixture, k: int) -> float:
    return fit.expect(1.0 - (1.0 - fit.support) ** k)

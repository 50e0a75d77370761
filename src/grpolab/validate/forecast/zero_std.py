"""What n samples per prompt say about groups of another size: pass@k and the zero-std share.

Thinning is exact and free of models for g <= n: the share of g-subsets of the samples of a prompt
that are all wrong or all right is unbiased for any exchangeable rewards. For g > n something must
be assumed about the distribution of p: a beta, or the non-parametric mixture.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import stats

from grpolab import streams
from grpolab.theory.critical import critical_p
from grpolab.theory.dependence import BetaBinomial
from grpolab.theory.groups import FloatArray, GroupCounts, IntArray
from grpolab.theory.pass_at_k import pass_at_k as unbiased_pass_at_k
from grpolab.theory.pass_at_k import thin_all_right, thin_all_wrong
from grpolab.theory.zero_std import prob_zero_std
from grpolab.validate.estimate import betabin, cells, mixture
from grpolab.validate.estimate.cells import Cells

METHODS = ("auto", "thinning", "beta-binomial", "mixture")
_MIXTURE_RESAMPLES = 200


class BetaBinomialFit(NamedTuple):
    """Beta(a, b) over prompts, its mean and rho = 1 / (1 + a + b), and the log-likelihood."""

    a: float
    b: float
    mean: float
    rho: float
    loglik: float


class ZeroStdPrediction(NamedTuple):
    """Share of groups without spread at a planned group size, with an interval over prompts.

    ``iid_mean_p`` is the share that the mean success rate alone would give, d_g(mean p): it is
    never larger than the truth on average (Jensen), and often far too small.
    """

    group_size: int
    zero_std: float
    all_wrong: float
    all_right: float
    low: float
    high: float
    iid_mean_p: float
    method: str


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


def _prompt_cells(counts: GroupCounts) -> Cells:
    if counts.provenance.filtered:
        raise ValueError(
            "counts are marked filtered (mixed groups only), so shares computed from them are"
            " conditional on a mixed group; use a dump taken before filtering"
        )
    return cells.tabulate(counts)


def _require_pairs(data: Cells) -> None:
    if data.num_samples.max() < 2:
        raise ValueError(
            "counts must hold a prompt with at least 2 samples: one sample per prompt says nothing"
            " about the spread of p"
        )


def fit_beta_binomial(counts: GroupCounts) -> BetaBinomialFit:
    """Maximum-likelihood beta-binomial over prompts; unequal sizes allowed.

    Where the prompts are no more spread than binomial, rho = 0 and a = b = inf; the log-likelihood
    includes the binomial coefficients. Raises ValueError for ``filtered`` tables and where no
    prompt has two samples.

    >>> fit = fit_beta_binomial(GroupCounts([0] * 32 + [1] * 103 + [2] * 122 + [3] * 80, 3))
    >>> round(fit.a, 4), round(fit.b, 4), round(-fit.loglik, 3)
    (6.1198, 4.4186, 436.813)
    """
    data = _prompt_cells(counts)
    _require_pairs(data)
    fit = betabin.maximise(betabin.tails(data))
    mean, rho = float(fit.mean[0]), float(fit.rho[0])
    scale = np.inf if rho == 0 else 1.0 / rho - 1.0
    a = mean * scale if mean > 0 else 0.0
    b = (1.0 - mean) * scale if mean < 1 else 0.0
    return BetaBinomialFit(a, b, mean, rho, float(fit.loglik[0]) + betabin.log_choose(data))


def _check_group_size(group_size: int) -> None:
    if group_size < 1:
        raise ValueError(f"group_size must be >= 1, got {group_size}")


def _thin(data: Cells, group_size: int) -> tuple[FloatArray, FloatArray]:
    """Shares all wrong and all right by thinning; shape of the weights without the last axis."""
    y, n = data.num_correct, data.num_samples
    if int(n.min()) < group_size:
        raise ValueError(
            f"method 'thinning' needs at least group_size={group_size} samples for every prompt,"
            f" got {int(n.min())}"
        )
    wrong = cells.cell_mean(data, thin_all_wrong(n, y, group_size))
    return wrong, cells.cell_mean(data, thin_all_right(n, y, group_size))


def _beta(data: Cells, group_size: int) -> tuple[FloatArray, FloatArray]:
    fit = betabin.maximise(betabin.tails(data))
    shape = data.weight.shape[:-1]
    law = BetaBinomial(mean=fit.mean, rho=fit.rho)
    wrong, right = law.prob_all_wrong(group_size), law.prob_all_right(group_size)
    return wrong.reshape(shape), right.reshape(shape)


def _npmle(data: Cells, group_size: int) -> tuple[FloatArray, FloatArray]:
    rows = np.atleast_2d(data.weight)
    fits = [mixture.fit_cells(data._replace(weight=row), tolerance=1e-4) for row in rows]
    shape = data.weight.shape[:-1]
    wrong = np.array([f.expect((1 - f.support) ** group_size) for f in fits])
    right = np.array([f.expect(f.support**group_size) for f in fits])
    return wrong.reshape(shape), right.reshape(shape)


_PREDICTORS = {"thinning": _thin, "beta-binomial": _beta, "mixture": _npmle}


def predict_zero_std(
    counts: GroupCounts,
    group_size: int,
    *,
    rng: np.random.Generator | int,
    method: str = "auto",
    level: float = 0.95,
    num_resamples: int = 1000,
) -> ZeroStdPrediction:
    """Expected share of zero-std groups of ``group_size`` rollouts, one group per prompt.

    Parameters
    ----------
    counts : GroupCounts
        Successes per group.
    group_size : int
        Planned rollouts per group.
    rng : Generator or int
        Generator, or seed, of the bootstrap.
    method : {"auto", "thinning", "beta-binomial", "mixture"}
        "thinning" is ``mean [C(c,g) + C(n-c,g)] / C(n,g)`` (every prompt needs n >= g); "mixture"
        is the NPMLE (at most 200 resamples); "auto" thins where it can and fits a beta-binomial
        where it cannot.
    level : float
        Confidence level of the interval, in (0, 1).
    num_resamples : int
        Resamples of prompts.

    Returns
    -------
    ZeroStdPrediction
        Shares of zero-std, all-wrong and all-right groups with an interval; of one prompt it is [0,
        1].

    Raises
    ------
    ValueError
        A filtered table, an unknown method, or too few samples for it.

    Examples
    --------
    >>> prediction = predict_zero_std(GroupCounts([0, 2, 4], 4), 2, rng=0)
    >>> round(prediction.zero_std, 6), prediction.iid_mean_p
    (0.777778, 0.5)
    """
    _check_group_size(group_size)
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    data = _prompt_cells(counts)
    if method == "auto":
        enough = int(data.num_samples.min()) >= group_size
        method = "thinning" if enough else "beta-binomial"
    if method != "thinning":
        _require_pairs(data)
    predictor = _PREDICTORS[method]
    wrong, right = (float(v) for v in predictor(data, group_size))
    repeats = min(num_resamples, _MIXTURE_RESAMPLES) if method == "mixture" else num_resamples
    boot = cells.resample(data, num_resamples=repeats, rng=streams.generator(rng, "bootstrap"))
    draw_wrong, draw_right = predictor(boot, group_size)
    value = 1.0 if group_size == 1 else wrong + right
    low, high = cells.share_interval(
        np.minimum(draw_wrong + draw_right, 1.0),
        value=value,
        level=level,
        num_clusters=data.num_clusters,
    )
    if data.num_clusters < 2:
        low, high = 0.0, 1.0  # one prompt says nothing of others
    mean = float(cells.cell_mean(data, data.rate))
    iid = float(prob_zero_std(mean, group_size))
    return ZeroStdPrediction(group_size, value, wrong, right, low, high, iid, method)


def pass_at_k(
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

    >>> round(pass_at_k(GroupCounts([0, 2, 4], 4), 2, rng=0).value, 6)
    0.611111
    """
    _check_group_size(k)
    data = _prompt_cells(counts)
    y, n = data.num_correct, data.num_samples
    if int(n.min()) < k:
        raise ValueError(
            f"k must not exceed the samples of any prompt ({int(n.min())}), got {k};"
            " see extrapolate_pass_at_k"
        )
    values = unbiased_pass_at_k(n, y, k)
    value = float(cells.cell_mean(data, values))
    boot = cells.resample(
        data, num_resamples=num_resamples, rng=streams.generator(rng, "bootstrap")
    )
    draws = cells.cell_mean(boot, values)
    low, high = cells.share_interval(
        draws, value=value, level=level, num_clusters=data.num_clusters
    )
    within = float(cells.cell_mean(data, _within_variance(n, y, k))) / data.num_clusters
    spread = float(cells.cell_mean(data, (values - value) ** 2))
    total = spread / max(data.num_clusters - 1, 1)
    return PassAtK(k, value, low, high, float(np.sqrt(within)), float(np.sqrt(total)))


def _within_variance(num_samples: IntArray, num_correct: IntArray, k: int) -> FloatArray:
    """Variance of the unbiased estimator given p = c / n, shape [U].

    Two k-subsets share j samples with hypergeometric chance h_j, and then both fail with chance
    q^(2k - j), so the variance is ``sum_j h_j (q^(2k-j) - q^(2k))`` (derived here).
    """
    q = 1.0 - num_correct / num_samples
    shared = np.arange(1, k + 1)
    chance = stats.hypergeom.pmf(shared, num_samples[:, None], k, k)
    both = q[:, None] ** (2 * k - shared) - q[:, None] ** (2 * k)
    return np.asarray(np.sum(chance * both, axis=-1))


class ZeroStdEffect(NamedTuple):
    """Zero-std share at one group size by four roads, and the threshold with and without spread.

    ``observed`` is the share among groups of exactly this size (NaN where there are none),
    ``thinned`` the model-free estimate (NaN for prompts with fewer samples), ``beta_binomial`` the
    fit, ``iid_mean_p`` the number that ignores heterogeneity. ``critical_p`` is the mean at which
    half of the groups have zero std; NaN where rho is so large that it happens at every mean.
    """

    group_size: int
    observed: float
    thinned: float
    beta_binomial: float
    iid_mean_p: float
    critical_p_iid: float
    critical_p: float


def zero_std_effect(counts: GroupCounts, group_size: int) -> ZeroStdEffect:
    """What the spread of p over prompts does to the zero-std share and to its threshold.

    >>> effect = zero_std_effect(GroupCounts([0, 0, 4, 4], 4), 4)
    >>> effect.thinned, effect.beta_binomial, effect.iid_mean_p
    (1.0, 1.0, 0.125)
    """
    at = counts.group_size == group_size
    observed = counts.select(at).frac_zero_std if at.any() else math.nan
    fit = predict_zero_std(counts, group_size, rng=0, method="beta-binomial", num_resamples=1)
    enough = int(counts.by_prompt().num_samples.min()) >= group_size
    thinned = math.nan
    if enough:
        thinned = predict_zero_std(
            counts, group_size, rng=0, method="thinning", num_resamples=1
        ).zero_std
    rho = fit_beta_binomial(counts).rho
    return ZeroStdEffect(
        group_size=group_size,
        observed=observed,
        thinned=thinned,
        beta_binomial=fit.zero_std,
        iid_mean_p=fit.iid_mean_p,
        critical_p_iid=float(critical_p(group_size)),
        critical_p=float(critical_p(group_size, rho=rho)),
    )

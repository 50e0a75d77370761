"""Dumps taken after dynamic sampling: the beta-binomial seen only through its mixed groups.

Such a dump holds no group that is all wrong or all right, so everything in it looks alive. The
likelihood conditional on a mixed group is still a function of (mean, rho), and the share of groups
that were thrown away follows from the fit. It is an extrapolation: the shape of a beta fills in
what was not recorded, and the interval does not cover the case that the beta is wrong.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import optimize, special

from grpolab.theory.groups import FloatArray, GroupCounts, IntArray
from grpolab.validate.estimate import betabin, bootstrap, cells
from grpolab.validate.estimate.cells import CountCells

_STARTS = ((0.2, 0.1), (0.5, 0.3), (0.8, 0.1), (0.05, 0.5))
_FEW = 20  # groups up to which the bootstrap reckons with a kind that was not seen
_BOUNDS = [(-12.0, 12.0), (-14.0, 8.0)]


class TruncatedFit(NamedTuple):
    """Mean and rho before filtering, and the share of groups that filtering left out.

    ``frac_kept`` is the fitted share of mixed groups at the sizes in the dump; ``kept_low`` and
    ``kept_high`` are its interval over groups.
    """

    mean: float
    rho: float
    frac_kept: float
    kept_low: float
    kept_high: float
    loglik: float


def fit_truncated(
    counts: GroupCounts,
    *,
    rng: np.random.Generator | int,
    level: float = 0.95,
    num_resamples: int = 100,
) -> TruncatedFit:
    """Beta-binomial over groups, conditional on ``0 < K < g`` for every group.

    Maximises ``sum log BB(K; g, mean, rho) - log(1 - P(0) - P(g))``. Needs mixed groups only and at
    least one of 4 or more rollouts: below that the conditional law has one free number and cannot
    fix two. Raises ValueError otherwise. Derived here.

    >>> draws = np.repeat([1, 2, 3, 4, 5, 6, 7], [40, 25, 15, 10, 6, 3, 1])
    >>> 0.0 < fit_truncated(GroupCounts(draws, 8), rng=0, num_resamples=5).frac_kept < 1.0
    True
    """
    if bool(np.any(counts.all_wrong | counts.all_right)):
        raise ValueError("counts must hold mixed groups only; fit the others without truncation")
    data = cells.tabulate(counts, unit="groups")
    if int(data.num_samples.max()) < 4:
        raise ValueError(
            "counts must hold groups of at least 4 rollouts: mixed groups of"
            f" {int(data.num_samples.max())} do not tell mean and correlation apart"
        )
    theta, value = _maximise(data, _starts())
    boot = _resampled(data, num_resamples=num_resamples, rng=rng)
    kept = []
    for weight in boot.weight:
        one = boot._replace(weight=weight)
        kept.append(_frac_kept(one, _maximise(one, [theta])[0]))
    share = _frac_kept(data, theta)
    low, high = bootstrap.share_interval(
        np.array(kept), value=share, level=level, num_clusters=data.num_clusters
    )
    mean, rho = (float(v) for v in special.expit(theta))
    loglik = value + betabin.log_choose(data)
    return TruncatedFit(mean, rho, share, low, high, loglik)


def _resampled(
    data: CountCells, *, num_resamples: int, rng: np.random.Generator | int
) -> CountCells:
    """Resampled groups; few ones, or all alike, with one more of any mixed count."""
    if data.num_clusters > _FEW and np.ptp(data.rate) > 0:
        return bootstrap.resample(data, num_resamples=num_resamples, rng=rng)
    size = int(data.num_samples.max())
    added = np.full(size + 1, 1.0 / (size - 1))
    added[[0, -1]] = 0.0
    return bootstrap.resample_bayesian(data, num_resamples=num_resamples, rng=rng, added=added)


def _starts() -> list[FloatArray]:
    return [special.logit(np.array(pair)) for pair in _STARTS]


def _prob_mixed(sizes: IntArray, mean: float, rho: float) -> FloatArray:
    """1 - P(0) - P(g) of the beta-binomial for every size [S]; rho strictly inside (0, 1)."""
    j = np.arange(int(sizes.max()))
    below = np.log(1.0 - rho + j * rho)
    wrong = np.cumsum(np.log((1.0 - mean) * (1.0 - rho) + j * rho) - below)
    right = np.cumsum(np.log(mean * (1.0 - rho) + j * rho) - below)
    same = np.exp(wrong[sizes - 1]) + np.exp(right[sizes - 1])
    mixed: FloatArray = np.maximum(1.0 - same, 1e-300)
    return mixed


def _maximise(data: CountCells, starts: list[FloatArray]) -> tuple[FloatArray, float]:
    table = betabin.tails(data)
    sizes, row = np.unique(data.num_samples, return_inverse=True)
    many = np.bincount(row, weights=data.weight)

    def negative(theta: FloatArray) -> float:
        mean, rho = special.expit(theta)
        kernel = betabin.kernel(table, np.array([mean]), np.array([rho]))[0]
        return float(many @ np.log(_prob_mixed(sizes, mean, rho)) - kernel)

    found = [optimize.minimize(negative, s, method="L-BFGS-B", bounds=_BOUNDS) for s in starts]
    best = min(found, key=lambda f: float(f.fun))
    return best.x, -float(best.fun)


def _frac_kept(data: CountCells, theta: FloatArray) -> float:
    """Groups that were kept per group that was drawn, sizes as in the dump."""
    mean, rho = special.expit(theta)
    drawn = data.weight / _prob_mixed(data.num_samples, mean, rho)
    return float(data.weight.sum() / drawn.sum())

"""How likely is each of several checkpoints the best? Shrunk: the claim equals the hit rate.

The share of bootstrap resamples in which a checkpoint leads claims too much, because the leader was
chosen for leading: among five equal checkpoints it says .55 where .2 is right. Here the true means
are a sample from one normal law of unknown spread, which may be zero, and what is measured is drawn
back towards the common mean by as much as the data themselves call for.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import linalg

from grpolab import streams
from grpolab.theory.groups import FloatArray
from grpolab.validate.estimate import bootstrap

_NONE = 0.2  # prior weight of "all are equal"
_SPREADS = np.geomspace(0.25, 32.0, 15)  # of the true means, in units of their standard error
_DRAWS = 8000


class Chances(NamedTuple):
    """``best`` [K]: chance of the highest true mean; ``more`` [K, K]: of row above column."""

    best: FloatArray
    more: FloatArray


def best_chances(values: FloatArray, *, rng: np.random.Generator | int) -> Chances:
    """Posterior of the order of K means from per-prompt values [K, P] over the same prompts.

    ``y ~ N(theta, S)`` with S the covariance of the K means over prompts (correlated, since the
    prompts are shared), ``theta_i ~ N(mu, tau^2)``, a flat mu, and a prior of tau: 0 with weight
    0.2, else log-uniform from 1/4 to 32 standard errors. Ties count in equal parts. Hierarchical
    normal model: Rubin 1981, Journal of Educational Statistics 6.

    >>> same = np.tile(np.linspace(0, 1, 50), (4, 1))
    >>> best_chances(same, rng=0).best.tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    count, prompts = values.shape
    if count == 1:
        return Chances(np.ones(1), np.full((1, 1), 0.5))
    if prompts < 2:
        return Chances(np.full(count, 1.0 / count), np.full((count, count), 0.5))
    basis = linalg.null_space(np.ones((1, count))).T  # [K-1, K], orthonormal contrasts
    gaps = basis @ values
    mean = gaps.mean(axis=1)
    noise = _noise(gaps)
    scale = float(np.trace(noise)) / (count - 1)
    generator = streams.generator(rng, "best")
    taus = np.concatenate([[0.0], _SPREADS * np.sqrt(scale)])
    prior = np.concatenate([[_NONE], np.full(len(_SPREADS), (1.0 - _NONE) / len(_SPREADS))])
    fit = np.array([_loglik(mean, noise, tau) for tau in taus])
    weight = prior * np.exp(fit - fit.max())
    drawn = generator.multinomial(_DRAWS, weight / weight.sum())
    theta = np.concatenate(
        [
            _draw(mean, noise, tau, times, generator)
            for tau, times in zip(taus, drawn, strict=True)
            if times
        ]
    )
    score = theta @ basis
    above = score[:, :, None] - score[:, None, :]
    more = (above > 1e-12).mean(axis=0) + (np.abs(above) <= 1e-12).mean(axis=0) / 2
    return Chances(bootstrap.shared(bootstrap.top_share(score).mean(axis=0), values), more)


def _noise(gaps: FloatArray) -> FloatArray:
    """Covariance of the mean contrasts, drawn a little towards a multiple of the identity.

    Never zero: P prompts that all agree may have missed a prompt of another kind.
    """
    rows, prompts = gaps.shape
    found = np.atleast_2d(np.cov(gaps)) / prompts
    even = float(np.trace(found)) / rows
    part = rows / (rows + prompts)
    floor = (0.1 / prompts) ** 2
    return np.asarray((1 - part) * found + (part * even + floor) * np.eye(rows))


def _loglik(mean: FloatArray, noise: FloatArray, tau: float) -> float:
    total = noise + tau**2 * np.eye(len(mean))
    _, logdet = np.linalg.slogdet(total)
    return -0.5 * float(logdet + mean @ np.linalg.solve(total, mean))


def _draw(
    mean: FloatArray, noise: FloatArray, tau: float, times: int, rng: np.random.Generator
) -> FloatArray:
    """Draws [times, K-1] of the true contrasts given the spread tau."""
    if tau == 0.0:
        return np.zeros((times, len(mean)))
    gain = tau**2 * np.linalg.inv(noise + tau**2 * np.eye(len(mean)))
    centre = gain @ mean
    cover = tau**2 * (np.eye(len(mean)) - gain)
    root = np.linalg.cholesky((cover + cover.T) / 2 + 1e-18 * np.eye(len(mean)))
    return np.asarray(centre + rng.standard_normal((times, len(mean))) @ root.T)

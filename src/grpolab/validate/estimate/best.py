"""How likely is each of several checkpoints the best? Shrunk: the claim equals the hit rate.

The share of bootstrap resamples in which a checkpoint leads claims too much, because the leader was
chosen for leading: among five equal checkpoints it says .55 where .2 is right. Here some of the
true means may be equal: they have an unknown number of levels, which are a sample from one normal
law of unknown spread, and what is measured is drawn back by as much as the data themselves call
for. So one checkpoint that is far from the rest says nothing of differences among the rest.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from scipy import linalg, special

from grpolab import streams
from grpolab.theory.groups import FloatArray, IntArray
from grpolab.validate.estimate import bootstrap

_ALIKE = 0.25  # prior weight of "all are equal"
_SPREADS = np.geomspace(1.0, 20.0, 8)  # of the levels, in units of the standard error of a mean
_CUTS = 8  # gaps that may, one by one, be differences or not
_DRAWS = 8000


class Chances(NamedTuple):
    """``best`` [K]: chance of the highest true mean; ``more`` [K, K]: of row above column."""

    best: FloatArray
    more: FloatArray


def best_chances(values: FloatArray, *, rng: np.random.Generator | int) -> Chances:
    """Posterior of the order of K means from per-prompt values [K, P] over the same prompts.

    ``y ~ N(theta, S)`` with S the covariance of the K means over prompts (correlated, since the
    prompts are shared). The means in order are cut into groups of equal theta: one group with prior
    weight 1/4, else 2 to K groups, equally likely; cuts into one number of groups weigh among each
    other as in a Chinese restaurant process. The levels of the groups are ``N(mu, tau^2)``, mu flat
    and tau log-uniform from 1 to 20 standard errors. Ties count in equal parts. The weights are
    those that make claims and rates equal on one half of a grid of ladders; the other half is in
    `grpolab verify prob-best --full`. Hierarchical normal model: Rubin 1981, Journal of Educational
    Statistics 6; groups: Pitman 1995, Probability Theory and Related Fields 102.

    >>> same = np.tile(np.linspace(0, 1, 50), (4, 1))
    >>> best_chances(same, rng=0).best.round(9).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    count, prompts = values.shape
    if count == 1:
        return Chances(np.ones(1), np.full((1, 1), 0.5))
    if prompts < 2:
        return Chances(np.full(count, 1.0 / count), np.full((count, count), 0.5))
    basis = linalg.null_space(np.ones((1, count))).T  # [K-1, K], orthonormal contrasts
    gaps = basis @ values
    mean, noise = gaps.mean(axis=1), _noise(gaps)
    taus = _SPREADS * np.sqrt(np.trace(noise) / (count - 1))
    group, prior = _groupings(values.mean(axis=1))
    alike = group[:, :, None] == group[:, None, :]  # [M, K, K]
    cover = taus[:, None, None] ** 2 * (basis @ alike @ basis.T)[:, None]
    total = (noise + cover).reshape(-1, count - 1, count - 1)  # every grouping with every tau
    inverse = np.linalg.inv(total)
    far = np.einsum("i,mij,j->m", mean, inverse, mean)
    fit = np.repeat(prior, len(taus)) - (np.linalg.slogdet(total)[1] + far) / 2
    weight = np.exp(fit - fit.max())
    generator = streams.generator(rng, "best")
    model = np.repeat(np.arange(len(fit)), generator.multinomial(_DRAWS, weight / weight.sum()))
    which, tau = model // len(taus), taus[model % len(taus), None]
    # a draw of prior and noise, moved by what its data lack to be those seen (Matheron's rule)
    level = tau * generator.standard_normal((_DRAWS, count))
    theta = np.take_along_axis(level, group[which], axis=1)
    noisy = generator.standard_normal((_DRAWS, count - 1)) @ np.linalg.cholesky(noise).T
    lack = (inverse[model] @ (mean - theta @ basis.T - noisy)[..., None])[..., 0] @ basis
    theta = theta + tau**2 * (alike[which] @ lack[..., None])[..., 0]
    tied = alike[which]
    above = (theta[:, :, None] > theta[:, None, :]) & ~tied
    more = above.mean(axis=0) + tied.mean(axis=0) / 2
    top = tied[np.arange(_DRAWS), theta.argmax(axis=1)]
    best = (top / top.sum(axis=1, keepdims=True)).mean(axis=0)
    return Chances(bootstrap.shared(best, values), more)


def _groupings(means: FloatArray) -> tuple[IntArray, FloatArray]:
    """Groups of equal means, [M, K] numbers of the groups and logs [M] of their prior weights.

    A group is a run of the K means in order. Of more than 9 means only the widest gaps may each
    divide groups or not; the others all do, or all do not.
    """
    order = np.argsort(-means, kind="stable")
    gaps = len(means) - 1
    wide = np.argsort(np.diff(means[order]), kind="stable")[:_CUTS]
    some = np.array(list(itertools.product((0, 1), repeat=len(wide))))
    cut = np.repeat([[0], [1]] if gaps > _CUTS else [[0]], len(some), axis=0).repeat(gaps, axis=1)
    cut[:, wide] = np.tile(some, (len(cut) // len(some), 1))
    number = cut.sum(axis=1)
    group = np.zeros((len(cut), len(means)), dtype=np.int64)
    group[:, order[1:]] = np.cumsum(cut, axis=1)
    sizes = (group[:, :, None] == np.arange(len(means))).sum(axis=1)
    weight = np.exp(special.gammaln(np.maximum(sizes, 1)).sum(axis=1))
    weight /= np.bincount(number, weight)[number]
    return group, np.log(weight * np.where(number == 0, _ALIKE, (1.0 - _ALIKE) / gaps))


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

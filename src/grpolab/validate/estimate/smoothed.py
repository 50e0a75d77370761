"""The law of p between a beta and the most likely law: the mixture, smoothed toward a beta.

A fitted beta is steady and wrong where prompts are of two kinds; the most likely law of p is right
about what n samples can tell, and arbitrary about the rest. Between them lies the most likely law
under a Dirichlet prior centred on the fitted beta: where the counts speak it follows them, and
where they are silent it keeps to the beta.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import special

from grpolab.theory.groups import FloatArray
from grpolab.validate.estimate import betabin, cells, likelihood
from grpolab.validate.estimate.cells import CountCells

PRIOR_PROMPTS = 8.0
"""Strength of the prior in prompts: the least mean error over smooth laws, point masses and counts
of real models, for 30 to 250 prompts with 4 to 16 samples."""

_PASSES = 300  # of EM, after which a resampled law is within 1e-3 of its own optimum
_SPREAD = 1e-3  # of the first weights, over all rates
_DUST = 1e-6  # smaller weights are the solver's
_EDGE = 1e-6  # a beta with mean or rho closer to 0 or 1 is that of this distance


class GridLaw(NamedTuple):
    """Rates [G] and the weights [..., G] that one law or a batch of laws puts on them."""

    support: FloatArray
    weight: FloatArray


def smoothed_law(data: CountCells, *, prior_prompts: float = PRIOR_PROMPTS) -> GridLaw:
    """Most likely law of p under a Dirichlet prior around the fitted beta.

    Maximises ``sum_i log E[Bin(y_i; n_i, p)] + prior_prompts E_beta[log w(p)]`` over the weights w
    on a grid, for every row of weights [..., U] of ``data``. Derived here; a Dirichlet process
    prior (Ferguson 1973, Annals of Statistics 1) at its mode.

    >>> data = CountCells(np.array([0, 2, 4]), np.full(3, 4), np.array([20.0, 10.0, 20.0]))
    >>> law = smoothed_law(data)
    >>> round(float(law.weight @ law.support), 3)
    0.5
    """
    return _smoothed(data, prior_prompts)


@cells.remembered
def _smoothed(data: CountCells, prior_prompts: float) -> GridLaw:
    grid = likelihood.rate_grid(data)
    flat = data._replace(weight=np.atleast_2d(data.weight.reshape(-1, data.weight.shape[-1])))
    prior = _beta_weights(flat, grid)
    rows = np.concatenate([likelihood.cell_likelihood(flat, grid), np.eye(len(grid))])
    weight = likelihood.maximise(rows, np.concatenate([flat.weight, prior_prompts * prior], axis=1))
    weight = np.where(weight > _DUST, weight, 0.0)
    weight /= weight.sum(axis=1, keepdims=True)
    return GridLaw(grid, weight.reshape(*data.weight.shape[:-1], len(grid)))


def resampled_laws(
    data: CountCells, start: GridLaw, *, prior_prompts: float = PRIOR_PROMPTS
) -> GridLaw:
    """`smoothed_law` of resampled weights [B, U], hundreds at once: EM from the law of the sample.

    300 passes leave what groups are expected to show within a hundredth of its spread over the
    resamples.

    >>> data = CountCells(np.array([0, 2, 4]), np.full(3, 4), np.array([20.0, 10.0, 20.0]))
    >>> law = smoothed_law(data)
    >>> again = resampled_laws(data._replace(weight=data.weight[None]), law)
    >>> bool(np.abs(again.weight - law.weight).max() < 1e-3)
    True
    """
    prior = prior_prompts * _beta_weights(data, start.support)
    like = likelihood.cell_likelihood(data, start.support)
    total = data.weight.sum(axis=1, keepdims=True) + prior_prompts
    # EM leaves a weight of 0 where it is
    first = (1.0 - _SPREAD) * start.weight + _SPREAD / len(start.weight)
    weight = np.repeat(first[None], len(data.weight), axis=0)
    for _ in range(_PASSES):
        weight *= (data.weight / (weight @ like.T)) @ like
        weight += prior
        weight /= total
    return GridLaw(start.support, weight)


def _beta_weights(data: CountCells, grid: FloatArray) -> FloatArray:
    """The beta of every data set on the grid, each rate with what is nearest to it; [B, G]."""
    fit = betabin.fit_cells(data)
    mean = np.clip(fit.mean, _EDGE, 1.0 - _EDGE)[:, None]
    scale = 1.0 / np.clip(fit.rho, _EDGE, 1.0 - _EDGE)[:, None] - 1.0
    edges = (grid[1:] + grid[:-1]) / 2.0
    below = special.betainc(mean * scale, (1.0 - mean) * scale, edges)
    return np.diff(below, axis=1, prepend=0.0, append=1.0)

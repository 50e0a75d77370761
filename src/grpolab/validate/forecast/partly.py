"""Means over prompts of which some have fewer samples than a planned group.

One missing verdict must not decide the method for a whole file. Prompts with g samples are thinned,
which needs no model; each of the others takes its posterior under a law that is fitted to all
prompts, which knows its own verdicts and that it is one of them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from grpolab.theory.dependence import BetaBinomial
from grpolab.theory.groups import Exchangeable, FloatArray, IntArray
from grpolab.validate.estimate import betabin
from grpolab.validate.estimate.cells import CountCells


def fit_prior(data: CountCells) -> BetaBinomial:
    """The beta of maximum likelihood for every row of weights [..., U]."""
    fit = betabin.fit_cells(data)
    shape = data.weight.shape[:-1]
    return BetaBinomial(mean=fit.mean.reshape(shape), rho=fit.rho.reshape(shape))


def posterior(prior: Exchangeable, data: CountCells) -> BetaBinomial:
    """Beta(a + c, b + n - c) of every cell, written in mean and rho, which allows rho = 0 and 1."""
    mean, rho = prior.mean[..., None], prior.rho[..., None]
    c, n = data.num_correct, data.num_samples
    centre = ((1.0 - rho) * mean + rho * c) / ((1.0 - rho) + rho * n)
    return BetaBinomial(mean=np.clip(centre, 0.0, 1.0), rho=rho / (1.0 + rho * n))


def num_short(data: CountCells, group_size: int) -> int:
    """Prompts with fewer than ``group_size`` samples; the first row of weights of a batch counts.

    >>> num_short(CountCells(np.array([1, 2]), np.array([4, 8]), np.array([3.0, 5.0])), 8)
    3
    """
    weight = data.weight.reshape(-1, data.weight.shape[-1])[0]
    return round(float(weight[data.num_samples < group_size].sum()))


def mostly(data: CountCells, group_size: int) -> bool:
    """Have more than half of the prompts ``group_size`` samples?

    >>> mostly(CountCells(np.array([1, 2]), np.array([4, 8]), np.array([3.0, 5.0])), 8)
    True
    """
    return 2 * num_short(data, group_size) < data.num_clusters


def mean_over_prompts(
    data: CountCells,
    group_size: int,
    *,
    thin: Callable[[IntArray, IntArray], FloatArray],
    fitted: Callable[[CountCells], FloatArray] | None,
) -> FloatArray:
    """Mean over prompts of ``thin(n, c)``, or of ``fitted`` of the cells where n < group_size.

    Both give K numbers for each of V cells, [..., V, K]; the mean [..., K] has the shape of the
    batch of weights. ValueError where a prompt is short and nothing is fitted, or where most are.
    """
    known = data.num_samples >= group_size
    total = data.weight.sum(axis=-1)[..., None]
    if known.all():
        return np.asarray(_sum(data.weight, thin(data.num_samples, data.num_correct)) / total)
    if fitted is None:
        raise ValueError(
            f"method 'thinning' needs at least group_size={group_size} samples for every prompt,"
            f" got {int(data.num_samples.min())}"
        )
    if not known.any() or (data.weight.ndim == 1 and not mostly(data, group_size)):
        have = data.num_clusters - num_short(data, group_size)
        raise ValueError(
            f"method 'thinning' needs at least group_size={group_size} samples for most"
            f" prompts, got {have} of {data.num_clusters}"
        )
    enough, short = _some(data, known), _some(data, ~known)
    value = _sum(enough.weight, thin(enough.num_samples, enough.num_correct))
    rest = _sum(short.weight, fitted(short))
    return np.asarray((value + rest) / total)


def _some(data: CountCells, rows: npt.NDArray[np.bool_]) -> CountCells:
    return CountCells(data.num_correct[rows], data.num_samples[rows], data.weight[..., rows])


def _sum(weight: FloatArray, each: FloatArray) -> FloatArray:
    """Sum over the cells of numbers [..., V, K]; shape [..., K]."""
    return np.asarray(np.einsum("...v,...vk->...k", weight, each))

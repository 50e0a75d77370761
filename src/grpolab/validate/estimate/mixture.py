"""The distribution of p over prompts: non-parametric, beta, and beta with extra mass at 0 and 1.

What a group carries depends on the whole distribution of the success rate p, not on its mean. The
non-parametric maximum-likelihood estimate (NPMLE) is a convex problem whose solution has a few
atoms, and its optimality can be checked: no direction improves the likelihood.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import optimize, special

from grpolab.theory.groups import FloatArray, GroupCounts
from grpolab.validate.estimate import betabin, cells
from grpolab.validate.estimate.cells import CountCells

GRID: FloatArray = np.sin(np.linspace(0.0, np.pi / 2, 401)) ** 2
"""Success rates [G] that a mixture may put weight on."""

_ATOM = 1e-10  # smaller weights are rounding
_MAX_STEPS = 200


class Mixture(NamedTuple):
    """Atoms of the success rate [A] with their weights, and how far the fit is from optimal.

    ``gap`` bounds the log-likelihood that any other distribution on the grid could gain.
    """

    support: FloatArray
    weight: FloatArray
    loglik: float
    gap: float

    def expect(self, values: FloatArray) -> float:
        """Mean over prompts of a function of p, given at the atoms [A]."""
        return float(self.weight @ values)


class InflatedBeta(NamedTuple):
    """Shares of prompts with p = 0 and p = 1, and a Beta(a, b) for the others."""

    frac_zero: float
    frac_one: float
    a: float
    b: float
    loglik: float


def fit_mixture(counts: GroupCounts, *, tolerance: float = 1e-6) -> Mixture:
    """NPMLE of the distribution of p over prompts, on a grid of 401 arcsine-spaced rates.

    Maximises ``sum_i log sum_a w_a Bin(y_i; n_i, p_a)`` by the constrained Newton method (Wang
    2007, Journal of the Royal Statistical Society B 69); stops when ``gap`` < tolerance per prompt.

    >>> fit = fit_mixture(GroupCounts([0, 0, 8, 8], 8))
    >>> fit.support.tolist(), fit.weight.round(6).tolist()
    ([0.0, 1.0], [0.5, 0.5])
    """
    data = cells.unfiltered(counts)
    share, loglik, gap = _maximise(data, tolerance)
    atoms = share > 0
    return Mixture(GRID[atoms], share[atoms], loglik, gap)


def grid_weights(data: CountCells, *, tolerance: float) -> FloatArray:
    """Weights of the NPMLE on `GRID` for every row of weights [..., U]; shape [..., G]."""
    rows = data.weight.reshape(-1, data.weight.shape[-1])
    shares = [_maximise(data._replace(weight=row), tolerance)[0] for row in rows]
    return np.reshape(shares, (*data.weight.shape[:-1], len(GRID)))


def _maximise(data: CountCells, tolerance: float) -> tuple[FloatArray, float, float]:
    """Weights [G] of one data set (cell weights [U]), its log-likelihood, and what it may lack."""
    used = data.weight > 0
    data = CountCells(data.num_correct[used], data.num_samples[used], data.weight[used])
    y, n, w = data.num_correct, data.num_samples, data.weight
    log_like = _log_binomial(data, GRID)
    shift = log_like.max(axis=1)
    like = np.exp(log_like - shift[:, None])  # [U, G], row maximum 1
    total = w.sum()
    share = np.zeros(len(GRID))
    share[np.unique(np.searchsorted(GRID, y / n))] = 1.0
    share /= share.sum()
    density = like @ share
    gap = np.inf
    for _ in range(_MAX_STEPS):
        slope = (w / density) @ like - total
        gap = float(slope.max())
        if gap < tolerance * total:
            break
        share = _newton(share, like=like, w=w, density=density, slope=slope)
        density = like @ share
    share = np.where(share > _ATOM, share, 0.0)
    return share / share.sum(), float(w @ (np.log(density) + shift)), gap


def _log_binomial(data: CountCells, p: FloatArray) -> FloatArray:
    """Log of C(n, c) p^c (1-p)^(n-c) for every cell and every rate p [G]: shape [U, G]."""
    c, n = data.num_correct[:, None], data.num_samples[:, None]
    return np.asarray(data.log_choose[:, None] + special.xlogy(c, p) + special.xlog1py(n - c, -p))


def _newton(
    share: FloatArray, *, like: FloatArray, w: FloatArray, density: FloatArray, slope: FloatArray
) -> FloatArray:
    """Admit the local maxima of the slope as atoms, solve the quadratic model, search the line."""
    padded = np.concatenate([[-np.inf], slope, [-np.inf]])
    peak = (slope >= padded[:-2]) & (slope >= padded[2:])
    active = np.flatnonzero((share > 0) | peak)
    root = np.sqrt(w)
    ratio = like[:, active] / density[:, None]
    heavy = 1e3 * root.max() * np.sqrt(len(w))
    system = np.vstack([root[:, None] * ratio, np.full(len(active), heavy)])
    target = np.append(2.0 * root, heavy)
    solution, _ = optimize.nnls(system, target, maxiter=50 * len(active))
    goal = np.zeros_like(share)
    goal[active] = solution / solution.sum()
    direction = goal - share
    change = like @ direction
    rise = float((w / density) @ change)
    step = 1.0
    for _ in range(30):
        fresh = density + step * change
        if fresh.min() > 0 and float(w @ np.log(fresh / density)) >= step * rise / 3:
            break
        step /= 2
    return np.maximum(share + step * direction, 0.0)


def fit_inflated_beta(counts: GroupCounts, *, zero: bool = True, one: bool = True) -> InflatedBeta:
    """Beta-binomial with a share of prompts at exactly p = 0 and at exactly p = 1.

    Maximum likelihood of ``z0 [y = 0] + z1 [y = n] + (1 - z0 - z1) BB(y; n, a, b)``. With few
    samples per prompt the share at 0 and the left tail of the beta are hardly told apart, so
    compare models before quoting either.

    >>> round(fit_inflated_beta(GroupCounts([0] * 10 + [2, 3, 4, 5, 6], 8), one=False).frac_zero, 1)
    0.7
    """
    data = cells.unfiltered(counts)
    flags = np.array([zero, one])
    start = betabin.fit_cells(data)
    mean = float(np.clip(start.mean[0], 1e-3, 1 - 1e-3))
    rho = float(np.clip(start.rho[0], 1e-3, 0.9))
    y, n, w = data.num_correct, data.num_samples, data.weight
    empty, full = np.equal(y, 0), np.equal(y, n)
    choose = data.log_choose

    def unpack(theta: FloatArray) -> tuple[FloatArray, float, float]:
        logits = np.array([0.0, -np.inf, -np.inf])
        logits[1:][flags] = theta[2:]
        centre, link = special.expit(theta[0]), special.expit(theta[1])
        scale = 1.0 / link - 1.0
        return special.softmax(logits), float(centre * scale), float((1 - centre) * scale)

    def negative(theta: FloatArray) -> float:
        share, a, b = unpack(theta)
        body = choose + special.betaln(y + a, n - y + b) - special.betaln(a, b)
        return -float(
            w @ np.log(share[0] * np.exp(body) + share[1] * empty + share[2] * full + 1e-300)
        )

    bounds = [(-20.0, 20.0), (-16.0, 16.0)] + [(-25.0, 25.0)] * int(flags.sum())
    best = None
    for hint in (-3.0, -0.5):
        first = [special.logit(mean), special.logit(rho), *([hint] * int(flags.sum()))]
        found = optimize.minimize(negative, np.array(first), method="L-BFGS-B", bounds=bounds)
        best = found if best is None or found.fun < best.fun else best
    assert best is not None
    share, a, b = unpack(best.x)
    return InflatedBeta(float(share[1]), float(share[2]), a, b, -float(best.fun))

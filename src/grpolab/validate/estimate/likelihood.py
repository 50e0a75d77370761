"""The most likely law of p on a grid of rates, for many data sets at once.

The likelihood of a law on a grid is concave in its weights, and so are the two problems beside it:
the law that is most likely when a number of it is pulled up or down (`forecast.profile`), and the
one that is most likely with a prior (`smoothed`). Each is the same problem with more rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import special

from grpolab.theory.groups import FloatArray
from grpolab.validate.estimate.cells import CountCells

_POINTS = (129, 401)  # of the grid of p: 10 per root of the samples, within these
_LONG = 1600  # samples from which on the grid holds the observed rates, too
_NATS = 1e-4  # what a maximum may lack
_STEPS = 80
_ABSENT = 1e-9  # prompts in a row that has none


def rate_grid(data: CountCells) -> FloatArray:
    """Rates [G] spaced evenly in arcsine, a third of the error of one prompt's rate apart."""
    longest = int(data.num_samples.max())
    size = int(np.clip(10 * np.sqrt(longest), *_POINTS))
    grid = np.asarray(np.sin(np.linspace(0.0, np.pi / 2, size)) ** 2)
    return np.union1d(grid, data.rate) if longest > _LONG else grid


def cell_likelihood(data: CountCells, grid: FloatArray) -> FloatArray:
    """Likelihood of every cell at every rate, scaled to a largest value of 1; [U, G]."""
    c, n = data.num_correct[:, None], data.num_samples[:, None]
    log_like = special.xlogy(c, grid) + special.xlog1py(n - c, -grid)
    return np.asarray(np.exp(log_like - log_like.max(axis=1, keepdims=True)))


def maximise(rows: FloatArray, mass: FloatArray) -> FloatArray:
    """Weights [B, G] that maximise ``sum_u mass_bu log sum_g rows_ug w_bg``, within 1e-4 nats.

    A primal-dual interior-point method on the problem and its dual (Koenker and Mizera 2014,
    Journal of the American Statistical Association 109), many data sets ``mass`` [B, U] at once.
    ``rows`` [U, G] hold the likelihoods, each with a largest value of about 1.

    >>> maximise(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[3.0, 1.0]])).round(4).tolist()
    [[0.75, 0.25]]
    """
    mass = np.maximum(mass, _ABSENT)
    found = np.empty((len(mass), rows.shape[1]))
    live = np.arange(len(mass))
    state = _start(rows, mass)
    for _ in range(_STEPS):
        done = state.lack(mass) < _NATS
        if done.any():
            found[live[done]] = state.weight[done]
            live, mass = live[~done], mass[~done]
            state = State(*(part[~done] for part in state))
        if not len(live):
            break
        state = _step(rows, mass, state)
    found[live] = state.weight
    return np.asarray(found / found.sum(axis=1, keepdims=True))


class State(NamedTuple):
    """A law on the way to the most likely one, and the solution of the dual problem.

    At the end ``price * density`` is the mass of a row, and ``slack`` is 0 where there is weight.
    """

    weight: FloatArray  # [B, G], > 0
    density: FloatArray  # [B, U], rows @ weight
    price: FloatArray  # [B, U]
    slack: FloatArray  # [B, G], > 0
    centring: FloatArray  # [B, 1], share of the gap that the next step aims at

    def lack(self, mass: FloatArray) -> FloatArray:
        """Nats that the law may lack, [B]."""
        gap = np.vecdot(self.weight, self.slack)
        return np.asarray(np.maximum(gap, np.abs(mass - self.price * self.density).sum(axis=1)))


def _start(rows: FloatArray, mass: FloatArray) -> State:
    total = mass.sum(axis=1, keepdims=True)
    weight = np.full((len(mass), rows.shape[1]), 1.0 / rows.shape[1])
    density = weight @ rows.T
    price = mass / density
    price /= np.maximum((price @ rows).max(axis=1, keepdims=True) / (0.9 * total), 1.0)
    return State(weight, density, price, total - price @ rows, np.full((len(mass), 1), 0.2))


def _step(rows: FloatArray, mass: FloatArray, now: State) -> State:
    """One Newton step towards the conditions of an optimum, short of the boundary."""
    w, density, price, slack, centring = now
    gap = np.vecdot(w, slack)[:, None]
    target = np.maximum(centring * gap, 0.3 * _NATS) / rows.shape[1]
    wanted, aim, curve = mass / density, target / w, price / density
    rise = wanted @ rows - mass.sum(axis=1, keepdims=True) + aim
    d_w = _direction(rows, w / slack, curve, rise)
    d_density = d_w @ rows.T
    d_price = wanted - price - curve * d_density
    d_slack = aim - slack - slack / w * d_w
    pairs = ((w, d_w), (density, d_density), (price, d_price), (slack, d_slack))
    fall = -np.min([(d / x).min(axis=1) for x, d in pairs], axis=0)
    step = 1.0 / np.maximum(fall / 0.99, 1.0)[:, None]
    w, density, price, slack = (x + step * d for x, d in pairs)
    return State(w, density, price, slack, np.where(step > 0.9, 0.05, 0.3))


def _direction(
    rows: FloatArray, ratio: FloatArray, curve: FloatArray, pull: FloatArray
) -> FloatArray:
    """Solution x [B, G] of (R' diag(curve) R + diag(1/ratio)) x = pull, by the smaller system."""
    count, size = rows.shape
    if count < size:
        inner = (rows * ratio[:, None, :]) @ rows.T
        place = np.arange(count)
        inner[:, place, place] += 1.0 / curve
        first = ratio * pull
        inside = np.linalg.solve(inner, (first @ rows.T)[..., None])[..., 0]
        return np.asarray(first - ratio * (inside @ rows))
    outer = (rows.T * curve[:, None, :]) @ rows
    place = np.arange(size)
    outer[:, place, place] += 1.0 / ratio
    return np.asarray(np.linalg.solve(outer, pull[..., None])[..., 0])

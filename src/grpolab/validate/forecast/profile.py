"""What a number of the law of p may be, whatever that law is: the profile likelihood.

A mean over prompts of any function of p is known from n samples up to two errors: the prompts are a
sample, and n samples do not tell all laws of p apart. The profile likelihood holds both. It asks
of every value of the number how much worse the best law of p with that value explains the counts;
the values that cost too little to be excluded are the interval. No shape of the law is assumed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from grpolab.theory.groups import FloatArray
from grpolab.validate.estimate import bootstrap, likelihood
from grpolab.validate.estimate.cells import CountCells

Statistic = Callable[[FloatArray], FloatArray]
"""Success rates [G] to the value of one prompt at each, within [0, 1]; shape [G]."""

_STRETCH = 1.3  # of the quantile of chi-square
_SEEN = 0.1  # prompts: a share closer to 0 or 1 than theirs is not told from it
_FIRST = 6  # pulls tried before the search narrows
_ROUNDS = 2
_FLOATS = 1 << 22  # of one batch of likelihoods


class Tangents(NamedTuple):
    """Straight lines below the convex curve "cost in nats of a value", for both of its sides.

    The law that is best when the value is pulled up by ``pull`` has the value ``value`` and costs
    ``cost`` nats of likelihood; ``slope`` is that of the curve there. All have shape [..., 2, K];
    side 0 is pulled down, side 1 up.
    """

    value: FloatArray
    cost: FloatArray
    slope: FloatArray

    def ends(self, nats: float) -> tuple[FloatArray, FloatArray]:
        """Least and largest value whose cost is at most ``nats``; shapes [...].

        The curve lies above its tangents, so that no value which costs less is left out.
        """
        room = self.value + (nats - self.cost) / self.slope
        low, high = room[..., 0, :].max(axis=-1), room[..., 1, :].min(axis=-1)
        return np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)

    def least_cost(self, values: FloatArray) -> FloatArray:
        """What values [V] cost at least; shape [..., V]."""
        lines = self.cost[..., None] + self.slope[..., None] * (values - self.value[..., None])
        return np.asarray(np.maximum(lines.max(axis=(-3, -2)), 0.0))


def nats_at(level: float, *, num_prompts: int, stretch: float = _STRETCH) -> float:
    """Cost that excludes a value: ``stretch`` times half the squared t quantile on P - 1 degrees.

    Chi-square on one degree of freedom is the limit for a value in the inside of what the counts
    allow. Where all prompts have one of few success rates, and where hardly any prompt tells, the
    statistic is larger: 1.3 brings the coverage of such laws from 0.91 to 0.93 and more, and makes
    an interval 14% wider (`grpolab verify beyond`). Infinite for one prompt.

    >>> round(nats_at(0.95, num_prompts=10**6), 3), round(nats_at(0.95, num_prompts=20), 3)
    (2.497, 2.847)
    """
    return 0.5 * stretch * bootstrap.t_quantile(level, num_prompts - 1) ** 2


def law_interval(
    data: CountCells, statistic: Statistic, *, level: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """Interval of the mean of ``statistic`` over prompts that holds for any law of p.

    ``{t : max over laws of p with E[statistic] = t of the log-likelihood >= its maximum - c}``, c
    as in `nats_at`; an end within a tenth of a prompt of 0 or 1 is put there. ``data`` are cells
    with weights [..., U], one data set or a batch of equally many prompts; both ends have shape
    [...]. With one prompt it is [0, 1]. Derived here; as a likelihood ratio see Murphy and van der
    Vaart (2000, Journal of the American Statistical Association 95), with a set-valued number Chen,
    Christensen and Tamer (2018, Econometrica 86).

    >>> data = CountCells(np.arange(5), np.full(5, 4), np.array([40.0, 10, 10, 10, 30]))
    >>> low, high = law_interval(data, lambda p: p**8 + (1 - p) ** 8)
    >>> round(float(low), 2), round(float(high), 2)
    (0.42, 0.76)
    """
    bootstrap.check_level(level)
    nats = nats_at(level, num_prompts=data.num_clusters)
    if np.isinf(nats):
        shape = data.weight.shape[:-1]
        return np.zeros(shape), np.ones(shape)
    low, high = tangents(data, statistic, nats=nats).ends(nats)
    least = _SEEN / data.num_clusters
    return np.where(low < least, 0.0, low), np.where(high > 1.0 - least, 1.0, high)


def tangents(data: CountCells, statistic: Statistic, *, nats: float) -> Tangents:
    """Tangents of the cost of the mean of ``statistic``, densest where the cost is ``nats``.

    A pull of L is L more prompts of which nothing is known but that each showed an event of chance
    ``statistic(p)`` (side 1) or of its complement (side 0): the law that is then most likely is the
    one that pays least for its value, and the slope of the cost is L over the chance.
    """
    grid = likelihood.rate_grid(data)
    rows = likelihood.cell_likelihood(data, grid)
    shape = data.weight.shape[:-1]
    mass = data.weight.reshape(-1, data.weight.shape[-1])
    score = np.clip(statistic(grid), 0.0, 1.0)
    sides = np.stack([1.0 - score, score])  # [2, G]
    prompts = float(data.num_clusters)
    best = _fit(rows, mass, sides[:1], np.zeros((len(mass), 1, 1)))[1][:, 0]  # [B, 1]
    pull = np.broadcast_to(
        np.geomspace(0.1, 20.0 * prompts, _FIRST), (len(mass), 2, _FIRST)
    )  # fmt: skip
    tried, chance, cost = pull, *_tried(rows, mass, sides, pull, best)
    for _ in range(_ROUNDS):
        pull = _between(tried, cost, nats)
        more = _tried(rows, mass, sides, pull, best)
        tried = np.concatenate([tried, pull], axis=-1)
        chance = np.concatenate([chance, more[0]], axis=-1)
        cost = np.concatenate([cost, more[1]], axis=-1)
    slope = tried / np.maximum(chance, np.finfo(float).tiny)
    value = chance.copy()
    value[:, 0] = 1.0 - chance[:, 0]
    slope[:, 0] *= -1.0
    full = (*shape, 2, tried.shape[-1])
    return Tangents(value.reshape(full), cost.reshape(full), slope.reshape(full))


def _between(tried: FloatArray, cost: FloatArray, nats: float) -> FloatArray:
    """Pulls [B, 2, 1] between the strongest that costs too little and the weakest that does not."""
    enough = cost >= nats
    weak = np.where(enough, 0.0, tried).max(axis=-1)
    strong = np.where(enough, tried, np.inf).min(axis=-1)
    weak_cost = np.where(tried == weak[..., None], cost, 0.0).max(axis=-1)
    strong_cost = np.where(tried == strong[..., None], cost, 0.0).max(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        place = np.log(nats / weak_cost) / np.log(strong_cost / weak_cost)
    place = np.clip(np.nan_to_num(place, nan=0.5, posinf=0.5, neginf=0.5), 0.1, 0.9)
    inner = np.where(weak > 0, weak, strong / 100) ** (1 - place) * strong**place
    return np.where(np.isinf(strong), 10.0 * tried.max(axis=-1), inner)[..., None]


def _tried(
    rows: FloatArray, mass: FloatArray, sides: FloatArray, pull: FloatArray, best: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Chance [B, 2, K] of each side under each pull, and the cost in nats."""
    chance, loglik = _fit(rows, mass, sides, pull)
    return chance, np.maximum(best[..., None] - loglik, 0.0)


def _fit(
    rows: FloatArray, mass: FloatArray, sides: FloatArray, pull: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Chance of the side and log-likelihood of the counts at the best law; shapes [B, S, K]."""
    batch, _, num = pull.shape
    chance, loglik = np.empty(pull.shape), np.empty(pull.shape)
    each = max(1, _FLOATS // (num * rows.size))
    for side, score in enumerate(sides):
        both = np.concatenate([rows, score[None]])
        for start in range(0, batch, each):
            cut = slice(start, start + each)
            counted = np.repeat(mass[cut], num, axis=0)
            law = likelihood.maximise(both, np.column_stack([counted, pull[cut, side].ravel()]))
            part = (-1, num)
            chance[cut, side] = (law @ score).reshape(part)
            density = np.log(law @ rows.T)
            loglik[cut, side] = np.vecdot(counted, density).reshape(part)
    return chance, loglik

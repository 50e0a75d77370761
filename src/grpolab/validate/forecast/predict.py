"""The share that a run will log over its first B groups, as an interval.

An expected share is not what a run shows: B groups have noise of their own. The interval here holds
the three errors at once: the prompts that were counted are a sample, n samples do not tell all laws
of p apart, and B groups are few.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import special

from grpolab.theory.groups import FloatArray, GroupCounts
from grpolab.theory.zero_std import prob_zero_std
from grpolab.validate.estimate import bootstrap, cells
from grpolab.validate.estimate.cells import CountCells
from grpolab.validate.forecast.interval import forecast_interval
from grpolab.validate.forecast.profile import Statistic, Tangents, nats_at, tangents
from grpolab.validate.forecast.zero_std import natural_method, predict_zero_std

_VALUES = np.sin(np.linspace(0.0, np.pi / 2, 2001)) ** 2  # values of the share that are tried
_EXACT = 1e-9  # of a group: a share that is one of whole groups but for rounding


def first_groups(
    counts: GroupCounts,
    group_size: int,
    *,
    num_groups: int,
    rng: np.random.Generator | int,
    level: float = 0.95,
    num_resamples: int = 1000,
) -> tuple[float, float]:
    """Interval of the share of zero-std groups that the first ``num_groups`` groups of a run show.

    Every group is on a prompt of its own, drawn independently from the population of which the
    counted prompts are a sample; groups on the counted prompts themselves, each at most once, vary
    less. `interval.forecast_interval` for sizes that the samples reach, else `share_prediction`;
    never narrower than the interval of the expected share, as far as whole groups show it.

    >>> first_groups(GroupCounts([0, 2, 4, 8] * 16, 8), 8, num_groups=32, rng=0)
    (0.28125, 0.71875)
    """
    if natural_method(counts, group_size) == "thinning":
        found = forecast_interval(
            counts, group_size=group_size, num_groups=num_groups, rng=rng, level=level
        )
        share = predict_zero_std(
            counts, group_size, rng=rng, level=level, num_resamples=num_resamples
        )
        low, high = _whole(share.low, share.high, num_groups)
        return min(found.low, float(low)), max(found.high, float(high))
    data = cells.unfiltered(counts)
    low, high = share_prediction(
        data, lambda p: prob_zero_std(p, group_size), num_groups=num_groups, level=level
    )
    return float(low), float(high)


def share_prediction(
    data: CountCells, statistic: Statistic, *, num_groups: int, level: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """Interval of the share of ``num_groups`` groups to come that show an event.

    ``statistic`` is the chance of the event in a group on a prompt of success rate p; ``data`` are
    cells with weights [..., U]. A share x/B is in the interval unless every law of p explains it
    badly together with the counts: at every value t, the cost of t in the profile likelihood and
    half the squared normal score of the tail of Binomial(B, t) from x on exceed `profile.nats_at`
    together. The exact tail lets that do without a stretch; the interval of the expected share is
    part of it. Ends have shape [...]. A predictive likelihood ratio (Meeker, Hahn and Escobar 2017,
    Statistical Intervals, section 15) with an exact tail; for any law of p derived here.

    >>> data = CountCells(np.arange(5), np.full(5, 4), np.array([40.0, 10, 10, 10, 30]))
    >>> low, high = share_prediction(data, lambda p: p**8 + (1 - p) ** 8, num_groups=50)
    >>> round(float(low), 2), round(float(high), 2)
    (0.38, 0.82)
    """
    bootstrap.check_level(level)
    if num_groups < 1:
        raise ValueError(f"num_groups must be >= 1, got {num_groups}")
    nats = nats_at(level, num_prompts=data.num_clusters)
    if math.isinf(nats):
        shape = data.weight.shape[:-1]
        return np.zeros(shape), np.ones(shape)
    curve = tangents(data, statistic, nats=nats)
    plain = nats_at(level, num_prompts=data.num_clusters, stretch=1.0)
    low, high = predicted(curve, num_groups=num_groups, nats=plain)
    least, most = _whole(*curve.ends(nats), num_groups)
    return np.minimum(low, least), np.maximum(high, most)


def _whole(
    low: npt.ArrayLike, high: npt.ArrayLike, num_groups: int
) -> tuple[FloatArray, FloatArray]:
    """The least and the largest share of whole groups between two shares."""
    least = np.maximum(np.ceil(np.asarray(low) * num_groups - _EXACT), 0.0)
    most = np.floor(np.asarray(high) * num_groups + _EXACT)
    return least / num_groups, most / num_groups


def predicted(curve: Tangents, *, num_groups: int, nats: float) -> tuple[FloatArray, FloatArray]:
    """Least and largest share x/B that costs at most ``nats`` together with the counts; [...]."""
    cost = curve.least_cost(_VALUES)  # [..., V]
    centre = np.rint(num_groups * _VALUES[cost.argmin(axis=-1)])
    low = _furthest(lambda k: _at_most(k, num_groups), cost, start=centre, nats=nats)
    # x of B that show the event are B - x that do not
    mirrored = _furthest(
        lambda k: _at_most(k, num_groups), cost[..., ::-1], start=num_groups - centre, nats=nats
    )
    return low / num_groups, (num_groups - mirrored) / num_groups


def _at_most(k: FloatArray, num_groups: int) -> FloatArray:
    """Half the squared normal score of P(X <= k), 0 above the median; shape [..., V]."""
    score = special.ndtri(special.bdtr(k[..., None], num_groups, _VALUES))
    return np.asarray(0.5 * np.minimum(score, 0.0) ** 2)


def _furthest(
    surprise: Callable[[FloatArray], FloatArray],
    cost: FloatArray,
    *,
    start: FloatArray,
    nats: float,
) -> FloatArray:
    """Least whole number in 0..start whose surprise and cost stay within ``nats`` at some value."""
    kept, left_out = start, np.full_like(start, -1.0)
    while np.any(kept - left_out > 1):
        middle = np.maximum(np.floor((kept + left_out) / 2), 0.0)
        inside = (cost + surprise(middle)).min(axis=-1) <= nats
        kept = np.where(inside, middle, kept)
        left_out = np.where(inside, left_out, np.where(kept - left_out > 1, middle, left_out))
    return kept

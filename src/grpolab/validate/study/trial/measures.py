"""What a choice by a predictor costs, how well it ranks and forecasts; the unit is the design."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from grpolab.streams import generator
from grpolab.theory.groups import FloatArray
from grpolab.validate.estimate.bootstrap import draw_weights, percentile_interval, t_quantile
from grpolab.validate.study.shootout.within import spearman_features

NUM_RESAMPLES = 10_000
NUM_FLIPS = 20_000
_MISS = 40.0  # 2 / alpha of the interval score, at 95%


class Estimate(NamedTuple):
    """A mean over designs with its 95% bootstrap interval."""

    value: float
    low: float
    high: float


def regret(score: FloatArray, outcome: FloatArray) -> float:
    """Mean over the ladders of a design of what choosing by a score costs; both [S, D, R].

    The highest score is chosen, the shallowest of equals, for each RL seed; the outcome of a
    choice is the mean over RL seeds, and the best start is that of the highest mean.

    >>> score = np.array([[[1.0], [2.0], [0.0]]])
    >>> regret(score, np.array([[[0.2], [0.5], [0.6]]])).__round__(6)
    0.1
    """
    pick = np.argmax(score, axis=1)[:, None]
    got = np.take_along_axis(outcome, pick, axis=1)[:, 0].mean(axis=-1)
    return float(np.mean(outcome.mean(axis=-1).max(axis=1) - got))


def rank_correlation(score: FloatArray, outcome: FloatArray) -> float:
    """Spearman's correlation over the starts of a ladder, mean over ladders and RL seeds."""
    x, y = (spearman_features(np.moveaxis(v, 1, -1)) for v in (score, outcome))
    return float(np.mean(np.sum(x * y, axis=-1)))


def over_designs(values: FloatArray, *, rng: int = 0) -> Estimate:
    """The mean of one number per design, with its bootstrap interval."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return Estimate(mean, -math.inf, math.inf)
    draws = resampled(len(values), rng=rng) @ values / len(values)
    return Estimate(mean, *percentile_interval(draws, level=0.95, num_clusters=len(values)))


def ratio_over_designs(top: FloatArray, bottom: FloatArray, *, rng: int = 0) -> Estimate:
    """The quotient of two sums over designs, with its bootstrap interval."""
    value = _ratio(top.sum(), bottom.sum())
    if len(top) < 2:
        return Estimate(value, -math.inf, math.inf)
    weight = resampled(len(top), rng=rng)
    below = weight @ bottom
    draws = (weight @ top)[below > 0] / below[below > 0]
    if not len(draws):
        return Estimate(value, -math.inf, math.inf)
    return Estimate(value, *percentile_interval(draws, level=0.95, num_clusters=len(top)))


def _ratio(top: float, bottom: float) -> float:
    return float(top / bottom) if bottom > 0 else math.nan


@lru_cache(maxsize=8)
def resampled(size: int, *, rng: int = 0) -> FloatArray:
    """How often each design is drawn in every resample, [B, G]."""
    return draw_weights(np.ones(size), num_resamples=NUM_RESAMPLES, rng=rng)


def one_sided(values: FloatArray, *, level: float, rng: int = 0) -> tuple[float, float]:
    """One-sided bootstrap bounds of a mean over designs, each at ``level``."""
    if len(values) < 2:
        return -math.inf, math.inf
    draws = resampled(len(values), rng=rng) @ values / len(values)
    return percentile_interval(draws, level=2 * level - 1, num_clusters=len(values))


def sign_flip(values: FloatArray, *, rng: int = 0) -> float:
    """Two-sided p-value of mean 0, by random signs of whole designs.

    >>> sign_flip(np.array([1.0, -1.0]))
    1.0
    """
    signs = generator(rng, "sign flips").choice([-1.0, 1.0], size=(NUM_FLIPS, len(values)))
    hits = np.abs(signs @ values) >= abs(values.sum()) - 1e-12
    return float((hits.sum() + 1) / (NUM_FLIPS + 1))


class Fit(NamedTuple):
    """Out-of-design errors of a line: per design, squared errors, and those of the plain mean."""

    error: FloatArray  # [G]
    total: FloatArray  # [G]


def out_of_design(x: Sequence[FloatArray], y: Sequence[FloatArray], *, within: bool) -> Fit:
    """A line through all designs but one, judged on that one; x and y [S, D] for each design.

    ``within`` centres both in every ladder and drops the intercept, which leaves the differences
    between the starts of a ladder.
    """
    if within:
        x = [v - v.mean(axis=1, keepdims=True) for v in x]
        y = [v - v.mean(axis=1, keepdims=True) for v in y]
    sums = moments(x, y)
    error, total = np.empty(len(x)), np.empty(len(x))
    for i in range(len(x)):
        rest = sums.sum(axis=0) - sums[i]
        intercept, slope = line(rest, within=within)
        middle = 0.0 if within else rest[2] / rest[0]
        error[i] = np.sum((y[i] - intercept - slope * x[i]) ** 2)
        total[i] = np.sum((y[i] - middle) ** 2)
    return Fit(error, total)


def moments(x: Sequence[FloatArray], y: Sequence[FloatArray]) -> FloatArray:
    """Number, sums of x, y, x^2 and x y of every design, [G, 5]."""
    return np.array(
        [
            (a.size, a.sum(), b.sum(), (a * a).sum(), (a * b).sum())
            for a, b in zip(x, y, strict=True)
        ]
    )


def line(sums: FloatArray, *, within: bool = False) -> tuple[float, float]:
    """Intercept and slope of least squares, from sums; slope 0 where x is constant."""
    n, sx, sy, sxx, sxy = sums.tolist()
    if within:
        return 0.0, sxy / sxx if sxx > 1e-12 else 0.0
    spread = sxx - sx * sx / n
    slope = (sxy - sx * sy / n) / spread if spread > 1e-9 * max(sxx, 1e-9) else 0.0
    return (sy - slope * sx) / n, slope


class Calibration(NamedTuple):
    """Coverage and interval score of 95% intervals of the outcome, one number per design [G]."""

    coverage: FloatArray
    score: FloatArray


def calibration(x: Sequence[FloatArray], y: Sequence[FloatArray]) -> Calibration:
    """Intervals of the outcomes of each design from all others; x and y [S, D] for each design.

    The line of the others plus and minus t(.975, G - 2) sqrt(1 + 1/G) times the root mean square of
    their own leave-one-design-out errors, G others. ValueError for fewer than four designs.
    """
    if len(x) < 4:
        raise ValueError(f"intervals need at least 4 designs, got {len(x)}")
    sums = moments(x, y)
    total, size = sums.sum(axis=0), len(x) - 1
    coverage, score = np.empty(len(x)), np.empty(len(x))
    every_x, every_y = (np.concatenate([v.ravel() for v in part]) for part in (x, y))
    design = np.repeat(np.arange(len(x)), [v.size for v in y])
    factor = t_quantile(0.95, size - 2) * math.sqrt(1 + 1 / size)
    for i in range(len(x)):
        rest, others = total - sums[i], design != i
        a, b = np.array([line(rest - one) for one in sums]).T[:, design[others]]
        half = factor * math.sqrt(np.mean((every_y[others] - a - b * every_x[others]) ** 2))
        intercept, slope = line(rest)
        outside = np.maximum(np.abs(y[i] - intercept - slope * x[i]) - half, 0.0)
        coverage[i] = np.mean(outside == 0)
        score[i] = np.mean(2 * half + _MISS * outside)
    return Calibration(coverage, score)

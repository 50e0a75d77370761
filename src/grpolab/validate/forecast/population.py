"""Where training takes a population of prompts: every prompt through its own mean field.

The mean of p says little of what groups will hold later. Here each success rate of the law moves by
its own expected drift, and shares are means over the rates. Prompts do not help or hinder each
other, and the noise of single groups is left out: a law of motion to compare a run with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from grpolab.theory.advantage import GRPO, TwoValued
from grpolab.theory.drift import noisy_drift
from grpolab.theory.empirical import RateLaw
from grpolab.theory.groups import FloatArray, GroupCounts, IntArray
from grpolab.theory.noise import seen_rate
from grpolab.theory.zero_std import prob_zero_std
from grpolab.validate.estimate import bootstrap, cells, smoothed

_LAWS = 400
_GRID = np.linspace(-40.0, 40.0, 3201)  # logits at which the drift is known


class Population(NamedTuple):
    """Mean success rate and share of groups without a signal before each step; shapes [T].

    The interval is that of the share over the prompts that were counted and what n samples leave
    open about their law, each end for its step.
    """

    step: IntArray
    mean_p: FloatArray
    zero_std: FloatArray
    low: FloatArray
    high: FloatArray


class _Path(NamedTuple):
    p: FloatArray  # [T, N], true rates
    zero_std: FloatArray  # [T, N], of what the grader shows


def rate_law(counts: GroupCounts) -> RateLaw:
    """The law of p over the prompts of counts (a smoothed mixture), for formulas and simulations.

    ValueError for tables marked filtered, and where no prompt has two samples.

    >>> law = rate_law(GroupCounts([0, 2, 4] * 20, 4))
    >>> round(float(law.mean), 2), 0.3 < float(law.prob_zero_std(4)) < 0.9
    (0.5, True)
    """
    data = cells.unfiltered(counts)
    cells.require_pairs(data)
    found = smoothed.smoothed_law(data)
    kept = found.weight > 0
    return RateLaw(found.support[kept], found.weight[kept])


def population_path(
    law: RateLaw,
    steps: Sequence[int],
    *,
    group_size: int,
    learning_rate: float,
    rule: TwoValued = GRPO,
    true_positive: float = 1.0,
    false_positive: float = 0.0,
) -> Population:
    """Forecast for a law of p that is given: no interval (nan). Arguments as `forecast_population`.

    >>> law = RateLaw([0.1, 0.5])
    >>> found = population_path(law, [0, 100], group_size=8, learning_rate=0.1)
    >>> found.zero_std.round(3).tolist()
    [0.219, 0.409]
    """
    path = _walk(law.rate, steps, group_size, learning_rate, rule, (true_positive, false_positive))
    none = np.full(len(steps), np.nan)
    return Population(
        np.asarray(steps, np.int64), path.p @ law.weight, path.zero_std @ law.weight, none, none
    )


def forecast_population(
    counts: GroupCounts,
    steps: Sequence[int],
    *,
    group_size: int,
    learning_rate: float,
    rule: TwoValued = GRPO,
    true_positive: float = 1.0,
    false_positive: float = 0.0,
    rng: np.random.Generator | int,
    level: float = 0.95,
) -> Population:
    """What groups of ``group_size`` hold before each of ``steps``, from counts of the start.

    ``dz/dt = J p q w(r)`` per step and unit learning rate for every success rate of the smoothed
    mixture; with an erring grader the counts are its marks, p = (r - FPR)/J, cut to [0, 1]. The
    interval resamples prompts (Bayesian bootstrap) and refits the law. steps are whole numbers >= 0
    that do not fall; ValueError otherwise, for an inverted grader, and as `rate_law`. Derived here.

    >>> found = forecast_population(GroupCounts([0, 1, 2, 4] * 30, 4), [0, 50, 100], group_size=8,
    ...                             learning_rate=0.1, rng=0)
    >>> bool(np.all((found.low < found.zero_std) & (found.zero_std < found.high)))
    True
    """
    bootstrap.check_level(level)
    if not true_positive > false_positive:
        raise ValueError("true_positive must exceed false_positive: marks say nothing of p else")
    data = cells.unfiltered(counts)
    cells.require_pairs(data)
    law = smoothed.smoothed_law(data)
    youden = true_positive - false_positive
    rates = np.clip((law.support - false_positive) / youden, 0.0, 1.0)
    errors = (true_positive, false_positive)
    path = _walk(rates, steps, group_size, learning_rate, rule, errors)
    drawn = bootstrap.resample_bayesian(data, num_resamples=_LAWS, rng=rng)
    others = smoothed.resampled_laws(drawn, law).weight
    ends = [
        bootstrap.percentile_interval(share, level=level, num_clusters=data.num_clusters)
        for share in path.zero_std @ others.T
    ]
    value = path.zero_std @ law.weight
    low, high = (np.array(side) for side in zip(*ends, strict=True))
    return Population(
        np.asarray(steps, np.int64), path.p @ law.weight, value, np.minimum(low, value),
        np.maximum(high, value),
    )  # fmt: skip


def _walk(
    rates: FloatArray, steps: Sequence[int], group_size: int, learning_rate: float,
    rule: TwoValued, errors: tuple[float, float],
) -> _Path:  # fmt: skip
    """Rates and zero-std shares [T, N] before each step; rates of 0 and 1 stay."""
    asked = np.asarray(steps)
    whole = asked.ndim == 1 and asked.size and asked.dtype.kind in "iu"
    if not whole or asked[0] < 0 or np.any(np.diff(asked) < 0):
        raise ValueError(f"steps must be whole numbers >= 0 that do not fall, got {list(steps)}")
    if not 0.0 <= learning_rate < np.inf:
        raise ValueError(f"learning_rate must be finite and >= 0, got {learning_rate}")
    high, low = errors
    p = special.expit(_GRID)
    drift = learning_rate * np.asarray(
        noisy_drift(rule, p, group_size=group_size, true_positive=high, false_positive=low)
    )
    inner = (rates > 0) & (rates < 1)
    z = special.logit(np.where(inner, rates, 0.5))
    path, now = np.empty((len(asked), len(rates))), 0
    for i, step in enumerate(asked.tolist()):
        for _ in range(step - now):
            z = z + np.interp(z, _GRID, drift)
        now = step
        path[i] = np.where(inner, special.expit(z), rates)
    seen = seen_rate(path, true_positive=high, false_positive=low)
    return _Path(path, np.asarray(prob_zero_std(seen, group_size)))

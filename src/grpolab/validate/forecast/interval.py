"""What the next groups will hold: prediction intervals from rollouts made before RL.

A forecast for one training step errs for two reasons: the prompts that were asked are a sample, and
the step has a few dozen groups only. The interval covers both. What it does not cover is that the
policy moves on: how soon that shows is what `coverage_by_step` measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from grpolab.theory.groups import FloatArray, GroupCounts
from grpolab.validate.estimate import bootstrap, cells
from grpolab.validate.forecast.law import Method, fit_rows

Quantity = Literal["zero_std", "all_wrong", "all_right", "variance"]

METHODS: tuple[Method, ...] = ("thinning", "beta-binomial", "mean-p")
"""Those that the study holds against the first steps of RL."""

_CELLS_AT_ONCE = 1 << 22


class ForecastInterval(NamedTuple):
    """The expected share (or mean variance) and an interval for the next ``num_groups`` groups."""

    quantity: Quantity
    method: Method
    num_groups: int
    mean: float
    low: float
    high: float


class WindowCoverage(NamedTuple):
    """How often the measured value lay inside its interval in the steps first..last-1.

    ``low`` and ``high`` are a 95% interval of ``coverage`` over runs, ``frac_below`` and
    ``frac_above`` the shares of misses on either side, ``bias`` and ``mean_abs_error`` those of the
    forecast mean (forecast minus measured).
    """

    first: int
    last: int
    coverage: float
    low: float
    high: float
    frac_below: float
    frac_above: float
    bias: float
    mean_abs_error: float
    num_runs: int


def forecast_interval(
    counts: GroupCounts,
    *,
    group_size: int,
    num_groups: int,
    rng: np.random.Generator | int,
    quantity: Quantity = "zero_std",
    method: Method = "thinning",
    level: float = 0.95,
    num_draws: int = 400,
) -> ForecastInterval:
    """Prediction interval for the share of zero-std groups (or ...) among the next groups.

    ``counts`` are rollouts of a sample of the prompts from which the next groups draw, one prompt
    per group. ``method`` is that of `law.fit_law`. A Bayesian bootstrap over prompts
    (`bootstrap.resample_bayesian`) gives laws of the number correct; for each of them the sum over
    groups is exact; their mixture gives the quantiles, and the sum nearest to what is expected is
    never left out. One prompt leaves all open. "variance" is K(g-K)/g^2 averaged over groups.

    >>> table = GroupCounts([0, 2, 4, 8] * 16, 8)
    >>> found = forecast_interval(table, group_size=8, num_groups=32, rng=0)
    >>> found.mean, found.low, found.high
    (0.5, 0.28125, 0.71875)
    """
    if group_size < 1:
        raise ValueError(f"group_size must be >= 1, got {group_size}")
    if num_groups < 1:
        raise ValueError(f"num_groups must be >= 1, got {num_groups}")
    if num_draws < 1:
        raise ValueError(f"num_draws must be >= 1, got {num_draws}")
    tail = (1.0 - bootstrap.check_level(level)) / 2.0
    score, unit = _score(quantity, group_size)
    data = cells.unfiltered(counts)
    centre = float(fit_rows(data, method).group_pmf(group_size) @ score)
    boot = bootstrap.resample_bayesian(data, num_resamples=num_draws, rng=rng)
    law = _sum_law(fit_rows(boot, method).group_pmf(group_size), score, num_groups)
    below = np.cumsum(law)
    low = int(np.searchsorted(below, tail + 1e-9, side="right"))
    high = int(np.searchsorted(below, 1.0 - tail - 1e-9, side="left"))
    middle = round(centre * num_groups)  # the sum nearest to what is expected is never left out
    least, most = min(low, middle), max(min(high, len(law) - 1), middle)
    if data.num_clusters < 2:  # one prompt says nothing of others
        least, most = 0, len(law) - 1
    ends = (least * unit / num_groups, most * unit / num_groups)
    return ForecastInterval(quantity, method, num_groups, centre * unit, *ends)


def _score(quantity: Quantity, group_size: int) -> tuple[npt.NDArray[np.int64], float]:
    """A whole number per number correct, [g + 1], and what one of it is worth."""
    k = np.arange(group_size + 1)
    wrong, right = k == 0, k == group_size
    match quantity:
        case "zero_std":
            return (wrong | right).astype(np.int64), 1.0
        case "all_wrong":
            return wrong.astype(np.int64), 1.0
        case "all_right":
            return right.astype(np.int64), 1.0
        case "variance":
            return k * (group_size - k), 1.0 / group_size**2
    raise ValueError(
        f"quantity must be zero_std, all_wrong, all_right or variance, got {quantity!r}"
    )


def _sum_law(
    laws: FloatArray, score: npt.NDArray[np.int64], num_groups: int
) -> npt.NDArray[np.float64]:
    """Law of the sum of the scores of ``num_groups`` groups, averaged over the laws; [N]."""
    size = num_groups * int(score.max()) + 1
    flat = np.zeros((len(laws), int(score.max()) + 1))
    for column, value in zip(laws.T, score.tolist(), strict=True):
        flat[:, value] += column
    total = np.zeros(size // 2 + 1, dtype=np.complex128)
    rows = max(1, _CELLS_AT_ONCE // size)
    for start in range(0, len(flat), rows):
        one = np.fft.rfft(flat[start : start + rows], n=size, axis=1)
        total += _power(one, num_groups).sum(axis=0)
    law = np.maximum(np.fft.irfft(total, n=size), 0.0)
    return np.asarray(law / law.sum())


def _power(base: npt.NDArray[np.complex128], exponent: int) -> npt.NDArray[np.complex128]:
    """By squaring: several times faster than the complex power, which goes through logarithms."""
    result = np.ones_like(base)
    while exponent:
        if exponent & 1:
            result = result * base
        base = base * base
        exponent >>= 1
    return result


def coverage_by_step(
    measured: npt.ArrayLike,
    *,
    mean: npt.ArrayLike,
    low: npt.ArrayLike,
    high: npt.ArrayLike,
    windows: Sequence[tuple[int, int]] = ((0, 2), (2, 10), (10, 50), (50, 100)),
) -> list[WindowCoverage]:
    """Coverage and error of forecasts of a per-step quantity, by window of training steps.

    ``measured`` [R, T]: the quantity of run r at step t; ``mean``, ``low``, ``high``: [R], or
    [R, T] for forecasts that change with the step. Windows (first, last) exclude ``last`` and are
    cut at T. Steps of one run are no independent observations, so the interval is over runs.

    >>> rows = coverage_by_step([[0.5, 0.9]], mean=[0.5], low=[0.4], high=[0.6], windows=[(0, 2)])
    >>> rows[0].coverage, rows[0].frac_above
    (0.5, 0.5)
    """
    seen = np.asarray(measured, dtype=np.float64)
    if seen.ndim != 2 or seen.size == 0:
        raise ValueError(f"measured must have shape [R, T], got {list(seen.shape)}")
    centre, bottom, top = (
        _per_step(name, values, seen.shape)
        for name, values in (("mean", mean), ("low", low), ("high", high))
    )
    below, above = seen < bottom - 1e-9, seen > top + 1e-9
    found = []
    for first, last in windows:
        if not 0 <= first < last:
            raise ValueError(f"windows must be (first, last) with first < last, got {first, last}")
        if first >= seen.shape[1]:
            continue
        cut = slice(first, min(last, seen.shape[1]))
        inside = 1.0 - (below | above)[:, cut].mean(axis=1)
        half = 1.0  # one run says nothing of others
        if len(inside) > 1:
            half = bootstrap.half_width(bootstrap.mean_stderr(inside), free=len(inside) - 1)
            if half == 0:  # runs that are all alike: others may be the share that R runs can miss
                half = bootstrap.missed_share(len(inside))
        error = (centre - seen)[:, cut]
        coverage = float(inside.mean())
        found.append(
            WindowCoverage(
                first, cut.stop, coverage, max(0.0, coverage - half), min(1.0, coverage + half),
                float(below[:, cut].mean()), float(above[:, cut].mean()), float(error.mean()),
                float(np.abs(error).mean()), len(seen),
            )
        )  # fmt: skip
    return found


def _per_step(name: str, values: npt.ArrayLike, shape: tuple[int, ...]) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.shape == shape[:1]:
        array = array[:, None]
    elif array.shape != shape:
        raise ValueError(f"{name} must have shape [{shape[0]}] or {list(shape)}, got {array.shape}")
    return np.broadcast_to(array, shape)

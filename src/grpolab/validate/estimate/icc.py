"""Intraclass correlation of binary rewards: how much of the variance lies between prompts.

Seven estimators over k clusters of sizes n_i with y_i successes; N = sum n_i, P = sum y_i / N. A
cluster is a prompt (its groups pooled) unless groups are asked for. Negative estimates are
reported, not clipped: clipping at zero biases every mean over checkpoints upwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from scipy import optimize

from grpolab import streams
from grpolab.theory.groups import FloatArray, GroupCounts
from grpolab.validate.estimate import betabin, bootstrap, cells
from grpolab.validate.estimate.cells import CountCells, Unit

INTERVALS = ("combined", "bootstrap", "profile", "union")
"""How an interval is found: see `icc_interval`."""

FEW_PROMPTS = 40
"""Up to so many prompts a prompt that is far from all others is likely to be missed."""

_ADDED = 0.5  # prompts that the Bayesian bootstrap adds, half of them never solved
_MOVED = 0.3  # share of draws below the estimate under which what was added moves the lower end
_FEW = 8.0  # prompts that carry the variance, below which one more may be far from the others
_FEW_SAMPLES = 8  # up to which the law of the likelihood ratio is far from that of many
_APART = 0.25  # from the mean, at least the furthest prompt that was seen
_FAR = 2.0 / 3.0
_MANY = 12.0  # from which on, and from which share of all, the bootstrap is no longer too short
_MOST = 0.6
_CLOSE = 1e-7  # how exactly the ends of a profile are found
_STRICTER = 0.7  # of the error rate: the common part of two intervals covers less than each


class IccInterval(NamedTuple):
    """An estimate of the ICC with its interval and how both were obtained."""

    estimate: float
    low: float
    high: float
    method: str
    interval: str


def _sums(data: CountCells) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Clusters k, samples N and successes Y of every resample."""
    w = data.weight
    return w.sum(axis=-1), w @ data.num_samples, w @ data.num_correct


def _ratio(top: FloatArray, bottom: FloatArray) -> FloatArray:
    """Quotient; 0 where both vanish, which is the case of one common outcome."""
    safe = np.where(bottom == 0, 1.0, bottom)
    return np.where(bottom == 0, 0.0, top / safe)


def _anova(data: CountCells) -> FloatArray:
    y, n, w = data.num_correct, data.num_samples, data.weight
    k, size, total = _sums(data)
    squares = w @ (y**2 / n)
    between = (squares - total**2 / size) / (k - 1)
    within = (total - squares) / (size - k)
    n0 = (size - (w @ n.astype(float) ** 2) / size) / (k - 1)
    return _ratio(between - within, between + (n0 - 1) * within)


def _fleiss_cuzick(data: CountCells) -> FloatArray:
    y, n = data.num_correct, data.num_samples
    k, size, total = _sums(data)
    p = total / size
    inside = data.weight @ (y * (n - y) / n)
    bottom = (size - k) * p * (1 - p)
    return _ratio(bottom - inside, bottom)


def _pairwise(data: CountCells) -> FloatArray:
    y, n, w = data.num_correct.astype(float), data.num_samples.astype(float), data.weight
    pairs = w @ (n * (n - 1))
    mu = (w @ ((n - 1) * y)) / pairs
    return _ratio((w @ (y * (y - 1))) / pairs - mu**2, mu * (1 - mu))


def _kleinman(data: CountCells, share: FloatArray) -> FloatArray:
    """Kleinman (1973) with cluster weights ``share`` [..., U] that sum to 1 over clusters."""
    w, rate = data.weight, data.rate
    centre = (w * share) @ rate
    spread = np.sum(w * share * (rate - centre[..., None]) ** 2, axis=-1)
    b = np.sum(w * share * (1 - share), axis=-1)
    a = np.sum(w * share * (1 - share) / data.num_samples, axis=-1)
    base = centre * (1 - centre)
    return _ratio(spread - base * a, base * (b - a))


def _kleinman_equal(data: CountCells) -> FloatArray:
    k = _sums(data)[0]
    return _kleinman(data, np.broadcast_to(1 / k[..., None], data.weight.shape))


def _kleinman_size(data: CountCells) -> FloatArray:
    return _kleinman(data, data.num_samples / _sums(data)[1][..., None])


def _moments(data: CountCells) -> FloatArray:
    y, n, w = data.num_correct, data.num_samples, data.weight
    _, size, total = _sums(data)
    p = total / size
    scatter = np.sum(w * (y - n * p[..., None]) ** 2, axis=-1)
    base = p * (1 - p)
    return _ratio(scatter - size * base, base * (w @ (n * (n - 1)).astype(float)))


def _likelihood(data: CountCells) -> FloatArray:
    rho = betabin.fit_cells(data).rho
    return rho.reshape(data.weight.shape[:-1])


_ESTIMATORS: Mapping[str, Callable[[CountCells], FloatArray]] = {
    "anova": _anova,
    "fleiss-cuzick": _fleiss_cuzick,
    "pairwise": _pairwise,
    "kleinman-equal": _kleinman_equal,
    "kleinman-size": _kleinman_size,
    "beta-binomial-moments": _moments,
    "beta-binomial": _likelihood,
}
METHODS = tuple(_ESTIMATORS)


def _estimate(data: CountCells, method: str) -> FloatArray:
    """The estimator, exactly 0 for resamples of one common outcome, NaN for those without pairs."""
    _, size, total = _sums(data)
    constant = (total == 0) | (total == size)
    with np.errstate(divide="ignore", invalid="ignore"):  # 0/0 where every cluster has one sample
        found = _ESTIMATORS[method](data)
    return np.where(constant, 0.0, np.where(np.isfinite(found), found, np.nan))


def _checked_cells(counts: GroupCounts, *, method: str, unit: Unit) -> CountCells:
    if method not in _ESTIMATORS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    data = cells.unfiltered(counts, unit=unit)
    if data.num_clusters < 2:
        raise ValueError(f"counts must hold at least 2 {unit}, got {data.num_clusters}")
    if data.num_samples.max() < 2:
        raise ValueError(f"counts must hold {unit} of at least 2 samples: the ICC needs pairs")
    return data


def icc(counts: GroupCounts, *, method: str = "anova", unit: Unit = "prompts") -> float:
    """Intraclass correlation of the rewards of one prompt, ``Var(p) / (mean p (1 - mean p))``.

    All-wrong and all-right data give 0, the only value without evidence of spread; their interval
    is [0, 1].

    Parameters
    ----------
    counts : GroupCounts
        Successes per group.
    method : str
        "anova" (MSB - MSW) / (MSB + (n0 - 1) MSW); "fleiss-cuzick" (Fleiss & Cuzick 1979);
        "pairwise" (Karlin, Cameron & Williams 1981); "kleinman-equal" and "kleinman-size" (Kleinman
        1973, weights 1/k and n_i/N); "beta-binomial-moments"; "beta-binomial" (maximum likelihood,
        never negative).
    unit : {"prompts", "groups"}
        Whose rewards are correlated.

    Returns
    -------
    float
        The estimate; it can be negative unless the method is "beta-binomial".

    Raises
    ------
    ValueError
        An unknown method, one cluster, clusters of one sample, or a table marked ``filtered``.

    Examples
    --------
    >>> icc(GroupCounts([0, 4, 0, 4], 4)), icc(GroupCounts([2, 2, 2], 4))
    (1.0, -0.3333333333333333)
    """
    data = _checked_cells(counts, method=method, unit=unit)
    return float(_estimate(data, method))


def icc_interval(
    counts: GroupCounts,
    *,
    rng: np.random.Generator | int,
    method: str = "anova",
    unit: Unit = "prompts",
    interval: str = "combined",
    level: float = 0.95,
    num_resamples: int = 1000,
) -> IccInterval:
    """Estimate and interval of the ICC.

    No plain interval holds. The bootstrap is too short for few prompts with p near 0 (it covers 45%
    with 16 prompts of Beta(0.1, 2)), the profile is wrong for a p that is not beta (it covers half
    with 164 prompts of 64 samples and two values of p), and the span of both is up to nine times
    too wide. "combined" is the default: what that span has in common with a Bayesian bootstrap that
    reckons with half a prompt, never or always solved, beside those at hand. The latter alone is up
    to twenty times too wide where few prompts were solved, and there its lower end is not used.
    Where fewer than 8 of at most 40 prompts carry the variance, by ``(sum d^2)^2 / sum d^4`` of the
    deviations d of the rates, the upper end is at least that of half a prompt further from the mean
    than all others; where 12 and 60% of all carry it, the interval is within the bootstrap's. From
    at most 8 samples the profile is taken at a Student quantile on one degree of freedom per prompt
    less one.
    All are taken at 1 - 0.7 (1 - level). `grpolab verify icc-interval --full` holds it against the
    others.

    Parameters
    ----------
    counts : GroupCounts
        Successes per group.
    rng : Generator or int
        Generator, or seed, of the bootstrap; not used by "profile".
    method : str
        Estimator, one of `METHODS`.
    unit : {"prompts", "groups"}
        Whose correlation, and what is resampled.
    interval : {"combined", "bootstrap", "profile", "union"}
        "bootstrap" resamples clusters (expanded percentiles); "profile" is the set of rho that the
        beta-binomial likelihood ratio does not reject; "union" spans both; "combined" see above.
        Each is extended to the estimate and to what the number of clusters can exclude.
    level : float
        Confidence level, in (0, 1).
    num_resamples : int
        Resamples of the bootstrap.

    Returns
    -------
    IccInterval
        Estimate, ``low`` and ``high``.

    Raises
    ------
    ValueError
        An unknown method, a filtered table, or fewer than two clusters of at least two samples.

    Examples
    --------
    >>> counts = GroupCounts([0, 1, 4, 2, 0, 3], 4)
    >>> icc_interval(counts, rng=0, method="beta-binomial", interval="profile").high < 1
    True
    """
    data = _checked_cells(counts, method=method, unit=unit)
    bootstrap.check_level(level)
    if interval not in INTERVALS:
        raise ValueError(f"interval must be one of {', '.join(INTERVALS)}, got {interval!r}")
    estimate = float(_estimate(data, method))
    if _one_outcome(data):
        return IccInterval(estimate, 0.0, 1.0, method, interval)
    generator = streams.generator(rng, "icc")
    nominal = 1.0 - _STRICTER * (1.0 - level) if interval == "combined" else level

    def spread(boot: CountCells) -> _Spread:
        draws = _estimate(boot, method)
        ends = bootstrap.percentile_interval(draws, level=nominal, num_clusters=data.num_clusters)
        return _Spread(draws, *ends)

    def with_added(added: FloatArray) -> _Spread:
        return spread(
            bootstrap.resample_bayesian(
                data, num_resamples=num_resamples, rng=generator, added=added
            )
        )

    ends = []
    if interval != "profile":
        plain = spread(bootstrap.resample(data, num_resamples=num_resamples, rng=generator))
        ends.append((plain.low, plain.high))
    if interval != "bootstrap":
        free = _freedom(data) if interval == "combined" else math.inf
        ends.append(_profile_interval(data, level=nominal, free=free))
    low, high = min(e[0] for e in ends), max(e[1] for e in ends)
    if interval == "combined":
        low, high = _combined(data, (low, high), ends[0], estimate, with_added)
    low, high = _floored(data, min(low, estimate), max(high, estimate), level=level)
    return IccInterval(estimate, low, high, method, interval)


class _Spread(NamedTuple):
    """Draws of an estimate, and their percentile interval."""

    draws: FloatArray
    low: float
    high: float


def _combined(
    data: CountCells,
    union: tuple[float, float],
    plain: tuple[float, float],
    estimate: float,
    with_added: Callable[[FloatArray], _Spread],
) -> tuple[float, float]:
    """The interval "combined" from the ``union`` of the ``plain`` bootstrap and the profile.

    ``with_added`` is the Bayesian bootstrap with the given weight of each number correct beside.
    """
    low, high = union
    ends = np.array([0, int(data.num_samples.max())])
    both, far = np.zeros((2, ends[1] + 1))
    both[ends] = _ADDED / 2
    found = with_added(both)
    least = found.low
    if float(np.mean(found.draws <= estimate)) < _MOVED:
        least = min(least, plain[0])
    if not _pure(data):  # what is added is never or always solved, too, and tells nothing there
        low, high = max(low, least), min(high, found.high)
    carried = _carried(data)
    if carried >= max(_MANY, _MOST * data.num_clusters):
        return max(low, plain[0]), min(high, plain[1])
    place = _far_place(data)
    if carried < _FEW and place is not None:
        far[place] = _ADDED
        return low, max(high, with_added(far).high)
    return low, high


def _far_place(data: CountCells) -> int | None:
    """Number correct of a prompt further from the mean than all, two thirds of the way to the end.

    None where such a prompt is not likely to be missed, or would be of a kind that no prompt is
    near: more than 40 clusters, or rates that all lie close to the mean.
    """
    mean, size = float(cells.cell_mean(data, data.rate)), int(data.num_samples.max())
    end = 0.0 if mean > 0.5 else 1.0
    extreme = float(data.rate.min() if mean > 0.5 else data.rate.max())
    if data.num_clusters > FEW_PROMPTS or abs(extreme - mean) < _APART:
        return None
    return round(size * (extreme + _FAR * (end - extreme)))


def _carried(data: CountCells) -> float:
    """Clusters that carry the variance between them: (sum d^2)^2 / sum d^4 of d = rate - mean."""
    square = (data.rate - float(cells.cell_mean(data, data.rate))) ** 2
    fourth = float(data.weight @ square**2)
    return float(data.weight @ square) ** 2 / fourth if fourth > 0 else 0.0


def _freedom(data: CountCells) -> float:
    """Degrees of freedom of the quantile of a profile: infinite where prompts have many samples."""
    few = data.num_samples.max() <= _FEW_SAMPLES
    return data.num_clusters - 1.0 if few else math.inf


def _pure(data: CountCells) -> bool:
    """Is every cluster all wrong or all right?"""
    return bool(np.all((data.num_correct == 0) | (data.num_correct == data.num_samples)))


def _floored(data: CountCells, low: float, high: float, *, level: float) -> tuple[float, float]:
    """Ends moved to what k clusters of one kind can exclude.

    Clusters of another kind are at most the share m = 1 - tail^(1/k) of all. Where every cluster
    shows one rate, m of them may be never or always solved, which makes the ICC m; where each is
    never or always solved, m may have the mean rate, which makes it 1 - m. Derived here.
    """
    missed = bootstrap.missed_share(data.num_clusters, level=level)
    if np.ptp(data.rate) == 0:
        return low, max(high, missed)
    return (min(low, 1.0 - missed), high) if _pure(data) else (low, high)


def _one_outcome(data: CountCells) -> bool:
    return float(data.num_correct.sum()) in (0.0, float(data.num_samples.sum()))


def _profile_interval(
    data: CountCells, *, level: float, free: float = math.inf
) -> tuple[float, float]:
    """Likelihood-ratio interval of rho; the whole of [0, 1] where all outcomes are equal."""
    if _one_outcome(data):
        return 0.0, 1.0
    table = betabin.tails(data)
    fit = betabin.fit_cells(data)
    floor = float(fit.loglik[0]) - bootstrap.t_quantile(level, free) ** 2 / 2
    centre, top = float(fit.rho[0]), 1.0 - 1e-9

    def margin(rho: float) -> float:
        return betabin.profile(table, rho) - floor

    def crossing(start: float, end: float) -> float:
        return float(optimize.brentq(margin, start, end, xtol=_CLOSE, rtol=_CLOSE))

    low = 0.0 if margin(0.0) >= 0 else crossing(0.0, min(centre, top))
    high = 1.0 if margin(top) >= 0 else crossing(centre, top)
    return low, high

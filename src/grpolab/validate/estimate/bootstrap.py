"""Resampled prompts, and the intervals that follow: the only bootstrap and half-width there are.

A data set is a table of cells (see `cells`), and resampling its prompts is nothing but a draw of
the weights of the cells: weights [U] become [B, U], and every estimator runs on the batch.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import special

from grpolab import streams
from grpolab.theory.groups import FloatArray
from grpolab.validate.estimate.cells import CountCells

_FEW = 20  # effective clusters up to which a bound without a bootstrap is used in full
_KINDS = 256  # of prompts, besides one, that a Bayesian bootstrap adds


def draw_weights(
    weight: FloatArray, *, num_resamples: int, rng: np.random.Generator | int
) -> FloatArray:
    """Multinomial bootstrap of ``sum(weight)`` prompts in cells of ``weight`` [U]: shape [B, U].

    >>> draw_weights(np.ones(3), num_resamples=2, rng=0).sum(axis=1).tolist()
    [3.0, 3.0]
    """
    if num_resamples < 1:
        raise ValueError(f"num_resamples must be >= 1, got {num_resamples}")
    total = round(float(weight.sum()))
    drawn = streams.generator(rng, "bootstrap").multinomial(
        total, weight / total, size=num_resamples
    )
    return drawn.astype(np.float64)


def resample(
    cells: CountCells, *, num_resamples: int, rng: np.random.Generator | int
) -> CountCells:
    """Cluster bootstrap: the weights of ``num_resamples`` resampled data sets, shape [B, U]."""
    return cells._replace(weight=draw_weights(cells.weight, num_resamples=num_resamples, rng=rng))


def resample_bayesian(
    cells: CountCells,
    *,
    num_resamples: int,
    rng: np.random.Generator | int,
    added: FloatArray | None = None,
) -> CountCells:
    """Bayesian bootstrap of the prompts and of one more with any count at all; weights [B, U'].

    Dirichlet weights (Rubin 1981, Annals of Statistics 9) instead of multinomial ones, because a
    prediction interval averages over laws that the prompts may come from: a multinomial draw leaves
    out a third of the prompts, and never adds the kind of prompt that was not sampled. The prompt
    that is added has every number correct with the same chance, so that no law is a single point.
    ``added`` [n + 1] gives the weight of each number correct of what is added instead, n being the
    most samples of a prompt. Of more than 256 samples 257 equally spaced numbers stand for all.
    """
    if num_resamples < 1:
        raise ValueError(f"num_resamples must be >= 1, got {num_resamples}")
    size = int(cells.num_samples.max())
    if added is None:
        extra = np.unique(np.rint(np.linspace(0, size, min(size, _KINDS) + 1)).astype(np.int64))
        given = np.full(len(extra), 1.0 / len(extra))
    else:
        extra = np.flatnonzero(added > 0)
        given = added[extra]
    weight = np.concatenate([cells.weight, given])
    shape = (num_resamples, len(weight))
    drawn = streams.generator(rng, "bootstrap").standard_gamma(weight, size=shape)
    return CountCells(
        np.concatenate([cells.num_correct, extra]),
        np.concatenate([cells.num_samples, np.full(len(extra), size)]),
        drawn * (weight.sum() / drawn.sum(axis=1, keepdims=True)),
    )


def check_level(level: float) -> float:
    """Return the level of an interval if it lies in (0, 1)."""
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie in (0, 1), got {level}")
    return level


def percentile_interval(
    draws: npt.NDArray[np.float64], *, level: float, num_clusters: int
) -> tuple[float, float]:
    """Expanded percentile interval of bootstrap draws [B].

    A plain percentile interval of k clusters is too short by sqrt((k-1)/k) and by a normal in place
    of a t quantile; the tail probability Phi(-sqrt(k/(k-1)) t_{k-1}) mends both (Hesterberg 2015,
    The American Statistician 69, section 5.3).

    >>> low, high = percentile_interval(np.linspace(0, 1, 1001), level=0.9, num_clusters=16)
    >>> round(low, 4), round(high, 4)
    (0.0351, 0.9649)
    """
    tail = (1.0 - check_level(level)) / 2.0
    if num_clusters > 1:
        stretch = math.sqrt(num_clusters / (num_clusters - 1))
        tail = float(special.ndtr(stretch * special.stdtrit(num_clusters - 1, tail)))
    low, high = np.nanquantile(draws, [tail, 1.0 - tail])
    return float(low), float(high)


def share_interval(
    draws: npt.NDArray[np.float64], *, value: float, level: float, num_clusters: int
) -> tuple[float, float]:
    """Bootstrap interval of a share that a model says; never of zero length.

    Clusters of another kind may be the share m = 1 - tail**(1/k) of all without that k clusters
    show one, whatever the model: the interval reaches from v (1 - m) to v + (1 - v) m at least.
    Where all clusters are alike a bootstrap sees no spread, and this is all that is left. One
    cluster says nothing of others: [0, 1]. For a mean over clusters `floored` does more. Derived
    here.

    >>> low, high = share_interval(np.ones(5), value=1.0, level=0.95, num_clusters=16)
    >>> round(low, 4), high
    (0.7941, 1.0)
    """
    if num_clusters < 2:
        return 0.0, 1.0
    low, high = percentile_interval(draws, level=level, num_clusters=num_clusters)
    missed = missed_share(num_clusters, level=level)
    return min(low, value * (1.0 - missed)), max(high, value + (1.0 - value) * missed)


def exact_interval(successes: float, trials: float, *, level: float = 0.95) -> tuple[float, float]:
    """Interval of Clopper and Pearson for a share, at least ``level`` whatever the share is.

    Trials whose chances differ make it wider than it needs to be, not shorter: it then is for their
    mean (Hoeffding 1956). Counts need not be whole. Without a trial it is [0, 1].

    >>> [round(end, 4) for end in exact_interval(0, 16)]
    [0.0, 0.2059]
    """
    low, high = exact_intervals(successes, trials, level=level)
    return float(low), float(high)


def exact_intervals(
    successes: npt.ArrayLike, trials: npt.ArrayLike, *, level: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """`exact_interval` of every share of an array: the lower and the upper ends."""
    check_level(level)
    above = np.asarray(successes, dtype=np.float64)
    tail, rest = (1.0 - level) / 2.0, np.asarray(trials) - above
    with np.errstate(invalid="ignore"):
        low = special.betaincinv(above, rest + 1.0, tail)
        high = special.betaincinv(above + 1.0, rest, 1.0 - tail)
    return np.where(above > 0, low, 0.0), np.where(rest > 0, high, 1.0)


def wilson_interval(successes: float, trials: float, *, level: float = 0.95) -> tuple[float, float]:
    """Interval of Wilson (1927) for a share: right on average over shares, at least 1 trial.

    >>> [round(end, 4) for end in wilson_interval(0, 16)]
    [0.0, 0.1936]
    """
    share, z = successes / trials, half_width(1.0, level=level)
    middle = (share + z * z / (2.0 * trials)) / (1.0 + z * z / trials)
    root = math.sqrt(share * (1.0 - share) / trials + (z / (2.0 * trials)) ** 2)
    half = z * root / (1.0 + z * z / trials)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def missed_share(num_clusters: int, *, level: float = 0.95) -> float:
    """The largest share of a kind of cluster that ``num_clusters`` clusters need not have shown.

    ``1 - tail**(1/k)``: the bound of Clopper and Pearson for 0 of k.

    >>> round(missed_share(20), 4)
    0.1684
    """
    return float(1.0 - ((1.0 - level) / 2.0) ** (1.0 / num_clusters))


def floored(
    interval: tuple[float, float],
    values: FloatArray,
    weight: FloatArray,
    *,
    rng: np.random.Generator | int,
    bounds: tuple[float, float] = (0.0, 1.0),
    zero: tuple[float, float] | None = None,
    level: float = 0.95,
    num_draws: int = 2000,
) -> tuple[float, float]:
    """An interval of a mean over clusters, widened where few clusters carry the mean.

    A bootstrap knows nothing of the kind of cluster that k clusters missed by chance. The bound
    here does: the mean under Dirichlet weights of the k values and of one more at the end of their
    range (Gaffke 2005). It is that of Clopper and Pearson for values 0 and 1, for k equal values it
    leaves a share of 1 - tail**(1/k) open, and it needs no assumption but the range. It is also
    wider by about 1/k, so the cluster that is added has the weight 2 - m/20, cut to [0, 1], for m
    effective clusters, ``(sum w v)^2 / sum w v^2``: with 40 and more the interval stays as it is.

    Parameters
    ----------
    interval : (float, float)
        What the bootstrap, or a t interval, says.
    values, weight : ndarray
        Values [U] of clusters and how many clusters have each; the mean is ``weight @ values / k``.
    rng : Generator or int
        Generator, or seed, of the Dirichlet weights; not used where the interval stays.
    bounds : (float, float)
        The range that a value can have.
    zero : (float, float), optional
        From where on values count as carrying the lower and the upper end; by default the upper and
        the lower bound. For differences that is (0, 0).
    level : float
        Confidence level, in (0, 1).
    num_draws : int
        Dirichlet weights that are drawn.

    Returns
    -------
    (float, float)
        Ends within ``bounds``, which are the ends themselves for fewer than two clusters.

    Examples
    --------
    >>> low, high = floored((0.0, 0.0), np.array([0.0]), np.array([100.0]), rng=0)
    >>> low, round(high, 4), round(1 - 0.025 ** (1 / 100), 4)
    (0.0, 0.0362, 0.0362)
    >>> floored((0.4, 0.6), np.array([0.3, 0.7]), np.array([50.0, 50.0]), rng=0)
    (0.4, 0.6)
    """
    bottom, top = bounds
    clusters = float(weight.sum())
    if clusters < 2:
        return bounds
    tail = (1.0 - check_level(level)) / 2.0
    ends = [max(interval[0], bottom), min(interval[1], top)]
    seen = values[weight > 0]
    missed = missed_share(round(clusters), level=level)
    generator = streams.generator(rng, "floor")
    start_of_draws = generator.bit_generator.state
    for side, (bound, start) in enumerate(zip(bounds, zero or (top, bottom), strict=True)):
        choose, q = (min, tail) if side == 0 else (max, 1.0 - tail)
        if np.ptp(seen) == 0:
            ends[side] = choose(ends[side], float(seen[0] + (bound - seen[0]) * missed))
            continue
        extra = min(2.0 - _effective(values - start, weight) / _FEW, 1.0)
        if extra > 0:
            shape = (num_draws, len(weight) + 1)
            generator.bit_generator.state = start_of_draws  # so that 1 - v has the mirrored ends
            drawn = generator.standard_gamma(np.append(weight, extra), size=shape)
            mean = drawn @ np.append(values, bound) / drawn.sum(axis=1)
            ends[side] = choose(ends[side], float(np.quantile(mean, q)))
    return ends[0], ends[1]


def _effective(values: FloatArray, weight: FloatArray) -> float:
    """Clusters that carry a sum: their number if all values are equal, 1 if one is not 0."""
    square = float(weight @ values**2)
    return float(weight @ np.abs(values)) ** 2 / square if square > 0 else 0.0


def t_quantile(level: float, free: float) -> float:
    """Two-sided Student quantile on ``free`` degrees of freedom; infinite below 1.

    >>> round(t_quantile(0.95, 10), 3), t_quantile(0.95, 0), round(t_quantile(0.95, math.inf), 2)
    (2.228, inf, 1.96)
    """
    tail = (1.0 + check_level(level)) / 2.0
    if free < 1:
        return math.inf
    return float(special.ndtri(tail) if math.isinf(free) else special.stdtrit(free, tail))


def mean_stderr(values: FloatArray) -> float:
    """Standard error of the mean of independent values [N]; NaN for fewer than two.

    >>> mean_stderr(np.array([1.0, 2.0, 3.0]))
    0.5773502691896258
    """
    if len(values) < 2:
        return math.nan
    return float(np.std(values, ddof=1) / math.sqrt(len(values)))


def half_width(stderr: float, *, free: float = math.inf, level: float = 0.95) -> float:
    """Half of a t interval: the quantile on ``free`` degrees of freedom times the standard error.

    Without degrees of freedom to estimate the error from (free < 1) it is infinite.

    >>> round(half_width(0.1), 4), round(half_width(0.1, free=10), 4), half_width(math.nan, free=0)
    (0.196, 0.2228, inf)
    """
    quantile = t_quantile(level, free)
    return math.inf if math.isinf(quantile) else quantile * stderr


def top_share(score: FloatArray) -> FloatArray:
    """Weights over the last axis: 1 on the highest score, shared where several are highest.

    The mean over resamples [B, K] is the chance of each of K to be best.

    >>> top_share(np.array([[1.0, 2.0], [3.0, 3.0]])).mean(axis=0).tolist()
    [0.25, 0.75]
    """
    top = score >= score.max(axis=-1, keepdims=True) - 1e-12
    return np.asarray(top / top.sum(axis=-1, keepdims=True))


def shared(chances: FloatArray, rows: FloatArray) -> FloatArray:
    """Chances [K] with those of equal ``rows`` [K, P] set to their mean: simulation tells none.

    >>> shared(np.array([0.3, 0.2, 0.5]), np.array([[1.0], [1.0], [2.0]])).tolist()
    [0.25, 0.25, 0.5]
    """
    alike = np.unique(rows.round(12), axis=0, return_inverse=True)[1].reshape(-1)
    return np.asarray((np.bincount(alike, chances) / np.bincount(alike))[alike])

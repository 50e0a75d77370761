"""Maximum likelihood for the beta-binomial, also for unequal sizes, many data sets at once.

In (mean, rho) the likelihood is a product of linear factors that depends on the data only through
how many clusters have more than j successes, failures, samples (Smith 1983, Applied Statistics 32,
AS 189). It stays finite and smooth at rho = 0, where the form with beta functions loses all digits.

A cluster of a million samples needs no million factors: between two sizes that occur, the sum over
j is one of a smooth function, and the Gauss rule of equally spaced points (by Gram's polynomials)
gives it from a few nodes to the digits of a double.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import special

from grpolab.theory.groups import FloatArray, GroupCounts, IntArray
from grpolab.validate.estimate import cells
from grpolab.validate.estimate.cells import CountCells

_NEWTON_STEPS = 60
_FLAT = 1e-4  # of a logit: an error of the maximum of its square, in nats per sample
_LOGIT_BOUND = 30.0
_ROUNDING = 1e-13  # of a log-likelihood
_MANY_ALIKE = 16  # data sets from which on a common start pays
_ONE_BY_ONE = 256  # factors that are always taken singly
_NODES = 12  # of a stretch whose end is at most twice its beginning: errors of 5.8^-24


class Tails(NamedTuple):
    """Clusters with more than j successes, failures, samples; each of shape [B, J].

    ``at`` are the J values of j. One that stands for several factors is counted as often.
    """

    at: FloatArray
    success: FloatArray
    failure: FloatArray
    size: FloatArray


class Fit(NamedTuple):
    """Maximum-likelihood mean and rho, and the kernel of the log-likelihood; shapes [B]."""

    mean: FloatArray
    rho: FloatArray
    loglik: FloatArray


def tails(data: CountCells) -> Tails:
    """Sufficient statistics of the likelihood, shapes [B, J] with J at most the largest size."""
    weight = np.atleast_2d(np.asarray(data.weight, dtype=np.float64))
    y, n = data.num_correct, data.num_samples
    at, times = _factors(np.concatenate((y, n - y, n)))

    def above(values: IntArray) -> FloatArray:
        order = np.argsort(values)
        more = np.cumsum(weight[:, order[::-1]], axis=1)[:, ::-1]
        more = np.concatenate((more, np.zeros((len(weight), 1))), axis=1)
        return np.asarray(more[:, np.searchsorted(values[order], at, side="right")] * times)

    return Tails(at, above(y), above(n - y), above(n))


def _factors(values: IntArray) -> tuple[FloatArray, FloatArray]:
    """Values of j and how many factors each stands for; ``values`` are where a tail may change."""
    steps = int(values.max())
    doubled = _ONE_BY_ONE * 2 ** np.arange(steps.bit_length() + 1)
    cuts = np.unique(np.concatenate((values, doubled)))
    cuts = cuts[(cuts >= _ONE_BY_ONE) & (cuts <= steps)]
    if steps < 2 * _ONE_BY_ONE or _NODES * len(cuts) > steps / 2:
        return np.arange(steps, dtype=np.float64), np.ones(steps)
    long = np.diff(cuts) > _NODES
    start, length = cuts[:-1][long], np.diff(cuts)[long]
    # Golub and Welsch on the recurrence of the polynomials orthogonal over 0, 1, ..., length - 1
    k = np.arange(1, _NODES)
    beside = np.sqrt(k**2 * (length[:, None] ** 2.0 - k**2) / (4 * (4 * k**2 - 1)))
    recurrence = np.zeros((len(start), _NODES, _NODES))
    recurrence[:, k - 1, k] = recurrence[:, k, k - 1] = beside
    place, vectors = np.linalg.eigh(recurrence)
    nodes = start[:, None] + (length[:, None] - 1) / 2 + place
    shares = length[:, None] * vectors[:, 0, :] ** 2
    short = [np.arange(a, b) for a, b in zip(cuts[:-1][~long], cuts[1:][~long], strict=True)]
    single = np.concatenate((np.arange(_ONE_BY_ONE), *short))
    at = np.concatenate((single, nodes.ravel()))
    return at, np.concatenate((np.ones(len(single)), shares.ravel()))


def _tidy(*arrays: FloatArray) -> list[FloatArray]:
    return [np.asarray(a, dtype=np.float64)[..., None] for a in arrays]


def kernel(stats: Tails, mean: FloatArray, rho: FloatArray) -> FloatArray:
    """Log-likelihood without binomial coefficients at (mean, rho), 0 <= rho < 1, 0 < mean < 1."""
    (m, r), j = _tidy(mean, rho), stats.at
    terms = (
        special.xlogy(stats.success, m * (1 - r) + j * r)
        + special.xlogy(stats.failure, (1 - m) * (1 - r) + j * r)
        - special.xlogy(stats.size, (1 - r) + j * r)
    )
    return np.asarray(terms.sum(axis=-1))


def _derivatives(
    stats: Tails, mean: FloatArray, rho: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """First and second derivatives of the kernel in (mean, rho): d_m, d_r, d_mm, d_mr, d_rr."""
    (m, r), j = _tidy(mean, rho), stats.at
    up, down, all_ = m * (1 - r) + j * r, (1 - m) * (1 - r) + j * r, (1 - r) + j * r
    s1, f1, n1 = stats.success / up, stats.failure / down, stats.size / all_
    s2, f2, n2 = s1 / up, f1 / down, n1 / all_
    up_r, down_r, all_r = j - m, j - (1 - m), j - 1.0
    d_m = (1 - r) * (s1 - f1)
    d_r = s1 * up_r + f1 * down_r - n1 * all_r
    d_mm = -((1 - r) ** 2) * (s2 + f2)
    d_mr = -(s1 - f1) - (1 - r) * (s2 * up_r - f2 * down_r)
    d_rr = -s2 * up_r**2 - f2 * down_r**2 + n2 * all_r**2
    first, second, third, fourth, fifth = (d.sum(axis=-1) for d in (d_m, d_r, d_mm, d_mr, d_rr))
    return first, second, third, fourth, fifth


def _newton_step(stats: Tails, u: FloatArray, v: FloatArray) -> tuple[FloatArray, FloatArray]:
    """An ascent step in (logit mean, logit rho), at most 2 long in each coordinate."""
    m, r = special.expit(u), special.expit(v)
    d_m, d_r, d_mm, d_mr, d_rr = _derivatives(stats, m, r)
    jm, jr = m * (1 - m), r * (1 - r)
    g_u, g_v = jm * d_m, jr * d_r
    h_uu = jm**2 * d_mm + jm * (1 - 2 * m) * d_m
    h_vv = jr**2 * d_rr + jr * (1 - 2 * r) * d_r
    h_uv = jm * jr * d_mr
    det = h_uu * h_vv - h_uv**2
    concave = (h_uu < 0) & (det > 1e-14 * np.abs(h_uu * h_vv))
    with np.errstate(divide="ignore", invalid="ignore"):
        full_u = -(h_vv * g_u - h_uv * g_v) / det
        full_v = -(h_uu * g_v - h_uv * g_u) / det
        plain_u, plain_v = g_u / np.abs(h_uu), g_v / np.abs(h_vv)
    step_u = np.nan_to_num(np.where(concave, full_u, plain_u))
    step_v = np.nan_to_num(np.where(concave, full_v, plain_v))
    return np.clip(step_u, -2, 2), np.clip(step_v, -2, 2)


def _climb(stats: Tails, u: FloatArray, v: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Damped Newton for every data set at once; the likelihood falls by rounding only.

    Data sets that have arrived take no further part.
    """
    u, v = u.copy(), v.copy()
    best = kernel(stats, special.expit(u), special.expit(v))
    going = np.arange(len(u))
    for _ in range(_NEWTON_STEPS):
        step_u, step_v = _newton_step(_rows(stats, going), u[going], v[going])
        moved = np.zeros(len(going))
        tried, scale = np.arange(len(going)), 1.0
        for _ in range(12):
            at = going[tried]
            new_u = np.clip(u[at] + scale * step_u[tried], -_LOGIT_BOUND, _LOGIT_BOUND)
            new_v = np.clip(v[at] + scale * step_v[tried], -_LOGIT_BOUND, _LOGIT_BOUND)
            value = kernel(_rows(stats, at), special.expit(new_u), special.expit(new_v))
            fine = value >= best[at] - _ROUNDING * np.abs(best[at])
            moved[tried[fine]] = (np.abs(new_u - u[at]) + np.abs(new_v - v[at]))[fine]
            u[at[fine]], v[at[fine]], best[at[fine]] = new_u[fine], new_v[fine], value[fine]
            tried, scale = tried[~fine], scale / 2
            if not len(tried):
                break
        going = going[moved >= 1e-9]
        if not len(going):
            break
    return u, v


def _rows(stats: Tails, rows: IntArray) -> Tails:
    """The data sets ``rows`` of a batch; the batch itself where these are all."""
    if len(rows) == len(stats.size):
        return stats
    return Tails(stats.at, *(values[rows] for values in stats[1:]))


def maximise(stats: Tails) -> Fit:
    """Maximum-likelihood (mean, rho) of every data set in a batch; shapes [B].

    Boundaries are decided before the search: one common outcome gives rho = 0 and mean 0 or 1; a
    score at rho = 0 that is not positive (Tarone's Z <= 0) gives rho = 0; clusters that are all
    pure give rho = 1.
    """
    mean = stats.success.sum(axis=-1) / stats.size.sum(axis=-1)
    constant = (mean <= 0) | (mean >= 1)
    inner = np.where(constant, 0.5, mean)
    score = _derivatives(stats, inner, np.zeros_like(inner))[1]
    mixed = stats.success[:, 0] + stats.failure[:, 0] - stats.size[:, 0]
    binomial = constant | (score <= 0)
    pure = ~binomial & (mixed <= 0)
    mean = np.where(pure, stats.success[:, 0] / stats.size[:, 0], mean)
    rho = np.where(pure, 1.0, 0.0)
    search = ~binomial & ~pure
    if search.any():
        start = special.logit(inner[search])
        part = _rows(stats, np.flatnonzero(search))
        u, v = _climb(part, start, np.full_like(start, _first_link(part)))
        mean[search], rho[search] = special.expit(u), special.expit(v)
    return Fit(mean, rho, _value(stats, mean, rho))


def fit_cells(data: CountCells) -> Fit:
    """`maximise` for every row of weights [..., U]; results of one data set are kept.

    >>> data = CountCells(np.array([0, 2, 4]), np.full(3, 4), np.array([20.0, 10.0, 20.0]))
    >>> fit_cells(data).mean.round(6).tolist()
    [0.5]
    """
    return _fit_cells(data)


@cells.remembered
def _fit_cells(data: CountCells) -> Fit:
    return maximise(tails(data))


def _first_link(stats: Tails) -> float:
    """Where the search for logit rho starts: for resamples of one data set at that of their sum."""
    usual = float(special.logit(0.2))
    if len(stats.size) < _MANY_ALIKE:
        return usual
    pooled = Tails(stats.at, *(s.sum(axis=0, keepdims=True) for s in stats[1:]))
    mean = pooled.success.sum(axis=-1) / pooled.size.sum(axis=-1)
    _, v = _climb(pooled, special.logit(mean), np.array([usual]))
    return float(np.clip(v[0], -5.0, 5.0))


def _value(stats: Tails, mean: FloatArray, rho: FloatArray) -> FloatArray:
    """The kernel, extended to mean 0 and 1 and to rho = 1, where pure clusters are Bernoulli."""
    at_one = rho >= 1
    value = kernel(stats, mean, np.where(at_one, 0.0, rho))
    bernoulli = special.xlogy(stats.success[:, 0], mean)
    bernoulli += special.xlogy(stats.failure[:, 0], 1 - mean)
    return np.where(at_one, bernoulli, value)


def profile(stats: Tails, rho: float) -> float:
    """Kernel maximised over the mean at a given rho in [0, 1); concave in the mean.

    Newton's method for the mean, halving the interval where a step would leave it.
    """
    mean = float(stats.success.sum() / stats.size.sum())
    if not 0.0 < mean < 1.0:
        return 0.0
    free, later = 1.0 - rho, stats.at * rho
    low, high = 0.0, 1.0
    for _ in range(_NEWTON_STEPS):
        up, down = mean * free + later, (1.0 - mean) * free + later
        rise, fall = stats.success / up, stats.failure / down
        slope = float(rise.sum() - fall.sum())
        low, high = (mean, high) if slope > 0 else (low, mean)
        before = mean
        mean += slope / (free * float((rise / up).sum() + (fall / down).sum()))
        if not low <= mean <= high:
            mean = (low + high) / 2
        if abs(mean - before) < _FLAT * before * (1.0 - before):
            break
    return float(kernel(stats, np.array([mean]), np.array([rho]))[0])


def log_choose(data: CountCells) -> float:
    """Sum over clusters of the log binomial coefficient: what the kernel leaves out."""
    return float(data.weight @ data.log_choose)


class BetaBinomialFit(NamedTuple):
    """Beta(a, b) over prompts, its mean and rho = 1 / (1 + a + b), and the log-likelihood."""

    a: float
    b: float
    mean: float
    rho: float
    loglik: float


def fit_beta_binomial(counts: GroupCounts) -> BetaBinomialFit:
    """Maximum-likelihood beta-binomial over prompts; unequal sizes allowed.

    Where the prompts are no more spread than binomial, rho = 0 and a = b = inf; the log-likelihood
    includes the binomial coefficients. Raises ValueError for ``filtered`` tables and where no
    prompt has two samples.

    >>> fit = fit_beta_binomial(GroupCounts([0] * 32 + [1] * 103 + [2] * 122 + [3] * 80, 3))
    >>> round(fit.a, 4), round(fit.b, 4), round(-fit.loglik, 3)
    (6.1198, 4.4186, 436.813)
    """
    data = cells.unfiltered(counts)
    cells.require_pairs(data)
    fit = fit_cells(data)
    mean, rho = float(fit.mean[0]), float(fit.rho[0])
    scale = np.inf if rho == 0 else 1.0 / rho - 1.0
    a = mean * scale if mean > 0 else 0.0
    b = (1.0 - mean) * scale if mean < 1 else 0.0
    return BetaBinomialFit(a, b, mean, rho, float(fit.loglik[0]) + log_choose(data))

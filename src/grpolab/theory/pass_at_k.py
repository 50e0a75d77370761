"""pass@k from n samples with c correct, and any smaller group by hypergeometric thinning.

Every estimator here is the mean over all subsets of the n samples, so it is unbiased whenever the
samples of a prompt are exchangeable; no model of p is involved.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import betaln, gammaln

from grpolab.theory import _check
from grpolab.theory._numeric import BERNOULLI, complement_log, hypergeometric_pmf, unit_rule
from grpolab.theory.groups import Exchangeable, FloatArray

_PRODUCT_TERMS = 4096  # above this the product gives way to an integral
_LAST_FACTORS = 32.0  # taken one by one next to the singularity
_NODES = 24


def expected_pass_at_k(p: npt.ArrayLike, k: npt.ArrayLike) -> FloatArray:
    """``1 - (1 - p)^k``: at least one of k independent samples is correct; accurate at small p.

    The mean of this over prompts is pass@k. Derived here.

    Parameters
    ----------
    p : array_like
        Success rate of a prompt, in [0, 1].
    k : array_like of int
        Number of samples, >= 1; broadcasts against p.

    Returns
    -------
    ndarray
        Probability in [0, 1], of the broadcast shape.

    Raises
    ------
    ValueError
        p outside [0, 1], or k not a whole number >= 1.

    Examples
    --------
    >>> expected_pass_at_k(1e-20, 64).item()
    6.4e-19
    """
    chance = _check.probability("p", p)
    return -np.expm1(_check.whole("k", k) * complement_log(chance))


def pass_at_k(
    num_samples: npt.ArrayLike, num_correct: npt.ArrayLike, k: npt.ArrayLike
) -> FloatArray:
    """``1 - C(n-c, k)/C(n, k)``: unbiased estimator of the pass@k of a prompt.

    Source: arXiv 2107.03374, equation 1.

    Parameters
    ----------
    num_samples : array_like of int
        Samples n of each prompt, >= 1.
    num_correct : array_like of int
        Correct ones c among them, in 0..n.
    k : array_like of int
        >= 1. The three broadcast to one shape, the prompts [M] or [M, number of k].

    Returns
    -------
    ndarray
        One estimate per prompt (and k); nan where k > n. The mean over prompts estimates pass@k.

    Raises
    ------
    ValueError
        An argument outside of its range.

    Examples
    --------
    >>> pass_at_k(4, 2, [1, 2, 3, 5]).round(6).tolist()
    [0.5, 0.833333, 1.0, nan]
    """
    return -np.expm1(_log_none_correct(num_samples, num_correct, k, "k"))


def thin_all_wrong(
    num_samples: npt.ArrayLike, num_correct: npt.ArrayLike, group_size: npt.ArrayLike
) -> FloatArray:
    """``C(n-c, g)/C(n, g)``: estimates P(all g wrong) = (1-p)^g without bias; nan where g > n.

    Arguments broadcast as in pass_at_k. Derived here.

    >>> thin_all_wrong(4, 2, 2).round(6).item()
    0.166667
    """
    return np.exp(_log_none_correct(num_samples, num_correct, group_size, "group_size"))


def thin_all_right(
    num_samples: npt.ArrayLike, num_correct: npt.ArrayLike, group_size: npt.ArrayLike
) -> FloatArray:
    """``C(c, g)/C(n, g)``: estimates P(all g right) = p^g without bias; nan where g > n.

    Derived here.

    >>> thin_all_right(4, 3, 2).item()
    0.5
    """
    n, c = _counts(num_samples, num_correct)
    return thin_all_wrong(n, n - c, group_size)


def thin_zero_std(
    num_samples: npt.ArrayLike, num_correct: npt.ArrayLike, group_size: npt.ArrayLike
) -> FloatArray:
    """``[C(c, g) + C(n-c, g)]/C(n, g)``: estimates the zero-std share at any g <= n without bias.

    With a table of existing rollouts this predicts the share of groups without a signal for a group
    size that was never run. Derived here.

    Parameters
    ----------
    num_samples : array_like of int
        Samples n of each prompt, >= 1.
    num_correct : array_like of int
        Correct ones c among them, in 0..n.
    group_size : array_like of int
        Planned rollouts per group, >= 1. The three broadcast.

    Returns
    -------
    ndarray
        One estimate per prompt; nan where g > n, 1 at g = 1. The mean over prompts is the share.

    Raises
    ------
    ValueError
        An argument outside of its range.

    Examples
    --------
    >>> thin_zero_std(4, 2, 2).round(6).item()
    0.333333
    """
    g = _check.whole("group_size", group_size)
    total = thin_all_wrong(num_samples, num_correct, g) + thin_all_right(
        num_samples, num_correct, g
    )
    return _check.result(np.where((g == 1) & ~np.isnan(total), 1.0, total))


def thin_pq(num_samples: npt.ArrayLike, num_correct: npt.ArrayLike) -> FloatArray:
    """``c (n - c)/(n (n - 1))``: estimates p(1 - p) without bias; nan for n = 1.

    The plug-in (c/n)(1 - c/n) is low by the factor (n-1)/n. Derived here.

    >>> thin_pq(4, 2).round(6).item()
    0.333333
    """
    n, c = _counts(num_samples, num_correct)
    pairs = np.where(n > 1, n * (n - 1.0), np.nan)
    return _check.result(c * (n - c) / pairs)


def thin_std(
    num_samples: npt.ArrayLike, num_correct: npt.ArrayLike, group_size: npt.ArrayLike
) -> FloatArray:
    """``sum_j Hyp(j; n, c, g) sqrt(j (g - j))/g``: estimates m_g = E[sigma] without bias (ddof 0).

    Arguments broadcast as in pass_at_k; nan where g > n. Derived here.

    >>> thin_std(4, 2, 2).round(6).item()
    0.333333
    """
    n, c = _counts(num_samples, num_correct)
    n, c, g = np.broadcast_arrays(n, c, _check.whole("group_size", group_size))
    out = np.full(n.shape, np.nan)
    for size in np.unique(g[g <= n]):
        rows = (g == size) & (g <= n)
        j = np.arange(size + 1)
        out[rows] = thin_pmf(n[rows], c[rows], int(size)) @ (np.sqrt(j * (size - j)) / size)
    return _check.result(out)


def thin_pmf(num_samples: npt.ArrayLike, num_correct: npt.ArrayLike, group_size: int) -> FloatArray:
    """``Hyp(k; n, c, g) = C(c, k) C(n-c, g-k)/C(n, g)``, the thinned law of K; shape [..., g + 1].

    Estimates P(K = k) of a group of g without bias from c correct among n samples of a prompt.
    num_samples n >= group_size and num_correct broadcast to [...]; ValueError outside. Derived
    here.

    >>> thin_pmf(4, 2, 2).round(6).tolist()
    [0.166667, 0.666667, 0.166667]
    """
    n, c = np.broadcast_arrays(*_counts(num_samples, num_correct))
    g = _check.one_whole("group_size", group_size)
    if np.any(n < g):
        raise ValueError(f"num_samples must be >= group_size={g}, got {n.min():g}")
    pairs, place = np.unique(np.stack([n.ravel(), c.ravel()]), axis=1, return_inverse=True)
    law = hypergeometric_pmf(pairs[0], pairs[1], g)
    return law[place].reshape(*n.shape, g + 1)


def _counts(
    num_samples: npt.ArrayLike, num_correct: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    n = _check.whole("num_samples", num_samples)
    c, n = _check.count_of("num_correct", num_correct, "num_samples", n)
    return n, c


def _log_none_correct(
    num_samples: npt.ArrayLike, num_correct: npt.ArrayLike, k: npt.ArrayLike, k_name: str
) -> FloatArray:
    """log[C(n-c, k)/C(n, k)]: -inf where no such subset exists, nan where k > n."""
    n, c = _counts(num_samples, num_correct)
    n, c, k = np.broadcast_arrays(n, c, _check.whole(k_name, k))
    # C(n-c, k)/C(n, k) is symmetric in c and k, so the product may run over the smaller one
    few, many = np.minimum(c, k), np.maximum(c, k)
    terms = np.where(k <= n, few, 0.0)
    if terms.max(initial=0.0) <= _PRODUCT_TERMS:
        total = log_none_by_product(n, many, terms)
    else:
        total = log_none_by_integral(n, many, terms)
    total = np.where(many + few > n, -np.inf, total)
    total = np.where(few == 0, 0.0, total)
    return _check.result(np.where(k > n, np.nan, total))


def log_none_by_product(n: FloatArray, many: FloatArray, few: FloatArray) -> FloatArray:
    """``sum_{i<few} log(1 - many/(n - i))``, the factors outside of their domain left out."""
    total = np.zeros(n.shape)
    for i in range(int(few.max(initial=0.0))):
        inside = (i < few) & (n - i > many)
        total += np.where(inside, _log_factor(n - i, np.where(inside, many, 0.0)), 0.0)
    return total


def _log_factor(left: npt.ArrayLike, many: npt.ArrayLike) -> FloatArray:
    """``log(1 - many/left)`` for many < left, with all digits also where many is nearly left."""
    left = np.maximum(left, 1.0)
    many = np.asarray(many, dtype=np.float64)
    share = many / left
    return np.where(
        share < 0.5, np.log1p(-np.minimum(share, 0.5)), np.log(np.maximum(left - many, 1.0) / left)
    )


def log_none_by_integral(n: FloatArray, many: FloatArray, few: FloatArray) -> FloatArray:
    """The same by Euler-Maclaurin, with full relative accuracy for any number of factors.

    The last factors are taken one by one; before them the logarithm is integrated over panels that
    halve towards its singularity, a place after the last factor.
    """
    flat = np.broadcast_arrays(n, many, np.where(n - many >= few, few, 0.0))
    triples, place = np.unique(np.stack([x.ravel() for x in flat]), axis=1, return_inverse=True)
    sums = np.array([_one_sum(*triple) for triple in triples.T])
    return _check.result(sums[place].reshape(n.shape))


def _one_sum(n: float, many: float, few: float) -> float:
    """``sum_{i<few} log(1 - many/(n - i))`` for few <= n - many."""
    first = max(few - _LAST_FACTORS, 0.0)
    i = np.arange(first, few)
    total = float(np.sum(_log_factor(n - i, many)))
    if first == 0:
        return total
    end = n - many  # the singularity
    cuts = [0.0]
    while cuts[-1] < first:
        cuts.append(min(cuts[-1] + (end - cuts[-1]) / 2.0, first))
    low, width = np.array(cuts[:-1])[:, None], np.diff(cuts)[:, None]
    nodes, weights = unit_rule(_NODES)
    total += float(np.sum(width * weights * _log_factor(n - (low + width * nodes), many)))
    total -= float(np.diff(_log_factor(n - np.array([0.0, first]), many))[0]) / 2.0
    for k, factor in enumerate(BERNOULLI, start=1):
        order = 2 * k - 1
        slope_end = (n - first) ** -order - (end - first) ** -order
        slope_start = n**-order - end**-order
        total += factor * (slope_end - slope_start)
    return total


class PassAtKVariance(NamedTuple):
    """Variance of one task's estimate; the mean over T tasks has ``total/T``."""

    within: FloatArray
    between: FloatArray
    total: FloatArray


def pass_at_k_variance(law: Exchangeable, *, num_samples: int, k: int) -> PassAtKVariance:
    """``sum_j C(k,j) C(n-k,k-j)/C(n,k) E[q^(2k-j) - q^2k]`` within, ``Var(q^k)`` between tasks.

    Exact for the unbiased estimator: two k-subsets that share j samples are correlated through
    them. Computed from chances of at least one success, so that small p lose no digits. ``law``
    says how p varies over tasks; at rho = 0 all tasks have p = mean and between is 0.
    Raises ValueError unless 1 <= k <= num_samples. Derived here.

    >>> from grpolab.theory.dependence import BetaBinomial
    >>> v = pass_at_k_variance(BetaBinomial(mean=0.05, rho=0.0), num_samples=20, k=10)
    >>> np.sqrt(v.total).round(3).item()
    0.325
    """
    _check.law("law", law, "prob_all_wrong")
    n = _check.one_whole("num_samples", num_samples)
    order = _check.summed("k", _check.one_whole("k", k))
    if order > n:
        raise ValueError(f"k must lie in 1..num_samples = {n}, got {order}")
    shared = hypergeometric_pmf(np.array([float(n)]), np.array([float(order)]), order)[0]
    sizes = np.array([2 * order, order, *(2 * order - j for j in range(1, order + 1))])
    some = _some_right(law, sizes)
    both, once, fewer = some[..., 0], some[..., 1], some[..., 2:]
    within = np.maximum((both[..., None] - fewer) @ shared[1:], 0.0)
    # Var(q^k) = E[(1 - q^k)^2] - (1 - E q^k)^2
    between = np.maximum(2.0 * once - both - once**2, 0.0)
    return PassAtKVariance(*(_check.result(part) for part in (within, between, within + between)))


def _some_right(law: Exchangeable, sizes: npt.NDArray[np.int64]) -> FloatArray:
    """P(K > 0) for groups of each size, last axis; by the model itself where it can tell."""
    own = getattr(law, "prob_some_right", None)
    return np.stack([own(g) if own else 1.0 - law.prob_all_wrong(int(g)) for g in sizes], axis=-1)


def pass_at_k_tail(a: npt.ArrayLike, b: npt.ArrayLike, *, k: npt.ArrayLike) -> FloatArray:
    """``1 - pass@k ~ Gamma(a+b)/Gamma(b) k^(-a)`` for p ~ Beta(a, b) and k well above (a + b)^2.

    The power-law exponent is a, the shape of the left tail (cf. arXiv 2407.21787, 2502.17578); the
    exact value is ``BetaBinomial.from_ab(a, b).prob_all_wrong(k)``. Derived here.

    >>> pass_at_k_tail(1.0, 1.0, k=100).round(12).item()
    0.01
    """
    left, right = _check.positive("a", a), _check.positive("b", b)
    order = _check.whole("k", k)
    with np.errstate(over="ignore", invalid="ignore"):
        log_tail = gammaln(left) - betaln(left, right) - left * np.log(order)
    return _check.result(np.exp(np.minimum(np.nan_to_num(log_tail), 0.0)))

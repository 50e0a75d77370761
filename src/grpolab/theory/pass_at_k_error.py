"""How far an estimate of pass@k is off, and how pass@k behaves at large k."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from grpolab.theory import _check
from grpolab.theory._pmf import hypergeometric_pmf
from grpolab.theory.exchangeable import Exchangeable
from grpolab.theory.groups import FloatArray
from grpolab.theory.pass_at_k import pass_at_k


class PassAtKVariance(NamedTuple):
    """Variance of one task's estimate; the mean over T tasks has ``total/T``."""

    within: FloatArray
    between: FloatArray
    total: FloatArray


def pass_at_k_variance(law: Exchangeable, *, num_samples: int, k: int) -> PassAtKVariance:
    """``sum_j C(k,j) C(n-k,k-j)/C(n,k) E[q^(2k-j) - q^2k]`` within, ``Var(q^k)`` between tasks.

    Exact for the unbiased estimator: two k-subsets that share j samples are correlated through
    them. ``law`` says how p varies over tasks; at rho = 0 all tasks have p = mean and between is 0.
    Raises ValueError unless 1 <= k <= num_samples. Derived here.

    >>> from grpolab.theory.dependence import BetaBinomial
    >>> v = pass_at_k_variance(BetaBinomial(mean=0.05, rho=0.0), num_samples=20, k=10)
    >>> np.sqrt(v.total).round(3).item()
    0.325
    """
    n = _check.one_whole("num_samples", num_samples)
    order = _check.one_whole("k", k)
    if order > n:
        raise ValueError(f"k must lie in 1..num_samples = {n}, got {order}")
    shared = hypergeometric_pmf(np.array([float(n)]), np.array([float(order)]), order)[0]
    j = np.arange(1, order + 1)
    mean = np.asarray(law.mean)
    both = law.prob_all_wrong(2 * order)
    fail = np.stack([np.broadcast_to(law.prob_all_wrong(2 * order - i), mean.shape) for i in j], -1)
    within = np.maximum((fail - np.asarray(both)[..., None]) @ shared[1:], 0.0)
    between = np.maximum(both - law.prob_all_wrong(order) ** 2, 0.0)
    return PassAtKVariance(within, between, within + between)


class Estimate(NamedTuple):
    """A mean over tasks and its standard error."""

    mean: FloatArray
    stderr: FloatArray


def mean_pass_at_k(
    num_samples: npt.ArrayLike, num_correct: npt.ArrayLike, k: npt.ArrayLike
) -> Estimate:
    """Mean of pass_at_k over tasks [M] and ``sd/sqrt(M)``, for k of shape [] or [k].

    Tasks are the unit that is sampled, so the spread of the per-task estimates holds both the
    between-task and the within-task variance. nan where some k > n; stderr nan for one task.
    Derived here.

    >>> mean_pass_at_k([4, 4], [0, 4], [1, 2]).stderr.tolist()
    [0.5, 0.5]
    """
    n, c = np.broadcast_arrays(
        np.atleast_1d(np.asarray(num_samples)), np.atleast_1d(np.asarray(num_correct))
    )
    order = np.asarray(k)
    each = pass_at_k(n[:, None], c[:, None], np.atleast_1d(order))
    mean = each.mean(axis=0)
    spread = np.full(mean.shape, np.nan)
    if len(each) > 1:
        spread = each.std(axis=0, ddof=1) / np.sqrt(len(each))
    return Estimate(mean.reshape(order.shape), spread.reshape(order.shape))


def pass_at_k_tail(a: npt.ArrayLike, b: npt.ArrayLike, *, k: npt.ArrayLike) -> FloatArray:
    """``1 - pass@k ~ Gamma(a+b)/Gamma(b) k^(-a)`` for p ~ Beta(a, b) and large k.

    The power-law exponent is a, the shape of the left tail (cf. arXiv 2407.21787, 2502.17578); the
    exact value is ``BetaBinomial.from_ab(a, b).prob_all_wrong(k)``. Derived here.

    >>> pass_at_k_tail(1.0, 1.0, k=100).round(12).item()
    0.01
    """
    left, right = _check.positive("a", a), _check.positive("b", b)
    order = _check.whole("k", k)
    tail: FloatArray = np.exp(gammaln(left + right) - gammaln(right) - left * np.log(order))
    return tail


def pass_at_k_upper_bound(
    mean: npt.ArrayLike, *, rho: npt.ArrayLike, k: npt.ArrayLike
) -> FloatArray:
    """``1 - [(1-m)^2 + Var p]^(k/2)`` >= mean pass@k for k >= 2, Var p = rho m(1-m).

    Jensen with E[q^2]: no model of p is needed (arXiv 2504.10478). Raises ValueError for k < 2,
    where it is not a bound.

    >>> pass_at_k_upper_bound(0.5, rho=0.0, k=4).item()
    0.9375
    """
    m = _check.probability("mean", mean)
    spread = _check.probability("rho", rho) * m * (1.0 - m)
    order = _check.whole("k", k, least=2)
    return 1.0 - ((1.0 - m) ** 2 + spread) ** (order / 2.0)

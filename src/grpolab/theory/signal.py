"""How much signal a group carries: exact moments of its rewards when p is given.

K ~ Bin(g, p) is the number of correct rollouts, sigma^2 = K(g-K)/g^2 the reward variance of the
group with ddof 0 and s^2 = g/(g-1) sigma^2 with ddof 1; q = 1 - p.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from grpolab.theory import _check
from grpolab.theory._numeric import binomial_mean, binomial_pmf
from grpolab.theory.groups import FloatArray
from grpolab.theory.zero_std import prob_mixed


def expected_variance(
    p: npt.ArrayLike, group_size: npt.ArrayLike, *, rho: npt.ArrayLike = 0.0, ddof: int = 0
) -> FloatArray:
    """``E[sigma^2] = p q (1 - rho)(g - 1)/g`` (ddof 0) or ``p q (1 - rho)`` (ddof 1).

    Holds for any joint law of the g rewards whose mean is p and whose average pairwise correlation
    is rho. The rho = 0 case is arXiv 2606.18487, proposition 1; the rest derived here.

    Parameters
    ----------
    p : array_like
        Mean reward, in [0, 1]: of a prompt, or over prompts.
    group_size : array_like of int
        Rollouts per group, >= 1; broadcasts against p.
    rho : array_like
        0 given the prompt, the intra-class correlation when p is a mean over prompts; in [-1/(g-1),
        1].
    ddof : int
        0 for the variance of the group (numpy's), 1 for torch's.

    Returns
    -------
    ndarray
        Mean of the reward variance of a group, of the broadcast shape; nan at g = 1 with ddof 1.

    Raises
    ------
    ValueError
        An argument outside of its range.

    Examples
    --------
    >>> expected_variance(0.5, 8).item(), expected_variance(0.5, 8, rho=0.2, ddof=1).item()
    (0.21875, 0.2)
    """
    chance = _check.probability("p", p)
    g = _check.whole("group_size", group_size)
    full = chance * (1.0 - chance) * (1.0 - pair_correlation(rho, g))
    if is_unbiased(ddof):
        return _check.result(np.where(g > 1, full, np.nan))
    return full * (g - 1.0) / g


def pair_correlation(rho: npt.ArrayLike, group_size: FloatArray) -> FloatArray:
    """Check that rho can be the common correlation of g variables: ``-1/(g-1) <= rho <= 1``."""
    value, g = np.broadcast_arrays(_check.numbers("rho", rho), group_size)
    low = np.where(g > 1, -1.0 / np.maximum(g - 1.0, 1.0), -1.0)
    good = (value >= low) & (value <= 1.0)
    if not np.all(good):
        bad = tuple(np.argwhere(np.atleast_1d(~good))[0])
        raise ValueError(
            f"rho must lie in [-1/(group_size-1), 1] = [{np.atleast_1d(low)[bad]:g}, 1],"
            f" got {np.atleast_1d(value)[bad]:g}"
        )
    return value


def expected_std(p: npt.ArrayLike, group_size: npt.ArrayLike, *, ddof: int = 0) -> FloatArray:
    """``m_g(p) = E[sigma] = p q w_g(p)``: mean reward std of a group.

    With ddof 1 it is ``sqrt(g/(g-1)) m_g``.

    It is also the mean one-step change of logit p, per unit learning rate, of a one-parameter
    policy under std-normalised advantages. Exact sum over K. Derived here.

    Parameters
    ----------
    p : array_like
        Success rate of a prompt, in [0, 1].
    group_size : array_like of int
        Rollouts per group, >= 1; broadcasts against p.
    ddof : int
        0 for the standard deviation of the group (numpy's), 1 for torch's.

    Returns
    -------
    ndarray
        Mean standard deviation, of the broadcast shape; nan at g = 1 with ddof 1.

    Raises
    ------
    ValueError
        An argument outside of its range.

    Examples
    --------
    >>> expected_std(0.5, 2).item(), expected_std(0.5, 3).round(6).item()
    (0.25, 0.353553)
    """
    chance = _check.probability("p", p)
    g = _check.whole("group_size", group_size)
    biased = chance * (1.0 - chance) * update_weight(chance, g)
    if is_unbiased(ddof):
        with np.errstate(divide="ignore", invalid="ignore"):
            return _check.result(biased * np.sqrt(g / (g - 1.0)))
    return biased


def update_weight(p: npt.ArrayLike, group_size: npt.ArrayLike, *, ddof: int = 0) -> FloatArray:
    """``w_g(p) = E[sigma]/(p q) = (g-1) E_{M~Bin(g-2,p)}[1/sqrt((M+1)(g-1-M))]``.

    The expected std-normalised GRPO update on one prompt is w_g(p) grad p. w_2 = 1 for every p;
    w_g(0) = w_g(1) = sqrt(g-1); w_g -> 1/sqrt(pq) as g -> infinity with p fixed, and not uniformly:
    that limit is wrong by a factor when g p is of order 1. 0 at g = 1. With ddof 1 (torch.std) the
    weight is sqrt((g-1)/g) w_g. p in [0, 1], group_size >= 1 broadcast; ValueError outside.
    Derived here.

    >>> update_weight(0.083, 8).round(4).item(), update_weight(0.3, 2).item()
    (2.3743, 1.0)
    """
    chance = _check.probability("p", p)
    g = _check.whole("group_size", group_size)

    def inverse_std(m: FloatArray, n: int) -> FloatArray:
        return (n + 1.0) / np.sqrt((m + 1.0) * (n + 1.0 - m))

    weight = np.where(g > 1, binomial_mean(inverse_std, chance, g - 2.0), 0.0)
    return _check.result(weight * np.sqrt((g - 1.0) / g) if is_unbiased(ddof) else weight)


def expected_squared_advantage(
    p: npt.ArrayLike, group_size: npt.ArrayLike, *, ddof: int = 0
) -> FloatArray:
    """``E[mean_i A_i^2] = 1 - d_g(p)`` for std-normalised advantages ((g-1)/g of it with ddof 1).

    Inside a mixed group the normalised advantages have variance exactly 1, so p(1-p) describes the
    unnormalised ones only. Derived here.

    >>> expected_squared_advantage(0.5, 2).item()
    0.5
    """
    g = _check.whole("group_size", group_size)
    mixed = prob_mixed(p, g)
    return mixed * (g - 1.0) / g if is_unbiased(ddof) else mixed


def is_unbiased(ddof: int) -> bool:
    """True for 1, False for 0."""
    if not isinstance(ddof, int | float | np.number) or ddof not in (0, 1):
        raise ValueError(f"ddof must be 0 or 1, got {ddof!r}")
    return bool(ddof == 1)


def count_pmf(p: npt.ArrayLike, group_size: int) -> FloatArray:
    """``P(K = k) = C(g, k) p^k (1-p)^(g-k)``, shape [..., g + 1] for p of shape [...].

    p in [0, 1], one group_size >= 1; ValueError outside. Derived here.

    >>> count_pmf(0.5, 2).tolist()
    [0.25, 0.5, 0.25]
    """
    chance = _check.probability("p", p)
    g = _check.one_whole("group_size", group_size)
    return binomial_pmf(chance.ravel(), g).reshape(*chance.shape, g + 1)


def variance_of_variance(
    p: npt.ArrayLike, group_size: npt.ArrayLike, *, ddof: int = 0
) -> FloatArray:
    """``Var(s^2) = (pq/g) [(1 - 4pq) + 2pq/(g-1)]``; times ((g-1)/g)^2 for ddof 0; nan at g = 1.

    Rewards iid given the prompt; s^2 is a U-statistic of order two (cf. arXiv 2603.01162). p in
    [0, 1], group_size >= 1 broadcast; ValueError outside. Derived here.

    >>> variance_of_variance(0.5, 2, ddof=1).item()
    0.0625
    """
    chance = _check.probability("p", p)
    g = _check.whole("group_size", group_size)
    free = np.where(g > 1, g - 1.0, np.nan)
    pq = chance * (1.0 - chance)
    spread: FloatArray = pq / g * ((1.0 - 2.0 * chance) ** 2 + 2.0 * pq / free)
    return spread if is_unbiased(ddof) else spread * (free / g) ** 2


def expected_rate_given_mixed(p: npt.ArrayLike, group_size: npt.ArrayLike) -> FloatArray:
    """``E[K/g | mixed] = (p - p^g)/(1 - d_g(p))``, above p for p < 1/2; 1/g at p = 0, nan at g = 1.

    Seen through mixed groups only, a hard prompt looks easier than it is; that is the bias of
    arXiv 2601.08521. The unconditional centred estimator is shrunk by (g-1)/g and no more.

    >>> expected_rate_given_mixed(0.1, 8).round(4).item()
    0.1756
    """
    chance = _check.probability("p", p)
    g = _check.whole("group_size", group_size)
    mixed = prob_mixed(chance, g)
    some = mixed > 0
    inner = chance * -np.expm1((g - 1.0) * np.log(np.where(chance > 0, chance, 1.0)))
    ends = np.where(chance < 0.5, 1.0 / g, (g - 1.0) / g)
    rate = np.where(some, inner / np.where(some, mixed, 1.0), ends)
    return _check.result(np.where(g > 1, rate, np.nan))

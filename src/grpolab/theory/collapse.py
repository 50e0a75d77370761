"""Mode collapse: how entropy, duplicates, correlation and zero-std groups hang together.

Two assumptions, of which the second needs the first. (1) Labels: each distinct response of a prompt
is correct with chance m, independently of the others and of the policy's weights pi. Then
Corr(R_i, R_j) over prompts is E[sum_y pi(y)^2], the chance that two rollouts coincide. (2) Weights:
over prompts pi is a Dirichlet process of one concentration alpha whose base measure has no atoms,
so that no two of its sticks are the same response. Then p(x) is Beta(alpha m, alpha(1-m)), the
group is beta-binomial with rho = 1/(1+alpha), and the *mean* entropy over prompts fixes rho. A
policy whose likely responses are likely to be right, or a prompt-dependent alpha, breaks the law.
Entropy is that of whole responses or answers, in nats.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import digamma, zeta

from grpolab.theory import _check
from grpolab.theory._numeric import find_root
from grpolab.theory.groups import FloatArray

_TINY_RHO = 1e-300
_SMALL = 0.05  # below, the entropy is summed as a series in alpha


def rho_from_concentration(alpha: npt.ArrayLike) -> FloatArray:
    """``rho = 1/(1 + alpha)``, also the chance that two rollouts coincide; alpha >= 0.

    Derived here.

    >>> rho_from_concentration(3.0).item()
    0.25
    """
    return 1.0 / (1.0 + _check.within("alpha", alpha, 0.0, np.inf))


def expected_entropy(alpha: npt.ArrayLike) -> FloatArray:
    """``E[H(pi)] = psi(1 + alpha) - psi(1)`` nats; ``pi^2 alpha/6`` for small alpha >= 0.

    Derived here.

    >>> expected_entropy([0.0, 1.0, 2.0]).round(12).tolist()
    [0.0, 1.0, 1.5]
    """
    a = _check.within("alpha", alpha, 0.0, np.inf)
    tiny = np.minimum(a, _SMALL)
    series = sum(((-1) ** n) * zeta(n) * tiny ** (n - 1) for n in range(2, 16))
    return _check.result(np.where(a <= _SMALL, series, digamma(1.0 + a) - digamma(1.0)))


def concentration_from_entropy(entropy: npt.ArrayLike) -> FloatArray:
    """The alpha with ``psi(1 + alpha) - psi(1) = H``; H >= 0 nats, up to 700.

    Derived here.

    >>> concentration_from_entropy(1.5).round(9).item()
    2.0
    """
    h = _check.within("entropy", entropy, 0.0, 700.0)
    # log(1 + alpha) <= psi(1 + alpha) - psi(1) <= (pi^2/6) alpha
    return _check.result(find_root(lambda a: expected_entropy(a) - h, h / 2.0, np.expm1(h) + h))


def rho_from_entropy(entropy: npt.ArrayLike) -> FloatArray:
    """``rho = 1/(1 + alpha(H))``: the entropy-ICC law; ``1 - rho ~ (6/pi^2) H`` as H -> 0.

    No free parameter, under the two assumptions of this module. H is the mean over prompts; given a
    prompt, rewards stay independent whatever H. Derived here.

    >>> rho_from_entropy(1.0).round(12).item()
    0.5
    """
    return rho_from_concentration(concentration_from_entropy(entropy))


def entropy_from_rho(rho: npt.ArrayLike) -> FloatArray:
    """``H = psi(1/rho) - psi(1)``: inverse of rho_from_entropy; rho in (0, 1].

    Derived here.

    >>> entropy_from_rho(0.5).round(12).item()
    1.0
    """
    corr = _check.within("rho", rho, 0.0, 1.0, ends="high")
    small = np.maximum(corr, _TINY_RHO)
    # psi(1/rho) is log(1/rho) to the last digit long before 1/rho overflows
    rest = np.log(small) - np.log(corr)
    return _check.result(expected_entropy((1.0 - small) / small) + rest)


def collision_rho(weights: npt.ArrayLike) -> FloatArray:
    """``sum_y pi(y)^2``: correlation that a policy's own weights [..., V] imply.

    For any law of pi whose labels are random (the first assumption of this module) the mean of
    this over prompts is Corr(R_i, R_j). Raises ValueError unless the weights are in [0, 1] and sum
    to 1 along the last axis. Derived here.

    >>> collision_rho([0.5, 0.5]).item()
    0.5
    """
    pi = _check.distribution("weights", weights)
    return _check.result(np.sum(pi * pi, axis=-1))


_LARGE = 1e3  # concentration from which two terms of Euler-Maclaurin are exact to 1e-12


def expected_distinct(alpha: npt.ArrayLike, group_size: npt.ArrayLike) -> FloatArray:
    """Mean number of distinct responses of a group, ``sum_{i<g} alpha/(alpha + i)``.

    Parameters
    ----------
    alpha : array_like
        Concentration of the Dirichlet process, >= 0, see `concentration_from_entropy`.
    group_size : array_like
        Rollouts per group, >= 1; broadcasts against ``alpha``.

    Returns
    -------
    ndarray
        Between 1 (alpha = 0: one response) and g (no two alike).

    Raises
    ------
    ValueError
        A negative concentration, a group size that is no whole number >= 1.

    Notes
    -----
    Ewens 1972. Beyond alpha = 1000 the sum is ``alpha log(1 + g/alpha) + g/(2 (alpha + g))`` and a
    term in 1/(12 alpha), as the difference of digammas cancels there.

    Examples
    --------
    >>> expected_distinct(1.0, 3).round(9).item()
    1.833333333
    >>> expected_distinct(concentration_from_entropy([20.0, 36.0, 60.0]), 8).round(6).tolist()
    [8.0, 8.0, 8.0]
    """
    a = _check.within("alpha", alpha, 0.0, np.inf, ends="low")
    g = _check.whole("group_size", group_size)
    near = np.minimum(a, _LARGE)
    small = 1.0 + near * (digamma(near + g) - digamma(near + 1.0))
    far = np.maximum(a, _LARGE)
    share = g / far
    bend = (1.0 - 1.0 / (1.0 + share) ** 2) / 12.0 / far
    large = far * np.log1p(share) + share / (2.0 * (1.0 + share)) + bend
    return _check.result(np.where(a < _LARGE, small, large))

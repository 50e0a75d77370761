"""What each estimator ascends on one prompt: the exact expected update, and the objective it is.

A rule gives a correct rollout the advantage A+(K) and a wrong one A-(K). The expected on-policy
update (1/g) sum_i A_i grad log pi(y_i) of one prompt is w(p) grad p for every policy, so the rule
ascends J with J'(p) = w(p) (Davis and Recht, arXiv 2510.13651).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from grpolab.theory import _check
from grpolab.theory._numeric import binomial_mean
from grpolab.theory.advantage import Rule
from grpolab.theory.groups import FloatArray
from grpolab.theory.rules import advantage_table, rule_of


def expected_update(rule: Rule, p: npt.ArrayLike, *, group_size: npt.ArrayLike) -> FloatArray:
    """``w(p) = E_{M ~ Bin(g-1, p)}[A+(M+1) - A-(M)]``: the expected update is w(p) grad p.

    Exact for every rule, group size and policy, with eps and ddof as the rule has them: one member
    of the group is set apart, and the rest is M. Importance ratios are 1 (on policy). p in [0, 1],
    group_size >= 1 broadcast; ValueError outside. That weights which depend on K alone ascend a
    function of p, and its Bernstein form, are in arXiv 2510.13651; surrogate rewards of shaped
    advantages in arXiv 2510.23049.

    >>> from grpolab.theory.advantage import MAXRL, RLOO, SIGN
    >>> [expected_update(r, 0.5, group_size=2).item() for r in (RLOO, MAXRL, SIGN)]
    [1.0, 1.5, 2.0]
    """
    chance = _check.probability("p", p)
    g = _check.whole("group_size", group_size)
    return _check.result(binomial_mean(lambda m, n: pulls(rule, n + 1), chance, g - 1.0))


def expected_objective(rule: Rule, p: npt.ArrayLike, *, group_size: npt.ArrayLike) -> FloatArray:
    """``J(p) = int_0^p w = (1/g) E_{K ~ Bin(g, p)}[sum_{j<K} A+(j+1) - A-(j)]``, J(0) = 0.

    A polynomial in Bernstein form, so nothing cancels. Arguments as expected_update. The objective
    of binary rewards as a monotone function of p is arXiv 2510.13651 (GRPO for g -> infinity:
    2 arcsin sqrt p).

    >>> from grpolab.theory.advantage import DR_GRPO, GRPO
    >>> expected_objective(GRPO, [0.25, 1.0], group_size=2).tolist()
    [0.25, 1.0]
    """
    chance = _check.probability("p", p)
    g = _check.whole("group_size", group_size)

    def value(k: FloatArray, n: int) -> FloatArray:
        return np.concatenate([[0.0], np.cumsum(pulls(rule, n))]) / n

    return _check.result(binomial_mean(value, chance, g))


def pulls(rule: Rule, size: int) -> FloatArray:
    """A+(j+1) - A-(j) for j = 0..g-1: the pull of one more correct rollout."""
    correct, wrong = advantage_table(rule, size)
    return correct[1:] - wrong[:-1]


def contrast_coefficient(
    rule: Rule, num_correct: npt.ArrayLike, *, group_size: npt.ArrayLike
) -> FloatArray:
    """``c`` with ``(1/g) sum_i A_i s_i = c (mean s of correct - mean s of wrong)``.

    For rules whose advantages sum to zero. ``c = K A+/g``: the reward std of the group for GRPO,
    its variance for Dr. GRPO. That is the group-standard-deviation identity (arXiv 2607.00152).
    Raises ValueError when the advantages of some group do not sum to zero.

    >>> from grpolab.theory.advantage import DR_GRPO, GRPO
    >>> [contrast_coefficient(rule, 4, group_size=8).item() for rule in (DR_GRPO, GRPO)]
    [0.25, 0.5]
    """
    g = _check.whole("group_size", group_size)
    k, g = _check.count_of("num_correct", num_correct, "group_size", g)
    correct, wrong = rule_of(rule).advantages(k, g)
    mixed = (k > 0) & (k < g)
    if not np.allclose((k * correct + (g - k) * wrong)[mixed], 0.0, atol=1e-9):
        raise ValueError("rule must give advantages that sum to zero in a mixed group")
    return _check.result(np.where(mixed, k * correct / g, 0.0))


def arcsine_weight(p: npt.ArrayLike) -> FloatArray:
    """``1/sqrt(p (1-p))``, the g -> infinity weight; infinite at both ends.

    arXiv 2510.13651.

    >>> arcsine_weight(0.5).item()
    2.0
    """
    chance = _check.probability("p", p)
    with np.errstate(divide="ignore"):
        weight: FloatArray = 1.0 / np.sqrt(chance * (1.0 - chance))
    return weight

"""What each estimator ascends on one prompt: the exact expected update, and the objective it is.

A rule gives a correct rollout the advantage A+(K) and a wrong one A-(K). The expected on-policy
update (1/g) sum_i A_i grad log pi(y_i) of one prompt is w(p) grad p for every policy, so the rule
ascends J with J'(p) = w(p) (Davis and Recht, arXiv 2510.13651).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from grpolab.theory import _check
from grpolab.theory._numeric import binomial_mean
from grpolab.theory.advantage import Advantages, Rule, advantage_table, rule_of
from grpolab.theory.groups import FloatArray
from grpolab.theory.pass_at_k import pass_at_k


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


@dataclass(frozen=True, slots=True)
class PassAtKGradient:
    """Unbiased gradient of pass@k from n = group_size samples; ``w = k (1-p)^(k-1)``.

    ``A+ = k``, ``A- = k * pass@(k-1) of the other n-1 samples`` (mean over the group, so n times
    the weights of arXiv 2505.15201). k = 1 is REINFORCE without a baseline. ``centred`` takes off
    each sample the mean over (k-1)-subsets of the others of their maximum, k times it (the
    baseline of leave-one-out minus one there): ``A+ = k (1 - pass@(k-1) of the others)``,
    ``A- = 0``. The expectation is the same, and a group whose k - 1 others always hold a correct
    sample gives no update.

    >>> expected_update(PassAtKGradient(4), 0.5, group_size=8).round(12).item()
    0.5
    >>> PassAtKGradient(4, centred=True).advantages([1, 5, 8], 8).correct.round(6).tolist()
    [4.0, 0.114286, 0.0]
    """

    k: int
    centred: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", _check.one_whole("k", self.k))
        object.__setattr__(self, "centred", _check.flag("centred", self.centred))

    def advantages(self, num_correct: npt.ArrayLike, group_size: npt.ArrayLike) -> Advantages:
        """(A+, A-); group_size must be >= k."""
        c, n = _samples_for(self.k, num_correct, group_size)
        if self.k == 1:
            return Advantages(_check.result(np.ones_like(c)), _check.result(np.zeros_like(c)))
        others = np.maximum(n - 1, 1)
        if self.centred:
            rest = pass_at_k(others, np.clip(c - 1, 0, others), self.k - 1)
            alone = _check.result(self.k * (1 - rest))
            return Advantages(alone, _check.result(np.zeros_like(c)))
        best = pass_at_k(others, np.minimum(c, others), self.k - 1)
        return Advantages(_check.result(np.full_like(c, self.k)), _check.result(self.k * best))


@dataclass(frozen=True, slots=True)
class PassAtKTraining:
    """Advantages of the k-subsets' maxima, normalised over all subsets (arXiv 2508.10751).

    With Rbar = 1 - C(N-c,k)/C(N,k) and S = sqrt(Rbar (1-Rbar)): A+ = (1-Rbar)/S and
    A- = (1 - Rbar - C(N-c-1,k-1)/C(N-1,k-1))/S, so that c A+ + (N-c) A- = 0. No signal as soon as
    c > N - k, where every subset holds a correct sample, nor at c = 0.

    >>> PassAtKTraining(2).advantages(7, 8)
    Advantages(correct=np.float64(0.0), wrong=np.float64(0.0))
    """

    k: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", _check.one_whole("k", self.k))

    def advantages(self, num_correct: npt.ArrayLike, group_size: npt.ArrayLike) -> Advantages:
        """(A+, A-); group_size must be >= k."""
        c, n = _samples_for(self.k, num_correct, group_size)
        fail = 1 - pass_at_k(n, c, self.k)
        spread = np.sqrt(fail * (1 - fail))
        others = np.maximum(n - 1, 1)
        all_wrong = np.ones_like(c)
        if self.k > 1:
            all_wrong = 1 - pass_at_k(others, np.minimum(c, others), self.k - 1)
        some = spread > 0
        safe = np.where(some, spread, 1.0)
        return Advantages(
            _check.result(np.where(some, fail / safe, 0.0)),
            _check.result(np.where(some, (fail - all_wrong) / safe, 0.0)),
        )


def _samples_for(
    k: int, num_correct: npt.ArrayLike, group_size: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    n = _check.whole("group_size", group_size, least=k)
    return _check.count_of("num_correct", num_correct, "group_size", n)


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

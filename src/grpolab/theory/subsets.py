"""Rules of subsets: advantages that ascend pass@k, by its gradient or by normalised maxima."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from grpolab.theory import _check
from grpolab.theory.advantage import Advantages
from grpolab.theory.groups import FloatArray
from grpolab.theory.pass_at_k import pass_at_k


@dataclass(frozen=True, slots=True)
class PassAtKGradient:
    """Unbiased gradient of pass@k from n = group_size samples; ``w = k (1-p)^(k-1)``.

    ``A+ = k``, ``A- = k * pass@(k-1) of the other n-1 samples`` (mean over the group, so n times
    the weights of arXiv 2505.15201). k = 1 is REINFORCE without a baseline. ``centred`` takes off
    each sample the mean over (k-1)-subsets of the others of their maximum, k times it (the
    baseline of leave-one-out minus one there): ``A+ = k (1 - pass@(k-1) of the others)``,
    ``A- = 0``. The expectation is the same, and a group whose k - 1 others always hold a correct
    sample gives no update.

    >>> from grpolab.theory import expected_update
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

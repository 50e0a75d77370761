"""Groups whose dependence has a structure: shared prefixes, a finite pool, antithetic pairs.

These are not mixtures over p. The first is positively dependent inside a branch only; the other two
are negatively dependent, which no spread of p over prompts can produce, and have fewer zero-std
groups than independent rewards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from grpolab.theory import _check
from grpolab.theory._numeric import hypergeometric_pmf
from grpolab.theory.dependence import BetaBinomial
from grpolab.theory.groups import FloatArray, Mechanism
from grpolab.theory.pass_at_k import thin_all_right, thin_all_wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedPrefix:
    """A group of B branches of g/B rollouts; p is drawn anew per branch, Beta with mean m.

    ``branch_rho`` = Var(p_b)/(m(1-m)) is the correlation inside a branch, 0 between branches. Tree
    search and partial rollouts sample so. Derived here.

    >>> law = SharedPrefix(mean=0.5, branch_rho=1.0, branches=4)
    >>> law.prob_zero_std(8).item(), law.pair_rho(8)
    (0.125, 0.14285714285714285)
    """

    mean: float
    branch_rho: float
    branches: int

    def __post_init__(self) -> None:
        for name in ("mean", "branch_rho"):
            value = _check.probability(name, getattr(self, name))
            object.__setattr__(self, name, _check.single(name, value))
        object.__setattr__(self, "branches", _check.one_whole("branches", self.branches))

    @property
    def mechanism(self) -> Mechanism:
        """Branches with a beta variate each."""
        return Mechanism(self.mean, kind="prefix", strength=self.branch_rho, parts=self.branches)

    def _per_branch(self, group_size: int) -> tuple[BetaBinomial, int]:
        g = _check.one_whole("group_size", group_size)
        if g % self.branches:
            raise ValueError(f"group_size must be a multiple of {self.branches}, got {g}")
        return BetaBinomial(mean=self.mean, rho=self.branch_rho), g // self.branches

    def pair_rho(self, group_size: int) -> float:
        """Mean correlation over all pairs of the group: ``branch_rho (g/B - 1)/(g - 1)``."""
        _, size = self._per_branch(group_size)
        return self.branch_rho * (size - 1) / max(group_size - 1, 1)

    def prob_all_wrong(self, group_size: int) -> FloatArray:
        """P(K = 0): every branch all wrong."""
        law, size = self._per_branch(group_size)
        return np.power(law.prob_all_wrong(size), self.branches)

    def prob_all_right(self, group_size: int) -> FloatArray:
        """P(K = g): every branch all right."""
        law, size = self._per_branch(group_size)
        return np.power(law.prob_all_right(size), self.branches)

    def prob_zero_std(self, group_size: int) -> FloatArray:
        """P(K = 0 or K = g)."""
        both = self.prob_all_wrong(group_size) + self.prob_all_right(group_size)
        return np.minimum(both, 1.0)

    def pmf(self, group_size: int) -> FloatArray:
        """P(K = k): the B-fold convolution of a branch's law, shape [g + 1]."""
        law, size = self._per_branch(group_size)
        return _convolve(law.pmf(size), self.branches)


@dataclass(frozen=True, slots=True, kw_only=True)
class WithoutReplacement:
    """The group is drawn without replacement from ``pool`` responses, num_correct of them right.

    ``rho = -1/(pool - 1)``, the lowest correlation that a pool of that size allows; K is
    hypergeometric. Group sizes go up to the pool. Derived here.

    >>> WithoutReplacement(pool=8, num_correct=4).prob_zero_std(4).round(6).item()
    0.028571
    """

    pool: int
    num_correct: int

    def __post_init__(self) -> None:
        pool = _check.one_whole("pool", self.pool)
        object.__setattr__(self, "pool", pool)
        right = _check.count_of("num_correct", self.num_correct, "pool", np.array(float(pool)))[0]
        object.__setattr__(self, "num_correct", int(_check.single("num_correct", right)))

    @property
    def mean(self) -> float:
        """num_correct / pool."""
        return self.num_correct / self.pool

    @property
    def rho(self) -> float:
        """-1/(pool - 1); nan for a pool of one."""
        return -1.0 / (self.pool - 1) if self.pool > 1 else float("nan")

    @property
    def mechanism(self) -> Mechanism:
        """Responses taken out of the pool."""
        return Mechanism(self.mean, kind="pool", parts=self.pool)

    def _checked(self, group_size: npt.ArrayLike) -> FloatArray:
        g = _check.whole("group_size", group_size)
        return _check.within("group_size", g, 1, self.pool)

    def prob_all_wrong(self, group_size: npt.ArrayLike) -> FloatArray:
        """P(K = 0)."""
        return thin_all_wrong(self.pool, self.num_correct, self._checked(group_size))

    def prob_all_right(self, group_size: npt.ArrayLike) -> FloatArray:
        """P(K = g)."""
        return thin_all_right(self.pool, self.num_correct, self._checked(group_size))

    def prob_zero_std(self, group_size: npt.ArrayLike) -> FloatArray:
        """P(K = 0 or K = g); 1 at g = 1."""
        return np.minimum(self.prob_all_wrong(group_size) + self.prob_all_right(group_size), 1.0)

    def pmf(self, group_size: int) -> FloatArray:
        """P(K = k), shape [g + 1]."""
        g = int(self._checked(_check.one_whole("group_size", group_size)))
        pool, correct = np.array([float(self.pool)]), np.array([float(self.num_correct)])
        law: FloatArray = hypergeometric_pmf(pool, correct, g)[0]
        return law


@dataclass(frozen=True, slots=True, kw_only=True)
class Antithetic:
    """Pairs of rollouts from uniforms U and 1 - U, pairs independent; even group sizes.

    Both are right with chance max(0, 2p - 1) and both wrong with max(0, 1 - 2p), so at p = 1/2
    every pair is mixed. Derived here.

    >>> Antithetic(mean=0.25).prob_zero_std(4).item()
    0.25
    """

    mean: float

    def __post_init__(self) -> None:
        mean = _check.single("mean", _check.probability("mean", self.mean))
        object.__setattr__(self, "mean", mean)

    @property
    def pair_rho(self) -> float:
        """Correlation inside a pair; nan at p = 0 and p = 1."""
        p = self.mean
        spread = p * (1 - p)
        return (max(0.0, 2 * p - 1) - p * p) / spread if spread else float("nan")

    @property
    def mechanism(self) -> Mechanism:
        """Pairs that share a uniform and its mirror image."""
        return Mechanism(self.mean, kind="antithetic")

    def _pairs(self, group_size: int) -> int:
        g = _check.one_whole("group_size", group_size)
        if g % 2:
            raise ValueError(f"group_size must be even, got {g}")
        return g // 2

    def prob_all_wrong(self, group_size: int) -> np.float64:
        """P(K = 0)."""
        return np.float64(max(0.0, 1 - 2 * self.mean) ** self._pairs(group_size))

    def prob_all_right(self, group_size: int) -> np.float64:
        """P(K = g)."""
        return np.float64(max(0.0, 2 * self.mean - 1) ** self._pairs(group_size))

    def prob_zero_std(self, group_size: int) -> np.float64:
        """P(K = 0 or K = g)."""
        return self.prob_all_wrong(group_size) + self.prob_all_right(group_size)

    def pmf(self, group_size: int) -> FloatArray:
        """P(K = k), shape [g + 1]."""
        both, none = max(0.0, 2 * self.mean - 1), max(0.0, 1 - 2 * self.mean)
        return _convolve(np.array([none, 1 - none - both, both]), self._pairs(group_size))


def _convolve(law: FloatArray, times: int) -> FloatArray:
    total: FloatArray = np.ones(1)
    for _ in range(times):
        total = np.asarray(np.convolve(total, law), dtype=np.float64)
    return total

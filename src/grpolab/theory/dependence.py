"""Exchangeable laws of a group's rewards: same mean and correlation, other zero-std shares.

Given a prompt and a fixed policy, rewards are independent whatever the entropy of the policy. Over
prompts they are exchangeable with correlation rho = Var(p)/(m(1-m)), and shared seeds, prefixes or
grader failures correlate them even given the prompt. All models have E[sigma^2] = m(1-m)(1-rho)
(g-1)/g and differ in how often all rewards agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from grpolab.theory import _check
from grpolab.theory._rising import log_all_miss
from grpolab.theory.exchangeable import Atoms, FiniteMixture, Model, stack_atoms
from grpolab.theory.groups import FloatArray
from grpolab.theory.probit import OneFactorProbit


@dataclass(frozen=True, slots=True, eq=False, init=False)
class BetaBinomial(Model):
    """p ~ Beta(a, b) with a = m(1-rho)/rho, so ``rho = 1/(1 + a + b)``; binomial at rho = 0.

    It is the exact law of mode collapse (collapse.py). Skellam 1948; the products in rho are
    derived here.

    >>> BetaBinomial(mean=0.151, rho=0.2).prob_zero_std(8).round(3).item()
    0.472
    """

    symmetric: ClassVar[bool] = True

    @property
    def a(self) -> FloatArray:
        """First beta parameter; infinite at rho = 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.mean * ((1 - self.rho) / self.rho)

    @property
    def b(self) -> FloatArray:
        """Second beta parameter; infinite at rho = 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return (1 - self.mean) * ((1 - self.rho) / self.rho)

    @classmethod
    def from_ab(cls, a: npt.ArrayLike, b: npt.ArrayLike) -> BetaBinomial:
        """The model with beta parameters a, b > 0.

        >>> BetaBinomial.from_ab(1, 1).prob_all_wrong(4).round(12).item()
        0.2
        """
        a, b = _check.positive("a", a), _check.positive("b", b)
        return cls(mean=a / (a + b), rho=1 / (1 + a + b))

    def prob_all_wrong(self, group_size: npt.ArrayLike) -> FloatArray:
        """``prod_{j<g} (b + j)/(a + b + j)``."""
        g = _check.whole("group_size", group_size)
        return _check.result(np.exp(log_all_miss(self.mean, 1 - self.mean, self.rho, g)))

    def prob_all_right(self, group_size: npt.ArrayLike) -> FloatArray:
        """``prod_{j<g} (a + j)/(a + b + j)``."""
        g = _check.whole("group_size", group_size)
        return _check.result(np.exp(log_all_miss(1 - self.mean, self.mean, self.rho, g)))

    def pmf(self, group_size: int) -> FloatArray:
        """``C(g, k) B(a + k, b + g - k)/B(a, b)``, shape [..., g + 1]."""
        g = _check.one_whole("group_size", group_size)
        m, rho = self.mean[..., None], self.rho[..., None]
        k = np.arange(g + 1)
        right = _prefix_logs(m * (1 - rho), rho, g)
        wrong = _prefix_logs((1 - m) * (1 - rho), rho, g)
        every = _prefix_logs(1 - rho, rho, g)[..., g:]
        ways = gammaln(g + 1) - gammaln(k + 1) - gammaln(g - k + 1)
        inner = m * (1 - m) * (1 - rho) * np.exp(ways + right + wrong[..., ::-1] - every)
        return np.where(
            k == 0,
            self.prob_all_wrong(g)[..., None],
            np.where(k == g, self.prob_all_right(g)[..., None], inner),
        )


def _prefix_logs(base: FloatArray, rho: FloatArray, size: int) -> FloatArray:
    """``sum_{1 <= j < k} log(base + j rho)`` for k = 0..size, last axis."""
    j = np.arange(1, size)
    with np.errstate(divide="ignore"):
        logs = np.cumsum(np.log(base + j * rho), axis=-1)
    start = np.zeros((*logs.shape[:-1], 2))
    return np.concatenate([start, logs], axis=-1)


@dataclass(frozen=True, slots=True, eq=False, init=False)
class CopyAll(FiniteMixture):
    """With probability rho one draw is copied to the whole group, else rewards are independent.

    A seed shared by all generations is this model. ``P(zero std) = rho + (1-rho) d_g(m)``. Derived
    here.

    >>> CopyAll(mean=0.151, rho=0.2).prob_zero_std(8).round(3).item()
    0.416
    """

    symmetric: ClassVar[bool] = True

    def atoms(self) -> Atoms:
        """Atoms at 0, 1 and m."""
        m, rho = self.mean, self.rho
        return stack_atoms((rho * (1 - m), 0 * m, 1 + 0 * m), (rho * m, 1 + 0 * m, 0 * m),
                      (1 - rho, m, 1 - m))  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False, init=False)
class CommonSource(FiniteMixture):
    """Each reward equals a common one with probability t = sqrt(rho), else is drawn afresh.

    Derived here.

    >>> CommonSource(mean=0.151, rho=0.2).prob_zero_std(8).round(3).item()
    0.424
    """

    symmetric: ClassVar[bool] = True

    @property
    def share(self) -> FloatArray:
        """t, the chance that a member repeats the common reward."""
        return np.sqrt(self.rho)

    def atoms(self) -> Atoms:
        """Atoms at t + (1-t)m and (1-t)m."""
        m, t = self.mean, self.share
        return stack_atoms(
            (m, t + (1 - t) * m, (1 - t) * (1 - m)), (1 - m, (1 - t) * m, t + (1 - t) * (1 - m))
        )


@dataclass(frozen=True, slots=True, eq=False, init=False)
class FailureShock(FiniteMixture):
    """With probability s the whole group is marked wrong, else rewards are iid with p0 = m/(1-s).

    A grader or sandbox outage. ``s = rho(1-m)/(m + rho(1-m))``. For small means it is the worst
    case of all mixtures with this mean and correlation. Not symmetric in right and wrong. Derived
    here.

    >>> FailureShock(mean=0.151, rho=0.2).prob_zero_std(8).round(3).item()
    0.551
    """

    @property
    def success_rate(self) -> FloatArray:
        """``p0 = m + rho(1-m)``, the chance of a correct rollout outside of the shock."""
        return self.mean + self.rho * (1 - self.mean)

    @property
    def shock(self) -> FloatArray:
        """s, the chance that the group is struck."""
        p0 = self.success_rate
        some = p0 > 0
        return np.where(some, self.rho * (1 - self.mean) / np.where(some, p0, 1.0), 0.0)

    def atoms(self) -> Atoms:
        """Atoms at 0 and p0."""
        m, s, p0 = self.mean, self.shock, self.success_rate
        return stack_atoms((s, 0 * m, 1 + 0 * m), (1 - s, p0, (1 - self.rho) * (1 - m)))


MODELS: Mapping[str, type[Model]] = MappingProxyType(
    {
        "beta-binomial": BetaBinomial,
        "copy": CopyAll,
        "common-source": CommonSource,
        "probit": OneFactorProbit,
        "shock": FailureShock,
    }
)
"""One-parameter families by the name that the command line uses."""

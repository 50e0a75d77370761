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
from scipy.special import betaincc, betaincinv, gammaln, ndtr, ndtri

from grpolab.theory import _check
from grpolab.theory._numeric import find_root, log_all_miss, unit_rule
from grpolab.theory.groups import FloatArray, Mechanism
from grpolab.theory.model import Atoms, FiniteMixture, Model, stack_atoms

__all__ = [
    "MODELS", "Atoms", "BetaBinomial", "CommonSource", "CopyAll", "FailureShock", "FiniteMixture",
    "Model", "OneFactorProbit", "family", "reward_correlation", "stack_atoms",
]  # fmt: skip

_ORDER = 16
_REACH = 10.0  # standard deviations of the common factor that are integrated over
_HALVINGS = np.concatenate([[0.0], 1.0 - 0.5 ** np.arange(1, 12), [1.0]])
_BENDS = np.array([-6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0])  # where Phi changes its course


@dataclass(frozen=True, slots=True, eq=False, init=False)
class OneFactorProbit(FiniteMixture):
    """``p = Phi((Phi^-1(m) + sqrt(r) Z)/sqrt(1-r))`` with Z standard normal.

    rho is the correlation of the rewards; ``latent`` gives r, that of the scores. Integrals over Z
    are panelled Gauss-Legendre sums, good to 1e-12
    for means down to 1e-12 (1e-8 at 1e-300). Derived here.

    >>> OneFactorProbit(mean=0.151, rho=0.2).prob_zero_std(8).round(3).item()
    0.465
    """

    symmetric: ClassVar[bool] = True

    @property
    def latent(self) -> FloatArray:
        """Latent r: ``[Phi2(t, t; r) - m^2]/(m(1-m)) = rho``, t = Phi^-1(m)."""
        low = np.zeros(self.rho.shape)
        open_ends = (self.mean > 0) & (self.mean < 1)
        mean = np.where(open_ends, self.mean, 0.5)
        rho = self.rho

        def excess(r: FloatArray) -> FloatArray:
            return np.where(
                r == 1, 1 - rho, np.where(rho == 0, r, reward_correlation(mean, r) - rho)
            )

        return _check.result(find_root(excess, low, low + 1))

    @property
    def mechanism(self) -> Mechanism:
        """One common factor per prompt."""
        return Mechanism(float(self.mean), "probit", float(self.latent))

    def cover(self, tau: npt.ArrayLike) -> FloatArray:
        """``Phi((Phi^-1(m) - sqrt(1-r) Phi^-1(tau))/sqrt r)``."""
        level = _check.probability("tau", tau)
        r = self.latent
        with np.errstate(divide="ignore", invalid="ignore"):
            score = (ndtri(self.mean) - np.sqrt(1 - r) * ndtri(level)) / np.sqrt(r)
        flat = (r == 0) | (self.mean == 0) | (self.mean == 1)
        share = np.where(flat, level <= self.mean, ndtr(score))
        return _check.result(np.where(level == 0, 1.0, share))

    def atoms(self) -> Atoms:
        """One atom per quadrature node."""
        with np.errstate(divide="ignore", invalid="ignore"):
            r = self.latent[..., None]
            t = ndtri(self.mean)[..., None]
            reach = _REACH + np.minimum(np.abs(t), 40.0)
            bends = np.nan_to_num((_BENDS * np.sqrt(1 - r) - t) / np.sqrt(r))
            even = reach * np.linspace(-1, 1, 25)
            edges = np.sort(np.concatenate([even, np.clip(bends, -reach, reach)], axis=-1), axis=-1)
            nodes, weights = unit_rule(_ORDER)
            width = np.diff(edges, axis=-1)[..., None]
            z = (edges[..., :-1, None] + width * nodes).reshape(*r.shape[:-1], -1)
            mass = (width * weights).reshape(z.shape) * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
            mass /= mass.sum(axis=-1, keepdims=True)
            # at r = 1 panels of no width lie where the score jumps: 0/0, with no mass
            score = np.nan_to_num(
                (t + np.sqrt(r) * z) / np.sqrt(1 - r), nan=0.0, posinf=np.inf, neginf=-np.inf
            )
        return Atoms(mass, ndtr(score), ndtr(-score))


def reward_correlation(mean: FloatArray, latent: FloatArray) -> FloatArray:
    """Correlation of the rewards when that of the scores is ``latent``; means in (0, 1).

    Plackett's identity, ``Phi2(t,t;r) - m^2 = int_0^{asin r} exp(-t^2/(1 + sin x)) dx/(2 pi)``,
    subtracts nothing; panels halve towards the upper end, where the integrand peaks.
    """
    t2 = ndtri(np.minimum(mean, 1 - mean)) ** 2
    top = np.arcsin(np.clip(latent, 0, 1))
    nodes, weights = unit_rule(_ORDER)
    share = (_HALVINGS[:-1, None] + np.diff(_HALVINGS)[:, None] * nodes).ravel()
    mass = (np.diff(_HALVINGS)[:, None] * weights).ravel()
    inner = np.exp(-t2[..., None] / (1 + np.sin(top[..., None] * share)))
    total: FloatArray = top * (inner @ mass) / (2 * np.pi) / (mean * (1 - mean))
    return total


@dataclass(frozen=True, slots=True, eq=False, init=False)
class BetaBinomial(Model):
    """p ~ Beta(a, b) with a = m(1-rho)/rho, so ``rho = 1/(1 + a + b)``; binomial at rho = 0.

    It is the law of groups under the two assumptions of collapse.py, and an approximation for
    anything else. Skellam 1948; the products in rho are derived here.

    Parameters
    ----------
    mean : array_like
        Mean success rate m in [0, 1], any shape that broadcasts with ``rho``.
    rho : array_like
        Correlation of two rewards of one group, in [0, 1].

    Raises
    ------
    ValueError
        A mean or a rho outside of its range.

    Examples
    --------
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

    @property
    def mechanism(self) -> Mechanism:
        """A beta variate per prompt."""
        return Mechanism(float(self.mean), "beta", float(self.rho))

    def cover(self, tau: npt.ArrayLike) -> FloatArray:
        """``1 - I_tau(a, b)``; a step at the mean at rho = 0, at 0 and 1 at rho = 1."""
        level, mean, rho = np.broadcast_arrays(_check.probability("tau", tau), self.mean, self.rho)
        inner = (rho > 0) & (rho < 1) & (mean > 0) & (mean < 1)
        total = (1 - rho) / np.where(inner, rho, 1.0)
        a = np.where(inner, mean * total, 1.0)
        b = np.where(inner, (1 - mean) * total, 1.0)
        step = np.where(rho == 1, np.where(level > 0, mean, 1.0), level <= mean)
        return _check.result(np.where(inner, betaincc(a, b, level), step))

    def rates(self, uniform: FloatArray) -> FloatArray:
        """Quantiles of Beta(a, b)."""
        if self.rho == 0.0 or self.mean in (0.0, 1.0):
            return np.full(np.shape(uniform), float(self.mean))
        if self.rho == 1.0:
            return (uniform < self.mean).astype(np.float64)
        return _check.result(betaincinv(self.a, self.b, uniform))

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

    def prob_some_right(self, group_size: npt.ArrayLike) -> FloatArray:
        """``1 - prod_{j<g} (b + j)/(a + b + j)``, with full relative accuracy at small means."""
        g = _check.whole("group_size", group_size)
        return _check.result(-np.expm1(log_all_miss(self.mean, 1 - self.mean, self.rho, g)))

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

    @property
    def mechanism(self) -> Mechanism:
        """One draw copied to the group."""
        return Mechanism(float(self.mean), kind="copy", strength=float(self.rho))

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

    @property
    def mechanism(self) -> Mechanism:
        """A hidden draw that members repeat."""
        return Mechanism(float(self.mean), kind="common-source", strength=float(self.share))

    def atoms(self) -> Atoms:
        """Atoms at t + (1-t)m and (1-t)m."""
        m, t = self.mean, self.share
        rest = (1 - self.rho) / (1 + t)  # 1 - t without loss
        return stack_atoms((m, t + rest * m, rest * (1 - m)), (1 - m, rest * m, t + rest * (1 - m)))


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
    def spared(self) -> FloatArray:
        """``1 - s = m/(m + rho(1-m))``, with all its digits where s rounds to 1; 1 at m = 0."""
        p0 = self.success_rate
        some = p0 > 0
        return _check.result(np.where(some, self.mean / np.where(some, p0, 1.0), 1.0))

    @property
    def shock(self) -> FloatArray:
        """s, the chance that the group is struck."""
        p0 = self.success_rate
        some = p0 > 0
        struck = self.rho * (1 - self.mean) / np.where(some, p0, 1.0)
        return _check.result(np.where(some, struck, 0.0))

    @property
    def mechanism(self) -> Mechanism:
        """A shock that marks the group wrong."""
        return Mechanism(float(self.success_rate), kind="shock", strength=float(self.shock))

    def atoms(self) -> Atoms:
        """Atoms at 0 and p0."""
        m, p0 = self.mean, self.success_rate
        rest = (1 - self.rho) * (1 - m)
        spared = np.where((m == 0) & (self.rho > 0), 0.0, self.spared)
        return stack_atoms((1.0 - spared, 0 * m, 1 + 0 * m), (spared, p0, rest))


MODELS: Mapping[str, type[Model]] = MappingProxyType(
    {
        "beta-binomial": BetaBinomial,
        "copy": CopyAll,
        "common-source": CommonSource,
        "probit": OneFactorProbit,
        "shock": FailureShock,
    }
)
"""One-parameter families by the name that functions and the command line use; the only list.

A new family needs its class and an entry here: thresholds, simulation (through its `Mechanism`),
checks and the choices of the command line follow.
"""


def family(model: str | type[Model]) -> type[Model]:
    """The class of a model that is named or given; ValueError for anything else.

    >>> family("shock").__name__
    'FailureShock'
    """
    if isinstance(model, type):
        if not issubclass(model, Model):
            raise ValueError(f"model must be a subclass of Model, got {model.__name__}")
        return model
    return MODELS[_check.choice("model", model, tuple(MODELS))]

"""The one-factor probit model: a latent normal score shared by the group moves p."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import ndtr, ndtri

from grpolab.theory._quadrature import unit_rule
from grpolab.theory._root import find_root
from grpolab.theory.exchangeable import Atoms, FiniteMixture
from grpolab.theory.groups import FloatArray

_ORDER = 16
_REACH = 10.0  # standard deviations of the common factor that are integrated over
_BENDS = np.array([-6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0])  # where Phi changes its course
_HALVINGS = np.concatenate([[0.0], 1.0 - 0.5 ** np.arange(1, 12), [1.0]])


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

        return find_root(excess, low, low + 1)

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

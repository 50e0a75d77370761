"""What the models of a group share: a mean, a pairwise correlation, and the law of K from atoms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from grpolab.theory import _check
from grpolab.theory._pmf import binomial_pmf, complement_log
from grpolab.theory.groups import FloatArray


class Exchangeable(Protocol):
    """What every model of a group says; ``mean`` and ``rho`` are arrays that broadcast."""

    @property
    def mean(self) -> FloatArray:
        """Mean reward."""
        ...

    @property
    def rho(self) -> FloatArray:
        """Correlation of two rewards of one group."""
        ...

    def prob_all_wrong(self, group_size: npt.ArrayLike) -> FloatArray:
        """P(K = 0)."""
        ...

    def prob_all_right(self, group_size: npt.ArrayLike) -> FloatArray:
        """P(K = g)."""
        ...

    def prob_zero_std(self, group_size: npt.ArrayLike) -> FloatArray:
        """P(K = 0 or K = g)."""
        ...

    def pmf(self, group_size: int) -> FloatArray:
        """P(K = k), shape [..., g + 1]."""
        ...


_SLACK = 1e-12  # what rounding may take a probability below 0


class Atoms(NamedTuple):
    """A mixture over p: every field has shape [..., number of atoms]."""

    weight: FloatArray
    p: FloatArray
    q: FloatArray  # 1 - p, kept apart so that it may be tiny


@dataclass(frozen=True, slots=True, eq=False, init=False)
class Model:
    """Mean in [0, 1] and correlation in [0, 1], broadcast to one shape; ValueError outside."""

    symmetric: ClassVar[bool] = False
    """Whether P(zero std) is the same at mean m and 1 - m; then it is least at 1/2."""

    mean: FloatArray
    rho: FloatArray

    def __init__(self, *, mean: npt.ArrayLike, rho: npt.ArrayLike) -> None:
        pair = np.broadcast_arrays(_check.probability("mean", mean), _check.probability("rho", rho))
        object.__setattr__(self, "mean", pair[0])
        object.__setattr__(self, "rho", pair[1])

    def prob_all_wrong(self, group_size: npt.ArrayLike) -> FloatArray:
        """P(K = 0); group_size broadcasts against mean and rho."""
        raise NotImplementedError

    def prob_all_right(self, group_size: npt.ArrayLike) -> FloatArray:
        """P(K = g); group_size broadcasts against mean and rho."""
        raise NotImplementedError

    def pmf(self, group_size: int) -> FloatArray:
        """P(K = k), shape [..., g + 1]."""
        raise NotImplementedError

    def prob_zero_std(self, group_size: npt.ArrayLike) -> FloatArray:
        """P(K = 0 or K = g); 1 at g = 1."""
        g = _check.whole("group_size", group_size)
        total = self.prob_all_wrong(g) + self.prob_all_right(g)
        return _check.result(np.where(g == 1, 1.0, np.minimum(total, 1.0)))


@dataclass(frozen=True, slots=True, eq=False, init=False)
class FiniteMixture(Model):
    """p takes a few values: everything follows from the atoms."""

    def atoms(self) -> Atoms:
        """Weights, values of p and of 1 - p, shape [..., N]."""
        raise NotImplementedError

    def _law(self) -> Atoms:
        """The atoms; ValueError where they are no law of p."""
        atoms = self.atoms()
        if any(np.any(part < -_SLACK) for part in atoms):
            raise ValueError(
                f"{type(self).__name__} has no law of p in [0, 1] for mean {self.mean} and rho"
                f" {self.rho}"
            )
        return atoms

    def prob_all_wrong(self, group_size: npt.ArrayLike) -> FloatArray:
        """``E[(1-p)^g]`` over the mixture."""
        atoms = self._law()
        return _mean_power(group_size, atoms.weight, atoms.q, atoms.p)

    def prob_all_right(self, group_size: npt.ArrayLike) -> FloatArray:
        """``E[p^g]`` over the mixture."""
        atoms = self._law()
        return _mean_power(group_size, atoms.weight, atoms.p, atoms.q)

    def pmf(self, group_size: int) -> FloatArray:
        """P(K = k), shape [..., g + 1]."""
        g = _check.one_whole("group_size", group_size)
        weight, p, _ = self._law()
        table = binomial_pmf(p.ravel(), g).reshape(*p.shape, g + 1)
        law: FloatArray = np.einsum("...n,...nk->...k", weight, table)
        return law


def _mean_power(
    group_size: npt.ArrayLike, weight: FloatArray, base: FloatArray, rest: FloatArray
) -> FloatArray:
    """``sum_n weight base^g`` with base + rest = 1: the smaller of the two carries the digits."""
    g = _check.whole("group_size", group_size)[..., None]
    with np.errstate(divide="ignore"):
        log_base = np.where(rest < 0.5, complement_log(np.minimum(rest, 0.5)), np.log(base))
    chance: FloatArray = np.sum(weight * np.exp(g * log_base), axis=-1)
    return chance


def stack_atoms(*atoms: tuple[FloatArray, FloatArray, FloatArray]) -> Atoms:
    """Atoms from (weight, p, 1 - p) of each."""
    weight, p, q = (np.stack(list(part), axis=-1) for part in zip(*atoms, strict=True))
    return Atoms(weight, p, q)

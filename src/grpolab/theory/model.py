"""What a model of a group says, and models that are mixtures over a few success rates.

A model of one's own is a subclass of `FiniteMixture` that names its atoms, or of `Model` with the
three laws of K; `docs/extend.md` shows one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from grpolab.theory import _check
from grpolab.theory._numeric import binomial_pmf, complement_log
from grpolab.theory.groups import FloatArray, Mechanism

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
        object.__setattr__(self, "mean", _check.result(pair[0]))
        object.__setattr__(self, "rho", _check.result(pair[1]))

    def __eq__(self, other: object) -> bool:
        """The same family with the same mean and correlation."""
        if type(other) is not type(self):
            return NotImplemented
        return np.array_equal(self.mean, other.mean) and np.array_equal(self.rho, other.rho)

    __hash__ = None  # type: ignore[assignment]

    @property
    def has_law(self) -> npt.NDArray[np.bool_]:
        """Where the family has a law with this mean and correlation; everywhere unless it says."""
        return np.ones(np.shape(self.mean), np.bool_)

    @property
    def mechanism(self) -> Mechanism:
        """How groups come about; for one mean and one correlation.

        ``own``: by `rates`, or where a family has none, from P(K = k).
        """
        return Mechanism(float(self.mean), "own")

    def rates(self, uniform: FloatArray) -> FloatArray:
        """Success rates of prompts, made of independent uniforms in [0, 1) of shape [N]."""
        raise NotImplementedError

    def cover(self, tau: npt.ArrayLike) -> FloatArray:
        """Cover@tau, ``P(p >= tau)`` over prompts; tau broadcasts. For families that have a p."""
        raise NotImplementedError

    def sample(self, number: int, *, rng: np.random.Generator) -> FloatArray:
        """Success rates of ``number`` prompts; for families whose prompts have one.

        >>> from grpolab.theory import CopyAll
        >>> law = CopyAll(mean=0.5, rho=1.0)
        >>> sorted(set(law.sample(100, rng=np.random.default_rng(0)).tolist()))
        [0.0, 1.0]
        """
        return self.rates(rng.random(_check.one_whole("number", number, least=0)))

    def prob_all_wrong(self, group_size: npt.ArrayLike) -> FloatArray:
        """P(K = 0); group_size broadcasts against mean and rho."""
        raise NotImplementedError

    def prob_all_right(self, group_size: npt.ArrayLike) -> FloatArray:
        """P(K = g); group_size broadcasts against mean and rho."""
        raise NotImplementedError

    def pmf(self, group_size: int) -> FloatArray:
        """P(K = k), shape [..., g + 1]."""
        raise NotImplementedError

    def prob_some_right(self, group_size: npt.ArrayLike) -> FloatArray:
        """P(K > 0), the pass@g; families whose P(K = 0) nears 1 without loss say it better."""
        return _check.result(1.0 - self.prob_all_wrong(group_size))

    def prob_zero_std(self, group_size: npt.ArrayLike) -> FloatArray:
        """P(K = 0 or K = g); 1 at g = 1."""
        g = _check.whole("group_size", group_size)
        total = self.prob_all_wrong(g) + self.prob_all_right(g)
        return _check.result(np.where(g == 1, 1.0, np.minimum(total, 1.0)))


@dataclass(frozen=True, slots=True, eq=False, init=False)
class FiniteMixture(Model):
    """p takes a few values: everything follows from the atoms."""

    _held: Atoms | None = field(init=False, repr=False)  # the law, once it has been asked for

    def __init__(self, *, mean: npt.ArrayLike, rho: npt.ArrayLike) -> None:
        Model.__init__(self, mean=mean, rho=rho)
        object.__setattr__(self, "_held", None)

    def atoms(self) -> Atoms:
        """Weights, values of p and of 1 - p, shape [..., N]."""
        raise NotImplementedError

    @property
    def has_law(self) -> npt.NDArray[np.bool_]:
        """Where weights, p and 1 - p of all atoms are probabilities."""
        return self._probabilities()[0]

    def _probabilities(self) -> tuple[npt.NDArray[np.bool_], Atoms]:
        """Where the atoms are a law, and the atoms."""
        with np.errstate(all="ignore"):
            atoms = self.atoms()
        least = [part.min(axis=-1) for part in atoms]
        good = np.logical_and.reduce([low >= -_SLACK for low in least])
        return np.broadcast_to(good, np.shape(self.mean)), atoms

    def law_of_p(self) -> Atoms:
        """The atoms; ValueError where they are no law of p."""
        if self._held is not None:
            return self._held
        good, atoms = self._probabilities()
        if type(self).has_law is not FiniteMixture.has_law:  # a family that says more
            good = good & self.has_law
        if not np.all(good):
            raise ValueError(
                f"{type(self).__name__} has no law of p in [0, 1] for"
                f" mean {np.atleast_1d(self.mean)[~np.atleast_1d(good)][0]:g} and"
                f" rho {np.atleast_1d(self.rho)[~np.atleast_1d(good)][0]:g}"
            )
        weight, p, q = atoms = Atoms(*(np.clip(part, 0.0, 1.0) for part in atoms))
        for name, found in (("weights", weight.sum(axis=-1)), ("p + q", p + q)):
            if not np.allclose(found, 1.0, rtol=1e-9):
                raise ValueError(f"atoms of {type(self).__name__} must have {name} that sum to 1")
        for part in atoms:
            part.setflags(write=False)
        object.__setattr__(self, "_held", atoms)
        return atoms

    def cover(self, tau: npt.ArrayLike) -> FloatArray:
        """Weight of the atoms at tau or above."""
        atoms = self.law_of_p()
        level = _check.probability("tau", tau)[..., None]
        return _check.result(np.sum(np.where(atoms.p >= level, atoms.weight, 0.0), axis=-1))

    def rates(self, uniform: FloatArray) -> FloatArray:
        """One of the atoms per prompt; for one mean and one correlation."""
        atoms = self.law_of_p()
        if np.ndim(self.mean):
            raise ValueError(f"mean and rho must be numbers, got shape {list(np.shape(self.mean))}")
        place = np.searchsorted(np.cumsum(atoms.weight), uniform, side="right")
        return np.asarray(atoms.p[np.minimum(place, len(atoms.weight) - 1)])

    def prob_all_wrong(self, group_size: npt.ArrayLike) -> FloatArray:
        """``E[(1-p)^g]`` over the mixture."""
        atoms = self.law_of_p()
        return _mean_power(group_size, atoms.weight, atoms.q, atoms.p)

    def prob_some_right(self, group_size: npt.ArrayLike) -> FloatArray:
        """``E[1 - (1-p)^g]`` over the mixture."""
        atoms = self.law_of_p()
        g = _check.whole("group_size", group_size)[..., None]
        log_q = np.where(atoms.p < 0.5, complement_log(np.minimum(atoms.p, 0.5)), _log(atoms.q))
        return _check.result(np.sum(atoms.weight * -np.expm1(g * log_q), axis=-1))

    def prob_all_right(self, group_size: npt.ArrayLike) -> FloatArray:
        """``E[p^g]`` over the mixture."""
        atoms = self.law_of_p()
        return _mean_power(group_size, atoms.weight, atoms.p, atoms.q)

    def pmf(self, group_size: int) -> FloatArray:
        """P(K = k), shape [..., g + 1]."""
        g = _check.one_whole("group_size", group_size)
        weight, p, _ = self.law_of_p()
        table = binomial_pmf(p.ravel(), g).reshape(*p.shape, g + 1)
        law: FloatArray = np.einsum("...n,...nk->...k", weight, table)
        return law


def _mean_power(
    group_size: npt.ArrayLike, weight: FloatArray, base: FloatArray, rest: FloatArray
) -> FloatArray:
    """``sum_n weight base^g`` with base + rest = 1: the smaller of the two carries the digits."""
    g = _check.whole("group_size", group_size)[..., None]
    log_base = np.where(rest < 0.5, complement_log(np.minimum(rest, 0.5)), _log(base))
    return _check.result(np.sum(weight * np.exp(g * log_base), axis=-1))


def _log(value: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(value)


def stack_atoms(*atoms: tuple[FloatArray, FloatArray, FloatArray]) -> Atoms:
    """Atoms from (weight, p, 1 - p) of each."""
    weight, p, q = (np.stack(list(part), axis=-1) for part in zip(*atoms, strict=True))
    return Atoms(weight, p, q)

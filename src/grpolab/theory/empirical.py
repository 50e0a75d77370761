"""A law of p that data say: rates and their weights, wherever a model of dependence is taken."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from grpolab.theory import _check
from grpolab.theory.groups import FloatArray
from grpolab.theory.model import Atoms, FiniteMixture


@dataclass(frozen=True, slots=True, eq=False, init=False)
class RateLaw(FiniteMixture):
    """Prompts with success rates ``rate`` [N] and their ``weight`` [N], equal if not given.

    What groups hold, Cover@tau, pass@k, samples of rates and simulated groups follow as for any
    model. From counts: `grpolab.validate.forecast.rate_law`. Weights are >= 0 and scaled to sum to
    1; ValueError for rates outside [0, 1], and for weights that do not fit.

    >>> law = RateLaw([0.0, 0.5, 1.0])
    >>> float(law.mean), round(float(law.rho), 6), float(law.prob_zero_std(2))
    (0.5, 0.666667, 0.8333333333333333)
    """

    rate: FloatArray
    weight: FloatArray

    def __init__(self, rate: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> None:
        rates = _check.probability("rate", rate)
        if rates.ndim != 1 or not rates.size:
            raise ValueError(f"rate must have shape [N], got {list(rates.shape)}")
        given = np.ones_like(rates) if weight is None else weight
        share = _check.within("weight", given, 0.0, np.inf, ends="low")
        if share.shape != rates.shape or not share.sum() > 0:
            raise ValueError(f"weight must be {rates.size} numbers >= 0, not all 0")
        share = share / share.sum()
        mean = float(np.clip(share @ rates, 0.0, 1.0))
        most = mean * (1.0 - mean)
        spread = float(share @ (rates - mean) ** 2)
        rho = min(spread / most, 1.0) if most > 0 else 0.0
        FiniteMixture.__init__(self, mean=mean, rho=rho)
        object.__setattr__(self, "rate", rates)
        object.__setattr__(self, "weight", share)

    def __eq__(self, other: object) -> bool:
        """The same rates with the same weights."""
        if type(other) is not type(self):
            return NotImplemented
        assert isinstance(other, RateLaw)
        return np.array_equal(self.rate, other.rate) and np.array_equal(self.weight, other.weight)

    __hash__ = None  # type: ignore[assignment]

    def atoms(self) -> Atoms:
        """The rates."""
        return Atoms(self.weight, self.rate, 1.0 - self.rate)

    def expect(self, values: FloatArray) -> FloatArray:
        """Mean over prompts of a function of p; values [..., N] at the rates.

        >>> from grpolab.theory import expected_std
        >>> law = RateLaw([0.0, 0.5])
        >>> law.expect(expected_std(law.rate, 2)).item()
        0.125
        """
        return _check.result(np.vecdot(self.weight, values))

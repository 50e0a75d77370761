"""Check: one number that theory predicts, beside the number that was observed."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from scipy import stats


@dataclass(frozen=True, slots=True)
class Check:
    """An observed statistic, its prediction and how surprising the difference is.

    ``stderr`` is derived, not guessed: it is the standard error of ``observed - predicted``.
    ``reference`` names the equation or source of the prediction.
    """

    name: str
    observed: float
    predicted: float
    stderr: float
    z: float
    p_value: float
    reference: str

    @classmethod
    def from_z(
        cls, name: str, *, observed: float, predicted: float, stderr: float, reference: str
    ) -> Check:
        """Two-sided z-test; a zero standard error demands equality to 1e-12.

        >>> check = Check.from_z("x", observed=1.0, predicted=0.0, stderr=0.5, reference="")
        >>> round(check.p_value, 4)
        0.0455
        """
        if not stderr >= 0:
            raise ValueError(f"stderr must be >= 0, got {stderr}")
        diff = observed - predicted
        if stderr > 0:
            z = diff / stderr
        else:
            z = 0.0 if math.isclose(observed, predicted, rel_tol=1e-12, abs_tol=1e-12) else math.inf
        p_value = float(2 * stats.norm.sf(abs(z)))
        return cls(name, observed, predicted, stderr, z, p_value, reference)

    @classmethod
    def from_count(
        cls, name: str, *, successes: int, trials: int, predicted: float, reference: str
    ) -> Check:
        """Exact two-sided binomial test of a share.

        >>> check = Check.from_count("x", successes=8, trials=10, predicted=0.5, reference="")
        >>> round(check.p_value, 6)
        0.109375
        """
        if not 0.0 <= predicted <= 1.0:
            raise ValueError(f"predicted must lie in [0, 1], got {predicted}")
        if not 0 <= successes <= trials or trials < 1:
            raise ValueError(f"successes must lie in 0..trials, got {successes} of {trials}")
        observed = successes / trials
        stderr = math.sqrt(predicted * (1 - predicted) / trials)
        p_value = float(stats.binomtest(successes, trials, predicted).pvalue)
        z = (observed - predicted) / stderr if stderr > 0 else (0.0 if p_value == 1 else math.inf)
        return cls(name, observed, predicted, stderr, z, p_value, reference)

    def passed(self, level: float = 1e-3) -> bool:
        """True unless the two-sided p-value falls below the level."""
        return self.p_value >= level

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)

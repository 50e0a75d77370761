"""AdvantageRule: the conventions by which trainers turn a group's rewards into advantages.

With binary rewards all members of a group that share a reward share an advantage, so a rule is a
function of (num_correct, group_size) with two values, one per reward.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol, get_args

import numpy as np
import numpy.typing as npt

from grpolab.theory import _check
from grpolab.theory.groups import FloatArray

Baseline = Literal["mean", "leave-one-out", "none", "half"]
Scale = Literal["none", "std", "leave-one-out-std", "mean", "half"]


class Advantages(NamedTuple):
    """Advantage of a correct and of a wrong rollout; the shape of (num_correct, group_size)."""

    correct: FloatArray
    wrong: FloatArray


class TwoValued(Protocol):
    """Anything that turns (num_correct, group_size) into two advantages, as AdvantageRule does."""

    def advantages(self, num_correct: npt.ArrayLike, group_size: npt.ArrayLike) -> Advantages:
        """Advantage of a correct and of a wrong rollout."""
        ...


Rule = TwoValued | str
"""What every function takes as ``rule``: an object that gives advantages, or a preset's name."""


@dataclass(frozen=True, slots=True)
class AdvantageRule:
    """A_i = (R_i - baseline) / (scale + eps), and 0 where that is 0/0.

    A spread without a degree of freedom counts as 0. A group of one has no others: its
    leave-one-out mean is 0, so that its advantage is the reward, while under ``mean`` it is 0
    (trainers do not agree there).

    Parameters
    ----------
    name : str
        What commands and tables call the rule.
    baseline : str
        What is taken off a reward: ``mean`` of the group, ``leave-one-out`` mean of the other
        members, ``none`` or ``half`` (the constant 1/2).
    scale : str
        What the difference is divided by: ``none`` (1), ``std`` of the group with ``ddof``,
        ``leave-one-out-std`` of the other members (1 where it is 0), ``mean`` reward, ``half``.
    ddof : int
        0 divides the sum of squares by g, 1 by g - 1.
    eps : float
        Added to the scale, as trainers do; >= 0.

    Raises
    ------
    ValueError
        A baseline or scale of another name, another ddof, a negative eps.

    Examples
    --------
    >>> GRPO.advantages(2, 8).correct.round(6).item()
    1.732051
    """

    name: str
    baseline: Baseline = "mean"
    scale: Scale = "std"
    ddof: int = 0
    eps: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise ValueError(f"name must be a string, got {self.name!r}")
        _check.choice("baseline", self.baseline, get_args(Baseline))
        _check.choice("scale", self.scale, get_args(Scale))
        ddof = _check.one_whole("ddof", self.ddof, least=0, most=1)
        eps = _check.single("eps", _check.within("eps", self.eps, 0.0, np.inf, ends="low"))
        object.__setattr__(self, "ddof", ddof)
        object.__setattr__(self, "eps", eps)

    def advantages(self, num_correct: npt.ArrayLike, group_size: npt.ArrayLike) -> Advantages:
        """Advantage of a correct and of a wrong rollout in a group with K of g correct.

        Where no such rollout exists (K = 0 or K = g) the value is what it would be by the formula;
        nothing in such a group is weighed by it. Raises ValueError unless both are whole numbers
        with 0 <= K <= g and g >= 1.
        """
        k, g = np.broadcast_arrays(
            _check.numbers("num_correct", num_correct), _check.numbers("group_size", group_size)
        )
        if not np.all((g >= 1) & (k >= 0) & (k <= g) & (g < np.inf)):
            raise ValueError("num_correct must lie in 0..group_size and group_size be >= 1")
        if np.any((k != np.floor(k)) | (g != np.floor(g))):
            raise ValueError("num_correct and group_size must be whole numbers")
        return Advantages(self._one(k, g, 1.0), self._one(k, g, 0.0))

    def _one(self, k: FloatArray, g: FloatArray, reward: float) -> FloatArray:
        centred = reward - self._baseline(k, g, reward)
        scale = self._scale(k, g, reward) + self.eps
        out = np.zeros_like(centred)
        return _check.result(np.divide(centred, scale, out=out, where=scale > 0))

    def _baseline(self, k: FloatArray, g: FloatArray, reward: float) -> FloatArray:
        match self.baseline:
            case "mean":
                return k / g
            case "leave-one-out":
                return np.where(g > 1, (k - reward) / np.maximum(g - 1, 1), 0.0)
            case "half":
                return np.full_like(k, 0.5)
            case "none":
                return np.zeros_like(k)

    def _scale(self, k: FloatArray, g: FloatArray, reward: float) -> FloatArray:
        match self.scale:
            case "std":
                return _binary_std(k, g, self.ddof)
            case "leave-one-out-std":
                # inside the domain only: a reward that the group does not hold has no others
                rest = np.clip(k - reward, 0.0, np.maximum(g - 1, 0.0))
                std = _binary_std(rest, g - 1, self.ddof)
                return np.where(std > 0, std, 1.0 - self.eps)
            case "mean":
                return k / g
            case "half":
                return np.full_like(k, 0.5)
            case "none":
                return np.ones_like(k)


def _binary_std(k: FloatArray, g: FloatArray, ddof: int) -> FloatArray:
    """Standard deviation of k ones among g; 0 where there is no degree of freedom (g <= ddof)."""
    return np.asarray(np.sqrt(k * (g - k) / np.maximum(g * (g - ddof), 1.0)))


GRPO = AdvantageRule("grpo")
"""Group mean, ddof-0 standard deviation, no eps (arXiv 2402.03300, section 4.1)."""
DR_GRPO = AdvantageRule("dr-grpo", scale="none")
"""Group mean only (arXiv 2503.20783)."""
RLOO = AdvantageRule("rloo", baseline="leave-one-out", scale="none")
"""Leave-one-out mean (arXiv 2402.14740)."""
MAXRL = AdvantageRule("maxrl", baseline="none", scale="mean")
"""R_i / mean(R), 0 in an all-wrong group (arXiv 2602.02710)."""
SIGN = AdvantageRule("sign", baseline="half", scale="half")
"""2 R_i - 1: no group statistic at all (arXiv 2605.07689)."""
TRL = AdvantageRule("trl", ddof=1, eps=1e-4)
VERL = AdvantageRule("verl", ddof=1, eps=1e-6)
SKYRL = AdvantageRule("skyrl", ddof=1, eps=1e-6)
OPENRLHF = AdvantageRule("openrlhf", ddof=1, eps=1e-9)
OPEN_INSTRUCT = AdvantageRule("open-instruct", ddof=0, eps=1e-8)
NEMO_RL = AdvantageRule(
    "nemo-rl", baseline="leave-one-out", scale="leave-one-out-std", ddof=1, eps=1e-6
)
PRIME_RL = AdvantageRule("prime-rl", scale="none")

PRESETS: Mapping[str, AdvantageRule] = MappingProxyType(
    {
        rule.name: rule
        for rule in (
            GRPO, DR_GRPO, RLOO, MAXRL, SIGN, TRL, VERL, SKYRL, OPENRLHF, OPEN_INSTRUCT,
            NEMO_RL, PRIME_RL,
        )
    }
)  # fmt: skip
"""Presets by name, as trainers have them (read in their sources, August 2026)."""

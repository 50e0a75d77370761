"""Rules beyond the conventions of `AdvantageRule`: weights by sign, by difficulty, over a batch.

Each wraps a rule and is one: formulas, simulations and `verify` take it. A rule decomposes into
what it gives right rollouts and what it takes from wrong ones, its two gradient masses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from grpolab.errors import load_object
from grpolab.theory import _check
from grpolab.theory._numeric import binomial_pmf
from grpolab.theory.advantage import (
    DR_GRPO,
    GRPO,
    PRESETS,
    Advantages,
    Rule,
    TwoValued,
)
from grpolab.theory.groups import Exchangeable, FloatArray
from grpolab.theory.subsets import PassAtKGradient, PassAtKTraining


def _require_weights(rule: Asymmetric | Focal | ZeroVariance, *names: str) -> None:
    """Check a frozen rule: what it wraps is one, its weights are single finite numbers >= 0."""
    object.__setattr__(rule, "rule", rule_of(rule.rule))
    for name in names:
        value = _check.within(name, getattr(rule, name), 0.0, np.inf, ends="low")
        object.__setattr__(rule, name, _check.single(name, value))


@dataclass(frozen=True, slots=True)
class Asymmetric:
    """``rule`` with its positive advantages times ``positive`` and the others times ``negative``.

    positive = 1, negative = 0 learns from right rollouts alone; both finite and >= 0, ValueError
    otherwise.

    >>> Asymmetric(DR_GRPO, negative=0.5).advantages(2, 8)
    Advantages(correct=np.float64(0.75), wrong=np.float64(-0.125))
    """

    rule: Rule
    positive: float = 1.0
    negative: float = 1.0

    def __post_init__(self) -> None:
        _require_weights(self, "positive", "negative")

    def advantages(self, num_correct: npt.ArrayLike, group_size: npt.ArrayLike) -> Advantages:
        """(A+, A-) of the rule, weighed by their signs."""
        return Advantages(
            *(
                _check.result(np.where(part > 0, self.positive, self.negative) * part)
                for part in rule_of(self.rule).advantages(num_correct, group_size)
            )
        )


@dataclass(frozen=True, slots=True)
class Focal:
    """``(1 - K/g)^gamma`` times ``rule``: less weight on easy prompts, those of the whole group.

    The difficulty-aware coefficient of F-GRPO (arXiv 2602.06717, from the abstract and summaries).
    gamma >= 0; ValueError otherwise.

    >>> Focal(DR_GRPO, 1.0).advantages(2, 8).correct.item()
    0.5625
    """

    rule: Rule
    gamma: float = 1.0

    def __post_init__(self) -> None:
        _require_weights(self, "gamma")

    def advantages(self, num_correct: npt.ArrayLike, group_size: npt.ArrayLike) -> Advantages:
        """(A+, A-) of the rule times the weight of the group."""
        rate = _check.numbers("num_correct", num_correct) / _check.whole("group_size", group_size)
        correct, wrong = rule_of(self.rule).advantages(num_correct, group_size)
        weight = np.power(np.clip(1.0 - rate, 0.0, 1.0), self.gamma)
        return Advantages(_check.result(weight * correct), _check.result(weight * wrong))


@dataclass(frozen=True, slots=True)
class ZeroVariance:
    """``rule`` in mixed groups, +``right`` in all-right and -``wrong`` in all-wrong ones.

    RL-ZVP (arXiv 2509.21880, from the abstract) gives groups without variance an advantage by the
    sign of their reward, shaped by the entropy of each token; here the mean of that shape is a
    number. All-right groups are then pushed up and all-wrong ones down: the expected update gains
    right p^(g-1) + wrong q^(g-1). Both >= 0; ValueError otherwise.

    >>> from grpolab.theory import RLOO, expected_update
    >>> expected_update(ZeroVariance(RLOO, right=0.5, wrong=0.5), 0.5, group_size=2).item()
    1.5
    """

    rule: Rule
    right: float = 0.1
    wrong: float = 0.1

    def __post_init__(self) -> None:
        _require_weights(self, "right", "wrong")

    def advantages(self, num_correct: npt.ArrayLike, group_size: npt.ArrayLike) -> Advantages:
        """(A+, A-) of the rule, and the constants where all rewards agree."""
        k, g = np.broadcast_arrays(
            _check.numbers("num_correct", num_correct), _check.whole("group_size", group_size)
        )
        correct, wrong = rule_of(self.rule).advantages(k, g)
        return Advantages(
            _check.result(np.where(k == g, self.right, correct)),
            _check.result(np.where(k == 0, -self.wrong, wrong)),
        )


@dataclass(frozen=True, slots=True)
class BatchStd:
    """``(R - K/g)/std`` with one standard deviation for the whole batch, as REINFORCE++ has it.

    ``std`` is that of a large batch of the same law of prompts, see `batch_std`: a constant, so
    that the update is that of Dr. GRPO times 1/std, whatever the prompt. In small batches it varies
    and depends on the group itself. > 0; ValueError otherwise. arXiv 2501.03262 (its variant with a
    group baseline, from summaries).

    >>> from grpolab.theory import BetaBinomial
    >>> std = batch_std(BetaBinomial(mean=0.5, rho=0.0), 2)
    >>> round(std, 6), BatchStd(std).advantages(1, 2).correct.round(6).item()
    (0.353553, 1.414214)
    """

    std: float

    def __post_init__(self) -> None:
        value = _check.single("std", _check.positive("std", self.std))
        object.__setattr__(self, "std", value)

    def advantages(self, num_correct: npt.ArrayLike, group_size: npt.ArrayLike) -> Advantages:
        """(A+, A-) of Dr. GRPO over the std of the batch."""
        correct, wrong = DR_GRPO.advantages(num_correct, group_size)
        return Advantages(_check.result(correct / self.std), _check.result(wrong / self.std))


def batch_std(law: Exchangeable, group_size: int) -> float:
    """``sqrt(m (1-m)(1-rho)(g-1)/g)``: the std of R - K/g over all rollouts of a large batch.

    The root of E[sigma^2], for any law of groups. One group_size >= 1; ValueError outside. Derived
    here.

    >>> from grpolab.theory import BetaBinomial
    >>> round(batch_std(BetaBinomial(mean=0.5, rho=0.5), 8), 6)
    0.330719
    """
    _check.law("law", law, "pmf")
    g = _check.summed("group_size", _check.one_whole("group_size", group_size))
    k = np.arange(g + 1, dtype=np.float64)
    return float(np.sqrt(law.pmf(g) @ (k * (g - k)) / g**2))


class GradientMass(NamedTuple):
    """``E[K A+]/g`` and ``-E[(g-K) A-]/g``: what right rollouts gain and wrong ones lose."""

    right: FloatArray
    wrong: FloatArray


def gradient_mass(rule: Rule, p: npt.ArrayLike, *, group_size: int) -> GradientMass:
    """Positive and negative gradient mass of a rule on one prompt.

    The decomposition of arXiv 2607.01490 (from the abstract) with masses per rollout of the group.
    The drift of a logit is ``q right + p wrong``; rules whose advantages sum to zero have equal
    masses, E[sigma] for GRPO. p in [0, 1], one group_size >= 1; ValueError outside. Derived here.

    >>> half = Asymmetric(GRPO, negative=0.5)
    >>> [round(float(v), 4) for v in gradient_mass(half, 0.5, group_size=2)]
    [0.25, 0.125]
    """
    chance = _check.probability("p", p)
    g = _check.one_whole("group_size", group_size)
    right, wrong = advantage_table(rule, g)
    k = np.arange(g + 1, dtype=np.float64)
    law = binomial_pmf(chance.ravel(), g).reshape(*chance.shape, g + 1)
    return GradientMass(
        _check.result(law @ (k * right) / g), _check.result(law @ ((g - k) * -wrong) / g + 0.0)
    )


def rule_of(rule: Rule) -> TwoValued:
    """The rule that is given or named; ValueError for an unknown name and for anything else.

    Names are those of `RULES`, ``pass-at-k:K`` and ``pass-at-k-training:K``.

    >>> rule_of("rloo").name, rule_of("pass-at-k-training:4")
    ('rloo', PassAtKTraining(k=4))
    """
    if isinstance(rule, str):
        if rule in RULES:
            return RULES[rule]
        name, _, k = rule.partition(":")
        if name in PASS_AT and k.isdecimal() and int(k) >= 1:
            made = PassAtKGradient(int(k), centred=True), PassAtKTraining(int(k))
            return made[PASS_AT.index(name)]
    elif not isinstance(rule, type) and callable(getattr(rule, "advantages", None)):
        return rule
    raise ValueError(
        f"rule must be one of {', '.join(RULE_NAMES)}, or an object with a method"
        f" advantages(num_correct, group_size), got {rule!r}"
    )


def rule_named(name: str) -> TwoValued:
    """`rule_of` for the command line, where a rule may also be one's own at ``FILE.py:NAME``.

    >>> rule_named("focal").gamma
    1.0
    """
    own = ":" in name and name.partition(":")[0] not in PASS_AT
    return rule_of(load_object(name) if own else name)


def advantage_table(rule: Rule, group_size: int) -> Advantages:
    """Advantages at K = 0..g, float64 [g + 1] each; 0 where the group holds no such rollout.

    What loops over K take, from a rule of any make: one that returns plain numbers, or nan where
    there is no rollout to weigh, does. Raises ValueError where a number that counts is not finite.

    >>> advantage_table(DR_GRPO, 2).correct.tolist()
    [0.0, 0.5, 0.0]
    """
    size = _check.summed("group_size", group_size)
    k = np.arange(size + 1, dtype=np.float64)
    correct, wrong = (
        np.array(np.broadcast_to(part, k.shape), dtype=np.float64)
        for part in rule_of(rule).advantages(k, size)
    )
    correct[0], wrong[-1] = 0.0, 0.0
    if not np.all(np.isfinite(correct)) or not np.all(np.isfinite(wrong)):
        raise ValueError(f"rule must give finite advantages for groups of {group_size}")
    return Advantages(correct, wrong)


VARIANTS: Mapping[str, TwoValued] = MappingProxyType(
    {
        "positive-only": Asymmetric(GRPO, negative=0.0),
        "asymmetric": Asymmetric(GRPO, positive=0.5, negative=1.0),
        "focal": Focal(GRPO),
        "zero-variance": ZeroVariance(GRPO),
        "batch-std": BatchStd(0.4),
    }
)
"""One of each by name, which `verify` holds against simulation."""

RULES: Mapping[str, TwoValued] = MappingProxyType({**PRESETS, **VARIANTS})
"""Every rule by its name: the presets of trainers, and the variants."""
PASS_AT = ("pass-at-k", "pass-at-k-training")
"""Rules with a number: ``pass-at-k:4`` is `PassAtKGradient` of k = 4, centred."""
RULE_NAMES = (*RULES, *(f"{name}:K" for name in PASS_AT))
"""What `rule_of` knows, as help and errors list it."""

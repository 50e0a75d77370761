"""Options: what a trainer does besides the plain policy gradient step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from grpolab.simulate import _kernels_options as kernels

Optimiser = Literal["sgd", "momentum", "adam"]
KLForm = Literal["k1", "k2", "k3"]
_OPTIMISERS = {"sgd": kernels.SGD, "momentum": kernels.MOMENTUM, "adam": kernels.ADAM}
_FORMS = {"k1": kernels.K1, "k2": kernels.K2, "k3": kernels.K3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What may be added to a plain gradient step. The defaults add nothing.

    optimiser: ``momentum`` is torch's SGD with momentum ``beta1``; ``adam`` with bias correction.
    weight_decay: decoupled, ``z -= lr * weight_decay * (z - logit(prior_p))``. kl: weight of the
    sampled penalty of form k1, k2 or k3 used as a loss, against ``ref_p`` (default: the start).
    inner_epochs: updates per group, with PPO's clip from the second on. max_tries: dynamic
    sampling redraws a zero-std group up to this many draws in all. true_positive, false_positive:
    rates of the verifier; outage: chance that it marks a whole group wrong. pressure: a constant
    added to the gradient of the logit, the push of everything that is not in the model.
    staleness: a group is drawn by the policy of so many steps ago (by that of the start until
    then), as in an asynchronous trainer; ``importance`` then weighs rollouts by PPO's clipped
    ratio, and False takes them as if they were fresh.

    >>> Options(optimiser="adam").beta2
    0.999
    """

    optimiser: Optimiser = "sgd"
    beta1: float = 0.9
    beta2: float = 0.999
    adam_eps: float = 1e-8
    weight_decay: float = 0.0
    prior_p: float = 0.5
    kl: float = 0.0
    kl_form: KLForm = "k3"
    ref_p: float | None = None
    inner_epochs: int = 1
    clip_low: float = 0.2
    clip_high: float = 0.2
    max_tries: int = 1
    true_positive: float = 1.0
    false_positive: float = 0.0
    outage: float = 0.0
    pressure: float = 0.0
    staleness: int = 0
    importance: bool = True

    def __post_init__(self) -> None:
        if self.optimiser not in _OPTIMISERS:
            raise ValueError(f"optimiser must be one of {list(_OPTIMISERS)}, got {self.optimiser}")
        if self.kl_form not in _FORMS:
            raise ValueError(f"kl_form must be one of {list(_FORMS)}, got {self.kl_form}")
        for name in ("true_positive", "false_positive", "outage", "clip_low"):
            _within(name, getattr(self, name), "[0, 1]", 0.0 <= getattr(self, name) <= 1.0)
        for name in ("beta1", "beta2"):
            _within(name, getattr(self, name), "[0, 1)", 0.0 <= getattr(self, name) < 1.0)
        for name in ("prior_p", "ref_p"):
            value = getattr(self, name)
            _within(name, value, "(0, 1)", value is None or 0.0 < value < 1.0)
        for name in ("weight_decay", "kl", "adam_eps", "clip_high"):
            value = getattr(self, name)
            _within(name, value, "[0, inf)", 0.0 <= value < math.inf)
        for name in ("inner_epochs", "max_tries"):
            value = getattr(self, name)
            _within(name, value, "1, 2, ...", isinstance(value, int) and value >= 1)
        _within("staleness", self.staleness, "0, 1, ...", _is_whole(self.staleness))
        _within("importance", self.importance, "True, False", isinstance(self.importance, bool))
        _within("pressure", self.pressure, "finite numbers", math.isfinite(self.pressure))

    @property
    def plain(self) -> bool:
        """True if the gradient of a centred rule still depends on nothing but K."""
        return (
            self.optimiser == "sgd"
            and self.weight_decay == self.kl == self.outage == 0.0
            and self.inner_epochs == self.max_tries == 1
            and self.staleness == 0
            and (self.true_positive, self.false_positive) == (1.0, 0.0)
        )

    def plan(self, group_size: int, learning_rate: float) -> kernels.Plan:
        """The same as numbers for the kernels."""
        return kernels.Plan(
            group_size=group_size,
            learning_rate=learning_rate,
            optimiser=_OPTIMISERS[self.optimiser],
            beta1=self.beta1,
            beta2=self.beta2,
            adam_eps=self.adam_eps,
            weight_decay=self.weight_decay,
            prior_logit=math.log(self.prior_p) - math.log1p(-self.prior_p),
            kl=self.kl,
            kl_form=_FORMS[self.kl_form] if self.kl > 0 else kernels.NO_KL,
            inner_epochs=self.inner_epochs,
            clip_low=self.clip_low,
            clip_high=self.clip_high,
            max_tries=self.max_tries,
            true_positive=self.true_positive,
            false_positive=self.false_positive,
            outage=self.outage,
            pressure=self.pressure,
            staleness=self.staleness,
            importance=self.importance and self.staleness > 0,
        )


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and value >= 0


def _within(name: str, value: object, allowed: str, good: bool) -> None:
    if not good:
        raise ValueError(f"{name} must lie in {allowed}, got {value}")

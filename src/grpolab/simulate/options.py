"""Options: what a trainer does besides the plain policy gradient step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from grpolab.simulate import _kernels_options as kernels
from grpolab.theory import _check

Optimiser = Literal["sgd", "momentum", "adam"]
KLForm = Literal["k1", "k2", "k3"]
_OPTIMISERS = {"sgd": kernels.SGD, "momentum": kernels.MOMENTUM, "adam": kernels.ADAM}
_FORMS = {"k1": kernels.K1, "k2": kernels.K2, "k3": kernels.K3}
Ends = Literal["both", "low", "none"]
_RANGES: tuple[tuple[tuple[str, ...], float, float, Ends], ...] = (
    (
        ("true_positive", "false_positive", "outage", "clip_low", "cut_right", "cut_wrong"),
        0.0, 1.0, "both",
    ),
    (("beta1", "beta2", "replay"), 0.0, 1.0, "low"),
    (("p_prior", "p_ref"), 0.0, 1.0, "none"),
    (("weight_decay", "kl", "adam_eps", "clip_high"), 0.0, math.inf, "low"),
    (("pressure",), -math.inf, math.inf, "none"),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What may be added to a plain gradient step. The defaults add nothing.

    optimiser: ``momentum`` is torch's SGD with momentum ``beta1``; ``adam`` with bias correction.
    weight_decay: decoupled, ``z -= lr * weight_decay * (z - logit(p_prior))``. kl: weight of the
    sampled penalty of form k1, k2 or k3 used as a loss, against ``p_ref`` (default: the start).
    inner_epochs: updates per group, with PPO's clip from the second on. max_tries: dynamic
    sampling redraws a zero-std group up to this many draws in all. true_positive, false_positive:
    rates of the verifier; outage: chance that it marks a whole group wrong. pressure: a constant
    added to the gradient of the logit, the push of everything that is not in the model.
    staleness: a group is drawn by the policy of so many steps ago (by that of the start until
    then), as in an asynchronous trainer. replay: chance that a step takes the last mixed group of
    its prompt again in place of a new one, which costs no rollouts. Under both, ``importance``
    weighs rollouts by PPO's clipped ratio to the policy that drew them, and False takes them as if
    they were fresh. cut_right, cut_wrong: chances that a right or a wrong rollout is longer than
    the budget of tokens; it counts as wrong, and with ``mask_cut`` (DAPO's overlong filtering) has
    no loss of its own. With geometric lengths of mean L and a budget of B tokens, (1 - 1/L)^B.

    >>> Options(optimiser="adam").beta2
    0.999
    """

    optimiser: Optimiser = "sgd"
    beta1: float = 0.9
    beta2: float = 0.999
    adam_eps: float = 1e-8
    weight_decay: float = 0.0
    p_prior: float = 0.5
    kl: float = 0.0
    kl_form: KLForm = "k3"
    p_ref: float | None = None
    inner_epochs: int = 1
    clip_low: float = 0.2
    clip_high: float = 0.2
    max_tries: int = 1
    true_positive: float = 1.0
    false_positive: float = 0.0
    outage: float = 0.0
    pressure: float = 0.0
    staleness: int = 0
    replay: float = 0.0
    importance: bool = True
    cut_right: float = 0.0
    cut_wrong: float = 0.0
    mask_cut: bool = False

    def __post_init__(self) -> None:
        _check.choice("optimiser", self.optimiser, tuple(_OPTIMISERS))
        _check.choice("kl_form", self.kl_form, tuple(_FORMS))
        for names, low, high, ends in _RANGES:
            for name in names:
                if name != "p_ref" or self.p_ref is not None:
                    value = _check.within(name, getattr(self, name), low, high, ends=ends)
                    object.__setattr__(self, name, _check.single(name, value))
        for name, least in (("inner_epochs", 1), ("max_tries", 1), ("staleness", 0)):
            whole = _check.one_whole(name, getattr(self, name), least=least)
            object.__setattr__(self, name, whole)
        for name in ("importance", "mask_cut"):
            object.__setattr__(self, name, _check.flag(name, getattr(self, name)))

    @property
    def plain(self) -> bool:
        """True if the gradient of a centred rule still depends on nothing but K."""
        return (
            self.optimiser == "sgd"
            and self.weight_decay == self.kl == self.outage == 0.0
            and self.inner_epochs == self.max_tries == 1
            and self.staleness == self.replay == self.cut_right == self.cut_wrong == 0
            and (self.true_positive, self.false_positive) == (1.0, 0.0)
        )

    @property
    def remembers(self) -> bool:
        """True if a step may take a group that another policy drew."""
        return self.staleness > 0 or self.replay > 0

    def require_start(self, *, continued: bool) -> None:
        """Raise ValueError where a run goes on whose older policies and groups are gone."""
        if continued and self.remembers:
            name = "staleness" if self.staleness else "replay"
            raise ValueError(f"{name} must be 0 where a run is continued: older policies are gone")

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
            prior_logit=math.log(self.p_prior) - math.log1p(-self.p_prior),
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
            replay=self.replay,
            importance=self.importance and self.remembers,
            cut_right=self.cut_right,
            cut_wrong=self.cut_wrong,
            mask_cut=self.mask_cut,
        )

"""GRPOConfig: everything that defines a GRPO run besides the model, the task and the seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from grpolab.theory.advantage import TRL, AdvantageRule

Aggregation = Literal["sequence", "token", "constant"]
DynamicSampling = Literal["off", "filter", "matched"]
DecayTo = Literal["zero", "start"]


@dataclass(frozen=True, slots=True)
class GRPOConfig:
    """A GRPO run, every intervention specified.

    ``clip_high`` above ``clip_low`` is DAPO's clip-higher (arXiv 2503.14476). ``beta`` weighs the
    KL divergence to the reference model that is handed to `train_grpo`, estimated per token by
    k3 = e^d - d - 1, d = log ref - log pi; with ``kl_correction`` k3 is multiplied by the
    importance ratio, which makes its gradient that of the divergence itself. ``entropy_coef``
    subtracts that multiple of the mean token entropy from the loss. ``temperature`` acts inside
    sampling, loss and entropy. ``inner_epochs`` updates are made per batch of rollouts.

    ``weight_decay`` is decoupled: each update takes lr * weight_decay of a weight's distance to
    zero, or to where the run started (``decay_to``). ``dynamic_sampling`` draws prompts until
    ``prompts_per_step`` groups have spread (at most ``max_draws`` batches) and leaves the others
    out: ``filter`` averages over the groups kept, as DAPO does; ``matched`` over all groups drawn,
    so that the expected update is the same as without. ``skip_zero_advantage`` leaves rows out of
    the backward pass whose gradient is zero.
    """

    steps: int = 500
    prompts_per_step: int = 32
    group_size: int = 8
    lr: float = 1e-4
    warmup: int = 30
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    decay_to: DecayTo = "zero"
    max_grad_norm: float = 1.0
    rule: AdvantageRule = TRL
    aggregation: Aggregation = "sequence"
    clip_low: float = 0.2
    clip_high: float = 0.2
    inner_epochs: int = 1
    beta: float = 0.0
    kl_correction: bool = True
    entropy_coef: float = 0.0
    temperature: float = 1.0
    dynamic_sampling: DynamicSampling = "off"
    max_draws: int = 8
    eval_every: int = 25
    skip_zero_advantage: bool = True

    def __post_init__(self) -> None:
        counts = (
            "steps", "prompts_per_step", "group_size", "inner_epochs", "max_draws", "eval_every",
        )  # fmt: skip
        for name in counts:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        for name in ("temperature", "max_grad_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be > 0, got {getattr(self, name)}")
        for name in ("lr", "warmup", "weight_decay", "beta", "clip_low", "clip_high"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be >= 0, got {getattr(self, name)}")
        for name, known in (
            ("aggregation", Aggregation), ("dynamic_sampling", DynamicSampling),
            ("decay_to", DecayTo),
        ):  # fmt: skip
            if getattr(self, name) not in get_args(known):
                choices = ", ".join(get_args(known))
                raise ValueError(f"{name} must be one of {choices}, got {getattr(self, name)!r}")

    @property
    def only_advantages_act(self) -> bool:
        """Whether a rollout with advantage 0 has no gradient: no KL and no entropy term."""
        return self.beta == 0 and self.entropy_coef == 0

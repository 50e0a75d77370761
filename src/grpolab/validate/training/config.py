"""GRPOConfig: everything that defines a GRPO run besides the model, the task and the seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple, get_args

from grpolab.theory.advantage import TRL, AdvantageRule, TwoValued
from grpolab.theory.rules import PASS_AT, VARIANTS, rule_of
from grpolab.theory.subsets import PassAtKGradient, PassAtKTraining
from grpolab.validate.rollouts.table import SamplingLaw
from grpolab.validate.tasks import Task

Aggregation = Literal["sequence", "token", "constant"]
DynamicSampling = Literal["off", "filter", "matched"]
DecayTo = Literal["zero", "start"]


class LossType(NamedTuple):
    """How the terms of tokens are averaged, and the preset whose advantages go with it."""

    aggregation: Aggregation
    rule: str
    says: str


LOSS_TYPES: Mapping[str, LossType] = MappingProxyType(
    {
        "grpo": LossType(
            "sequence", "trl", "mean over the tokens of a completion, then over completions"
        ),
        "dr_grpo": LossType(
            "constant", "dr-grpo", "sum over tokens / (completions x max_new_tokens)"
        ),
        "dapo": LossType("token", "trl", "mean over all completion tokens of the batch"),
    }
)
"""Loss types by the name that TRL and ``--loss`` use; `loss.token_weights` has their formulas."""


@dataclass(frozen=True, slots=True)
class GRPOConfig:
    """A GRPO run, every intervention specified.

    ``clip_high`` above ``clip_low`` is DAPO's clip-higher (arXiv 2503.14476). ``beta`` weighs the
    KL divergence to the reference model that is handed to `train_grpo`, estimated per token by
    k3 = e^d - d - 1, d = log ref - log pi; with ``kl_correction`` k3 is multiplied by the
    importance ratio, which makes its gradient that of the divergence itself. ``entropy_coef``
    subtracts that multiple of the mean token entropy from the loss. ``temperature`` acts inside
    sampling, loss and entropy. A completion has at most ``max_new_tokens`` tokens (0: the
    task's own length). ``inner_epochs`` updates are made per batch of rollouts.

    ``weight_decay`` is decoupled: each update takes lr * weight_decay of a weight's distance to
    zero, or to where the run started (``decay_to``). ``dynamic_sampling`` draws prompts until
    ``prompts_per_step`` groups have spread (at most ``max_draws`` batches) and leaves the others
    out: ``filter`` averages over the groups kept, as DAPO does; ``matched`` over all groups drawn,
    so that the expected update is the same as without. ``objective`` takes the place of ``rule``:
    ``pass-at-k:K`` (PKPO) or ``pass-at-k-training:K``, with K at most the group size, or a name of
    `grpolab.theory.VARIANTS`.
    ``only_unsolved`` gives a prompt the advantage 0 once a rollout of an earlier step of the run
    has answered it; the mean stays that over all groups drawn. ``skip_zero_advantage`` leaves rows
    out of the backward pass whose gradient is zero.
    """

    steps: int = 500
    prompts_per_step: int = 32
    group_size: int = 8
    max_new_tokens: int = 0
    lr: float = 1e-4
    warmup: int = 30
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    decay_to: DecayTo = "zero"
    max_grad_norm: float = 1.0
    rule: AdvantageRule = TRL
    objective: str = ""
    only_unsolved: bool = False
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
        for name in (
            "lr", "warmup", "weight_decay", "beta", "clip_low", "clip_high", "max_new_tokens",
        ):  # fmt: skip
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be >= 0, got {getattr(self, name)}")
        for name, known in (
            ("aggregation", Aggregation), ("dynamic_sampling", DynamicSampling),
            ("decay_to", DecayTo),
        ):  # fmt: skip
            if getattr(self, name) not in get_args(known):
                choices = ", ".join(get_args(known))
                raise ValueError(f"{name} must be one of {choices}, got {getattr(self, name)!r}")
        if self.objective:
            k = least_group(objective_rule(self.objective))
            if k > self.group_size:
                raise ValueError(
                    f"advantage {self.objective!r} needs groups of at least {k}, got"
                    f" group_size={self.group_size}"
                )

    @property
    def advantage(self) -> TwoValued:
        """What turns the rewards of a group into advantages."""
        return objective_rule(self.objective) if self.objective else self.rule

    def law(self, task: Task) -> SamplingLaw:
        """The sampling law of the run on a task; ValueError where neither sets a length."""
        length = self.max_new_tokens or task.max_new_tokens
        return SamplingLaw(length, temperature=self.temperature, stop=task.stop)

    @property
    def only_advantages_act(self) -> bool:
        """Whether a rollout with advantage 0 has no gradient: no KL and no entropy term."""
        return self.beta == 0 and self.entropy_coef == 0


def objective_rule(text: str) -> TwoValued:
    """The rule of a variant, ``pass-at-k:K`` or ``pass-at-k-training:K``; ValueError for another.

    >>> objective_rule("pass-at-k:4")
    PassAtKGradient(k=4, centred=True)
    """
    name, _, k = text.partition(":")
    if text not in VARIANTS and not (name in PASS_AT and k.isdecimal() and int(k) >= 1):
        known = ", ".join([*VARIANTS, *(f"{name}:K" for name in PASS_AT)])
        raise ValueError(f"objective must be one of {known} with a whole K >= 1, got {text!r}")
    return rule_of(text)


def least_group(rule: TwoValued) -> int:
    """The smallest group that has an advantage by a rule: k where it looks at subsets of k.

    >>> least_group(objective_rule("pass-at-k:4")), least_group(TRL)
    (4, 1)
    """
    return rule.k if isinstance(rule, PassAtKGradient | PassAtKTraining) else 1


def loss_type(config: GRPOConfig) -> str:
    """The name in `LOSS_TYPES` of how a run averages over tokens.

    >>> loss_type(GRPOConfig())
    'grpo'
    """
    found = (name for name, kind in LOSS_TYPES.items() if kind.aggregation == config.aggregation)
    return next(found)


def interventions(config: GRPOConfig, *, reference: str = "", lora_rank: int = 0) -> dict[str, str]:
    """What acts in this run, by name, with its formula; what is off is left out.

    >>> sorted(interventions(GRPOConfig()))
    ['advantage', 'aggregation', 'clip', 'optimiser']
    """
    beta1, beta2 = config.betas
    words = {
        "advantage": _objective(config) if config.objective else _advantage(config.rule),
        "aggregation": f"{LOSS_TYPES[loss_type(config)].says} (loss type {loss_type(config)})",
        "clip": f"ratio of new to old probability within [1 - {config.clip_low:g},"
        f" 1 + {config.clip_high:g}], {config.inner_epochs} update(s) per batch of rollouts",
        "optimiser": f"AdamW, lr {config.lr:g} after a linear warm-up over {config.warmup} steps,"
        f" betas ({beta1:g}, {beta2:g}), gradient norm at most {config.max_grad_norm:g}",
    }
    if config.clip_high > config.clip_low:
        words["clip_higher"] = "the upper bound of the clip lies further off than the lower one"
    if config.beta > 0:
        ratio = " times the importance ratio" if config.kl_correction else ""
        words["kl"] = (
            f"+ {config.beta:g} x mean of (e^d - d - 1){ratio}, d = log ref - log pi;"
            f" reference: {reference}"
        )
    if config.entropy_coef:
        words["entropy_bonus"] = f"- {config.entropy_coef:g} x mean token entropy"
    if config.temperature != 1:
        words["temperature"] = f"logits / {config.temperature:g} in sampling, loss and entropy"
    if config.weight_decay > 0:
        towards = "zero" if config.decay_to == "zero" else "the weights of the start"
        words["weight_decay"] = (
            f"each update takes lr x {config.weight_decay:g} of the distance to {towards}"
        )
    if config.dynamic_sampling != "off":
        over = "kept groups" if config.dynamic_sampling == "filter" else "all groups drawn"
        words["dynamic_sampling"] = (
            f"batches are drawn until {config.prompts_per_step} groups have both rewards, at most"
            f" {config.max_draws}; the others are left out; mean over {over}"
        )
    if config.only_unsolved:
        words["only_unsolved"] = (
            "a prompt that a rollout of an earlier step has answered gets advantage 0"
        )
    if lora_rank:
        words["lora"] = (
            f"only adapters of rank {lora_rank} on every linear layer but the head are trained,"
            " W + B A; weight decay acts on A and B"
        )
    return words


def _objective(config: GRPOConfig) -> str:
    rule = objective_rule(config.objective)
    if not isinstance(rule, PassAtKGradient | PassAtKTraining):
        return f"rule {config.objective}: {rule}, within the group"
    if isinstance(rule, PassAtKTraining):
        return (
            f"pass@{rule.k} of the group's subsets, normalised over all of them"
            " (arXiv 2508.10751), within the group"
        )
    return (
        f"{rule.k} x chance that {rule.k - 1} of the other rollouts are all wrong for a correct"
        f" one, 0 for a wrong one: the gradient of pass@{rule.k} (arXiv 2505.15201)"
    )


def _advantage(rule: AdvantageRule) -> str:
    scale = {
        "none": "",
        "std": f" / (std with ddof {rule.ddof} + {rule.eps:g})",
        "leave-one-out-std": f" / (std of the others + {rule.eps:g})",
        "mean": " / mean",
        "half": " / half",
    }[rule.scale]
    return f"rule {rule.name}: (reward - {rule.baseline}){scale}, within the group"

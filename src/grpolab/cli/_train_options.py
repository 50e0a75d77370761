"""Options of ``train``, in groups, and what they mean as a configuration."""

from __future__ import annotations

import dataclasses
from dataclasses import asdict, dataclass
from typing import Annotated, get_args

import typer

from grpolab.cli import _rollout_options as opt
from grpolab.cli._options import Group, OneOf, listed
from grpolab.errors import UserError, input_errors
from grpolab.theory.advantage import PRESETS
from grpolab.theory.rules import RULE_NAMES
from grpolab.validate.training.config import (
    LOSS_TYPES,
    DecayTo,
    DynamicSampling,
    GRPOConfig,
    objective_rule,
)
from grpolab.validate.training.log_to import LOG_TO
from grpolab.validate.training.restart import RESTARTS


def check_advantage(value: str | None) -> str | None:
    """Refuse a name that is neither a preset nor an objective of several completions."""
    if value is None or value in PRESETS:
        return value
    try:
        objective_rule(value)
    except ValueError:
        raise typer.BadParameter(f"{value!r} is not one of {', '.join(RULE_NAMES)}") from None
    return value


LearningRate = Annotated[
    float, typer.Option("--lr", help="Learning rate of AdamW after the warm-up.")
]
Warmup = Annotated[int, typer.Option(help="Steps of linear warm-up.")]
MaxGradNorm = Annotated[float, typer.Option(help="Gradients are scaled down to this norm.")]
LoraRank = Annotated[int, typer.Option(min=0, help="Rank of a LoRA adapter; 0: train all weights.")]


@dataclass(frozen=True, slots=True)
class TrainingOptions(Group):
    """Steps and optimiser."""

    PANEL = "Training"

    steps: Annotated[
        int,
        typer.Option(help="Number of GRPO steps. Pass a larger number to extend a finished run."),
    ] = 100
    prompts_per_step: Annotated[int, typer.Option(help="Groups per step.")] = 32
    group_size: Annotated[
        int, typer.Option("-g", "--group-size", min=2, help="Rollouts per group.")
    ] = 8
    lr: LearningRate = 1e-6
    warmup: Warmup = 10
    betas: Annotated[str, typer.Option(help="Betas of AdamW, as B1,B2.")] = "0.9,0.99"
    weight_decay: Annotated[float, typer.Option(help="Decoupled weight decay; see --decay-to.")] = (
        0.0
    )
    decay_to: Annotated[
        str,
        OneOf(get_args(DecayTo)),
        typer.Option(help="Weight decay pulls to zero, or to the weights of MODEL."),
    ] = "zero"
    max_grad_norm: MaxGradNorm = 1.0
    lora_rank: LoraRank = 0
    restart: Annotated[
        str | None,
        OneOf(RESTARTS),
        typer.Option(help="Change the weights of MODEL before the first step."),
    ] = None


@dataclass(frozen=True, slots=True)
class LossOptions(Group):
    """The objective of an update."""

    PANEL = "Loss"

    loss: Annotated[str, OneOf(LOSS_TYPES), typer.Option(help="How tokens are averaged.")] = "grpo"
    advantage: Annotated[
        str | None,
        typer.Option(
            callback=check_advantage,
            metavar="NAME",
            help=f"Advantage rule: {', '.join(RULE_NAMES)}. Default: the loss's.",
        ),
    ] = None
    only_unsolved: Annotated[
        bool, typer.Option(help="Advantage 0 for prompts that an earlier step has solved.")
    ] = False
    clip_low: Annotated[float, typer.Option(help="Lower bound of the ratio is 1 - this.")] = 0.2
    clip_high: Annotated[
        float,
        typer.Option(help="Upper bound of the ratio is 1 + this; clip-higher: above --clip-low."),
    ] = 0.2
    inner_epochs: Annotated[int, typer.Option(help="Updates per batch of rollouts.")] = 1
    beta: Annotated[float, typer.Option(help="Coefficient of the KL term.")] = 0.0
    reference: Annotated[
        str, typer.Option(help="Checkpoint that the KL term pulls towards; default: MODEL.")
    ] = ""
    kl_correction: Annotated[bool, typer.Option(help="Weigh the KL estimate by the ratio.")] = True
    entropy_coef: Annotated[float, typer.Option(help="Coefficient of the entropy bonus.")] = 0.0


@dataclass(frozen=True, slots=True)
class TrainSamplingOptions(Group):
    """How the rollouts of a step are drawn."""

    PANEL = "Sampling"

    temperature: opt.Temperature = 1.0
    max_new_tokens: opt.MaxNewTokens = 0
    dynamic_sampling: Annotated[
        str,
        OneOf(get_args(DynamicSampling)),
        typer.Option(help="Draw until all groups are mixed; average over those, or over all."),
    ] = "off"
    max_draws: Annotated[int, typer.Option(help="Batches that dynamic sampling draws at most.")] = 8
    chat: opt.Chat = False
    system: opt.System = ""
    stop: opt.Stop = dataclasses.field(default_factory=list)
    seed: opt.Seed = 0
    vllm_memory: Annotated[
        float,
        typer.Option(help="trl: share of the GPU for sampling by vLLM; 0: transformers."),
    ] = 0.0


@dataclass(frozen=True, slots=True)
class PlaceOptions(Group):
    """Where a model is trained."""

    PANEL = "Model"

    device: opt.Device = "cpu"
    dtype: opt.Dtype = "float32"
    threads: opt.Threads = 0
    batch_rows: Annotated[
        int, typer.Option(min=0, help="Rollouts or examples at once, per process; 0: all.")
    ] = 0


@dataclass(frozen=True, slots=True)
class KeepingOptions(Group):
    """What a run keeps, and how it is evaluated on the way."""

    PANEL = "Checkpoints and evaluation"

    rollouts_every: Annotated[
        int, typer.Option(min=0, help="Keep the rollouts of every N-th step; 0: of none.")
    ] = 1
    save_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 50
    keep: Annotated[int, typer.Option(min=0, help="Newest checkpoints kept; 0: all.")] = 0
    eval_every: Annotated[int, typer.Option(min=0, help="Steps between evaluations; 0: none.")] = 0
    eval_file: Annotated[
        str,
        typer.Option(help="File of the prompts to evaluate on, as --task; default: of the task."),
    ] = ""
    eval_prompts: Annotated[int, typer.Option(min=1, help="Held-out prompts of an evaluation.")] = (
        64
    )
    eval_samples: Annotated[int, typer.Option(min=1, help="Samples per held-out prompt.")] = 4
    log_to: Annotated[
        str,
        typer.Option(help=f"Also write scalars for {', '.join(LOG_TO)}; several with commas."),
    ] = ""

    @property
    def tools(self) -> tuple[str, ...]:
        """The names that --log-to holds."""
        return listed(self.log_to)


def make_config(
    training: TrainingOptions, loss: LossOptions, sampling: TrainSamplingOptions, *, eval_every: int
) -> GRPOConfig:
    """The configuration that the options spell; UserError where one is out of range."""
    fields = {**asdict(training), **asdict(loss), **asdict(sampling)}
    known = GRPOConfig.__dataclass_fields__
    chosen = {name: value for name, value in fields.items() if name in known}
    if eval_every:
        chosen["eval_every"] = eval_every
    chosen["betas"] = _betas(training.betas)
    kind = LOSS_TYPES[loss.loss]
    rule = loss.advantage or kind.rule
    special = rule not in PRESETS
    with input_errors():
        return GRPOConfig(
            **chosen,
            rule=PRESETS[kind.rule if special else rule],
            objective=rule if special else "",
            aggregation=kind.aggregation,
        )


def _betas(text: str) -> tuple[float, float]:
    try:
        first, second = (float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--betas must be two numbers as B1,B2, got {text!r}") from None
    if not (0 <= first < 1 and 0 <= second < 1):
        raise UserError(f"--betas must lie in [0, 1), got {text!r}")
    return first, second

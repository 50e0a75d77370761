"""Options of ``train``, and what they mean as a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grpolab.errors import UserError, input_errors

if TYPE_CHECKING:
    from grpolab.validate.training.config import Aggregation, GRPOConfig

Out = Annotated[Path, typer.Option(help="Folder of the run; a stopped run goes on.")]
Trainer = Annotated[str, typer.Option(help="own (one process, readable) or trl.")]
Steps = Annotated[int, typer.Option(help="Batches of rollouts; may be raised later.")]
PromptsPerStep = Annotated[int, typer.Option(help="Groups per step.")]
GroupSize = Annotated[int, typer.Option("-g", "--group-size", min=2, help="Rollouts per group.")]
LearningRate = Annotated[float, typer.Option("--lr", help="AdamW's, after the warm-up.")]
Warmup = Annotated[int, typer.Option(help="Steps of linear warm-up.")]
Betas = Annotated[str, typer.Option(help="AdamW's, as B1,B2.")]
Loss = Annotated[str, typer.Option(help="grpo, dr_grpo or dapo: how tokens are averaged.")]
Advantage = Annotated[str, typer.Option(help="Preset of the advantages; empty: the loss type's.")]
ClipLow = Annotated[float, typer.Option(help="Lower bound of the ratio is 1 - this.")]
ClipHigh = Annotated[
    float, typer.Option(help="Upper bound is 1 + this; above --clip-low: clip-higher.")
]
InnerEpochs = Annotated[int, typer.Option(help="Updates per batch of rollouts.")]
Beta = Annotated[float, typer.Option(help="Coefficient of the KL term.")]
KlCorrection = Annotated[bool, typer.Option(help="Weigh the KL estimate by the ratio.")]
Reference = Annotated[
    str, typer.Option(help="Checkpoint that the KL term pulls towards; empty: MODEL.")
]
EntropyCoef = Annotated[float, typer.Option(help="Coefficient of the entropy bonus.")]
DynamicSampling = Annotated[str, typer.Option(help="off, filter or matched.")]
MaxDraws = Annotated[int, typer.Option(help="Batches that dynamic sampling draws at most.")]
WeightDecay = Annotated[float, typer.Option(help="Decoupled; see --decay-to.")]
DecayTo = Annotated[str, typer.Option(help="zero, or start: the weights of MODEL.")]
MaxGradNorm = Annotated[float, typer.Option(help="Gradients are scaled down to this norm.")]
LoraRank = Annotated[int, typer.Option(min=0, help="Train an adapter of this rank; 0: all.")]
RolloutsEvery = Annotated[
    int, typer.Option(min=0, help="Keep the rollouts of every N-th step; 0: of none.")
]
SaveEvery = Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")]
Keep = Annotated[int, typer.Option(min=0, help="Newest checkpoints kept; 0: all.")]
EvalEvery = Annotated[int, typer.Option(min=0, help="Steps between evaluations; 0: none.")]
EvalPrompts = Annotated[int, typer.Option(min=1, help="Held-out prompts of an evaluation.")]
EvalSamples = Annotated[int, typer.Option(min=1, help="Samples per held-out prompt.")]
TrainSplit = Annotated[
    str, typer.Option(help="Split to train on; empty: rl of a built-in task, train of a data set.")
]
BatchRows = Annotated[
    int, typer.Option(min=0, help="Rollouts at once in the loss, per process; 0: all.")
]
VllmMemory = Annotated[
    float, typer.Option(help="trl: share of the GPU for sampling by vLLM; 0: transformers.")
]

AGGREGATIONS: dict[str, Aggregation] = {
    "grpo": "sequence", "dr_grpo": "constant", "dapo": "token",
}  # fmt: skip
_RULES = {"grpo": "trl", "dr_grpo": "dr-grpo", "dapo": "trl"}


def make_config(
    *, loss: str, advantage: str, betas: str, eval_every: int, **fields: Any
) -> GRPOConfig:
    """The configuration that the options spell; UserError where one is out of range."""
    from grpolab.theory.advantage import PRESETS
    from grpolab.validate.training.config import GRPOConfig

    if loss not in AGGREGATIONS:
        raise UserError(f"--loss must be one of {', '.join(AGGREGATIONS)}, got {loss!r}")
    rule = advantage or _RULES[loss]
    if rule not in PRESETS:
        raise UserError(f"--advantage must be one of {', '.join(PRESETS)}, got {rule!r}")
    if eval_every:
        fields["eval_every"] = eval_every
    with input_errors():
        return GRPOConfig(
            rule=PRESETS[rule], aggregation=AGGREGATIONS[loss], betas=_betas(betas), **fields,
        )  # fmt: skip


def _betas(text: str) -> tuple[float, float]:
    try:
        first, second = (float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--betas must be two numbers as B1,B2, got {text!r}") from None
    if not (0 <= first < 1 and 0 <= second < 1):
        raise UserError(f"--betas must lie in [0, 1), got {text!r}")
    return first, second


def train_split(task: str, split: str) -> str:
    """Where a task has its training prompts."""
    from grpolab.validate.study.tasks import TASKS

    return split or ("rl" if task in TASKS else "train")

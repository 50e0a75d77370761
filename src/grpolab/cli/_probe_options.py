"""Options of ``grpolab probe``: which starts are run, and on what they are compared."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Annotated

import typer

from grpolab.cli import _rollout_options as opt
from grpolab.cli import _train_options as choose
from grpolab.cli._options import Group, OneOf
from grpolab.errors import UserError
from grpolab.validate.estimate.crossed import RL_NOISE
from grpolab.validate.forecast.outcome import (
    BUDGETS,
    RULES,
    default_rule,
    rule_fits,
    samples_needed,
)
from grpolab.validate.probe.compare import MARGIN
from grpolab.validate.probe.probe import OUTCOMES

STEPS = 50
"""Steps of a short run where nothing else is asked for."""


@dataclass(frozen=True, slots=True)
class ProbeTaskOptions(opt.TrainTaskOptions):
    """The prompts that RL will train on."""

    task: Annotated[
        str,
        typer.Option(help="As `grpolab train` takes it; not with --from."),
    ] = ""


@dataclass(frozen=True, slots=True)
class ProbeTrainingOptions(choose.TrainingOptions):
    """The optimiser of the short runs."""

    steps: Annotated[
        int,
        typer.Option(
            min=0, help=f"Steps of a short run; 0: {STEPS}, with --from the last that all have."
        ),
    ] = 0


@dataclass(frozen=True, slots=True)
class ChoiceOptions(Group):
    """Which starts are run, on what they are compared, and when the order is settled."""

    PANEL = "Choice"

    outcome: Annotated[str, OneOf(OUTCOMES), typer.Option(help="What is to be high after RL.")] = (
        "pass@1"
    )
    top: Annotated[int, typer.Option(min=2, help="Starts that get short runs.")] = 3
    seeds: Annotated[
        int, typer.Option(min=1, help="RL seeds at most; a rerun with more goes on.")
    ] = 2
    rule: Annotated[
        str | None,
        OneOf(RULES),
        typer.Option(help="Law of the ranking; default: pass@1, for pass@10 transport."),
    ] = None
    budget: Annotated[
        int, typer.Option(min=0, help="RL steps planned after the choice, for pass@k(budget).")
    ] = 0
    rank_samples: Annotated[
        int, typer.Option(min=3, help="Samples per held-out prompt for the ranking.")
    ] = 16
    eval_file: Annotated[
        str, typer.Option(help="File of the held-out prompts, as --task; default: of the task.")
    ] = ""
    eval_prompts: Annotated[int, typer.Option(min=2, help="Held-out prompts.")] = 128
    eval_samples: Annotated[
        int, typer.Option(min=1, help="Samples per held-out prompt before and after a run.")
    ] = 16
    equal_within: Annotated[
        float, typer.Option(help="Stop when no other start can be better by more than this.")
    ] = MARGIN
    rl_noise: Annotated[
        float, typer.Option(min=0, help="Standard deviation of a final score between RL seeds.")
    ] = RL_NOISE


def rule_of(choice: ChoiceOptions) -> str:
    """The law of the ranking; UserError where it cannot rank by the outcome."""
    k = OUTCOMES[choice.outcome]
    rule = choice.rule or default_rule(k)
    if not rule_fits(rule, k):
        fits = " or ".join(name for name in RULES if rule_fits(name, k))
        raise UserError(f"--rule {rule} is for another outcome; for {choice.outcome}: {fits}")
    if rule == "pass@k(budget)" and not choice.budget:
        raise UserError("--rule pass@k(budget) needs --budget, the RL steps planned")
    if choice.rank_samples < (least := verdicts_needed(rule)):
        raise UserError(f"--rank-samples must be at least {least} for --rule {rule}")
    return rule


def verdicts_needed(rule: str) -> int:
    """Verdicts of a prompt that a rule can rank by, whatever the budget."""
    return max(3, ceil(samples_needed(rule, steps=BUDGETS[-1])))

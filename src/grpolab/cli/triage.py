"""``grpolab triage``: which checkpoint gives GRPO more signal, and how sure that is."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from grpolab.cli import _rollout_options as opt
from grpolab.cli._options import OUTPUT, expanded
from grpolab.cli._output import (
    DryRun,
    HtmlPage,
    JsonFlag,
    announce,
    end_dry_run,
    print_json,
    print_table,
    say,
    shortest_tails,
)
from grpolab.errors import UserError, input_errors
from grpolab.streams import stream_seed

if TYPE_CHECKING:
    from grpolab.validate.rollouts import RolloutPlan, Rollouts
    from grpolab.validate.triage.ranking import Triage


@dataclass(frozen=True, slots=True)
class TriageTaskOptions(opt.TrainTaskOptions):
    """The prompts that RL will train on, some of them."""

    limit: Annotated[
        int, typer.Option(min=0, help="Use only the first N prompts of the split (0 = all).")
    ] = 256


@expanded
def triage(
    models: Annotated[list[str], typer.Argument(help="Checkpoint folders or hub ids.")],
    task: TriageTaskOptions,
    sampling: opt.SamplingOptions,
    engine: opt.ModelOptions,
    group_size: opt.GroupSize = 8,
    num_samples: Annotated[
        int,
        typer.Option(
            min=0, help="Completions per prompt; 0: four groups.", rich_help_panel="Sampling"
        ),
    ] = 0,
    equal_within: Annotated[
        float, typer.Option(help="Signals that differ by less count as equal.")
    ] = 0.02,
    steps: Annotated[
        int, typer.Option(min=1, help="RL steps planned, for the rule pass@k(budget).")
    ] = 100,
    out: Annotated[
        Path,
        typer.Option(
            help="Folder of the rollouts; a stopped triage goes on.", rich_help_panel=OUTPUT
        ),
    ] = Path("runs/triage"),
    html: HtmlPage = None,
    dry_run: DryRun = False,
    as_json: JsonFlag = False,
) -> None:
    """Compare checkpoints on the same prompts at the same law, before any RL.

    Ends with status 1 when a test says that the rollouts are not independent
    draws, and a second, independent sample of that checkpoint confirms it.

    Example: grpolab triage ckpt-100 ckpt-200 --task countdown -g 8 --html triage.html
    """
    from grpolab.validate.rollouts.make import make_engine
    from grpolab.validate.triage.ranking import triage as compare_runs

    if not equal_within > 0:
        raise UserError(f"--equal-within must be > 0, got {equal_within:g}")
    options = engine.engine_options()
    names = shortest_tails(models, what="checkpoint")
    with task.open() as (the_task, prompts):
        plan = sampling.plan(
            the_task, num_samples=num_samples or 4 * group_size, group_size=group_size
        )
        prompts = sampling.asked(prompts)
        for model in models:
            opt.warn_of_form(model, prompts, chat=sampling.chat)
        each = opt.size_of(plan, len(prompts))
        size = f"{len(models)} checkpoints, each with {each}, into {out}"
        if dry_run:
            end_dry_run(size, as_json=as_json)
        announce(size)

        def run(model: str, label: str, plan: RolloutPlan, out: Path) -> Rollouts:
            """Rollouts of one checkpoint; the engine is let go of before the next one is made."""
            folder = out / label.replace("/", "__")
            found = opt.run_one(
                make_engine(model, options, run=folder), plan, task=the_task, prompts=prompts,
                out=folder, note=label, rejudge=sampling.rejudge, allow_errors=task.allow_errors,
            )  # fmt: skip
            return cast("Rollouts", found)

        runs = {
            label: run(model, label, plan, out) for label, model in zip(names, models, strict=True)
        }

        def again(label: str) -> Rollouts:
            second = replace(plan, seed=stream_seed(plan.seed, "second sample"))
            model, folder = models[names.index(label)], out / "second sample"
            return run(model, label, second, folder)

        with input_errors():
            found = compare_runs(
                runs, task=the_task.name, group_size=group_size, rng=sampling.seed,
                margin=equal_within, again=again, steps=steps,
            )  # fmt: skip
    if html is not None:
        from grpolab.validate.triage.page import write_triage

        write_triage(html, found)
    if as_json:
        _print_json(found)
    else:
        _print(found, html, out, split=task.train_split)
    if found.suspects:
        raise typer.Exit(1)


def _print_json(found: Triage) -> None:
    from grpolab.validate.triage.advice import advise_triage

    print_json({**found.as_dict(), "advice": advise_triage(found)})


def _print(found: Triage, html: Path | None, out: Path, *, split: str) -> None:
    from grpolab.figures.words import plain
    from grpolab.validate.triage.advice import advise_triage
    from grpolab.validate.triage.tables import tables

    size = f"{found.num_prompts} prompts of {split} x {found.samples} samples"
    say(f"{size}, g={found.group_size}")
    for table in tables(found):
        print_table(table)
    for sentence in advise_triage(found):
        say(f"- {plain(sentence)}")
    for checkpoint in found.checkpoints:
        for warning in checkpoint.audit.warnings:
            say(f"! {checkpoint.label}: {warning}")
    if html is not None:
        say(f"wrote {html}")
    counts = [str(out / c.label.replace("/", "__") / "groups.parquet") for c in found.checkpoints]
    say(f"rollouts are in {out}; next: grpolab audit {shlex.join(counts)}")

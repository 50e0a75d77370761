"""``grpolab rollout``: completions of a model and their verdicts, on disk and resumable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from grpolab.cli import _rollout_options as opt
from grpolab.cli._options import OUTPUT, expanded
from grpolab.cli._output import DryRun, JsonFlag, announce, end_dry_run, print_json, say
from grpolab.errors import UserError
from grpolab.figures.words import number
from grpolab.validate.study.tasks import TASKS

if TYPE_CHECKING:
    from grpolab.validate.rollouts import RolloutPlan, Rollouts, Worker


@expanded
def rollout(
    model: Annotated[str, typer.Argument(help="Checkpoint folder or hub id.")],
    task: opt.TaskOptions,
    sampling: opt.SamplingOptions,
    engine: opt.ModelOptions,
    out: Annotated[
        Path,
        typer.Option(help="Folder of the run; a stopped run goes on.", rich_help_panel=OUTPUT),
    ],
    num_samples: Annotated[
        int,
        typer.Option(
            "-n",
            "--num-samples",
            min=1,
            help="Completions per prompt.",
            rich_help_panel="Sampling",
        ),
    ] = 32,
    group_size: Annotated[
        int,
        typer.Option(
            "-g", "--group-size", min=1, help="Completions per group.", rich_help_panel="Sampling"
        ),
    ] = 8,
    worker: Annotated[
        str,
        typer.Option(
            help="I/N: take every N-th file from the I-th on (data parallel).",
            rich_help_panel=OUTPUT,
        ),
    ] = "0/1",
    dry_run: DryRun = False,
    as_json: JsonFlag = False,
) -> None:
    """Sample completions, judge them, and keep texts, tokens, log-probs, verdicts.

    Tests the sampler, too; an alarm is followed by a second sample, and a
    warning only if that shows it again (one clean run in 1,000).

    Example: grpolab rollout ckpt-100 --task countdown --num-samples 32 --out runs/ckpt-100
    """
    from grpolab.validate.rollouts.make import make_engine

    part = _worker(worker)
    with task.open() as (the_task, prompts):
        plan = sampling.plan(the_task, num_samples=num_samples, group_size=group_size)
        made = make_engine(model, engine.engine_options(), run=out)
        prompts = sampling.asked(prompts)
        opt.warn_of_form(model, prompts, chat=sampling.chat)
        shared = "" if part.workers == 1 else f", this worker draws a part ({worker})"
        asked = f", prompts of {task.task} ({task.split})" if task.task in TASKS else ""
        size = f"{opt.size_of(plan, len(prompts))} of {model}{asked}{shared}, into {out}"
        if dry_run:
            end_dry_run(size, as_json=as_json)
        announce(size)

        def draw(plan: RolloutPlan, out: Path, part: Worker) -> Rollouts | None:
            return opt.run_one(
                made, plan, task=the_task, prompts=prompts, out=out, worker=part,
                rejudge=sampling.rejudge, allow_errors=task.allow_errors,
            )  # fmt: skip

        table = draw(plan, out, part)
        found = [] if table is None else _tested(table, plan, draw, out)
    summary = {**_summary(out, finished=table is not None), "sampler": found}
    if as_json:
        print_json(summary)
    else:
        _print(summary)


def _tested(
    table: Rollouts, plan: RolloutPlan, draw: Callable[..., Rollouts | None], out: Path
) -> list[dict[str, Any]]:
    """What `_suspicions` finds in these rollouts, or found in them before."""
    from grpolab.files import sha256
    from grpolab.store import read_json, write_json
    from grpolab.validate.rollouts.stream import ROLLOUTS

    kept, digest = out / "sampler.json", sha256(out / ROLLOUTS)
    before = read_json(kept) if kept.is_file() else None
    if isinstance(before, dict) and before.get("rollouts") == digest:
        tests: list[dict[str, Any]] = before["tests"]
        return tests
    found = _suspicions(table, plan, draw, out)
    write_json(kept, {"rollouts": digest, "tests": found})
    return found


def _suspicions(
    table: Rollouts, plan: RolloutPlan, draw: Callable[..., Rollouts | None], out: Path
) -> list[dict[str, Any]]:
    """Tests of the sampler; an alarm is followed by a second sample of the same prompts."""
    import numpy as np

    from grpolab.streams import stream_seed
    from grpolab.validate.rollouts import Worker
    from grpolab.validate.triage.confirm import rollout_evidence, suspect

    def again(label: str) -> Rollouts:
        second = replace(plan, seed=stream_seed(plan.seed, "second sample"))
        return cast("Rollouts", draw(second, out / "second sample", Worker()))

    if np.isnan(table.reward).all():
        return []
    tests = rollout_evidence(table, rng=plan.seed)
    return [
        {**one.as_dict(), "confirmed": one.stands}
        for one in suspect({str(out): tests}, again, rng=plan.seed)
    ]


def _worker(text: str) -> Worker:
    from grpolab.validate.rollouts import Worker

    first, _, second = text.partition("/")
    if not (first.isdigit() and second.isdigit() and int(first) < int(second)):
        raise UserError(f"--worker must be I/N with 0 <= I < N, got {text!r}")
    return Worker(int(first), int(second))


def _summary(out: Path, *, finished: bool) -> dict[str, Any]:
    from grpolab.store import read_json
    from grpolab.validate.rollouts import read_run
    from grpolab.validate.rollouts.stream import RESULT
    from grpolab.validate.rollouts.table import entropies

    if not finished:
        return {"out": str(out), "finished": False}
    table = read_run(out)
    return {
        "out": str(out),
        "finished": True,
        **read_json(out / RESULT),
        "entropies": entropies(table)._asdict(),
        "provenance": table.provenance.as_dict(),
    }


def _print(summary: dict[str, Any]) -> None:
    if not summary["finished"]:
        say(f"this worker is done; other shards of {summary['out']} are still missing")
        return
    say(
        f"{summary['num_rollouts']} rollouts, mean reward {number(summary['mean_reward'])},"
        f" {100 * summary['frac_truncated']:.1f}% truncated, {summary['num_empty']} empty"
    )
    for name, value in summary["entropies"].items():
        if value is not None and value == value:
            say(f"{name.replace('_', ' ')}: {number(value)}")
    counts = ", ".join(f"{count} {name}" for name, count in summary["outcomes"].items())
    if summary["sandbox"]:
        say(f"judged in a sandbox of level {', '.join(summary['sandbox'])}: {counts}")
    elif counts:
        say(f"judged: {counts}")
    if summary["num_missing"]:
        errors = summary["num_verifier_errors"]
        raised = f", {errors} because the verifier raised" if errors else ""
        say(f"! {summary['num_missing']} completions have no verdict{raised}")
        if errors:
            say(
                f"! the first time {summary['first_verifier_error']}; --rejudge judges all anew,"
                " a verifier that was edited does so by itself"
            )
    for one in summary["sampler"]:
        if one["confirmed"]:
            say(f"! {one['said']} A second sample shows it, too: do not trust the numbers.")
        else:
            say(f"{one['test']}: an alarm that a second, independent sample did not confirm")
    say(f"wrote {summary['out']}; next: grpolab audit {summary['out']}/groups.parquet")

"""``grpolab probe``: short runs of the best few checkpoints, and a choice."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from grpolab.cli import _rollout_options as opt
from grpolab.cli import _train_options as choose
from grpolab.cli._options import OUTPUT, expanded
from grpolab.cli._output import (
    DryRun,
    HtmlPage,
    JsonFlag,
    end_dry_run,
    print_json,
    print_table,
    say,
    shortest_tails,
)
from grpolab.cli._probe_options import (
    STEPS,
    ChoiceOptions,
    ProbeTaskOptions,
    ProbeTrainingOptions,
    rule_of,
    verdicts_needed,
)
from grpolab.errors import UserError, input_errors
from grpolab.figures.words import counted
from grpolab.streams import stream_seed
from grpolab.validate.probe.probe import OUTCOMES

if TYPE_CHECKING:
    from grpolab.theory.groups import GroupCounts
    from grpolab.validate.probe.compare import Comparison
    from grpolab.validate.probe.probe import Probe, Ranked
    from grpolab.validate.probe.runs import ShortRun
    from grpolab.validate.training.job import TrainJob


@expanded
def probe(
    task: ProbeTaskOptions,
    choice: ChoiceOptions,
    training: ProbeTrainingOptions,
    loss: choose.LossOptions,
    sampling: choose.TrainSamplingOptions,
    place: choose.PlaceOptions,
    models: Annotated[
        list[str] | None, typer.Argument(help="Checkpoint folders or hub ids.")
    ] = None,
    existing: Annotated[
        list[Path] | None,
        typer.Option(
            "--from", metavar="RUN...", help="Run folders of `grpolab train --eval-every` instead."
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(help="Folder of the probe; a stopped one goes on.", rich_help_panel=OUTPUT),
    ] = Path("runs/probe"),
    html: HtmlPage = None,
    dry_run: DryRun = False,
    as_json: JsonFlag = False,
) -> None:
    """Run GRPO for a few steps from the best few checkpoints, and choose one.

    Example: grpolab probe ckpt-100 ckpt-400 ckpt-1600 --task countdown --steps 50 --lr 1e-4
    """
    if not choice.equal_within > 0:
        raise UserError(f"--equal-within must be > 0, got {choice.equal_within:g}")
    if existing:
        if task.task:
            raise UserError("--from reads runs that exist: leave --task out")
        if dry_run:
            raise UserError("--from runs nothing: leave --dry-run out")
        found = _from_runs([*existing, *map(Path, models or [])], choice, at=training.steps)
    else:
        stop = partial(end_dry_run, as_json=as_json) if dry_run else None
        found = _run(models or [], task, choice, training, loss, sampling, place, out, stop)
    if html is not None:
        from grpolab.validate.probe.tables import write_probe

        write_probe(html, found)
    _print(found, html, as_json=as_json)


def _from_runs(paths: list[Path], choice: ChoiceOptions, *, at: int) -> Probe:
    """The choice from runs that exist."""
    from grpolab.validate.probe.probe import probe_runs
    from grpolab.validate.probe.runs import check_comparable, common_step, read_short_run

    runs = [read_short_run(path) for path in dict.fromkeys(paths)]
    check_comparable(runs)
    models = {run.model_hash: run.model for run in runs}
    if len(models) < 2:
        raise UserError(f"the runs have one start, {runs[0].model}: give those of others, too")
    hashes = list(models)
    names = shortest_tails([_named(models, key) for key in hashes], what="checkpoint")
    by_start = {
        name: [run for run in runs if run.model_hash == key]
        for name, key in zip(names, hashes, strict=True)
    }
    with input_errors():
        return probe_runs(
            by_start, outcome=choice.outcome, step=common_step(runs, at=at),
            margin=choice.equal_within, rl_noise=choice.rl_noise,
        )  # fmt: skip


def _named(models: Mapping[str, str], key: str) -> str:
    """The path of a start, with its hash where another start had the same path."""
    name = models[key]
    return name if list(models.values()).count(name) == 1 else f"{name}@{key[-8:]}"


def _run(
    models: list[str],
    task: ProbeTaskOptions,
    choice: ChoiceOptions,
    training: ProbeTrainingOptions,
    loss: choose.LossOptions,
    sampling: choose.TrainSamplingOptions,
    place: choose.PlaceOptions,
    out: Path,
    stop: Callable[[str], NoReturn] | None = None,
) -> Probe:
    """Rank, run and choose; whatever is in ``out`` already is not done again.

    ``stop`` takes the plan, where that is all that is wanted.
    """
    from grpolab.cli.train import held_out_of, identity, with_file
    from grpolab.store import claim
    from grpolab.validate.models.load import torch_device
    from grpolab.validate.rollouts.judge import Watched
    from grpolab.validate.rollouts.prompts import asked
    from grpolab.validate.training.job import TrainJob, check_job

    if not task.task:
        raise UserError("give --task, or short runs that exist by --from")
    if len(models) < 2:
        raise UserError("a probe compares checkpoints: give at least 2")
    names, k = shortest_tails(models, what="checkpoint"), OUTCOMES[choice.outcome]
    if choice.eval_samples < k:
        raise UserError(f"--eval-samples must be at least {k} for --outcome {choice.outcome}")
    rule = rule_of(choice)
    steps = training.steps or STEPS
    config = choose.make_config(replace(training, steps=steps), loss, sampling, eval_every=steps)
    opt.use_threads(place.threads)
    with contextlib.ExitStack() as opened:
        the_task, prompts = opened.enter_context(task.open())
        if not (sampling.max_new_tokens or the_task.max_new_tokens):
            raise UserError(f"task {task.task} sets no length: give --max-new-tokens")
        the_task.stop = opt.read_stops(sampling.stop) or the_task.stop
        if choice.eval_file:
            the_task, held_out = with_file(
                the_task, prompts, task, choice.eval_file, choice.eval_prompts, opened
            )
        else:
            held_out = opt.checked(
                the_task, held_out_of(the_task, prompts, limit=choice.eval_prompts),
                leave_out=task.leave_out_broken,
            )  # fmt: skip
        prompts, held_out = (
            asked(some, chat=sampling.chat, system=sampling.system) for some in (prompts, held_out)
        )
        template = TrainJob(
            models[0], "own", the_task if task.allow_errors else Watched(the_task), prompts,
            config, sampling.seed, reference=loss.reference, lora_rank=training.lora_rank,
            restart=training.restart or "", device=torch_device(place.device), chat=sampling.chat,
            batch_rows=place.batch_rows, vllm_memory=sampling.vllm_memory, keep=1,
            held_out=held_out, eval_samples=choice.eval_samples,
        )  # fmt: skip
        jobs = {
            name: _job(template, model, place) for name, model in zip(names, models, strict=True)
        }
        for model, job in zip(models, jobs.values(), strict=True):
            opt.warn_of_form(model, prompts, chat=sampling.chat)
            check_job(job)
        if stop is not None:
            stop(f"{_plan(jobs, choice)}, into {out}")
        opened.enter_context(
            claim(
                out,
                _manifest(jobs, choice, rule=rule, steps=steps),
                manifest="probe.json",
                what="a probe",
                may_change=("seeds", "equal_within", "rl_noise"),
            )
        )
        named = identity(task, the_task, prompts, sampling)
        return _probe(jobs, named, choice, out, rule=rule, steps=steps)


def _plan(jobs: Mapping[str, TrainJob], choice: ChoiceOptions) -> str:
    """What the probe takes at most, in words."""
    job = next(iter(jobs.values()))
    config, prompts = job.config, len(job.held_out)
    kept = min(choice.top, len(jobs))
    trained = config.steps * config.prompts_per_step * config.group_size
    answered = 2 * prompts * choice.eval_samples
    most = kept * choice.seeds * (trained + answered)
    ranking = len(jobs) * prompts * choice.rank_samples if len(jobs) > kept else 0
    ranked = f"{len(jobs)} checkpoints ranked by {rule_of(choice)} on {prompts} held-out prompts"
    again = " (more with dynamic sampling)" if config.dynamic_sampling != "off" else ""
    return (
        f"{f'{ranked} = {ranking:,} rollouts, then ' if ranking else ''}{kept} starts x at most"
        f" {counted(choice.seeds, 'seed')} x ({config.steps:,} steps of {config.prompts_per_step}"
        f" groups of {config.group_size} + 2 evaluations) = at most {most:,} rollouts{again}"
    )


def _job(template: TrainJob, model: str, place: choose.PlaceOptions) -> TrainJob:
    from grpolab.validate.models.load import saved_dtype

    return replace(template, model=model, dtype=saved_dtype(model, place.dtype))


def _manifest(
    jobs: Mapping[str, TrainJob], choice: ChoiceOptions, *, rule: str, steps: int
) -> dict[str, Any]:
    """What a probe depends on beside what its parts say of themselves."""
    from grpolab.validate.rollouts.plan import model_hash

    return {
        "kind": "grpolab-probe",
        "checkpoints": {name: model_hash(job.model) for name, job in jobs.items()},
        "outcome": choice.outcome, "rule": rule, "budget": choice.budget, "top": choice.top,
        "steps": steps, "seeds": choice.seeds, "equal_within": choice.equal_within,
        "rl_noise": choice.rl_noise,
    }  # fmt: skip


def _probe(
    jobs: Mapping[str, TrainJob],
    named: dict[str, Any],
    choice: ChoiceOptions,
    out: Path,
    *,
    rule: str,
    steps: int,
) -> Probe:
    from grpolab.cli.train import run_to_end
    from grpolab.validate.probe.probe import probe_of, rank_starts, run_rounds
    from grpolab.validate.probe.runs import read_short_run

    k, labels, spent = OUTCOMES[choice.outcome], list(jobs), 0
    ranking: tuple[Ranked, ...] = ()
    if len(jobs) > choice.top:
        counts, spent = _counts(jobs, choice, out / "ranking")
        with input_errors():
            ranking = rank_starts(
                counts, rule=rule, steps=choice.budget or steps, k=k, top=choice.top
            )
        labels = [r.label for r in ranking if r.kept]

    def short_run(label: str, r: int) -> ShortRun:
        job = replace(jobs[label], seed=jobs[label].seed + r)
        folder = out / "runs" / _folder(label) / f"seed-{job.seed}"
        run = run_to_end(job, named, folder, rollouts_every=0)
        assert run is not None  # the own loop has one process
        return read_short_run(run.path)

    with input_errors():
        runs, scored, comparison, _ = run_rounds(
            labels, short_run, step=steps, k=k, rounds=choice.seeds, margin=choice.equal_within,
            rl_noise=choice.rl_noise, report=_report(choice.seeds),
        )  # fmt: skip
    return probe_of(
        runs, scored, comparison, outcome=choice.outcome, step=steps, rl_noise=choice.rl_noise,
        planned=choice.seeds, ranking=ranking, ranked_by=spent,
        max_runs=choice.seeds * len(labels),
    )  # fmt: skip


def _counts(
    jobs: Mapping[str, TrainJob], choice: ChoiceOptions, out: Path
) -> tuple[dict[str, GroupCounts], int]:
    """Counts of the held-out prompts before RL, and how many rollouts they took."""
    from grpolab.validate.rollouts.make import EngineOptions, make_engine
    from grpolab.validate.rollouts.plan import RolloutPlan
    from grpolab.validate.rollouts.stream import named_counts

    found = {}
    for label, job in jobs.items():
        n, folder = choice.rank_samples, out / _folder(label)
        plan = RolloutPlan(
            job.config.law(job.task), num_samples=n, group_size=n,
            seed=stream_seed(job.seed, "ranking"), chat=job.chat,
        )  # fmt: skip
        engine = make_engine(
            job.model, EngineOptions("hf", job.device, job.dtype, job.batch_rows), run=folder
        )
        table = opt.run_one(
            engine, plan, task=job.task, prompts=list(job.held_out), out=folder, note=label,
            allow_errors=True,
        )  # fmt: skip
        assert table is not None  # one process draws all shards
        found[label] = named_counts(table, task=job.task.name)
    return _same_prompts(found, samples=verdicts_needed(rule_of(choice))), len(jobs) * len(
        job.held_out
    ) * n


def _same_prompts(counts: Mapping[str, GroupCounts], *, samples: int) -> dict[str, GroupCounts]:
    """Counts of the prompts that have enough verdicts under every checkpoint."""
    import numpy as np

    totals = [c.by_prompt() for c in counts.values()]
    kept = totals[0].prompt_id
    for one in totals:
        kept = np.intersect1d(kept, one.prompt_id[one.num_samples >= samples])
    if len(kept) < 2:
        raise UserError(
            f"at least 2 held-out prompts must have {samples} verdicts from every checkpoint, got"
            f" {len(kept)}"
        )
    return {label: c.select(np.isin(c.prompt_id, kept)) for label, c in counts.items()}


def _folder(label: str) -> str:
    return label.replace("/", "__")


def _report(planned: int) -> Callable[[int, Comparison], None]:
    """Says on stderr after each seed who leads and who can still win."""

    def say_so(done: int, found: Comparison) -> None:
        state = "settled" if found.settled else f"open: {', '.join(found.active)}"
        say(f"seed {done} of {planned}: {found.leader} leads; {state}", err=True)

    return say_so


def _print(found: Probe, html: Path | None, *, as_json: bool) -> None:
    from grpolab.figures.words import plain
    from grpolab.validate.probe.tables import sentences, tables

    said = sentences(found)
    if as_json:
        print_json({**found.as_dict(), "advice": said})
        return
    for table in tables(found):
        print_table(table)
    for sentence in said:
        say(f"- {plain(sentence)}")
    if html is not None:
        say(f"wrote {html}")

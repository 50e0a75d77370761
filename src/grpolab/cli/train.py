"""``grpolab train``: GRPO on any Hugging Face causal LM, by the own loop or by TRL."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grpolab.cli import _rollout_options as opt
from grpolab.cli import _train_options as choose
from grpolab.cli._options import OUTPUT, OneOf, expanded
from grpolab.cli._output import DryRun, JsonFlag, announce, end_dry_run, print_json, say, taking
from grpolab.cli._settings import ConfigFile, given
from grpolab.errors import UserError
from grpolab.figures.words import counted, number, percent
from grpolab.progress import Pace, is_quiet
from grpolab.validate.rollouts.judge import Watched
from grpolab.validate.training.job import TRAINERS, TrainJob, check_job

if TYPE_CHECKING:
    from grpolab.validate.tasks import Prompt, Task
    from grpolab.validate.training.rundir import RunDir


@expanded
def train(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="Checkpoint folder or hub id.")],
    out: Annotated[
        Path,
        typer.Option(help="Folder of the run; a stopped run goes on.", rich_help_panel=OUTPUT),
    ],
    task: opt.TrainTaskOptions,
    training: choose.TrainingOptions,
    loss: choose.LossOptions,
    sampling: choose.TrainSamplingOptions,
    keeping: choose.KeepingOptions,
    place: choose.PlaceOptions,
    trainer: Annotated[
        str,
        OneOf(TRAINERS),
        typer.Option(help="The loop of grpolab (one process, readable), or TRL."),
    ] = "own",
    config_file: ConfigFile = None,
    dry_run: DryRun = False,
    as_json: JsonFlag = False,
) -> None:
    """Train by GRPO and keep every group of every step; run it again to go on.

    Example: grpolab train ckpt-100 --task countdown --steps 200 --lr 1e-4 --out runs/grpo-100
    """
    from grpolab.validate.models.load import saved_dtype, torch_device
    from grpolab.validate.rollouts.prompts import asked

    opt.use_threads(place.threads)
    config = choose.make_config(training, loss, sampling, eval_every=keeping.eval_every)
    with contextlib.ExitStack() as opened:
        the_task, prompts = opened.enter_context(task.open())
        if not (sampling.max_new_tokens or the_task.max_new_tokens):
            raise UserError(f"task {task.task} sets no length: give --max-new-tokens")
        the_task.stop = opt.read_stops(sampling.stop) or the_task.stop
        held_out: list[Prompt] = []
        if keeping.eval_file:
            if not keeping.eval_every:
                raise UserError("--eval-file needs --eval-every N")
            the_task, held_out = with_file(
                the_task, prompts, task, keeping.eval_file, keeping.eval_prompts, opened
            )
        elif keeping.eval_every:
            held_out = opt.checked(
                the_task, held_out_of(the_task, prompts, limit=keeping.eval_prompts),
                leave_out=task.leave_out_broken,
            )  # fmt: skip
        prompts, held_out = (
            asked(some, chat=sampling.chat, system=sampling.system) for some in (prompts, held_out)
        )
        opt.warn_of_form(model, prompts, chat=sampling.chat)
        named = identity(task, the_task, prompts, sampling)
        job = TrainJob(
            model, trainer, the_task if task.allow_errors else Watched(the_task), prompts, config,
            sampling.seed, reference=loss.reference, lora_rank=training.lora_rank,
            restart=training.restart or "",
            device=torch_device(place.device), dtype=saved_dtype(model, place.dtype),
            chat=sampling.chat, batch_rows=place.batch_rows, vllm_memory=sampling.vllm_memory,
            save_every=keeping.save_every, keep=keeping.keep, held_out=held_out,
            eval_samples=keeping.eval_samples, log_to=keeping.tools,
        )  # fmt: skip
        if dry_run:
            check_job(job)
            end_dry_run(_plan(job, out), as_json=as_json)
        run = run_to_end(
            job, named, out, rollouts_every=keeping.rollouts_every, settings=given(context)
        )
    if run is not None:
        _report(run, as_json=as_json)


def _size(job: TrainJob) -> str:
    """How much a run trains, in words."""
    config, length = job.config, job.config.max_new_tokens or job.task.max_new_tokens
    per_step = config.prompts_per_step * config.group_size
    again = f", drawn up to {config.max_draws} times" if config.dynamic_sampling != "off" else ""
    return (
        f"{config.steps:,} steps of {config.prompts_per_step} groups of {config.group_size}{again}"
        f" = {config.steps * per_step:,} rollouts of at most {length:,} tokens, on"
        f" {len(job.prompts):,} prompts"
    )


def _plan(job: TrainJob, out: Path) -> str:
    """How much a run trains and about how long that takes, in words; the time is measured."""
    from grpolab.validate.training.duration import grpo_seconds

    return f"{_size(job)}, {taking(lambda: grpo_seconds(job))}, into {out}"


def identity(
    options: opt.TrainTaskOptions,
    task: Task,
    prompts: list[Prompt],
    sampling: choose.TrainSamplingOptions,
) -> dict[str, Any]:
    """What the manifest says of the task: where it is from, how it is asked and who judges."""
    found: dict[str, Any] = {
        "name": options.task, "seed": options.task_seed, "split": options.train_split,
        "verifier": options.verifier, "columns": options.columns,
        "judge": task.verifier._asdict(),
    }  # fmt: skip
    if task.stop:
        found["stop"] = list(task.stop)
    if any(prompt.messages for prompt in prompts):
        found["conversations"] = True
    return found


def with_file(
    task: Task,
    prompts: list[Prompt],
    options: opt.TrainTaskOptions,
    eval_file: str,
    eval_prompts: int,
    opened: contextlib.ExitStack,
) -> tuple[Task, list[Prompt]]:
    """The task with the prompts of the evaluation file, of which none may be trained on."""
    from grpolab.validate.tasks.joined import HELD_OUT, Joined

    other = replace(options, task=eval_file, limit=eval_prompts, split=options.train_split)
    second, held_out = opened.enter_context(other.open())
    known = {(prompt.text, prompt.messages) for prompt in prompts}
    shared = sum((prompt.text, prompt.messages) in known for prompt in held_out)
    if shared:
        raise UserError(
            f"--eval-file {eval_file}: {shared} of its {len(held_out)} prompts are trained"
            " on; leave them out of one of the two"
        )
    both = Joined(task, prompts, second, held_out)
    return both, list(both.prompts(HELD_OUT))


def _check_verifier(out: Path, now: Mapping[str, Any]) -> None:
    """UserError where the steps that a run has so far were judged by another verifier."""
    from grpolab.store import read_json
    from grpolab.validate.training.rundir import RUN, STEPS

    if not ((out / RUN).is_file() and (out / STEPS).is_file()):
        return
    found = read_json(out / RUN)
    before = (found.get("task") or {}).get("judge") if isinstance(found, dict) else None
    if before is None or before == now:
        return
    changed = f"was {before['name']} and is now {now['name']}"
    if before["name"] == now["name"]:
        changed = f"{now['name']}, or what it judges by, has changed"
    raise UserError(
        f"{out}: two verifiers cannot be mixed in one run: the verifier {changed}; put it back to"
        " go on, or choose another --out"
    )


def held_out_of(task: Task, trained: list[Prompt], *, limit: int) -> list[Prompt]:
    """Prompts of the task that are not trained on; UserError where there are none."""
    known = {(prompt.text, prompt.messages) for prompt in trained}
    found = [p for p in task.prompts("eval") if (p.text, p.messages) not in known]
    if not found:
        raise UserError(
            f"--eval-every: all prompts of {task.name} are trained on, so none is held out;"
            " --limit N trains on the first N of a file and evaluates on the others"
        )
    return found[:limit]


def run_to_end(
    job: TrainJob,
    task: dict[str, Any],
    out: Path,
    *,
    rollouts_every: int,
    settings: dict[str, Any] | None = None,
) -> RunDir | None:
    """Train to the end; the finished run in the process that writes it.

    The plan says how long the run takes where it is a command's own, with its ``settings``.
    """
    from grpolab.progress import ProgressBar
    from grpolab.store import write_settings
    from grpolab.validate.training.ending import BrokenRun, Stopped, is_first_process
    from grpolab.validate.training.job import (
        is_finished,
        manifest,
        resume_step,
        run_job,
    )
    from grpolab.validate.training.rundir import claim_run

    check_job(job)
    _check_verifier(out, task["judge"])
    first = is_first_process()
    with claim_run(out, manifest(job, task=task), first=first) as found:
        run = replace(found, rollouts_every=rollouts_every)
        if first and settings is not None:
            write_settings(out, settings)
        if is_finished(job, run):
            if first:
                run.finish()
            return run if first else None
        if not first:
            run_job(job, run, progress=lambda share: None)
            return None
        done = resume_step(job, run)
        if not is_quiet():
            known = done or settings is None  # a pace, or the plan of all runs
            announce(f"{_size(job)}, into {out}" if known else _plan(job, out))
        note = f"{out}: going on from step {done}" if done else str(out)
        with ProgressBar(1.0, note=note) as bar:
            doing = _Doing(run.path)

            def progress(share: float) -> None:
                bar.part(out.name, share, finished=share >= 1, speed=doing.words())

            try:
                run_job(job, run, progress=progress)
            except BrokenRun as err:
                say(f"grpolab: stopped: {err}", err=True)
                raise typer.Exit(1) from None
            except Stopped as err:
                say(f"grpolab: {err}", err=True)
                raise typer.Exit(128 + err.signum) from None
    return run


class _Doing:
    """How a run is doing, in words, from the last line of its steps."""

    def __init__(self, path: Path) -> None:
        self._path, self._pace = path, Pace()

    def words(self) -> str:
        """Step, reward, zero-std share, seconds per step, tokens per second; once per step."""
        from grpolab.validate.training.rundir import last_step

        row = last_step(self._path)
        if row is None:
            return ""
        return (
            f"step {row['step'] + 1}, reward {number(row['mean_reward'])},"
            f" {percent(row['frac_zero_std'])} zero-std{self._pace.after(row.get('num_tokens', 0))}"
        )


def _report(run: RunDir, *, as_json: bool) -> None:
    from grpolab.validate.training.rundir import read_run, summary_of

    done = read_run(run.path)
    logs = done.steps
    last = logs[-10:]
    summary = {
        "out": str(run.path),
        "trainer": run.manifest["trainer"],
        "steps": len(logs),
        "mean_reward_first": _mean([log.mean_reward for log in logs[:10]]),
        "mean_reward_last": _mean([log.mean_reward for log in last]),
        "frac_zero_std_last": _mean([log.frac_zero_std for log in last]),
        "num_missing": sum(log.num_missing for log in logs),
        "evals": [{"step": step, **summary_of(found)} for step, found in done.evals],
        "interventions": run.manifest["interventions"],
        "final": str(run.final),
        "alarms": _alarms(run),
    }
    if as_json:
        print_json(summary)
        return
    for name, words in summary["interventions"].items():
        say(f"{name.replace('_', ' ')}: {words}")
    rewards, same = number(summary["mean_reward_last"]), percent(summary["frac_zero_std_last"])
    if len(logs) > len(last):
        first = number(summary["mean_reward_first"])
        rewards = f"{first} in the first 10, {rewards} in the last 10"
        same += " in the last 10"
    say(f"{counted(len(logs), 'step')}: mean reward {rewards}; zero-std groups {same}")
    for step, found in done.evals:
        say(f"held out before step {step}: mean reward {number(found['mean_reward'])}")
    if summary["num_missing"]:
        say(f"! {summary['num_missing']} rollouts had no verdict and moved nothing")
    for line in summary["alarms"]:
        say(f"! {line}")
    say(f"wrote {run.final}; next: grpolab audit {run.path}/groups.parquet")


def _alarms(run: RunDir) -> list[str]:
    """What `grpolab monitor` would have said of the run, if it is a warning."""
    from grpolab.validate.monitor.follow import Follower, find_source
    from grpolab.validate.monitor.state import MonitorConfig
    from grpolab.validate.monitor.words import explain

    source = find_source(run.path)
    assert source is not None
    found = Follower(source, MonitorConfig()).look()
    standing = {alarm.name: alarm for alarm in found.alarms}  # the last word of each
    return [explain(alarm, found.monitor) for alarm in standing.values() if not alarm.over]


def _mean(values: list[float]) -> float | None:
    known = [value for value in values if value == value]
    return sum(known) / len(known) if known else None

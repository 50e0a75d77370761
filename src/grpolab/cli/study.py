"""`grpolab study`: the whole argument on this machine, from theory to a report."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from grpolab.cli._options import OUTPUT, OneOf, expanded, listed, whole_numbers
from grpolab.cli._output import DryRun, JsonFlag, announce, end_dry_run, print_json, say
from grpolab.cli._settings import ConfigFile, given
from grpolab.errors import UserError
from grpolab.validate.models.tiny import Architecture
from grpolab.validate.study import PRESETS
from grpolab.validate.study.tasks import TASKS

if TYPE_CHECKING:
    from grpolab.simulate.sweep import Backend

TRIAL = "trial"
NAMES = (*PRESETS, TRIAL)
BACKENDS = ("local", "dask", "ray")


@expanded
def study(
    context: typer.Context,
    preset: Annotated[
        str, OneOf(NAMES), typer.Option(help="Which study; smoke takes a minute.")
    ] = "default",
    task: Annotated[
        str | None,
        OneOf(TASKS),
        typer.Option(help="Run all families of the preset with this task instead."),
    ] = None,
    families: Annotated[
        str | None,
        typer.Option(
            help="Families instead of the preset's, task/regime with commas between:"
            " countdown/shift."
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(help="Seeds instead of the preset's, with commas between: 0,1."),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(help="Folder of the run; a stopped run goes on.", rich_help_panel=OUTPUT),
    ] = Path("runs/study"),
    workers: Annotated[
        int, typer.Option(min=0, help="Processes; 0: one per core. Numbers do not depend on it.")
    ] = 0,
    model: Annotated[
        str, typer.Option(help="Checkpoint folder or hub id instead of a model from scratch.")
    ] = "",
    arch: Annotated[
        str | None,
        OneOf(get_args(Architecture)),
        typer.Option(help="Architecture of the model from scratch; default: llama."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            help="Stop after the last job that fits; the same command goes on later.",
        ),
    ] = None,
    device: Annotated[
        str | None,
        OneOf(("cpu", "cuda", "auto")),
        typer.Option(help="Device instead of the preset's."),
    ] = None,
    designs: Annotated[
        str | None,
        typer.Option(help="With --preset trial: only these designs, with commas between."),
    ] = None,
    backend: Annotated[
        str,
        OneOf(BACKENDS),
        typer.Option(help="Where jobs run: dask and ray are clusters that share the folder --out."),
    ] = "local",
    config_file: ConfigFile = None,
    dry_run: DryRun = False,
    as_json: JsonFlag = False,
) -> None:
    """Train a small model by SFT and GRPO, and compare forecasts with what happened.

    SFT stops at several depths and GRPO starts from each; the report says which forecasts held.

    Example: grpolab study --preset smoke --out runs/smoke
    """
    from grpolab.figures.words import plain
    from grpolab.validate.models.load import torch_device
    from grpolab.validate.study.main import configure, run, size_of

    limit = math.inf if minutes is None else minutes
    engine = cast("Backend", backend)
    if preset == TRIAL:
        fixed = {
            "--task": task, "--families": families, "--seeds": seeds, "--model": model,
            "--device": device, "--arch": arch,
        }  # fmt: skip
        if chosen := [name for name, value in fixed.items() if value]:
            raise UserError(f"the protocol of the trial fixes this: leave out {chosen[0]}")
        if dry_run:
            raise UserError(
                "--dry-run is not for --preset trial: its protocol has a plan of its own"
            )
        _trial(out, designs, workers=workers, minutes=limit, backend=engine, as_json=as_json)
        return
    if designs:
        raise UserError("--designs chooses among the designs of --preset trial")
    if task and families:
        raise UserError("--families names the tasks, too: give --task or --families, not both")
    place = torch_device(device) if device else ""
    config = configure(
        preset, task=task, families=listed(families), seeds=whole_numbers("--seeds", seeds),
        device=place, model=model, arch=arch or "",
    )  # fmt: skip
    within = "" if minutes is None else f", stops after {minutes:g} minutes"
    size = f"{size_of(config, workers=workers)}{within}, into {out}"
    if dry_run:
        end_dry_run(size, as_json=as_json)
    summary = run(
        config, out=out, workers=workers, minutes=limit, backend=engine, settings=given(context),
        begin=lambda: announce(size),
    )  # fmt: skip
    if as_json:
        print_json(summary)
        return
    if "left" in summary:
        say(f"{summary['left']} of {summary['jobs']} jobs left: run the same command again")
        return
    for finding in summary["findings"]:
        say(f"* {plain(finding)}")
    say("")
    say(f"report:  {out / 'report.html'}")
    say(f"results: {out / 'results.json'}")
    say(f"next: open {out / 'report.html'} in a browser")


def _trial(
    out: Path,
    designs: str | None,
    *,
    workers: int,
    minutes: float,
    backend: Backend,
    as_json: bool,
) -> None:
    from grpolab.validate.study.trial.main import run_trial

    summary = run_trial(
        out, designs=listed(designs), workers=workers, minutes=minutes, backend=backend
    )
    if as_json:
        print_json(summary)
        return
    say(f"{summary['done']} of {summary['designs']} designs are done, in {out}")
    if summary["left"]:
        say(f"{summary['left']} jobs of the next one left: run the same command again")

"""`grpolab study`: the whole argument on this machine, from theory to a report."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, get_args

import typer

from grpolab.cli._options import OUTPUT, OneOf, expanded
from grpolab.cli._output import JsonFlag, print_json, say
from grpolab.validate.models.tiny import Architecture
from grpolab.validate.study import PRESETS
from grpolab.validate.study.tasks import TASKS


@expanded
def study(
    preset: Annotated[
        str, OneOf(PRESETS), typer.Option(help="Which study; smoke takes a minute.")
    ] = "default",
    task: Annotated[
        str | None,
        OneOf(TASKS),
        typer.Option(help="Run all families of the preset with this task instead."),
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
        str | None, OneOf(("cpu", "cuda", "auto")), typer.Option(help="Instead of the preset's.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Train a small model by SFT and GRPO, and compare forecasts with what happened.

    SFT stops at several depths and GRPO starts from each; the report says which forecasts held.

    Example: grpolab study --preset smoke --out runs/smoke
    """
    from grpolab.figures.words import plain
    from grpolab.validate.models.load import torch_device
    from grpolab.validate.study.main import run_study

    place = torch_device(device) if device else ""
    summary = run_study(
        preset, task=task, out=out, workers=workers, device=place, model=model, arch=arch or "",
        minutes=math.inf if minutes is None else minutes,
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

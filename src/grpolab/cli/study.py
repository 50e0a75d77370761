"""`grpolab study`: the whole argument on this machine, from theory to a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grpolab.cli._output import JsonFlag, print_json


def study(
    preset: Annotated[
        str,
        typer.Option(
            help="smoke (1 min), default (5), full (30: predictors), causes (30: controls, rescue"
            " attempts, forces), controls (10: entropy, on a second task), data (10: starts by SFT"
            " data), tune (10), gpu."
        ),
    ] = "default",
    task: Annotated[
        str, typer.Option(help="Play all families of the preset with this task instead.")
    ] = "",
    out: Annotated[Path, typer.Option(help="Folder of the run; a stopped run goes on.")] = Path(
        "runs/study"
    ),
    workers: Annotated[
        int, typer.Option(min=0, help="Processes; 0: one per core. Numbers do not depend on it.")
    ] = 0,
    device: Annotated[str, typer.Option(help="Override the preset's device: cpu or cuda.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Train a small transformer over an SFT ladder and by GRPO; put predictions to the test.

    Example: grpolab study --preset smoke --out runs/smoke
    """
    from grpolab.figures.words import plain
    from grpolab.validate.study import run_study

    summary = run_study(preset, task=task or None, out=out, workers=workers, device=device)
    if as_json:
        print_json(summary)
        return
    for finding in summary["findings"]:
        typer.echo(f"* {plain(finding)}")
    typer.echo(f"\nreport:  {out / 'report.html'}\nresults: {out / 'results.json'}")

"""`grpolab verify`: theory against simulation, each check with a formula it must reject."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from grpolab.cli._options import expanded
from grpolab.cli._output import (
    DryRun,
    JsonFlag,
    announce,
    end_dry_run,
    print_json,
    print_table,
    say,
)
from grpolab.errors import input_errors
from grpolab.figures.tables import Column, Table
from grpolab.figures.words import number, p_value, significant


@expanded
def verify(
    names: Annotated[list[str] | None, typer.Argument(help="Checks to run; all if none.")] = None,
    show: Annotated[bool, typer.Option("--list", help="List the checks and stop.")] = False,
    full: Annotated[
        bool,
        typer.Option(
            "--full", help="About 1e9 groups and the calibration of every estimator: 10 minutes."
        ),
    ] = False,
    level: Annotated[
        float, typer.Option(min=1e-9, max=0.5, help="Chance that any right formula is rejected.")
    ] = 1e-3,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A dependence model of your own, FILE.py:NAME, to be checked like those of the"
            " library; repeat for several."
        ),
    ] = None,
    merge: Annotated[
        Path | None,
        typer.Option(
            "--merge", help="Record of --json to put these outcomes into, at --level over all."
        ),
    ] = None,
    dry_run: DryRun = False,
    as_json: JsonFlag = False,
) -> None:
    """Test every formula against simulation; a wrong variant must be rejected.

    Exit status 1 if a formula is rejected, or a wrong variant is not; with --merge, if one of the
    whole record is.

    Example: grpolab verify zero-std
    """
    from grpolab.validate.verify import suite
    from grpolab.validate.verify.merge import merge_into, read_record, record

    chosen = names or []
    with input_errors():
        entries = suite.entries(chosen)
    if show:
        _list(entries, as_json)
        return
    size = suite.FULL if full else suite.SMALL
    with input_errors():
        size = size._replace(own=tuple(model or ()))
        _ = size.models  # refuse a model that is none before the checks begin
    if merge is not None:
        read_record(merge, size)  # a wrong file is told before minutes of work
    if full or dry_run:
        number_of = len(suite.entries(chosen, full=full))
        groups = f"{number_of} checks, each with a wrong formula that must be rejected"
        took = "; all of them take about 10 minutes on two cores" if full else ""
        if dry_run:
            end_dry_run(f"{groups}{took}", as_json=as_json)
        announce(f"{groups}{took}")
    outcomes = _run(chosen, size, level, full)
    if merge is not None:
        order = [entry.name for entry in suite.entries()]
        outcomes = merge_into(merge, outcomes, size=size, level=level, order=order)
    passed = all(outcome.passed for outcome in outcomes)
    if as_json:
        print_json(record(outcomes, size=size, level=level))
    else:
        _report(outcomes, passed)
    raise typer.Exit(0 if passed else 1)


def _run(names: list[str], size: Any, level: float, full: bool) -> list[Any]:
    from grpolab.progress import ProgressBar
    from grpolab.validate.verify import suite

    total = len(suite.entries(names, full=full))
    with ProgressBar(total, note=f"{total} checks", patience=1.0) as bar:
        begun: list[str] = []

        def begin(name: str) -> None:
            if begun:
                bar.part(begun[-1], 1, finished=True)
            bar.part(name, 0)
            begun.append(name)

        with input_errors():
            found = suite.run_suite(names, size=size, level=level, full=full, progress=begin)
        bar.part(begun[-1], 1, finished=True)
        return found


def _list(entries: list[Any], as_json: bool) -> None:
    if as_json:
        checks = [{"name": e.name, "claim": e.claim, "wrong": e.wrong} for e in entries]
        print_json({"checks": checks})
        return
    rows = [(e.name, e.claim, e.wrong) for e in entries]
    columns = [Column(name, words=True) for name in ("name", "claim", "must reject")]
    print_table(Table(columns, rows, title="Checks, those of --full included"))


def _report(outcomes: list[Any], passed: bool) -> None:
    rows = [
        (
            outcome.name,
            f"{len(outcome.checks) - len(outcome.failed)}/{len(outcome.checks)}",
            max(abs(check.z) for check in outcome.checks),
            f"{len(outcome.rejected)}/{len(outcome.controls)}",
            number(outcome.seconds, digits=2),
            "ok" if outcome.passed else "FAILED",
        )
        for outcome in outcomes
    ]
    columns = (
        "check", "passed", Column("max |z|", significant), "wrong formulas rejected", "seconds", "",
    )  # fmt: skip
    print_table(Table(columns, rows, title="Theory against simulation"))
    for outcome in outcomes:
        for check in outcome.failed:
            say(
                f"{outcome.name}: {check.name}: observed {check.observed:.6g}, "
                f"predicted {check.predicted:.6g}, p = {p_value(check.p_value)}"
            )
        if not outcome.rejected:
            say(f"{outcome.name}: the wrong formula was not rejected: {outcome.wrong}")
    say("every check passed" if passed else "some checks failed")

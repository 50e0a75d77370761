"""What every command shares: one JSON object on stdout, or tables for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from grpolab.cli._options import OUTPUT
from grpolab.errors import UserError, require
from grpolab.figures.words import duration
from grpolab.progress import ProgressBar, is_quiet
from grpolab.terminal import printable

if TYPE_CHECKING:
    from grpolab.figures.tables import Table

JsonFlag = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print one JSON object on stdout and nothing else there.",
        rich_help_panel=OUTPUT,
    ),
]


def drawable(path: Path | None) -> Path | None:
    """Refuse to draw without matplotlib before the work begins."""
    if path is not None:
        require("matplotlib", extra="figures")
    return path


def _page_place(path: Path | None) -> Path | None:
    """Refuse a page that cannot be drawn or written before the work begins."""
    if path is not None:
        from grpolab.files import check_place

        drawable(path)
        check_place(path)
    return path


DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Print the plan in one line and stop.", rich_help_panel=OUTPUT),
]


HtmlPage = Annotated[
    Path | None,
    typer.Option(callback=_page_place, help="Write a page with plots.", rich_help_panel=OUTPUT),
]

_UNFOLDED = 1000  # columns; a table takes no more than it needs


def say(line: str, *, err: bool = False) -> None:
    """Print one line; whatever a terminal would obey is escaped (`grpolab.terminal.printable`)."""
    print(printable(line), file=sys.stderr if err else sys.stdout, flush=True)


def announce(plan: str) -> None:
    """Say in one line, on stderr, what a long command is about to do."""
    if not is_quiet():
        say(f"plan: {plan}", err=True)


def taking(measure: Callable[[], float | None]) -> str:
    """How long a run of many steps takes, as the end of its plan.

    >>> taking(lambda: 10200), taking(lambda: None)
    ('about 2 h 50', 'time known from step 2 on')
    """
    with ProgressBar(1.0, note="measuring how long a step takes", patience=2.0) as bar:
        seconds = measure()
        bar.part("measurement", 1.0, finished=True)
    return "time known from step 2 on" if seconds is None else f"about {duration(seconds)}"


def end_dry_run(plan: str, *, as_json: bool) -> NoReturn:
    """Print the plan, and end the command with status 0."""
    if as_json:
        print_json({"plan": plan})
    else:
        say(f"plan: {plan}")
    raise typer.Exit


def print_json(value: Any) -> None:
    """Print one JSON object; NaN and infinities become null."""
    from grpolab.store import jsonable

    text = json.dumps(jsonable(value), indent=2, allow_nan=False)
    sys.stdout.write(text.replace("\x7f", "\\u007f") + "\n")  # json leaves this one as it is


def print_table(table: Table, *, caption: bool = True) -> None:
    """Print a table; colours only where stdout is a terminal (rich decides), lines whole elsewhere.

    A terminal has a width to fold a long row to; a file or a pipe has none.
    """
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else _UNFOLDED).print(table.terminal(caption=caption))


def shortest_tails(names: Sequence[str], *, what: str) -> list[str]:
    """Shortest ends of paths or ids that tell them apart; UserError where one was given twice.

    >>> shortest_tails(["a/x/ckpt-1", "a/y/ckpt-1/"], what="checkpoint")
    ['x/ckpt-1', 'y/ckpt-1']
    """
    parts = [tuple(p for p in name.split("/") if p) or (name,) for name in names]
    if len(set(parts)) < len(parts):
        raise UserError(f"the same {what} was given twice")
    for depth in range(1, max(map(len, parts)) + 1):
        tails = ["/".join(p[-depth:]) for p in parts]
        if len(set(tails)) == len(tails):
            return tails
    return list(names)  # an absolute path and the same one from here

"""`grpolab explore`: a page with sliders, for the questions that a table answers badly."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from grpolab.cli._output import JsonFlag, print_json, say


def explore(
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("grpolab-explorer.html"),
    show: Annotated[
        bool | None,
        typer.Option("--open/--no-open", help="Open it in a browser; by default on a terminal."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write one page with sliders: zero-std share, p*, update weight and escape time.

    It needs no network and no server; its address holds the setting, so that it can be linked.

    Example: grpolab explore --out explorer.html
    """
    from grpolab.figures.explorer import write_explorer

    write_explorer(out)
    watched = sys.stdout.isatty() and not as_json
    opened = (watched if show is None else show) and webbrowser.open(out.resolve().as_uri())
    if as_json:
        print_json({"out": str(out), "num_bytes": out.stat().st_size, "opened": bool(opened)})
    else:
        say(f"wrote {out}" + ("" if opened else "; open it in any browser"))

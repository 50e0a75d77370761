"""`grpolab explore`: a page with sliders, for the questions that a table answers badly."""

from __future__ import annotations

import sys
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from grpolab.cli._options import expanded
from grpolab.cli._output import JsonFlag, print_json, say
from grpolab.cli.audit import ReadingOptions, audit_all

_SIZES = [2, 4, 8, 16, 32, 64]


@expanded
def explore(
    reading: ReadingOptions,
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("grpolab-explorer.html"),
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Results that 'grpolab audit' reads, to start from; repeatable."),
    ] = None,
    show: Annotated[
        bool | None,
        typer.Option("--open/--no-open", help="Open it in a browser; by default on a terminal."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write one page with sliders: zero-std share, p*, update weight and escape time.

    With --data the sliders start from the mean and the ICC of your own results, and a table says
    what each group size costs. The output of 'grpolab audit FILE --json' can also be dropped on
    the page. It needs no network and no server; its address holds the setting, so that it can be
    linked.

    Example: grpolab explore --data docs/samples/depth2048.csv --out explorer.html
    """
    from grpolab.figures.explorer import write_explorer
    from grpolab.files import check_place

    check_place(out)
    results: list[Mapping[str, Any]] = []
    if data:
        found = audit_all(data, reading.read_options(), 0, group_sizes=_SIZES, num_groups=None)
        results = [one.as_dict() for one in found]
    write_explorer(out, results)
    watched = sys.stdout.isatty() and not as_json
    opened = (watched if show is None else show) and webbrowser.open(out.resolve().as_uri())
    if as_json:
        print_json({"out": str(out), "num_bytes": out.stat().st_size, "opened": bool(opened)})
    else:
        say(f"wrote {out}" + ("" if opened else "; open it in any browser"))

"""What every command shares: one JSON object on stdout, or tables for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer

from grpolab.store import jsonable

JsonFlag = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else there.")
]


_UNFOLDED = 1000  # columns; a table takes no more than it needs


def print_json(value: Any) -> None:
    """Print one JSON object; NaN and infinities become null."""
    sys.stdout.write(json.dumps(jsonable(value), indent=2, allow_nan=False) + "\n")


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    words: bool = False,
) -> None:
    """Print a table; colours only where stdout is a terminal (rich decides), lines whole elsewhere.

    Columns but the first hold numbers, unless ``words``. A terminal has a width to fold a long row
    to; a file or a pipe has none.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title, "table.title"), title_justify="left")
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if words or i == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell(value)) for value in row))  # text: brackets are no markup
    Console(width=None if sys.stdout.isatty() else _UNFOLDED).print(table)


def cell(value: object) -> str:
    """Four significant digits for a float, a dash for nothing.

    >>> cell(0.0829959), cell(None), cell(8), cell(float("nan"))
    ('0.083', '-', '8', '-')
    """
    if value is None or value != value:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)

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


def print_json(value: Any) -> None:
    """Print one JSON object; NaN and infinities become null."""
    sys.stdout.write(json.dumps(jsonable(value), indent=2, allow_nan=False) + "\n")


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; colours only where stdout is a terminal (rich decides)."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "right")
    for row in rows:
        table.add_row(*(cell(value) for value in row))
    Console().print(table)


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

"""Committed results as Markdown: what `docs/tables.py` and `docs/study_tables.py` share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from grpolab.figures.tables import Table

_RESULTS = Path(__file__).parent / "results"


def load(name: str) -> Any:
    """A committed result; FileNotFoundError where there is none."""
    return json.loads((_RESULTS / name).read_text(encoding="utf-8"))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table of plain columns, as `Table` renders it."""
    return Table(columns, rows).markdown()

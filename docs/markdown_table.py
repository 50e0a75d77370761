"""Committed results as Markdown: what `docs/tables.py` and `docs/study_tables.py` share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

_RESULTS = Path(__file__).parent / "results"


def load(name: str) -> Any:
    """A committed result; FileNotFoundError where there is none."""
    return json.loads((_RESULTS / name).read_text(encoding="utf-8"))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table: three digits for a float, a dash for nothing."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(_cell(v) for v in line) + " |" for line in lines)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value).replace("|", "\\|")

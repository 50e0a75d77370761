"""verifiers ``outputs/evals/.../results.jsonl``: one row per rollout, grouped by example_id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from grpolab.validate.readers import long_table
from grpolab.validate.readers.choose import roles_of
from grpolab.validate.readers.format import TABLE_OPTIONS, Format, Part, ReadOptions
from grpolab.validate.readers.frame import LinesFrame
from grpolab.validate.readers.source import Remarks, Sample


def recognises(sample: Sample) -> bool:
    """Rows with example_id, reward and is_completed."""
    return sample.kind == "jsonl" and sample.has("example_id", "reward", "is_completed")


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """``reward`` (or a named metric) per example; rows with an error have no verdict."""
    (path,) = paths
    frame = LinesFrame(path, remarks, thorough=True)
    score = options.score or "reward"
    if score not in frame.names and f"metrics.{score}" in frame.names:
        score = f"metrics.{score}"
    chosen = replace(options, problem=options.problem or "example_id", score=score)
    roles = roles_of(frame, chosen)
    return long_table.read_frames([frame], options, remarks, where=str(path), roles=[roles])


FORMAT = Format(
    name="verifiers",
    tool="verifiers",
    files="`outputs/evals/.../results.jsonl`",
    tested_on="records built from its source",
    detect=recognises,
    read=read,
    options=("problem", *TABLE_OPTIONS),
)

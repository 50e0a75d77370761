"""rLLM ``episodes/{mode}_step_{S}_epoch_{E}/episode_hash{H}_id{I}.json``: one file per episode.

A group are the episodes of one task within a step; an episode that ended by an error of the
environment has no verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from grpolab.errors import UserError
from grpolab.validate.readers import long_table
from grpolab.validate.readers.choose import Roles
from grpolab.validate.readers.format import TABLE_OPTIONS, Format, Part, ReadOptions
from grpolab.validate.readers.frame import RowsFrame
from grpolab.validate.readers.source import Remarks, Sample, document

_KEYS = ("episode_id", "task_hash", "is_correct", "trajectories")


def recognises(sample: Sample) -> bool:
    """A document with episode_id, task_hash, is_correct and trajectories."""
    return sample.is_document and isinstance(sample.head, dict) and sample.has(*_KEYS)


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """``is_correct``, or a named value, per task and step; validation left out."""
    train = [p for p in paths if not p.parent.name.startswith("val")] or list(paths)
    if len(train) < len(paths):
        remarks.add(f"{len(paths) - len(train)} episodes of validation were left out")
    rows = []
    for path in train:
        episode = document(path)
        if not isinstance(episode, dict):
            raise UserError(f"{path}: expected an episode, got {type(episode).__name__}")
        rows.append(episode)
    where = str(train[0] if len(train) == 1 else train[0].parent.parent)
    frame = RowsFrame(rows, where, unit=": episode ")
    step = "training_step" if "training_step" in frame.names else None
    roles = Roles(
        problem=("task_hash",), score=(options.score or "is_correct",), step=step,
        sample=("episode_id",), status=("termination_reason",),
    )  # fmt: skip
    return long_table.read_frames([frame], options, remarks, where=where, roles=[roles])


FORMAT = Format(
    name="rllm",
    tool="rLLM",
    files="the folder `episodes/`",
    tested_on="records built from its source",
    detect=recognises,
    read=read,
    options=TABLE_OPTIONS,
    many_files=True,
)

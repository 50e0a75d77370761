"""AReaL ``rollout/{version}/{task_id}.jsonl`` (``dump_to_file``): one row per completion.

The version of the policy that ended a rollout is its step.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from grpolab.validate.readers import long_table
from grpolab.validate.readers.choose import Roles
from grpolab.validate.readers.format import TABLE_OPTIONS, Format, Part, ReadOptions
from grpolab.validate.readers.frame import LinesFrame
from grpolab.validate.readers.source import Remarks, Sample

_KEYS = ("task_id", "sample_idx", "tail_version", "reward", "completion")


def recognises(sample: Sample) -> bool:
    """Rows with task_id, sample_idx, tail_version, reward and completion."""
    return sample.kind == "jsonl" and sample.has(*_KEYS)


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """``reward`` per prompt; a group is a task, whose number is used once."""
    frames = [LinesFrame(path, remarks) for path in paths]
    problem = "prompt" if all("prompt" in f.names for f in frames) else "task_id"
    roles = Roles(
        problem=(problem,), group=("task_id",), step="tail_version", sample=("sample_idx",),
        score=(options.score or "reward",), text="completion",
    )  # fmt: skip
    where = str(paths[0] if len(paths) == 1 else paths[0].parent)
    known = [roles] * len(frames)
    return long_table.read_frames(frames, options, remarks, where=where, roles=known)


FORMAT = Format(
    name="areal",
    tool="AReaL",
    files="the folder `rollout/` (`dump_to_file`)",
    tested_on="records built from its source",
    detect=recognises,
    read=read,
    options=TABLE_OPTIONS,
    many_files=True,
)

"""Tinker cookbook ``iteration_{N}/train_rollout_summaries.jsonl``: one row per trajectory.

A group is (iteration, group_idx); the problem is not recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from grpolab.validate.readers import long_table
from grpolab.validate.readers.choose import Roles
from grpolab.validate.readers.format import TABLE_OPTIONS, Format, Part, ReadOptions
from grpolab.validate.readers.frame import LinesFrame
from grpolab.validate.readers.source import Remarks, Sample

_KEYS = ("iteration", "group_idx", "traj_idx", "total_reward")


def recognises(sample: Sample) -> bool:
    """Rows with iteration, group_idx, traj_idx and total_reward."""
    return sample.kind == "jsonl" and sample.has(*_KEYS)


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """``total_reward``, or a named column, per group of an iteration; evaluations left out."""
    train = [p for p in paths if not p.name.startswith("eval")] or list(paths)
    if len(train) < len(paths):
        remarks.add(f"{len(paths) - len(train)} files of evaluations were left out")
    roles = Roles(
        problem=(), group=("group_idx",), step="iteration", sample=("traj_idx",),
        score=(options.score or "total_reward",),
    )  # fmt: skip
    where = str(train[0] if len(train) == 1 else train[0].parent.parent)
    frames = [LinesFrame(path, remarks) for path in train]
    known = [roles] * len(frames)
    return long_table.read_frames(frames, options, remarks, where=where, roles=known)


FORMAT = Format(
    name="tinker",
    tool="Tinker",
    files="the log folder with `iteration_{N}/*_rollout_summaries.jsonl`",
    tested_on="records built from its source",
    detect=recognises,
    read=read,
    options=TABLE_OPTIONS,
    many_files=True,
)

"""AReaL ``rollout/{version}/{task_id}.jsonl`` (``dump_to_file``): one row per completion.

The version of the policy that ended a rollout is its step. The rollouts of a group may end under
several versions; the group is of the last one, with which it was complete.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np

from grpolab.validate.readers import long_table
from grpolab.validate.readers.choose import Roles
from grpolab.validate.readers.format import TABLE_OPTIONS, Format, Part, ReadOptions
from grpolab.validate.readers.frame import LinesFrame
from grpolab.validate.readers.gather import Piece, gather
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
    known = [long_table.with_wanted(roles, frame, options) for frame in frames]
    pieces = [gather(f, r, options, remarks) for f, r in zip(frames, known, strict=True)]
    _end_together(pieces, remarks, where)
    files = [frame.where for frame in frames]
    return long_table.from_pieces(pieces, known[0], options, remarks, where=where, files=files)


def _end_together(pieces: Sequence[Piece], remarks: Remarks, where: str) -> None:
    """The version of a group is that of its last rollout."""
    last: dict[Hashable, int] = {}
    spread: set[Hashable] = set()
    for piece in pieces:
        assert piece.group is not None
        assert piece.step is not None
        for code, step in np.unique(np.stack([piece.group.code, piece.step]), axis=1).T.tolist():
            task = piece.group.values[code]
            spread |= {task} if last.get(task, step) != step else set()
            last[task] = max(step, last.get(task, step))
    if not spread:
        return
    for piece in pieces:
        assert piece.group is not None
        ends = np.array([last[task] for task in piece.group.values], dtype=np.int64)
        piece.step = ends[piece.group.code]
    remarks.add(f"{where}: {len(spread)} groups ended under several versions; the last is their"
                " step")  # fmt: skip


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

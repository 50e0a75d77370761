"""Atropos ``data_path_to_save_groups``: one line per group, with the scores of its members."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from grpolab.validate.readers import long_table
from grpolab.validate.readers.choose import Roles
from grpolab.validate.readers.format import TABLE_OPTIONS, Format, Part, ReadOptions
from grpolab.validate.readers.frame import LinesFrame
from grpolab.validate.readers.source import Remarks, Sample


def recognises(sample: Sample) -> bool:
    """Rows with tokens, masks and scores."""
    return sample.kind == "jsonl" and sample.has("tokens", "masks", "scores")


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """``scores`` per group; prompts are not recorded, so each group is a problem."""
    roles = Roles(problem=(), score=(options.score or "scores",))
    frames = [LinesFrame(path, remarks) for path in paths]
    where = str(paths[0] if len(paths) == 1 else paths[0].parent)
    known = [roles] * len(frames)
    return long_table.read_frames(frames, options, remarks, where=where, roles=known)


FORMAT = Format(
    name="atropos",
    tool="Atropos",
    files="the jsonl of `data_path_to_save_groups`",
    tested_on="records built from its source",
    detect=recognises,
    read=read,
    options=TABLE_OPTIONS,
    many_files=True,
)

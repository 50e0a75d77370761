"""ms-swift ``completions.jsonl``: a line per logged step, with a list per column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grpolab.validate.readers import long_table
from grpolab.validate.readers.choose import Roles
from grpolab.validate.readers.format import (
    TABLE_OPTIONS,
    ChoiceNeeded,
    Format,
    Part,
    ReadOptions,
)
from grpolab.validate.readers.frame import LinesFrame
from grpolab.validate.readers.source import Remarks, Sample

_OWN = ("step", "gen_step", "prompt", "completion", "advantages", "image", "images")


def recognises(sample: Sample) -> bool:
    """Lists of prompts, completions and advantages."""
    if sample.kind != "jsonl" or not sample.has("prompt", "completion", "advantages"):
        return False
    row = sample.head
    return all(isinstance(row[name], list) for name in ("prompt", "completion", "advantages"))


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """One reward function per prompt and step; a sum of several is never used."""
    frames = [LinesFrame(path, remarks) for path in paths]
    first = frames[0]
    roles = Roles(
        problem=("prompt",), score=(_reward(first, options),), text="completion",
        step=next((n for n in ("step", "gen_step") if n in first.names), None),
    )  # fmt: skip
    where = str(paths[0] if len(paths) == 1 else paths[0].parent)
    known = [roles] * len(frames)
    return long_table.read_frames(frames, options, remarks, where=where, roles=known)


def _reward(frame: LinesFrame, options: ReadOptions) -> str:
    if options.score is not None:
        return options.score
    row = frame.head[0]
    names = [n for n in row if n not in _OWN and _is_numbers(row[n])]
    if len(names) == 1:
        return names[0]
    why = f"which reward holds the verdict (found: {', '.join(names) or 'none'})"
    raise ChoiceNeeded(frame.where, why, option="score", choices=names)


def _is_numbers(value: Any) -> bool:
    """Whether a list holds rewards: numbers, no flags such as ``is_truncated``."""
    numbers = isinstance(value, list) and all(isinstance(v, float | int | None) for v in value)
    return numbers and any(v is not None and not isinstance(v, bool) for v in value)


FORMAT = Format(
    name="ms-swift",
    tool="ms-swift",
    files="`completions.jsonl`",
    tested_on="records built from its source",
    detect=recognises,
    read=read,
    options=TABLE_OPTIONS,
    many_files=True,
)

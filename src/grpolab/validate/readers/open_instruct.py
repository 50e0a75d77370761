"""open-instruct ``{run}_rollouts_{shard}.jsonl``: written after the zero-std filter by default."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from grpolab.errors import UserError
from grpolab.theory.groups import IntArray
from grpolab.validate.readers import over_files
from grpolab.validate.readers.columns import (
    Codes,
    Column,
    encoded,
    factorise,
    scores,
    whole_numbers,
)
from grpolab.validate.readers.format import Format, Part, ReadOptions
from grpolab.validate.readers.frame import LinesFrame
from grpolab.validate.readers.gather import Piece
from grpolab.validate.readers.source import Remarks, Sample
from grpolab.validate.readers.verdicts import count_piece


def recognises(sample: Sample) -> bool:
    """Rows with step, prompt_idx, sample_idx and reward."""
    return sample.kind == "jsonl" and sample.has("step", "prompt_idx", "sample_idx", "reward")


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """Groups by (step, prompt_idx); one positive reward value means right.

    The table is marked filtered when no group without spread is left in it.
    """
    files = sorted(paths)
    pieces = [_file(path, remarks) for path in files]
    piece = over_files.pooled(pieces, [str(path) for path in files])
    levels = np.unique(piece.score[~np.isnan(piece.score)])
    binary = len(levels) == 2 and levels[0] == 0.0 and levels[1] > 0
    middle = float(levels[1]) / 2 if binary else None
    source = str(paths[0] if len(paths) == 1 else paths[0].parent)
    (part,) = count_piece(piece, source, options, remarks, threshold=middle)
    counts = part.counts
    mixed_only = not bool(np.any(counts.all_wrong | counts.all_right))
    filtered = mixed_only if options.filtered is None else options.filtered
    info = replace(counts.provenance, filtered=filtered)
    if filtered:
        remarks.add(f"{info.source}: written after the zero-std filter, mixed groups only")
    return [part._replace(counts=replace(counts, provenance=info))]


def _file(path: Path, remarks: Remarks) -> Piece:
    frame = LinesFrame(path, remarks)
    needed = ("step", "prompt_idx", "reward")
    more = tuple(n for n in ("prompt_tokens", "dataset") if n in frame.names)
    columns = frame.columns((*needed, *more), needed)
    step = whole_numbers(columns["step"], name="step", place=frame.place)
    group = encoded(columns["prompt_idx"])
    lost = np.flatnonzero(group.code < 0)
    if len(lost):
        raise UserError(f"{frame.place(int(lost[0]))}: prompt_idx must be a number, got none")
    return Piece(
        problem=_problems(columns, step, group),
        score=scores(columns["reward"], frame.place, "reward"),
        place=frame.place, group=group, step=step, label="reward",
    )  # fmt: skip


def _problems(columns: Mapping[str, Column], step: IntArray, group: Codes) -> Codes:
    """A prompt by its tokens where they were written, else by its place in the step.

    The tokens are looked at once per group.
    """
    steps, at = np.unique(step, return_inverse=True)
    cells, first, row = np.unique(
        group.code * len(steps) + at, return_index=True, return_inverse=True
    )
    del cells
    names: list[Hashable] = []
    for place in first.tolist():
        tokens, dataset = (_value(columns.get(n), place) for n in ("prompt_tokens", "dataset"))
        idx = group.values[int(group.code[place])]
        names.append(f"{dataset or ''}:{tokens}" if tokens else f"step {step[place]} prompt {idx}")
    code, values = factorise(names)
    return Codes(code[row], values)


def _value(column: Column | None, row: int) -> Any:
    if column is None or isinstance(column, list):
        return None if column is None else column[row]
    return column[row].as_py()


FORMAT = Format(
    name="open-instruct",
    tool="open-instruct",
    files="`{run}_rollouts_{shard}.jsonl`",
    tested_on="records built from its source",
    detect=recognises,
    read=read,
    many_files=True,
)

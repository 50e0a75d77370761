"""A plain table with one row per completion, or with the verdicts of a problem in one row.

Columns are found by their usual names or named by the caller. Columns that number samples find rows
that were written twice; columns that split the samples of a problem are asked about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from grpolab.errors import UserError
from grpolab.theory.groups import FloatArray
from grpolab.validate.readers import pooling
from grpolab.validate.readers.choose import Roles, is_table, roles_of
from grpolab.validate.readers.columns import joined
from grpolab.validate.readers.format import (
    TABLE_OPTIONS,
    ChoiceNeeded,
    Format,
    Part,
    ReadOptions,
    listed,
)
from grpolab.validate.readers.frame import Frame
from grpolab.validate.readers.gather import Piece, gather, refuse_steps
from grpolab.validate.readers.over_files import pooled
from grpolab.validate.readers.shapes import frame_of
from grpolab.validate.readers.source import Remarks, Sample
from grpolab.validate.readers.verdict_columns import known_score
from grpolab.validate.readers.verdicts import binarise, scored, to_part
from grpolab.validate.readers.views import (
    COLUMNS,
    TurnedFrame,
    are_called_problems,
    problem_columns,
    turns,
)
from grpolab.validate.readers.words import (
    CORRECT,
    is_one_of,
)


def recognises(sample: Sample) -> bool:
    """Any table with a column for the problem and one for the verdict."""
    frame = frame_of(sample, Remarks(), fits=_is_one)
    return frame is not None and _is_one(frame.names, frame.head)


def _is_one(names: Sequence[str], head: Sequence[Mapping[str, Any]]) -> bool:
    return is_table(names, head) or are_called_problems(problem_columns(names, head))


def could_be(sample: Sample, options: ReadOptions) -> bool:
    """Whether the columns that the user named, with those that are known, make a table."""
    return open_table(sample, options, Remarks()) is not None


def open_table(
    sample: Sample, options: ReadOptions, remarks: Remarks, *, thorough: bool = False
) -> Frame | None:
    """The table of a file, told by the names that the user gave and the known ones."""

    def fits(names: Sequence[str], head: Sequence[Mapping[str, Any]]) -> bool:
        return _has_roles(names, head, options) or turns(names, head, options.problem)

    frame = frame_of(sample, remarks, fits=fits, thorough=thorough)
    return as_rows(frame, options) if frame and fits(frame.names, frame.head) else None


def as_rows(frame: Frame, options: ReadOptions) -> Frame:
    """The frame with one row per verdict where its columns are problems, else as it is."""
    if _has_roles(frame.names, frame.head, options):
        return frame
    return TurnedFrame(frame) if turns(frame.names, frame.head, options.problem) else frame


def _has_roles(
    names: Sequence[str], head: Sequence[Mapping[str, Any]], options: ReadOptions
) -> bool:
    if options.problem == COLUMNS and COLUMNS not in names:
        return False
    look = _Look(names, head)
    try:
        roles_of(look, _without_file(options, [look])[0])
    except UserError:
        return False
    return True


class _Look:
    """Names and first rows, to choose roles from."""

    where = "table"

    def __init__(self, names: Sequence[str], head: Sequence[Mapping[str, Any]]) -> None:
        self.names = tuple(names)
        self.head = [dict(row) for row in head]

    def columns(self, names: Sequence[str], required: Sequence[str] = ()) -> dict[str, Any]:
        raise NotImplementedError

    def place(self, row: int) -> str:
        raise NotImplementedError


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """Read one or several tables; rows of the same problem are pooled over files."""
    frames = [_open(path, options, remarks) for path in paths]
    root = paths[0] if len(paths) == 1 else paths[0].parent
    return read_frames(frames, options, remarks, where=str(root))


def _open(path: Path, options: ReadOptions, remarks: Remarks) -> Frame:
    sample = Sample(path)
    frame = open_table(sample, options, remarks, thorough=True)
    if frame is None:
        frame = frame_of(sample, remarks, fits=lambda names, head: True, thorough=True)
    if frame is None:
        raise UserError(f"{path}: not a table")
    return frame


def read_frames(
    frames: Sequence[Frame],
    options: ReadOptions,
    remarks: Remarks,
    *,
    where: str,
    roles: Sequence[Roles] | None = None,
    threshold: float | None = None,
    filtered: bool = False,
) -> list[Part]:
    """One part, or one for each value of ``--group-by``; ``roles`` of the frames where known.

    ``threshold`` and ``filtered`` are what the format says itself; the options override them.
    """
    if options.problem == COLUMNS and all(isinstance(f, TurnedFrame) for f in frames):
        options = replace(options, problem=None)
    options, by_file = _without_file(options, frames)
    known = list(roles or [roles_of(frame, options) for frame in frames])
    _require_same(frames, known)
    known = [with_wanted(r, frame, options) for r, frame in zip(known, frames, strict=True)]
    pieces = [gather(f, r, options, remarks) for f, r in zip(frames, known, strict=True)]
    if roles is None:
        for piece, chosen, frame in zip(pieces, known, frames, strict=True):
            refuse_steps(piece, chosen, options, frame.where)
    return from_pieces(
        pieces, known[0], options, remarks, where=where, files=[f.where for f in frames],
        threshold=threshold, filtered=filtered, by_file=by_file,
    )  # fmt: skip


def from_pieces(
    pieces: Sequence[Piece],
    roles: Roles,
    options: ReadOptions,
    remarks: Remarks,
    *,
    where: str,
    files: Sequence[str],
    threshold: float | None = None,
    filtered: bool = False,
    by_file: bool = False,
) -> list[Part]:
    """What the samples of several tables are, together or by ``--group-by``."""
    piece = pooled(pieces, _short(files))
    piece.score = scored(piece.score, options.missing)
    problem = ",".join(roles.problem or roles.group) or "row"
    if len(pieces) > 1 and by_file:
        piece.problem = joined([piece.others.pop(pooling.FILE), piece.problem])
    elif len(pieces) > 1:
        _over_files(piece, roles, options, remarks, where, problem)
    columns = pooling.group_columns(options)
    parts = pooling.divided(piece, columns, where) if columns else [("", piece)]
    parts = [
        (label, pooling.settled(part, problem, options, remarks, f"{where} {label}".strip()))
        for label, part in parts
    ]
    piece = parts[0][1]
    limit = threshold if options.threshold is None else options.threshold
    _refuse_counts(piece, roles.score, limit, where)
    filtered = filtered if options.filtered is None else options.filtered
    return [_part(p, label, where, limit, options, remarks, filtered=filtered)
            for label, p in parts]  # fmt: skip


def _without_file(options: ReadOptions, frames: Sequence[Frame]) -> tuple[ReadOptions, bool]:
    """The options without the file among the names of the problem, and whether it was there."""
    parts = listed(options.problem)
    if pooling.FILE not in parts or any(pooling.FILE in frame.names for frame in frames):
        return options, False
    rest = ",".join(part for part in parts if part != pooling.FILE)
    return replace(options, problem=rest or None), True


def _part(
    piece: Piece,
    label: str,
    where: str,
    limit: float | None,
    options: ReadOptions,
    remarks: Remarks,
    *,
    filtered: bool,
) -> Part:
    return to_part(
        piece.problem.code,
        piece.score,
        binarise(piece.score, threshold=limit, remarks=remarks, where=where),
        names=piece.problem.values,
        source=where,
        remarks=remarks,
        group=None if piece.group is None else piece.group.code,
        step=piece.step,
        text=piece.text,
        filtered=filtered,
        name=piece.label,
        label=label,
        threshold=options.threshold,
    )


def with_wanted(roles: Roles, frame: Frame, options: ReadOptions) -> Roles:
    """The column of ``--group-by`` is read, whatever it looks like."""
    known = (pooling.FILE, *roles.others, *roles.sample)
    wanted = [name for name in pooling.group_columns(options) if name not in known]
    for name in wanted:
        if name not in frame.names:
            present = ", ".join(sorted(frame.names))
            raise UserError(f"{frame.where}: no column {name!r} to group by; it has {present}")
    return replace(roles, others=(*roles.others, *wanted))


def _require_same(frames: Sequence[Frame], roles: Sequence[Roles]) -> None:
    """ChoiceNeeded where files of a folder would be scored or named by different columns."""
    first = roles[0]
    for frame, other in zip(frames, roles, strict=True):
        if other.score != first.score:
            common = [n for n in frames[0].names if all(n in f.names for f in frames)]
            shared = known_score(common, frames[0].head)
            raise ChoiceNeeded(
                frame.where,
                f"scored by {', '.join(other.score)}, but {frames[0].where} by"
                f" {', '.join(first.score)}",
                option="score",
                value=shared[0] if shared else "NAME of a column that all files have",
                choices=shared,
            )
        if other.problem != first.problem:
            raise ChoiceNeeded(
                frame.where,
                f"problems named by {', '.join(other.problem) or 'groups'}, but in"
                f" {frames[0].where} by {', '.join(first.problem) or 'groups'}",
                option="problem",
                value="NAME of a column that all files have",
            )


def _over_files(
    piece: Piece, roles: Roles, options: ReadOptions, remarks: Remarks, where: str, problem: str
) -> None:
    if piece.step is not None:  # the files of a run
        if pooling.FILE not in pooling.group_columns(options):
            del piece.others[pooling.FILE]
        return
    if not roles.problem:
        piece.problem = joined([piece.others[pooling.FILE], piece.problem])
        return
    if options.group_by is None and not pooling.is_shards(piece):
        pooling.refuse_files(piece, where, problem)
    if pooling.is_shared(piece):
        count = len(piece.others[pooling.FILE].values)
        remarks.add(
            f"{count} files hold the same problems and were pooled; --group-by file makes one input"
            " of each"
        )
    if pooling.FILE not in pooling.group_columns(options):
        del piece.others[pooling.FILE]


def _short(names: Sequence[str]) -> list[str]:
    """Names of files by what tells them apart."""
    if len(names) < 2:
        return list(names)
    parts = [Path(name).parts for name in names]
    same = next(
        (i for i, column in enumerate(zip(*parts, strict=False)) if len(set(column)) > 1), 0
    )
    return ["/".join(p[same:]) for p in parts]


def _refuse_counts(piece: Piece, score: Sequence[str], limit: float | None, where: str) -> None:
    """ChoiceNeeded for a column of counts or shares, of which a threshold would make nonsense."""
    found = piece.score[~np.isnan(piece.score)]
    if limit is not None or len(score) > 1 or not len(found) or _is_binary(found):
        return
    name = score[0]
    once = len(piece.score) > 2 and len(piece.problem.values) > 0.9 * len(piece.score)
    whole = bool(np.all(found == np.round(found))) and found.min() >= 0
    counts = whole and found.max() > 1 and (once or is_one_of(name, CORRECT))
    shares = once and found.min() >= 0 and not whole and found.max() <= 100
    if counts or shares:
        what = "counts" if counts else "shares or percentages"
        raise ChoiceNeeded(
            where,
            f"{name} looks like {what} of correct samples, one row per problem",
            option="num_correct",
            value=f"{name} --num-samples COLUMN (or a number)",
            choices=(name,),
        )


def _is_binary(scores: FloatArray) -> bool:
    return any(
        bool(np.all((scores == low) | (scores == high)))
        for low, high in ((0, 1), (-1, 1), (0, 100))
    )


FORMAT = Format(
    name="table",
    tool="any other table",
    files="csv, tsv, xlsx, json, jsonl or parquet: one row per completion, or a list of verdicts or"
    " one column per sample",
    tested_on="tables of every kind; of Qwen2.5-Math and ToRA: records built from their source",
    detect=recognises,
    read=read,
    options=("problem", "score", "group", "step", *TABLE_OPTIONS[1:], "id_suffix"),
    many_files=True,
)

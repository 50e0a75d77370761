"""The samples of several files as those of one."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from grpolab.validate.readers.columns import Codes, Texts
from grpolab.validate.readers.gather import Piece

FILE = "file"
"""Value of ``--group-by`` that is no column: one input per file."""


def pooled(pieces: Sequence[Piece], files: Sequence[str]) -> Piece:
    """The samples of several tables, one after the other; the file is one of the ``others``."""
    if len(pieces) == 1:
        return pieces[0]
    ends = np.cumsum([len(p.score) for p in pieces])

    def place(row: int) -> str:
        which = int(np.searchsorted(ends, row, side="right"))
        return pieces[which].place(row - int(ends[which]) + len(pieces[which].score))

    def stacked(columns: Sequence[Codes | None]) -> Codes | None:
        if any(c is None for c in columns):
            return None
        codes: dict[tuple[bool, Hashable], int] = {}
        parts = []
        for c in columns:
            assert c is not None
            to = [codes.setdefault((type(v) is bool, v), len(codes)) for v in c.values]
            parts.append(np.array([*to, -1], dtype=np.int64)[c.code])
        return Codes(np.concatenate(parts), [value for _, value in codes])

    problem = stacked(_one_kind([p.problem for p in pieces]))
    assert problem is not None
    names = [set.intersection(*(set(which(p)) for p in pieces)) for which in (_numbers, _others)]
    numbers, others = (
        {n: c for n in sorted(kept) if (c := stacked([which(p)[n] for p in pieces])) is not None}
        for kept, which in zip(names, (_numbers, _others), strict=True)
    )
    number = np.repeat(np.arange(len(pieces)), [len(p.score) for p in pieces])
    others[FILE] = Codes(number, list(files))
    known = [p.step for p in pieces if p.step is not None]
    return Piece(
        problem=problem, score=np.concatenate([p.score for p in pieces]), place=place,
        group=stacked([p.group for p in pieces]),
        step=np.concatenate(known) if len(known) == len(pieces) else None,
        text=_texts([p.text for p in pieces]), numbers=numbers, others=others,
        label=pieces[0].label, row_groups=all(p.row_groups for p in pieces),
    )  # fmt: skip


def _one_kind(columns: Sequence[Codes]) -> list[Codes]:
    """Ids of several files, the text of a number as the number where another file has numbers."""
    if not any(type(v) is int for c in columns for v in c.values):
        return list(columns)
    plain = [all(isinstance(v, str) for v in c.values) for c in columns]
    return [
        Codes(c.code, [int(v) if str(v).isdigit() and str(int(str(v))) == v else v
                       for v in c.values]) if text else c
        for c, text in zip(columns, plain, strict=True)
    ]  # fmt: skip


def _texts(columns: Sequence[Texts | None]) -> Texts | None:
    """Texts of several tables; those of one are told apart, those of two are never compared."""
    kept = [c for c in columns if c is not None]
    if len(kept) < len(columns):
        return None
    first = np.cumsum([0, *(len(c.starts) for c in kept)])
    codes = [np.where(c.code < 0, -1, c.code + k) for c, k in zip(kept, first, strict=False)]
    length = np.concatenate([c.length for c in kept])
    return Texts(np.concatenate(codes), length, [start for c in kept for start in c.starts])


def _numbers(piece: Piece) -> dict[str, Codes]:
    return piece.numbers


def _others(piece: Piece) -> dict[str, Codes]:
    return piece.others

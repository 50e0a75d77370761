"""A row that sums up the others, at the end of a table or at its start; it is no problem."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from grpolab.errors import UserError
from grpolab.theory.groups import BoolArray, IntArray
from grpolab.validate.readers.frame import Frame
from grpolab.validate.readers.gather import Piece
from grpolab.validate.readers.repeats import chosen
from grpolab.validate.readers.source import Remarks
from grpolab.validate.readers.words import words_of

_NAMES = frozenset((
    "total", "totals", "sum", "overall", "all", "average", "avg", "mean", "summe", "gesamt",
    "mittelwert", "somme", "moyenne", "suma", "media", "promedio", "aggregate", "summary",
))  # fmt: skip
_BESIDE = frozenset(("grand", "problems", "tasks", "questions", "prompts", "samples", "row", "of",
                     "score", "accuracy", "the"))  # fmt: skip
_FEWEST = 4  # rows of a table whose last may be a sum by chance


def is_total(name: Hashable) -> bool:
    """Whether a problem is called like the sum of all.

    >>> is_total("Grand Total"), is_total("all problems"), is_total("total_derivative"), is_total(3)
    (True, True, False, False)
    """
    words = set(words_of(name)) if isinstance(name, str) else set()
    return not words.isdisjoint(_NAMES) and words <= _NAMES | _BESIDE


def summaries(
    names: Sequence[Hashable],
    code: IntArray,
    correct: IntArray,
    size: IntArray,
    frame: Frame,
    remarks: Remarks,
) -> BoolArray:
    """Rows [R] that hold the sums of the others by name and number.

    UserError where a row is called like a total and is none, or is one and not called so.
    """  # fmt: skip
    called = [is_total(n) for n in names]
    found: BoolArray = np.array([*called, False], dtype=bool)[code]
    rows = np.flatnonzero(found)
    if not len(rows) or len(rows) == len(code):
        refuse_sums(correct, size, frame)
        return np.zeros(len(code), dtype=bool)
    sums = int(correct[~found].sum()), int(size[~found].sum())
    for row in rows.tolist():
        if (int(correct[row]), int(size[row])) != sums:
            raise UserError(
                f"{frame.place(row)}: a row called {names[int(code[row])]!r} with {correct[row]} of"
                f" {size[row]}, where the others add up to {sums[0]} of {sums[1]}; leave it out, or"
                " call it something else if it is a problem"
            )
    remarks.add_of(frame.where, f"a row called {names[int(code[rows[0]])]!r} holds the sums of the"
                   " others and was left out")  # fmt: skip
    return found


def refuse_sums(correct: IntArray, size: IntArray, frame: Frame) -> None:
    """UserError where the first or the last row holds the sums of all others."""
    if len(size) < _FEWEST:
        return
    for row in (len(size) - 1, 0):
        rest = int(correct.sum() - correct[row]), int(size.sum() - size[row])
        if rest == (int(correct[row]), int(size[row])):
            raise UserError(
                f"{frame.place(row)}: {correct[row]} of {size[row]} are the sums of all other rows;"
                " leave this row out"
            )


def without_total(piece: Piece, remarks: Remarks, where: str) -> Piece:
    """Samples without a last row that is called like a total; UserError where it is none.

    In a table with one row per sample such a row holds the sum or the mean of the scores.
    """
    last = len(piece.score) - 1
    code = int(piece.problem.code[last]) if last >= _FEWEST else -1
    if code < 0 or not is_total(piece.problem.values[code]):
        return piece
    if np.count_nonzero(piece.problem.code == code) > 1 or len(piece.problem.values) > last:
        return piece  # a problem with samples, or one of many with one
    rest = piece.score[:last]
    value = float(piece.score[last])
    name = piece.problem.values[code]
    share = float(np.nanmean(rest)) if not np.all(np.isnan(rest)) else 0.0
    near = (float(np.nansum(rest)), share, 100 * share)
    rounded = np.isnan(value) or any(abs(value - n) <= 0.006 * max(1.0, n / 10) for n in near)
    if not rounded:
        raise UserError(
            f"{piece.place(last)}: a row called {name!r} with {value:g}, which is neither the sum"
            " nor the mean of the others; leave it out, or call it something else if it is a"
            " problem"
        )
    remarks.add_of(where, f"a row called {name!r} sums up the others and was left out")
    return chosen(piece, np.arange(last))

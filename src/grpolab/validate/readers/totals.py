"""The last row of a table of counts may sum up the others; it is no problem of its own."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from grpolab.errors import UserError
from grpolab.theory.groups import BoolArray, IntArray
from grpolab.validate.readers.frame import Frame
from grpolab.validate.readers.source import Remarks
from grpolab.validate.readers.words import squeezed

_NAMES = frozenset((
    "total", "totals", "grandtotal", "sum", "overall", "all", "average", "avg", "mean", "summe",
    "gesamt", "mittelwert", "somme", "moyenne", "suma", "media", "promedio",
))  # fmt: skip


def summaries(
    names: Sequence[Hashable],
    code: IntArray,
    correct: IntArray,
    size: IntArray,
    frame: Frame,
    remarks: Remarks,
) -> BoolArray:
    """Rows [R] that hold the sums of the others by name and number.

    UserError where a row is called like a total and is none.
    """  # fmt: skip
    called = [isinstance(n, str) and squeezed(n) in _NAMES for n in names]
    found: BoolArray = np.array([*called, False], dtype=bool)[code]
    rows = np.flatnonzero(found)
    if not len(rows) or len(rows) == len(code):
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

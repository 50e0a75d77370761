"""From the columns of one table to codes and scores, one row per sample.

Lists of verdicts, lists of objects and one column per sample are unrolled here; a sample with an
error loses its verdict here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from grpolab.errors import UserError
from grpolab.theory.groups import FloatArray, IntArray
from grpolab.validate.readers.choose import Roles
from grpolab.validate.readers.columns import (
    Codes,
    Column,
    Texts,
    encoded,
    is_filled,
    joined,
    scores,
    texts_of,
    whole_numbers,
)
from grpolab.validate.readers.format import ChoiceNeeded, ReadOptions
from grpolab.validate.readers.frame import Frame
from grpolab.validate.readers.source import Remarks
from grpolab.validate.readers.words import FAILED, PROBLEM, is_one_of

_PROGRAM = re.compile(
    r"assertion|syntaxerror|indentationerror|nameerror|typeerror|indexerror|valueerror|keyerror"
    r"|attributeerror|zerodivision|recursionerror|wrong.?answer|mismatch|failed.?test|test.?failed"
    r"|expected|incorrect|no.?answer|parse|did not match|compil|runtime.?error|segfault",
    re.IGNORECASE,
)
"""What a judged program or a wrong answer leaves behind, rather than an outage."""


@dataclass(slots=True)
class Piece:
    """The samples of one table: codes [R] and scores [R], and where each of them stands."""

    problem: Codes
    score: FloatArray
    place: Callable[[int], str]
    group: Codes | None = None
    step: IntArray | None = None
    text: Texts | None = None
    numbers: dict[str, Codes] = field(default_factory=dict)
    others: dict[str, Codes] = field(default_factory=dict)
    label: str = ""


def gather(frame: Frame, roles: Roles, options: ReadOptions, remarks: Remarks) -> Piece:
    """Read one table; UserError or ChoiceNeeded where its rows do not say one thing."""
    wanted = dict.fromkeys(
        _outer(name)
        for name in (
            *roles.problem, *roles.score, *roles.group, roles.step, *roles.sample, *roles.errors,
            *roles.status, roles.text, *roles.others,
        )
        if name is not None
    )  # fmt: skip
    required = [_outer(n) for n in (*roles.problem, *roles.score, *roles.group, roles.step) if n]
    columns = frame.columns(tuple(wanted), required)
    rows = len(next(iter(columns.values())))
    if not rows:
        raise UserError(f"{frame.where}: holds no samples")
    table = _Table(frame, columns, *_unrolled(columns, roles, frame))
    problem, score = _problem(table, roles, remarks), _scores(table, roles)
    group = joined([table.codes(n) for n in roles.group]) if roles.group else None
    if group is None and table.parent is not None and len(problem.values) < rows:
        group = Codes(table.parent, list(range(rows)))  # a row is a group where problems come again
    piece = Piece(
        problem=problem, score=score, place=table.place, group=group, step=_step(table, roles),
        text=_text(table, roles), numbers={n: table.codes(n) for n in roles.sample},
        others={n: table.codes(n) for n in roles.others}, label=roles.label,
    )  # fmt: skip
    if not len(piece.score):
        raise UserError(f"{frame.where}: holds no samples")
    failed = _failed(table, roles)
    if failed.any():
        piece.score = _without_errors(score, failed, table, roles, options, remarks)
    return piece


class _Table:
    """Columns of a table by sample: a row has one, or as many as its lists are long."""

    def __init__(
        self,
        frame: Frame,
        columns: dict[str, Column],
        parent: IntArray | None,
        inner: dict[str, Column],
    ) -> None:
        self.frame, self.columns, self.parent, self.inner = frame, columns, parent, inner

    def codes(self, name: str) -> Codes:
        """Codes of a column, [R]."""
        if name in self.inner:
            return encoded(self.inner[name])
        found = encoded(self.columns[name])
        return found if self.parent is None else Codes(found.code[self.parent], found.values)

    def filled(self, name: str) -> npt.NDArray[np.bool_]:
        """Where a column says something, [R]."""
        if name in self.inner:
            return is_filled(self.inner[name])
        found = is_filled(self.columns[name])
        return found if self.parent is None else found[self.parent]

    def place(self, row: int) -> str:
        """Where a sample stands."""
        return self.frame.place(row if self.parent is None else int(self.parent[row]))


def _outer(name: str) -> str:
    return name.partition("[].")[0]


def _unrolled(
    columns: dict[str, Column], roles: Roles, frame: Frame
) -> tuple[IntArray | None, dict[str, Column]]:
    """The row of every sample and the columns of one value per sample; None where that is rows."""
    if len(roles.score) > 1:
        rows = len(columns[roles.score[0]])
        return np.repeat(np.arange(rows, dtype=np.int64), len(roles.score)), {}
    name = roles.score[0]
    column = columns[_outer(name)]
    if not _is_nested(column):
        return None, {}
    if roles.text and not roles.per_token and "[]." not in roles.text + name:
        text = columns[roles.text]
        if not _is_nested(text) and is_filled(text).any():
            raise UserError(
                f"{frame.where}: {name} is a list and {roles.text} one text: is it a value per"
                " token or per test? pass --score NAME of a column with one verdict per row"
            )
    parent, flat = _flat(column, frame, name)
    if roles.per_token:
        return None, {name: _sums(parent, scores(flat, frame.place), len(column))}
    inner = {name: _field(flat, name)}
    outer = _outer(name)
    for other in (*roles.errors, *roles.status, roles.text):
        if other is not None and other.startswith(f"{outer}[]."):
            inner[other] = _field(flat, other)
    for other, values in columns.items():
        if other != outer and _is_nested(values):
            above, items = _flat(values, frame, other)
            if np.array_equal(above, parent):
                inner[other] = items
    return parent, inner


def _sums(parent: IntArray, values: FloatArray, rows: int) -> Column:
    """The sum of the values of every row; none where a row has no values."""
    total = np.bincount(parent, weights=values, minlength=rows)
    some = np.bincount(parent, minlength=rows) > 0
    return [float(v) if there else None for v, there in zip(total, some, strict=True)]


def _is_nested(column: Column) -> bool:
    if isinstance(column, list):
        return isinstance(next((v for v in column if v is not None), None), list)
    import pyarrow as pa

    return bool(pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
                or pa.types.is_fixed_size_list(column.type))  # fmt: skip


def _flat(column: Column, frame: Frame, name: str) -> tuple[IntArray, Column]:
    """Row of every item, and the items."""
    if isinstance(column, list):
        for row, value in enumerate(column):
            if value is not None and not isinstance(value, list):
                raise UserError(f"{frame.place(row)}: {name} must be a list, got {value!r:.40}")
        lengths = [len(v or ()) for v in column]
        parent = np.repeat(np.arange(len(column)), lengths)
        return parent, [item for v in column for item in v or ()]
    import pyarrow as pa
    import pyarrow.compute as pc

    whole = column.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.chunk(0)
    parent = pc.list_parent_indices(whole).to_numpy(zero_copy_only=False).astype(np.int64)
    return parent, pa.chunked_array([pc.list_flatten(whole)])


def _field(flat: Column, name: str) -> Column:
    """The named field of the items, or the items."""
    key = name.partition("[].")[2]
    if not key:
        return flat
    if isinstance(flat, list):
        return [item.get(key) if isinstance(item, dict) else None for item in flat]
    import pyarrow.compute as pc

    return pc.struct_field(flat, [key])


def _scores(table: _Table, roles: Roles) -> FloatArray:
    if len(roles.score) == 1:
        name = roles.score[0]
        column = table.inner[name] if name in table.inner else table.columns[name]
        return scores(column, table.place)
    count = len(roles.score)
    found = [
        scores(table.columns[n], lambda row, i=i: table.place(row * count + i))  # type: ignore[misc]
        for i, n in enumerate(roles.score)
    ]
    return np.stack(found, axis=1).reshape(-1)


def _step(table: _Table, roles: Roles) -> IntArray | None:
    if roles.step is None:
        return None
    if roles.step in table.inner:
        return whole_numbers(table.inner[roles.step], name="step", place=table.place)
    found = whole_numbers(table.columns[roles.step], name="step", place=table.frame.place)
    return found if table.parent is None else found[table.parent]


def _text(table: _Table, roles: Roles) -> Texts | None:
    if roles.text is None:
        return None
    if roles.text in table.inner:
        return texts_of(table.inner[roles.text])
    if table.parent is not None or _outer(roles.text) != roles.text:
        return None  # one text for several samples
    return texts_of(table.columns[roles.text])


def _problem(table: _Table, roles: Roles, remarks: Remarks) -> Codes:
    """The problem of every sample, by another known name where the first turns out to be none."""
    frame = table.frame
    if not roles.problem:
        return _group_as_problem(table, roles, remarks)
    found = joined([table.codes(n) for n in roles.problem])
    total, distinct = len(found.code), len(found.values)
    name = roles.problem[0]
    if roles.rivals and table.parent is None and total > 1 and (distinct < 2 or distinct == total):
        better = _better(frame, roles, found)
        if better is not None:
            other, found = better
            why = "the same" if distinct == 1 else "another" if distinct else "empty"
            note = f"problems are told by {other}; {name} is {why} in all rows"
            remarks.add_of(frame.where, note)
            name = other
    lost = np.flatnonzero(found.code < 0)
    if len(lost):
        rest = [n for n in roles.rivals if n != name]
        raise ChoiceNeeded(
            table.place(int(lost[0])),
            f"no {name} in this row and in {len(lost)} of {total}",
            option="problem",
            value="NAME of a column that is filled, or complete the rows",
            choices=rest,
        )
    return found


def _group_as_problem(table: _Table, roles: Roles, remarks: Remarks) -> Codes:
    """Groups, or rows of several samples, as problems of their own."""
    remarks.add_of(
        table.frame.where, "no column for the problem: every group is a problem of its own"
    )
    if not roles.group:
        rows = len(next(iter(table.columns.values())))
        parent = np.arange(rows) if table.parent is None else table.parent
        return Codes(parent, list(range(rows)))
    keys = [table.codes(n) for n in roles.group]
    if roles.step is not None:
        keys.insert(0, table.codes(roles.step))
    return joined(keys)


def _better(frame: Frame, roles: Roles, first: Codes) -> tuple[str, Codes] | None:
    """A rival that names problems with several samples; ChoiceNeeded where both could be meant."""
    total, distinct = len(first.code), len(first.values)
    name = roles.problem[0]
    for rival in roles.rivals:
        found = encoded(frame.columns([rival])[rival])
        count = len(found.values)
        repeats = 1 < count <= total / 2 and bool(np.all(found.code >= 0))
        if distinct == total and repeats and is_one_of(name, PROBLEM):
            raise ChoiceNeeded(
                frame.where,
                f"{name} is another in every row and {rival} has {count} values in {total} rows",
                option="problem",
                value=f"{rival}, or --problem {name}",
                choices=(rival, name),
            )
        if repeats or (distinct < 2 and count > 1 and is_one_of(rival, PROBLEM)):
            return rival, found
    return None


def _failed(table: _Table, roles: Roles) -> npt.NDArray[np.bool_]:
    """Samples whose error or status says that there is no verdict."""
    failed = [table.filled(name) for name in roles.errors]
    for name in roles.status:
        code, values = table.codes(name)
        bad = [str(v).strip().lower().replace(" ", "_") in FAILED for v in values]
        failed.append(np.array([*bad, False], dtype=bool)[code])
    return np.any(failed, axis=0) if failed else np.zeros(1, dtype=bool)


def _without_errors(
    score: FloatArray,
    failed: npt.NDArray[np.bool_],
    table: _Table,
    roles: Roles,
    options: ReadOptions,
    remarks: Remarks,
) -> FloatArray:
    """Scores without those of samples with an error, unless the errors are those of programs."""
    if options.errors == "wrong":
        remarks.add_of(table.frame.where, "samples with an error were taken as their score says")
        return score
    names = [*roles.errors, *roles.status]
    scored = failed & ~np.isnan(score)
    if options.errors is None and scored.any():
        _ask_about_errors(score, failed, table, roles)
    if scored.any():
        remarks.add_of(
            table.frame.where,
            f"{int(failed.sum())} samples have an error ({', '.join(names)}) and so no verdict;"
            " --errors wrong takes them as their score says",
        )
    return np.where(failed, np.nan, score)


def _ask_about_errors(
    score: FloatArray,
    failed: npt.NDArray[np.bool_],
    table: _Table,
    roles: Roles,
) -> None:
    """ChoiceNeeded where the errors look like those of wrong answers."""
    lowest = np.nanmin(score)
    wrong = score == lowest
    if not np.any(wrong & failed) or np.nanmax(score) == lowest:
        return
    words = [
        str(v) for n in roles.errors for v in table.codes(n).values[:100] if isinstance(v, str)
    ]
    of_programs = sum(_is_of_program(w) for w in words) > len(words) / 2
    every = not np.any(wrong & ~failed) and not np.any(failed & ~wrong) and failed.sum() > 1
    if of_programs or (every and not _outage(words)):
        names = ", ".join([*roles.errors, *roles.status])
        shown = f" such as {words[0]!r:.40}" if words else ""
        raise ChoiceNeeded(
            table.frame.where,
            f"{int(failed.sum())} samples have an error ({names}){shown}: wrong answers, or"
            " outages without a verdict?",
            option="errors",
            value="wrong, or --errors missing",
            choices=("wrong", "missing"),
        )


_OUTAGE = re.compile(
    r"time.?out|timed.?out|connect|rate.?limit|sandbox|\b[45]\d\d\b|unavailable|memory|\boom\b"
    r"|killed|network|reset|refused|server|docker|container|preempt|evict|cancel|harness|infra"
    r"|quota|overload|socket|ssl|api",
    re.IGNORECASE,
)


def _is_of_program(words: str) -> bool:
    return bool(_PROGRAM.search(words)) and not _OUTAGE.search(words)


def _outage(words: Sequence[str]) -> bool:
    return bool(words) and sum(bool(_OUTAGE.search(w)) for w in words) > len(words) / 2

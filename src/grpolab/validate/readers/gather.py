"""From the columns of one table to codes and scores, one row per sample.

Lists of verdicts, lists of objects and one column per sample are unrolled here; a sample with an
error loses its verdict here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from grpolab.errors import UserError
from grpolab.theory.groups import FloatArray, IntArray
from grpolab.validate.readers.choose import NO_STEP, Roles
from grpolab.validate.readers.columns import (
    Codes,
    Column,
    Texts,
    encoded,
    joined,
    scores,
    texts_of,
    whole_numbers,
)
from grpolab.validate.readers.failures import failed_samples, without_doubt, without_errors
from grpolab.validate.readers.format import ChoiceNeeded, ReadOptions
from grpolab.validate.readers.frame import Frame
from grpolab.validate.readers.rivals import refuse_rivals
from grpolab.validate.readers.source import Remarks
from grpolab.validate.readers.unlike import refuse_unlike
from grpolab.validate.readers.unrolled import Table, outer_of, unrolled
from grpolab.validate.readers.words import PROBLEM, is_one_of

_MAYBE_NUMBER = ("iteration",)
"""Names of a step of training, or of the number of a sample."""
_ALONE = 0.5  # share of the samples without another one of the same problem and step


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
    row_groups: bool = False  # a group is a row of the file, not a column


def gather(frame: Frame, roles: Roles, options: ReadOptions, remarks: Remarks) -> Piece:
    """Read one table; UserError or ChoiceNeeded where its rows do not say one thing."""
    wanted = dict.fromkeys(
        outer_of(name)
        for name in (
            *roles.problem, *roles.score, *roles.group, roles.step, *roles.sample, *roles.errors,
            *roles.about,
            *roles.status, *roles.unset, roles.text, *roles.others,
            *(n for v in roles.verdicts for n in v),
        )
        if name is not None
    )  # fmt: skip
    required = [outer_of(n) for n in (*roles.problem, *roles.score, *roles.group, roles.step) if n]
    columns = frame.columns(tuple(wanted), required)
    rows = len(next(iter(columns.values())))
    if not rows:
        raise UserError(f"{frame.where}: holds no samples")
    table = Table(frame, columns, *unrolled(columns, roles, frame))
    problem, score = _problem(table, roles, remarks), _scores(table, roles)
    score = without_doubt(score, _words(table, roles), frame.where, options)
    refuse_rivals(table, roles, problem, score)
    refuse_unlike(table, roles, problem, options)
    group = joined([table.codes(n) for n in roles.group]) if roles.group else None
    row_groups = False
    outer = not any(name in table.inner for name in roles.problem)
    if group is None and table.parent is not None and outer and len(problem.values) < rows:
        group = Codes(table.parent, list(range(rows)))  # a row is a group where problems come again
        row_groups = True
    piece = Piece(
        problem=problem, score=score, place=table.place, group=group, step=_step(table, roles),
        text=_text(table, roles), numbers={n: table.codes(n) for n in roles.sample},
        others={n: table.codes(n) for n in roles.others}, label=roles.label,
        row_groups=row_groups,
    )  # fmt: skip
    if not len(piece.score):
        raise UserError(f"{frame.where}: holds no samples")
    _number_samples(piece, roles)
    failed = failed_samples(table, roles, score)
    if failed.any():
        piece.score = without_errors(score, failed, table, roles, options, remarks)
    return piece


def _number_samples(piece: Piece, roles: Roles) -> None:
    """Make a step that no problem has twice the number of the sample, unless it is called step."""
    if piece.step is None or piece.group is not None or not roles.problem:
        return
    if not is_one_of(roles.step or "", _MAYBE_NUMBER):
        return
    values, code = np.unique(piece.step, return_inverse=True)
    pairs = piece.problem.code * len(values) + code
    if len(values) > 1 and len(np.unique(pairs)) == len(pairs) > len(piece.problem.values):
        piece.numbers[str(roles.step)] = Codes(code, values.tolist())
        piece.step = None


def _scores(table: Table, roles: Roles) -> FloatArray:
    columns = _words(table, roles)
    if len(columns) == 1:
        return scores(columns[0], table.place)
    count = len(columns)
    found = [
        scores(column, lambda row, i=i: table.place(row * count + i))  # type: ignore[misc]
        for i, column in enumerate(columns)
    ]
    return np.stack(found, axis=1).reshape(-1)


def refuse_steps(piece: Piece, roles: Roles, options: ReadOptions, where: str) -> None:
    """ChoiceNeeded where steps would leave most samples of a problem alone."""
    if piece.step is None or piece.group is not None or options.step is not None:
        return
    values, code = np.unique(piece.step, return_inverse=True)
    if len(values) < 2 or len(piece.problem.code) < 2 * len(piece.problem.values):
        return
    _, size = np.unique(piece.problem.code * len(values) + code, return_counts=True)
    if np.count_nonzero(size == 1) <= _ALONE * len(piece.score):
        return
    raise ChoiceNeeded(
        where,
        f"{roles.step} has {len(values)} values, and most problems have one sample in each: steps"
        " of training, or samples of one policy?",
        option="step",
        value=f"{roles.step} (steps of training), or --step {NO_STEP} (samples of one policy)",
        choices=(str(roles.step), NO_STEP),
    )


def _words(table: Table, roles: Roles) -> list[Column]:
    """The columns of the score: one, or one per sample of a row."""
    if len(roles.score) == 1:
        name = roles.score[0]
        return [table.inner[name] if name in table.inner else table.columns[name]]
    return [table.columns[name] for name in roles.score]


def _step(table: Table, roles: Roles) -> IntArray | None:
    if roles.step is None:
        return None
    if roles.step in table.inner:
        return whole_numbers(table.inner[roles.step], name="step", place=table.place)
    found = whole_numbers(table.columns[roles.step], name="step", place=table.frame.place)
    return found if table.parent is None else found[table.parent]


def _text(table: Table, roles: Roles) -> Texts | None:
    if roles.text is None:
        return None
    if roles.text in table.inner:
        return texts_of(table.inner[roles.text])
    if table.parent is not None or outer_of(roles.text) != roles.text:
        return None  # one text for several samples
    return texts_of(table.columns[roles.text])


def _problem(table: Table, roles: Roles, remarks: Remarks) -> Codes:
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


def _group_as_problem(table: Table, roles: Roles, remarks: Remarks) -> Codes:
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

"""Tables as they are meant: lists that are written as texts, and one column per problem."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import chdtrc

from grpolab.errors import UserError
from grpolab.validate.readers.columns import Column, encoded
from grpolab.validate.readers.frame import Frame
from grpolab.validate.readers.verdict_words import number_of
from grpolab.validate.readers.words import (
    COMPLETION,
    NEUTRAL,
    POLICY,
    SAMPLE,
    SCORE,
    SEED,
    STEP,
    is_one_of,
    words_of,
)

COLUMNS, ROW = "columns", "row"
"""Values of ``--problem`` that are no column: every column is a problem, or every row is one."""
PROBLEM_NAME, SCORE_NAME = "problem_id", "correct"
_CHANCE, _MORE = 0.05, 10  # of rates that differ as much as these, and how much rarer than others
_LOOK = 400  # rows and columns of a matrix whose verdicts are compared
_LIST = re.compile(r"\s*[\[(].*[\])]\s*", re.DOTALL)
_MARKS = {"p": 1.0, "x": 0.0}
"""Marks that are no verdict where they are alone."""
Parser = Callable[[Any], list[Any] | None]
_PROBLEM_WORDS = frozenset((
    "q", "question", "problem", "prob", "p", "task", "item", "prompt", "example", "ex", "id",
    "puzzle", "exercise", "aime", "math", "gsm8k", "humaneval", "mbpp", "idx",
))  # fmt: skip


def list_of(text: Any) -> list[Any] | None:
    """The verdicts in a text such as ``[1, 0]``, ``[True False]`` or ``('pass', 'fail')``.

    >>> list_of("[True, False]"), list_of("[1 0 1]"), list_of('["pass"]'), list_of("[x, y]")
    (['True', 'False'], ['1', '0', '1'], ['pass'], None)
    """
    if not isinstance(text, str) or not _LIST.fullmatch(text):
        return None
    try:
        items = json.loads(text)
    except ValueError:
        inner = text.strip()[1:-1].strip()
        items = [part.strip(" '\"") for part in re.split(r"\s*,\s*|\s+", inner) if part]
    if not isinstance(items, list) or any(isinstance(i, list | dict) for i in items):
        return None
    known = all(i is None or number_of(str(i)) is not None for i in items)
    return items if known else None


def as_meant(frame: Frame) -> Frame:
    """The frame, with lists in place of texts that hold several verdicts in all first rows."""
    names = [n for n in frame.names if "." not in n and not is_one_of(n, COMPLETION)]
    values = {n: [row.get(n) for row in frame.head] for n in names}
    parsers: dict[str, Parser] = {n: list_of for n in names if _are_lists(values[n])}
    parsers |= {n: marks_of for n in names if _are_marks(n, values[n])}
    return ListedFrame(frame, parsers) if parsers else frame


def _are_lists(values: Sequence[Any]) -> bool:
    filled = [v for v in values if v not in (None, "")]
    found = [list_of(v) for v in filled]
    return (
        bool(found) and all(v is not None for v in found) and any(len(v or ()) > 1 for v in found)
    )


def marks_of(text: Any) -> list[float | None] | None:
    """The verdicts in a text of one mark per sample, such as ``0110`` or ``PFPP``.

    >>> marks_of("0110"), marks_of("PFP"), marks_of("P F"), marks_of("pass")
    ([0.0, 1.0, 1.0, 0.0], [1.0, 0.0, 1.0], None, None)
    """
    if not isinstance(text, str):
        return None
    marks = text.strip().replace("\ufe0f", "").lower()
    found = [_MARKS.get(mark, number_of(mark)) for mark in marks]
    return found if found and set(found) <= {0.0, 1.0} else None


def _are_marks(name: str, values: Sequence[Any]) -> bool:
    """Whether texts of a verdict hold one mark per sample: all equally long, of two kinds."""
    if not is_one_of(name, (*SCORE, "runs", "samples", "trials", "attempts", "passes")):
        return False
    texts = [v.strip().replace("\ufe0f", "") for v in values if isinstance(v, str) and v]
    kinds = {mark for text in texts for mark in text}
    same = len({len(text) for text in texts}) == 1 and len(texts[0]) > 2
    if not same or len(kinds) != 2 or None in map(marks_of, texts):
        return False
    return kinds != {"0", "1"} or any(text[0] == "0" for text in texts)


class ListedFrame:
    """A frame in which some columns of texts are lists."""

    def __init__(self, frame: Frame, parsers: Mapping[str, Parser]) -> None:
        self.frame, self.parsers = frame, dict(parsers)
        self.where, self.names = frame.where, frame.names

    @cached_property
    def head(self) -> list[dict[str, Any]]:
        """The first rows."""
        return [
            {k: self.parsers[k](v) if k in self.parsers else v for k, v in row.items()}
            for row in self.frame.head
        ]

    def columns(self, names: Sequence[str], required: Sequence[str] = ()) -> dict[str, Column]:
        """The columns, lists parsed."""
        found = self.frame.columns(names, required)
        return {n: self._parsed(n, c) if n in self.parsers else c for n, c in found.items()}

    def _parsed(self, name: str, column: Column) -> Column:
        code, values = encoded(column)
        lists = [self.parsers[name](v) for v in values]
        for i, value in enumerate(values):
            if lists[i] is None:
                row = code.tolist().index(i)
                raise UserError(f"{self.place(row)}: {name} must be a list, got {value!r:.40}")
        return [None if i < 0 else lists[i] for i in code.tolist()]

    def place(self, row: int) -> str:
        """Where a row stands."""
        return self.frame.place(row)


def problem_columns(names: Sequence[str], head: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The columns that hold verdicts, where all others say of which sample or policy a row is."""
    about = (*SAMPLE, *SEED, *POLICY, *STEP, *NEUTRAL, "index", "id", "", "Unnamed: 0")
    rest = [n for n in names if is_one_of(n, about)]
    found = [n for n in names if n not in rest]
    binary = all(_is_binary([row.get(n) for row in head]) for n in found)
    return tuple(found) if len(found) > 1 and binary and len(head) > 1 else ()


def are_called_problems(columns: Sequence[str]) -> bool:
    """Whether columns are called like problems and differ by a number: ``q1``, ``q2``."""
    stems = {re.sub(r"\d+", "#", n) for n in columns}
    words = [w for w in words_of("_".join(re.sub(r"#", "_", s) for s in stems)) if w]
    return len(stems) == 1 and "#" in next(iter(stems)) and not _PROBLEM_WORDS.isdisjoint(words)


def columns_differ(matrix: Sequence[Sequence[Any]]) -> bool:
    """Whether verdicts are alike within the columns rather than within the rows.

    Then a row is a sample of all problems, not a problem.

    >>> columns_differ([[1, 1, 0, 0, 1, 0] * 2] * 4), columns_differ([[1] * 9, [0] * 9])
    (True, False)
    """
    if len(matrix) < 2 or len({len(row) for row in matrix}) > 1 or len(matrix[0]) < 2:
        return False
    looked_at = [row[:_LOOK] for row in matrix[:_LOOK]]
    found = [[number_of(str(v)) if v is not None else None for v in row] for row in looked_at]
    values = np.array([[np.nan if v is None else v for v in row] for row in found])
    mean = float(np.nanmean(values)) if not np.all(np.isnan(values)) else 0.0
    if np.any(np.isnan(values)) or not 0 < mean < 1:
        return False
    chances = []
    for axis in (0, 1):  # of columns, and of rows, that differ as much as these
        rates = values.mean(axis=axis)
        spread = values.shape[axis] * float(np.sum((rates - mean) ** 2)) / (mean * (1 - mean))
        chances.append(float(chdtrc(len(rates) - 1, spread)))
    return chances[0] < _CHANCE and _MORE * chances[0] < chances[1]


def _is_binary(values: Sequence[Any]) -> bool:
    if any(isinstance(v, list | dict) for v in values):
        return False
    numbers = {number_of(str(v)) for v in values if v is not None}
    return {n for n in numbers if n is None or n == n} <= {0.0, 1.0}


class TurnedFrame:
    """A table with a row per sample and a column per problem, as one with a row per verdict."""

    def __init__(self, frame: Frame) -> None:
        self.frame, self.problems = frame, problem_columns(frame.names, frame.head)
        self.rest = tuple(n for n in frame.names if n not in self.problems)
        self.where = frame.where
        self.names = (PROBLEM_NAME, SCORE_NAME, *self.rest)

    @cached_property
    def head(self) -> list[dict[str, Any]]:
        """The first rows."""
        return [
            {PROBLEM_NAME: name, SCORE_NAME: row.get(name), **{n: row.get(n) for n in self.rest}}
            for row in self.frame.head[:10]
            for name in self.problems
        ]

    def columns(self, names: Sequence[str], required: Sequence[str] = ()) -> dict[str, Column]:
        """The columns of verdicts one below the other, and the others beside each verdict."""
        wanted = [n for n in self.rest if n in names]
        found = self.frame.columns((*self.problems, *wanted))
        lists = {n: c if isinstance(c, list) else c.to_pylist() for n, c in found.items()}
        rows = len(lists[self.problems[0]])
        turned: dict[str, Column] = {
            n: [value for value in lists[n] for _ in self.problems] for n in wanted
        }
        turned[PROBLEM_NAME] = list(self.problems) * rows
        turned[SCORE_NAME] = [lists[n][row] for row in range(rows) for n in self.problems]
        return turned

    def place(self, row: int) -> str:
        """Where the row of a verdict stands."""
        return self.frame.place(row // len(self.problems))


def turns(names: Sequence[str], head: Sequence[Mapping[str, Any]], problem: str | None) -> bool:
    """Whether every column is a problem, by their names or as the user says."""
    found = problem_columns(names, head)
    return bool(found) and (problem == COLUMNS or (problem is None and are_called_problems(found)))

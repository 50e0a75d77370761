"""Files that are still being written: read what is whole, come back for the rest."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from grpolab.errors import UserError
from grpolab.theory.groups import GroupCounts
from grpolab.validate.monitor.state import GroupTally, StepView, tally
from grpolab.validate.readers.source import lines
from grpolab.validate.readers.verdicts import ReadOptions

T = TypeVar("T")
_COPYING = 60.0  # seconds
Notes = dict[str, None]
"""Remarks in order, each once."""


class Source(Protocol):
    """Where the steps of a run come from."""

    @property
    def trainer(self) -> str:
        """Whose files these are."""
        ...

    def read(self, options: ReadOptions, notes: Notes) -> list[StepView]:
        """All whole steps on disk, in order; what was left out is noted."""
        ...


def json_lines(path: Path, notes: Notes) -> Iterator[dict[str, Any]]:
    """Objects of a JSON-lines file; a line that is cut off or broken is left out.

    A run that was killed in the middle of a line and resumed leaves such a line in the middle.
    """
    for number, text, ended in lines(path):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            if ended:
                notes[f"{path}:{number}: broken line, left out"] = None
            continue
        if isinstance(value, dict):
            yield value


def number_of(row: dict[str, Any], key: str) -> float | None:
    """A number of a row, None where there is none; NaN stays NaN."""
    value = row.get(key)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return None


def step_of(row: dict[str, Any]) -> int | None:
    """The step of a row, None where it has none."""
    value = number_of(row, "step")
    return None if value is None or value != value else int(value)


def last_branch(rows: Iterable[tuple[int, T]]) -> dict[int, T]:
    """Rows by step; a step written again ends what an earlier try wrote from there on.

    >>> last_branch([(1, "a"), (2, "b"), (3, "c"), (2, "d")])
    {1: 'a', 2: 'd'}
    """
    kept: dict[int, T] = {}
    for step, row in rows:
        while kept and next(reversed(kept)) >= step:
            kept.popitem()
        kept[step] = row
    return kept


def current(files: Iterable[tuple[int, Path]], notes: Notes) -> list[tuple[int, Path]]:
    """Files by step without those that an earlier try of a resumed run left behind.

    They are older than a file of an earlier step, by more than a copy of the folder takes.
    """
    kept, newest, left = [], 0.0, []
    for step, path in sorted(files):
        time_of = path.stat().st_mtime
        if time_of < newest - _COPYING:
            left.append(step)
        else:
            kept.append((step, path))
        newest = max(newest, time_of)
    if left:
        notes[f"files of steps {left[0]} to {left[-1]} are older than those of earlier steps: a"
              " resumed run has left them behind"] = None  # fmt: skip
    return kept


def at_rest(path: Path, *, seconds: float) -> bool:
    """Whether a file was left alone for that long."""
    return time.time() - path.stat().st_mtime >= seconds


class ReadOnce:
    """Results by file, taken again only when size or time of the file have changed."""

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[tuple[int, int], Any]] = {}

    def get(self, path: Path, load: Callable[[Path], T]) -> T:
        """``load(path)``, or what it returned for the same bytes before."""
        info = path.stat()
        mark = (info.st_mtime_ns, info.st_size)
        if self._seen.get(path, (None,))[0] != mark:
            self._seen[path] = (mark, load(path))
        result: T = self._seen[path][1]
        return result

    def has(self, path: Path) -> bool:
        """Whether the file was read as it stands."""
        info = path.stat()
        return self._seen.get(path, (None,))[0] == (info.st_mtime_ns, info.st_size)

    def put(self, path: Path, result: Any) -> None:
        """Keep a result that came about otherwise."""
        info = path.stat()
        self._seen[path] = ((info.st_mtime_ns, info.st_size), result)


def tally_steps(counts: GroupCounts) -> dict[int, GroupTally]:
    """The groups of every step of a table."""
    return {
        int(step): tally(counts.num_correct[rows], counts.group_size[rows])
        for step in np.unique(counts.step)
        for rows in [counts.step == step]
    }


def unseen(err: UserError) -> GroupTally | None:
    """A step without groups when a reader found no verdict at all, None for other errors."""
    return GroupTally(0, 0, num_unseen=1) if "no sample has a verdict" in str(err) else None


def note_error(err: UserError, notes: Notes, *, first: bool) -> None:
    """Note what is wrong with a file; raise it when none was read yet and the user must choose."""
    text = str(err).replace("--recorded-group-size", "--group-size")
    if first and any(option in text for option in ("--score", "--threshold", "--group-size")):
        raise UserError(text) from None
    notes[text] = None


def merge_steps(groups: dict[int, GroupTally], rows: dict[int, Any]) -> list[StepView]:
    """Steps in order, with groups, metrics (`StepMetrics`), or both."""
    return [
        StepView(step, groups.get(step), *([rows[step]] if step in rows else []))
        for step in sorted({*groups, *rows})
    ]

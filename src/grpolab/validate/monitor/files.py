"""Files that are still being written: read what is whole, come back for the rest.

Every trainer has a module with one `Trainer`; `grpolab.validate.monitor.follow` holds the list.
"""

from __future__ import annotations

import functools
import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from grpolab.errors import UserError
from grpolab.store import BrokenLine, json_lines
from grpolab.validate.monitor.contrast import Contrast, group_signal
from grpolab.validate.monitor.scalars import number
from grpolab.validate.monitor.state import GroupTally, StepView, tally
from grpolab.validate.readers.format import (
    ChoiceNeeded,
    Format,
    NoVerdicts,
    Option,
    ReadOptions,
    flag_of,
)

T = TypeVar("T")
_COPYING = 60.0  # seconds
Notes = dict[str, None]
"""Remarks in order, each once."""
_FLAGS: dict[Option, str] = {"group_size": "--group-size"}
"""Flags of ``grpolab monitor`` that differ from those of ``grpolab audit``."""


class Plan(NamedTuple):
    """How far a run is to go, as its files tell it.

    ``steps`` is the number of training steps, None where it is not known; ``end`` says by what the
    trainer has marked its end, and is empty where it has not.
    """

    steps: int | None = None
    end: str = ""


class Source(Protocol):
    """Where the steps of a run come from."""

    @property
    def trainer(self) -> str:
        """Whose files these are."""
        ...

    def read(self, options: ReadOptions, notes: Notes) -> list[StepView]:
        """All whole steps on disk, in order; what was left out is noted."""
        ...

    def plan(self) -> Plan:
        """How far the run is to go, as known since the last `read`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Trainer:
    """One trainer whose runs can be followed.

    ``name`` stands in results, ``tool`` in texts. ``files`` says what is read and ``needs`` what
    the run must be told to write (Markdown). ``find`` takes a folder and the number of groups per
    step, if that is known, and returns the run in the folder, or None.
    """

    name: str
    tool: str
    files: str
    needs: str
    find: Callable[[Path, int | None], Source | None]


def log_rows(path: Path, notes: Notes) -> Iterator[dict[str, Any]]:
    """Rows of a log that grows line by line.

    A last line that is cut off is read when it is whole. A run that was killed in the middle of a
    line and resumed leaves a broken one in the middle, which is noted.
    """

    def leave_out(err: BrokenLine) -> None:
        if not err.cut_off:
            notes[f"{err.path}:{err.number}: broken line, left out"] = None

    for _, row in json_lines(path, leave_out):
        yield row


def number_of(row: dict[str, Any], key: str) -> float | None:
    """A number of a row, None where there is none; NaN stays NaN."""
    value = row.get(key)
    return None if value is None else number(value)


def step_of(row: dict[str, Any]) -> int | None:
    """The step of a row, None where it has none."""
    value = number_of(row, "step")
    return None if value is None or not math.isfinite(value) else int(value)


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


class FileGroups(NamedTuple):
    """What one file says of its step: the groups, if there are any, or why it cannot be read."""

    groups: GroupTally | None = None
    problem: UserError | None = None
    contrast: Contrast = Contrast()


def file_groups(
    path: Path, format: Format, step: int, options: ReadOptions, *, context: Sequence[Path] = ()
) -> FileGroups:
    """The groups of one step in the rollouts of its file.

    ``context`` are files that a format needs to see which rows are new; then only the rows of
    ``step`` count. A file without any verdict is a step that was not seen.
    """
    unseen = FileGroups(GroupTally(0, 0, num_unseen=1))
    try:
        reading = format.reading([*context, path], options)
    except NoVerdicts:
        return unseen
    except UserError as err:
        return FileGroups(problem=err)
    if reading.cut_off:
        return FileGroups(problem=UserError(f"{path}: the last line is cut off; file left out"))
    if reading.samples is not None:
        groups, contrast = group_signal(reading.samples, step if context else None)
        return FileGroups(groups, contrast=contrast)
    counts = reading.counts
    rows = counts.step == step if context else slice(None)
    correct, size = counts.num_correct[rows], counts.group_size[rows]
    if len(size):
        return FileGroups(tally(correct, size))
    return unseen if counts.provenance.num_missing else FileGroups()


def dumped_groups(
    files: list[tuple[int, Path]],
    format: Format,
    options: ReadOptions,
    notes: Notes,
    kept: ReadOnce,
    *,
    rest: float,
) -> dict[int, GroupTally]:
    """Groups by step from one file of rollouts per step.

    The newest file may still grow, so it must have been left alone for ``rest`` seconds.
    """
    found: dict[int, GroupTally] = {}
    seen, problems = Contrast(), Problems()
    for step, path in files:
        if path == files[-1][1] and not at_rest(path, seconds=rest):
            continue
        load = functools.partial(file_groups, format=format, step=step, options=options)
        groups, problem, contrast = kept.get(path, load)
        if groups is not None:
            found[step] = groups
        seen = seen.plus(contrast)
        if problem is not None:
            problems.add(path, problem, first=not found)
    problems.note(notes)
    notes.update(dict.fromkeys(seen.remarks()))
    return found


class Problems:
    """Files that could not be read; those of one kind are one note with their number."""

    def __init__(self) -> None:
        self._alike: dict[str, list[str]] = {}

    def add(self, path: Path, problem: UserError, *, first: bool) -> None:
        """Keep a file's problem; raise it when no file was read yet and the user must choose."""
        if isinstance(problem, ChoiceNeeded):
            problem = problem.with_flag(_FLAGS.get(problem.option, flag_of(problem.option)))
            if first:
                raise problem
        text = str(problem)
        kind = re.sub(r"\d+", "#", text.replace(str(path), ""))
        self._alike.setdefault(kind, []).append(text)

    def note(self, notes: Notes) -> None:
        """One note per kind."""
        for texts in self._alike.values():
            more = f" (and {len(texts) - 1} more files alike)" if len(texts) > 1 else ""
            notes[texts[0] + more] = None


def merge_steps(groups: dict[int, GroupTally], rows: dict[int, Any]) -> list[StepView]:
    """Steps in order, with groups, metrics (`StepMetrics`), or both."""
    return [
        StepView(step, groups.get(step), *([rows[step]] if step in rows else []))
        for step in sorted({*groups, *rows})
    ]

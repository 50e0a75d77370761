"""Rows of a file, whatever they are packed in, and the first look that tells formats apart.

Every error names file and line. JSON lines are read by `grpolab.store.json_lines`: a last line that
is cut off is left out and counted, any other broken line is an error.
"""

from __future__ import annotations

import contextlib
import csv
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from grpolab.errors import UserError, first_line
from grpolab.packed import (
    decoded,
    not_utf8,
    open_bytes,
    parquet_batches,
    raw_lines,
    read_document,
)
from grpolab.store import BrokenLine, json_lines
from grpolab.validate.readers.arrays import arrow_table, is_numpy_archive, numpy_value
from grpolab.validate.readers.drawn import (
    AS_PRINTED,
    drawn_tables,
    is_boxed,
    is_drawn,
    verdict_line,
    verdict_matrix,
)
from grpolab.validate.readers.foreign import YAML, refuse_foreign
from grpolab.validate.readers.words import PROBLEM, TEXT_OF_PROBLEM, WEAK, find

_DELIMITERS = (",", "\t", ";", "|")
_TEXTS = (".md", ".markdown", ".mdx", ".rst", ".txt", ".org")
"""Endings of texts in which a table may stand below some lines."""
_BINARY = (
    (b"PAR1", "parquet"), (b"ARROW1", "arrow"), (b"\xff\xff\xff\xff", "arrow"),
    (b"\x93NUMPY", "numpy"),
)  # fmt: skip
PLAIN = ("arrow", "numpy", "drawn", "matrix")
"""Kinds of files that hold plain tables only."""
_SEPARATOR_LINE = re.compile(r"\"?sep=.\"?", re.IGNORECASE)
"""What Excel writes above the column names."""


@dataclass(slots=True)
class Remarks:
    """What a reader left out or assumed; ``cut_off`` counts files with an incomplete last line."""

    notes: list[str] = field(default_factory=list)
    cut_off: int = 0
    _of: dict[str, list[str]] = field(default_factory=dict)

    def add(self, note: str) -> None:
        """Add a sentence for the user."""
        self.notes.append(note)

    def add_of(self, where: object, note: str) -> None:
        """Add a sentence about one of several files; the same of many files is one note."""
        self._of.setdefault(note, []).append(str(where))

    def said(self) -> tuple[str, ...]:
        """All notes, those of several files with their number.

        >>> remarks = Remarks()
        >>> for name in ("a.jsonl", "b.jsonl", "c.jsonl"):
        ...     remarks.add_of(name, "no advantages")
        >>> remarks.said()
        ('a.jsonl and 2 more: no advantages',)
        """
        many = (
            f"{files[0]}{f' and {len(files) - 1} more' if len(files) > 1 else ''}: {note}"
            for note, files in self._of.items()
        )
        return (*self.notes, *many)

    def leave_out(self, err: BrokenLine) -> None:
        """Count a line that is cut off; raise the error for any other."""
        if not err.cut_off:
            raise err
        self.cut_off += 1
        self.add(f"{err.path}: last line ({err.number}) is cut off and was left out")


def _text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Line numbers and text of all lines that are not blank."""
    for number, raw in raw_lines(path):
        try:
            text = decoded(raw, first=number == 1)
        except UnicodeDecodeError as err:
            raise UserError(f"{path}:{number}: {not_utf8(raw, err.reason)}") from None
        if "\0" in text:
            raise UserError(f"{path}:{number}: {not_utf8(raw)}")
        if text.strip():
            yield number, text


# what the standard library and pyarrow raise on records and archives of the wrong shape
_WRONG_SHAPE = (
    KeyError, TypeError, AttributeError, ValueError, IndexError, OverflowError, OSError, EOFError,
    RuntimeError, csv.Error, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@contextlib.contextmanager
def located(where: str) -> Iterator[None]:
    """Turn what a record of the wrong shape does to the code that reads it into a UserError."""
    try:
        yield
    except _WRONG_SHAPE as err:
        raise UserError(f"{where}: not a valid record ({first_line(err)})") from None


def records(path: Path, remarks: Remarks) -> Iterator[tuple[int, dict[str, Any]]]:
    """Objects of a JSON-lines file with their line numbers; a line that is cut off is remarked."""
    return json_lines(path, remarks.leave_out)


def document(path: Path) -> Any:
    """The one JSON value that a file holds."""
    try:
        with open_bytes(path) as stream:
            raw = read_document(stream, path)
        return json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as err:
        raise UserError(f"{path}: {not_utf8(raw, err.reason)}") from None
    except (ValueError, RecursionError) as err:
        raise UserError(f"{path}: not valid JSON ({first_line(err)})") from None
    except (OSError, EOFError) as err:
        raise UserError(f"{path}: cannot be read to its end ({first_line(err)})") from None


def csv_header(path: Path) -> tuple[list[str], str]:
    """Column names of a csv file, and what separates them."""
    lines = _text_lines(path)
    found = _header(path, next(lines, (0, ""))[1])
    if found[0][:1] and found[0][0].startswith("#"):
        _refuse_comment(path, found, next(lines, (0, ""))[1])
    return found


def _refuse_comment(path: Path, header: tuple[list[str], str], second: str) -> None:
    """UserError where a first line that begins with # is no header of the second."""
    columns, delimiter = header
    cells = second.strip().split(delimiter)
    names = find((*PROBLEM, *WEAK, *TEXT_OF_PROBLEM), cells) is not None
    if second.startswith("#") or names or len(cells) != len(columns):
        raise UserError(
            f"{path}:1: a comment where the column names should be; leave such lines out with"
            " grep -v '^#' OLD > NEW"
        )


OF_R = "save it with write.csv(TABLE, NAME, row.names = FALSE)"
"""What to do in R, whose ``write.table`` writes no name for the column of row names."""


def no_table(line: str, second: str) -> str:
    """Why a text file without a separator in its first line is no table, and what to do.

    >>> no_table("id correct", "q0 1").partition(":")[0]
    'columns are separated by blanks'
    """
    if line.startswith("#"):
        return "the first line is a comment; leave such lines out with grep -v '^#' OLD > NEW"
    if is_boxed(line):
        return AS_PRINTED
    if line.strip() == "---":
        return YAML
    words = len(line.split())
    if words > 1 and line.startswith('"') and len(second.split()) == words + 1:
        return f"columns are separated by blanks, with row names: {OF_R}"
    if words > 1 and line.startswith(" ") and len(second.split()) == words + 1:
        return AS_PRINTED
    if words > 1 and len(second.split()) == words:
        return "columns are separated by blanks: convert it with tr -s ' ' ',' < OLD > NEW"
    if any(mark in second for mark in _DELIMITERS):
        return (
            f"the first line ({line.strip()!r:.40}) holds no column names; leave out the lines"
            " above them, with tail -n +LINE OLD > NEW"
        )
    return "format not recognised: neither JSON, csv with a header, parquet nor a log"


def _header(path: Path, line: str) -> tuple[list[str], str]:
    if _SEPARATOR_LINE.fullmatch(line.strip()):
        raise UserError(
            f"{path}:1: {line.strip()} stands where the column names should be; leave it out with"
            " tail -n +2 OLD > NEW"
        )
    if "\r" in line.rstrip("\r\n") and not line.endswith("\n"):
        raise UserError(
            f"{path}:1: lines end with a carriage return alone; convert it with"
            " tr '\\r' '\\n' < OLD > NEW"
        )
    bare = re.sub(r'"[^"]*"', "", line)  # a name in quotes may hold any mark
    delimiter = max(_DELIMITERS, key=bare.count)
    with located(f"{path}:1"):
        columns = next(csv.reader([line.strip("\r\n")], delimiter=delimiter), [])
    if len(set(columns)) != len(columns):
        raise UserError(f"{path}:1: {_not_unique(columns)}")
    return columns, delimiter


def is_number(text: str) -> bool:
    """Whether a name is a number, as it is where data stand in the place of names."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _not_unique(columns: list[str]) -> str:
    """What a first line with equal fields is, and what to do with it.

    >>> _not_unique(["Results", "", ""]).partition(";")[0]
    "the first line ('Results') holds no column names"
    """
    filled = [c for c in columns if c.strip()]
    if any(is_number(c) for c in filled):
        return "the first line holds data, not column names; add a line such as problem_id,correct"
    if len(filled) < len(columns) / 2 and len(set(filled)) == len(filled):
        return (
            f"the first line ({filled[0] if filled else ''!r:.40}) holds no column names; leave out"
            " the lines above them, with tail -n +2 OLD > NEW"
        )
    twice = next(c for c in columns if columns.count(c) > 1)
    return (
        f"column names are not unique ({twice!r:.40}); where they stand in two lines, as pandas"
        " writes those of pivot and agg, join them before to_csv: df.columns ="
        " df.columns.map(lambda c: '_'.join(map(str, c)))"
    )


def csv_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a file with a header, separated by commas, tabs or semicolons, with line numbers."""
    place = 0

    def feed() -> Iterator[str]:
        nonlocal place
        for number, line in _text_lines(path):
            place = number
            yield line

    text = feed()
    columns, delimiter = _header(path, next(text, ""))
    reader = csv.reader(text, delimiter=delimiter)
    try:
        for row in reader:
            if len(row) != len(columns):
                of_r = f"; if R wrote it, {OF_R}" if len(row) == len(columns) + 1 else ""
                fields = f"{len(row)} fields, but {len(columns)} columns{of_r}"
                raise UserError(f"{path}:{place}: {fields}")
            yield place, dict(zip(columns, row, strict=True))
    except csv.Error as err:
        raise UserError(f"{path}:{place}: {err}") from None


def parquet_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a parquet file as plain objects."""
    try:
        return [row for batch in parquet_batches(path) for row in batch.to_pylist()]
    except (OSError, ValueError) as err:
        raise UserError(f"{path}: not a parquet file ({first_line(err)})") from None


@dataclass(frozen=True)
class Sample:
    """A first look at a file: how it is written and which keys its first record has."""

    path: Path

    @cached_property
    def kind(self) -> str:
        """'jsonl', 'json', 'csv', 'unknown', or one of those that are told by their first bytes.

        These are 'parquet', 'arrow', 'numpy', 'xlsx' and 'zip'; 'drawn' and 'matrix' are tables of
        text without a header that a machine reads.
        """
        with self.path.open("rb") as handle:
            head = handle.read(6)
        packed = next((kind for start, kind in _BINARY if head.startswith(start)), None)
        if packed is not None:
            return packed
        refuse_foreign(self.path)
        if head[:2] == b"PK" and zipfile.is_zipfile(self.path):
            with zipfile.ZipFile(self.path) as archive:
                names = archive.namelist()
            if is_numpy_archive(names):
                return "numpy"
            return "xlsx" if "xl/workbook.xml" in names else "zip"
        text = self._first_line.lstrip("\ufeff \t")
        if text[:1] not in ("{", "["):
            return self._kind_of_text(text)
        if text.startswith("["):
            return "json"
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return "json" if text.strip() == "{" or self._parses_whole else "jsonl"
        return "jsonl"

    def _kind_of_text(self, first: str) -> str:
        marked = any(mark in first for mark in _DELIMITERS)
        if is_drawn(self.path, text_above=not marked or self.path.suffix in _TEXTS):
            return "drawn"
        if all(verdict_line(line) for line in self.first_lines):
            return "matrix"
        return "csv" if marked else "unknown"

    @property
    def is_document(self) -> bool:
        """True when the file is one JSON value, be it on one line or on many."""
        return self.kind == "json" or (self.kind == "jsonl" and self._one_line)

    @cached_property
    def _parses_whole(self) -> bool:
        try:
            document(self.path)
        except UserError:
            return False
        return True

    @cached_property
    def _first_line(self) -> str:
        return self.first_lines[0]

    @cached_property
    def first_lines(self) -> tuple[str, str]:
        """The first two lines that are not blank."""
        filled = (raw for _, raw in raw_lines(self.path) if raw.strip())
        first, second = next(filled, b""), next(filled, b"")
        return first.decode("utf-8", errors="replace"), second.decode("utf-8", errors="replace")

    @cached_property
    def _one_line(self) -> bool:
        filled = (number for number, raw in raw_lines(self.path) if raw.strip())
        return next(filled, None) is not None and next(filled, None) is None

    @cached_property
    def head(self) -> Any:
        """The whole value of a JSON document, the first record of anything else."""
        if self.kind == "json":
            return document(self.path)
        if self.kind == "jsonl":
            return next((value for _, value in records(self.path, Remarks())), {})
        if self.kind == "csv":
            return next((row for _, row in csv_rows(self.path)), {})
        if self.kind == "drawn":
            return drawn_tables(self.path)[0][1]
        if self.kind == "matrix":
            return verdict_matrix(self.path)
        return numpy_value(self.path) if self.kind == "numpy" else {}

    @cached_property
    def keys(self) -> frozenset[str]:
        """Column names, keys of the first record, or top-level keys of a document."""
        if self.kind == "parquet":
            import pyarrow.parquet as pq

            try:
                with self.path.open("rb") as file:
                    return frozenset(pq.read_schema(file).names)
            except (OSError, ValueError) as err:
                raise UserError(f"{self.path}: not a parquet file ({first_line(err)})") from None
        if self.kind == "csv":
            return frozenset(csv_header(self.path)[0])
        if self.kind == "arrow":
            return frozenset(arrow_table(self.path).column_names)
        first = self.head
        if isinstance(first, list):
            first = first[0] if first else {}
        return frozenset(first) if isinstance(first, dict) else frozenset()

    def has(self, *names: str) -> bool:
        """True when every name is among the keys."""
        return self.keys.issuperset(names)

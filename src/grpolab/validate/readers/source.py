"""Rows of a file, whatever they are packed in, and the first look that tells formats apart.

Every error names file and line. JSON lines are read by `grpolab.store.json_lines`: a last line that
is cut off is left out and counted, any other broken line is an error.
"""

from __future__ import annotations

import contextlib
import csv
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from grpolab.errors import UserError, first_line
from grpolab.store import BrokenLine, decoded, json_lines, open_bytes, raw_lines, read_document
from grpolab.theory.groups import FloatArray, IntArray

_DELIMITERS = (",", "\t", ";")


@dataclass(slots=True)
class Remarks:
    """What a reader left out or assumed; ``cut_off`` counts files with an incomplete last line."""

    notes: list[str] = field(default_factory=list)
    cut_off: int = 0

    def add(self, note: str) -> None:
        """Add a sentence for the user."""
        self.notes.append(note)

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
            raise UserError(f"{path}:{number}: not UTF-8 text ({err.reason})") from None
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
            return json.loads(read_document(stream, path).decode("utf-8-sig"))
    except UnicodeDecodeError as err:
        raise UserError(f"{path}: not UTF-8 text ({err.reason})") from None
    except (ValueError, RecursionError) as err:
        raise UserError(f"{path}: not valid JSON ({first_line(err)})") from None
    except (OSError, EOFError) as err:
        raise UserError(f"{path}: cannot be read to its end ({first_line(err)})") from None


def _header(path: Path, line: str) -> tuple[list[str], str]:
    """Column names of a csv file, and what separates them."""
    delimiter = max(_DELIMITERS, key=line.count)
    with located(f"{path}:1"):
        columns = next(csv.reader([line.strip("\r\n")], delimiter=delimiter), [])
    if len(set(columns)) != len(columns):
        raise UserError(f"{path}:1: column names are not unique")
    return columns, delimiter


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
                raise UserError(f"{path}:{place}: {len(row)} fields, but {len(columns)} columns")
            yield place, dict(zip(columns, row, strict=True))
    except csv.Error as err:
        raise UserError(f"{path}:{place}: {err}") from None


def parquet_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a parquet file as plain objects."""
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as file:  # pyarrow takes no name that is not UTF-8
            rows: list[dict[str, Any]] = pq.read_table(file).to_pylist()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, ValueError) as err:
        raise UserError(f"{path}: not a parquet file ({first_line(err)})") from None
    return rows


@dataclass(frozen=True)
class Sample:
    """A first look at a file: how it is written and which keys its first record has."""

    path: Path

    @cached_property
    def kind(self) -> str:
        """'parquet', 'zip', 'jsonl', 'json', 'csv' or 'unknown'."""
        with self.path.open("rb") as handle:
            head = handle.read(4)
        if head == b"PAR1":
            return "parquet"
        if head[:2] == b"PK" and zipfile.is_zipfile(self.path):
            return "zip"
        text = self._first_line.lstrip("\ufeff \t")
        if text[:1] not in ("{", "["):
            return "csv" if any(mark in text for mark in _DELIMITERS) else "unknown"
        if text.startswith("["):
            return "json"
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return "json" if text.strip() == "{" or self._parses_whole else "jsonl"
        return "jsonl"

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
        raw = next((raw for _, raw in raw_lines(self.path) if raw.strip()), b"")
        return raw.decode("utf-8", errors="replace")

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
        return {}

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
            return frozenset(_header(self.path, next(_text_lines(self.path), (0, ""))[1])[0])
        first = self.head
        if isinstance(first, list):
            first = first[0] if first else {}
        return frozenset(first) if isinstance(first, dict) else frozenset()

    def has(self, *names: str) -> bool:
        """True when every name is among the keys."""
        return self.keys.issuperset(names)


def table_rows(sample: Sample, remarks: Remarks) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows of a JSON-lines, csv, parquet or JSON file as objects, with line or row numbers."""
    if sample.kind == "jsonl":
        yield from records(sample.path, remarks)
    elif sample.kind == "csv":
        yield from csv_rows(sample.path)
    elif sample.kind == "parquet":
        yield from enumerate(parquet_rows(sample.path), start=1)
    else:
        value = document(sample.path)
        items = value if isinstance(value, list) else [value]
        for number, item in enumerate(items, start=1):
            if not isinstance(item, dict):
                raise UserError(f"{sample.path}: item {number} is not an object")
            yield number, item


_BLOCK = 2**24


class Columns(NamedTuple):
    """Problem codes [R] with their names, scores [R], and further columns as codes [R]."""

    problem: IntArray
    names: list[Any]
    score: FloatArray
    others: dict[str, IntArray]


def read_columns(
    path: Path, *, first: dict[str, Any], problem: str, score: str, others: tuple[str, ...] = ()
) -> Columns | None:
    """Columns of a JSON-lines file, or None where a plain reader has to look at every line.

    ``first`` is the first record; its types are demanded of all others.
    """
    import pyarrow as pa
    import pyarrow.json as pj

    types = {bool: pa.bool_(), int: pa.float64(), float: pa.float64()}
    keys = {str: pa.string(), int: pa.int64()}
    score_type = types.get(type(first.get(score)))
    key_types = {name: keys.get(type(first.get(name))) for name in (problem, *others)}
    if score_type is None or None in key_types.values():
        return None
    schema = pa.schema([(score, score_type), *key_types.items()])
    parse = pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    try:
        with open_bytes(path) as stream:
            table = pj.read_json(
                stream, read_options=pj.ReadOptions(block_size=_BLOCK), parse_options=parse
            )
        table.validate(full=True)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError):
        return None
    if any(table[name].null_count for name in schema.names):
        return None
    codes, names = _encode(table[problem])
    scores = table[score].cast(pa.float64()).to_numpy()
    if not np.all(np.isfinite(scores)):
        return None
    return Columns(codes, names, scores, {name: _encode(table[name])[0] for name in others})


def _encode(column: Any) -> tuple[IntArray, list[Any]]:
    """Codes and values of a string or integer column."""
    packed = column.combine_chunks().dictionary_encode()
    return packed.indices.to_numpy().astype(np.int64), packed.dictionary.to_pylist()

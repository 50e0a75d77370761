"""One table, whatever it is packed in: its columns are read when they are asked for.

Parquet, csv and JSON lines are read by Arrow, column by column, and nothing but the wanted columns
is kept. Where Arrow gives up (types that change from row to row, a broken line), the plain reader
walks the rows: it reads them, or names the line at fault.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from grpolab.errors import UserError, first_line
from grpolab.packed import arrow_block, open_arrow, open_parquet, raw_lines
from grpolab.validate.readers.columns import Column
from grpolab.validate.readers.later_keys import later_keys
from grpolab.validate.readers.nested import (
    holds,
    inside,
    names_of,
    schema_names,
    schema_of,
    split_name,
    value_at,
)
from grpolab.validate.readers.source import Remarks, csv_header, csv_rows, records

_HEAD = 100  # rows of the first look


class Frame(Protocol):
    """A table with named columns."""

    @property
    def where(self) -> str:
        """How messages call the table."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Columns; a value inside an object has a dotted name."""
        ...

    @property
    def head(self) -> list[dict[str, Any]]:
        """The first rows."""
        ...

    def columns(self, names: Sequence[str], required: Sequence[str] = ()) -> dict[str, Column]:
        """The named columns, all of one length; UserError where a row lacks a required one."""
        ...

    def place(self, row: int) -> str:
        """Where a row stands, counted from 0."""
        ...


class RowsFrame:
    """Rows of a JSON document, a sheet or Python objects, in memory."""

    def __init__(
        self,
        rows: Sequence[Mapping[str, Any]],
        where: str,
        *,
        unit: str = ": item ",
        first: int = 1,
        numbers: Sequence[int] | None = None,
    ) -> None:
        self.rows = rows
        self.where = where
        self._unit, self._first, self._numbers = unit, first, numbers

    @property
    def head(self) -> list[dict[str, Any]]:
        """The first rows."""
        return [dict(row) for row in self.rows[:_HEAD]]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Keys of the rows, dotted inside objects."""
        return names_of(self.rows)

    def columns(self, names: Sequence[str], required: Sequence[str] = ()) -> dict[str, Column]:
        """Lists of JSON values."""
        for number, row in enumerate(self.rows):
            for name in required:
                if not holds(row, name):
                    raise UserError(f"{self.place(number)}: no {name!r} in this row")
        return {name: [value_at(row, name) for row in self.rows] for name in names}

    def place(self, row: int) -> str:
        """The item of the document."""
        number = row + self._first if self._numbers is None else self._numbers[row]
        return f"{self.where}{self._unit}{number}"


class LinesFrame:
    """JSON lines."""

    def __init__(self, path: Path, remarks: Remarks, *, thorough: bool = False) -> None:
        self.path, self.remarks, self._thorough = path, remarks, thorough
        self._lines: list[int] | None = None

    @property
    def where(self) -> str:
        """The file."""
        return str(self.path)

    @cached_property
    def head(self) -> list[dict[str, Any]]:
        """The first rows."""
        return [row for _, row in itertools.islice(records(self.path, Remarks()), _HEAD)]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Keys of the first rows, dotted inside objects; all of some kinds where thorough."""
        first = names_of(self.head)
        later = later_keys(self.path) if self._thorough else []
        return (*first, *(name for name in later if name not in first))

    def columns(self, names: Sequence[str], required: Sequence[str] = ()) -> dict[str, Column]:
        """By Arrow, or row by row where the types change."""
        found = self._by_arrow(names)
        if found is None:
            return self._row_by_row(names, required)
        empty = [n for n in required if found[n].null_count]
        if empty:
            self._check(found, empty)
        return found

    def _by_arrow(self, names: Sequence[str]) -> dict[str, Column] | None:
        import pyarrow as pa
        import pyarrow.json as pj

        schema = schema_of(self.head, names)
        if schema is None or not schema:
            return None
        parse = pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
        try:
            options = pj.ReadOptions(block_size=arrow_block(self.path))
            with open_arrow(self.path) as stream:
                table = pj.read_json(stream, read_options=options, parse_options=parse)
            table.validate(full=True)
            return {name: inside(table, name) for name in names}
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, KeyError):
            return None

    def _check(self, found: Mapping[str, Any], names: Sequence[str]) -> None:
        """A null is a value that is not there; a key that is absent is a fault of the row."""
        import numpy as np

        empty = {n: ~found[n].is_valid().to_numpy() for n in names}
        some = np.any(list(empty.values()), axis=0)
        filled = (pair for pair in raw_lines(self.path) if pair[1].strip())
        for row, (number, raw) in enumerate(filled):
            if row < len(some) and some[row]:
                value = json.loads(raw.decode("utf-8-sig"))
                for name in names:
                    if not holds(value, name):
                        raise UserError(f"{self.path}:{number}: no {name!r} in this row")

    def _row_by_row(self, names: Sequence[str], required: Sequence[str]) -> dict[str, Column]:
        found: dict[str, list[Any]] = {name: [] for name in names}
        lines = []
        remarks = Remarks() if self._lines is not None else self.remarks
        for number, row in records(self.path, remarks):
            for name in required:
                if not holds(row, name):
                    raise UserError(f"{self.path}:{number}: no {name!r} in this row")
            for name, values in found.items():
                values.append(value_at(row, name))
            lines.append(number)
        self._lines = lines
        return dict(found)

    def place(self, row: int) -> str:
        """The line of the file."""
        if self._lines is None:
            filled = (number for number, raw in raw_lines(self.path) if raw.strip())
            return f"{self.path}:{next(itertools.islice(filled, row, None), row + 1)}"
        return f"{self.path}:{self._lines[row]}"


class CsvFrame:
    """A file with a header, separated by commas, tabs or semicolons."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: list[int] | None = None

    @property
    def where(self) -> str:
        """The file."""
        return str(self.path)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Columns of the header."""
        return tuple(csv_header(self.path)[0])

    @cached_property
    def head(self) -> list[dict[str, Any]]:
        """The first rows, all values as text."""
        return [dict(row) for _, row in itertools.islice(csv_rows(self.path), _HEAD)]

    def columns(self, names: Sequence[str], required: Sequence[str] = ()) -> dict[str, Column]:
        """Texts, dictionary-encoded."""
        found = self._by_arrow(names)
        if found is not None:
            return found
        rows: list[dict[str, str]] = []
        self._lines = []
        for number, row in csv_rows(self.path):
            self._lines.append(number)
            rows.append({name: row[name] for name in names})
        return {name: [row[name] for row in rows] for name in names}

    def _by_arrow(self, names: Sequence[str]) -> dict[str, Column] | None:
        import pyarrow as pa
        import pyarrow.csv as pc

        columns, delimiter = csv_header(self.path)
        if any(name not in columns for name in names):
            return None
        kind = pa.dictionary(pa.int32(), pa.string())
        convert = pc.ConvertOptions(
            include_columns=list(names), column_types=dict.fromkeys(names, kind),
            strings_can_be_null=False,
        )  # fmt: skip
        try:
            with open_arrow(self.path) as stream:
                table = pc.read_csv(
                    stream,
                    read_options=pc.ReadOptions(block_size=arrow_block(self.path)),
                    parse_options=pc.ParseOptions(delimiter=delimiter, newlines_in_values=True),
                    convert_options=convert,
                )
            table.validate(full=True)
        except (pa.ArrowInvalid, pa.ArrowKeyError, pa.ArrowNotImplementedError, OSError):
            return None
        return {name: table[name] for name in names}

    def place(self, row: int) -> str:
        """The line of the file."""
        if self._lines is None or row >= len(self._lines):
            self._lines = [number for number, _ in itertools.islice(csv_rows(self.path), row + 1)]
        return f"{self.path}:{self._lines[row]}"


class ParquetFrame:
    """A parquet file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def where(self) -> str:
        """The file."""
        return str(self.path)

    @cached_property
    def _file(self) -> Any:
        return open_parquet(self.path, read_dictionary=True)

    @cached_property
    def head(self) -> list[dict[str, Any]]:
        """The first rows."""
        import pyarrow as pa

        try:
            batch = next(self._file.iter_batches(batch_size=_HEAD), None)
            return [] if batch is None else [dict(row) for row in batch.to_pylist()]
        except (OSError, ValueError, pa.ArrowException) as err:
            raise UserError(f"{self.path}: not a parquet file ({first_line(err)})") from None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Columns of the schema, dotted inside structures."""
        return schema_names(self._file.schema_arrow)

    def columns(self, names: Sequence[str], required: Sequence[str] = ()) -> dict[str, Column]:
        """The named columns, strings as dictionaries."""
        import pyarrow as pa

        own = set(self._file.schema_arrow.names)
        wanted = list(dict.fromkeys(split_name(n, own)[0] for n in names))
        try:
            table = self._file.read(columns=wanted)
            return {name: inside(table, name) for name in names}
        except (OSError, ValueError, KeyError, pa.ArrowException) as err:
            raise UserError(f"{self.path}: not a parquet file ({first_line(err)})") from None

    def place(self, row: int) -> str:
        """The row of the table."""
        return f"{self.path}:{row + 1}"


class ArrowFrame:
    """A table in memory: Arrow, pandas, polars and all that speak the Arrow PyCapsule protocol."""

    def __init__(self, data: Any, where: str = "table") -> None:
        import pyarrow as pa

        try:
            self.table = data if isinstance(data, pa.Table) else pa.table(data)
        except (TypeError, ValueError, pa.ArrowException) as err:
            raise UserError(f"{where}: not a table ({first_line(err)})") from None
        if len(set(self.table.column_names)) < len(self.table.column_names):
            raise UserError(f"{where}: column names are not unique")
        self.where = where

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Columns of the schema, dotted inside structures."""
        return schema_names(self.table.schema)

    @cached_property
    def head(self) -> list[dict[str, Any]]:
        """The first rows."""
        return [dict(row) for row in self.table.slice(0, _HEAD).to_pylist()]

    def columns(self, names: Sequence[str], required: Sequence[str] = ()) -> dict[str, Column]:
        """The columns as they are."""
        return {name: inside(self.table, name) for name in names}

    def place(self, row: int) -> str:
        """The row of the table."""
        return f"{self.where}: row {row + 1}"

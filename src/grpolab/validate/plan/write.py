"""The chosen prompts on disk: their ids, or the rows of a data set that belong to them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from grpolab.errors import UserError, first_line
from grpolab.files import atomic_path
from grpolab.packed import open_parquet, raw_lines

ROW = "row"
"""As the column of ids: names of prompts are the numbers of the rows, from 0."""


class Written(NamedTuple):
    """Rows that were written, and rows of the data set without counts."""

    num_rows: int
    num_unmeasured: int


def write_ids(out: Path, names: Sequence[str]) -> Written:
    """One id per line; UserError for an id that a line cannot hold."""
    bad = next((name for name in names if name.splitlines() != [name]), None)
    if bad is not None:
        raise UserError(
            f"{out}: id {bad!r:.60} does not fit on a line; give the data set by --data"
        )
    with atomic_path(out) as scratch:
        scratch.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    return Written(len(names), 0)


def write_filtered(
    out: Path,
    data: Path,
    *,
    kept: set[str],
    measured: set[str],
    column: str | None,
    unmeasured: str | None,
) -> Written:
    """The rows of ``data`` (jsonl or parquet) whose id is in ``kept``, unchanged and in order.

    ``column`` holds the ids; None looks for the one column that has them all. ``unmeasured`` says
    what becomes of rows without counts, ``keep`` or ``drop``. UserError where a choice is missing,
    where an id of ``kept`` is in no row, and where the kinds of the two files differ.
    """
    ends: dict[str, type[_Lines] | type[_Parquet]] = {".jsonl": _Lines, ".parquet": _Parquet}
    kind = ends.get(data.suffix)
    if kind is None or out.suffix != data.suffix:
        raise UserError(
            f"{out}: --select writes the kind of file that --data is, .jsonl or .parquet; got"
            f" {data.name} and {out.name}"
        )
    if out.exists() and data.exists() and out.samefile(data):
        raise UserError(f"{out}: is the data set itself; name another file")
    table = kind(data)
    ids = _ids(table, measured, column)
    lost = kept - set(ids)
    if lost:
        raise UserError(
            f"{data}: {len(lost)} of {len(kept)} chosen prompts are in no row, the first is"
            f" {min(lost)!r:.60}; --id names the column of ids"
        )
    strange = np.array([name not in measured for name in ids], dtype=np.bool_)
    if strange.any() and unmeasured is None:
        raise UserError(
            f"{data}: {int(strange.sum())} of {len(ids)} rows have no counts; --unmeasured keep or"
            " --unmeasured drop says what becomes of them"
        )
    chosen = np.array([name in kept for name in ids], dtype=np.bool_)
    if unmeasured == "keep":
        chosen |= strange
    with atomic_path(out) as scratch:
        table.write(scratch, chosen)
    return Written(int(chosen.sum()), int(strange.sum()))


def _ids(table: _Lines | _Parquet, measured: set[str], column: str | None) -> list[str]:
    """The id of every row, as text."""
    if column == ROW and ROW not in table.names:
        return [str(i) for i in range(table.num_rows)]
    if column is not None:
        if column not in table.names:
            raise UserError(f"{table.path}: no column {column!r}; it has {', '.join(table.names)}")
        return list(map(id_text, table.column(column)))
    fitting = {}
    for name in table.names:
        values = list(map(id_text, table.column(name)))
        if measured <= set(values):
            fitting[name] = values
    if len(fitting) == 1:
        return next(iter(fitting.values()))
    if fitting:
        raise UserError(f"{table.path}: --id must say which has the ids: {', '.join(fitting)}")
    more = ""
    if measured <= {str(i) for i in range(table.num_rows)}:
        more = f", or --id {ROW} that they are the numbers of the rows, from 0"
    raise UserError(
        f"{table.path}: no column holds the names of all {len(measured)} prompts; --id names the"
        f" one to use{more}"
    )


def id_text(value: Any) -> str:
    """An id as the readers write the names of prompts.

    >>> id_text(3), id_text("a"), id_text(None)
    ('3', 'a', 'None')
    """
    return repr(value) if isinstance(value, list | dict) else str(value)


class _Lines:
    """JSON lines, kept as bytes so that a row is copied as it is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: list[bytes] = []
        self._rows: list[dict[str, Any]] = []
        for number, raw in raw_lines(path):
            if not raw.strip():
                continue
            try:
                row = json.loads(raw.decode("utf-8-sig" if number == 1 else "utf-8"))
            except ValueError as err:
                raise UserError(f"{path}:{number}: no JSON ({first_line(err)})") from None
            if not isinstance(row, dict):
                raise UserError(f"{path}:{number}: a row must be a JSON object")
            self._lines.append(raw)
            self._rows.append(row)
        self.num_rows = len(self._rows)
        self.names = list(dict.fromkeys(name for row in self._rows for name in row))

    def column(self, name: str) -> list[Any]:
        return [row.get(name) for row in self._rows]

    def write(self, target: Path, chosen: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
        with target.open("wb") as file:
            for keep, raw in zip(chosen, self._lines, strict=True):
                if keep:
                    file.write(raw if raw.endswith(b"\n") else raw + b"\n")


class _Parquet:
    """A parquet file, with its schema and metadata."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        self.path = path
        try:
            self._table = open_parquet(path).read()
        except (OSError, pa.ArrowException) as err:
            raise UserError(f"{path}: cannot be read ({first_line(err)})") from None
        self.num_rows = self._table.num_rows
        self.names = list(self._table.column_names)

    def column(self, name: str) -> list[Any]:
        return list(self._table.column(name).to_pylist())

    def write(self, target: Path, chosen: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(self._table.filter(pa.array(chosen)), target)

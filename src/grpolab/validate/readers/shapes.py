"""The table inside a JSON document or a sheet, whatever its layout.

Lists of records, records by id, lists of verdicts by id, columns by name (what pandas writes), and
any of these under one key of a larger document.
"""

from __future__ import annotations

import importlib
import importlib.util
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from grpolab.errors import UserError, first_line
from grpolab.packed import MAX_DOCUMENT
from grpolab.validate.readers.arrays import arrow_table
from grpolab.validate.readers.drawn import drawn_tables
from grpolab.validate.readers.frame import (
    ArrowFrame,
    CsvFrame,
    Frame,
    LinesFrame,
    ParquetFrame,
    RowsFrame,
)
from grpolab.validate.readers.nested import names_of
from grpolab.validate.readers.source import PLAIN, Remarks, Sample
from grpolab.validate.readers.verdict_words import number_of
from grpolab.validate.readers.views import are_called_problems, as_meant, columns_differ
from grpolab.validate.readers.words import (
    CORRECT,
    LOOSE_CORRECT,
    POLICY,
    PROBLEM,
    RATE,
    SCORE,
    SECTION,
    STEP,
    TEXT_OF_PROBLEM,
    TOTAL,
    WEAK,
    find,
    is_one_of,
)

_VERDICTS = (*SCORE, *CORRECT, *LOOSE_CORRECT, *RATE)
_KNOWN = (*_VERDICTS, *PROBLEM, *WEAK, *TOTAL)
_DEPTH = 2  # keys below the top under which a table may lie
Rows = list[dict[str, Any]]


def frame_of(
    sample: Sample,
    remarks: Remarks,
    *,
    fits: Callable[[Sequence[str], Rows], bool],
    thorough: bool = False,
) -> Frame | None:
    """The table of a file, None where there is none.

    ``fits`` tells from names and first rows whether a table is the wanted one; a document may hold
    several. ``thorough`` looks for some columns of JSON lines in all lines.
    """
    if sample.kind == "parquet":
        return as_meant(ParquetFrame(sample.path))
    if sample.kind == "csv":
        return as_meant(CsvFrame(sample.path))
    if sample.kind == "arrow":
        return as_meant(ArrowFrame(arrow_table(sample.path), str(sample.path)))
    if sample.kind == "drawn":
        return _one_of(sample.path, _drawn(sample.path, fits), "tables of verdicts")
    if sample.kind == "xlsx":
        return _sheet(sample, fits)
    if sample.kind == "jsonl" and not sample.is_document:
        return as_meant(LinesFrame(sample.path, remarks, thorough=thorough))
    if not sample.is_document and sample.kind not in PLAIN:
        return None
    for rows in tables_in(sample.head):
        frame = as_meant(RowsFrame(rows, str(sample.path)))
        if fits(names_of(rows[:20]), frame.head[:20]):
            return frame
    return None


def tables_in(value: Any, depth: int = 0) -> Iterator[Rows]:
    """Tables that a JSON value can be read as, the likeliest first.

    >>> next(tables_in({"a": [True, False], "b": [False, False]}))[0]
    {'problem_id': 'a', 'verdicts': [True, False]}
    >>> next(tables_in({"correct": {"0": 1, "1": 0}, "task": {"0": "x", "1": "y"}}))[1]
    {'correct': 0, 'task': 'y'}
    """
    if isinstance(value, list):
        yield from _of_list(value)
    if not isinstance(value, dict) or not value:
        return
    yield from _of_columns(value)
    if _is_split(value):
        return  # what stands under its keys are no tables of their own
    yield from _by_id(value)
    if not _is_summary(value):
        yield [value]
    if depth < _DEPTH:
        shared = _shared(value)
        for rows in _under_keys(value, depth):
            yield [{**shared, **row} for row in rows] if shared else rows


def _is_summary(value: Mapping[str, Any]) -> bool:
    """Whether a document sums up a list of its own: records that name problems and verdicts.

    >>> _is_summary({"n_resolved": 1, "results": [{"task_id": "a", "is_resolved": True}] * 2})
    True
    """
    if find((*PROBLEM, *TEXT_OF_PROBLEM, "problem", "prompt"), value) is not None:
        return False
    lists = (v for v in value.values() if isinstance(v, list) and len(v) > 1 and _is_table(v))
    return any(
        find(_VERDICTS, rows[0]) is not None
        and find((*PROBLEM, *WEAK, *TEXT_OF_PROBLEM), rows[0]) is not None
        for rows in lists
    )


def _under_keys(value: dict[str, Any], depth: int) -> Iterator[Rows]:
    """Tables below the keys; those of one layout are one table, with the key as a column.

    >>> next(_under_keys({"p": {"runs": [{"ok": 1}]}, "q": {"runs": [{"ok": 0}]}}, 0))[1]
    {'problem_id': 'q', 'runs': [{'ok': 0}]}
    """
    inner = {k: v for k, v in value.items() if isinstance(v, list | dict) and v}
    first = {k: rows for k, v in inner.items() if (rows := next(tables_in(v, depth + 1), None))}
    alike: dict[frozenset[str], list[str]] = {}
    for key, rows in first.items():
        alike.setdefault(frozenset(rows[0]), []).append(key)
    for keys in alike.values():
        if len(keys) > 1:
            name = _column_of_key(first[keys[0]])
            yield [{name: key, **row} for key in keys for row in first[key]]
        else:
            yield from tables_in(inner[keys[0]], depth + 1)


def _column_of_key(rows: Rows) -> str:
    """What the keys over tables of one layout are: problems, unless the rows name theirs."""
    items = [i for v in rows[0].values() if isinstance(v, list) for i in v if isinstance(i, dict)]
    named = any(find((*PROBLEM, *WEAK, *TEXT_OF_PROBLEM), one) for one in [rows[0], *items[:20]])
    return SECTION if named else "problem_id"


def _of_list(value: list[Any]) -> Iterator[Rows]:
    if value and all(isinstance(item, dict) for item in value):
        yield value
    elif all(_verdict_list(item) for item in value) and any(value):
        if not columns_differ(value):
            yield [{"problem_id": i, "verdicts": item} for i, item in enumerate(value)]
        if len({len(item) for item in value}) == 1:
            yield [{str(i): item for i, item in enumerate(row)} for row in value]
    elif all(isinstance(item, list) and item and all(map(_verdict_list, item)) for item in value):
        yield [{SECTION: i, "problem_id": j, "verdicts": row}
               for i, item in enumerate(value) for j, row in enumerate(item)]  # fmt: skip


def _of_columns(value: dict[str, Any]) -> Iterator[Rows]:
    """Columns by name: pandas' ``to_json`` of every orientation, and lists of one length."""
    if _is_split(value):
        columns = [str(c) for c in value["columns"]]
        rows = [dict(zip(columns, row, strict=True)) for row in value["data"]]
        yield [row | part for row, part in zip(rows, _index(value, columns), strict=True)]
        return
    if isinstance(value.get("schema"), dict) and _is_table(value.get("data")):
        yield value["data"]
        return
    if find(_VERDICTS, value) is None:
        return
    first = next(iter(value.values()))
    if all(isinstance(v, dict) and v.keys() == first.keys() for v in value.values()) and first:
        if find(_KNOWN, first) is None:
            yield [{name: column[i] for name, column in value.items()} for i in first]
    elif all(isinstance(v, list) and len(v) == len(first) for v in value.values()) and first:
        yield [{name: column[i] for name, column in value.items()} for i in range(len(first))]


def _is_split(value: Mapping[str, Any]) -> bool:
    """Whether a document is what pandas writes as ``split``: columns, and rows as lists."""
    columns, data = value.get("columns"), value.get("data")
    return (
        isinstance(columns, list)
        and isinstance(data, list)
        and all(isinstance(row, list) and len(row) == len(columns) for row in data)
    )


def _index(value: Mapping[str, Any], columns: Sequence[str]) -> list[dict[str, Any]]:
    """What the index adds to every row: the problem, and the sample where it has two levels."""
    index, count = value.get("index"), len(value["data"])
    if not isinstance(index, list) or len(index) != count or index == list(range(count)):
        return [{}] * count
    if find((*PROBLEM, *WEAK, *TEXT_OF_PROBLEM), columns) is not None:
        return [{}] * count
    names = ["problem_id", "sample", *(f"level_{i}" for i in range(2, 9))]
    return [
        dict(zip(names, key if isinstance(key, list) else [key], strict=False)) for key in index
    ]


def _by_id(value: dict[str, Any]) -> Iterator[Rows]:
    """A record, records, a list of verdicts or one verdict per id."""
    inner = list(value.values())
    if all(isinstance(v, dict) for v in inner):
        if all(find(_VERDICTS, v) is not None for v in inner):
            yield [_named(key, v) for key, v in value.items()]
        if len(inner) > 1 and all(v and _verdict_list(list(v.values())) for v in inner):
            names = list(inner[0])
            if are_called_problems(list(value)) and not are_called_problems(names):
                yield [{"problem_id": k, "verdicts": list(v.values())} for k, v in value.items()]
            key_of = "sample" if are_called_problems(names) else "problem_id"
            yield [{key_of: key, **v} for key, v in value.items()]
    elif all(_verdict_list(v) for v in inner) and any(inner):
        yield [{"problem_id": key, "verdicts": v} for key, v in value.items()]
    elif len(inner) > 1 and all(map(_is_table, inner)):
        if len({frozenset(rows[0]) for rows in inner if rows}) == 1:
            name = _column_of_key(next(rows for rows in inner if rows))
            yield [{name: key, **row} for key, rows in value.items() for row in rows]
    elif len(inner) > 1 and all(isinstance(v, bool) for v in inner):
        yield [{"problem_id": key, "correct": v} for key, v in value.items()]


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(row, dict) for row in value)


def _named(key: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """The record with the key that it stands under, unless it names its problem itself."""
    return dict(row) if find(PROBLEM, row) is not None else {"problem_id": key, **row}


def _verdict_list(value: Any) -> bool:
    """A list of verdicts, or of scores up to 1: other numbers are settings as often as scores."""
    return isinstance(value, list) and all(map(_is_verdict, value))


def _is_verdict(value: Any) -> bool:
    if isinstance(value, str):
        number = number_of(value)
        return number is not None and (number != number or abs(number) <= 1)
    return value is None or (isinstance(value, bool | int | float) and not abs(value) > 1)


def _shared(value: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers and names at the top of a document that hold for all its rows."""
    return {
        name: inner
        for name, inner in value.items()
        if isinstance(inner, bool | int | float | str)
        and (is_one_of(name, TOTAL) or is_one_of(name, POLICY) or is_one_of(name, STEP))
    }


_MAX_CELLS = 2**24
"""Cells of the largest spreadsheet that is read, the empty ones in between included."""


def _cells(path: Path, sheet: Any) -> list[list[Any]]:
    """Rows of a sheet; UserError where a lone cell far out makes it larger than memory."""
    rows, count = [], 0
    for row in sheet.iter_rows(values_only=True):
        count += max(1, len(row))
        if count > _MAX_CELLS:
            raise UserError(f"{path}: a sheet of more than {_MAX_CELLS} cells; save it as csv")
        rows.append(list(row))
    return rows


def _sheet(sample: Sample, fits: Callable[[Sequence[str], Rows], bool]) -> Frame | None:
    """The one sheet that is a table of verdicts; UserError where several are."""
    if importlib.util.find_spec("openpyxl") is None:
        raise UserError(
            f"{sample.path}: a spreadsheet; pip install 'grpolab[xlsx]', or save it as csv"
        )
    openpyxl = importlib.import_module("openpyxl")  # an option, without types
    try:
        with zipfile.ZipFile(sample.path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > MAX_DOCUMENT:
            raise UserError(f"{sample.path}: a spreadsheet of {unpacked} bytes; save it as csv")
        book = openpyxl.load_workbook(sample.path, read_only=True, data_only=True)
        sheets = {s.title: _cells(sample.path, s) for s in book}
    except UserError:
        raise
    except Exception as err:  # whatever a broken archive does inside openpyxl
        raise UserError(f"{sample.path}: not a spreadsheet ({first_line(err)})") from None
    found: list[Frame] = []
    for title, (header, *body) in ((t, rows) for t, rows in sheets.items() if rows):
        names = ["" if name is None else str(name) for name in header]
        if len(set(names)) < len(names):
            continue
        rows = [
            dict(zip(names, row, strict=True)) for row in body if any(v is not None for v in row)
        ]
        if fits(names, as_meant(RowsFrame(rows, title)).head[:20]):
            frame = RowsFrame(rows, f"{sample.path}:{title}", unit=": row ", first=2)
            found.append(as_meant(frame))
    return _one_of(sample.path, found, "sheets with tables of verdicts")


def _drawn(path: Path, fits: Callable[[Sequence[str], Rows], bool]) -> list[Frame]:
    """The drawn tables that are wanted."""
    found: list[Frame] = []
    for place, rows, numbers in drawn_tables(path):
        frame = as_meant(RowsFrame(rows, f"{path}:{place}", unit=": line ", numbers=numbers))
        if rows and fits(frame.names, frame.head[:20]):
            found.append(frame)
    return found


def _one_of(path: Path, found: Sequence[Frame], what: str) -> Frame | None:
    """The one table of a file; UserError where several are there."""
    if len(found) > 1:
        titles = ", ".join(frame.where.removeprefix(f"{path}:") for frame in found)
        raise UserError(
            f"{path}: {len(found)} {what} ({titles}); save each of them as csv and give those"
        )
    return found[0] if found else None

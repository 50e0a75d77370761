"""Columns of a table as numbers: codes of keys, and scores.

A column is an Arrow array, or a list of JSON values where types are mixed. Nothing here loops over
the rows of an Arrow column; a list is walked once.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Hashable, Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from grpolab.errors import UserError
from grpolab.theory.groups import FloatArray, IntArray
from grpolab.validate.readers.verdict_words import number_of

Column = Any
"""A ``pyarrow.ChunkedArray``, or a list of JSON values."""
_NO_KEY = (
    None, "", "nan", "NaN", "None", "null", "NULL", "none", "N/A", "n/a", "<NA>", "undefined",
    "unknown", "Unknown",
)  # fmt: skip
_EXACT = 2**53


class Codes(NamedTuple):
    """Codes [R] of the values of a column in order of appearance, -1 for none, and the values."""

    code: IntArray
    values: list[Hashable]


def hashable(value: Any) -> Hashable:
    """A stand-in for any JSON value; a number and its text stay apart."""
    return repr(value) if isinstance(value, list | dict) else value


def factorise(values: Iterable[Hashable]) -> tuple[IntArray, list[Hashable]]:
    """Integer codes in order of first appearance, and the value of every code."""
    codes: dict[Hashable, int] = {}
    rows = [codes.setdefault(v, len(codes)) for v in values]
    return np.array(rows, dtype=np.int64), list(codes)


def encoded(column: Column) -> Codes:
    """Codes of any column; null, NaN and an empty text are no value.

    >>> encoded(["a", None, "b", "a"])
    Codes(code=array([ 0, -1,  1,  0]), values=['a', 'b'])
    """
    if isinstance(column, list):
        code, keys = factorise((type(v) is bool, hashable(v)) for v in column)
        values = [key[1] for key in keys if isinstance(key, tuple)]
    else:
        code, values = _encoded_arrow(column)
        if not values or type(values[0]) is int:  # whole numbers, but for a null at the end
            last = len(values) - 1
            if values and values[last] is None:
                return Codes(np.where(code == last, -1, code), values[:last])
            return Codes(code, values)
    there = np.array([not _is_none(v) for v in values], dtype=bool)
    if not there.all():
        place = np.where(there, np.cumsum(there) - 1, -1)
        code = place[code] if len(values) else code
        values = [v for v, keep in zip(values, there, strict=True) if keep]
    return Codes(code, [_plain(v) for v in values])


def _encoded_arrow(column: Any) -> tuple[IntArray, list[Any]]:
    import pyarrow as pa

    if pa.types.is_nested(column.type):
        return factorise(map(hashable, column.to_pylist()))
    code, packed = _packed(column)
    whole = pa.types.is_integer(packed.type)
    values = np.from_dlpack(packed).tolist() if whole else packed.to_pylist()
    return code, values if not code.size or code.max() < len(values) else [*values, None]


def _packed(column: Any) -> tuple[IntArray, Any]:
    """Codes of a flat column, the number of values for null, and the values."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        packed = column.unify_dictionaries().combine_chunks()
    else:
        packed = pc.dictionary_encode(column).combine_chunks()
    if isinstance(packed, pa.ChunkedArray):
        packed = packed.chunk(0) if packed.num_chunks else packed.type.wrap_array([])
    indices = packed.indices
    if indices.null_count:
        indices = pc.fill_null(indices.cast(pa.int64()), len(packed.dictionary))
    # by dlpack, as to_numpy imports pandas where that is installed
    return np.from_dlpack(indices).astype(np.int64), packed.dictionary


def _is_none(value: Any) -> bool:
    return value in _NO_KEY if isinstance(value, str | None) else value != value


def _plain(value: Any) -> Hashable:
    """A whole float as an integer: what a table with gaps makes of whole numbers."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        return int(value)
    return hashable(value)


class Texts(NamedTuple):
    """Codes [R] of texts, -1 for none, their lengths [R], and how every text begins."""

    code: IntArray
    length: IntArray
    starts: list[str]

    def at(self, rows: Any) -> Texts:
        """Some rows."""
        return Texts(self.code[rows], self.length[rows], self.starts)


_START = 200  # characters of a text that are kept


def texts_of(column: Column) -> Texts:
    r"""The texts of a column by codes; chats are compared as they are written.

    Space at the ends tells no completion from another: a copy may have lost or gained a line end.

    >>> texts_of(["a b", None, "a b\n"])
    Texts(code=array([ 0, -1,  0]), length=array([3, 0, 3]), starts=['a b'])
    """
    if isinstance(column, list):
        code, values = factorise(map(_bare, column))
        sizes = [len(v) if isinstance(v, str) else 0 for v in values]
        starts = [v[:_START] if isinstance(v, str) else "" for v in values]
        none = next((i for i, v in enumerate(values) if v is None), None)
    else:
        code, sizes, starts, none = _texts_arrow(column)
    length = np.array([*sizes, 0], dtype=np.int64)[code]
    if none is not None:
        code = np.where(code == none, -1, code - (code > none))
        del starts[none]
    return Texts(code, length, starts)


def as_text(value: Any) -> str | None:
    """A completion as text, a chat as it is written; None stays."""
    return value if isinstance(value, str | None) else json.dumps(value, default=str)


def _bare(value: Any) -> str | None:
    """A completion as text without space at its ends."""
    text = as_text(value)
    return None if text is None else text.strip()


def _texts_arrow(column: Any) -> tuple[IntArray, list[int], list[str], int | None]:
    """Codes of distinct texts without making Python strings of them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        code, values = factorise(map(_bare, column.to_pylist()))
        none = next((i for i, v in enumerate(values) if v is None), None)
        texts = [str(v) for v in values]
        return code, list(map(len, texts)), [t[:_START] for t in texts], none
    code, packed = _packed(column)
    bare = pc.utf8_trim_whitespace(packed)
    if not bare.equals(packed):
        again = bare.dictionary_encode()
        place = np.from_dlpack(again.indices).astype(np.int64)
        code, packed = np.append(place, len(again.dictionary))[code], again.dictionary
    sizes = pc.utf8_length(packed).to_pylist()
    starts = pc.utf8_slice_codeunits(packed, 0, _START).to_pylist()
    lost = len(sizes) if code.size and int(code.max()) == len(sizes) else None
    extra: list[Any] = [] if lost is None else [0]
    return code, [*sizes, *extra], [*starts, *([""] * len(extra))], lost


def joined(parts: list[Codes]) -> Codes:
    """One code for the combination of several columns; a row with a gap in one has none."""
    if len(parts) == 1:
        return parts[0]
    code = parts[0].code
    for part in parts[1:]:
        code = np.where((code < 0) | (part.code < 0), -1, code * len(part.values) + part.code)
        # short again before the next factor, so that the product stays in range
        code, kept = _compact(code)
        del kept
    first = _first_rows(code)
    names = [
        "/".join(str(part.values[int(part.code[row])]) for part in parts) for row in first.tolist()
    ]
    return Codes(code, list(names))


def _compact(code: IntArray) -> tuple[IntArray, int]:
    """Codes in order of first appearance; -1 stays."""
    seen, first, back = np.unique(code, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    order = order[seen[order] >= 0]
    place = np.full(len(seen), -1, dtype=np.int64)
    place[order] = np.arange(len(order))
    return place[back.reshape(-1)], len(order)


def _first_rows(code: IntArray) -> IntArray:
    seen, first = np.unique(code, return_index=True)
    return first[seen >= 0]


def scores(
    column: Column, place: Callable[[int], str], name: str = "score", *, finite: bool = True
) -> FloatArray:
    """Scores [R] of a column of numbers, booleans or words; NaN is no verdict.

    ``place`` says where a row stands, for the error that names what is no score. Infinities are an
    error unless ``finite`` is False.
    """
    if isinstance(column, list):
        return np.array(
            [_score(v, place, row, name) for row, v in enumerate(column)], dtype=np.float64
        )
    import pyarrow as pa

    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        code, values = _encoded_arrow(column)
        words = [_word(v) for v in values]
        bad = next((i for i, number in enumerate(words) if number is None), None)
        if bad is not None:
            row = int(np.flatnonzero(code == bad)[0])
            _score(values[bad], place, row, name)
        found: FloatArray = np.array(words, dtype=np.float64)[code]
    elif pa.types.is_null(kind):
        found = np.full(len(column), np.nan)
    elif pa.types.is_nested(kind) or pa.types.is_temporal(kind) or pa.types.is_binary(kind):
        row = int(np.argmax(column.is_valid().to_numpy()))
        _score(column[row].as_py(), place, row, name)
        raise UserError(f"{place(row)}: {name} must be a number, got a column of {kind}")
    else:
        found = _numbers(column)
    wrong = np.flatnonzero(np.isinf(found))
    if finite and len(wrong):
        _score(float(found[wrong[0]]), place, int(wrong[0]), name)
    return found


def _numbers(column: Any) -> FloatArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    column = column.combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks else pa.array([], pa.float64())
    if column.null_count or pa.types.is_decimal(column.type):
        column = pc.fill_null(column.cast(pa.float64(), safe=False), math.nan)
    # by dlpack, as to_numpy imports pandas where that is installed
    return np.from_dlpack(column).astype(np.float64)


def _word(value: Any) -> float | None:
    if value is None:
        return math.nan
    return number_of(str(value))


def _score(value: Any, place: Callable[[int], str], row: int, name: str) -> float:
    """One value; where it stands is looked up for an error alone."""
    if value is None:
        return math.nan
    if isinstance(value, bool | int | float) and -_EXACT < value < _EXACT:
        return float(value)
    return score_of(value, where=place(row), name=name)


def verdict(value: Any, *, where: str, name: str = "score") -> float:
    """A number from one JSON value: bool, number, or null for a missing verdict.

    >>> verdict(True, where="f:1"), verdict(0, where="f:1")
    (1.0, 0.0)
    """
    if value is None:
        return math.nan
    if isinstance(value, bool | int | float):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isinf(number):
            raise UserError(f"{where}: {name} must be finite, got {value!r:.40}")
        return number
    raise UserError(f"{where}: {name} must be a number, true, false or null, got {value!r:.60}")


def score_of(value: Any, *, where: str, name: str = "score") -> float:
    """`verdict`, and the words that people write for one."""
    if not isinstance(value, str):
        return verdict(value, where=where, name=name)
    number = number_of(value)
    if number is None:
        raise UserError(
            f"{where}: {name} must be a number or a word such as true/false or pass/fail,"
            f" got {value!r:.60}"
        )
    return verdict(number, where=where, name=name)


def is_filled(column: Column) -> npt.NDArray[np.bool_]:
    """Where a column says something: neither null, empty, false, zero nor a word for none.

    >>> is_filled([None, "", "boom", False, [], "None"]).tolist()
    [False, False, True, False, False, False]
    """
    code, values = encoded(column)
    said = np.array([_says(v) for v in values] + [False], dtype=bool)
    return said[code]


def _says(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().lower() not in ("", "none", "null", "nan", "false", "0", "[]", "{}",
                                             "no", "ok", "n/a")  # fmt: skip
    return bool(value)


def whole_numbers(column: Column, *, name: str, place: Callable[[int], str]) -> IntArray:
    """A column of whole numbers, or of the text of some; UserError names another value."""
    code, values = encoded(column)
    known = np.array([_whole(v) for v in values], dtype=object)
    missing = np.flatnonzero(code < 0)
    bad = next((i for i, number in enumerate(known) if number is None), None)
    if bad is not None or len(missing):
        row = int(np.flatnonzero(code == bad)[0]) if bad is not None else int(missing[0])
        value = values[bad] if bad is not None else None
        raise UserError(f"{place(row)}: {name} must be a whole number, got {value!r:.40}")
    return known.astype(np.int64)[code] if len(known) else np.zeros(0, dtype=np.int64)


def _whole(value: Any) -> int | None:
    try:
        number = int(value) if isinstance(value, int) else float(value)
        if number == int(number) and abs(number) < 2**63:
            return int(number)
    except (TypeError, ValueError, OverflowError):
        pass
    return None

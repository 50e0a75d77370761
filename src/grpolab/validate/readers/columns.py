"""A few columns of a large JSON-lines file, parsed in C++ by pyarrow.

The fast road is taken only where it cannot change the answer: one type per column and no missing
value. Anything else is left to the line-by-line reader, which knows how to say what is wrong.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from grpolab.theory.groups import FloatArray, IntArray
from grpolab.validate.readers.source import open_bytes

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

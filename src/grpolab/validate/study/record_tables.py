"""The tables of a record as parquet: typed columns, small integers, short floats, zstd."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from grpolab.errors import UserError
from grpolab.files import atomic_path
from grpolab.packed import open_parquet
from grpolab.theory.groups import FloatArray

Columns = dict[str, np.ndarray[Any, Any]]
Parts = Mapping[tuple[Any, ...], Columns]

_START = {"task": "str", "data": "str", "seed": "i32", "depth": "i32"}
_RUN = {"task": "str", "regime": "str", "seed": "i32", "depth": "i32", "arm": "str"}
_SAMPLES = {
    "prompt_id": "i32", "label": "str", "num_correct": "list", "group_size": "list",
    "num_completions": "i16", "num_tokens": "i32", "num_truncated": "i16",
    **dict.fromkeys(("token_entropy", "completion_entropy", "logprob", "distinct",
                     "collision_rate"), "f32"),
}  # fmt: skip
_COUNTS = {"step": "i32", "prompt_id": "i32", "num_correct": "i16", "group_size": "i16"}
_STEPS = {
    "step": "i32", "num_groups": "i16", "num_informative": "i16", "num_samples": "i32",
    "num_correct": "i32",
    **dict.fromkeys(("entropy", "grad_norm", "loss", "kl", "clip_low", "clip_high",
                     "frac_truncated"), "f32"),
}  # fmt: skip
_SPLIT = {"split": "str"}

SCHEMAS: Mapping[str, tuple[Mapping[str, str], Mapping[str, str]]] = {
    "before": ({**_START, **_SPLIT}, _SAMPLES),
    "after": ({**_RUN, **_SPLIT}, _SAMPLES),
    "groups": (_RUN, _COUNTS),
    "windows": (_RUN, _COUNTS),
    "evals": (_RUN, _COUNTS),
    "steps": (_RUN, _STEPS),
}
"""Per table the columns that name a part, and those that hold its rows, with their kinds."""


def short(values: Any) -> FloatArray:
    """Numbers to 12 significant bits (a relative error below 2^-12), which compress well.

    >>> short([1 / 3, 0.0, 2.0]).tolist()
    [0.3333740234375, 0.0, 2.0]
    """
    mantissa, exponent = np.frexp(np.asarray(values, dtype=np.float64))
    return np.asarray(np.ldexp(np.round(mantissa * 4096) / 4096, exponent))


def write_tables(
    folder: Path, tables: Iterable[tuple[str, list[tuple[tuple[Any, ...], Columns]]]]
) -> None:
    """Write ``NAME.parquet`` for every table, given as parts: a key, and columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for name, parts in tables:
        keys, values = SCHEMAS[name]
        sizes = [len(next(iter(columns.values()))) for _, columns in parts]
        arrays: dict[str, Any] = {}
        for i, (column, kind) in enumerate(keys.items()):
            named = np.array([key[i] for key, _ in parts], dtype=object)
            arrays[column] = pa.array(np.repeat(named, sizes).tolist(), _types()[kind])
        for column, kind in values.items():
            arrays[column] = _stacked(kind, [columns[column] for _, columns in parts])
        floats = [column for column, kind in values.items() if kind == "f32"]
        rising = ["prompt_id"] if name in ("windows", "evals") else []
        plain = [f"{c}.list.element" if (values.get(c) == "list") else c
                 for c in arrays if c not in (*floats, *rising)]  # fmt: skip
        with atomic_path(folder / f"{name}.parquet") as scratch:
            pq.write_table(
                pa.table(arrays), scratch, compression="zstd", compression_level=15,
                write_page_checksum=True,
                use_dictionary=plain, use_byte_stream_split=floats,
                column_encoding=dict.fromkeys(rising, "DELTA_BINARY_PACKED"), store_schema=False,
            )  # fmt: skip


def _types() -> Mapping[str, Any]:
    import pyarrow as pa

    return {"str": pa.string(), "i16": pa.int16(), "i32": pa.int32(), "f32": pa.float32(),
            "list": pa.list_(pa.int16())}  # fmt: skip


def _stacked(kind: str, parts: list[np.ndarray[Any, Any]]) -> Any:
    import pyarrow as pa

    if kind == "list":
        lengths = np.concatenate([np.full(len(p), p.shape[1]) for p in parts] or [np.empty(0)])
        flat = np.concatenate([p.reshape(-1) for p in parts] or [np.empty(0)])
        ends = np.concatenate([[0], np.cumsum(lengths)])
        return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(flat, pa.int16()))
    flat = np.concatenate(parts) if parts else np.empty(0)
    if kind == "f32":
        return pa.array(short(flat), pa.float32(), mask=np.isnan(flat.astype(np.float64)))
    return pa.array(flat.tolist(), _types()[kind])


def read_tables(folder: Path) -> dict[str, Parts]:
    """Every table of a record by the keys of its parts; UserError where one is not whole."""
    return {name: dict(_parts(folder / f"{name}.parquet", *SCHEMAS[name])) for name in SCHEMAS}


def _parts(
    path: Path, keys: Mapping[str, str], values: Mapping[str, str]
) -> Iterator[tuple[tuple[Any, ...], Columns]]:
    import pyarrow as pa

    try:
        table = open_parquet(path, page_checksum_verification=True).read().combine_chunks()
        named = [table[name].to_numpy(zero_copy_only=False) for name in keys]
        columns = {name: table[name].combine_chunks() for name in values}
    except (OSError, KeyError, pa.ArrowException) as err:
        raise UserError(f"{path}: not a table of a record ({err})") from None
    if not len(table):
        return
    changes = np.any([column[1:] != column[:-1] for column in named], axis=0)
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1, [len(table)]])
    flat = {name: _array(values[name], column) for name, column in columns.items()}
    for low, high in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        key = tuple(c[low] if isinstance(c[low], str) else int(c[low]) for c in named)
        yield key, {name: _part(flat[name], low, high) for name in values}


def _array(kind: str, column: Any) -> Any:
    """Values in memory: numpy arrays, and (offsets, values) for lists."""
    if kind == "list":
        return column.offsets.to_numpy(), column.values.to_numpy().astype(np.int64)
    array = column.to_numpy(zero_copy_only=False)
    return array.astype({"f32": np.float64, "str": object}.get(kind, np.int64))


def _part(values: Any, low: int, high: int) -> np.ndarray[Any, Any]:
    if isinstance(values, tuple):
        offsets, flat = values
        rows: np.ndarray[Any, Any] = flat[offsets[low] : offsets[high]].reshape(high - low, -1)
        return rows
    part: np.ndarray[Any, Any] = values[low:high]
    return part

"""Rows of a data set: a local file, or a Hugging Face id."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grpolab.errors import UserError, require

Row = Mapping[str, Any]
_SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")


def load_rows(source: str | Path, *, split: str = "test", limit: int | None = None) -> list[Row]:
    """Rows of a .jsonl, .jsonl.gz or .parquet file, or of a data set id such as ``owner/name``.

    ``split`` counts for data set ids only; ``owner/name:config`` names a configuration. UserError
    says which file and line is at fault.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be >= 1, got {limit}")
    name = str(source)
    if Path(name).is_file() or name.endswith(_SUFFIXES):
        rows = _read_parquet(name) if name.endswith(".parquet") else _read_lines(name)
    else:
        rows = _download(name, split)
    if not rows:
        raise UserError(f"{name}: no rows")
    return rows[:limit]


def _read_lines(name: str) -> list[Row]:
    opener = gzip.open if name.endswith(".gz") else open
    rows: list[Row] = []
    try:
        with opener(name, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    row = json.loads(line)
                    if not isinstance(row, dict):
                        raise UserError(f"{name}:{number}: a row must be a JSON object")
                    rows.append(row)
    except (OSError, UnicodeDecodeError) as err:
        raise UserError(f"{name}: {err}") from err
    except json.JSONDecodeError as err:
        raise UserError(f"{name}:{number}: not JSON: {err}") from err
    return rows


def _read_parquet(name: str) -> list[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows: list[Row] = pq.read_table(name).to_pylist()
    except (OSError, pa.ArrowInvalid) as err:
        raise UserError(f"{name}: {err}") from err
    return rows


def _download(name: str, split: str) -> list[Row]:
    require("datasets", extra="train")
    import datasets

    path, _, config = name.partition(":")
    try:
        return list(datasets.load_dataset(path, config or None, split=split))
    except Exception as err:  # of many kinds: no network, no such id, no such split
        raise UserError(
            f"{name} is no file here and cannot be loaded as a data set: {err}"
        ) from err

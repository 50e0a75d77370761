"""Rows of a data set: a local file, or a Hugging Face id."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grpolab.errors import UserError, require
from grpolab.store import json_lines
from grpolab.validate.readers.source import parquet_rows

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
        rows = _read_file(Path(name))
    else:
        rows = _download(name, split)
    if not rows:
        raise UserError(f"{name}: no rows")
    return rows[:limit]


def _read_file(path: Path) -> list[Row]:
    """Rows of a file; a line that is cut off is an error here, since a problem would be missing."""
    if path.suffix == ".parquet":
        return list(parquet_rows(path))
    return [row for _, row in json_lines(path)]


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

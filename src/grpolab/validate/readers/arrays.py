"""Arrays of numpy and tables of Arrow, as files."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from grpolab.errors import UserError, first_line
from grpolab.packed import refuse_bomb

MAX_ITEMS = 2**24
"""Items of the largest array that is read."""
_DAMAGE = (
    ValueError, OSError, EOFError, KeyError, TypeError, MemoryError, RuntimeError, SyntaxError,
    tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What damaged arrays raise; their headers are read as Python literals."""


def is_numpy_archive(names: list[str]) -> bool:
    """Whether the members of a zip archive are what ``numpy.savez`` writes."""
    return bool(names) and all(name.endswith(".npy") for name in names)


def numpy_value(path: Path) -> Any:
    """The array of a ``.npy`` as lists; of a ``.npz`` lists by name, or those of its one array."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                refuse_bomb(path, sum(m.file_size for m in archive.infolist()), path.stat().st_size)
            with np.load(path, allow_pickle=False) as archive:
                found = {name: as_lists(archive[name], str(path)) for name in archive.files}
            return next(iter(found.values())) if len(found) == 1 else found
        return as_lists(np.load(path, mmap_mode="r", allow_pickle=False), str(path))
    except _DAMAGE as err:
        raise UserError(f"{path}: not an array that can be read ({first_line(err)})") from None


def as_lists(array: Any, where: str) -> Any:
    """An array as lists of plain values; UserError where it is too large for that."""
    if array.size > MAX_ITEMS:
        raise UserError(
            f"{where}: an array of {array.size} items; save it as parquet with the columns"
            " problem_id and correct"
        )
    return array.tolist()


def arrow_table(path: Path) -> Any:
    """The table of an Arrow file or stream (Feather, the shards of Hugging Face datasets)."""
    import pyarrow as pa

    try:
        with path.open("rb") as stream:
            is_file = stream.read(6) == b"ARROW1"
        with pa.OSFile(str(path)) as source:  # a map would fail with the process where it is cut
            reader = pa.ipc.open_file(source) if is_file else pa.ipc.open_stream(source)
            table = reader.read_all()
        table.validate(full=True)
        return table
    except (OSError, ValueError, EOFError, MemoryError, pa.ArrowException) as err:
        raise UserError(f"{path}: not an Arrow table ({first_line(err)})") from None

"""What a caller gives: a path, standard input, a pipe, an archive, or a table in memory."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from grpolab.errors import UserError
from grpolab.validate.readers.archive import is_archive, unpack
from grpolab.validate.readers.arrays import as_lists
from grpolab.validate.readers.format import ChoiceNeeded, NoVerdicts, Reading
from grpolab.validate.readers.frame import ArrowFrame, Frame, RowsFrame
from grpolab.validate.readers.shapes import tables_in


def is_path(source: Any) -> bool:
    """Whether a source is a path, not a table."""
    return isinstance(source, str | Path)


def frame_in_memory(data: Any) -> Frame:
    """A table in memory, rows as dictionaries, or an array or lists of verdicts by problem.

    Columns of pandas may hold values of any type.
    """
    if isinstance(data, np.ndarray):
        data = as_lists(data, "array")
    if isinstance(data, list | tuple) and data and all(isinstance(row, dict) for row in data):
        return RowsFrame(data, "table", unit=": row ")
    if isinstance(data, list | dict) and (rows := next(tables_in(data), None)) is not None:
        return RowsFrame(rows, "table", unit=": row ")
    if hasattr(data, "to_frame") and not hasattr(data, "columns"):  # one column, with its index
        data = data.to_frame()
    if hasattr(data, "collect") and not hasattr(data, "__arrow_c_stream__"):  # not computed yet
        data = data.collect()
    try:
        return ArrowFrame(data)
    except UserError:
        if not hasattr(data, "to_dict") or not hasattr(data, "reset_index"):
            raise
        rows = data.reset_index().to_dict("records")
        return RowsFrame(rows, "table", unit=": row ")


class Given(NamedTuple):
    """A path that can be read; where it is a copy, messages call it ``new``, not ``old``."""

    path: Path
    old: str = ""
    new: str = ""

    def called(self, reading: Reading) -> Reading:
        """The reading with the name of what was given in its notes and its source."""
        if not self.old:
            return reading
        notes = tuple(note.replace(self.old, self.new) for note in reading.notes)
        info = reading.counts.provenance
        info = replace(info, source=info.source.replace(self.old, self.new))
        return reading._replace(notes=notes, counts=replace(reading.counts, provenance=info))


@contextlib.contextmanager
def on_disk(source: Path | str) -> Iterator[Given]:
    """A path that can be read more than once.

    Standard input and pipes are copied first, archives unpacked.
    """
    path = Path(source)
    piped = str(source) == "-" or (path.exists() and not path.is_file() and not path.is_dir())
    if not piped:
        with _unpacked(path) as given:
            yield given
        return
    if path.is_char_device() or path.is_block_device():
        raise UserError(f"{path}: a device has no end; save what it gives to a file first")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "stdin"
        with copy.open("wb") as out:
            if str(source) == "-":
                shutil.copyfileobj(sys.stdin.buffer, out)
            else:
                with path.open("rb") as handle:
                    shutil.copyfileobj(handle, out)
        with _unpacked(copy) as given:
            yield given


@contextlib.contextmanager
def _unpacked(path: Path) -> Iterator[Given]:
    """The one file in an archive, or a folder of all; any other path as it is."""
    if not path.is_file() or not is_archive(path):
        yield Given(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        inside = Path(folder) / path.name
        inside.mkdir()
        unpack(path, inside)
        files = [p for p in inside.rglob("*") if p.is_file()]
        old, new = str(inside), str(path)
        try:
            yield Given(files[0] if len(files) == 1 else inside, old, new)
        except ChoiceNeeded as err:
            raise ChoiceNeeded(
                err.where.replace(old, new), err.why.replace(old, new), option=err.option,
                value=err.value, choices=err.choices,
            ) from None  # fmt: skip
        except UserError as err:
            kind = NoVerdicts if isinstance(err, NoVerdicts) else UserError
            raise kind(str(err).replace(old, new)) from None

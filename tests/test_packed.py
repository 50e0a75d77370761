"""Small files that unpack to more than memory holds are refused in one line."""

from __future__ import annotations

import gzip
import importlib.util
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from grpolab import packed
from grpolab.cli import main
from grpolab.packed import open_bytes, parquet_batches, raw_lines
from grpolab.validate.readers import read_all, shapes

ROWS = 100_000


def numbers(path: Path) -> None:
    """One value, many times: a few bytes by its dictionary, as much in memory as any."""
    zeros = pa.array(np.zeros(ROWS, dtype=np.int64))
    pq.write_table(pa.table({"prompt_id": zeros, "correct": zeros}), path)


def plain(path: Path) -> None:
    """The same without a dictionary."""
    zeros = pa.array(np.zeros(ROWS, dtype=np.int64))
    table = pa.table({"prompt_id": zeros, "correct": zeros})
    pq.write_table(table, path, use_dictionary=False, compression="zstd")


def differences(path: Path) -> None:
    """Texts stored as what they do not share with the one before."""
    rows = 200
    table = pa.table(
        {"prompt": ["x" * 10_000] * rows, "correct": pa.array(np.zeros(rows, dtype=np.int64))}
    )
    encoding = {"prompt": "DELTA_BYTE_ARRAY"}
    pq.write_table(table, path, use_dictionary=False, column_encoding=encoding, compression="zstd")


def lines(path: Path) -> None:
    """Short lines, packed."""
    with gzip.open(path, "wb") as file:
        file.write(b'{"prompt_id":0,"correct":1}\n' * ROWS)


def table(path: Path) -> None:
    """A packed table of commas."""
    with gzip.open(path, "wb") as file:
        file.write(b"prompt_id,correct\n" + b"0,1\n" * ROWS * 3)


def zstd(path: Path) -> None:
    """The same as `lines` by Zstandard."""
    with pa.output_stream(str(path), compression="zstd") as file:
        file.write(b'{"prompt_id":0,"correct":1}\n' * ROWS)


def blank(path: Path) -> None:
    """Nothing but line ends after the first line."""
    with gzip.open(path, "wb") as file:
        file.write(b'{"prompt_id":0,"correct":1}\n' + b"\n" * 20 * ROWS)


BOMBS: dict[str, Callable[[Path], None]] = {
    "numbers.parquet": numbers, "plain.parquet": plain, "differences.parquet": differences,
    "lines.jsonl.gz": lines, "table.csv.gz": table, "lines.jsonl.zst": zstd,
    "blank.jsonl.gz": blank,
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_that_unpacks_to_too_much_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    BOMBS[name](path)
    size = path.stat().st_size
    monkeypatch.setattr(packed, "MAX_UNPACKED", 1_000_000)
    monkeypatch.setattr(packed, "MAX_RATIO", 50)
    told = refusal(path, monkeypatch, capsys)
    assert f"{path.name}: its {size} bytes unpack to more than" in told


def refusal(path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line by which an audit refuses a file."""
    monkeypatch.setattr(sys, "argv", ["grpolab", "audit", str(path), "-g", "8"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    (line,) = [x for x in capsys.readouterr().err.splitlines() if "error" in x]
    return line


@pytest.mark.parametrize("name", [name for name in BOMBS if name != "blank.jsonl.gz"])
def test_the_same_file_is_read_where_it_fits(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    BOMBS[name](path)
    assert read_all(path)


def test_rows_are_read_only_as_far_as_they_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts that repeat are small in the file and in its footer, not as rows."""
    path = tmp_path / "texts.parquet"
    pq.write_table(pa.table({"text": ["x" * 10_000] * 3_000}), path)
    assert sum(map(len, parquet_batches(path))) == 3_000
    monkeypatch.setattr(packed, "MAX_UNPACKED", 10**7)
    with pytest.raises(packed.UserError, match="unpack to more than"):
        list(parquet_batches(path))


def test_streams_stop_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.gz"
    with gzip.open(path, "wb") as file:
        file.write(bytes(50_000_000))
    monkeypatch.setattr(packed, "MAX_UNPACKED", 1_000_000)
    monkeypatch.setattr(packed, "MAX_LINE", 10**9)
    with pytest.raises(packed.UserError, match="unpack to more than"):
        list(raw_lines(path))
    with open_bytes(path) as stream, pytest.raises(packed.UserError, match="unpack"):
        stream.read()


@pytest.mark.skipif(importlib.util.find_spec("openpyxl") is None, reason="needs openpyxl")
def test_spreadsheets_that_are_larger_than_they_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import openpyxl

    far = tmp_path / "far.xlsx"
    book = openpyxl.Workbook()
    book.active["A1"], book.active["B1"], book.active["A2"] = "prompt_id", "correct", 1
    book.active["XFD1048576"] = 1
    book.save(far)
    large = tmp_path / "large.xlsx"
    with zipfile.ZipFile(far) as old, zipfile.ZipFile(large, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
        with new.open("xl/media/x", "w", force_zip64=True) as member:
            for _ in range(12):
                member.write(bytes(1 << 20))
    monkeypatch.setattr(shapes, "MAX_DOCUMENT", 10**7)
    for path, words in ((far, "sheet of more than"), (large, "a spreadsheet of")):
        assert words in refusal(path, monkeypatch, capsys)

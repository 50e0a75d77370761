"""Footers of parquet files, whole and damaged."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from grpolab.footer import chunks


@pytest.fixture
def path(tmp_path: Path) -> Path:
    table = pa.table(
        {"text": ["a", "b"] * 50, "n": [1, 2] * 50, "xs": [[1.5, 2.5]] * 100, "b": [True] * 100}
    )
    path = tmp_path / "t.parquet"
    pq.write_table(table, path, row_group_size=60)
    return path


@pytest.mark.parametrize("options", [{}, {"version": "1.0"}, {"data_page_version": "2.0"}])
def test_it_says_what_arrow_says(path: Path, options: dict[str, str]) -> None:
    pq.write_table(pq.read_table(path), path, row_group_size=30, compression="zstd", **options)
    meta = pq.ParquetFile(path).metadata
    columns = [
        meta.row_group(g).column(c)
        for g in range(meta.num_row_groups)
        for c in range(meta.num_columns)
    ]
    widths = {"BYTE_ARRAY": 4, "INT64": 8, "DOUBLE": 8, "BOOLEAN": 0.125}
    assert [(c.path, c.differences, c.needed) for c in chunks(path)] == [
        (
            c.path_in_schema,
            "DELTA_BYTE_ARRAY" in c.encodings,
            max(c.total_uncompressed_size, c.num_values * widths[c.physical_type]),
        )
        for c in columns
    ]


def test_a_damaged_footer_is_a_value_error_and_nothing_else(path: Path) -> None:
    raw = path.read_bytes()
    start = len(raw) - 8 - int.from_bytes(raw[-8:-4], "little")
    chance = random.Random(0)
    found = {"read": 0, "refused": 0}
    for _ in range(2000):
        damaged = bytearray(raw)
        for _ in range(chance.choice([1, 2, 9])):
            damaged[chance.randrange(start, len(raw))] = chance.randrange(256)
        path.write_bytes(damaged)
        try:
            chunks(path)
            found["read"] += 1
        except ValueError:
            found["refused"] += 1
    assert min(found.values()) > 100


def test_what_is_cut_short_or_no_parquet_file(path: Path) -> None:
    raw = path.read_bytes()
    for size in (0, 1, 4, 7, 8, 12, len(raw) // 2, len(raw) - 1):
        path.write_bytes(raw[:size])
        assert chunks(path) == []
    path.write_bytes(b"PAR1" + b"\xff" * 100 + (100).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(ValueError, match="footer is damaged"):
        chunks(path)
    path.write_bytes(b"PAR1" + b"\x1c" * 100 + (100).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(ValueError, match="nested too deep"):
        chunks(path)

"""Files: round trips, whole or not at all, and broken ones named in one line."""

from __future__ import annotations

import gzip
import json
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from grpolab import files, store
from grpolab.errors import UserError
from grpolab.theory.groups import GroupCounts, Provenance

COUNTS = GroupCounts(
    [0, 2, 3],
    [4, 4, 3],
    prompt_id=[7, 7, -1],
    step=[0, 1, 2],
    prompt_names={7: "sieben", -1: "minus \N{GREEK SMALL LETTER PI}"},
    provenance=Provenance(
        source="a.jsonl",
        sampling={"temperature": 1.0, "top_p": None},
        seed=5,
        versions={"torch": "2"},
        filtered=True,
        num_missing=3,
    ),
)


@pytest.mark.parametrize("name", ["counts.parquet", "counts.jsonl", "new/folder/counts.jsonl"])
@pytest.mark.parametrize("counts", [COUNTS, GroupCounts([], [])], ids=["full", "empty"])
def test_counts_round_trip(name: str, counts: GroupCounts, tmp_path: Path) -> None:
    store.write_counts(tmp_path / name, counts)
    back = store.read_counts(tmp_path / name)
    assert back == counts
    assert back.prompt_names == counts.prompt_names
    assert back.num_correct.dtype == np.int64


def test_parquet_and_json_lines_hold_the_same(tmp_path: Path) -> None:
    for name in ("a.parquet", "a.jsonl"):
        store.write_counts(tmp_path / name, COUNTS)
    assert store.read_counts(tmp_path / "a.parquet") == store.read_counts(tmp_path / "a.jsonl")


GOOD = b'{"a": 1}\n'


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_json_lines_are_numbered_and_blank_ones_skipped(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(pack(b"\xef\xbb\xbf" + GOOD + b"\n  \n" + GOOD[:-1]))
    assert list(store.json_lines(path)) == [(1, {"a": 1}), (4, {"a": 1})]


@pytest.mark.parametrize(
    ("line", "reason", "cut_off"),
    [
        (b'{"a": ', "not valid JSON", True),
        (b'{"a": "\xc3', "not UTF-8 text", True),
        (b'{"a": \n', "not valid JSON", False),
        (b'{"a": "\xc3"}\n', "not UTF-8 text", False),
        (b"[1]\n", "expected a JSON object, got list", False),
        (b"7", "expected a JSON object, got int", False),
        (b"null\n", "expected a JSON object, got NoneType", False),
        (b"[" * 100_000 + b"\n", "not valid JSON", False),
    ],
)
def test_a_broken_line_is_named_or_handed_over(
    tmp_path: Path, line: bytes, reason: str, cut_off: bool
) -> None:
    path = tmp_path / "cut off.jsonl"
    path.write_bytes(GOOD + line)
    with pytest.raises(store.BrokenLine, match=rf"cut off\.jsonl:2: {reason}") as caught:
        list(store.json_lines(path))
    assert (caught.value.path, caught.value.number) == (path, 2)
    assert caught.value.cut_off == cut_off
    if line.endswith(b"\n"):
        path.write_bytes(GOOD + line + GOOD)
    left_out: list[store.BrokenLine] = []
    rows = [number for number, _ in store.json_lines(path, left_out.append)]
    assert rows == ([1, 3] if line.endswith(b"\n") else [1])
    assert [(err.number, err.cut_off) for err in left_out] == [(2, cut_off)]


def test_a_packed_file_that_ends_too_early_is_no_cut_off_line(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl.gz"
    path.write_bytes(gzip.compress(GOOD * 5000)[:-20])
    with pytest.raises(UserError, match="cannot be read to its end"):
        list(store.json_lines(path, lambda err: None))
    with pytest.raises(UserError, match="no such file"):
        list(store.json_lines(tmp_path / "absent"))


def write_jsonl(path: Path, *lines: str) -> None:
    path.write_text("\n".join(lines), encoding="utf-8")


HEAD = json.dumps({"grpolab": {"provenance": {}, "prompt_names": {}}})
ROW = json.dumps({"num_correct": 1, "group_size": 4, "prompt_id": 0, "step": 0})


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe", b"PAR1", b"{}", b"[1, 2]", b"not json"])
def test_broken_tables_are_bad_input(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"broken{suffix}: not a grpolab table") as caught:
        store.read_counts(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "lines",
    [
        [HEAD, ROW.replace("1", "9", 1)],
        [HEAD, ROW.replace('"step"', '"stage"')],
        [HEAD, ROW[:-5]],
        [HEAD, "3"],
        [HEAD, ROW.replace("1", '"many"', 1)],
        [HEAD, ROW.replace("1", "0.5", 1)],
        [HEAD, ROW.replace("1", "null", 1)],
        [HEAD, ROW.replace("1", str(2**70), 1)],
        [HEAD.replace('"provenance": {}', '"provenance": {"colour": 1}'), ROW],
        [HEAD.replace('"prompt_names": {}', '"prompt_names": {"x": "y"}'), ROW],
        [HEAD.replace('"prompt_names": {}', '"prompt_names": 3'), ROW],
        ['{"grpolab": 3}', ROW],
        [ROW],
    ],
)
def test_broken_rows_are_bad_input(lines: list[str], tmp_path: Path) -> None:
    write_jsonl(tmp_path / "good.jsonl", HEAD, ROW)
    assert len(store.read_counts(tmp_path / "good.jsonl")) == 1
    write_jsonl(tmp_path / "bad.jsonl", *lines)
    with pytest.raises(UserError, match=r"bad.jsonl: not a grpolab table"):
        store.read_counts(tmp_path / "bad.jsonl")


def test_a_parquet_file_of_another_kind_is_bad_input(tmp_path: Path) -> None:
    for meta in ({}, {"provenance": {}, "prompt_names": {}}):
        store.write_parquet(tmp_path / "other.parquet", {"x": np.arange(3)}, meta)
        with pytest.raises(UserError, match="not a grpolab table"):
            store.read_counts(tmp_path / "other.parquet")


@pytest.mark.skipif(sys.platform != "linux", reason="threads are listed in /proc")
def test_a_table_is_read_in_the_thread_that_asks(tmp_path: Path) -> None:
    """Arrow's threads would hold bytes of Python's beyond the end of the interpreter."""
    store.write_parquet(tmp_path / "t.parquet", {"a": np.arange(9), "b": np.ones(9)}, {})
    code = """
import os, pathlib, sys, numpy, pyarrow.parquet
from grpolab.store import read_parquet
before = len(os.listdir("/proc/self/task"))
read_parquet(pathlib.Path(sys.argv[1]), ["a", "b"])
print(len(os.listdir("/proc/self/task")) - before, "pyarrow.dataset" in sys.modules)
"""
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "t.parquet")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout == "0 False\n"


def test_missing_files_and_folders_are_bad_input(tmp_path: Path) -> None:
    for read in (store.read_counts, store.read_json):
        with pytest.raises(UserError, match=r"gone.json: no such file"):
            read(tmp_path / "gone.json")
        with pytest.raises(UserError):
            read(tmp_path)


@pytest.mark.parametrize("content", [b"{", b"\xff", b"", b"{'a': 1}"])
def test_broken_json_is_bad_input(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=r"a.json: not valid JSON"):
        store.read_json(tmp_path / "a.json")


def test_json_round_trip_and_plain_types(tmp_path: Path) -> None:
    value = {
        "b": np.float32(0.5), "a": [np.int64(3), np.bool_(True), None], "n": float("nan"),
        "i": -np.inf, "m": np.array([[1.0, np.nan]]), "t": (1, "x"), "p": Path("a/b"), 4: "key",
    }  # fmt: skip
    store.write_json(tmp_path / "v.json", value)
    assert store.read_json(tmp_path / "v.json") == {
        "b": 0.5, "a": [3, True, None], "n": None, "i": None, "m": [[1.0, None]], "t": [1, "x"],
        "p": "a/b", "4": "key",
    }  # fmt: skip
    assert next(iter(store.read_json(tmp_path / "v.json"))) == "b"


def failing_file(target: Path) -> None:
    with files.atomic_path(target) as scratch:
        scratch.write_text("half", encoding="utf-8")
        raise RuntimeError("killed")


def failing_json(target: Path) -> None:
    try:
        store.write_json(target, {"a": object()})
    except TypeError:
        raise RuntimeError("killed") from None


def failing_folder(target: Path) -> None:
    with files.atomic_dir(target) as scratch:
        (scratch / "half").touch()
        raise RuntimeError("killed")


@pytest.mark.parametrize("fail", [failing_file, failing_json])
def test_a_writer_that_fails_leaves_the_old_file_whole(
    fail: Callable[[Path], None], tmp_path: Path
) -> None:
    target = tmp_path / "a.txt"
    store.write_text(target, "old")
    with pytest.raises(RuntimeError, match="killed"):
        fail(target)
    assert target.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    store.write_text(target, "old")
    with files.atomic_path(target) as scratch:
        scratch.write_text("new", encoding="utf-8")
        assert target.read_text(encoding="utf-8") == "old"
        assert scratch.parent == target.parent  # a rename is atomic on one file system only
    assert target.read_text(encoding="utf-8") == "new"
    assert list(tmp_path.iterdir()) == [target]
    assert stat.S_IMODE(target.stat().st_mode) == 0o644


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "run"
    with files.atomic_dir(target) as scratch:
        (scratch / "old").touch()
    with pytest.raises(RuntimeError, match="killed"):
        failing_folder(target)
    assert [p.name for p in target.iterdir()] == ["old"]
    with files.atomic_dir(target) as scratch:
        (scratch / "new").touch()
    assert [p.name for p in target.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [target]
    assert stat.S_IMODE(target.stat().st_mode) == 0o755

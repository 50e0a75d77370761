"""Files are on disk before they have their names, and every bit that changes later is found."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grpolab import files, store
from grpolab.errors import UserError


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is synced and renamed, in order."""
    seen: list[tuple[str, str]] = []
    sync, replace = files.sync, Path.replace

    def record(name: str, do: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(path: Path, *rest: Any) -> Any:
            seen.append((name, path.name))
            return do(path, *rest)

        return wrapped

    monkeypatch.setattr(files, "sync", record("sync", sync))
    monkeypatch.setattr(Path, "replace", record("rename", replace))
    return seen


def test_a_file_is_on_disk_before_it_has_its_name(
    tmp_path: Path, calls: list[tuple[str, str]]
) -> None:
    store.write_text(tmp_path / "a.txt", "x")
    (synced, scratch), (renamed, same), (then, parent) = calls
    assert (synced, renamed, then) == ("sync", "rename", "sync")
    assert scratch == same
    assert scratch.endswith(files.SCRATCH)
    assert parent == tmp_path.name


def test_to_sync_is_to_ask_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def refuse(handle: int) -> None:
        asked.append(stat.S_ISDIR(os.fstat(handle).st_mode))
        raise OSError(errno.EINVAL, "no such thing here")

    monkeypatch.setattr(os, "fsync", refuse)
    files.sync(tmp_path)  # a file system that cannot sync a folder
    (tmp_path / "a").write_text("x")
    with pytest.raises(OSError, match="no such thing here"):
        files.sync(tmp_path / "a")
    assert asked == [True, False]


def test_a_folder_is_on_disk_before_it_has_its_name(
    tmp_path: Path, calls: list[tuple[str, str]]
) -> None:
    with files.atomic_dir(tmp_path / "d") as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "f").write_text("x")
        files.seal(folder)
    names = [name for _, name in calls]
    place = [what for what, _ in calls].index("rename")
    assert {"f", "sub", files.SEAL} <= set(names[:place])
    assert calls[-1] == ("sync", tmp_path.name)


def test_names_as_long_as_they_may_be(tmp_path: Path) -> None:
    name = "x" * 250 + ".json"
    store.write_json(tmp_path / name, {"a": 1})
    with files.atomic_dir(tmp_path / name[:-5]) as folder:
        (folder / "f").touch()
    assert store.read_json(tmp_path / name) == {"a": 1}


def test_what_is_no_file_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    store.write_text(Path("/dev/null"), "x")
    assert not Path("/dev/null").is_file()
    code = (
        "from pathlib import Path; from grpolab.store import write_text;"
        "write_text(Path('/dev/stdout'), 'hi')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "hi"


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    keep = tmp_path / "notes.partial"
    keep.touch()
    (tmp_path / "a" / ".step-1.x.partial").mkdir(parents=True)
    (tmp_path / "a" / ".step-1.x.partial" / "f").touch()
    (tmp_path / ".t.y.partial").touch()
    files.remove_scratch(tmp_path)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a", "notes.partial"]


def test_holders_keep_others_out(tmp_path: Path) -> None:
    with files.exclusive(tmp_path, shared=True), files.exclusive(tmp_path, shared=True):
        with pytest.raises(UserError, match="another process"), files.exclusive(tmp_path):
            raise AssertionError
        with files.exclusive(tmp_path, lock=".other"):
            pass
    with files.exclusive(tmp_path), pytest.raises(UserError, match="another process"):
        files.exclusive(tmp_path, shared=True).__enter__()


def test_a_file_system_without_locks_is_worked_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(files.fcntl, "flock", refuse)
    with files.exclusive(tmp_path):
        pass


def flips(raw: bytes) -> list[bytes]:
    """The bytes with each of their bits turned."""
    found = []
    for bit in range(8 * len(raw)):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << (bit % 8)
        found.append(bytes(changed))
    return found


def test_every_bit_of_a_table_is_covered(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    store.write_parquet(path, {"x": np.arange(4), "s": ["a", "bb", "", "c"]}, {"m": 1})
    whole = path.read_bytes()
    for changed in flips(whole)[:: 1 + len(whole) // 400]:
        path.write_bytes(changed)
        with pytest.raises(UserError, match=r"t\.parquet: "):
            store.check_parquet(path)
    path.write_bytes(whole)
    assert store.read_parquet(path, ["x"], optional=["s", "none"])[0].keys() == {"x", "s"}


def test_other_readers_read_a_sealed_table_and_check_its_pages(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path = tmp_path / "t.parquet"
    store.write_parquet(path, {"x": np.arange(4)}, {})
    assert pq.read_table(path)["x"].to_pylist() == [0, 1, 2, 3]
    assert pq.ParquetFile(path).metadata.num_rows == 4
    raw = bytearray(path.read_bytes())
    page = pq.ParquetFile(path).metadata.row_group(0).column(0)
    first = page.dictionary_page_offset or page.data_page_offset
    raw[first + page.total_compressed_size - 1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(OSError, match="CRC"):
        pq.read_table(path, page_checksum_verification=True)


def test_a_table_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"x": [1]}).replace_schema_metadata({"grpolab": '{"m": 1}'})
    pq.write_table(table, tmp_path / "old.parquet")
    assert store.read_parquet(tmp_path / "old.parquet", ["x"])[1] == {"m": 1}


def test_every_bit_of_a_sealed_object_is_covered(tmp_path: Path) -> None:
    path, value = tmp_path / "v.json", {"a": [1.5, None, "x"], "b": {"c": 2}}
    store.write_sealed(path, value)
    whole = path.read_bytes()
    assert store.read_sealed(path) == value
    for changed in flips(whole):
        path.write_bytes(changed)
        try:
            assert store.read_sealed(path) == value  # E for e: another way to write the same
        except UserError:
            continue
    path.write_bytes(whole.replace(b"1.5", b"2.5"))
    with pytest.raises(UserError, match="has changed since it was written"):
        store.read_sealed(path)
    store.write_json(path, value)
    with pytest.raises(UserError, match="has changed"):
        store.read_sealed(path)


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    with files.atomic_dir(tmp_path / "d") as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "w.bin").write_bytes(os.urandom(20))
        (folder / "c.json").write_text("{}")
        files.seal(folder, {"step": 3})
    return tmp_path / "d"


def test_every_bit_of_a_sealed_folder_is_covered(sealed: Path) -> None:
    assert files.broken_seal(sealed) == ""
    assert files.promises_of(sealed) == {"step": 3}
    for name in ("sub/w.bin", "c.json", files.SEAL):
        path = sealed / name
        whole = path.read_bytes()
        for changed in flips(whole):
            path.write_bytes(changed)
            assert files.broken_seal(sealed) == f"{name} has changed since it was written"
        path.write_bytes(whole)
        assert files.broken_seal(sealed) == ""
    (sealed / "c.json").unlink()
    assert files.broken_seal(sealed) == "c.json is missing"


def test_a_folder_without_a_seal_promises_nothing(tmp_path: Path) -> None:
    assert (files.broken_seal(tmp_path), files.promises_of(tmp_path)) == ("", {})
    (tmp_path / files.SEAL).write_text("[1]")
    assert files.broken_seal(tmp_path)
    assert files.promises_of(tmp_path) == {}

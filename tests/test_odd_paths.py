"""Paths that are no plain files, and files that end too early: one line and status 2, no wait."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
import zipfile
from pathlib import Path

import pytest

from grpolab import cli, files, packed, store
from grpolab.validate.readers import FORMATS

LONG = "x" * 300
DEEP = "/".join(["y" * 200] * 30)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files and folders that no command can do anything with, under the current folder."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.jsonl")
    Path("loop.jsonl").symlink_to("loop.jsonl")
    Path("a").symlink_to("b")
    Path("b").symlink_to("a")
    Path("gone.jsonl").symlink_to("nowhere")
    Path("folder").mkdir()
    contents = {
        "empty.jsonl": b"", "nul.jsonl": b"\0" * 9, "bytes.jsonl": b'{"a": "\xff"}\n',
        "cut.jsonl": b'{"input":"x","score":1', "object.jsonl": b"{}", "list.json": b"[]",
        "number.jsonl": b"3\n", "blank.jsonl": b"\n \n", "head.csv": b"problem,correct\n",
        "cut.gz": gzip.compress(b'{"input":"x"}\n' * 900)[:-30], "deep.json": b"[" * 100_000,
        "table.parquet": b"PAR1 PAR1", "log.eval": b"PK\x03\x04",
    }  # fmt: skip
    for name, content in contents.items():
        Path(name).write_bytes(content)
    return tmp_path


INPUTS = [
    "loop.jsonl", "a", "gone.jsonl", "folder", "empty.jsonl", "nul.jsonl",
    "bytes.jsonl", "cut.jsonl", "object.jsonl", "list.json", "number.jsonl", "blank.jsonl",
    "head.csv", "cut.gz", "deep.json", "table.parquet", "log.eval", "/dev/null", "/proc/self/mem",
    LONG, DEEP,
]  # fmt: skip


def refuse(words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: object) -> str:
    """What the command line says, which must be one line and status 2."""
    monkeypatch.setattr(sys, "argv", ["grpolab", *words])  # type: ignore[attr-defined]
    with pytest.raises(SystemExit) as stop:
        cli.main()
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line.startswith("grpolab: error: ")]
    assert (stop.value.code, out, len(lines)) == (2, "", 1), (words, out, err)
    return lines[0]


@pytest.mark.parametrize("name", INPUTS, ids=lambda name: name[:12])
def test_what_cannot_be_read_is_refused_in_every_format(
    name: str, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for format in ("auto", *(format.name for format in FORMATS)):
        refuse(["audit", name, "--format", format], capsys, monkeypatch)
    monkeypatch.setattr(sys, "argv", ["grpolab", "monitor", name, "--once"])
    with pytest.raises(SystemExit) as stop:  # a log or a folder may become a run
        cli.main()
    err = capsys.readouterr().err
    assert (stop.value.code, err.count("\n")) in ((0, 0), (2, 1)), err


@pytest.mark.parametrize("name", ["pipe.jsonl", "loop.jsonl", "cut.jsonl", "folder", LONG, DEEP])
def test_where_nothing_can_be_written_is_refused(
    name: str, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    below = f"{name}/out" if name != "folder" else "/proc/grpolab/out"
    sweep = ["simulate", "sweep", "pstar", "--set", "group_size=2", "--set", "num_groups=100"]
    refuse([*sweep, "--out", below], capsys, monkeypatch)
    if name in ("pipe.jsonl", "folder"):  # a folder that is claimed as those of the sweep are
        refuse(["study", "--preset", "smoke", "--out", below], capsys, monkeypatch)
    said = refuse(["audit", "absent.csv", "--html", f"{below}.html"], capsys, monkeypatch)
    assert "absent.csv" not in said  # the place is looked at before the work
    refuse(["explore", "--out", f"{below}.html"], capsys, monkeypatch)
    refuse(["figures", "weight", "--out", below], capsys, monkeypatch)


def test_a_place_is_looked_at_and_left_as_it_was(place: Path) -> None:
    before = sorted(place.iterdir())
    for fine in (place / "new" / "page.html", place / "head.csv", Path("/dev/null")):
        files.check_place(fine)
    with pytest.raises(store.UserError, match="folder: is a folder; name a file"):
        files.check_place(place / "folder")
    with pytest.raises(NotADirectoryError):
        files.check_place(place / "head.csv" / "page.html")
    assert sorted(place.iterdir()) == before


def test_a_pipe_is_refused_and_not_waited_for(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(store.UserError, match=r"pipe\.jsonl: not a regular file"):
        list(store.json_lines(place / "pipe.jsonl"))


@pytest.mark.parametrize("inner", ["one line", "many lines", "inspect"])
def test_what_unpacks_to_more_than_memory_is_refused(
    inner: str, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Limits of a million bytes here; the memory in use stays within a few of them."""
    monkeypatch.setattr(packed, "MAX_DOCUMENT", 10**6)
    monkeypatch.setattr(packed, "MAX_LINE", 10**6)
    value = {"eval": {}, "samples": ["x" * 3_000_000]}
    text = json.dumps(value, indent=None if inner == "one line" else 1).encode()
    path = place / ("log.eval" if inner == "inspect" else "bomb.json.gz")
    if inner == "inspect":
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("samples/1.json", text)
        path.write_bytes(held.getvalue())
    else:
        path.write_bytes(gzip.compress(text))
    assert path.stat().st_size < 10**5
    said = refuse(["audit", str(path), "--format", "inspect"], capsys, monkeypatch)
    assert "1000000 bytes" in said

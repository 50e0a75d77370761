"""What reaches a terminal: letters of every language, and nothing that the terminal would obey."""

from __future__ import annotations

import ast
import gzip
import io
import json
import os
import pty
import subprocess
import sys
import unicodedata
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from grpolab.figures.tables import Column, Table
from grpolab.figures.words import text
from grpolab.progress import ProgressBar
from grpolab.terminal import printable

SRC = Path(__file__).parents[1] / "src" / "grpolab"
OBEYED = [
    *range(0x20), *range(0x7F, 0xA0),  # C0, delete, C1
    0x00AD, 0x061C, *range(0x200B, 0x2010), 0x2028, 0x2029, *range(0x202A, 0x202F),
    *range(0x2060, 0x2065), *range(0x2066, 0x206A), 0xFEFF, 0xFFF9, 0xE0001, 0xE0041,
    0xD800, 0xDFFF,
]  # fmt: skip
"""Control characters, marks of direction, no width, line separators, tags, lone surrogates."""
ATTACK = "\x1b[2J\x1b]0;pwned\x07\x9b31m\r\n\u202eevil\u2066\u200b\u2028\udc80"


@pytest.mark.parametrize("code", OBEYED)
def test_what_a_terminal_obeys_is_escaped(code: int) -> None:
    shown = printable(f"a{chr(code)}b")
    assert shown.isprintable()
    assert shown.startswith("a\\")
    assert shown.endswith("b")


def test_letters_marks_and_spaces_of_every_language_stay() -> None:
    words = (
        "naïve \u03c0 \u4e2d\u6587\u3000\u05e9\u05dc \u0939\u093f e\u0301 \N{NO-BREAK SPACE}"
        " \N{GRINNING FACE} C:\\x1b"
    )
    assert printable(words) == words
    kinds = {unicodedata.category(c) for c in map(chr, range(0x3000)) if printable(c) != c}
    assert kinds <= {"Cc", "Cf", "Cn", "Zl", "Zp"}


OUTPUT = {"echo", "print", "secho", "input", "confirm", "prompt"}
PRINTERS = {
    "cli/__init__.py": "the help, the line of an error, and an interrupt",
    "cli/_output.py": "say, print_json and print_table",
    "progress.py": "lines and bars",
    "validate/training/ending.py": "one constant line",
    "validate/study/redo.py": "names of committed results",
    "validate/study/real_models.py": "the name of a committed result",
    "validate/monitor/trl.py": "lines that are escaped",
    "validate/study/tasks/runs.py": "code that runs in a sandbox",
    "validate/study/monitor_trials/futility.py": "tables of committed results",
    "validate/study/monitor_trials/evaluate.py": "seeds and names of kinds",
}
"""Modules that write to a stream themselves."""


def writers(path: Path) -> list[int]:
    """Lines that write to the terminal: print, echo, a rich console, or a standard stream."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        stream = name.startswith(("sys.stdout.write", "sys.stderr.write"))
        if stream or name.rpartition(".")[2] in OUTPUT | {"Console"}:
            found.append(node.lineno)
    return found


def test_every_module_prints_through_the_one_function() -> None:
    found = {
        path.relative_to(SRC).as_posix()
        for path in SRC.rglob("*.py")
        if "sandbox/child" not in path.as_posix() and writers(path)
    }
    assert found <= set(PRINTERS), "print with grpolab.cli._output.say"


def test_the_guard_sees_other_ways_to_print(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_text(
        "import sys\nprint(1)\ntyper.echo(2)\nsys.stderr.write('')\nsay(3)\nConsole()\n"
    )
    assert writers(path) == [2, 3, 4, 6]


def test_tables_and_pages_show_names_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    from grpolab.cli._output import print_json, print_table, say

    table = Table([Column(f"n{ATTACK}"), "x"], [[f"r{ATTACK}", 1.0]], f"c{ATTACK}", title=ATTACK)
    print_table(table)
    say(f"wrote {ATTACK}")
    print_json({f"k{ATTACK}\x7f": [ATTACK]})
    shown = capsys.readouterr().out
    assert all(line.isprintable() for line in shown.splitlines())
    assert shown.count("\\x1b]0;pwned\\x07\\x9b31m") == 5
    assert json.loads(shown[shown.index("{") :]) == {f"k{ATTACK}\x7f": [ATTACK]}
    marked = text(f"<b>{ATTACK}</b>")
    assert all(line.isprintable() for line in marked.splitlines())
    table.html().encode()


def test_progress_shows_names_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar(1, note=f"note {ATTACK}") as bar:
        bar.part(f"key {ATTACK}", 1, finished=True)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)


BAR = """
from grpolab.progress import ProgressBar
with ProgressBar(1, note="[/] [bold]x") as bar:
    bar.part("[/red] [b]" + {attack!r}, 0.5)
"""


def test_a_name_is_no_markup_of_the_bar() -> None:
    ours, theirs = pty.openpty()
    code = BAR.format(attack="\x1b]0;pwned\x07")
    env = {**os.environ, "TERM": "dumb", "COLUMNS": "200"}
    done = subprocess.run([sys.executable, "-c", code], stderr=theirs, env=env, check=False)
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert done.returncode == 0, shown
    assert "\x1b]0;" not in shown
    assert "[/red] [b]" in shown


def grpolab(*words: object, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "grpolab", *map(str, words)]
    return subprocess.run(command, capture_output=True, cwd=cwd, check=False)


@pytest.mark.slow
def test_hostile_names_of_keys_files_and_prompts_are_shown_escaped(tmp_path: Path) -> None:
    """Every command that reads: of keys, columns, file names, prompt ids and folders."""
    name = "a\x1b[31m\u202e\n.jsonl"
    key = ATTACK.replace("\udc80", "")
    rows = [{key: 1}, {"problem": key, "correct": 7}, {"problem": key, "correct": key}]
    for row in rows:
        (tmp_path / name).write_text(json.dumps(row) + "\n")
        done = grpolab("audit", name, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, b"")
        check(done, refusal=True)
    good = [{"problem": f"{key}{i}", "correct": i % 2} for i in range(6) for _ in range(4)]
    (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in good))
    done = grpolab("audit", name, "--html", "p\x1b.html", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "a\\x1b[31m\\u202e\\n.jsonl" in done.stdout.decode()
    check(done)
    table = b"problem,correct\na,1\na,0\nb,0\nb,0\n"
    columns = pa.table({"problem": ["a", "a", "b", "b"], "correct": [1, 0, 0, 0]})
    pq.write_table(columns, parquet := io.BytesIO())
    contents = {".csv": table, ".csv.gz": gzip.compress(table), ".parquet": parquet.getvalue()}
    for ending, content in contents.items():
        name = os.fsdecode(b"\xff\x1b") + ending  # no UTF-8
        (tmp_path / name).write_bytes(content)
        done = grpolab("audit", name, "--html", "q.html", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert f"\\udcff\\x1b{ending}" in done.stdout.decode()
        check(done)
    for words in (["monitor", "m\x1b]\n"], ["audit", "x\x1b]"], ["audit", name, "--score", "\x1bs"],
                  ["figures", "\x1bf"], ["simulate", "sweep", "\x1be"], ["\x1bcommand"],
                  ["rollout", "\x1bm/x/y", "--task", "\x1b", "--out", "o"],
                  ["verify", "\x1bv"], ["study", "--preset", "\x1b"]):  # fmt: skip
        done = grpolab(*words, cwd=tmp_path)
        assert done.returncode == 2, (words, done.stderr)
        check(done, refusal=True)


def check(done: subprocess.CompletedProcess[bytes], *, refusal: bool = False) -> None:
    out, err = done.stdout.decode(), done.stderr.decode()
    assert all(line.isprintable() for line in (out + err).split("\n")), (out, err)
    assert "pwned" not in out + err or "]0;pwned\\x07" in out + err
    if refusal:
        assert err.count("\n") == 1
        assert err.startswith("grpolab: error: ")

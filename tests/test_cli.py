"""The command line: help, version, and bad input, which is one line and exit status 2."""

from __future__ import annotations

import errno
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import typer

from grpolab import __version__, cli
from grpolab.errors import UserError, input_errors, require


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "grpolab", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def run_main(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int | str | None:
    """Exit status of the command line when a command raises the error."""

    def command() -> None:
        raise error

    app = typer.Typer()
    app.command()(command)
    monkeypatch.setattr(cli, "app", app)
    monkeypatch.setattr(sys, "argv", ["grpolab"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code


def snapshot(folder: Path) -> dict[str, bytes | None]:
    return {str(p): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


def refusal(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """What a command says when it refuses its input, which must be one line and status 2."""
    monkeypatch.setattr(sys, "argv", ["grpolab", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    out, err = capsys.readouterr()
    assert (stop.value.code, out, err.count("\n")) == (2, "", 1), err
    assert err.startswith("grpolab: error: ")
    return err


def test_version() -> None:
    done = run("--version")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == f"grpolab {__version__}"
    assert f"numpy {metadata.version('numpy')}" in lines
    assert [line.split()[0] for line in lines][-2:] == ["trl", "vllm"]


def test_version_is_an_object_and_imports_nothing_to_know() -> None:
    code = (
        "import sys, grpolab.cli as c; sys.argv = ['grpolab', '--version', '--json']\n"
        "try: c.main()\n"
        "except SystemExit as stop: assert not stop.code\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert (found["grpolab"], found["numpy"]) == (__version__, metadata.version("numpy"))


def test_json_before_a_command_says_where_it_goes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(["--json", "pstar", "-g", "8"], monkeypatch, capsys)
    assert "pstar -g 8 --json" in said


def test_help() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("words", [["no-such-command"], ["--no-such-option"]])
def test_wrong_usage(words: list[str]) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert words[0] in done.stderr
    assert "Traceback" not in done.stderr


def test_help_leaves_the_ends_of_lines_to_the_terminal() -> None:
    commands = [cli.load_command(name) for name in cli.COMMANDS]
    helps = [
        one.help for c in commands for one in (c, *getattr(c, "commands", {}).values()) if one.help
    ]
    assert len(helps) > 15
    assert [h for h in helps if "\n" in h.replace("\n\n", "")] == []


def test_a_wrong_option_names_the_command_that_lists_the_right_ones(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["grpolab", "simulate", "dynamics", "--foo"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    said = capsys.readouterr().err.rstrip()
    assert said.endswith("simulate dynamics --help lists what there is)")


def test_a_group_without_a_command_prints_its_help() -> None:
    done = run("simulate")
    assert (done.returncode, done.stderr) == (2, "")
    assert "dynamics" in done.stdout


def test_an_interrupt_says_so_and_ends_with_130() -> None:
    words = ["simulate", "dynamics", "--trap", "0.02", "--chains", "1000000"]
    command = [sys.executable, "-m", "grpolab", *words]
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # a background job of a shell ignores interrupts, and its children with it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert running.stderr is not None
    assert "points" in running.stderr.readline()  # what says that it takes long
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "grpolab: interrupted"
    assert "Traceback" not in err


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = f"{shlex.quote(sys.executable)} -m grpolab pstar -g 8 --json | head -c 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("{", "")


@pytest.mark.parametrize("plain", [{"NO_COLOR": "1"}, {}])
def test_colours_on_a_terminal_only_and_never_with_no_color(plain: dict[str, str]) -> None:
    ours, theirs = pty.openpty()
    env = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    env |= {"TERM": "xterm-256color", **plain}
    command = [sys.executable, "-m", "grpolab", "--help"]
    subprocess.run(command, stdout=theirs, env=env, check=True)
    os.close(theirs)
    shown = os.read(ours, 1 << 16)
    os.close(ours)
    assert b"Usage" in shown
    assert bool(re.search(rb"\x1b\[[0-9;]*3[0-7]m", shown)) == (not plain)
    piped = subprocess.run(command, capture_output=True, env=env, check=True)
    assert b"\x1b" not in piped.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    env = {**os.environ, "_GRPOLAB_COMPLETE": f"source_{shell}"}
    command = [sys.executable, "-c", "import sys; from grpolab.cli import main;"
               " sys.argv = ['grpolab']; main()"]  # fmt: skip
    script = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert "_GRPOLAB_COMPLETE" in script.stdout
    assert script.stderr == ""
    if shell == "bash":
        env |= {"_GRPOLAB_COMPLETE": "complete_bash", "COMP_WORDS": "grpolab ps", "COMP_CWORD": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
        assert done.stdout.split() == ["pstar"]


def test_bad_input_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_main(UserError("runs/a: no such file"), monkeypatch) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", "grpolab: error: runs/a: no such file\n")


def test_interrupt_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_main(KeyboardInterrupt(), monkeypatch) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_a_bug_is_not_dressed_up_as_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError):
        run_main(ZeroDivisionError(), monkeypatch)


def test_what_the_machine_refuses_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a-file").touch()
    said = refusal(["explore", "--out", str(tmp_path)], monkeypatch, capsys)
    assert f"{tmp_path}: is a folder" in said
    said = refusal(["explore", "--out", str(tmp_path / "a-file" / "e.html")], monkeypatch, capsys)
    assert "a-file" in said
    refused = [
        *(OSError(code, os.strerror(code), "a\x1bb") for code in sorted(errno.errorcode)),
        OSError("Can't load tokenizer\nfor two reasons"), MemoryError(),
    ]  # fmt: skip
    for error in refused:
        if isinstance(error, BrokenPipeError):
            continue  # a reader that has seen enough
        assert run_main(error, monkeypatch) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert "\x1b" not in err
        assert getattr(error, "filename", None) is None or err.startswith(
            "grpolab: error: a\\x1bb: "
        )


def test_a_missing_package_is_named_with_its_remedy() -> None:
    require("json", extra="train")
    with pytest.raises(UserError, match=r"needs no_such_package.*'grpolab\[train\]'"):
        require("no_such_package", extra="train")


def test_input_errors_leaves_other_errors_alone() -> None:
    with pytest.raises(TypeError), input_errors():
        raise TypeError


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--preset", "huge"], "'huge' is not one of 'smoke', 'micro', 'default'"),
        (["--task", "chess"], "'chess' is not one of 'coins', 'countdown'"),
        (["--device", "abacus"], "'abacus' is not one of 'cpu', 'cuda', 'auto'"),
        (["--out", "a-file"], "a-file: is a file"),
        (["--out", "photos"], "photos: not empty and not a study"),
        (["--out", "other-run"], "other-run: holds another run"),
        (["--out", "broken-run"], "broken-run/run.json: not valid JSON"),
    ],
)
def test_study_refuses(
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    files = {
        "a-file": "", "photos/cat.png": "", "other-run/run.json": '{"config": {"preset": "x"}}',
        "broken-run/run.json": "{",
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    before = snapshot(tmp_path)
    assert said in refusal(["study", "--preset", "smoke", *words], monkeypatch, capsys)
    assert snapshot(tmp_path) == before


def test_study_without_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "torch", None)
    said = refusal(["study", "--preset", "smoke"], monkeypatch, capsys)
    assert "needs torch" in said
    assert "grpolab[train]" in said
    assert snapshot(tmp_path) == {}


def test_brackets_of_a_formula_are_no_markup(capsys):
    from grpolab.cli._output import print_table
    from grpolab.figures.tables import Table

    print_table(Table(["E[column]"], [["E[sigma] = p"]], title="E[title]"))
    shown = capsys.readouterr().out
    assert "E[sigma] = p" in shown
    assert "E[title]" in shown


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("words", [["pstar", "-g", "8", "--json"], ["pstar", "-g", "8"]])
def test_an_output_that_takes_nothing_is_one_line(words: list[str]) -> None:
    command = [sys.executable, "-m", "grpolab", *words]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "grpolab: error: No space left on device\n"
    shell = shlex.join(command) + " >&-"
    done = subprocess.run(shell, shell=True, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_output_of_few_letters_shows_the_others_escaped(tmp_path: Path) -> None:
    (tmp_path / "\N{GREEK SMALL LETTER PI}.csv").write_text("problem,correct\na,1\na,0\nb,1\nb,1\n")
    command = [sys.executable, "-m", "grpolab", "audit", *map(str, tmp_path.iterdir())]
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0
    assert done.stderr.isascii()  # a slow machine also sees progress there
    assert "\\u03c0.csv" in done.stdout

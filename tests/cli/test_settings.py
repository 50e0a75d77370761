"""What every command shares: short help, no progress on demand, options from a file, plans."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from grpolab import cli

MODEL = ["train", "m", "--task", "sums", "--out"]


def talk(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of a call."""
    monkeypatch.setattr(sys, "argv", ["grpolab", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert isinstance(stop.value.code, int)
    return stop.value.code, *capsys.readouterr()


@pytest.mark.parametrize("words", [["-h"], ["audit", "-h"], ["simulate", "sweep", "-h"]])
def test_short_help_is_the_help(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    short = talk(words, monkeypatch, capsys)
    assert short == talk([*words[:-1], "--help"], monkeypatch, capsys)
    assert short[0] == 0
    assert "Example" in short[1]


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_can_be_quiet(name: str) -> None:
    command = cli.load_command(name)
    for one in getattr(command, "commands", {"": command}).values():
        assert any("--quiet" in option.opts for option in one.params)


SWEEP = ["simulate", "sweep", "pstar", "--set", "group_size=4,8", "--set", "num_groups=100"]


def test_quiet_leaves_the_plan_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*SWEEP, "--set", "rho=0.2", "--out", str(tmp_path / "s")]
    status, out, err = talk(words, monkeypatch, capsys)
    assert status == 0
    assert err.startswith("plan: 2 points of pstar, 1 at a time, into ")
    assert out.rstrip().splitlines()[-1].startswith(f"wrote {tmp_path / 's'};")
    assert talk([*words, "-q"], monkeypatch, capsys) == (0, out, "")


@pytest.mark.parametrize("words", [SWEEP, ["verify", "--full"], ["study", "--preset", "smoke"]])
def test_a_dry_run_says_its_plan_and_does_nothing(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if words[0] == "study":
        pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    status, out, err = talk([*words, "--dry-run"], monkeypatch, capsys)
    assert (status, err) == (0, "")
    assert out.startswith("plan: ")
    assert len(out.splitlines()) == 1
    assert list(json.loads(talk([*words, "--dry-run", "--json"], monkeypatch, capsys)[1])) == [
        "plan"
    ]
    assert list(tmp_path.iterdir()) == []


FILES = {
    "a.yaml": "steps: 7\nlr: 1e-5\ngroup-size: 4\ndynamic_sampling: off\nshuffle: yes\n"
    "stop: [Q, A]\nbetas: [0.9, 0.95]\nreference: null\n",
    "a.toml": 'steps = 7\nlr = 1e-5\ng = 4\ndynamic-sampling = "off"\nshuffle = true\n'
    'stop = ["Q", "A"]\nbetas = "0.9,0.95"\n',
    "a.json": '{"steps": 7, "lr": 1e-5, "-g": 4, "shuffle": true, "stop": ["Q", "A"],'
    ' "betas": [0.9, 0.95]}',
}


@pytest.mark.parametrize("name", FILES)
def test_options_from_a_file_are_as_if_typed(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(FILES[name])
    command = cli.load_command("train")
    words = [*MODEL, "x", "--steps", "9", "--config", str(path)]
    with command.make_context("train", words[1:]) as context:
        found = context.params
    assert (found["steps"], found["lr"], found["group_size"]) == (9, 1e-5, 4)
    assert (found["shuffle"], list(found["stop"])) == (True, ["Q", "A"])
    assert (found["betas"], str(found["dynamic_sampling"].value)) == ("0.9,0.95", "off")
    assert found["reference"] == ""


def test_a_required_option_may_stand_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "all.yaml"
    path.write_text("model: m\ntask: sums\nout: there\n")
    with cli.load_command("train").make_context("train", ["--config", str(path)]) as context:
        assert context.params["model"] == "m"
        assert context.params["out"] == Path("there")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.yaml", "stepz: 3", "no option 'stepz'; did you mean steps?"),
        ("a.yaml", "g: 3\ngroup-size: 4", "is set twice"),
        ("a.yaml", "steps: {a: 1}", "holds a table"),
        ("a.yaml", "shuffle: perhaps", "must be true or false"),
        ("a.yaml", "[1, 2]", "must hold options with values"),
        ("a.yaml", "a: [", "not valid yaml"),
        ("a.toml", "a = ", "not valid toml"),
        ("a.toml", "lr = true", "is no switch"),
        ("a.yaml", "steps: many", "Invalid value for '--steps'"),
        ("a.txt", "steps: 3", "must end in .yaml"),
        ("", "", "No such file"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(
    name: str,
    text: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / (name or "none.yaml")
    if name:
        path.write_text(text)
    status, out, err = talk(
        [*MODEL, str(tmp_path / "r"), "--config", str(path)], monkeypatch, capsys
    )
    assert (status, out) == (2, "")
    assert words in err
    assert len(err.splitlines()) == 1


def shell(words: str, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv[0] = 'grpolab'\n"
         "from grpolab.cli import main; main()", *words.split()],
        capture_output=True, text=True, check=False, env={**os.environ, **variables},
    )  # fmt: skip
    return done.stdout


def test_no_color_is_honoured() -> None:
    always = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "NO_COLOR": ""}
    coloured = "\x1b[3"
    assert coloured in shell("pstar -h", **always)
    assert coloured not in shell("pstar -h", **{**always, "NO_COLOR": "1"})


COMPLETED = {
    "grpolab tri": "triage", "grpolab audit --ht": "--html", "grpolab simulate sw": "sweep",
    "grpolab train --lo": "--loss",
}  # fmt: skip


@pytest.mark.parametrize(("line", "word"), COMPLETED.items())
def test_the_shell_completes(line: str, word: str) -> None:
    place = str(len(line.split()) - 1)
    found = shell("", _GRPOLAB_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=place)
    assert word in found.split()


PRIVATE = re.compile(
    r"\b(doors?|rooms?|roads?|silent|silence|stands? for|calls? inversions?)\b", re.I
)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_option_has_a_help_in_plain_words(name: str) -> None:
    command = cli.load_command(name)
    for one in getattr(command, "commands", {"": command}).values():
        texts = [one.help, *(option.help for option in one.params)]
        assert all(texts), [option.name for option in one.params if not option.help]
        assert not [text for text in texts if PRIVATE.search(text)]

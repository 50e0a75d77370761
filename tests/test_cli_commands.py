"""What holds for every command: help with an example that parses, and one JSON object."""

from __future__ import annotations

import itertools
import json
import re
import runpy
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from grpolab import cli

TABLE = runpy.run_path(str(Path(__file__).with_name("test_imports.py")))
MODEL_FREE: dict[str, list[str]] = TABLE["MODEL_FREE"]
COMMANDS: dict[str, list[str]] = TABLE["commands"]()


def example(command: Any) -> list[str]:
    """Words of the example in the help of a command, after the name of the program."""
    found = re.search(r"^Example: grpolab (.+)$", command.help or "", re.MULTILINE)
    assert found, "the help has no line 'Example: grpolab ...'"
    words = shlex.split(found[1])
    return list(itertools.takewhile(lambda word: word not in {"|", "||", "&&"}, words))


def find(words: list[str]) -> Any:
    command = cli.load_command(words[0])
    for word in words[1:]:
        command = command.commands[word]
    return command


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_list_of_commands_has_the_first_sentence_of_each(name: str) -> None:
    command = cli.load_command(name)
    assert command.name == name
    assert (command.help or "").partition("\n")[0] == cli.COMMANDS[name]


def talk(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    """Exit status and stdout of a call."""
    monkeypatch.setattr(sys, "argv", ["grpolab", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert isinstance(stop.value.code, int)
    return stop.value.code, capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example_that_parses(name: str) -> None:
    words = COMMANDS[name]
    command, call = find(words), example(find(words))
    assert call[: len(words)] == words
    with command.make_context(name, call[len(words) :]):
        pass


def test_an_example_that_does_not_parse_is_seen() -> None:
    with pytest.raises(typer.TyperException, match="No such option"):
        find(["pstar"]).make_context("pstar", ["-g", "8", "--no-such-option"])


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_its_example(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out = talk([*COMMANDS[name], "--help"], monkeypatch, capsys)
    assert status == 0
    assert "Example: grpolab" in out
    assert "--json" in out


@pytest.mark.parametrize("name", [name for name in MODEL_FREE if name in COMMANDS])
def test_json_is_one_object_and_nothing_else(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out = talk([*MODEL_FREE[name], "--json"], monkeypatch, capsys)
    assert status in (0, 1)
    assert isinstance(json.loads(out), dict)

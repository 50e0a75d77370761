"""`grpolab figures`: files, one object, and plain words about what cannot be drawn."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from grpolab.cli import figures as command
from grpolab.cli.figures import figures
from grpolab.errors import UserError

app = typer.Typer()
app.command()(figures)


def run(*words):
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def fails(*words):
    with pytest.raises(UserError) as caught:
        CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    return str(caught.value)


def test_draws_what_is_named(tmp_path):
    out = tmp_path / "new"
    assert run("spread", "--out", out) == f"wrote 2 files to {out}\n"
    assert sorted(p.name for p in out.iterdir()) == ["spread.png", "spread.svg"]


def test_json(tmp_path):
    found = json.loads(run("weight", "--out", tmp_path, "--json"))
    assert found == {
        "out": str(tmp_path),
        "files": [str(tmp_path / "weight.svg"), str(tmp_path / "weight.png")],
        "skipped": {},
    }


def test_skips_what_has_no_file(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(command, "_draw", lambda claims, folder, out: drawn.extend(claims) or [])
    said = run("--results", tmp_path, "--out", tmp_path)
    assert f"skipped ladder: full.json is not in {tmp_path}\n" in said
    assert said.startswith(f"wrote 0 files to {tmp_path}\n")
    assert {c.name for c in drawn} == {"p-star", "spread", "weight", "escape", "trap", "kl"}
    found = json.loads(run("--results", tmp_path, "--out", tmp_path, "--json"))
    assert found["skipped"]["steps"] == ["steps.json"]


def test_without_a_checkout(monkeypatch):
    monkeypatch.setattr(command, "_committed", lambda: None)
    assert fails("ladder") == "ladder needs full.json in --results DIR"


def test_the_checkout_is_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command._committed() == Path(__file__).parents[2] / "docs" / "results"


def test_bad_input(tmp_path):
    assert fails("nothing").startswith("no figure is called nothing; there are p-star, spread")
    assert fails("--results", tmp_path / "no") == f"--results {tmp_path / 'no'}: no such folder"
    assert fails("forecast", "--results", tmp_path) == f"forecast needs full.json in {tmp_path}"


def test_list(tmp_path):
    found = json.loads(run("--list", "--json", "--results", tmp_path))["figures"]
    ladder = next(entry for entry in found if entry["name"] == "ladder")
    assert ladder["reads"] == ladder["missing"] == ["full.json"]
    assert ladder["data"] == "grpolab.figures.ladder.data"
    shown = run("--list", "weight")
    assert "With std scaling a prompt" in shown
    assert "computed" in shown

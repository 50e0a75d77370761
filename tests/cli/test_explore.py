"""`grpolab explore`: a file, one object, and a browser only where somebody watches."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from grpolab.cli.explore import explore

app = typer.Typer()
app.command()(explore)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses that were opened in the browser."""
    found: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: found.append(address) or True)
    return found


def run(*words: Any) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_json(tmp_path: Path, opened: list[str]) -> None:
    out = tmp_path / "new" / "e.html"
    found = json.loads(run("--out", out, "--json"))
    assert found == {"out": str(out), "num_bytes": out.stat().st_size, "opened": False}
    assert out.read_text().startswith("<!doctype html>")
    assert opened == []


def test_a_browser_opens_when_asked(tmp_path: Path, opened: list[str]) -> None:
    out = tmp_path / "e.html"
    assert run("--out", out) == f"wrote {out}; open it in any browser\n"
    assert opened == []
    assert run("--out", out, "--open") == f"wrote {out}\n"
    assert opened == [out.as_uri()]


def test_the_sliders_start_from_results(tmp_path: Path, opened: list[str]) -> None:
    table, out = tmp_path / "t.csv", tmp_path / "e.html"
    table.write_text("problem,num_correct,num_samples\na,1,4\nb,4,4\nc,0,4\n")
    run("--out", out, "--data", table)
    text = out.read_text()
    shipped = json.loads(text.split("const DATA = ", 1)[1].split(";\n", 1)[0])
    (result,) = shipped["results"]
    assert (result["label"], result["mean_reward"]) == ("t.csv", 5 / 12)
    assert result["zero_std"]["4"]["predicted"] == pytest.approx(2 / 3)
    assert opened == []

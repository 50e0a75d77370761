"""`grpolab study --preset trial`: what the protocol fixes cannot be given, and what it prints."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from grpolab.cli.study import study
from grpolab.validate.study.trial import main

app = typer.Typer()
app.command()(study)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--preset", "trial", "--task", "coins"), "fixes this: leave out --task"),
        (("--preset", "trial", "--device", "cpu"), "fixes this: leave out --device"),
        (("--preset", "trial", "--designs", "labels-shift,nothing"), "unknown design 'nothing'"),
        (("--preset", "smoke", "--designs", "labels-shift"), "--preset trial"),
    ],
)
def test_what_cannot_be_asked(tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "t")])
    assert done.exit_code != 0
    assert message in f"{done.output} {done.exception}"
    assert not (tmp_path / "t").exists()


def test_it_says_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        main, "run_trial", lambda out, **_: {"out": str(out), "done": 3, "designs": 26, "left": 7}
    )
    done = CliRunner().invoke(app, ["--preset", "trial", "--out", str(tmp_path), "--minutes", "1"])
    assert "3 of 26 designs are done" in done.output
    assert "7 jobs of the next one left" in done.output

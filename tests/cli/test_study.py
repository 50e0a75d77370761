"""`grpolab study`: what cannot be asked, other families and seeds, the trial's progress."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from grpolab.cli.study import study
from grpolab.validate.study.main import configure, size_of
from grpolab.validate.study.trial import main

app = typer.Typer()
app.command()(study)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--preset", "trial", "--task", "coins"), "fixes this: leave out --task"),
        (("--preset", "trial", "--device", "cpu"), "fixes this: leave out --device"),
        (("--preset", "trial", "--designs", "labels-shift,nothing"), "unknown design 'nothing'"),
        (("--preset", "trial", "--seeds", "1"), "fixes this: leave out --seeds"),
        (("--preset", "smoke", "--designs", "labels-shift"), "--preset trial"),
        (("--families", "coins/shift", "--task", "coins"), "--task or --families, not both"),
        (("--families", "coins"), "a family is task/regime"),
        (("--families", "coins/often"), "unknown regime 'often'"),
        (("--families", "chess/shift"), "unknown task 'chess'"),
        (("--families", "coins/shift,coins/shift"), "names one of them twice"),
        (("--seeds", "0,one"), "whole numbers as 1,2,4"),
        (("--seeds", "-1"), "a seed is 0 or more"),
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


def test_a_study_of_other_families_and_seeds(tmp_path: Path) -> None:
    words = ["--preset", "micro", "--families", "coins/shift, countdown/broad", "--seeds", "3,5"]
    done = CliRunner().invoke(app, [*words, "--dry-run", "--json", "--out", str(tmp_path / "t")])
    assert done.exit_code == 0, done.output
    found = configure("micro", task=None, families=["coins/shift", "countdown/broad"], seeds=[3, 5])
    assert (found.families, found.seeds) == (("coins/shift", "countdown/broad"), (3, 5))
    # two tasks x two seeds x (base model, ladder, evaluations and runs of three depths)
    assert size_of(found).split(" ")[0] in done.output
    assert found.grpo == configure("micro", task=None).grpo

"""`grpolab simulate`: one JSON object, tables, plots, and a folder to resume in."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from grpolab.cli import main
from grpolab.cli.simulate import simulate
from grpolab.errors import UserError

PSTAR = ["pstar", "-g", "4", "-g", "8", "--groups", "2000"]
LADDER = ["ladder", "--accuracy", "0.5", "--interference", "0", "--steps", "5", "--repeats", "2"]
DYNAMICS = ["dynamics", "--rule", "grpo", "--p0", "0.3", "--steps", "20", "--chains", "200"]


def run(*args: Any) -> Any:
    result = CliRunner().invoke(simulate, [str(a) for a in args])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def test_pstar_json() -> None:
    found = json.loads(run(*PSTAR, "--json").stdout)
    assert [r["point"]["group_size"] for r in found["results"]] == [4, 8]
    for row in found["results"]:
        assert row["low"] < row["theory"] < row["high"]
        assert row["waiting"]["low"] < row["theory"] < row["waiting"]["high"]


def test_no_safe_zone_is_null() -> None:
    found = json.loads(run("pstar", "-g", 8, "--rho", 0.7, "--groups", 500, "--json").stdout)
    assert found["results"][0]["estimate"] is None
    assert found["results"][0]["theory"] is None


def test_dynamics_json() -> None:
    found = json.loads(run(*DYNAMICS, "--json").stdout)
    escape, path = found["escape"][0], found["trajectories"][0]
    assert abs(escape["mean"] - escape["exact"]) < 5 * escape["stderr"]
    assert len(path["step"]) == len(path["mean_p"]) == len(path["mean_field"]) == 21
    assert found["trap"] == []


def test_ladder_json() -> None:
    found = json.loads(run(*LADDER, "--json").stdout)["results"][0]
    assert len(found["depths"]) == len(found["outcome"]) == len(found["pass_at_1"])
    assert isinstance(found["inverted"], bool)


def test_independence() -> None:
    args = ["independence", "--prompts", 20, "--tables", 5, "--repeats", 2]
    found = json.loads(run(*args, "--json").stdout)["results"]
    assert [r["point"]["kind"] for r in found] == ["independent", "copy"]
    assert found[0]["pooled_tarone"]["num_tables"] == 5
    assert "pair contrast" in run(*args).stdout


def test_sweep_sets_values() -> None:
    args = ["sweep", "escape", "--set", "p0=0.2,0.3", "--set", "num-chains=100", "--json"]
    found = json.loads(run(*args).stdout)
    assert [r["p0"] for r in found["results"]] == [0.2, 0.3]


INDEPENDENCE = ["independence", "--prompts", "20", "--tables", "3"]
ESCAPE = ["sweep", "escape", "--set", "p0=0.2,0.3", "--set", "num-chains=100"]
TRAP = ["sweep", "trap", "--set", "group_size=4,8", "--set", "load=0.1",
        "--set", "num_steps=200", "--set", "num_chains=500"]  # fmt: skip


@pytest.mark.parametrize("args", [PSTAR, DYNAMICS, LADDER, INDEPENDENCE, ESCAPE, TRAP])
def test_tables_and_plots(args: list[str], tmp_path: Path) -> None:
    plot = tmp_path / "figure.svg"
    result = run(*args, "--plot", plot)
    assert "┃" in result.stdout
    assert plot.read_text().lstrip().startswith("<?xml")
    first = plot.read_bytes()
    run(*args, "--plot", plot)
    assert plot.read_bytes() == first


def test_resume(tmp_path: Path) -> None:
    first = run(*PSTAR, "--json", "--out", tmp_path).stdout
    stamps = {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    assert run(*PSTAR, "--json", "--out", tmp_path).stdout == first
    assert {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()} == stamps


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["pstar", "-g", "0"], "group_size"),
        (["ladder", "--accuracy", "2"], "label_accuracy must"),
        (["sweep", "nothing"], "experiment must be one of"),
        (["sweep", "pstar", "--set", "g"], "--set needs"),
        (["sweep", "pstar", "--set", "colour=red"], "pstar has no parameter colour; it has group"),
        (["sweep", "pstar", "--set", "seed=1"], "no parameter seed"),
        (["sweep", "pstar", "--set", "rho=0.1"], "pstar needs group_size"),
        (["sweep", "pstar", "--set", "group_size=8.5"], "group_size must be a whole number"),
        (["sweep", "pstar", "--set", "group_size=true"], "group_size must be a whole number"),
        (["sweep", "trajectory", "--set", "mask_cut=1"], "mask_cut must be true or false, got 1"),
        (["sweep", "escape", "--set", "p0=high"], "p0 must be a number, got high"),
        (["sweep", "ladder", "--set", "colour=red"], "ladder has no parameter colour"),
        ([*LADDER, "--plot", "figure.bmp"], "--plot must end in"),
        ([*LADDER, "--backend", "slurm"], "backend must be"),
    ],
)
def test_bad_input_is_one_line(args: list[str], words: str) -> None:
    with pytest.raises(UserError, match=words) as found:
        run(*args)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    "words",
    [
        ["pstar", "--model", "gaussian"],
        ["pstar", "--event", "equal"],
        ["dynamics", "--rule", "ppo"],
        ["ladder", "--kl-reference", "end"],
    ],
)
def test_a_wrong_choice_is_named(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["grpolab", "simulate", *words])
    with pytest.raises(SystemExit) as stop:
        main()
    out, err = capsys.readouterr()
    assert (stop.value.code, out, err.count("\n")) == (2, "", 1)
    assert words[1] in err
    assert f"'{words[2]}' is not one of" in err

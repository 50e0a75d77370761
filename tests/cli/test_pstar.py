import json

import pytest
import typer
from typer.testing import CliRunner

from grpolab.cli.pstar import pstar
from grpolab.errors import UserError
from grpolab.theory import MODELS

app = typer.Typer()
app.command()(pstar)


def run(*args):
    done = CliRunner().invoke(app, list(args), catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_json():
    got = json.loads(run("-g", "8", "--json"))
    assert got["p_star"] == pytest.approx(0.082996, abs=5e-7)
    assert got["p_star_upper"] == pytest.approx(1 - got["p_star"])
    assert (got["group_size"], got["rho"]) == (8, 0.0)
    assert (got["model"], got["event"]) == ("beta-binomial", "identical")


def test_no_safe_zone_is_null():
    got = json.loads(run("-g", "8", "--rho", "0.7", "--json"))
    assert got["p_star"] is None
    assert got["critical_rho"] == pytest.approx(0.595, abs=5e-4)


def test_a_grader_that_errs():
    got = json.loads(run("-g", "8", "--true-positive", "0.9", "--false-positive", "0.05", "--json"))
    truth = got["truth"]
    assert 0.05 + 0.85 * truth["p_star"] == pytest.approx(got["p_star"])
    assert truth["p_star_upper"] is None  # it fails more than that of the right answers
    shown = run("-g", "8", "--true-positive", "0.9", "--false-positive", "0.2")
    assert "the grader shows no true rate as this" in shown
    assert json.loads(run("-g", "8", "--json"))["truth"] is None


@pytest.mark.parametrize("model", MODELS)
def test_every_model_lies_in_the_band(model):
    got = json.loads(run("-g", "8", "--rho", "0.2", "--model", model, "--json"))
    low, high = got["band"]
    assert low - 1e-6 <= got["p_star"] <= high + 1e-6


def test_all_wrong():
    got = json.loads(run("-g", "4", "--rho", "0.5", "--event", "all-wrong", "--json"))
    assert got["p_star"] == pytest.approx(0.2965, abs=5e-5)
    assert got["band"] is None


def test_table():
    out = run("-g", "8", "--rho", "0.2")
    assert "0.1397" in out
    assert "0.1771" in out


def test_plot(tmp_path):
    target = tmp_path / "p.png"
    run("-g", "8", "--json", "--plot", str(target))
    assert target.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UserError, match="cannot draw to"):
        run("-g", "8", "--plot", str(tmp_path / "none" / "p.png"))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["-g", "0"], "group_size must be a whole number >= 1, got 0"),
        (["-g", "8", "--rho", "1.5"], "rho must lie in"),
        (["-g", "8", "--frac", "1"], "frac must lie in"),
    ],
)
def test_bad_input(args, message):
    with pytest.raises(UserError, match=message):
        run(*args)

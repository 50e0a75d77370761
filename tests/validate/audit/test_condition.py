"""``audit --fail-on``: what a condition says, and the status that a job sees."""

import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from grpolab import GroupCounts, audit
from grpolab.cli.audit import audit as command
from grpolab.errors import UserError
from grpolab.validate.audit.condition import Condition

app = typer.Typer()
app.command()(command)


@pytest.fixture(scope="module")
def found():
    drawn = np.random.default_rng(0).binomial(16, np.random.default_rng(1).beta(0.3, 0.5, 200))
    return audit(GroupCounts(drawn, 16), rng=0, group_sizes=[8], num_resamples=50, label="a")


def test_every_quantity(found):
    p = found.plans[8].prediction
    for text, value in (
        ("zero_std(8)", p.zero_std), ("all_wrong(8)", p.all_wrong), ("all_right(8)", p.all_right),
        ("pass_at(4)", found.pass_at_k[4].value), ("icc", found.icc.estimate),
    ):  # fmt: skip
        above, said = Condition.parse(f"{text} > {value - 1e-3}").holds(found)
        below, _ = Condition.parse(f"{text}<{value - 1e-3}").holds(found)
        assert (above, below) == (True, False)
        assert said.startswith(f"a: {text} = {value:.3f}")
    assert Condition.parse(f"icc >= {found.icc.estimate}").holds(found)[0]
    assert not Condition.parse(f"icc < {found.icc.estimate}").holds(found)[0]


@pytest.mark.parametrize(
    "text",
    ["zero_std > 0.8", "zero_std(1) > 0.8", "icc(3) > 1", "nonsense(8) > 1", "zero_std(8)",
     "zero_std(8) = 0.8", "zero_std(8) > 0.8.1", "pass_at(0) > 0", ""],
)  # fmt: skip
def test_what_is_no_condition_is_refused(text):
    with pytest.raises(ValueError):
        Condition.parse(text)


def test_a_quantity_that_cannot_be_told_is_no_pass(found):
    with pytest.raises(ValueError, match=r"cannot tell pass_at\(64\)"):
        Condition.parse("pass_at(64) < 0.5").holds(found)


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    p = rng.beta(0.3, 0.5, 200)
    rows = [f"{i},{int(v)}" for i in range(200) for v in rng.random(16) < p[i]]
    path = tmp_path / "results.csv"
    path.write_text("\n".join(["id,correct", *rows]) + "\n")
    return path


def test_the_status_that_a_job_sees(table):
    run = CliRunner().invoke
    bad = run(app, [str(table), "--fail-on", "zero_std(8) > 0.1"])
    assert bad.exit_code == 1
    assert bad.stdout.splitlines()[-1].startswith("fail: results.csv: zero_std(8) = ")
    good = run(app, [str(table), "--fail-on", "zero_std(8) > 0.99", "--fail-on", "icc > 0.99"])
    assert good.exit_code == 0
    assert [line[:3] for line in good.stdout.splitlines()[-2:]] == ["ok:", "ok:"]
    told = run(app, [str(table), "--fail-on", "zero_std(8) > 0.1", "--json"])
    assert (told.exit_code, json.loads(told.stdout)["fail_on"][0]["fails"]) == (1, True)
    wrong = run(app, [str(table), "--fail-on", "zero_std > 0.1"])
    assert isinstance(wrong.exception, UserError)
    unknown = run(app, [str(table), "--fail-on", "pass_at(64) > 0.1"])
    assert isinstance(unknown.exception, UserError)


def test_markdown_for_a_pull_request(table):
    shown = CliRunner().invoke(app, [str(table), "-g", "8", "--markdown"]).stdout
    lines = shown.splitlines()
    assert lines[0].startswith("### results.csv: 200 prompts")
    start = next(i for i, line in enumerate(lines) if line.startswith("| g |"))
    assert lines[start - 1] == ""
    assert lines[start + 1].startswith("| --- |")
    assert "│" not in shown

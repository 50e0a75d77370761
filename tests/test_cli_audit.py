"""``grpolab audit`` from the outside: one JSON object, a table, exit codes."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from grpolab.cli.audit import audit
from grpolab.errors import UserError
from grpolab.validate.readers import FORMATS

DATA = Path(__file__).parent / "validate" / "readers" / "data"
app = typer.Typer()
app.command()(audit)


def run(*args):
    return CliRunner().invoke(app, [str(a) for a in args])


def test_json_is_one_object_and_nothing_else():
    result = run(DATA / "evalplus.eval_results.json.gz", "-g", 2, "-g", 8, "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    (entry,) = found["inputs"]
    assert (entry["format"], entry["num_prompts"], entry["num_samples"]) == ("evalplus", 164, 328)
    assert list(entry["zero_std"]) == ["2", "8"]
    assert entry["advice"]
    assert found["comparison"] == []


def test_several_inputs_are_compared():
    result = run(DATA / "human_eval.jsonl_results.jsonl", DATA / "lm_eval.samples.jsonl", "--json")
    found = json.loads(result.stdout)
    assert [e["label"] for e in found["inputs"]] == [
        "human_eval.jsonl_results.jsonl",
        "lm_eval.samples.jsonl",
    ]
    assert found["comparison"][0]["quantity"] == "pass@1"
    assert found["comparison"][0]["difference"] == 0.0
    assert [e["verdict"] for e in found["inputs"]] == ["passed", "pass@1"]


def test_several_inputs_stand_side_by_side(tmp_path):
    for name, verdicts in (("easy", "1110"), ("hard", "1000")):
        rows = [f"{p},{v}" for p in ("a", "b") for v in (verdicts, "0000")[p == "b"]]
        (tmp_path / f"{name}.csv").write_text("\n".join(["id,correct", *rows]) + "\n")
    page = tmp_path / "audit.html"
    result = run(tmp_path / "easy.csv", tmp_path / "hard.csv", "-g", 2, "-g", 8, "--html", page)
    table = result.stdout[result.stdout.index("Side by side") :]
    cells = [[c.strip() for c in line.split("│")[1:-1]] for line in table.splitlines()]
    rows = [c for c in cells if c]
    # a: 3 of 4 right; a pair agrees with probability 1/2, so E[sigma] = 1/2 (1/2) / 2
    assert rows[0] == ["easy.csv", "2", "2", "0.375", "0.500", rows[0][5], "0.750", "0.125"]
    assert rows[1] == ["hard.csv", "2", "2", "0.125", "0.250", rows[1][5], "0.750", "0.125"]
    assert [row[1] for row in rows] == ["2", "2", "8", "8"]
    # beyond the samples the row stands for a law of p that was fitted
    assert rows[2][4] not in ("-", rows[0][4])
    assert "(table: correct by id)" in result.stdout
    text = page.read_text()
    assert '<th scope="col">signal</th>' in text
    assert text.index('<th scope="col">signal</th>') < text.index("table: correct by id")


def test_tables_for_people(tmp_path):
    page = tmp_path / "audit.html"
    result = run(DATA / "trl", "--score", "correct", "-g", 4, "--html", page)
    assert result.exit_code == 0
    assert "Groups without a signal" in result.stdout
    assert "group size 4 was inferred" in result.stdout
    assert page.is_file()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nowhere"], "no such file"),
        ([DATA / "trl"], "which reward column"),
        ([DATA / "human_eval.jsonl_results.jsonl", "-g", "1"], "-g must be >= 2"),
        ([DATA / "lm_eval.samples.jsonl"] * 2, "given twice"),
    ],
)
def test_bad_input_is_one_line(args, message):
    result = run(*args)
    assert isinstance(result.exception, UserError)
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)


def test_formats_are_choices():
    result = run(DATA / "lm_eval.samples.jsonl", "--format", "xml")
    assert result.exit_code == 2
    assert "'xml' is not one of 'auto'" in " ".join(result.output.replace("│", " ").split())
    help_page = " ".join(run("--help").output.replace("│", " ").split())
    assert f"One of {', '.join(['auto', *(f.name for f in FORMATS)])[:40]}" in help_page


@pytest.mark.parametrize(
    ("words", "message"),
    [(["--threshold", "nan"], "threshold must be a number"),
     (["--recorded-group-size", "-1"], "group_size must be >= 1")],
)  # fmt: skip
def test_numbers_that_mean_nothing_are_refused(words, message):
    result = run(DATA / "lm_eval.samples.jsonl", *words)
    assert isinstance(result.exception, UserError)
    assert message in str(result.exception)


@pytest.mark.parametrize("form", ["terminal", "markdown", "json"])
def test_the_format_of_what_is_printed(form):
    path = DATA / "human_eval.jsonl_results.jsonl"
    rule = "pass_at(1) > 2"
    result = run(path, "-g", 2, "--fail-on", rule, "--format", form)
    flag = [] if form == "terminal" else [f"--{form}"]
    assert result.exit_code == 0
    assert result.stdout == run(path, "-g", 2, "--fail-on", rule, *flag).stdout
    assert run(path, "-g", 2, "--fail-on", "pass_at(1) > 0", "--format", form).exit_code == 1

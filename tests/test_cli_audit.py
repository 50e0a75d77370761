"""``grpolab audit`` from the outside: one JSON object, a table, exit codes."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from grpolab.cli.audit import audit
from grpolab.errors import UserError

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
        ([DATA / "lm_eval.samples.jsonl", "--format", "xml"], "unknown format"),
    ],
)
def test_bad_input_is_one_line(args, message):
    result = run(*args)
    assert isinstance(result.exception, UserError)
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)


def test_no_torch_is_imported():
    import subprocess
    import sys

    code = (
        "import sys; from grpolab.validate import readers, audit, advice, compare;"
        "assert 'torch' not in sys.modules and 'matplotlib' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

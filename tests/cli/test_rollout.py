"""``grpolab rollout`` and ``grpolab triage`` from the outside."""

import json

import pytest
import typer
from typer.testing import CliRunner

from grpolab.cli._output import shortest_tails
from grpolab.cli.rollout import rollout
from grpolab.cli.triage import triage
from grpolab.errors import UserError
from grpolab.validate.forecast.levels import levels
from grpolab.validate.models import TinyConfig, build_model, save_model
from grpolab.validate.study.tasks import make_task

torch = pytest.importorskip("torch")
rollouts_app, triage_app = typer.Typer(), typer.Typer()
rollouts_app.command()(rollout)
triage_app.command()(triage)
SMALL = ("--task", "coins", "--limit", "6", "--num-samples", "8", "-g", "4")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two checkpoints, one of which answers '+9 ...' far more often than chance."""
    root = tmp_path_factory.mktemp("models")
    task = make_task("coins", seed=0)
    for name, seed in (("one", 0), ("two", 1)):
        save_model(*build_model(task.vocabulary, TinyConfig(hidden=32, layers=1), seed=seed),
                   root / name)  # fmt: skip
    return root


def run(app, *args):
    return CliRunner().invoke(app, [str(a) for a in args])


def test_rollout_writes_a_run_that_audit_reads(models, tmp_path):
    out = tmp_path / "r"
    result = run(rollouts_app, models / "one", *SMALL, "--out", out, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["finished"], found["num_rollouts"], found["num_missing"]) == (True, 48, 0)
    assert found["entropies"]["token_entropy"] > 3  # an untrained model is nearly uniform
    assert found["provenance"]["sampling"]["engine"] == "transformers"
    from grpolab.validate import readers

    reading = readers.read(out / "groups.parquet", readers.ReadOptions())
    assert reading.counts.group_size.tolist() == [4] * 12


def test_workers_then_the_whole(models, tmp_path):
    args = (models / "one", *SMALL, "--out", tmp_path / "r", "--shard-rows", "16")
    first = run(rollouts_app, *args, "--worker", "0/2")
    assert "other shards" in first.stdout
    second = run(rollouts_app, *args, "--worker", "1/2")
    assert "48 rollouts" in second.stdout
    assert "groups.parquet" in second.stdout


def test_triage_gives_one_object_a_table_and_a_page(models, tmp_path):
    args = (models / "one", models / "two", "--task", "coins", "--limit", 6, "-g", 4,
            "--out", tmp_path / "t")  # fmt: skip
    result = run(triage_app, *args, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert sorted(found["ranking"]) == ["one", "two"]
    assert found["samples_per_prompt"] == 16
    assert found["advice"]
    assert [rule["name"] for rule in found["outcomes"]][:2] == ["pass@1", "pass@2"]
    assert any(levels().trial in line for line in found["advice"])
    page = tmp_path / "t.html"
    result = run(triage_app, *args, "--html", page)
    assert "6 prompts of rl x 16 samples, g=4" in result.stdout
    shown, written = result.stdout, page.read_text()
    for title in (
        "Checkpoints, most signal",
        "Rules for the outcome of RL",
        "Groups without",
        "Are these independent",
        "Entropies",
    ):
        assert title in shown
        assert title in written
    for column in ("informative groups", "per 1000 rollouts", "truncated", "answer entropy"):
        assert column in shown
        assert f'<th scope="col">{column}</th>' in written


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--task", "chess"), "unknown task 'chess'"),
        (("--task", "coins", "--split", "test"), "split"),
        (("--task", "coins", "--top-p", "2"), "top_p"),
        (("--task", "coins", "--num-samples", "6"), "multiple of group_size=8"),
        (("--task", "coins", "--max-new-tokens", "900"), "do not fit the context of 64"),
        (("--task", "coins", "--chat"), "no chat template"),
        (("--task", "coins", "--worker", "2/2"), "--worker must be I/N"),
    ],
)
def test_bad_input_is_one_line(models, tmp_path, args, message):
    result = run(rollouts_app, models / "one", "--out", tmp_path / "r", "--limit", 4, *args)
    assert isinstance(result.exception, UserError), result.output
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)


def test_records_of_a_file_are_a_task(models, tmp_path):
    rows = [{"question": f"make {n}", "gold": str(n)} for n in (5, 9, 12)]
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    args = (models / "one", "--task", path, "--verifier", "exact", "--columns", "question,gold",
            "--num-samples", 8, "--out", tmp_path / "r")  # fmt: skip
    assert "give --max-new-tokens" in str(run(rollouts_app, *args).exception)
    result = run(rollouts_app, *args, "--max-new-tokens", 4, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["num_rollouts"] == 24


@pytest.mark.parametrize(
    "words",
    [("--engine", "onnx"), ("--dtype", "int4"), ("--device", "gpu"), ("--device", "cuda:x")],
)
def test_a_wrong_choice_is_named_before_anything_is_loaded(words, tmp_path):
    result = run(rollouts_app, "m", "--task", "coins", "--out", tmp_path / "r", *words)
    assert result.exit_code == 2
    assert words[0] in result.output
    assert words[1] in result.output


def test_the_shortest_tails_tell_checkpoints_apart():
    def tails(*names):
        return shortest_tails(names, what="checkpoint")

    assert tails("runs/a/ckpt-1/", "runs/a/ckpt-2") == ["ckpt-1", "ckpt-2"]
    assert tails("/x/a/last", "/x/b/last") == ["a/last", "b/last"]
    with pytest.raises(UserError, match="the same checkpoint was given twice"):
        tails("a/b", "a/b/")


def test_device_auto_takes_what_there_is(models, tmp_path):
    args = (models / "one", *SMALL, "--out", tmp_path / "r")
    result = run(rollouts_app, *args, "--device", "auto", "--json")
    assert result.exit_code == 0, result.output
    if not torch.cuda.is_available():  # the same run, as its manifest says
        assert run(rollouts_app, *args, "--device", "cpu", "--json").exit_code == 0
    result = run(triage_app, models / "one", "--task", "coins", "--limit", 4, "-g", 2,
                 "--out", tmp_path / "t", "--device", "auto", "--json")  # fmt: skip
    assert result.exit_code == 0, result.output


def test_code_is_judged_in_a_sandbox_whose_level_is_recorded(models, tmp_path):
    rows = [
        {"task_id": f"a/{i}", "prompt": "make 9 with 2 5", "entry_point": "f",
         "test": "def check(f):\n    assert f(1) == 2\n"}
        for i in range(2)
    ]  # fmt: skip
    source = tmp_path / "code.jsonl"
    source.write_text("\n".join(map(json.dumps, rows)))
    args = (models / "one", "--task", source, "--num-samples", 8, "--max-new-tokens", 3)
    result = run(rollouts_app, *args, "--out", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["sandbox"] in (["bubblewrap"], ["landlock"])
    assert sum(found["outcomes"].values()) > 0
    assert "pass" not in found["outcomes"]
    assert found["mean_reward"] == 0

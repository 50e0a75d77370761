"""``grpolab probe`` from the outside."""

from __future__ import annotations

import json
import shutil

import pytest
import typer
from typer.testing import CliRunner

from grpolab.cli.probe import probe
from grpolab.cli.train import train
from grpolab.errors import UserError
from grpolab.validate.forecast.levels import levels
from grpolab.validate.models import TinyConfig, build_model, save_model
from grpolab.validate.training.rundir import EVALS

torch = pytest.importorskip("torch")
app, train_app = typer.Typer(), typer.Typer()
app.command()(probe)
train_app.command()(train)
WORDS = ("q", "r", "s", "a", "b", "c")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Three models, one of which answers at random, and records judged by their answers."""
    folder = tmp_path_factory.mktemp("probe")
    for seed, name in enumerate(("x", "y", "z")):
        model, tokenizer = build_model(
            WORDS, TinyConfig(hidden=32, layers=1, max_positions=16), seed=seed
        )
        with torch.no_grad():
            model.lm_head.weight.mul_(1 + 4 * seed)
        save_model(model, tokenizer, folder / name)
    rows = [(f"{x} {y}", z) for x, z in zip("qrs", "abc", strict=True) for y in "qrsabc"]
    lines = [json.dumps({"prompt": prompt, "answer": answer}) for prompt, answer in rows]
    (folder / "tasks.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def words(**changes):
    return [w for key, value in changes.items() for w in (f"--{key.replace('_', '-')}", str(value))]


def options(root, **changes):
    chosen = {
        "task": root / "tasks.jsonl", "verifier": "exact", "max_new_tokens": 2, "limit": 10,
        "steps": 2, "prompts_per_step": 2, "group_size": 2, "lr": 1e-3, **changes,
    }  # fmt: skip
    return words(**chosen)


def run(*args, of=app):
    return CliRunner().invoke(of, [str(a) for a in args])


def starts(root, names="xyz"):
    return [root / name for name in names]


@pytest.fixture(scope="module")
def probed(root, tmp_path_factory):
    """A probe of one seed, its folder and what it said."""
    out = tmp_path_factory.mktemp("out") / "p"
    args = (*starts(root), *options(root, top=2, seeds=1, out=out))
    result = run(*args, "--json")
    assert result.exit_code == 0, result.output
    return args, out, json.loads(result.stdout)


def test_a_probe_ranks_runs_and_counts_its_rollouts(probed):
    _, out, found = probed
    kept = [row["checkpoint"] for row in found["ranking"] if row["kept"]]
    assert len(found["ranking"]) == 3
    assert (
        sorted(kept) == sorted(found["scores"]) == sorted(p.name for p in (out / "runs").iterdir())
    )
    assert found["choice"] in kept
    rollouts = found["rollouts"]
    assert rollouts["ranking"] == 3 * 8 * 16
    assert rollouts["trained"] == 2 * 2 * 2 * 2  # runs, steps, prompts, group
    assert rollouts["answered"] == 2 * 2 * 8 * 16  # runs, before and after, prompts, samples
    assert rollouts["total"] == rollouts["most"]
    pair = found["pairs"][0]
    assert pair["low"] <= pair["difference"] <= pair["high"]
    assert found["settled"] is (-pair["low"] <= pair["margin"])
    verdict = levels().verdicts["F"]
    said = f"Claim F of the trial (docs/preregistration.md) is {verdict}: a probe of 50 steps"
    assert any(said in line for line in found["advice"])


def test_a_dry_run_says_what_the_probe_takes_at_most_and_does_nothing(probed, tmp_path):
    args, _, found = probed
    out = tmp_path / "p"
    planned = run(*args, "--out", out, "--dry-run")
    assert planned.exit_code == 0, planned.output
    for part in ("plan: 3 checkpoints ranked by pass@1", "2 starts x at most 1 seed"):
        assert part in planned.stdout
    ranking, rest = found["rollouts"]["ranking"], found["rollouts"]["most"]
    assert f"= {ranking} rollouts" in planned.stdout
    assert f"at most {rest - ranking:,} rollouts" in planned.stdout
    assert not out.exists()
    with pytest.raises(UserError, match="--from runs nothing"):
        raise run("--from", out, "--dry-run").exception


def test_a_rerun_does_nothing_again_and_more_seeds_go_on(probed, tmp_path):
    args, out, before = probed
    lines = {path: path.stat().st_mtime_ns for path in out.rglob("steps.jsonl")}
    again = run(*args, "--json")
    assert json.loads(again.stdout) == before
    assert {path: path.stat().st_mtime_ns for path in out.rglob("steps.jsonl")} == lines
    copy = tmp_path / "p"
    shutil.copytree(out, copy)
    page = tmp_path / "p.html"
    longer = run(*args, "--seeds", 2, "--out", copy, "--html", page)
    assert longer.exit_code == 0, longer.output
    if not before["settled"]:
        assert len(list(copy.rglob("steps.jsonl"))) == 4
    for title in ("Checkpoints by pass@1", "Short runs", "Is the first better?"):
        assert title in longer.stdout
        assert title in page.read_text()
    with pytest.raises(UserError, match="holds another run: top was 2, now 3"):
        raise run(*args, "--top", 3).exception


def test_runs_that_exist_give_the_same_comparison(probed):
    _, out, before = probed
    result = run("--from", *sorted((out / "runs").glob("*/*")), "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["pairs"] == before["pairs"]
    assert found["choice"] == before["choice"]
    assert found["ranking"] == []
    assert found["rollouts"]["total"] == before["rollouts"]["total"] - before["rollouts"]["ranking"]


def trained(root, tmp_path, name, model, **changes):
    args = options(root, eval_every=2, eval_samples=4, out=tmp_path / name, **changes)
    result = run(root / model, *args, of=train_app)
    assert result.exit_code == 0, result.output
    return tmp_path / name


def test_runs_of_train_are_read_and_what_cannot_be_compared_is_said(root, tmp_path):
    one = trained(root, tmp_path, "one", "x")
    two = trained(root, tmp_path, "two", "y", seed=1, steps=4)
    found = run("--from", one, two, "--json")
    assert found.exit_code == 0, found.output
    said = json.loads(found.stdout)
    assert said["steps"] == 2  # the last step that both have
    assert any("no seed is shared" in note for note in said["notes"])
    faster = trained(root, tmp_path, "faster", "y", lr=2e-3)
    narrow = trained(root, tmp_path, "narrow", "z", eval_prompts=4)
    twice = tmp_path / "twice"
    shutil.copytree(one, twice)
    old = tmp_path / "old"
    shutil.copytree(two, old)
    rows = [json.loads(line) for line in (old / EVALS).read_text().splitlines()]
    (old / EVALS).write_text(
        "".join(json.dumps({k: v for k, v in row.items() if k != "counts"}) + "\n" for row in rows)
    )
    for paths, message in (
        ((one, faster), "config.lr is 0.002 and 0.001"),
        ((one, narrow), "evaluation.prompts is 4 and 8"),
        ((one, twice, two), "have the same start and seed"),
        ((one,), "the runs have one start"),
        ((one, two, "--steps", 3), "--steps 3: not all runs were evaluated then; steps 2 were"),
        ((one, old), "holds means only"),
        ((one, two, "--outcome", "pass@10"), "give more --eval-samples"),
        ((one, tmp_path / "none"), "none"),
    ):
        problem = run("--from", *paths).exception
        assert isinstance(problem, UserError), problem
        assert message in str(problem)


@pytest.mark.parametrize(
    ("names", "changes", "message"),
    [
        ("x", {}, "give at least 2"),
        ("xx", {}, "the same checkpoint was given twice"),
        ("xy", {"task": ""}, "give --task"),
        ("xy", {"rule": "pass@k(budget)"}, "needs --budget"),
        ("xy", {"rule": "pass@2", "outcome": "pass@10"}, "for pass@10: transport or pass@8"),
        ("xy", {"rule": "pass@8"}, "for pass@1: pass@1 or pass@2"),
        ("xy", {"rule": "pass@8", "outcome": "pass@10", "rank_samples": 4}, "at least 8 for"),
        ("xy", {"outcome": "pass@10", "eval_samples": 4}, "must be at least 10"),
        ("xy", {"equal_within": 0}, "--equal-within must be > 0"),
        ("xy", {"limit": 0}, "none is held out"),
        ("xy", {"prompts_per_step": 11}, "fewer than --prompts-per-step"),
    ],
)
def test_bad_input_is_one_line(root, tmp_path, names, changes, message):
    result = run(*starts(root, names), *options(root, out=tmp_path / "p", **changes))
    assert isinstance(result.exception, UserError), result.output
    assert message in str(result.exception)
    assert not (tmp_path / "p").exists()

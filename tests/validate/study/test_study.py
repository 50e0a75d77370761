"""The main job in miniature: every link runs, a killed run resumes, the numbers are the same."""

import dataclasses
import html.parser
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest

from grpolab.errors import UserError
from grpolab.theory import GroupCounts, prob_zero_std
from grpolab.validate.models import TinyConfig
from grpolab.validate.study import PRESETS, StudyConfig, preset
from grpolab.validate.study.arms import rates
from grpolab.validate.study.base import BaseConfig
from grpolab.validate.study.config import LADDER
from grpolab.validate.study.families import REGIMES
from grpolab.validate.study.findings import findings
from grpolab.validate.study.inputs import demonstrations, rl_prompts
from grpolab.validate.study.jobs import eval_prompts, plan
from grpolab.validate.study.main import RECORD, configure, run
from grpolab.validate.study.measure import observe, predict
from grpolab.validate.study.record import Record
from grpolab.validate.study.results import Results
from grpolab.validate.study.runner import open_run
from grpolab.validate.study.summary import tuning
from grpolab.validate.study.tasks import make_task
from grpolab.validate.training.grpo import GRPOConfig

pytest.importorskip("torch")

MICRO = StudyConfig(
    "micro",
    families=("countdown/shift", "countdown/no-shift", "coins/broad"),
    model=TinyConfig(hidden=32, layers=1),
    base=BaseConfig(steps=100, batch_size=64, lr=1e-2),
    sft=dataclasses.replace(LADDER, depths=(1, 4, 16), lr=2e-3),
    grpo=GRPOConfig(steps=4, prompts_per_step=8, group_size=4, eval_every=2),
    eval_prompts=32,
    num_samples=16,
    quick_samples=10,
    train_prompts=32,
    train_samples=8,
    simulated_groups=2000,
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "run"
    summary = run(MICRO, out=out, workers=2)
    return out, summary


@pytest.mark.slow
def test_every_link_leaves_its_numbers(finished):
    out, summary = finished
    results = Results.read(out / "results.json")
    assert summary["findings"] == [finding.text for finding in results.findings]
    assert len(results.rows) == 9
    for row in results.rows:
        before = row.before.measured
        assert 0 <= before.pass_rates["pass_at_1"] <= before.pass_rates["pass_at_10"] <= 1
        seen = before.observed
        assert seen.zero_std == pytest.approx(seen.all_wrong + seen.all_right)
        assert row.early.steps == 4
        assert set(row.before.by_class) == set(
            make_task(row.task, seed=0).classes[: REGIMES[row.regime].rl_classes]
        )
    assert set(results.families) == {"shift", "no-shift", "coins broad"}
    for one in Record.read(out / RECORD).runs.values():
        assert np.unique(one.evals.step).tolist() == [0, 2, 4]
        assert list(one.settings.eval_entropy) == [0, 2, 4]
    table = pq.read_table(out / "checkpoints.parquet").to_pydict()
    assert table["final_pass_at_10"] == [row.after.final["pass_at_10"] for row in results.rows]
    steps = pq.read_table(out / "early_steps.parquet").to_pydict()
    assert len(steps["zero_std"]) == 4 * 9


@pytest.mark.slow
def test_the_same_checkpoint_is_measured_once(finished):
    """shift and no-shift start from one ladder; the second asks the first class alone."""
    out, _ = finished
    one = {
        (row.regime, row.depth): row.before.by_class["add"]
        for row in Results.read(out / "results.json").rows
        if row.task == "countdown"
    }
    for depth in MICRO.sft.depths:
        assert one["shift", depth].pass_rates == one["no-shift", depth].pass_rates
    assert [p.name for p in (out / "countdown/pre").iterdir()] == ["narrow"]
    assert [p.name for p in (out / "coins/pre").iterdir()] == ["broad"]


@pytest.mark.slow
def test_report_is_one_file_without_network(finished):
    text = (finished[0] / "report.html").read_text()
    for tag in ("<script", "http://", "https://", "<img", "<link", "@import"):
        body = text.replace("http://www.w3.org", "").replace("http://purl.org", "")
        body = body.replace("http://creativecommons.org", "").replace("https://matplotlib.org", "")
        assert tag not in body
    assert text.count("<svg") == len(MICRO.families) + 3
    seen = Words()
    seen.feed(text)
    for finding in finished[1]["findings"]:
        words = finding.replace("**", "").replace("`", "").split()
        assert words[-3:] == [w for w in words[-3:] if w in seen.words]


class Words(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.words = set()

    def handle_data(self, data):
        self.words.update(data.split())


@pytest.mark.slow
def test_nothing_is_done_twice(finished):
    out, _ = finished
    jobs = [p for p in out.glob("*/**/*") if p.is_file() and p.parent.name != RECORD]
    before = {p: p.stat().st_mtime_ns for p in jobs}
    assert len(before) > 50
    text = (out / "results.json").read_bytes()
    run(MICRO, out=out, workers=1)
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert (out / "results.json").read_bytes() == text


@pytest.mark.slow
def test_killed_and_resumed_ends_the_same(finished, tmp_path):
    """kill -9 in the middle of a family, start again: results.json is the same to the last digit.

    The two other families are done already, and stay as they are.
    """
    out, script = tmp_path / "run", tmp_path / "go.py"
    shutil.copytree(finished[0], out)
    for folder in ("coins", RECORD):
        shutil.rmtree(out / folder)
    (out / "results.json").unlink()
    script.write_text(
        textwrap.dedent(f"""
        import sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        if __name__ == "__main__":
            from test_study import MICRO
            from grpolab.validate.study.main import run
            run(MICRO, out=Path({str(out)!r}), workers=1)
        """)
    )
    process = subprocess.Popen([sys.executable, script], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 600
    while not list(out.glob("coins/pre/*/*/*/result.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done, all_jobs = (len(list(folder.rglob("result.json"))) for folder in (out, finished[0]))
    assert done < all_jobs
    assert list(out.glob("coins/pre/*/*/*/result.json"))
    assert not (out / "results.json").exists()
    run(MICRO, out=out, workers=2)
    assert (out / "results.json").read_bytes() == (finished[0] / "results.json").read_bytes()
    assert not list(out.rglob("*.partial"))


@pytest.mark.slow
def test_a_folder_is_not_shared(finished, tmp_path):
    out, _ = finished
    before = (out / "results.json").read_bytes()
    other = dataclasses.replace(MICRO, eval_prompts=16)
    with pytest.raises(UserError, match="holds another run"):
        run(other, out=out)
    (tmp_path / "thesis.tex").write_text("do not touch")
    with pytest.raises(UserError, match="not empty and not a study"):
        run(MICRO, out=tmp_path)
    with pytest.raises(UserError, match="is a file"):
        run(MICRO, out=tmp_path / "thesis.tex")
    with open_run(MICRO, out), pytest.raises(UserError, match="another process"):
        run(MICRO, out=out)
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "run.json").write_text("[]")
    with pytest.raises(UserError, match="no manifest of a run; choose another"):
        run(MICRO, out=tmp_path / "odd")
    assert (out / "results.json").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("name", "task", "device", "words"),
    [
        ("medium", "countdown", "", "unknown preset"),
        ("smoke", "chess", "", "unknown task"),
        ("smoke", "countdown", "tpu", "unknown device"),
    ],
)
def test_bad_input_is_refused(name, task, device, words):
    with pytest.raises(UserError, match=words):
        configure(name, task=task, device=device)


@pytest.mark.slow
def test_a_broken_checkpoint_stops_the_run_with_its_path(finished, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(finished[0], copy)
    for folder in ("rl", "pre"):
        shutil.rmtree(copy / "countdown" / folder)
    broken = copy / "countdown/ladder/narrow/plain/seed0/depth-1/model.safetensors"
    broken.write_bytes(b"not weights")
    with pytest.raises(UserError, match="has changed since it was written"):
        run(MICRO, out=copy, workers=1)


def test_every_preset_plans_and_keeps_the_rl_budget_equal():
    for config in PRESETS.values():
        jobs = plan(config)
        keys = [job.key for job in jobs]
        assert len(set(keys)) == len(keys)
        for i, job in enumerate(jobs):
            assert set(job.needs) <= set(keys[:i])
    assert len({(c.group_size, c.rule, c.beta) for c in (p.grpo for p in PRESETS.values())}) == 1
    assert preset("smoke", task="coins").tasks == ("coins",)


def test_regimes_are_what_they_say():
    task = make_task("countdown", seed=0)
    solved = dict(demonstrations(task, "narrow", seed=0))
    labels = {p.text: p.label for p in (*task.prompts("sft"), *task.prompts("sft_broad"))}
    assert {labels[text] for text in solved} == {"add"}
    broad = [labels[text] for text, _ in demonstrations(task, "broad", seed=0)]
    assert broad.count("add") == broad.count("mul")
    assert {p.label for p in rl_prompts(task, "no-shift")} == {"add"}
    assert {p.label for p in rl_prompts(task, "shift")} == {"add", "mul"}
    held_out = {p.text for p in eval_prompts(MICRO, task)}
    assert len(held_out) == MICRO.eval_prompts
    assert held_out.isdisjoint(solved)
    assert held_out.isdisjoint(p.text for p in rl_prompts(task, "shift"))


def test_starts_differ_in_their_data_as_they_say():
    task = make_task("coins", seed=0)
    pairs = {n: demonstrations(task, n, seed=0) for n in ("unique", "half", "eighth", "short")}
    assert [len(p) for p in pairs.values()] == [3072, 1536, 384, 1536]
    prompts = {name: [text for text, _ in p] for name, p in pairs.items()}
    assert len(set(prompts["unique"])) == 3072
    assert prompts["unique"][:1536] == prompts["half"]
    length = {n: np.mean([len(answer.split()) for _, answer in p]) for n, p in pairs.items()}
    assert length["short"] < 0.8 * length["half"]
    used = {p.text for p in (*task.prompts("eval"), *task.prompts("rl"))}
    assert all(used.isdisjoint(texts) for texts in prompts.values())
    ample = demonstrations(make_task("countdown", seed=0), "ample", seed=0)
    assert len(ample) == 24_000
    assert len(set(ample)) > 5000  # the same prompts with other answers


def test_forecasts_of_a_known_mixture():
    """Half the prompts at p = 0, half at 1/2: thinning is right; no beta has that variance."""
    rng = np.random.default_rng(0)
    p = np.repeat([0.0, 0.5], 2000)
    before = GroupCounts(rng.binomial(16, p), 16, prompt_id=np.arange(4000))
    after = GroupCounts(rng.binomial(8, p), 8, prompt_id=np.arange(4000))
    guess, seen = predict(before, 8), observe(after)
    truth = 0.5 + 0.5 * float(prob_zero_std(0.5, 8))
    assert seen.zero_std == pytest.approx(truth, abs=0.01)
    assert guess["thinning"]["zero_std"] == pytest.approx(truth, abs=0.01)
    assert guess["mean-p"]["zero_std"] < 0.15
    variance = 0.125 * 7 / 8
    assert guess["thinning"]["variance"] == pytest.approx(variance, abs=0.004)
    assert guess["beta-binomial"]["zero_std"] == pytest.approx(truth, abs=0.06)
    assert guess["beta-binomial"]["variance"] < variance - 0.02
    assert guess["mean-p"]["variance"] == pytest.approx(0.25 * 0.75 * 7 / 8, abs=0.004)


def test_tuning_picks_the_best_mean_and_says_so():
    config = dataclasses.replace(MICRO, arms=rates((0.1, 0.2)))
    before = SimpleNamespace(measured=SimpleNamespace(pass_rates={"pass_at_1": 0.1}))
    rows = [
        SimpleNamespace(
            lr=lr, depth=d, before=before,
            after=SimpleNamespace(final={"pass_at_1": v, "pass_at_10": v}),
        )
        for lr, values in ((0.1, (0.9, 0.1, 0.1)), (0.2, (0.4, 0.4, 0.4)))
        for d, v in zip(MICRO.sft.depths, values, strict=True)
    ]  # fmt: skip
    found = tuning(config, rows)
    assert found.chosen == 0.2
    (finding,) = findings(config, Results({}, "0", tuning=found))
    assert "0.2" in finding.text


@pytest.mark.slow
def test_reduced_precision_runs_and_keeps_float32_weights(tmp_path):
    from grpolab.validate.models import load_model
    from grpolab.validate.study.work import run_job

    config = dataclasses.replace(MICRO, dtype="bfloat16", base=BaseConfig(steps=3, batch_size=16))
    job = next(job for job in plan(config) if job.kind == "base")
    for folder, chosen in (
        ("half", config),
        ("full", dataclasses.replace(config, dtype="float32")),
    ):
        run_job(chosen, job, root=tmp_path, out=tmp_path / folder, progress=lambda share: None)
    half, full = (load_model(tmp_path / name / "model")[0] for name in ("half", "full"))
    assert {p.dtype for p in half.parameters()} == {next(full.parameters()).dtype}
    pairs = list(zip(half.parameters(), full.parameters(), strict=True))
    gaps = [float((p - q).detach().abs().max()) for p, q in pairs]
    assert 0 < max(gaps) < 0.1

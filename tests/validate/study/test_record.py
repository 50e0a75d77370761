"""A study's record holds what its jobs measured, and its results are functions of it alone."""

import dataclasses
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fake_run import write_jobs

from grpolab.errors import UserError
from grpolab.store import read_counts, read_json, write_json
from grpolab.validate.rollouts.table import Rollouts
from grpolab.validate.study.arms import PLAIN, controls, rescues
from grpolab.validate.study.collect import collect
from grpolab.validate.study.config import LADDER, StudyConfig
from grpolab.validate.study.derive import derive
from grpolab.validate.study.main import MANIFEST, RECORD, finish
from grpolab.validate.study.measure import measure, rows
from grpolab.validate.study.plain import from_plain, to_plain
from grpolab.validate.study.record import EARLY_STEPS, FILE, Record, RunKey, Samples, Start
from grpolab.validate.study.record_tables import short
from grpolab.validate.study.redo import _named, quoted, redo, take
from grpolab.validate.study.results import Finding, Results
from grpolab.validate.study.rows import METRICS, OUTCOMES
from grpolab.validate.study.shootout import DIRECTIONS
from grpolab.validate.study.trial.analysis import rounded
from grpolab.validate.training.config import GRPOConfig

RESULTS = Path(__file__).parents[3] / "docs" / "results"
SMALL = StudyConfig(
    "small",
    families=("countdown/shift", "countdown/no-shift", "coins/broad"),
    sft=dataclasses.replace(LADDER, depths=(1, 16)),
    grpo=GRPOConfig(steps=120, prompts_per_step=4, group_size=4, eval_every=60),
    eval_prompts=32,
    num_samples=16,
    quick_samples=10,
    train_prompts=24,
    train_samples=8,
)
ARMS = dataclasses.replace(
    SMALL, preset="arms", families=("coins/shift",), force_steps=3, simulated_groups=0,
    arms=(PLAIN, *controls(1, 16), *rescues(1, 16)),
)  # fmt: skip
STARTS = dataclasses.replace(
    SMALL, preset="full", seeds=(0, 1), families=("coins/unique", "coins/half", "coins/short"),
    sft=dataclasses.replace(LADDER, depths=(4,)), simulated_groups=0,
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("small") / "run"
    write_jobs(SMALL, out)
    return out


@pytest.fixture(scope="module")
def record(run):
    return collect(SMALL, root=run)


@pytest.fixture(scope="module")
def finished(run):
    finish(SMALL, out=run, start=0.0)
    return run


def test_counts_are_those_of_the_rollouts(run, record):
    table = Rollouts.read(run / "countdown/pre/narrow/seed0/depth16/eval.parquet")
    samples = record.before[Start("countdown", "narrow", 0, 16)].eval
    counts = table.counts()
    order = np.lexsort((counts.prompt_id,))
    assert samples.num_correct.shape == (32, 4)
    assert samples.num_correct.ravel().tolist() == counts.num_correct[order].tolist()
    assert samples.num_completions.sum() == len(table)
    assert samples.distinct.mean() == pytest.approx(table.distinct(4))
    assert samples.collision_rate.mean() == pytest.approx(table.collision_rate())
    assert samples.over_completions(samples.logprob) == pytest.approx(table.logprob.mean())


def test_token_entropy_is_per_token_and_completion_entropy_per_completion():
    """Completions of 1 and 19 tokens with 1.0 and 0.1 nats: 0.145 per token, 0.55 on average."""
    one = Samples(
        prompt_id=np.array([3, 5]),
        label=np.array(["a", "b"], dtype=object),
        num_correct=np.array([[1, 0], [2, 1]]),
        group_size=np.array([[2, 2], [2, 2]]),
        num_completions=np.array([4, 4]),
        num_tokens=np.array([40, 40]),
        num_truncated=np.array([1, 3]),
        token_entropy=np.full(2, (1.0 + 19 * 0.1) / 20),
        completion_entropy=np.full(2, 0.55),
        logprob=np.array([-1.0, -3.0]),
        distinct=np.ones(2),
        collision_rate=np.zeros(2),
    )
    found = measure(one, one, group_size=2, nll=1.0)
    assert found.token_entropy == pytest.approx(0.145)
    assert found.completion_entropy == pytest.approx(0.55)
    assert found.sequence_entropy == pytest.approx(2.0)
    assert found.frac_truncated == pytest.approx(0.5)


def test_a_run_keeps_its_first_groups_and_totals_by_prompt_later(run, record):
    key = RunKey("coins", "broad", 0, 16, "plain")
    groups = read_counts(run / "coins/rl/broad/seed0/depth16/plain/groups.parquet")
    found = record.runs[key]
    assert found.groups == groups.select(groups.step < EARLY_STEPS)
    later = groups.select(groups.step >= EARLY_STEPS)
    assert set(found.windows.step.tolist()) == {100}
    assert found.windows.num_correct.sum() == later.num_correct.sum()
    assert found.windows.group_size.sum() == later.group_size.sum() == 20 * 4 * 4
    assert len(found.windows) == len(set(later.prompt_id.tolist()))
    assert found.steps.num_groups.tolist() == [4] * 120
    mixed = ~(groups.all_wrong | groups.all_right)
    assert found.steps.num_informative.sum() == mixed.sum()


def test_written_and_read_again(record, tmp_path):
    record.write(tmp_path)
    again = Record.read(tmp_path)
    assert again.config == record.config == SMALL
    assert (again.nll, again.classes, again.thresholds) == (
        record.nll, record.classes, record.thresholds
    )  # fmt: skip
    assert list(again.before) == list(record.before)
    assert list(again.runs) == list(record.runs)
    for key, before in record.before.items():
        for one, two in zip(before, again.before[key], strict=True):
            same_samples(one, two)
    for key, found in record.runs.items():
        other = again.runs[key]
        for name in ("groups", "windows", "evals"):
            one, two = getattr(found, name), getattr(other, name)
            assert all(
                np.array_equal(getattr(one, c), getattr(two, c))
                for c in ("step", "prompt_id", "num_correct", "group_size")
            )
        same_samples(found.eval, other.eval)
        assert found.settings == other.settings
    again.write(tmp_path / "twice")
    assert contents(tmp_path / "twice") == contents(tmp_path, suffix="*.*")


def same_samples(one, two):
    for field in dataclasses.fields(Samples):
        first, second = getattr(one, field.name), getattr(two, field.name)
        if first.dtype == np.float64:
            np.testing.assert_allclose(first, second, rtol=2.0**-12)
        else:
            assert np.array_equal(first, second), field.name


def contents(folder, *, suffix="*"):
    return {p.name: p.read_bytes() for p in folder.glob(suffix) if p.is_file()}


def test_results_of_a_run_are_those_of_its_record(finished, tmp_path):
    take(finished, tmp_path)
    assert redo(tmp_path) == ["small"]
    assert (tmp_path / "small.json").read_bytes() == (finished / "summary.json").read_bytes()
    table = (finished / "checkpoints.parquet").read_bytes()
    assert (tmp_path / "small-checkpoints.parquet").read_bytes() == table
    assert (tmp_path / f"small-{MANIFEST}").is_file()


def test_a_record_takes_no_other_studys_place(finished, tmp_path):
    take(finished, tmp_path, "mine")
    take(finished, tmp_path, "mine")
    assert {p.name for p in tmp_path.iterdir()} == {"mine", f"mine-{MANIFEST}"}
    head = read_json(tmp_path / "mine" / FILE)
    head["config"]["seeds"] = [7]
    run = tmp_path / "other=run"
    shutil.copytree(finished / RECORD, run / RECORD)
    shutil.copyfile(finished / MANIFEST, run / MANIFEST)
    write_json(run / RECORD / FILE, head)
    before = contents(tmp_path / "mine")
    with pytest.raises(UserError, match=r"holds families or seeds that this study lacks: .* NAME="):
        take(run, tmp_path, "mine")
    assert contents(tmp_path / "mine") == before
    assert _named(f"second={run}") == (run, "second")
    assert _named(str(run)) == (run, "")


@pytest.fixture(scope="module")
def starts(tmp_path_factory):
    out = tmp_path_factory.mktemp("starts")
    write_jobs(STARTS, out)
    return collect(STARTS, root=out)


@pytest.mark.slow  # derives whole studies anew
@pytest.mark.parametrize("name", ["controls", "data", "real"])
def test_committed_results_are_those_of_the_committed_records(name, tmp_path):
    shutil.copytree(RESULTS / name, tmp_path / name)
    assert redo(tmp_path) == [name]
    again, committed = (read_json(folder / f"{name}.json") for folder in (tmp_path, RESULTS))
    assert rounded(again) == rounded(committed), (
        "rewrite them with: python -m grpolab.validate.study.redo docs/results"
    )


def test_redoing_changes_nothing(starts, tmp_path):
    starts.write(tmp_path / "full")
    redo(tmp_path)
    before = contents(tmp_path), contents(tmp_path / "full")
    redo(tmp_path)
    assert (contents(tmp_path), contents(tmp_path / "full")) == before
    assert set(before[0]) == {"full.json", "full-checkpoints.parquet", "steps.json"}
    found = json.loads(before[0]["steps.json"])
    assert set(found["families"]) == {"coins unique", "coins half", "coins short"}
    one = found["families"]["coins half"]["4"]
    assert len(one["measured"]) == len(one["mean-p"]) == EARLY_STEPS
    assert 0 <= one["thinning"] <= 1


def test_files_of_a_run_hold_the_results(finished):
    results = Results.read(finished / "results.json")
    assert len(results.rows) == 3 * 2
    table = pq.read_table(finished / "checkpoints.parquet").to_pydict()
    final = [row.after.final["pass_at_10"] for row in results.rows]
    assert table["final_pass_at_10"] == final
    steps = pq.read_table(finished / "early_steps.parquet").to_pydict()
    assert len(steps["zero_std"]) == EARLY_STEPS * len(results.rows)
    report = (finished / "report.html").read_text()
    assert report.count("<svg") == len(SMALL.families) + 3
    assert "Which number before RL picks the start?" in report
    assert to_plain(Results.read(finished / "summary.json").rows) == []


def test_rows_by_hand(record, run):
    (row,) = [r for r in rows(record) if (r.family, r.seed, r.depth) == ("no-shift", 0, 1)]
    folder = run / "countdown/rl/no-shift/seed0/depth1/plain"
    end = Rollouts.read(folder / "eval.parquet")
    assert row.after.final["pass_at_1"] == pytest.approx(end.reward.mean())
    assert list(row.after.by_class) == list(row.before.by_class) == ["add"]
    groups = read_counts(folder / "groups.parquet")
    groups = groups.select(groups.step < EARLY_STEPS)
    zero_std = groups.all_wrong | groups.all_right
    assert row.early.measured["zero_std"] == tuple(zero_std.reshape(-1, 4).mean(axis=1))
    window = row.early.windows[0]
    assert (window.first, window.last) == (0, 10)
    assert window.zero_std.measured == pytest.approx(zero_std[:40].mean())
    guess = row.early.forecast["thinning"].zero_std
    assert window.zero_std.error["thinning"] == pytest.approx(guess - zero_std[:40].mean())
    assert row.after.peak["pass_at_1"].highest >= row.after.peak["pass_at_1"].start
    before = Rollouts.read(run / "countdown/pre/narrow/seed0/depth1/eval.parquet")
    assert row.before.measured.pass_rates["pass_at_1"] == pytest.approx(
        before.reward[np.isin(before.prompt_id, end.prompt_id)].mean()
    )


def test_arms_and_forces_are_means_over_seeds(tmp_path):
    write_jobs(ARMS, tmp_path)
    results = derive(collect(ARMS, root=tmp_path))
    assert {r.arm for r in results.arms} == {a.name for a in ARMS.arms}
    row = next(r for r in results.arms if (r.arm, r.depth) == ("kl-early", 16))
    plain = next(r for r in results.arms if (r.arm, r.depth) == ("plain", 16))
    gap = row.against_plain["pass_at_1"]
    assert gap.difference == pytest.approx(row.final["pass_at_1"] - plain.final["pass_at_1"])
    assert gap.low <= gap.difference <= gap.high
    assert plain.against_plain == {}
    groups = read_counts(tmp_path / "coins/rl/shift/seed0/depth16/kl-early/groups.parquet")
    assert row.zero_std == pytest.approx(groups.frac_zero_std)
    assert row.rollouts == groups.group_size.sum()
    assert {r.force for r in results.forces} == {
        "interference", "interference, decay", "silent",
    }  # fmt: skip
    names = [finding.name for finding in results.findings]
    assert {"entropy coins shift", "signal coins shift", "rescue coins shift", "forces"} <= set(
        names
    )
    assert len(names) == len(set(names))


def test_starts_are_compared_at_one_depth(starts):
    results = derive(starts)
    found = results.starts["coins"]
    assert [r.start for r in found.by_start] == ["unique", "half", "short"]
    assert [(c.better, c.worse) for c in found.claims] == [("half", "unique"), ("half", "short")]
    assert {"pass_at_1", "signal"} <= {r.predictor for r in found.regret}
    assert results.families == {}


def test_outcomes_and_predictors_are_metrics():
    assert set(OUTCOMES) <= set(METRICS)
    assert set(DIRECTIONS) - {"depth"} <= set(METRICS)
    assert not any(METRICS[name].direction for name in OUTCOMES)
    labels = [metric.label for metric in METRICS.values()]
    assert len(set(labels)) == len(labels)


def test_a_folder_without_a_record_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no record of a study"):
        redo(tmp_path)
    with pytest.raises(UserError, match="holds no record of a finished study"):
        take(tmp_path, tmp_path)
    write_json(tmp_path / FILE, {"version": "0"})
    with pytest.raises(UserError, match="no such file"):
        Record.read(tmp_path)


def test_a_record_that_lacks_a_run_is_refused(starts, tmp_path):
    starts.write(tmp_path)
    head = read_json(tmp_path / FILE)
    head["runs"].append({**head["runs"][0], "seed": 7})
    write_json(tmp_path / FILE, head)
    with pytest.raises(UserError, match=r"not a whole record, .*seed=7.* is missing"):
        Record.read(tmp_path)


def test_settings_of_another_version_are_read():
    told = {**SMALL.as_dict(), "no_longer_there": 1}
    assert from_plain(StudyConfig, told) == SMALL
    with pytest.raises(UserError, match=r"StudyConfig.num_samples: expected .* got 'many'"):
        from_plain(StudyConfig, {**told, "num_samples": "many"})


def test_short_numbers_keep_twelve_bits():
    values = np.random.default_rng(0).normal(size=1000) * 10.0 ** np.arange(-5, 5).repeat(100)
    assert np.max(np.abs(short(values) / values - 1)) <= 2.0**-12
    assert np.array_equal(short(short(values)), short(values))
    assert np.isnan(short([np.nan])).all()


def test_readme_quotes_findings_by_name():
    found = Results(
        {}, "0", findings=(Finding("variance", "**A** " + "word " * 40), Finding("thresholds", "B"))
    )
    page = "head\n<!-- findings:begin -->\nold\n<!-- findings:end -->\ntail\n"
    made = quoted(page, found)
    assert made.startswith("head\n<!-- findings:begin -->\n- **A** word")
    assert "old" not in made
    assert "B" not in made
    assert max(map(len, made.splitlines())) <= 98
    assert quoted(made, found) == made


def test_committed_records_are_small():
    files = [path for path in RESULTS.glob("*/*") if path.is_file()]
    # one million of it for the trial: counts per prompt before, during and after its 520 runs;
    # four for the 144 runs of the cures
    assert sum(path.stat().st_size for path in files) < 12e6

"""What an audit makes of samples that were selected, stopped, or copied."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from grpolab.cli import app
from grpolab.figures import page as pages
from grpolab.theory.groups import GroupCounts
from grpolab.validate.audit import audit
from grpolab.validate.audit.advice import advise
from grpolab.validate.audit.tables import facts
from grpolab.validate.readers.format import Samples

OPTIONS = {"rng": 0, "group_sizes": [8], "num_resamples": 60}


def samples_of(prompt, reward, **more):
    """What a reader gives beside the counts."""
    return Samples(prompt=prompt, reward=reward, score=reward, **more)


def drawn(seed=0, prompts=400):
    rng = np.random.default_rng(seed)
    p = rng.beta(0.5, 1.0, prompts)
    return p, rng.binomial(8, p)


def test_clean_counts_raise_no_alarm():
    found = audit(GroupCounts(drawn()[1], 8), **OPTIONS)
    assert (found.alarms, found.refused, found.distinct) == ((), False, None)
    assert found.as_dict()["alarms"] == []


def test_a_dump_of_mixed_groups_is_recognised_and_corrected():
    p, k = drawn(prompts=1500)
    found = audit(GroupCounts(k[(k > 0) & (k < 8)], 8), **OPTIONS)
    truth = 1 - np.mean(p**8 + (1 - p) ** 8)
    assert found.truncated.kept_low < truth < found.truncated.kept_high
    assert found.plans == {}
    assert advise(found)[0].startswith("No group of 8 is all wrong or all right")


@pytest.mark.parametrize("kind", ["extremes", "one side", "band"])
def test_other_selections_are_refused(kind):
    _, k = drawn(prompts=1500)
    counts = {
        "extremes": GroupCounts((k > 0).astype(int) + (k == 8), 2),
        "one side": GroupCounts(k[k > 0], 8),
        "band": GroupCounts(k[(k > 1) & (k < 7)], 8),
    }[kind]
    found = audit(counts, **OPTIONS)
    assert (found.refused, found.plans, found.pass_at_k, found.icc) == (True, {}, {}, None)
    (sentence,) = advise(found)
    assert "cannot be told from" in sentence
    assert found.as_dict()["refused"]
    json.dumps(found.as_dict())


def test_sampling_that_stops_at_a_success_is_forecast_by_likelihood():
    rng = np.random.default_rng(1)
    p = rng.beta(0.5, 1.0, 600)
    right = rng.random((600, 8)) < p[:, None]
    size = np.where(right.any(axis=1), right.argmax(axis=1) + 1, 8)
    found = audit(GroupCounts(right.any(axis=1).astype(int), size), **OPTIONS)
    plan = found.plans[8].prediction
    truth = float(np.mean(p**8 + (1 - p) ** 8))
    assert plan.low < truth < plan.high
    assert found.pass_at_k[1].low < p.mean() < found.pass_at_k[1].high
    assert "stop at the first success" in advise(found)[0]


def copied(copies):
    """40 steps of 4 groups of 8 of which ``copies`` are equal; texts of 9 characters."""
    draws = 8 // copies
    prompt = np.repeat(np.arange(160), 8)
    text = np.repeat(np.arange(160 * draws), copies)
    reward = np.repeat(np.random.default_rng(2).random(160 * draws) < 0.5, copies).astype(float)
    samples = samples_of(
        prompt, reward, step=prompt // 4, text=text, length=np.full(1280, 9),
        starts=[f"text {i}" for i in range(160 * draws)],
    )  # fmt: skip
    counts = GroupCounts(
        reward.reshape(160, 8).sum(axis=1), 8, prompt_id=np.arange(160), step=np.arange(160) // 4
    )
    return counts, samples


def test_eight_copies_are_one_sample():
    counts, samples = copied(8)
    found = audit(counts, samples=samples, **OPTIONS)
    assert found.distinct == (1.0, 8.0)
    assert "1.0 distinct completions of 8.0 per group" in facts(found)
    said = advise(found)
    assert said[0].startswith("All completions of a group are the same text in")
    assert "every prompt has one sample" in said[-1]
    assert found.counts.group_size.max() == 1
    assert audit(counts, **OPTIONS).alarms == ()  # counts alone cannot tell


def test_two_distinct_of_eight_are_two_samples():
    counts, samples = copied(4)
    found = audit(counts, samples=samples, **OPTIONS)
    assert "come in 4 copies" in "".join(advise(found))
    assert set(found.counts.group_size.tolist()) == {2}
    assert found.counts.step.max() == 39


def test_copies_are_not_taken_for_a_selection():
    rng = np.random.default_rng(3)
    draws = rng.random((120, 2)) < rng.beta(0.6, 0.8, 120)[:, None]
    reward = np.tile(draws, 4).astype(float).ravel()  # each of two draws four times: 0, 4 or 8
    prompt = np.repeat(np.arange(120), 8)
    text = prompt * 2 + np.tile([0, 1], 480)
    counts = GroupCounts(reward.reshape(120, 8).sum(1).astype(int), 8)
    samples = samples_of(prompt, reward, text=text, length=np.full(len(text), 300))
    found = audit(counts, samples=samples, **OPTIONS)
    assert "copies" in {alarm.test for alarm in found.alarms}
    assert not {"selection", "stopping"} & {alarm.test for alarm in found.alarms}
    assert not found.refused
    assert found.counts.num_correct.tolist() == draws.sum(1).tolist()


@pytest.mark.parametrize(("length", "said"), [(300, True), (20, False)])
def test_few_distinct_long_completions_are_noted(length, said):
    rng = np.random.default_rng(4)
    prompt = np.repeat(np.arange(60), 8)
    text = prompt * 2 + rng.integers(0, 2, len(prompt))
    reward = (rng.random(120) < 0.4)[text].astype(float)
    counts = GroupCounts(reward.reshape(60, 8).sum(1).astype(int), 8)
    samples = samples_of(prompt, reward, text=text, length=np.full(len(text), length))
    found = audit(counts, samples=samples, **OPTIONS)
    assert any("2.0 distinct completions of 8" in w for w in found.warnings) == said


def test_many_samples_without_an_equal_group_are_doubted():
    rng = np.random.default_rng(11)
    k = rng.binomial(16, rng.beta(0.3, 0.9, 160))
    kept = k[(k > 0) & (k < 16)]
    found = audit(GroupCounts(kept, 16), **OPTIONS)
    sentence = advise(found)[0]
    assert sentence.startswith("Cannot tell whether groups with equal rewards were left out")
    assert "pass --filtered" in sentence
    whole = audit(GroupCounts(k, 16), **OPTIONS)
    near_half = audit(GroupCounts(rng.binomial(16, 0.5, 250), 16), **OPTIONS)
    for clean in (whole, near_half):
        assert not any("were left out" in one for one in advise(clean))


def test_a_warning_is_no_error_and_nothing_is_compared(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "figure", lambda draw, **words: "")
    _, k = drawn(prompts=1500)
    files = []
    for name, keep in (("all", k >= 0), ("solved", k > 0)):
        rows = [f"{i},{c},8" for i, c in enumerate(k) if keep[i]]
        files.append(tmp_path / f"{name}.csv")
        files[-1].write_text("\n".join(["problem,num_correct,group_size", *rows]) + "\n")
    page = tmp_path / "page.html"
    result = CliRunner().invoke(app, ["audit", *map(str, files), "-g", "8", "--html", str(page)])
    assert result.exit_code == 0
    assert "No group of 8 is all wrong" in result.stdout
    assert "apart" not in result.stdout
    assert " is above " not in result.stdout
    assert "No group of 8 is all wrong" in page.read_text()
    result = CliRunner().invoke(app, ["audit", *map(str, files), "-g", "8", "--json"])
    first, second = json.loads(result.stdout)["inputs"]
    assert (first["alarms"], second["refused"]) == ([], True)
    assert second["alarms"][0]["evidence"]["kind"] == "no all-wrong"


def test_two_places_in_order_are_best_and_worst():
    reward = np.tile([1.0, 0.0], 60)
    reward[:40] = 0.0
    prompt = np.repeat(np.arange(60), 2)
    counts = GroupCounts(reward.reshape(60, 2).sum(axis=1), 2)
    said = advise(audit(counts, samples=samples_of(prompt, reward), **OPTIONS))
    assert any("best and the worst" in sentence for sentence in said)


def test_no_level_no_tests():
    counts, samples = copied(8)
    assert audit(counts, samples=samples, alarm_level=0.0, **OPTIONS).alarms == ()


def kinds():
    """Verdicts per prompt of every kind of input that an audit treats in its own way."""
    rng = np.random.default_rng(4)
    full = [list(rng.random(8) < p) for p in rng.beta(0.5, 1.0, 300)]
    stopped = [v[: v.index(True) + 1] if True in v else v for v in full]
    return {
        "clean": full[:30], "stopped": stopped[:120], "one sample": [v[:1] for v in full[:30]],
        "mixed groups": [v for v in full if 0 < sum(v) < 8], "one prompt": full[:1],
        "one side": [v for v in full if any(v)], "all wrong": [[False] * 8] * 30,
        "short": [v[: 8 - i % 8] for i, v in enumerate(full[:30])],
    }  # fmt: skip


def test_every_kind_of_input_is_printed_in_every_form(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "figure", lambda draw, **words: "")
    files = []
    for name, verdicts in kinds().items():
        files.append(str(tmp_path / f"{name}.csv"))
        rows = [f"t{i},{one:d}" for i, v in enumerate(verdicts) for one in v]
        (tmp_path / f"{name}.csv").write_text("\n".join(["task_id,passed", *rows]) + "\n")
    html = str(tmp_path / "a.html")
    for options in (["--json"], ["--markdown", "--html", html, "--groups", "32"]):
        shown = CliRunner().invoke(app, ["audit", *files, "-g", "4", "-g", "16", *options])
        assert shown.exit_code == 0, shown.output
    assert "stop at the first success" in shown.output
    assert "is that of a beta law of the success rates" in shown.output
    assert "no interval of the first groups" in shown.output

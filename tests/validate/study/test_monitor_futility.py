"""The forecast of outcomes: the frozen rule is that of the committed runs, and how it is judged."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "monitor"))
import run_files as make
from run_files import NONE, SOME

from grpolab.errors import UserError
from grpolab.validate.monitor.futility import CHOSEN_ON, FROZEN, Chance
from grpolab.validate.study.monitor_trials.finished import finished_runs, runs_of_trial
from grpolab.validate.study.monitor_trials.futility import (
    LOOKS,
    choose,
    digest,
    judge,
    judge_folder,
    main,
    old_runs,
    summary,
)
from grpolab.validate.study.monitor_trials.rules import NEED_ENTROPY
from grpolab.validate.study.trial.counts import MEASURES, DesignCounts, write_design
from grpolab.validate.study.trial.protocol import protocol

RESULTS = Path(__file__).parents[3] / "docs" / "results"


@pytest.mark.slow
def test_the_frozen_rule_is_that_of_the_committed_runs():
    runs = old_runs(RESULTS)
    assert digest(runs) == CHOSEN_ON
    rule = choose(runs)
    assert np.allclose(rule.coefficients, FROZEN.coefficients, atol=2e-3)
    assert np.allclose(rule.covariance, FROZEN.covariance, atol=2e-3)


def chance(p, done):
    return Chance(p, p / 2, min(2 * p, 1.0), done, 0.0, "training")


def test_what_is_judged():
    """Four runs of two designs: one doomed run is seen, one is not; one good run is flagged."""
    dones = [block / 40 for block in LOOKS]
    chances = {
        "seen": [None, *(chance(0.05, d) for d in dones[1:])],
        "unseen": [chance(0.6, d) for d in dones],
        "good": [chance(0.9, d) for d in dones],
        "flagged": [*(chance(0.9, d) for d in dones[:-1]), chance(0.05, dones[-1])],
    }
    gained = {name: name in ("good", "flagged") for name in chances}
    designs = {name: name[0] for name in chances}
    late = {"seen": 0.5, "unseen": 0.3, "good": None, "flagged": None}
    found = judge(chances, gained, designs, {"other": late})
    futility, other = found["rules"]["futility"], found["rules"]["other"]
    assert (futility["caught"]["number"], futility["flagged_good"]["number"]) == (1, 1)
    assert futility["median_share_of_steps"] == dones[1]
    assert (other["caught"]["number"], other["flagged_good"]["number"]) == (1, 0)  # 0.5 is late
    brier = found["brier"]["0.4"]
    assert brier["score"] == pytest.approx((0.05**2 + 0.6**2 + 0.1**2 + 0.95**2) / 4)
    assert brier["low"] <= brier["score"] <= brier["high"]
    assert found["brier"]["0.1"]["runs"] == 3
    bins = {(row["from"], row["to"]): row for row in found["reliability"]}
    assert bins[0.0, 0.1]["gained"]["number"] == 1
    assert bins[0.0, 0.1]["gained"]["of"] == 2


def planted(design, seed):
    """A design of which the first SFT seed's runs learn nothing and the others reach .9."""
    rng = np.random.default_rng(seed)
    shape, steps = (2, 5, 2), design.steps
    end = np.array([8, 58])[:, None, None, None] + np.zeros((*shape, 20), np.int64)
    groups, size = design.prompts_per_step, design.group_size
    share = np.array([0.0, 0.6])[:, None, None, None]
    return DesignCounts(
        design=design, samples=64, curve_samples=32, before=np.full((2, 5, 20), 8),
        greedy=np.zeros((2, 5, 20), np.int64), end=end,
        curve={0: np.full((*shape, 20), 4)},
        first=np.zeros((2, 20), np.int64),
        measures={name: rng.random((2, 5)) for name in MEASURES}, grad_norm=rng.random(shape),
        train_correct=rng.binomial(groups * size, share, (*shape, steps)),
        train_informative=rng.binomial(groups, share, (*shape, steps)),
    )  # fmt: skip


@pytest.mark.parametrize("names", [["labels-g4"], ["countdown-short", "countdown-g32"]])
def test_a_part_of_the_trial(tmp_path, names):
    fixed = protocol()
    for name in names:
        write_design(planted(fixed.design(name), 0), tmp_path, sha256=fixed.sha256)
    found = judge_folder(tmp_path)
    assert (found["runs"], found["doomed"]) == (20 * len(names), 10 * len(names))
    assert found["designs"] == len(names)
    rule = found["rules"]["futility"]
    assert rule["caught"]["share"] == 1.0
    assert rule["flagged_good"]["number"] == 0
    assert not set(NEED_ENTROPY) & set(found["rules"])
    assert (found["brier"]["0.4"]["low"] is None) == (len(names) == 1)
    part = summary(found, num_designs=26)
    assert f"{len(names)} of 26 designs so far: no verdict" in part
    assert "reached" not in part
    assert "It is reached." in summary(found, num_designs=len(names))
    views = runs_of_trial(planted(fixed.design(names[0]), 0))[0].views
    assert len(views) == fixed.design(names[0]).steps
    assert views[0].metrics.held_out == 4 / 32
    assert views[1].metrics.held_out is None


@pytest.mark.slow  # 520 runs, each judged at every look: a tenth of a minute
def test_the_committed_judgement_is_that_of_the_committed_counts():
    committed = json.loads((RESULTS / "trial" / "futility.json").read_text())
    assert committed == json.loads(json.dumps(judge_folder(RESULTS / "trial")))


def run(folder, groups, scores):
    make.grpolab(folder, groups)
    make.lines(folder / "run.json", [{"kind": "grpolab-train", "config": {"steps": len(groups)}}])
    rows = [{"step": t, "mean_reward": score} for t, score in scores.items()]
    make.lines(folder / "evals.jsonl", rows)


def test_a_folder_of_runs(tmp_path, capsys):
    run(tmp_path / "a" / "dead", dict.fromkeys(range(80), NONE), {0: 0.2, 80: 0.2})
    run(tmp_path / "b" / "good", dict.fromkeys(range(80), SOME), {0: 0.2, 40: 0.3, 80: 0.4})
    run(tmp_path / "b" / "half", dict.fromkeys(range(40), SOME), {0: 0.2})
    assert [(r.design, round(r.gain, 6)) for r in finished_runs(tmp_path)] == [("a", 0), ("b", 0.2)]
    found = judge_folder(tmp_path)
    assert (found["runs"], found["doomed"], found["designs"]) == (2, 1, 2)
    assert found["rules"]["10 batches without signal"]["caught"]["number"] == 1
    main(["judge", str(tmp_path), "--out", str(tmp_path / "out.json")])
    assert json.loads((tmp_path / "out.json").read_text())["runs"] == 2
    said = capsys.readouterr().out
    assert "2 runs of 2 designs, 1 doomed" in said
    assert "| futility |" in said
    with pytest.raises(UserError, match="no record of a study"):
        finished_runs(tmp_path / "b" / "half")

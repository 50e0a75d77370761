"""Controls, rescue attempts and forces: arms start where they say and change what they say."""

from dataclasses import replace

import numpy as np
import pytest

from grpolab.store import read_counts
from grpolab.validate.models import TinyConfig
from grpolab.validate.study import forces
from grpolab.validate.study.arms import PLAIN, controls, rescues
from grpolab.validate.study.base import BaseConfig
from grpolab.validate.study.causes import cause
from grpolab.validate.study.config import LADDER, StudyConfig
from grpolab.validate.study.main import run
from grpolab.validate.study.results import Results
from grpolab.validate.study.selection import with_mean
from grpolab.validate.training.config import GRPOConfig

pytest.importorskip("torch")

PLAYED = ("cooled", "cooled-unmatched", "warmed", "smooth", "equal-support", "equal-p", "dynamic",
          "kl-early", "kl-base", "larger-groups", "solved-prompts", "decay-start")  # fmt: skip
CAUSES = StudyConfig(
    "micro",
    arms=(PLAIN, *(a for a in (*controls(2, 16), *rescues(2, 16)) if a.name in PLAYED)),
    model=TinyConfig(hidden=32, layers=1),
    base=BaseConfig(steps=200, batch_size=128, lr=1e-2),
    sft=replace(LADDER, depths=(2, 4, 16), lr=2e-3),
    grpo=GRPOConfig(steps=2, prompts_per_step=8, group_size=4, eval_every=2),
    eval_prompts=32,
    num_samples=16,
    quick_samples=10,
    train_prompts=400,
    train_samples=8,
    force_steps=4,
    simulated_groups=0,
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, in_this_process):
    out = tmp_path_factory.mktemp("causes") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forces, "WATCHED", 60)  # a third of the completions
        run(CAUSES, out=out)
    return out, Results.read(out / "results.json")


def arm(results, name, depth):
    (row,) = [r for r in results.arms if (r.arm, r.depth) == (name, depth)]
    return row


@pytest.mark.slow
def test_every_arm_is_played_where_it_should(finished):
    _, results = finished
    played = {(r.arm, r.depth) for r in results.arms}
    wanted = {(a.name, d) for a in CAUSES.arms for d in CAUSES.depths_of(a)}
    assert played == wanted
    assert {("cooled", 2), ("warmed", 16), ("kl-early", 16), ("plain", 4)} <= played
    assert ("warmed", 2) not in played


@pytest.mark.slow
def test_temperature_gives_the_other_depths_entropy_and_scales_the_rate(finished):
    _, results = finished
    plain = {d: arm(results, "plain", d).start_entropy for d in (2, 4, 16)}
    assert plain[2] > plain[16]
    for name, depth, other in (("cooled", 2, 16), ("cooled-unmatched", 2, 16), ("warmed", 16, 2)):
        row = arm(results, name, depth)
        assert row.start_entropy == pytest.approx(plain[other], rel=0.05)
        factor = 1.0 if "unmatched" in name else row.temperature
        assert row.lr == pytest.approx(CAUSES.grpo.lr * factor)
    assert arm(results, "cooled", 2).temperature < 1 < arm(results, "warmed", 16).temperature


@pytest.mark.slow
def test_prompt_selections_do_what_they_say(finished):
    out, results = finished
    everything = arm(results, "plain", 16).num_prompts
    for name in ("equal-support", "equal-p"):
        assert arm(results, name, 2).num_prompts < everything
    folder = out / "countdown/rl/shift/seed0/depth16"
    drawn = read_counts(folder / "solved-prompts/groups.parquet")
    larger = read_counts(folder / "larger-groups/groups.parquet")
    assert set(larger.group_size.tolist()) == {32}
    plain = read_counts(folder / "plain/groups.parquet")
    assert larger.group_size.sum() == 8 * 32 * 2
    assert set(drawn.prompt_id.tolist()) != set(plain.prompt_id.tolist())


@pytest.mark.slow
def test_differences_from_plain_are_paired(finished):
    _, results = finished
    row, plain = arm(results, "kl-early", 16), arm(results, "plain", 16)
    gap = row.against_plain["pass_at_1"]
    assert gap.difference == pytest.approx(row.final["pass_at_1"] - plain.final["pass_at_1"])
    assert gap.low <= gap.difference <= gap.high
    assert plain.against_plain == {}


@pytest.mark.slow
def test_forces_are_told_apart(finished):
    _, results = finished
    by_force = {name: [r for r in results.forces if r.force == name]
                for name in ("silent", "interference")}  # fmt: skip
    silent, others = (
        {
            key: np.mean([getattr(r, key) for r in rows])
            for key in ("frac_zero_std", "mean_grad_norm")
        }
        for rows in by_force.values()
    )
    assert silent["frac_zero_std"] > others["frac_zero_std"]
    assert silent["mean_grad_norm"] < others["mean_grad_norm"]
    assert by_force["interference"][0].moved["never"].num_prompts > 10


@pytest.mark.slow
def test_the_report_says_it(finished):
    out, results = finished
    text = (out / "report.html").read_text()
    for words in ("Causal controls", "Attempts to save a start", "Which force moves p"):
        assert words in text
    joined = " ".join(finding.text for finding in results.findings)
    assert "Entropy as a cause" in joined
    assert "What moves p where there is no signal" in joined


@pytest.mark.parametrize(
    ("cooled", "warmed", "verdict"),
    [
        (0.6, 0.4, "refuted"),
        (0.41, 0.59, "confirmed"),
        (0.5, 0.5, "in part"),
        (0.1, 0.6, "more than enough"),
    ],
)
def test_the_verdict_on_entropy_can_go_either_way(cooled, warmed, verdict):
    assert cause(0.6, 0.4, cooled, warmed).startswith(verdict)


def test_prompts_with_a_given_mean():
    rng = np.random.default_rng(0)
    rate = rng.beta(0.5, 1.5, size=500)
    for goal in (rate.mean() + 0.1, rate.mean() - 0.1):
        keep = with_mean(rate, goal, rng=np.random.default_rng(1))
        assert rate[keep].mean() == pytest.approx(goal, abs=0.005)
        assert keep.sum() > 100

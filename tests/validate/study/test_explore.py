"""Explorations on counts made up so that the answer is known, and what is committed of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import special

from grpolab.theory import GroupCounts
from grpolab.validate.forecast.outcome import MEANT_FOR
from grpolab.validate.monitor.state import GroupTally, StepMetrics, StepView
from grpolab.validate.study.explore import (
    composition,
    exceed,
    explored,
    forecasts,
    mechanisms,
    plastic,
    policy,
    pretrained,
    reach,
)
from grpolab.validate.study.explore.courses import Courses, courses
from grpolab.validate.study.monitor_trials.finished import Finished
from grpolab.validate.study.trial.counts import DesignCounts, read_design
from grpolab.validate.study.trial.measures import Estimate
from grpolab.validate.study.trial.protocol import protocol

RESULTS = Path(__file__).parents[3] / "docs" / "results"
STEPS, SIZE, BATCH, PROMPTS = 80, 8, 4, 60


def watched(name: str, share: float, gain: float) -> Finished:
    """A run in which this share of the groups is informative."""
    views = [
        StepView(
            step,
            GroupTally(100.0, 100 * share, num_rollouts=800.0,
                       num_correct=800 * (0.1 + gain * step / STEPS)),
            StepMetrics(),
        )
        for step in range(STEPS)
    ]  # fmt: skip
    return Finished(name, "made", views, gain)


def made(seed: int, *, shift: float = 1.0, noise: float = 0.0, n: int = 64) -> Courses:
    """Starts that differ in mean and spread of z, moved by a shift and noise in logits."""
    rng = np.random.default_rng(seed)
    middle = rng.permuted(np.tile(np.linspace(-3.0, 1.0, 4), (3, 1)), axis=1)
    z = middle[..., None] + rng.uniform(0.5, 2.5, (3, 4, 1)) * rng.standard_normal((3, 4, PROMPTS))
    end = z[:, :, None] + shift + noise * rng.standard_normal((3, 4, 2, PROMPTS))
    half = (z[:, :, None] + end) / 2
    dead = np.zeros((3, 4), bool)
    return Courses(
        name=f"made {seed}", task=f"task {seed}", starts=("1", "2", "3", "4"), narrow=True,
        steps=STEPS, group_size=SIZE, prompts_per_step=BATCH, samples=n,
        before=rng.binomial(n, special.expit(z)), end_samples=n,
        end=rng.binomial(n, special.expit(end)), curve_samples=32,
        curve={0: rng.binomial(32, special.expit(z))[:, :, None].repeat(2, axis=2),
               40: rng.binomial(32, special.expit(half))},
        second=np.arange(PROMPTS) % 2 * np.ones((3, 1), np.int64),
        nll=rng.random((3, 4, 2)) * 5,
        runs=tuple(
            tuple(tuple(watched("run", 0.6 * (not d), 0.3) for _ in range(2)) for d in row)
            for row in dead
        ),
    )  # fmt: skip


DESIGNS = [made(seed) for seed in range(4)]


def row(rows: list[dict[str, object]], **keys: object) -> dict[str, object]:
    (found,) = [r for r in rows if all(r[k] == v for k, v in keys.items())]
    return found


def test_a_planted_mechanism_forecasts_best() -> None:
    for shift, noise in ((2.0, 0.0), (2.0, 1.0)):
        found = mechanisms.compare([made(s, shift=shift, noise=noise) for s in range(4)])
        shifted, signal = (row(found, mechanism=m) for m in ("constant shift", "own signal"))
        assert shifted["error_1"][0] < 0.05
        assert signal["error_1"][0] > shifted["error_1"][0]
    rows = mechanisms.profile(DESIGNS)
    assert all(abs(r["shift"][0] - 1.0) < 0.5 for r in rows if 0.1 <= r["from"] < 0.9)
    assert "constant shift" in mechanisms.said(found)


def test_the_other_way_round_a_push_by_the_signal_is_found() -> None:
    """Ends made by the mechanism itself are forecast by it, and not by a constant shift."""
    designs = []
    for one in (made(seed) for seed in range(3)):
        rng, size = np.random.default_rng(0), one.samples + 1
        even = np.full(size, 1 / size)
        z = mechanisms.play("own signal", even, samples=one.samples, group_size=SIZE, batch=BATCH)
        p = special.expit(z[25])[one.before]
        end = rng.binomial(64, np.repeat(p[:, :, None], 2, axis=2))
        designs.append(replace(one, end=end))
    found = mechanisms.compare(designs)
    assert row(found, mechanism="own signal")["error_1"][0] < 0.02
    assert row(found, mechanism="constant shift")["error_1"][0] > 0.02


@pytest.mark.parametrize("mechanism", mechanisms.MECHANISMS)
def test_pushes_are_those_of_simulated_groups(mechanism: mechanisms.Mechanism) -> None:
    """The mean push of drawn groups, rescaled by the root mean square where the name says Adam."""
    rng = np.random.default_rng(1)
    z = np.array([-3.0, -1.0, 0.5, 2.0])
    p, weight = special.expit(z), np.full(4, 0.25)
    rewards = rng.random((200_000, 4, SIZE)) < p[:, None]
    sigma = rewards.std(axis=-1)
    drawn = {
        "constant shift": np.ones(4),
        "own signal": sigma.mean(axis=0),
        "own signal, Adam": sigma.mean(axis=0) / np.sqrt((sigma**2).mean(axis=0)),
        "shared signal": np.full(4, sigma.mean()),
    }
    pick = rng.integers(4, size=(100_000, BATCH))
    batch = np.take_along_axis(sigma[:100_000], pick, axis=1).mean(axis=1)
    drawn["shared, Adam"] = np.full(4, batch.mean() / np.sqrt((batch**2).mean()))
    found = mechanisms.push(mechanism, z, weight, group_size=SIZE, batch=BATCH)
    assert np.allclose(found, drawn[mechanism], rtol=0.02)


def test_what_rl_loses_and_wins_is_counted_by_run_and_by_prompt() -> None:
    up, down = made(0, shift=2.0), made(1, shift=-3.0)
    rows = exceed.by_design([up, down])
    assert rows[0]["pass@64"] > 0 > rows[1]["pass@64"]
    assert rows[1]["falls"] > 20
    assert rows[0]["falls"] == 0
    bins = exceed.by_prompt([up, down])
    assert sum(b["share"][0] for b in bins) == pytest.approx(1.0)
    for one, k in ((up, 32), (down, 32)):
        parts = exceed.by_prompt([one])
        total = sum(b["part_of_1"][0] for b in parts)
        assert total == pytest.approx((one.end_rate - one.rate[:, :, None]).mean(), abs=0.01), k
    assert "beyond chance (most runs of made 1)" in exceed.said(rows, bins)
    assert "Spearman" not in exceed.said(rows, bins)  # two designs say nothing of an order
    assert "Spearman" not in exceed.said([rows[0]] * 3, bins)
    same = replace(up, end=np.repeat(up.before[:, :, None], 2, axis=2))
    assert exceed.by_design([same])[0]["pass@64"] == 0.0
    classes = exceed.by_class([up])[0]
    assert classes["rl_shown"] > 0.1
    assert exceed.by_class([replace(up, narrow=False)]) == []


def test_no_change_is_seldom_called_a_fall() -> None:
    rng = np.random.default_rng(0)
    p = rng.beta(0.3, 0.6, 100)
    found = [
        exceed.change(1.0 * (rng.binomial(64, p) > 0), 1.0 * (rng.binomial(64, p) > 0))
        for _ in range(400)
    ]  # fmt: skip
    assert sum(c.falls or c.rises for c in found) < 0.09 * 400


def test_the_order_by_a_held_out_set_is_that_of_its_part() -> None:
    one = DESIGNS[0]
    found = {(kind, name): v for kind, name, v in composition.losses(one)}
    even = found[composition.CANONICAL, "50% of the second class"]
    assert np.allclose(even, one.nll.mean(axis=-1))
    thirds = [found[composition.ANY, name].mean() for name in composition.THIRDS]
    assert thirds == sorted(thirds)
    assert np.mean(thirds) == pytest.approx(found[composition.ANY, "all prompts"].mean())
    rows = composition.compare(DESIGNS)
    base = row(rows, loss=composition.ANY, set="all prompts")
    assert base["agree"][0] == pytest.approx(1.0)
    assert base["other"][0] == 0.0
    lone = replace(one, nll=np.full((3, 4, 2), np.nan))
    assert {kind for kind, _, _ in composition.losses(lone)} == {composition.ANY}


def test_pass_at_k_is_swept_beyond_the_samples() -> None:
    rows = reach.sweep(DESIGNS)
    assert [r["k"] for r in rows[: len(reach.KS)]] == list(reach.KS)
    assert row(rows, outcome=1, k=1)["spearman"][0] > 0.8  # one shift keeps the order
    assert row(rows, outcome=1, k=128)["beyond"] == len(DESIGNS)
    sixteen = replace(DESIGNS[0], samples=128, before=2 * DESIGNS[0].before)
    assert np.all(reach.scores_at(sixteen, 256) >= reach.scores_at(sixteen, 64) - 1e-9)
    assert "For final pass@1 the least regret" in reach.said(rows)


def ladder(**given: object) -> policy.Ladder:
    return policy.Ladder(
        **{
            "one": np.array([0.5, 0.4, 0.3]), "two": np.array([0.5, 0.6, 0.7]),
            "informative": np.array([0.5, 0.5, 0.05]), "probe": np.array([0.6, 0.5, 0.9]),
            "early": 0.25, "futile": np.array([2.0, 2.0, 2.0]),
            "final": np.array([0.7, 0.6, 0.9]), "ranking": 0.1, "asked": 0.01, **given,
        }  # type: ignore[arg-type]
    )  # fmt: skip


def test_policies_choose_switch_and_cost_what_they_say() -> None:
    plain = {name: play(ladder()) for name, play in policy.POLICIES.items()}
    assert plain["once, by pass@1"] == (0.7, 1.1)
    assert plain["once, by pass@2"] == (0.9, 1.1)  # the start without a signal
    assert plain["triage, pass@2"] == (0.6, 1.1)
    final, cost = plain["triage, probes of two"]
    assert final == 0.7
    assert cost == pytest.approx(0.1 + 2 * 0.26 + 0.75)
    assert plain["triage, probes of two, monitor"] == plain["triage, probes of two"]
    late = ladder(futile=np.array([0.3, 0.1, 2.0]))
    watched = {name: play(late) for name, play in policy.POLICIES.items()}
    assert watched["triage, pass@2, monitor"] == (0.7, pytest.approx(0.1 + 0.1 + 1))
    final, cost = watched["triage, probes of two, monitor"]
    assert final == 0.6
    assert cost == pytest.approx(0.1 + 2 * 0.26 + 0.75 + 0.05)
    rows = policy.replay(DESIGNS[:2])
    assert row(rows, policy="once, by pass@1")["against"] == (0, 0, 0)
    assert all(r["regret"][0] >= -0.02 for r in rows)


def test_everything_is_explored_from_the_committed_counts() -> None:
    committed = json.loads((RESULTS / "explored.json").read_text(encoding="utf-8"))
    designs = courses(RESULTS)
    assert committed["designs"] == [one.name for one in designs]
    again = exceed.by_design(designs)
    for mine, theirs in zip(again, committed["exceed_designs"], strict=True):
        assert mine["runs"] == theirs["runs"]
        assert mine["pass@64"] == pytest.approx(theirs["pass@64"], abs=1e-5)
    assert set(committed) == set(explored.explored(DESIGNS, list(map(forecasts.scored, DESIGNS))))
    for one in designs:
        assert one.before.max() <= one.samples
        assert one.end.max() <= one.end_samples
        assert all(c.max() <= one.curve_samples for c in one.curve.values())
        assert all(len(r.views) == one.steps for s in one.runs for d in s for r in d)


def test_scores_of_a_design_are_those_of_the_front_door() -> None:
    from grpolab.validate.forecast.outcome import forecast_outcome

    one = DESIGNS[0]
    found = forecasts.scored(one)
    for rule, k in MEANT_FOR:
        counts = GroupCounts(one.before[0, 1], one.samples)
        mine = forecast_outcome(counts, steps=STEPS, rule=rule, k=k).value
        assert found.x[rule][0, 1].mean() == pytest.approx(mine)


def planted(name: str, *, by: str) -> DesignCounts:
    """A design of the trial whose runs gain by one of its measures, which falls with depth."""
    fixed = protocol()
    design = next(d for d in fixed.designs if d.name == name)
    one = read_design(fixed, design, RESULTS / "trial")
    rng, shape = np.random.default_rng(len(name)), one.before.shape[:2]
    depth = np.broadcast_to(np.arange(shape[1]), shape)
    sick = depth + rng.normal(0, 1.0, shape)
    other = depth + rng.normal(0, 1.0, shape)
    p = np.clip(0.2 * one.before / one.samples + 0.6 - 0.1 * sick[..., None], 0.01, 0.99)
    end = np.repeat(rng.binomial(one.samples, p)[:, :, None], one.end.shape[2], axis=2)
    measured = {**one.measures, "dormant": other, "rank": other, by: sick}
    return replace(one, end=end, measures=measured)


def test_a_measure_that_makes_the_gain_takes_the_place_of_depth() -> None:
    for by, other in (("dormant", "rank"), ("rank", "dormant")):
        designs = [planted(n, by=by) for n in ("countdown-short", "coins-pear", "labels-g4")]
        rows = plastic.explain(designs)
        plain = row(rows, outcome="final pass@1", measure="")
        assert plain["depth"][2] < 0
        mine, rival = (row(rows, outcome="final pass@1", measure=m) for m in (by, other))
        assert abs(mine["depth"][0]) < 0.3 * abs(plain["depth"][0])
        assert mine["change"][1] > 0
        assert mine["change"][0] > rival["change"][0]
        assert f"account for a part of it beyond chance: {by}" in plastic.said(rows)
    assert plastic.explain(designs[:1]) == []


def test_claims_on_few_ladders_hold_fail_or_cannot_be_told() -> None:
    one = made(0)
    found = pretrained.difference([one], "pass@1", "pass@1", 1)
    assert (found.differ, found.ladders) == (0, 3)
    superior, no_worse = (
        next(a for a in pretrained.ASKED if a.superior is s) for s in (True, False)
    )
    none = pretrained.Found(Estimate(0, 0, 0), 0, 4)
    assert pretrained._verdict(superior, none, 0.008) == pretrained.SAME
    assert pretrained._verdict(no_worse, none, 0.008) == pretrained.HOLDS
    for low, high, better, worse in (
        (-0.09, -0.01, pretrained.HOLDS, pretrained.HOLDS),
        (0.01, 0.09, pretrained.NO_GAIN, pretrained.FAILS),
        (-0.09, 0.09, pretrained.OPEN, pretrained.OPEN),
    ):
        some = pretrained.Found(Estimate((low + high) / 2, low, high), 2, 4)
        assert pretrained._verdict(superior, some, 0.008) == better
        assert pretrained._verdict(no_worse, some, 0.008) == worse


def test_a_start_that_ends_higher_is_found_with_an_interval() -> None:
    one = made(1)
    best = np.argmax(one.rate.mean(axis=-1), axis=1)
    end = np.full_like(one.end, 10)
    end[np.arange(3), best] = 50
    later = replace(one, end=end, curve={40: np.where(end == 50, 1, 20)})
    found = pretrained.difference([later], "pass@1", "probe", 1)
    assert found.differ == 3
    assert found.value.value == pytest.approx(-40 / 64)
    assert found.value.low < -40 / 64 < found.value.high < 0
    rows = pretrained.judged([later], DESIGNS[2:], {one.name: np.ones((3, 4))})
    assert {r["claim"] for r in rows} == set("ABDEFGIJK")
    assert row(rows, claim="F")["verdict"] == pretrained.NO_GAIN
    assert row(rows, claim="I")["verdict"] == pretrained.OPEN
    assert "cannot tell" in pretrained.said(rows)
    assert pretrained.judged([], DESIGNS, {}) == []
    assert "No study" in pretrained.said([])

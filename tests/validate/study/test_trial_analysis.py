"""The trial's analysis on counts made up so that the truth is known."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from grpolab.figures import trial as figure
from grpolab.validate.study.trial import tables
from grpolab.validate.study.trial.analysis import Analysis, Standing, analyse
from grpolab.validate.study.trial.claims import CONFIRMED, EARLY, OPEN, REFUTED, Verdict
from grpolab.validate.study.trial.counts import (
    DesignCounts,
    finished_designs,
    read_design,
    write_design,
)
from grpolab.validate.study.trial.lifts import LowStart, best_ks, lift_difference, slope
from grpolab.validate.study.trial.measures import (
    calibration,
    out_of_design,
    over_designs,
    rank_correlation,
    regret,
    sign_flip,
)
from grpolab.validate.study.trial.protocol import Design, protocol

PROMPTS = 40


def made(design: Design, rule: str, seed: int) -> DesignCounts:
    """Counts of a design in which ``rule`` says what RL makes of a start."""
    rng = np.random.default_rng([seed, sum(map(ord, design.name))])
    # the higher the mean the higher the ICC: pass@1 prefers what pass@2 does not
    icc = rng.permuted(np.tile(np.linspace(0.1, 0.9, 5), (2, 1)), axis=1)[..., None]
    mean, size = 0.29 + 0.08 * icc, (1 - icc) / icc
    p = rng.beta(mean * size, (1 - mean) * size, size=(2, 5, PROMPTS))
    score = {
        "pass@2": (1 - (1 - p) ** 2).mean(axis=-1),
        "pass@1": p.mean(axis=-1),
        "nothing": rng.uniform(0.2, 0.7, size=(2, 5)),
    }[rule]
    level = np.clip(0.1 + 0.8 * score[..., None] + rng.normal(0, 0.01, (2, 5, 2)), 0.01, 0.99)
    end = np.broadcast_to(level[..., None], (2, 5, 2, PROMPTS))
    start = np.broadcast_to(p[:, :, None], end.shape)
    curve = {
        s: rng.binomial(32, start + (end - start) * s / design.steps)
        for s in (0, 25, 50, 100, 200)
        if s < design.steps
    }
    return DesignCounts(
        design=design, samples=64, curve_samples=32, before=rng.binomial(64, p),
        greedy=rng.binomial(1, p), end=rng.binomial(64, end), curve=curve,
        first=np.zeros((2, PROMPTS), dtype=np.int64),
        measures={
            name: rng.random((2, 5)) for name in ("nll", "nll-first", "entropy", "dormant", "rank")
        },
        grad_norm=rng.random((2, 5, 2)),
        train_correct=rng.integers(0, 256, (2, 5, 2, design.steps)),
        train_informative=rng.integers(0, 33, (2, 5, 2, design.steps)),
    )  # fmt: skip


ALL = len(protocol().designs)


def result(rule: str, seed: int = 0, last: int = ALL) -> Analysis:
    return _result(rule, seed, last)


@cache
def _result(rule: str, seed: int, last: int) -> Analysis:
    designs = protocol().designs[:last]
    return analyse(protocol(), [made(design, rule, seed) for design in designs])


def of(found: Analysis, claim: str) -> Verdict:
    return next(v for v in found.verdicts if v.claim == claim)


def standing(found: Analysis, predictor: str) -> Standing:
    return next(
        s for s in found.standings if (s.predictor, s.outcome) == (predictor, "final pass@1")
    )


def test_a_planted_predictor_wins() -> None:
    found = result("pass@2")
    claim = of(found, "A")
    assert claim.verdict == CONFIRMED
    assert claim.meets_bar
    assert claim.high < 0
    assert of(found, "C").verdict == CONFIRMED
    assert standing(found, "pass@2").regret.value < 0.01
    assert standing(found, "pass@1").regret.value > 0.02
    assert standing(found, "pass@2").spearman.low > 0.8
    within = standing(found, "pass@2").r2_within
    assert within is not None
    assert within.low > 0.8
    coverage = standing(found, "pass@2").coverage
    assert coverage is not None
    assert coverage.high >= 0.95
    assert of(found, "K").verdict in (CONFIRMED, OPEN)


def test_the_other_way_round_it_falls() -> None:
    found = result("pass@1")
    assert of(found, "A").verdict == REFUTED
    assert of(found, "C").verdict == REFUTED
    assert of(found, "A").value > 0


@pytest.mark.parametrize("seed", range(2))
def test_where_nothing_is_to_be_known_nobody_wins(seed: int) -> None:
    found = result("nothing", seed)
    assert all(of(found, claim).verdict != CONFIRMED for claim in ("A", "B", "D"))
    r2 = standing(found, "pass@2").r2
    assert r2 is not None
    assert r2.value < 0.1


@pytest.mark.parametrize("last", [0, 1, 3, 5, 25])
def test_a_part_gives_numbers_and_no_verdict(last: int) -> None:
    found = result("pass@2", 0, last)
    assert len(found.done) == last
    assert {v.verdict for v in found.verdicts} <= {EARLY}
    assert bool(found.standings) == bool(last)
    found.as_dict()


def test_counts_come_back_as_they_were_written(tmp_path: Path) -> None:
    fixed = protocol()
    design = fixed.designs[0]
    counts = made(design, "pass@2", 0)
    write_design(counts, tmp_path, sha256=fixed.sha256)
    again = read_design(fixed, design, tmp_path)
    assert np.array_equal(again.before, counts.before)
    assert np.array_equal(again.end, counts.end)
    assert all(np.array_equal(again.curve[s], counts.curve[s]) for s in counts.curve)
    assert np.array_equal(again.train_correct, counts.train_correct)
    assert np.allclose(again.measures["nll"], counts.measures["nll"], atol=1e-6)
    assert analyse(fixed, [again]).standings[0] == analyse(fixed, [counts]).standings[0]


def test_regret_is_what_the_choice_costs() -> None:
    score = np.array([[[1.0, 1.0], [1.0, 0.0], [0.0, 2.0]]])
    outcome = np.array([[[0.3, 0.3], [0.9, 0.1], [0.2, 0.6]]])
    # seed 0 picks the shallowest of two equals, seed 1 the last; the best mean is .5
    assert regret(score, outcome) == pytest.approx(0.5 - (0.3 + 0.6) / 2)
    assert rank_correlation(outcome, outcome) == pytest.approx(1.0)
    assert rank_correlation(np.zeros_like(outcome), outcome) == 0.0


def test_sign_flip_holds_its_level() -> None:
    assert sign_flip(np.ones(10)) == pytest.approx(2 / 1024, rel=0.4)
    rng = np.random.default_rng(1)
    share = np.mean([sign_flip(rng.standard_normal(12), rng=i) < 0.05 for i in range(200)])
    assert share < 0.11


def test_forecasts_cover_and_a_line_is_found() -> None:
    rng = np.random.default_rng(0)
    x = [rng.random((2, 5)) for _ in range(20)]
    y = [0.2 + 0.5 * v + rng.normal(0, 0.05, v.shape) for v in x]
    fit = out_of_design(x, y, within=False)
    assert 1 - fit.error.sum() / fit.total.sum() == pytest.approx(
        0.25 / 12 / (0.25 / 12 + 0.0025), abs=0.06
    )
    found = calibration(x, y)
    assert over_designs(found.coverage).value == pytest.approx(0.96, abs=0.03)
    shifted = [v + 5 * (i == 3) for i, v in enumerate(y)]
    assert calibration(x, shifted).coverage[3] == 0.0
    with pytest.raises(ValueError, match="at least 4 designs"):
        calibration(x[:3], y[:3])


def test_budget_law_is_found_where_it_is_planted() -> None:
    fixed = protocol()
    rows = []
    for design in fixed.designs[:8]:
        counts = made(design, "nothing", 1)
        p = counts.before / 64
        curve = {}
        for s in counts.curve:
            k = {25: 1.0, 50: 1.5, 100: 2.0, 200: 4.0}.get(s, 1.0)
            level = (1 - (1 - p) ** k).mean(axis=-1)[:, :, None, None]
            curve[s] = np.round(32 * np.broadcast_to(level, counts.end.shape))
        rows += best_ks(fixed, replace(counts, curve=curve))
    steps = [row for row in rows if row.steps in (25, 50, 100)]
    assert slope(steps).low > 0
    flat = [row._replace(best=2.0) for row in rows]
    assert slope(flat).value == 0.0


def low(design: str, *, variance: bool, lifts: bool) -> LowStart:
    return LowStart(
        design, 0, 8, 0.0, 0.01, 0.1, True, 0.2, variance, (0.2,), 0.3, lifts, not lifts
    )


def test_low_starts_are_compared_by_their_variance() -> None:
    names = [f"d{i}" for i in range(6)]
    planted = [low(n, variance=v, lifts=v) for n in names for v in (True, False)]
    assert lift_difference(planted).value == 1.0
    none = [low(n, variance=v, lifts=True) for n in names for v in (True, False)]
    assert lift_difference(none).value == 0.0
    assert np.isnan(lift_difference(planted[::2]).value)


def test_tables_and_figure_say_how_far_the_trial_is() -> None:
    whole, part = result("pass@2").as_dict(), result("pass@2", 0, 3).as_dict()
    assert "All 26" in tables.state(whole)
    assert "Designs finished: 3 of 26. No claim is decided yet" in tables.state(part)
    for found in (whole, part, result("pass@2", 0, 0).as_dict()):
        for outcome in protocol().words["outcomes"]:
            tables.standings(found, outcome).markdown()
        for make in (tables.verdicts, tables.budget, tables.low_starts):
            make(found).markdown()
    assert "| A | pass@2 before RL chooses better" in tables.verdicts(whole).markdown()
    assert "not decided yet" in tables.verdicts(part).markdown()
    assert "| met |" in tables.verdicts(whole).markdown()
    assert "| met |" not in tables.verdicts(part).markdown()
    drawn, order = figure.data(part), list(protocol().words["predictors"])
    assert [cost.predictor for cost in drawn["costs"]] == order
    ranked = [cost.value for cost in figure.data(whole)["costs"]]
    assert ranked == sorted(ranked)
    axes = Figure().add_subplot()
    figure.draw(axes, drawn)
    assert axes.get_title() == "3 of 26 designs, interim: no verdict"
    whole_axes = Figure().add_subplot()
    figure.draw(whole_axes, figure.data(whole))
    assert whole_axes.get_title() == "26 of 26 designs"
    assert len(whole_axes.get_yticklabels()) == len(protocol().words["predictors"])


@pytest.mark.parametrize("last", [1, 3, 25])
def test_summary_of_a_part_has_numbers_no_verdict_and_no_ranking(last: int) -> None:
    found = result("pass@2", 0, last).as_dict()
    said = tables.summary(found)
    assert f"{last} of 26 designs; interim numbers, no verdict" in said
    assert CONFIRMED not in said
    assert REFUTED not in said
    shown = [line.split(" | ")[0].strip("| ") for line in said.splitlines() if line[:2] == "| "]
    assert shown[2:] == [name for name in protocol().words["predictors"] if name in shown]


def test_summary_of_all_designs_gives_the_verdicts() -> None:
    said = tables.summary(result("pass@2").as_dict())
    assert "all 26 designs are finished" in said
    assert "interim" not in said
    for verdict in result("pass@2").verdicts:
        assert f"- {verdict.claim}, {verdict.statement}: **{verdict.verdict}**" in said


@pytest.mark.parametrize("last", [1, 25, ALL])
def test_claims_of_papers_have_a_verdict_on_all_designs_only(last: int) -> None:
    found = result("pass@2", 0, last)
    doom = next(v for v in found.verdicts if v.claim == "I")
    said = tables.of_papers(found.as_dict())
    assert (f"**{doom.verdict}**" in said) == (last == ALL)
    assert ("No claim is decided yet" in said) == (last < ALL)
    assert doom.note in said
    assert said.count("2510.01624") == 2


def test_result_is_that_of_the_committed_counts() -> None:
    folder = Path(__file__).parents[3] / "docs/results/trial"
    fixed = protocol()
    done = finished_designs(fixed, folder)
    committed = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert committed == json.loads(json.dumps(analyse(fixed, done).as_dict()))

"""Levels that RL reaches: the shipped file, its formula, and how intervals and chances hold."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import grpolab
from grpolab.validate.forecast.levels import (
    FEWEST_TASKS,
    FILE,
    STEPS_BEYOND,
    best_start,
    level,
    levels,
)
from grpolab.validate.forecast.outcome import MEANT_FOR, RULES, forecast_outcome
from grpolab.validate.study.explore.forecasts import Scored, judged, known_levels


def world(seed: int, *, tasks: int = 6, each: int = 2, spread: float = 0.02) -> list[Scored]:
    """Designs whose tasks shift all outcomes alike; inside a ladder y is .5 x and noise."""
    rng = np.random.default_rng(seed)
    designs = []
    for t in range(tasks):
        of_task = rng.normal(0, 0.08)
        for d in range(each):
            of_design = of_task + rng.normal(0, 0.04)
            p = rng.beta(2, 2, size=(2, 5, 60)) * rng.uniform(0.5, 1, size=(2, 5, 1))
            y = 0.3 + 0.5 * p.mean(axis=-1) + of_design + rng.normal(0, spread, (2, 5))
            names = [rule for rule, _ in MEANT_FOR]
            designs.append(
                Scored(
                    f"{t}-{d}", f"task {t}", 200, dict.fromkeys(names, p), dict.fromkeys(names, y)
                )
            )
    return designs


def test_intervals_for_a_new_task_hold_and_chances_are_hit_rates() -> None:
    rows = [judged(world(seed), (("pass@2", 1),))[0] for seed in range(4)]
    coverage = np.array([row["coverage"].value for row in rows])
    assert coverage.mean() >= 0.93
    claimed = np.mean([row["claimed"].value for row in rows])
    right = np.mean([row["right"].value for row in rows])
    assert right == pytest.approx(claimed, abs=0.1)
    assert np.mean([row["brier"].value - row["brier_equal"].value for row in rows]) < 0
    assert all(row["half_width"].value < 0.5 for row in rows)


def test_the_level_is_the_line_with_its_stated_width() -> None:
    known = known_levels(world(0))
    rule = next(r for r in known.rules if r.rule == "pass@2")
    found = level("pass@2", 1, steps=200, score=0.4, stderr=0.0, known=known)
    assert found is not None
    assert found.value == pytest.approx(rule.intercept + 0.4 * rule.slope)
    far = (0.4 - rule.mean) ** 2 / rule.variance
    half = stats.t.ppf(0.975, 5) * rule.error * np.sqrt(1 + 1 / 6 + far)
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half))
    assert (found.designs, found.tasks) == (12, 6)
    one = forecast_outcome(grpolab.GroupCounts([3], 8), steps=200).outcome
    many = forecast_outcome(grpolab.GroupCounts([3] * 50, 8), steps=200).outcome
    assert one is not None
    assert many is not None
    assert one.high - one.low > many.high - many.low > 0.2


def test_what_no_design_had_has_no_level() -> None:
    known = levels()
    low, high = known.steps
    counts = grpolab.GroupCounts([1, 2, 3], 16)
    for steps in (low / STEPS_BEYOND - 1, high * STEPS_BEYOND + 1):
        assert forecast_outcome(counts, steps=int(steps)).outcome is None
        values = np.full((2, 4), 0.5)
        assert best_start("pass@2", 1, steps=int(steps), values=values) is None
    assert forecast_outcome(counts, steps=low).outcome is not None
    assert forecast_outcome(counts, steps=low, rule="transport", k=8).outcome is None
    few = known_levels(world(0, tasks=FEWEST_TASKS - 1))
    assert level("pass@2", 1, steps=200, score=0.5, stderr=0.0, known=few) is None


def test_equal_starts_have_equal_chances_and_a_clear_one_is_named() -> None:
    rng = np.random.default_rng(0)
    same = np.tile(rng.random(80), (4, 1))
    found = best_start("pass@2", 1, steps=200, values=same)
    assert found is not None
    assert np.allclose(found, 0.25, atol=0.03)
    clear = best_start("pass@2", 1, steps=200, values=np.stack([same[0] / 9, 0.3 + 0.7 * same[0]]))
    assert clear is not None
    assert 0.7 < clear[1] < 0.99  # in some designs RL takes all starts to one level
    assert best_start("pass@2", 1, steps=200, values=same[:1]).tolist() == [1.0]  # type: ignore[union-attr]


def test_shipped_levels_are_those_of_the_committed_counts() -> None:
    from grpolab.store import jsonable
    from grpolab.validate.study.explore.courses import courses
    from grpolab.validate.study.explore.forecasts import as_file, scored
    from grpolab.validate.study.trial.analysis import rounded

    results = Path(__file__).parents[3] / "docs" / "results"
    result = json.loads((results / "trial" / "result.json").read_text(encoding="utf-8"))
    made = as_file(known_levels([scored(one) for one in courses(results)], result))
    assert json.loads(FILE.read_text(encoding="utf-8")) == json.loads(
        json.dumps(rounded(jsonable(made)))
    ), "rewrite it with: python -m grpolab.validate.study.redo docs/results"


def test_the_file_has_a_level_for_every_rule() -> None:
    known = levels()
    assert tuple(r.rule for r in known.rules) == RULES
    assert all(len(r.spreads) == len(r.slopes) == len(known.designs) for r in known.rules)
    assert known.of_trial <= len(known.designs)
    assert f"{known.of_trial} of {known.trial_size} of the trial" in known.basis


def test_the_sentence_on_the_trial_follows_its_verdicts() -> None:
    known = levels()._replace(of_trial=3, trial_size=26, verdicts={})
    assert "No trial has confirmed yet" in known.trial
    assert "(3 of 26 designs are in" in known.trial
    whole = known._replace(verdicts={"A": "confirmed", "B": "open", "D": "refuted", "F": "open"})
    assert "confirmed for pass@2" in whole.trial
    assert "refuted for the transport for pass@10" in whole.trial
    assert "No trial" not in whole.trial

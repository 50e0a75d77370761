"""Rules for the outcome of RL: formulas against other ways to compute them, limits refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

import grpolab
from grpolab.theory import pass_at_k
from grpolab.validate.forecast.outcome import (
    RULES,
    budget_k,
    forecast_outcome,
    outcome_scores,
    pass_at_any,
    rule_fits,
    transport,
)

N = 64
C = np.arange(N + 1)


@pytest.mark.parametrize("k", [1, 2, 3, 8, 63, 64])
def test_whole_k_is_the_usual_estimator(k: int) -> None:
    assert np.allclose(pass_at_any(N, C, k), pass_at_k(N, C, k), atol=1e-12)


@pytest.mark.parametrize("k", [1.01, 1.1875, 1.375, 1.9, 2.25])
@pytest.mark.parametrize("n", [16, 64])
def test_fractional_k_has_the_stated_bias(n: int, k: float) -> None:
    c = np.arange(n + 1)
    p = np.linspace(0, 1, 201)[:, None]
    mean = (stats.binom.pmf(c, n, p) * pass_at_any(n, c, k)).sum(axis=1)
    assert np.abs(mean - (1 - (1 - p[:, 0]) ** k)).max() <= 1 / (np.e * n)
    assert (np.diff(pass_at_any(n, c, k)) >= 0).all()


def test_budget_law_is_that_of_the_protocol() -> None:
    assert [budget_k(s) for s in (1, 25, 100, 250, 450, 5000)] == [1, 1, 1.375, 2, 2.25, 2.25]
    steps = np.arange(1, 600)
    assert (np.diff([budget_k(s) for s in steps]) >= 0).all()
    with pytest.raises(ValueError, match="steps must be >= 1"):
        budget_k(0)


@pytest.mark.parametrize(("k", "shift", "noise"), [(1, 1.0, 0.0), (10, 1.75, 3.45), (64, 0.5, 1)])
def test_transport_is_the_mean_over_the_noise(k: int, shift: float, noise: float) -> None:
    rng = np.random.default_rng(0)
    z = special.logit((C + 0.5) / (N + 1))
    moved = special.expit(z[:, None] + shift + noise * rng.standard_normal(40_000))
    drawn = (1 - (1 - moved) ** k).mean(axis=1)
    assert np.allclose(transport(N, C, k=k, shift=shift, noise=noise), drawn, atol=0.012)


def test_a_shift_by_one_is_pass_at_2_to_first_order() -> None:
    p = (C[20:45] + 0.5) / (N + 1)
    assert np.allclose(transport(N, C[20:45], k=1, shift=0.1), p + 0.1 * p * (1 - p), atol=2e-3)


@pytest.mark.parametrize("rule", RULES)
def test_score_is_the_mean_over_prompts_however_rows_are_cut(rule: str) -> None:
    whole = grpolab.GroupCounts([0, 4, 16, 8], 16)
    cut = grpolab.GroupCounts([0, 0, 1, 3, 8, 8, 2, 6], 8, prompt_id=[0, 0, 1, 1, 2, 2, 3, 3])
    k = 1 if rule_fits(rule, 1) else 10
    found = forecast_outcome(whole, steps=100, rule=rule, k=k)
    assert found == forecast_outcome(cut, steps=100, rule=rule, k=k)
    assert found.value == pytest.approx(outcome_scores(whole, steps=100, rule=rule, k=k).mean())
    assert 0 <= found.low < found.value < found.high <= 1


def test_no_success_at_all_still_has_an_upper_end() -> None:
    found = forecast_outcome(grpolab.GroupCounts([0] * 20, 8), steps=10)
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high > 0.1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rule": "pass@3"}, "rule must be one of pass@1, pass@2"),
        ({"steps": 0}, "steps must be >= 1, got 0"),
        ({"k": 0}, "k must be >= 1, got 0"),
        ({"k": 10, "rule": "pass@1"}, "pass@1 is for outcomes pass@1; for k = 10 use transport"),
        ({"k": 1, "rule": "pass@8"}, "k > 1; for k = 1 use pass@1"),
        ({"k": 10, "rule": "pass@8"}, "pass@8 needs 8 samples of every prompt, got 4 of some"),
    ],
)
def test_what_no_rule_says_is_refused(given: dict[str, object], message: str) -> None:
    counts = grpolab.GroupCounts([0, 2], 4)
    with pytest.raises(ValueError, match=message):
        forecast_outcome(counts, **{"steps": 10, **given})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="pass@2 needs 2 samples of every prompt, got 1"):
        forecast_outcome(grpolab.GroupCounts([0, 1], 1), steps=10, rule="pass@2")


def test_without_a_rule_it_is_the_one_that_the_trial_left_for_the_outcome() -> None:
    counts = grpolab.GroupCounts([0, 2, 7], 16)
    for k, rule in ((1, "pass@1"), (10, "transport")):
        found = forecast_outcome(counts, steps=100, k=k)
        assert found == grpolab.predict.forecast_outcome(counts, steps=100, rule=rule, k=k)
        assert found.rule == rule

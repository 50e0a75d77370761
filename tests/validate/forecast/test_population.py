"""Forecasts of a population: against simulated chains, with an erring grader, and their errors."""

from __future__ import annotations

import numpy as np
import pytest

from grpolab.simulate import Options, simulate_bernoulli
from grpolab.theory import MAXRL, GroupCounts, RateLaw
from grpolab.validate.forecast import forecast_population, population_path, rate_law

STEPS = [0, 60, 119]


@pytest.mark.parametrize(("high", "low"), [(1.0, 0.0), (0.9, 0.05)])
def test_chains_follow_the_path(high: float, low: float) -> None:
    law = RateLaw([0.03, 0.2, 0.7])
    p0 = law.sample(20_000, rng=np.random.default_rng(0))
    run = simulate_bernoulli(
        p0, group_size=8, learning_rate=0.05, num_steps=120, seed=0,
        options=Options(true_positive=high, false_positive=low),
    )  # fmt: skip
    found = population_path(
        law, STEPS, group_size=8, learning_rate=0.05, true_positive=high, false_positive=low
    )
    np.testing.assert_allclose(found.zero_std, run.frac_zero_std[STEPS], atol=0.012)
    np.testing.assert_allclose(found.mean_p, run.mean_p[STEPS], atol=0.012)


@pytest.mark.slow
def test_the_interval_holds_the_share_of_the_population() -> None:
    law, hits = RateLaw([0.02, 0.5, 0.95], [0.4, 0.4, 0.2]), []
    truth = population_path(law, STEPS, group_size=8, learning_rate=0.1).zero_std
    for seed in range(25):
        rng = np.random.default_rng(seed)
        counts = GroupCounts(rng.binomial(8, law.sample(120, rng=rng)), 8)
        found = forecast_population(counts, STEPS, group_size=8, learning_rate=0.1, rng=seed)
        assert np.all((found.low <= found.zero_std) & (found.zero_std <= found.high))
        hits.append((found.low <= truth) & (truth <= found.high))
    assert np.mean(hits) > 0.85


def test_steps_in_parts_and_rules() -> None:
    law = RateLaw([0.0, 0.3, 1.0])
    at = {"group_size": 4, "learning_rate": 0.1, "rule": MAXRL}
    whole = population_path(law, [10, 20], **at)
    assert population_path(law, [20], **at).mean_p[0] == pytest.approx(whole.mean_p[1])
    assert population_path(law, [0], **at).mean_p[0] == pytest.approx(float(law.mean))
    still = population_path(law, [50], group_size=4, learning_rate=0.0)
    assert still.zero_std[0] == pytest.approx(float(law.prob_zero_std(4)))


def test_the_law_of_counts_is_one_that_simulations_take() -> None:
    counts = GroupCounts(np.random.default_rng(0).binomial(8, 0.4, 200), 8)
    law = rate_law(counts)
    assert float(law.mean) == pytest.approx(counts.mean_reward, abs=0.02)
    assert float(law.rho) < 0.05


@pytest.mark.parametrize("steps", [[], [-1], [3, 2], [0.5], [[1]]])
def test_bad_steps(steps: object) -> None:
    with pytest.raises(ValueError, match="steps must be whole numbers"):
        population_path(RateLaw([0.5]), steps, group_size=8, learning_rate=0.1)


def test_an_inverted_grader_is_refused() -> None:
    with pytest.raises(ValueError, match="true_positive must exceed"):
        forecast_population(
            GroupCounts([1, 2], 4), [0], group_size=8, learning_rate=0.1, rng=0,
            true_positive=0.1, false_positive=0.2,
        )  # fmt: skip

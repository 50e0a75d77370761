"""Stale groups: drawn by an older policy, with and without importance ratios."""

from __future__ import annotations

import numpy as np
import pytest

from grpolab.simulate import Options, simulate_bernoulli
from grpolab.theory import DR_GRPO, GRPO, MAXRL, stale_drift


@pytest.mark.parametrize("importance", [True, False])
@pytest.mark.parametrize("rule", [GRPO, DR_GRPO, MAXRL], ids=lambda rule: rule.name)
def test_the_drift_is_that_of_the_policy_that_drew(rule, importance: bool, scale: float) -> None:
    number = int(40_000 * scale)
    options = Options(staleness=2, importance=importance, clip_low=1.0, clip_high=1e9)
    at = {"group_size": 8, "learning_rate": 0.7, "seed": 1, "rule": rule, "options": options}
    first = simulate_bernoulli(0.2, num_steps=2, num_chains=number, **at)
    third = simulate_bernoulli(0.2, num_steps=3, num_chains=number, **at)
    moved = (third.state.logit - first.state.logit) / 0.7
    expected = stale_drift(rule, first.state.p, behaviour=[0.2] * 8, importance=importance)
    gap = moved - expected
    assert abs(gap.mean()) < 4 * gap.std() / number**0.5
    fresh = stale_drift(rule, first.state.p, behaviour=first.state.p[:, None] + np.zeros(8),
                        importance=importance)  # fmt: skip
    wrong = moved - fresh
    if rule is DR_GRPO and importance:  # a constant weight: ratios leave no trace of who drew
        np.testing.assert_allclose(fresh, expected)
        return
    if scale == 1:  # a few chains do not tell the two apart
        assert abs(wrong.mean()) > 4 * wrong.std() / number**0.5


def test_no_staleness_changes_nothing_and_threads_do_not_matter(scale: float) -> None:
    steps = max(15, int(300 * scale))
    at = {"group_size": 4, "learning_rate": 0.5, "num_steps": steps, "num_chains": 700, "seed": 0}
    plain = simulate_bernoulli(0.1, options=Options(optimiser="adam"), **at)
    same = simulate_bernoulli(0.1, options=Options(optimiser="adam", importance=False), **at)
    np.testing.assert_array_equal(plain.mean_p, same.mean_p)
    stale = [
        simulate_bernoulli(0.1, options=Options(staleness=5), threads=t, snapshot_every=s, **at)
        for t, s in ((1, 0), (2, 7))
    ]
    np.testing.assert_array_equal(stale[0].mean_p, stale[1].mean_p)
    assert not np.array_equal(stale[0].mean_p, plain.mean_p)


def test_what_is_refused() -> None:
    at = {"group_size": 4, "learning_rate": 0.5, "num_steps": 3, "seed": 0}
    options = Options(staleness=1)
    run = simulate_bernoulli(0.1, options=options, **at)
    with pytest.raises(ValueError, match="staleness must be 0 where a run is continued"):
        simulate_bernoulli(run.state, options=options, **at)
    for bad in (-1, 0.5):
        with pytest.raises(ValueError, match="staleness must be a whole number"):
            Options(staleness=bad)


@pytest.mark.parametrize("masked", [False, True])
def test_trajectories_under_a_budget_of_tokens_follow_their_mean_field(
    masked: bool, scale: float
) -> None:
    from grpolab.simulate import EXPERIMENTS

    number = max(100, int(4000 * scale))
    at = {"num_steps": 20, "num_chains": number, "p0": 0.3, "learning_rate": 0.05, "seed": 1}
    play = EXPERIMENTS["trajectory"]
    found = play(**at, cut_right=0.5, cut_wrong=0.2, mask_cut=masked)
    far = np.abs(found["mean_p"] - found["mean_field"])
    assert np.all(far <= 4 * found["stderr_p"] + 2e-3)
    plain = play(**at)
    assert np.abs(found["mean_field"] - plain["mean_field"]).max() > 0.01
    assert np.isnan(play(**at, cut_right=0.5, staleness=2)["mean_field"][1:]).all()

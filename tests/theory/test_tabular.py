import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpolab.theory import (
    DR_GRPO,
    GRPO,
    RLOO,
    SIGN,
    AdvantageRule,
    entropy,
    entropy_drift,
    expected_entropy_drift,
    expected_logit_step,
    expected_odds_drift,
    expected_share_drift,
    expected_std,
    group_update,
    success_rate,
)

MARK = np.array([True, True, False, False])
PI = np.array([0.1, 0.2, 0.3, 0.4])


def softmax(theta):
    e = np.exp(theta - np.max(theta))
    return e / e.sum()


@pytest.mark.parametrize("rule", [GRPO, DR_GRPO, SIGN], ids=repr)
def test_expected_step_over_all_groups(rule):
    # all V^g groups of responses, each with its realised update
    size, total = 3, np.zeros(4)
    for drawn in itertools.product(range(4), repeat=size):
        chance = math.prod(PI[i] for i in drawn)
        moved = group_update(rule, np.log(PI), correct=MARK, responses=drawn, learning_rate=1.0)
        total += chance * (moved - np.log(PI))
    got = expected_logit_step(rule, PI, correct=MARK, group_size=size)
    np.testing.assert_allclose(got, total, atol=1e-14)


def numeric(function, theta, step, h=1e-6):
    return (function(theta + h * step) - function(theta - h * step)) / (2 * h)


@pytest.mark.parametrize("rule", [GRPO, RLOO], ids=repr)
def test_drifts_are_derivatives_along_the_expected_step(rule):
    theta, size = np.log(PI), 8
    step = expected_logit_step(rule, PI, correct=MARK, group_size=size)

    def odds(t):
        p = softmax(t)[MARK].sum()
        return math.log(p / (1 - p))

    got = expected_odds_drift(rule, PI, correct=MARK, group_size=size)
    assert got == pytest.approx(numeric(odds, theta, step), rel=1e-7)

    shares = PI[MARK] / PI[MARK].sum()
    for j in range(2):
        drift = numeric(lambda t, j=j: softmax(t)[j] / softmax(t)[:2].sum(), theta, step)
        got = expected_share_drift(shares, success_rate(PI, MARK), rule=rule, group_size=size)[j]
        assert got == pytest.approx(drift, rel=1e-6)

    assert expected_entropy_drift(rule, PI, correct=MARK, group_size=size) == pytest.approx(
        numeric(lambda t: entropy(softmax(t)), theta, step), rel=1e-6
    )
    natural = numeric(lambda t: entropy(softmax(t)), theta, step / PI)
    assert expected_entropy_drift(
        rule, PI, correct=MARK, group_size=size, natural=True
    ) == pytest.approx(natural, rel=1e-6)


def test_natural_gradient_keeps_the_shares():
    step = expected_logit_step(GRPO, PI, correct=MARK, group_size=8) / PI
    assert np.ptp(step[MARK]) == pytest.approx(0, abs=1e-15)
    assert np.ptp(step[~MARK]) == pytest.approx(0, abs=1e-15)


def test_lower_entropy_learns_faster_at_fixed_p():
    flat = np.array([0.1, 0.1, 0.4, 0.4])
    sharp = np.array([0.19, 0.01, 0.79, 0.01])
    assert entropy(sharp) < entropy(flat)
    slow, fast = (expected_odds_drift(GRPO, pi, correct=MARK, group_size=8) for pi in (flat, sharp))
    assert slow == pytest.approx(float(expected_std(0.2, 8)))  # C_c + C_i = 1/2 + 1/2
    assert fast > 1.5 * slow


def test_winner_takes_all():
    shares = np.array([0.4, 0.35, 0.25])
    for _ in range(4000):
        shares = shares + 0.1 * expected_share_drift(shares, 0.5, rule=GRPO, group_size=8)
    assert shares[0] > 0.999
    assert shares.sum() == pytest.approx(1)


LOGITS = st.lists(st.floats(-8, 8), min_size=2, max_size=6)


@given(LOGITS, st.data())
@pytest.mark.parametrize("rule", [GRPO, DR_GRPO, RLOO], ids=repr)
def test_p_never_falls(rule, theta, data):
    # any group, any step size, any non-negative diagonal preconditioner
    size = len(theta)
    mark = np.array(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    drawn = data.draw(st.lists(st.integers(0, size - 1), min_size=2, max_size=8))
    rate = data.draw(st.floats(1e-3, 50))
    scale = np.array(data.draw(st.lists(st.floats(0, 10), min_size=size, max_size=size)))
    before = np.array(theta)
    step = group_update(rule, before, correct=mark, responses=drawn, learning_rate=rate) - before
    assert np.all(step[mark] >= -1e-12)
    assert np.all(step[~mark] <= 1e-12)
    p = softmax(before)[mark].sum()
    assert softmax(before + scale * step)[mark].sum() >= p - 1e-9


def test_p_can_fall_without_a_baseline():
    # negative control: REINFORCE draws a rare right answer, and the common right one loses
    plain = AdvantageRule("reinforce", baseline="none", scale="none")
    theta, mark = np.log([0.6, 0.05, 0.35]), np.array([True, True, False])
    moved = group_update(plain, theta, correct=mark, responses=[1, 1], learning_rate=0.3)
    assert softmax(moved)[mark].sum() < 0.65
    kept = group_update(GRPO, theta, correct=mark, responses=[1, 1], learning_rate=1.0)
    np.testing.assert_array_equal(kept, theta)


def test_entropy_drift_is_a_covariance():
    step = np.array([0.3, -0.1, 0.2, 0.0])
    log_pi = np.log(PI)
    covariance = PI @ (log_pi * step) - (PI @ log_pi) * (PI @ step)
    assert entropy_drift(PI, step) == pytest.approx(-covariance, rel=1e-12)


def test_bad_input():
    with pytest.raises(ValueError, match=r"policy must sum to 1, got 0\.9"):
        success_rate([0.5, 0.4], [True, False])
    with pytest.raises(ValueError, match="correct must be 2 booleans"):
        success_rate([0.5, 0.5], [True])
    with pytest.raises(ValueError, match=r"responses must be indices in 0..1, got \[2\]"):
        group_update(GRPO, [0.0, 0.0], correct=[True, False], responses=[2], learning_rate=1.0)

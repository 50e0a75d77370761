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
    expected_logit_step,
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
def test_entropy_drift_is_the_derivative_along_the_expected_step(rule):
    theta, size = np.log(PI), 8
    step = expected_logit_step(rule, PI, correct=MARK, group_size=size)

    for move in (step, step / PI):  # vanilla, natural
        drift = numeric(lambda t: entropy(softmax(t)), theta, move)
        assert entropy_drift(PI, move) == pytest.approx(drift, rel=1e-6)


def test_natural_gradient_keeps_the_shares():
    step = expected_logit_step(GRPO, PI, correct=MARK, group_size=8) / PI
    assert np.ptp(step[MARK]) == pytest.approx(0, abs=1e-15)
    assert np.ptp(step[~MARK]) == pytest.approx(0, abs=1e-15)


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

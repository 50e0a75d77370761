import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad, solve_ivp
from scipy.special import expit

from grpolab.theory import (
    DR_GRPO,
    GRPO,
    MAXRL,
    PRESETS,
    RLOO,
    escape_time,
    escape_time_small_p,
    expected_drift,
    expected_hitting_time,
    expected_std,
    expected_update,
    expected_variance,
    flow,
    noisy_drift,
    one_step,
)

FLOWS = {  # rule: (vanilla dz/dt, natural dz/dt) in the limit of large groups
    "grpo": (lambda p: math.sqrt(p * (1 - p)), lambda p: 1 / math.sqrt(p * (1 - p))),
    "rloo": (lambda p: p * (1 - p), lambda p: 1.0),
    "maxrl": (lambda p: 1 - p, lambda p: 1 / p),
}


@pytest.mark.parametrize("rule", FLOWS)
@pytest.mark.parametrize("natural", [False, True])
@pytest.mark.parametrize("start", [-4.0, 0.0, 1.5])
def test_closed_forms_against_the_solver(rule, natural, start):
    speed = FLOWS[rule][natural]
    times = np.linspace(0, 0.8 if natural else 8.0, 5)
    path = solve_ivp(
        lambda t, z: [speed(float(expit(z[0])))], (0, times[-1]), [start], t_eval=times,
        rtol=1e-11, atol=1e-12, method="DOP853",
    ).y[0]  # fmt: skip
    np.testing.assert_allclose(flow(start, times, rule=rule, natural=natural), path, atol=2e-8)


@pytest.mark.parametrize("rule", FLOWS)
@given(st.floats(-30, 30), st.floats(0, 1e6), st.floats(0, 10))
def test_flows_are_semigroups(rule, start, first, second):
    there = flow(start, first, rule=rule)
    assert np.isfinite(there)
    # e^z in maxrl's closed form loses the digits of z at large z
    assert flow(there, second, rule=rule) == pytest.approx(
        float(flow(start, first + second, rule=rule)), abs=1e-6
    )
    assert there >= start - 1e-9


def test_natural_arcsine_arrives():
    assert expit(flow(0.0, [1.5, 1.6], natural=True)).tolist()[1] == 1.0
    p = expit(flow(-3.0, 0.7, natural=True))
    assert math.asin(math.sqrt(p)) == pytest.approx(math.asin(math.sqrt(expit(-3.0))) + 0.35)


@given(st.floats(0, 1), st.integers(2, 64))
def test_one_step_of_grpo(p, size):
    step = one_step(GRPO, p, group_size=size)
    k = np.arange(size + 1)
    np.testing.assert_allclose(step.change, np.sqrt(k * (size - k)) / size, atol=1e-15)
    mean = float(expected_std(p, size))
    assert step.mean == pytest.approx(mean, rel=1e-10, abs=1e-15)
    spread = p * (1 - p) * (size - 1) / size - mean**2
    assert step.variance == pytest.approx(spread, abs=1e-12)
    assert expected_drift(GRPO, p, group_size=size) == pytest.approx(mean, rel=1e-10, abs=1e-15)


@pytest.mark.parametrize("rule", PRESETS.values(), ids=PRESETS)
def test_drift_is_the_mean_step(rule):
    for p in (0.01, 0.4, 0.9):
        step = one_step(rule, p, group_size=6)
        drift = expected_drift(rule, p, group_size=6)
        assert drift == pytest.approx(float(step.mean), rel=1e-11)
        assert drift == pytest.approx(p * (1 - p) * float(expected_update(rule, p, group_size=6)))


def test_drift_table():
    # small p: p sqrt(g-1) with std scaling, p (g-1)/g without; per rollout g = 2 drifts most
    for g in (2, 8, 64):
        assert expected_drift(GRPO, 1e-9, group_size=g) == pytest.approx(
            1e-9 * math.sqrt(g - 1), rel=1e-6
        )
        assert expected_drift(DR_GRPO, 1e-9, group_size=g) == pytest.approx(1e-9 * (g - 1) / g)
    per = np.array([expected_drift(GRPO, 0.3, group_size=g) / g for g in range(2, 20)])
    assert np.argmax(per) == 0


def test_drift_is_smooth_through_p_star():
    # p* is no transition: the log-log slope of the drift hardly changes there
    p = 0.082996 * np.exp(np.linspace(-0.2, 0.2, 9))
    slopes = np.diff(np.log(expected_drift(GRPO, p, group_size=8))) / 0.05
    assert np.abs(np.diff(slopes)).max() < 0.05


@pytest.mark.parametrize("rule", [GRPO, RLOO, MAXRL], ids=repr)
def test_noisy_grader(rule):
    # flip each verdict, enumerate: the update on the true-response score
    p, tpr, fpr, size = 0.3, 0.8, 0.1, 3
    total = 0.0
    for truth in range(2**size):
        right = [(truth >> i) & 1 for i in range(size)]
        for verdict in range(2**size):
            seen = [(verdict >> i) & 1 for i in range(size)]
            chance = 1.0
            for r, s in zip(right, seen, strict=True):
                chance *= p if r else 1 - p
                hit = tpr if r else fpr
                chance *= hit if s else 1 - hit
            plus, minus = rule.advantages(sum(seen), size)
            total += chance * sum(
                float(plus if s else minus) * (r - p) for r, s in zip(right, seen, strict=True)
            ) / size  # fmt: skip
    got = noisy_drift(rule, p, group_size=size, true_positive=tpr, false_positive=fpr)
    assert got == pytest.approx(total, rel=1e-12)


def test_grader_quality_is_a_factor_for_unscaled_rules():
    clean = noisy_drift(RLOO, 0.3, group_size=8)
    for tpr, fpr in ((0.9, 0.2), (0.5, 0.5), (0.2, 0.7)):
        got = noisy_drift(RLOO, 0.3, group_size=8, true_positive=tpr, false_positive=fpr)
        assert got == pytest.approx(float(clean) * (tpr - fpr), abs=1e-14)


@pytest.mark.parametrize("rule", [GRPO, DR_GRPO, RLOO], ids=repr)
def test_escape_time_is_the_integral(rule):
    z0, z1 = np.log(0.02 / 0.98), np.log(0.7 / 0.3)
    value, _ = quad(
        lambda z: 1 / float(expected_drift(rule, float(expit(z)), group_size=8)), z0, z1
    )
    got = escape_time(rule, 0.02, 0.7, group_size=8, learning_rate=0.1)
    assert got == pytest.approx(value / 0.1, rel=1e-8)


def test_escape_time_against_the_solver():
    stop = float(escape_time(GRPO, 0.05, 0.5, group_size=4, learning_rate=1.0))
    path = solve_ivp(
        lambda t, z: [float(expected_drift(GRPO, float(expit(z[0])), group_size=4))],
        (0, stop), [math.log(0.05 / 0.95)], rtol=1e-10, atol=1e-12,
    )  # fmt: skip
    assert expit(path.y[0, -1]) == pytest.approx(0.5, abs=1e-7)


@pytest.mark.parametrize(("start", "time", "hit"), [(0.02, 237.5, 241.1), (0.083, 74.2, 75.4)])
def test_escape_table(start, time, hit):
    # g = 8, eta = .1: the mean field, and the exact mean number of updates to p = 1/2
    got = escape_time(GRPO, start, 0.5, group_size=8, learning_rate=0.1)
    assert got == pytest.approx(time, abs=0.06)
    exact = expected_hitting_time(GRPO, start, stop=0.5, group_size=8, learning_rate=0.1)
    assert exact == pytest.approx(hit, abs=0.1)
    assert exact == pytest.approx(float(got), rel=0.03)


@pytest.mark.parametrize(("rule", "scaled"), [(GRPO, True), (DR_GRPO, False)])
def test_escape_from_small_p(rule, scaled):
    for p0 in (1e-4, 1e-6):
        whole = escape_time(rule, p0, 0.5, group_size=8, learning_rate=0.1)
        lead = escape_time_small_p(p0, group_size=8, learning_rate=0.1, scaled=scaled)
        assert lead == pytest.approx(float(whole), rel=1e3 * p0 + 1e-3)


def test_variance_of_the_step_needs_the_group():
    step = one_step(DR_GRPO, 0.3, group_size=8)
    assert step.mean == pytest.approx(float(expected_variance(0.3, 8)))
    assert step.mean != pytest.approx(0.21)

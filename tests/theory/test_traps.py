import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.special import expit

from grpolab.theory import (
    DR_GRPO,
    GRPO,
    adam_rare_gain,
    critical_p,
    decay_equilibria,
    expected_drift,
    interference_threshold,
)

SIZES = [4, 8, 16, 64]


def test_interference_table():
    np.testing.assert_allclose(
        interference_threshold(GRPO, 0.02, group_size=SIZES),
        [0.0117, 0.0077, 0.0053, 0.0026],
        atol=5e-5,
    )
    np.testing.assert_allclose(
        interference_threshold(DR_GRPO, 0.02, group_size=SIZES),
        [0.0274, 0.0234, 0.0218, 0.0207],
        atol=5e-5,
    )


def test_scaling_with_the_group_tells_the_forces_apart():
    # p_c ~ g^(-1/2) with std scaling, g^0 without; p* ~ 1/g
    g = np.array([64, 1024])

    def exponent(values):
        return float(np.diff(np.log(values))[0] / np.log(16))

    assert exponent(interference_threshold(GRPO, 1e-4, group_size=g)) == pytest.approx(
        -0.5, abs=0.01
    )
    assert exponent(interference_threshold(DR_GRPO, 1e-4, group_size=g)) == pytest.approx(
        0, abs=0.01
    )
    assert exponent(critical_p(g)) == pytest.approx(-1, abs=0.01)


@given(st.floats(1e-12, 0.2), st.integers(2, 128))
def test_interference_is_a_root(load, size):
    for rule, scaled in ((GRPO, True), (DR_GRPO, False)):
        p = float(interference_threshold(rule, load, group_size=size))
        if np.isnan(p):
            assert expected_drift(rule, 0.5, group_size=size) < load
            continue
        assert expected_drift(rule, p, group_size=size) == pytest.approx(load, rel=1e-9)
        if load < 1e-6:
            lead = load / (np.sqrt(size - 1) if scaled else (size - 1) / size)
            assert p == pytest.approx(lead, rel=200 * load * size + 1e-9)


def test_interference_is_a_bifurcation():
    # just below p_c the prompt is lost, just above it recovers
    p_c = float(interference_threshold(GRPO, 0.02, group_size=8))
    ends = []
    for factor in (0.95, 1.05):
        start = p_c * factor
        path = solve_ivp(
            lambda t, z: [float(expected_drift(GRPO, float(expit(z[0])), group_size=8)) - 0.02],
            (0, 400), [np.log(start / (1 - start))], rtol=1e-8,
        )  # fmt: skip
        ends.append(float(expit(path.y[0, -1])))
    assert ends[0] < 1e-3
    assert ends[1] > 0.9


def test_decay_equilibria_are_rest_points():
    for decay in (1e-3, 0.02, 0.1, 1.0):
        got = decay_equilibria(GRPO, group_size=8, weight_decay=decay, p_prior=0.01)
        assert len(got.p) % 2 == 1
        z = np.log(got.p) - np.log1p(-got.p)
        net = expected_drift(GRPO, got.p, group_size=8) - decay * (z - np.log(0.01 / 0.99))
        np.testing.assert_allclose(net, 0, atol=1e-7)
        # stable and unstable points take turns, stable at both ends
        assert got.stable.tolist() == [i % 2 == 0 for i in range(len(got.p))]


def test_strong_decay_pins_to_the_prior():
    got = decay_equilibria(GRPO, group_size=8, weight_decay=100.0, p_prior=0.01)
    assert got.p[0] == pytest.approx(0.01, rel=0.01)
    weak = decay_equilibria(GRPO, group_size=8, weight_decay=1e-4, p_prior=0.01)
    assert weak.p[-1] > 0.99


@pytest.mark.parametrize(("beta2", "gain"), [(0.999, 31.8), (0.99, 10.5), (0.95, 5.8)])
def test_adam_by_simulation(beta2, gain):
    # one unit gradient among zeros, long after the start: bias correction is one
    first = second = total = 0.0
    for t in range(20_000):
        g = 1.0 if t == 0 else 0.0
        first, second = 0.9 * first + 0.1 * g, beta2 * second + (1 - beta2) * g * g
        if second < 1e-290:
            break
        total += first / np.sqrt(second)
    assert adam_rare_gain(0.9, beta2) == pytest.approx(total, rel=1e-9)
    assert adam_rare_gain(0.9, beta2) == pytest.approx(gain, abs=0.05)


def test_adam_needs_a_slow_second_moment():
    with pytest.raises(ValueError, match=r"beta1 must lie below sqrt\(beta2\)"):
        adam_rare_gain(0.99, 0.95)

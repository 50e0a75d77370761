import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit

from grpolab.theory import (
    GRPO,
    PRESETS,
    RLOO,
    entropy,
    expected_update,
    k3_fixed_point,
    kl_fixed_points,
    kl_fixed_points_limit,
    kl_gain_ceiling,
    kl_step,
    tilt,
    unique_beta,
)
from grpolab.theory.kl import weight_derivative


def logit(p):
    return np.log(p) - np.log1p(-p)


def test_published_example():
    # beta = 1, p_ref = .01: one root at g = 8; in the limit a marginal, an unstable and a saturated
    got = kl_fixed_points(GRPO, 0.01, beta=1.0, group_size=8)
    assert got.p.round(3).tolist() == [0.095]
    assert got.stable.all()
    limit = kl_fixed_points_limit(0.01, beta=1.0, eps=1e-6)
    assert limit.p[0] == pytest.approx(0.146, abs=5e-4)
    assert abs(limit.slope[0]) == pytest.approx(1.00, abs=5e-3)
    assert limit.p[1] == pytest.approx(0.9875, abs=5e-4)
    assert not limit.stable[1]
    assert len(limit.p) == 3
    assert limit.p[2] == 1.0
    assert limit.stable[2]


@pytest.mark.parametrize(
    ("size", "beta", "digit"), [(4, 0.045, 1e-3), (8, 0.288, 1e-3), (64, 1.67, 1e-2)]
)
def test_unique_beta_table(size, beta, digit):
    assert unique_beta(GRPO, group_size=size) == pytest.approx(beta, abs=digit / 2)


@settings(max_examples=25)
@given(st.floats(1e-8, 0.999), st.floats(0.05, 5), st.integers(2, 32))
def test_roots_are_fixed_points_below_the_ceiling(p_ref, beta, size):
    got = kl_fixed_points(GRPO, p_ref, beta=beta, group_size=size)
    assert len(got.p) % 2 == 1
    inner = got.p[got.p < 1 - 1e-12]
    again = kl_step(GRPO, inner, p_ref=p_ref, beta=beta, group_size=size)
    np.testing.assert_allclose(again, inner, rtol=1e-6)
    gain = logit(inner) - logit(p_ref)
    assert np.all(gain <= kl_gain_ceiling(size, beta=beta) * (1 + 1e-6))
    if beta > unique_beta(GRPO, group_size=size):
        assert len(got.p) == 1
        assert got.stable.all()


def test_several_roots_below_unique_beta():
    found = kl_fixed_points(GRPO, 1e-7, beta=0.4, group_size=64)
    assert len(found.p) >= 1
    counts = {
        len(kl_fixed_points(GRPO, p_ref, beta=0.3, group_size=64).p)
        for p_ref in np.geomspace(1e-12, 0.5, 40)
    }
    assert max(counts) >= 3


@pytest.mark.parametrize("p_ref", [1e-4, 0.01, 0.3])
def test_stability_is_what_the_recursion_does(p_ref):
    for beta in (0.2, 0.5, 1.0):
        got = kl_fixed_points(GRPO, p_ref, beta=beta, group_size=16)
        for p, slope, stable in zip(*got, strict=True):
            if abs(abs(slope) - 1) < 0.05 or p > 1 - 1e-9:
                continue
            start = float(expit(logit(p) + 1e-4))
            far = start
            for _ in range(20):
                if far > 1 - 1e-12:
                    break
                far = float(kl_step(GRPO, far, p_ref=p_ref, beta=beta, group_size=16))
            moved = abs(logit(far) - logit(p)) < abs(logit(start) - logit(p))
            assert moved == stable


@pytest.mark.parametrize("rule", PRESETS.values(), ids=PRESETS)
def test_weight_derivative(rule):
    p, h = np.array([0.1, 0.5, 0.8]), 1e-5
    slope = expected_update(rule, p + h, group_size=7) - expected_update(rule, p - h, group_size=7)
    np.testing.assert_allclose(
        weight_derivative(rule, p, group_size=7), slope / (2 * h), rtol=1e-6, atol=1e-8
    )


def test_mean_only_objective():
    # w = 1: logit p = logit p_ref + 1/beta exactly
    got = kl_fixed_points(RLOO, 0.2, beta=0.5, group_size=8)
    assert logit(got.p[0]) == pytest.approx(logit(0.2) + 2.0, rel=1e-10)


def test_mirror_only_rises():
    p = 0.01
    for _ in range(5):
        up = float(kl_step(GRPO, p, p_ref=0.01, beta=1.0, group_size=8, mirror=True))
        assert up > p
        p = up


def test_tilt_is_the_optimum():
    reference, mark = np.array([0.1, 0.15, 0.35, 0.4]), np.array([True, True, False, False])
    beta = 0.7

    def loss(theta):
        pi = np.exp(theta - theta.max())
        pi /= pi.sum()
        return -(pi[mark].sum() - beta * np.sum(pi * np.log(pi / reference)))

    best = minimize(loss, np.zeros(4), tol=1e-12).x
    pi = np.exp(best - best.max())
    np.testing.assert_allclose(tilt(reference, mark, gain=1 / beta), pi / pi.sum(), atol=1e-5)


def test_a_collapsed_reference_stays_collapsed():
    collapsed, mark = np.array([0.0099, 0.0001, 0.98, 0.01]), np.array([True, True, False, False])
    for gain in (0.0, 1.0, 30.0, math.inf):
        right = tilt(collapsed, mark, gain=gain)[mark]
        np.testing.assert_allclose(right / right.sum(), [0.99, 0.01], rtol=1e-12)
    assert entropy(tilt(collapsed, mark, gain=math.inf)) < 0.06
    with pytest.raises(ValueError, match="must hold a correct response"):
        tilt([1.0, 0.0], [False, True], gain=math.inf)


@pytest.mark.parametrize("rule", [GRPO, RLOO], ids=["grpo", "rloo"])
def test_k3_rests_where_drift_and_forward_kl_balance(rule):
    ref, beta = np.array([1e-4, 0.01, 0.3, 0.9]), np.array([0.5, 1.0, 2.0, 0.1])
    p = k3_fixed_point(rule, ref, beta=beta, group_size=8)
    assert np.all((p > ref) & (p < 1))
    grid = np.linspace(1e-6, 1 - 1e-6, 20_001)
    drift = grid * (1 - grid) * expected_update(rule, grid, group_size=8)
    for value, r, b in zip(p, ref, beta, strict=True):
        gap = drift - b * (grid - r)
        assert np.all(gap[(grid > r) & (grid < value - 1e-4)] > 0)
        assert np.all(gap[grid > value + 1e-4] < 0)

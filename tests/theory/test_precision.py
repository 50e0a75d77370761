"""Formulas keep their digits where numbers are tiny or huge: nothing is found by subtraction."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit, logit

from grpolab import theory
from grpolab.theory import (
    GRPO,
    BetaBinomial,
    CommonSource,
    CopyAll,
    FailureShock,
    OneFactorProbit,
    escape_time,
    expected_hitting_time,
    flow,
    hitting_time_small_p,
    pass_at_k_variance,
)
from grpolab.theory.collapse import concentration_from_entropy
from grpolab.theory.kl import weight_derivative


@pytest.mark.parametrize("mean", [0.3, 1e-8, 1e-14, 1e-15, 1e-17, 1e-300])
@pytest.mark.parametrize("rho", [1e-6, 0.5, 1 - 1e-12])
def test_shock_at_tiny_means(mean, rho):
    law = FailureShock(mean=mean, rho=rho)
    with mp.workdps(400):
        m, r = mp.mpf(mean), mp.mpf(rho)
        spared = m / (m + r * (1 - m))
        some = spared * (1 - (1 - m - r * (1 - m)) ** 8)
    assert law.spared == pytest.approx(float(spared), rel=1e-12)
    assert law.prob_some_right(8) == pytest.approx(float(some), rel=1e-9)
    if mean > 1e-290:
        assert law.pmf(8) @ np.arange(9) / 8 / mean == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize("family", [BetaBinomial, CommonSource, CopyAll, FailureShock,
                                    OneFactorProbit])  # fmt: skip
@pytest.mark.parametrize("mean", [1e-10, 1e-16, 1e-20])
def test_chance_of_any_success_on_hard_prompts(family, mean):
    law = family(mean=mean, rho=0.3)
    # between m (all copied) and g m (none)
    assert mean * (1 - 1e-6) <= law.prob_some_right(8) <= 8 * mean * (1 + 1e-6)
    assert law.prob_some_right(1) == pytest.approx(mean, rel=1e-6)


@pytest.mark.parametrize("step", [1e-9, 1e-12, 1e-15])
def test_common_source_near_full_correlation(step):
    law = CommonSource(mean=0.5, rho=1 - step)
    with mp.workdps(60):
        rest = 1 - mp.sqrt(mp.mpf(1 - step))
        mixed = sum(mp.mpf(1) / 2 * (1 - p**8 - (1 - p) ** 8) for p in (1 - rest / 2, rest / 2))
    pmf = law.pmf(8)
    assert pmf[1:-1].sum() == pytest.approx(float(mixed), rel=1e-9)


@pytest.mark.parametrize("mean", [1e-3, 1e-12, 1e-20])
def test_variance_of_pass_at_k_on_hard_prompts(mean):
    # to first order in p a task contributes (k/n)^2 with chance n p: k^2 p/n
    got = pass_at_k_variance(BetaBinomial(mean=mean, rho=0.0), num_samples=20, k=10)
    assert got.within == pytest.approx(10 * 10 / 20 * mean, rel=30 * mean + 1e-9)
    assert got.between == pytest.approx(0.0, abs=1e-14 * mean)


@pytest.mark.parametrize("entropy", [1e-9, 1.0, 20.0, 36.0, 60.0, 600.0])
def test_entropy_and_correlation_beyond_the_digits_of_one(entropy):
    rho = theory.rho_from_entropy(entropy)
    assert theory.entropy_from_rho(rho) == pytest.approx(entropy, rel=1e-7)
    alpha = float(concentration_from_entropy(entropy))
    with mp.workdps(40):
        assert float(mp.digamma(1 + mp.mpf(alpha)) + mp.euler) == pytest.approx(entropy, rel=1e-12)


@pytest.mark.parametrize("p0", [1e-9, 1e-16, 1e-17, 1e-60])
@pytest.mark.parametrize("rate", [0.1, 1.0])
def test_hitting_time_from_the_hardest_prompts(p0, rate):
    kw = {"group_size": 8, "learning_rate": rate}
    got = expected_hitting_time(GRPO, p0, stop=0.5, **kw)
    assert got == pytest.approx(float(hitting_time_small_p(GRPO, p0, **kw)), rel=1e-3)


def test_times_near_certainty():
    kw = {"group_size": 8, "learning_rate": 0.5}
    # GRPO treats right and wrong alike: 1 - p falls by a half at the pace at which p doubles
    up = [float(escape_time(GRPO, 1 - a, 1 - b, **kw)) for a, b in ((1e-9, 1e-10), (1e-11, 1e-12))]
    assert up[1] / up[0] == pytest.approx(100, rel=1e-3)
    assert np.isfinite(expected_hitting_time(GRPO, 0.5, stop=1 - 1e-14, **kw))


def _flow(rule, natural, z, t):
    """The same by mpmath."""
    z, t = mp.mpf(z), mp.mpf(t)
    p = 1 / (1 + mp.exp(-z))
    if natural:
        angle = mp.atan(mp.exp(z / 2)) + t / 2
        return {
            "grpo": 2 * mp.log(mp.tan(angle)) if angle < mp.pi / 2 else mp.inf,
            "rloo": z + t,
            "maxrl": mp.log(mp.expm1(-mp.log(1 - p) + t)) if t else z,
        }[rule]
    if rule == "grpo":
        return 2 * mp.asinh(mp.sinh(z / 2) + t / 4)
    left = {"rloo": lambda x: mp.sinh(x) + x, "maxrl": lambda x: mp.exp(x) + x}[rule]
    goal = left(z) + (t / 2 if rule == "rloo" else t)
    low, high = z, z + t + mp.mpf(1e-30)
    for _ in range(110):
        middle = (low + high) / 2
        low, high = (middle, high) if left(middle) < goal else (low, middle)
    return low


@pytest.mark.parametrize("rule", ["grpo", "rloo", "maxrl"])
@pytest.mark.parametrize("natural", [False, True])
@pytest.mark.parametrize("z", [-1500, -800, -705, -60, -3, 0, 2, 60, 705, 800, 1500])
def test_flow_at_any_logit(rule, natural, z):
    with np.errstate(all="raise", under="ignore"):
        assert flow(z, 0.0, rule=rule, natural=natural) == z
        for t in (1e-3, 1.0, 20.0):
            with mp.workdps(max(60, int(abs(z) / 2))):  # e^z has .43 z digits
                want = float(_flow(rule, natural, z, t))
            got = float(flow(z, t, rule=rule, natural=natural))
            assert got == pytest.approx(want, rel=1e-12, abs=1e-11)


def test_flow_beyond_the_range_of_exp():
    z = np.array([-1e6, -5e4, 5e4, 1e6])
    for rule in ("grpo", "rloo", "maxrl"):
        slow = rule == "maxrl"
        moved = np.where((z < 0) & slow, z + 2.0, z)
        np.testing.assert_allclose(flow(z, 2.0, rule=rule), moved, rtol=1e-15)


def test_largest_weights_of_the_rules():
    """The most logits by which KL lets p rise, for every rule: by the weight on a fine grid."""
    p = np.concatenate([np.geomspace(1e-12, 0.5, 4000), 1 - np.geomspace(1e-12, 0.5, 4000)])
    for rule in theory.PRESETS.values():
        for g in (2, 5, 8):
            top = float(theory.expected_update(rule, p, group_size=g).max())
            assert theory.kl_gain_ceiling(g, beta=0.5, rule=rule) == pytest.approx(
                2 * top, rel=1e-6
            )
    ceilings = {r: float(theory.kl_gain_ceiling(8, beta=1.0, rule=theory.PRESETS[r]))
                for r in ("grpo", "trl", "rloo", "maxrl", "sign")}  # fmt: skip
    assert ceilings == pytest.approx(
        {"grpo": 7**0.5, "trl": 2.474, "rloo": 1.0, "maxrl": 8.0, "sign": 2.0}, abs=1e-3
    )


@pytest.mark.parametrize(("size", "beta"), [(8, 0.1), (8, 0.28), (32, 0.3)])
def test_close_fixed_points_are_both_found(size, beta):
    """Beside a fold two fixed points lie closer than any grid; on its other side there are none."""
    low, high = 0.01, float(logit(0.999))
    z = np.linspace(low, high, 2000)
    slope = expit(z) * expit(-z) * weight_derivative(GRPO, expit(z), group_size=size) - beta
    first = np.flatnonzero(slope[:-1] * slope[1:] < 0)[0]
    fold = brentq(
        lambda x: float(
            expit(x) * expit(-x) * weight_derivative(GRPO, expit(x), group_size=size) - beta
        ),
        z[first], z[first + 1], xtol=1e-14,
    )  # fmt: skip
    base = fold - float(theory.expected_update(GRPO, expit(fold), group_size=size)) / beta
    found = [
        len(theory.kl_fixed_points(GRPO, float(expit(base + d)), beta=beta, group_size=size).p)
        for d in (-1e-9, 1e-9)
    ]
    assert abs(found[0] - found[1]) == 2
    assert {n % 2 for n in found} == {1}

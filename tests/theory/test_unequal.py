"""Groups of unequal members and stale groups, against enumeration of every reward vector."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpolab import theory
from grpolab.simulate import draw_members
from grpolab.theory import (
    PRESETS,
    stale_drift,
    unequal_count_pmf,
    unequal_variance,
    unequal_zero_std,
)

GROUPS = [(0.3,), (0.2, 0.9), (0.0, 0.5, 1.0), (0.1, 0.1, 0.4, 0.9), (0.05, 0.2, 0.5, 0.7, 0.9)]


def rewards(p):
    """Every reward vector with its chance."""
    for outcome in itertools.product((0, 1), repeat=len(p)):
        chance = np.prod([c if r else 1 - c for c, r in zip(p, outcome, strict=True)])
        yield float(chance), np.array(outcome)


@pytest.mark.parametrize("p", GROUPS)
def test_laws_by_enumeration(p):
    g = len(p)
    pmf, variance, same = np.zeros(g + 1), 0.0, 0.0
    for chance, outcome in rewards(p):
        pmf[outcome.sum()] += chance
        variance += chance * outcome.var()
        same += chance * (np.ptp(outcome) == 0)
    np.testing.assert_allclose(unequal_count_pmf(p), pmf, atol=1e-15)
    assert unequal_variance(p) == pytest.approx(variance, abs=1e-15)
    assert unequal_zero_std(p) == pytest.approx(same, abs=1e-15)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_relations(p):
    assert unequal_count_pmf(p).sum() == pytest.approx(1.0)
    m, g = float(np.mean(p)), len(p)
    flat = float(theory.expected_variance(m, g))
    assert unequal_variance(p) == pytest.approx(flat + np.var(p) / g, abs=1e-12)
    k = np.arange(g + 1)
    assert unequal_count_pmf(p) @ (k * (g - k)) / g**2 == pytest.approx(
        float(unequal_variance(p)), abs=1e-12
    )


def test_equal_members_are_the_binomial():
    p = np.full((3, 8), [[0.1], [0.5], [1e-12]])
    np.testing.assert_allclose(unequal_count_pmf(p), theory.count_pmf(p[:, 0], 8), rtol=1e-12)
    np.testing.assert_allclose(unequal_zero_std(p), theory.prob_zero_std(p[:, 0], 8), rtol=1e-12)


@pytest.mark.parametrize("rule", PRESETS.values(), ids=lambda r: r.name)
@pytest.mark.parametrize("b", [(0.4,) * 3, (0.1, 0.5, 0.7), (0.2, 0.2, 0.6, 0.9)])
@pytest.mark.parametrize("p", [0.0, 0.3, 0.95])
def test_drift_by_enumeration(rule, b, p):
    with_ratio = without = 0.0
    for chance, outcome in rewards(b):
        right, wrong = rule.advantages(outcome.sum(), len(b))
        score = np.where(outcome, right, wrong) * (outcome - p)
        ratio = np.where(outcome, p / np.array(b), (1 - p) / (1 - np.array(b)))
        with_ratio += chance * float(np.mean(score * ratio))
        without += chance * float(np.mean(score))
    assert stale_drift(rule, p, behaviour=b, importance=True) == pytest.approx(
        with_ratio, abs=1e-12
    )
    assert stale_drift(rule, p, behaviour=b, importance=False) == pytest.approx(without, abs=1e-12)


@pytest.mark.parametrize("rule", [theory.GRPO, theory.DR_GRPO, theory.RLOO])
def test_one_behaviour_policy(rule):
    """p q w(b) with ratios; b (1-b) w(b) without, for centred rules, whatever p is."""
    p, b, g = 0.05, 0.4, 8
    weight = float(theory.expected_update(rule, b, group_size=g))
    kw = {"behaviour": [b] * g}
    assert stale_drift(rule, p, importance=True, **kw) == pytest.approx(p * (1 - p) * weight)
    assert stale_drift(rule, p, importance=False, **kw) == pytest.approx(b * (1 - b) * weight)
    fresh = stale_drift(rule, b, importance=True, **kw)
    assert fresh == pytest.approx(float(theory.expected_drift(rule, b, group_size=g)))


def test_simulated_members(rng):
    p = np.array([0.05, 0.3, 0.3, 0.8, 0.99])
    drawn = draw_members(p, num_groups=60_000, seed=3)
    np.testing.assert_allclose(drawn.mean(axis=0), p, atol=5 * 0.5 / np.sqrt(60_000))
    assert np.abs(np.corrcoef(drawn.T) - np.eye(5)).max() < 5 / np.sqrt(60_000)
    again = draw_members(p, num_groups=60_000, seed=3, threads=1)
    assert np.array_equal(drawn, again)
    assert np.array_equal(drawn[:100], draw_members(p, num_groups=100, seed=3))


def test_bad_input():
    with pytest.raises(ValueError, match=r"p must lie in \[0, 1\], got 1.5"):
        unequal_zero_std([0.5, 1.5])
    with pytest.raises(ValueError, match="p must hold one chance per member"):
        unequal_variance(0.5)
    with pytest.raises(ValueError, match=r"behaviour must lie in \(0, 1\), got 0"):
        stale_drift(theory.GRPO, 0.5, behaviour=[0.0, 0.5], importance=True)
    with pytest.raises(ValueError, match=r"p must have shape \[g\]"):
        draw_members(0.5, num_groups=3, seed=0)


def test_unequal_members_are_mixed_at_least_as_often_as_equal_ones_of_the_same_mean():
    rng = np.random.default_rng(3)
    for g in (2, 3, 8):
        p = np.vstack([rng.random((300, g)), rng.beta(0.2, 0.2, (300, g))])
        even = theory.prob_zero_std(p.mean(axis=-1), g)
        assert np.all(theory.unequal_zero_std(p) < even)
    assert theory.unequal_zero_std([0.3] * 4) == pytest.approx(theory.prob_zero_std(0.3, 4))

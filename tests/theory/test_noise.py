"""Erring graders and the noise of a step, against enumeration of truths and marks."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from grpolab import theory
from grpolab.theory import (
    PRESETS,
    BetaBinomial,
    critical_p,
    seen_rate,
    seen_rho,
    step_noise,
    true_rate,
)

RULES = [*PRESETS.values(), theory.PassAtKGradient(2)]


def enumerated(rule, p, g, high, low):
    """Mean and variance of the change of z over all truths and marks."""
    first = second = 0.0
    for truth in itertools.product((0, 1), repeat=g):
        for marks in itertools.product((0, 1), repeat=g):
            chance = 1.0
            for t, m in zip(truth, marks, strict=True):
                passed = high if t else low
                chance *= (p if t else 1 - p) * (passed if m else 1 - passed)
            right, wrong = rule.advantages(sum(marks), g)
            change = (
                sum(
                    float(right if m else wrong) * (t - p)
                    for t, m in zip(truth, marks, strict=True)
                )
                / g
            )
            first += chance * change
            second += chance * change**2
    return first, second - first**2


@pytest.mark.parametrize("rule", RULES, ids=lambda r: getattr(r, "name", "pass@2"))
@pytest.mark.parametrize(("high", "low"), [(1.0, 0.0), (0.8, 0.1), (0.3, 0.6)])
def test_by_enumeration(rule, high, low):
    for p in (0.1, 0.6):
        mean, variance = enumerated(rule, p, 4, high, low)
        got = step_noise(rule, p, group_size=4, true_positive=high, false_positive=low)
        assert got.mean == pytest.approx(mean, abs=1e-13)
        assert got.variance == pytest.approx(variance, abs=1e-13)
        assert got.snr == pytest.approx(mean**2 / variance, rel=1e-9)


@pytest.mark.parametrize("rule", PRESETS.values(), ids=lambda r: r.name)
def test_agrees_with_the_other_formulas(rule):
    p = np.array([0.02, 0.3, 0.9])
    plain = step_noise(rule, p, group_size=8)
    law = theory.one_step(rule, p, group_size=8)
    np.testing.assert_allclose(plain.mean, law.mean, rtol=1e-12)
    np.testing.assert_allclose(plain.variance, law.variance, rtol=1e-12)
    noisy = step_noise(rule, p, group_size=8, true_positive=0.8, false_positive=0.1)
    drift = theory.noisy_drift(rule, p, group_size=8, true_positive=0.8, false_positive=0.1)
    np.testing.assert_allclose(noisy.mean, drift, rtol=1e-10)


def test_rloo_is_the_known_ratio():
    p = np.array([1e-9, 0.1, 0.5, 0.99])
    np.testing.assert_allclose(
        step_noise(theory.RLOO, p, group_size=8).snr, theory.snr(p, 8), rtol=1e-9
    )


def test_threshold_of_the_truth():
    star = float(true_rate(critical_p(8), true_positive=0.9, false_positive=0.05))
    seen = seen_rate(star, true_positive=0.9, false_positive=0.05)
    assert theory.prob_zero_std(seen, 8) == pytest.approx(0.5)
    assert np.isnan(true_rate(critical_p(8), true_positive=0.9, false_positive=0.1))
    with pytest.raises(ValueError, match="true_positive must differ"):
        true_rate(0.5, true_positive=0.5, false_positive=0.5)


def test_seen_correlation_is_that_of_the_marks(rng):
    """Moments of r over prompts, by the law of p."""
    mean, rho, high, low = 0.3, 0.2, 0.85, 0.1
    p = BetaBinomial(mean=mean, rho=rho).sample(200_000, rng=rng)
    r = low + (high - low) * p
    want = r.var() / (r.mean() * (1 - r.mean()))
    got = seen_rho(mean, rho, true_positive=high, false_positive=low)
    assert got == pytest.approx(want, rel=0.02)
    assert seen_rho(mean, rho) == pytest.approx(rho)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("rule", [*RULES, "zero-variance", "positive-only"])
def test_a_budget_of_tokens_is_the_enumeration_of_its_rollouts(rule, masked):
    p, a, b, g = 0.3, 0.4, 0.25, 3
    kinds = {  # chance, mark, score, loss
        "right": (p * (1 - a), 1, 1 - p, 1), "late": (p * a, 0, 1 - p, not masked),
        "wrong": ((1 - p) * (1 - b), 0, -p, 1), "lost": ((1 - p) * b, 0, -p, not masked),
    }  # fmt: skip
    law = theory.rule_of(rule)
    total = 0.0
    for members in itertools.product(kinds.values(), repeat=g):
        chance = math.prod(m[0] for m in members)
        both = law.advantages(sum(m[1] for m in members), g)
        total += chance * sum(
            float(both.correct if mark else both.wrong) * score * loss
            for _, mark, score, loss in members
        )
    at = {"group_size": g, "cut_right": a, "cut_wrong": b}
    got = theory.cut_drift(rule, p, **at, masked=masked)
    assert float(got) == pytest.approx(total / g, abs=1e-12)
    if not masked:
        same = theory.noisy_drift(rule, p, group_size=g, true_positive=1 - a)
        assert float(got) == pytest.approx(float(same), abs=1e-12)

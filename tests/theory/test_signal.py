import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpolab.theory import (
    BetaBinomial,
    CommonSource,
    CopyAll,
    FailureShock,
    OneFactorProbit,
    arcsine_weight,
    expected_squared_advantage,
    expected_std,
    expected_variance,
    update_weight,
)

RATES = [Fraction(1, 7), Fraction(1, 2), Fraction(9, 11)]


@pytest.mark.parametrize("size", [2, 3, 5, 9])
@pytest.mark.parametrize("p", RATES)
def test_variance_over_all_outcomes(exact, p, size):
    for ddof in (0, 1):
        truth = exact.over_outcomes(lambda r, d=ddof: exact.variance(r, d), p, size)
        assert expected_variance(float(p), size, ddof=ddof) == pytest.approx(
            float(truth), rel=1e-13
        )


@pytest.mark.parametrize("size", [2, 3, 5, 9])
@pytest.mark.parametrize("p", RATES)
def test_std_over_all_outcomes(exact, p, size):
    truth = exact.over_outcomes(lambda r: math.sqrt(exact.variance(r)), p, size)
    other = exact.over_outcomes(lambda r: math.sqrt(exact.variance(r, 1)), p, size)
    assert expected_std(float(p), size) == pytest.approx(truth, rel=1e-12)
    assert expected_std(float(p), size, ddof=1) == pytest.approx(other, rel=1e-12)
    pq = float(p * (1 - p))
    assert update_weight(float(p), size) == pytest.approx(truth / pq, rel=1e-12)


@pytest.mark.parametrize("size", [2, 3, 8])
@pytest.mark.parametrize("ddof", [0, 1])
def test_advantages_over_all_outcomes(exact, size, ddof):
    p = Fraction(2, 7)

    def advantages(rewards):
        std = math.sqrt(exact.variance(rewards, ddof))
        mean = sum(rewards) / size
        return [(r - mean) / std if std else 0.0 for r in rewards]

    mean_square = exact.over_outcomes(lambda r: sum(a * a for a in advantages(r)) / size, p, size)
    assert expected_squared_advantage(float(p), size, ddof=ddof) == pytest.approx(
        mean_square, rel=1e-12
    )


@pytest.mark.parametrize(
    "model", [BetaBinomial, CopyAll, CommonSource, OneFactorProbit, FailureShock]
)
@pytest.mark.parametrize("rho", [0.0, 0.15, 0.7, 1.0])
def test_variance_under_dependence(model, rho):
    # one formula for every exchangeable law: forgetting (1 - rho) fails for rho > 0
    size, mean = 6, 0.3
    k = np.arange(size + 1)
    law = model(mean=mean, rho=rho).pmf(size)
    truth = law @ (k * (size - k) / size**2)
    assert expected_variance(mean, size, rho=rho) == pytest.approx(truth, abs=1e-12)
    assert expected_variance(mean, size, rho=rho, ddof=1) == pytest.approx(
        truth * size / (size - 1), abs=1e-12
    )


def test_weight_table():
    # w_2 = 1 for every p; sqrt(g-1) at both ends; and at p = .083 the limit is 50% too large
    p = np.array([0.0, 1e-300, 1e-9, 0.3, 0.5, 1.0])
    np.testing.assert_allclose(update_weight(p, 2), 1.0, rtol=1e-15)
    for size in (3, 8, 1024, 10**6):
        np.testing.assert_allclose(update_weight([0.0, 1.0], size), math.sqrt(size - 1), rtol=1e-12)
    assert update_weight(0.083, 8) == pytest.approx(2.374, abs=5e-4)
    assert arcsine_weight(0.083) == pytest.approx(3.625, abs=5e-4)


@given(st.floats(0, 1), st.integers(2, 40))
def test_weight_properties(p, size):
    w = float(update_weight(p, size))
    assert w == pytest.approx(float(update_weight(1 - p, size)), rel=1e-9)
    assert w <= math.sqrt(size - 1) * (1 + 1e-12)
    if p * (1 - p) > 0:
        assert w <= float(arcsine_weight(p)) * (1 + 1e-12)  # Jensen for the square root


@pytest.mark.parametrize("p", [0.05, 0.3, 0.5])
def test_weight_tends_to_the_limit(p):
    gaps = [float(arcsine_weight(p) - update_weight(p, g)) for g in (100, 1000, 10_000, 100_000)]
    assert all(a > b > 0 for a, b in itertools.pairwise(gaps))
    assert gaps[-1] < 1e-3


def test_limit_is_not_uniform():
    # at g p = 1 the infinite-g weight stays wrong by a constant factor however large g is
    ratio = [float(arcsine_weight(1 / g) / update_weight(1 / g, g)) for g in (10, 1000, 100_000)]
    assert min(ratio) > 1.2


@given(st.floats(0, 1), st.integers(1, 64), st.sampled_from([0, 1]))
def test_ddof_is_a_factor(p, size, ddof):
    if size == 1:
        assert np.isnan(expected_variance(p, 1, ddof=1))
        assert expected_variance(p, 1) == expected_std(p, 1) == update_weight(p, 1) == 0
        return
    ratio = (size / (size - 1)) ** ddof
    assert expected_variance(p, size, ddof=ddof) == pytest.approx(
        float(expected_variance(p, size)) * ratio, rel=1e-12
    )
    assert update_weight(p, size, ddof=ddof) == pytest.approx(
        float(update_weight(p, size)) / math.sqrt(ratio), rel=1e-12
    )


def test_negative_correlation_raises_the_variance():
    assert expected_variance(0.5, 2, rho=-1.0) == pytest.approx(0.25)
    with pytest.raises(ValueError, match=r"rho must lie in \[-1/\(group_size-1\), 1\]"):
        expected_variance(0.5, 3, rho=-0.6)


def test_monte_carlo(rng):
    rewards = (rng.random((100_000, 5)) < 0.3).astype(float)
    for ddof in (0, 1):
        std = rewards.std(axis=1, ddof=ddof)
        for sample, truth, wrong in (
            (std, expected_std(0.3, 5, ddof=ddof), expected_std(0.3, 5, ddof=1 - ddof)),
            (std**2, expected_variance(0.3, 5, ddof=ddof), 0.21 * (0.8 if ddof else 1.0)),
        ):
            error = sample.std() / math.sqrt(len(sample))
            assert abs(sample.mean() - float(truth)) < 4.5 * error
            assert abs(sample.mean() - float(wrong)) > 4.5 * error

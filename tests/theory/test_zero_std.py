from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpolab.theory import (
    prob_all_right,
    prob_all_wrong,
    prob_mixed,
    prob_zero_std,
)

P = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 5e-324, 1e-300, 1e-12, 0.5, 1 - 1e-16, 1.0]))
G = st.one_of(st.integers(1, 64), st.sampled_from([1024, 10**6]))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 10])
@pytest.mark.parametrize("p", [Fraction(0), Fraction(1, 7), Fraction(1, 2), Fraction(9, 11)])
def test_all_outcomes(exact, p, size):
    x = float(p)
    wrong = exact.over_outcomes(lambda r: Fraction(sum(r) == 0), p, size)
    right = exact.over_outcomes(lambda r: Fraction(sum(r) == size), p, size)
    same = exact.over_outcomes(lambda r: Fraction(len(set(r)) == 1), p, size)
    assert prob_all_wrong(x, size) == pytest.approx(float(wrong), rel=1e-14)
    assert prob_all_right(x, size) == pytest.approx(float(right), rel=1e-14)
    assert prob_zero_std(x, size) == pytest.approx(float(same), rel=1e-14)
    assert prob_mixed(x, size) == pytest.approx(float(1 - same), rel=1e-14, abs=1e-16)


def test_the_all_right_term_counts():
    # negative control: q^g alone is what all-wrong counts, and it is far from d_g at p = .9
    assert prob_zero_std(0.9, 8) == pytest.approx(0.1**8 + 0.9**8, rel=1e-14)
    assert prob_zero_std(0.9, 8) > 1e6 * prob_all_wrong(0.9, 8)


@given(P, G)
def test_symmetry_and_range(p, size):
    q = 1 - p
    if 1 - q == p:
        assert prob_zero_std(p, size) == pytest.approx(float(prob_zero_std(q, size)), rel=1e-9)
        assert prob_mixed(p, size) == pytest.approx(float(prob_mixed(q, size)), rel=1e-12, abs=0)
        assert prob_all_wrong(p, size) == pytest.approx(
            float(prob_all_right(q, size)), rel=1e-9, abs=1e-300
        )
    total = prob_zero_std(p, size) + prob_mixed(p, size)
    assert total == pytest.approx(1.0, abs=4e-16)
    assert 0 <= prob_mixed(p, size) <= 1


@given(P, st.integers(1, 300))
def test_larger_groups_are_mixed_more_often(p, size):
    assert prob_mixed(p, size + 1) >= prob_mixed(p, size) * (1 - 1e-12)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6), st.integers(2, 64))
def test_jensen(rates, size):
    # the share at the mean understates the mean share: arXiv 2605.07689
    assert np.mean(prob_zero_std(rates, size)) >= prob_zero_std(np.mean(rates), size) - 1e-12


@given(st.floats(0.001, 0.999), st.integers(2, 64))
def test_convex(p, size):
    h = min(p, 1 - p) / 2
    middle = 2 * prob_zero_std(p, size)
    assert prob_zero_std(p - h, size) + prob_zero_std(p + h, size) >= middle - 1e-12


def test_tiny_p_keeps_its_digits():
    assert prob_mixed(1e-300, 10**6) == pytest.approx(1e-294, rel=1e-12)
    assert 1 - prob_all_wrong(1e-12, 8) == pytest.approx(8e-12, rel=1e-4)


def test_monte_carlo(rng):
    draws = rng.random((200_000, 6)) < 0.2
    same = (draws.all(axis=1) | ~draws.any(axis=1)).mean()
    expected = float(prob_zero_std(0.2, 6))
    error = np.sqrt(expected * (1 - expected) / len(draws))
    assert abs(same - expected) < 4.5 * error
    assert abs(same - float(prob_zero_std(0.22, 6))) > 4.5 * error

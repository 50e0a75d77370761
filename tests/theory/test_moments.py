import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpolab.theory import (
    count_pmf,
    expected_rate_given_mixed,
    variance_of_variance,
)

P = Fraction(2, 9)


@pytest.mark.parametrize("size", [1, 2, 5, 12])
def test_count_pmf(size):
    law = count_pmf([0.0, float(P), 1.0], size)
    truth = [float(math.comb(size, k) * P**k * (1 - P) ** (size - k)) for k in range(size + 1)]
    np.testing.assert_allclose(law[1], truth, rtol=1e-13)
    assert law[0, 0] == law[2, -1] == 1.0


def test_count_pmf_of_a_million():
    law = count_pmf(0.3, 10**6)
    k = np.arange(10**6 + 1)
    assert law @ k == pytest.approx(3e5, rel=1e-12)
    assert law @ (k - 3e5) ** 2 == pytest.approx(2.1e5, rel=1e-9)


@pytest.mark.parametrize("size", [2, 3, 6])
@pytest.mark.parametrize("ddof", [0, 1])
def test_variance_of_variance(exact, size, ddof):
    mean = exact.over_outcomes(lambda r: exact.variance(r, ddof), P, size)
    square = exact.over_outcomes(lambda r: exact.variance(r, ddof) ** 2, P, size)
    assert variance_of_variance(float(P), size, ddof=ddof) == pytest.approx(
        float(square - mean**2), rel=1e-12
    )


@pytest.mark.parametrize("size", [2, 3, 8])
def test_rate_given_mixed(exact, size):
    mixed = exact.over_counts(lambda k: Fraction(0 < k < size), P, size)
    rate = exact.over_counts(lambda k: Fraction(k, size) * (0 < k < size), P, size) / mixed
    assert expected_rate_given_mixed(float(P), size) == pytest.approx(float(rate), rel=1e-13)


def test_hard_prompts_look_easier_through_mixed_groups():
    # arXiv 2601.08521; the number is for g = 8, p = .1
    assert expected_rate_given_mixed(0.1, 8) == pytest.approx(0.1756, abs=5e-5)


@given(st.floats(0, 1), st.integers(2, 300))
def test_rate_given_mixed_is_pulled_to_the_middle(p, size):
    rate = float(expected_rate_given_mixed(p, size))
    assert 1 / size * (1 - 1e-9) <= rate <= (size - 1) / size * (1 + 1e-9)
    assert rate == pytest.approx(1 - float(expected_rate_given_mixed(1 - p, size)), abs=1e-9)
    if p < 0.5:
        assert rate >= p * (1 - 1e-12)


def test_limits_at_the_ends():
    for tiny in (0.0, 1e-300, 1e-15):
        assert expected_rate_given_mixed(tiny, 8) == pytest.approx(1 / 8, rel=1e-12)
    assert np.isnan(expected_rate_given_mixed(0.3, 1))

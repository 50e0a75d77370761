import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpolab.theory import (
    expected_pass_at_k,
    expected_std,
    pass_at_k,
    prob_zero_std,
    thin_all_right,
    thin_all_wrong,
    thin_pq,
    thin_std,
    thin_zero_std,
)
from grpolab.theory.pass_at_k import log_none_by_integral, log_none_by_product

COUNTS = st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


@given(COUNTS, st.integers(1, 50))
def test_all_by_binomial_coefficients(counts, k):
    n, c = counts
    if k > n:
        for value in (pass_at_k(n, c, k), thin_all_wrong(n, c, k), thin_all_right(n, c, k),
                      thin_zero_std(n, c, k), thin_std(n, c, k)):  # fmt: skip
            assert np.isnan(value)
        return
    ways = math.comb(n, k)
    wrong, right = Fraction(math.comb(n - c, k), ways), Fraction(math.comb(c, k), ways)
    assert pass_at_k(n, c, k) == pytest.approx(float(1 - wrong), rel=1e-12)
    assert thin_all_wrong(n, c, k) == pytest.approx(float(wrong), rel=1e-12)
    assert thin_all_right(n, c, k) == pytest.approx(float(right), rel=1e-12)
    same = float(wrong + right) if k > 1 else 1.0
    assert thin_zero_std(n, c, k) == pytest.approx(same, rel=1e-12)
    std = sum(
        math.comb(c, j) * math.comb(n - c, k - j) / ways * math.sqrt(j * (k - j)) / k
        for j in range(k + 1)
    )
    assert thin_std(n, c, k) == pytest.approx(std, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize(("n", "c", "g"), [(6, 2, 3), (7, 4, 4)])
def test_thinning_is_the_mean_over_subsets(n, c, g):
    rewards = [1] * c + [0] * (n - c)
    subsets = [[rewards[i] for i in s] for s in itertools.combinations(range(n), g)]
    assert thin_zero_std(n, c, g) == pytest.approx(np.mean([len(set(s)) == 1 for s in subsets]))
    assert thin_std(n, c, g) == pytest.approx(np.mean([np.std(s) for s in subsets]))
    assert pass_at_k(n, c, g) == pytest.approx(np.mean([max(s) for s in subsets]))
    assert thin_pq(n, c) == pytest.approx(np.var(rewards, ddof=1))


@pytest.mark.parametrize("p", [Fraction(1, 8), Fraction(1, 2)])
@pytest.mark.parametrize(("n", "k"), [(5, 3), (9, 4), (9, 9)])
def test_unbiased(exact, p, n, k):
    x = float(p)
    mean = exact.over_counts
    assert mean(lambda c: float(pass_at_k(n, c, k)), p, n) == pytest.approx(
        float(1 - (1 - p) ** k), rel=1e-12
    )
    assert mean(lambda c: float(thin_zero_std(n, c, k)), p, n) == pytest.approx(
        float(prob_zero_std(x, k)), rel=1e-12
    )
    assert mean(lambda c: float(thin_std(n, c, k)), p, n) == pytest.approx(
        float(expected_std(x, k)), rel=1e-12
    )
    assert mean(lambda c: float(thin_pq(n, c)), p, n) == pytest.approx(x * (1 - x), rel=1e-12)


def test_plug_in_is_biased_low(exact):
    # n = 20, k = 10, p = .05: .336 against .401
    p = Fraction(1, 20)
    plug_in = exact.over_counts(lambda c: 1 - (1 - c / 20) ** 10, p, 20)
    assert float(plug_in) == pytest.approx(0.336, abs=5e-4)
    assert float(expected_pass_at_k(0.05, 10)) == pytest.approx(0.401, abs=5e-4)


@given(COUNTS, st.integers(1, 39))
def test_monotone_in_k(counts, k):
    n, c = counts
    if k < n:
        assert pass_at_k(n, c, k + 1) >= pass_at_k(n, c, k) - 1e-14


def test_product_and_integral_agree():
    n = np.array([10.0, 5000.0, 10.0**6])
    many, few = np.array([4.0, 600.0, 3e5]), np.array([3.0, 400.0, 1000.0])
    product, total = log_none_by_product(n, many, few), log_none_by_integral(n, many, few)
    np.testing.assert_allclose(total, product, rtol=1e-13)


def test_large_samples_do_not_overflow():
    # ratios of binomial coefficients overflow a float here
    assert pass_at_k(10_000, 5000, 3000) == 1.0
    assert pass_at_k(10**6, 1, 64) == pytest.approx(64e-6, rel=1e-12)
    assert thin_all_wrong(10**6, 5 * 10**5, 10**5) == pytest.approx(0.0, abs=1e-300)
    assert pass_at_k(10**7, 10_000, 10_000) == pytest.approx(1 - math.exp(-10.00500), rel=1e-5)


def test_shapes():
    n, c = np.full(5, 8), np.arange(5)
    assert pass_at_k(n[:, None], c[:, None], [1, 2, 4]).shape == (5, 3)
    assert thin_std(n, c, 4).shape == (5,)
    assert thin_std(8, 3, [2, 4, 9]).shape == (3,)


def test_tiny_p():
    assert expected_pass_at_k(1e-300, 10**6) == pytest.approx(1e-294, rel=1e-12)
    assert expected_pass_at_k(1.0, 3) == 1.0


def test_bad_counts():
    with pytest.raises(ValueError, match=r"num_correct must lie in 0..num_samples, got 5 of 4"):
        pass_at_k(4, 5, 2)
    with pytest.raises(ValueError, match="k must be a whole number >= 1, got 0"):
        pass_at_k(4, 2, 0)
    assert np.isnan(thin_pq(1, 1))

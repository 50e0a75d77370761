import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import multivariate_normal, norm

from grpolab.theory import (
    MODELS,
    Antithetic,
    BetaBinomial,
    CommonSource,
    CopyAll,
    FailureShock,
    OneFactorProbit,
    SharedPrefix,
    WithoutReplacement,
    count_pmf,
    prob_zero_std,
)

ALL = list(MODELS.values())
MEAN = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1e-9, 0.5, 1.0]))
RHO = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1e-12, 1.0]))


@pytest.mark.parametrize("model", ALL)
@given(mean=MEAN, rho=RHO, size=st.integers(1, 12))
def test_pmf_has_the_mean_and_the_correlation(model, mean, rho, size):
    law = model(mean=mean, rho=rho)
    pmf, k = law.pmf(size), np.arange(size + 1)
    assert pmf.min() >= 0
    assert pmf.sum() == pytest.approx(1, abs=1e-11)
    assert pmf @ k == pytest.approx(size * mean, abs=1e-10)
    pairs = size * (size - 1)
    assert pmf @ (k * (k - 1)) == pytest.approx(
        pairs * (mean**2 + rho * mean * (1 - mean)), abs=1e-9
    )
    assert law.prob_all_wrong(size) == pytest.approx(pmf[0], abs=1e-12)
    assert law.prob_all_right(size) == pytest.approx(pmf[-1], abs=1e-12)
    same = pmf[0] + pmf[-1] if size > 1 else 1.0
    assert law.prob_zero_std(size) == pytest.approx(same, abs=1e-12)


def marginal(pmf):
    """Law of the number correct after one member, chosen at random, has left."""
    size = len(pmf) - 1
    k = np.arange(size)
    return pmf[:-1] * (size - k) / size + pmf[1:] * (k + 1) / size


@pytest.mark.parametrize("model", ALL)
@given(mean=MEAN, rho=RHO, size=st.integers(2, 16))
def test_marginal_compatibility(model, mean, rho, size):
    law = model(mean=mean, rho=rho)
    np.testing.assert_allclose(marginal(law.pmf(size)), law.pmf(size - 1), atol=1e-11)


def test_marginal_compatibility_without_replacement():
    law = WithoutReplacement(pool=12, num_correct=4)
    for size in range(2, 13):
        np.testing.assert_allclose(marginal(law.pmf(size)), law.pmf(size - 1), atol=1e-14)


@pytest.mark.parametrize("model", ALL)
@given(mean=MEAN, rho=RHO, size=st.integers(1, 200))
def test_larger_groups_are_mixed_more_often(model, mean, rho, size):
    law = model(mean=mean, rho=rho)
    assert law.prob_zero_std(size + 1) <= law.prob_zero_std(size) + 1e-12


@pytest.mark.parametrize("model", [BetaBinomial, CopyAll, OneFactorProbit])
@given(mean=st.floats(0.01, 0.99), rho=st.floats(0, 0.99), size=st.integers(2, 60))
def test_correlation_costs_signal(model, mean, rho, size):
    less = model(mean=mean, rho=rho).prob_zero_std(size)
    assert model(mean=mean, rho=min(1, rho + 0.01)).prob_zero_std(size) >= less - 1e-12


@pytest.mark.parametrize("model", ALL)
@given(mean=MEAN, size=st.integers(2, 100))
def test_ends_of_rho(model, mean, size):
    assert model(mean=mean, rho=0.0).prob_zero_std(size) == pytest.approx(
        float(prob_zero_std(mean, size)), abs=1e-11
    )
    assert model(mean=mean, rho=1.0).prob_zero_std(size) == pytest.approx(1, abs=1e-11)
    assert model(mean=mean, rho=1.0).prob_all_wrong(size) == pytest.approx(1 - mean, abs=1e-11)


@pytest.mark.parametrize("model", [m for m in ALL if m is not FailureShock])
@given(mean=MEAN, rho=RHO, size=st.integers(1, 64))
def test_symmetry(model, mean, rho, size):
    # 1 - mean need not be exact: compare to absolute accuracy
    there = model(mean=mean, rho=rho).prob_all_wrong(size)
    back = model(mean=1 - mean, rho=rho).prob_all_right(size)
    assert there == pytest.approx(float(back), abs=1e-10)


def test_shock_is_not_symmetric():
    assert FailureShock(mean=0.3, rho=0.3).prob_zero_std(8) > 1.5 * FailureShock(
        mean=0.7, rho=0.3
    ).prob_zero_std(8)


@pytest.mark.parametrize("k", range(6))
def test_beta_binomial_in_fractions(k):
    # a = 2, b = 5: C(g,k) (a)_k (b)_(g-k) / (a+b)_g with rising factorials
    a, b, g = 2, 5, 5

    def rising(x, n):
        return math.prod(x + i for i in range(n))

    truth = Fraction(math.comb(g, k) * rising(a, k) * rising(b, g - k), rising(a + b, g))
    assert BetaBinomial.from_ab(a, b).pmf(g)[k] == pytest.approx(float(truth), rel=1e-13)


def test_beta_binomial_is_a_beta_mixture():
    law = BetaBinomial(mean=0.3, rho=0.25)
    assert (float(law.a), float(law.b)) == pytest.approx((0.9, 2.1))
    density = math.gamma(3) / math.gamma(0.9) / math.gamma(2.1)
    value, _ = quad(lambda p: density * p**-0.1 * (1 - p) ** (1.1 + 8), 0, 1)
    assert law.prob_all_wrong(8) == pytest.approx(value, rel=1e-7)


@pytest.mark.parametrize("model", [CopyAll, CommonSource])
def test_constructions_over_all_outcomes(model):
    # the mechanism itself: a common draw, who repeats it, and fresh draws, enumerated
    mean, rho, size = 0.3, 0.36, 4
    repeat = {CopyAll: None, CommonSource: math.sqrt(rho)}[model]
    law = np.zeros(size + 1)
    for common in (0, 1):
        for fresh in itertools.product((0, 1), repeat=size):
            base = (mean if common else 1 - mean) * math.prod(
                mean if f else 1 - mean for f in fresh
            )
            if repeat is None:
                law[common * size] += base * rho
                law[sum(fresh)] += base * (1 - rho)
                continue
            for copies in itertools.product((0, 1), repeat=size):
                weight = math.prod(repeat if c else 1 - repeat for c in copies)
                law[sum(common if c else f for c, f in zip(copies, fresh, strict=True))] += (
                    base * weight
                )
    np.testing.assert_allclose(model(mean=mean, rho=rho).pmf(size), law, atol=1e-14)


def test_probit_against_its_definition():
    law = OneFactorProbit(mean=0.151, rho=0.2)
    r, t = float(law.latent), norm.ppf(0.151)
    both = multivariate_normal([0, 0], [[1, r], [r, 1]]).cdf([t, t])
    assert (both - 0.151**2) / (0.151 * 0.849) == pytest.approx(0.2, abs=1e-6)

    def integrand(z):
        p = norm.cdf((t + math.sqrt(r) * z) / math.sqrt(1 - r))
        return norm.pdf(z) * (p**8 + (1 - p) ** 8)

    value, _ = quad(integrand, -12, 12, epsabs=1e-12, limit=200)
    assert law.prob_zero_std(8) == pytest.approx(value, abs=1e-11)


@pytest.mark.parametrize(
    ("mean", "shares"),
    [
        (0.151, [0.472, 0.416, 0.424, 0.465, 0.551]),
        (0.5, [0.109, 0.206, 0.075, 0.109, 0.181]),
    ],
)
def test_table_of_models(mean, shares):
    # g = 8, rho = .2: beta-binomial, copy, common source, probit, shock
    got = [float(model(mean=mean, rho=0.2).prob_zero_std(8)) for model in ALL]
    assert [round(x, 3) for x in got] == shares


def test_arrays_broadcast():
    for model in ALL:
        law = model(mean=[[0.1], [0.4]], rho=[0.0, 0.2, 1.0])
        assert law.prob_zero_std(8).shape == (2, 3)
        assert law.pmf(4).shape == (2, 3, 5)
        one = model(mean=0.4, rho=0.2)
        assert law.prob_zero_std(8)[1, 1] == pytest.approx(float(one.prob_zero_std(8)), rel=1e-12)
        assert one.prob_zero_std([[2], [4]]).shape == (2, 1)
        np.testing.assert_allclose(law.pmf(4)[1, 1], one.pmf(4), rtol=1e-12)


@pytest.mark.parametrize("size", [2, 4, 8])
def test_negative_dependence_has_fewer_zero_std_groups(size):
    assert WithoutReplacement(pool=16, num_correct=6).prob_zero_std(size) < prob_zero_std(
        6 / 16, size
    )
    assert Antithetic(mean=0.375).prob_zero_std(size) < prob_zero_std(0.375, size)
    assert WithoutReplacement(pool=16, num_correct=6).rho == pytest.approx(-1 / 15)


@pytest.mark.parametrize("mean", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_antithetic_pmf(mean):
    law = Antithetic(mean=mean)
    pmf, k = law.pmf(6), np.arange(7)
    assert pmf.sum() == pytest.approx(1)
    assert pmf @ k == pytest.approx(6 * mean)
    assert law.prob_zero_std(6) == pytest.approx(pmf[0] + pmf[-1])
    if 0 < mean < 1:
        spread = pmf @ (k - 6 * mean) ** 2
        assert spread == pytest.approx(6 * mean * (1 - mean) * (1 + law.pair_rho))


@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from([1, 2, 4, 8]))
def test_shared_prefix(mean, rho, branches):
    law = SharedPrefix(mean=mean, branch_rho=rho, branches=branches)
    pmf, k = law.pmf(8), np.arange(9)
    assert pmf @ k == pytest.approx(8 * mean, abs=1e-10)
    spread = mean * (1 - mean) * 8 * (1 + 7 * law.pair_rho(8))
    assert pmf @ (k - 8 * mean) ** 2 == pytest.approx(spread, abs=1e-9)
    assert law.prob_zero_std(8) == pytest.approx(pmf[0] + pmf[-1], abs=1e-12)
    if branches == 1:
        whole = BetaBinomial(mean=mean, rho=rho)
        np.testing.assert_allclose(pmf, whole.pmf(8), atol=1e-12)
    if branches == 8:
        np.testing.assert_allclose(pmf, count_pmf(mean, 8), atol=1e-12)


def test_structured_sizes():
    with pytest.raises(ValueError, match="multiple of 4, got 6"):
        SharedPrefix(mean=0.5, branch_rho=0.1, branches=4).pmf(6)
    with pytest.raises(ValueError, match=r"group_size must lie in \[1, 8\], got 9"):
        WithoutReplacement(pool=8, num_correct=4).prob_zero_std(9)
    with pytest.raises(ValueError, match="even, got 3"):
        Antithetic(mean=0.5).prob_zero_std(3)


def test_monte_carlo_of_the_shock(rng):
    law = FailureShock(mean=0.151, rho=0.2)
    struck = rng.random(100_000) < float(law.shock)
    draws = (rng.random((100_000, 8)) < float(law.success_rate)) & ~struck[:, None]
    same = (draws.all(axis=1) | ~draws.any(axis=1)).mean()
    error = math.sqrt(0.25 / 100_000)
    assert abs(same - float(law.prob_zero_std(8))) < 4.5 * error
    assert abs(same - float(BetaBinomial(mean=0.151, rho=0.2).prob_zero_std(8))) > 4.5 * error

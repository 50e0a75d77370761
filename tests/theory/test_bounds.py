import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpolab.theory import (
    MODELS,
    Antithetic,
    BetaBinomial,
    CopyAll,
    FailureShock,
    WithoutReplacement,
    critical_p,
    critical_p_band,
    prob_zero_std,
    sandwich,
    thin_zero_std,
    zero_std_band,
    zero_std_band_from_counts,
)

TOL = 2e-6


@pytest.mark.parametrize("model", MODELS)
@given(mean=st.floats(0, 1), rho=st.floats(0, 1), size=st.integers(2, 64))
def test_sandwich_holds_for_every_model(model, mean, rho, size):
    share = MODELS[model](mean=mean, rho=rho).prob_zero_std(size)
    band = sandwich(mean, size, rho=rho)
    assert band.low - 1e-11 <= share <= band.high + 1e-11


def test_sandwich_holds_for_negative_dependence():
    law = WithoutReplacement(pool=9, num_correct=4)
    for size in (2, 5, 9):
        band = sandwich(law.mean, size, rho=law.rho)
        assert band.low - 1e-12 <= law.prob_zero_std(size) <= band.high + 1e-12
    pair = Antithetic(mean=0.3)
    assert sandwich(0.3, 2, rho=pair.pair_rho).low == pytest.approx(float(pair.prob_zero_std(2)))


def test_sandwich_is_attained():
    # by groups that hold one odd reward or none, and by groups split in half or not at all
    low = zero_std_band(8, mean=0.151, rho=0.2, kind="exchangeable").low
    assert sandwich(0.151, 8, rho=0.2).low == pytest.approx(float(low), abs=TOL)
    high = zero_std_band(8, mean=0.5, rho=0.2, kind="exchangeable").high
    assert sandwich(0.5, 8, rho=0.2).high == pytest.approx(float(high), abs=TOL)


def test_sandwich_needs_the_correlation():
    # negative control: without (1 - rho) the upper bound of P(zero std) fails
    share = CopyAll(mean=0.5, rho=0.6).prob_zero_std(8)
    assert share <= sandwich(0.5, 8, rho=0.6).high
    assert share > sandwich(0.5, 8).high


@pytest.mark.parametrize(("mean", "low", "high"), [(0.151, 0.373, 0.551), (0.3, 0.146, 0.326)])
def test_table_of_bands(mean, low, high):
    band = zero_std_band(8, mean=mean, rho=0.2)
    assert (round(float(band.low), 3), round(float(band.high), 3)) == (low, high)


@pytest.mark.parametrize("mean", [0.02, 0.151, 0.3])
def test_shock_attains_the_upper_end(mean):
    worst = FailureShock(mean=mean, rho=0.2).prob_zero_std(8)
    assert zero_std_band(8, mean=mean, rho=0.2).high == pytest.approx(float(worst), abs=TOL)


@pytest.mark.parametrize("model", MODELS)
@settings(max_examples=12)
@given(mean=st.floats(0.02, 0.98), rho=st.floats(0.01, 0.95), size=st.integers(3, 24))
def test_band_holds_every_model_and_lies_in_the_sandwich(model, mean, rho, size):
    share = float(MODELS[model](mean=mean, rho=rho).prob_zero_std(size))
    band = zero_std_band(size, mean=mean, rho=rho)
    outer = zero_std_band(size, mean=mean, rho=rho, kind="exchangeable")
    wide = sandwich(mean, size, rho=rho)
    assert band.low - TOL <= share <= band.high + TOL
    assert wide.low - TOL <= outer.low <= band.low + TOL
    assert band.high - TOL <= outer.high <= wide.high + TOL


def test_any_discrete_mixture_lies_inside(rng):
    for _ in range(30):
        p, weight = rng.random(4), rng.dirichlet(np.ones(4))
        mean, second = weight @ p, weight @ p**2
        rho = (second - mean**2) / (mean * (1 - mean))
        share = weight @ prob_zero_std(p, 8)
        band = zero_std_band(8, mean=mean, rho=rho)
        assert band.low - TOL <= share <= band.high + TOL
        tighter = zero_std_band(8, mean=mean, rho=rho, moments=[weight @ p**3])
        assert band.low - TOL <= tighter.low - 0 <= share + TOL
        assert share - TOL <= tighter.high <= band.high + TOL


@pytest.mark.parametrize("model", MODELS)
def test_more_moments_close_the_band(model):
    law = MODELS[model](mean=0.2, rho=0.3)
    moments = [float(law.prob_all_right(j)) for j in range(3, 9)]
    widths = []
    for count in (0, 1, 3, 6):
        band = zero_std_band(8, mean=0.2, rho=0.3, moments=moments[:count])
        assert band.low - TOL <= law.prob_zero_std(8) <= band.high + TOL
        widths.append(float(band.high - band.low))
    assert all(b <= a + TOL for a, b in itertools.pairwise(widths))
    assert abs(widths[-1]) < 1e-5


def test_counts_of_samples_predict_larger_groups():
    law = BetaBinomial(mean=0.2, rho=0.2)
    truth = float(law.prob_zero_std(16))
    widths = []
    for n in (2, 4, 8, 16):
        band = zero_std_band_from_counts(16, count_pmf=law.pmf(n))
        assert band.low - 1e-6 <= truth <= band.high + 1e-6
        widths.append(float(band.high - band.low))
    assert widths[0] > 0.3
    assert widths[2] < 2e-3
    assert widths[3] < 1e-5
    # for g <= n the band is the thinning estimator
    n, pmf = 10, law.pmf(10)
    thinned = pmf @ thin_zero_std(n, np.arange(n + 1), 8)
    assert zero_std_band_from_counts(8, count_pmf=pmf).low == pytest.approx(thinned, abs=1e-5)


@pytest.mark.parametrize(
    ("size", "rho", "low", "high"),
    [
        (8, 0.05, 0.0878, 0.1021),
        (8, 0.1, 0.0932, 0.1245),
        (8, 0.2, 0.1065, 0.1771),
        (8, 0.3, 0.1242, 0.2340),
        (16, 0.2, 0.0536, 0.1671),
    ],
)
def test_table_of_model_free_thresholds(size, rho, low, high):
    band = critical_p_band(size, rho=rho)
    assert band.low == pytest.approx(low, abs=1.1e-4)
    assert band.high == pytest.approx(high, abs=1.1e-4)
    for model in MODELS:
        assert band.low - TOL <= critical_p(size, rho=rho, model=model) <= band.high + TOL


def test_edges():
    for mean, rho in ((0.0, 0.2), (1.0, 0.0), (0.3, 1.0)):
        band = zero_std_band(8, mean=mean, rho=rho)
        assert (float(band.low), float(band.high)) == pytest.approx((1.0, 1.0), abs=1e-7)
    band = zero_std_band(8, mean=0.3, rho=0.0)
    assert band.low == pytest.approx(float(prob_zero_std(0.3, 8)), abs=1e-9)
    assert np.isnan(critical_p_band(8, rho=0.9).low)
    exact = critical_p_band(8, rho=0.0)
    assert float(exact.low) == pytest.approx(float(critical_p(8)), abs=1e-6)
    assert exact.low == exact.high


def test_impossible_moments():
    with pytest.raises(ValueError, match="moments must be those of a law"):
        zero_std_band(8, mean=0.2, rho=0.3, moments=[0.5])
    with pytest.raises(ValueError, match="rho must be a correlation"):
        zero_std_band(8, mean=0.2, rho=-0.5, kind="exchangeable")
    with pytest.raises(ValueError, match="count_pmf must be n"):
        zero_std_band_from_counts(8, count_pmf=[0.5, 0.4])
    with pytest.raises(ValueError, match="rho must lie"):
        zero_std_band(8, mean=0.2, rho=-0.1)


def test_speed():
    zero_std_band(8, mean=0.1, rho=0.1)  # import of the solver
    took = []
    for mean in (0.1, 0.2, 0.3, 0.4):
        start = time.process_time()
        zero_std_band(8, mean=mean, rho=0.2)
        took.append(time.process_time() - start)
    assert min(took) < 0.05

import json
import time
from fractions import Fraction
from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from grpolab.theory.dependence import BetaBinomial
from grpolab.theory.groups import GroupCounts, Provenance
from grpolab.theory.pass_at_k import pass_at_k, pass_at_k_variance, thin_all_wrong
from grpolab.validate.estimate.betabin import fit_beta_binomial
from grpolab.validate.estimate.cells import CountCells, tabulate
from grpolab.validate.forecast.pass_at_k import (
    estimate_pass_at_k,
    extrapolate_pass_at_k,
    within_variance,
)
from grpolab.validate.forecast.zero_std import predict_zero_std

REFERENCE = json.loads(
    (Path(__file__).parents[2] / "reference" / "binary_clusters.json").read_text()
)


def beta_counts(a, b, *, prompts, samples, seed=0):
    rng = np.random.default_rng(seed)
    return GroupCounts(rng.binomial(samples, rng.beta(a, b, prompts)), samples)


@given(data=st.data())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_thinning_is_the_share_of_subsets(data):
    n = data.draw(st.integers(2, 7))
    g = data.draw(st.integers(2, n))
    correct = data.draw(st.lists(st.integers(0, n), min_size=1, max_size=4))
    exact = Fraction(0)
    for c in correct:
        rewards = [1] * c + [0] * (n - c)
        same = sum(len(set(subset)) == 1 for subset in combinations(rewards, g))
        exact += Fraction(same, comb(n, g)) / len(correct)
    found = predict_zero_std(GroupCounts(correct, n), g, rng=0, num_resamples=5)
    assert found.zero_std == pytest.approx(float(exact), abs=1e-12)
    assert found.all_wrong + found.all_right == pytest.approx(found.zero_std, abs=1e-12)


def test_geissler_families_as_groups_of_eight():
    entry = REFERENCE["frequencies"]["geissler"]
    counts = GroupCounts(np.repeat(np.arange(9), entry["frequency"]), 8)
    known = entry["computed"]
    thinned = predict_zero_std(counts, 8, rng=0, method="thinning", num_resamples=5)
    fitted = predict_zero_std(counts, 8, rng=0, method="beta-binomial", num_resamples=5)
    assert round(thinned.zero_std, 5) == known["zero_std_observed"]
    assert round(fitted.zero_std, 5) == known["zero_std_beta_binomial"]
    assert round(fitted.iid_mean_p, 5) == known["zero_std_binomial"]
    assert round(fit_beta_binomial(counts).rho, 5) == known["rho"]


@pytest.mark.parametrize("method", ["thinning", "beta-binomial", "mixture"])
def test_predictions_reach_the_truth_that_the_mean_misses(method):
    from grpolab.theory.dependence import BetaBinomial

    counts = beta_counts(0.5, 1.5, prompts=20_000, samples=16)
    truth = float(BetaBinomial.from_ab(0.5, 1.5).prob_zero_std(8))
    found = predict_zero_std(counts, 8, rng=0, method=method, num_resamples=20)
    assert found.zero_std == pytest.approx(truth, abs=0.012)
    assert found.iid_mean_p < truth - 0.2


@pytest.mark.parametrize("method", ["beta-binomial", "mixture"])
def test_groups_larger_than_the_samples(method):
    from grpolab.theory.dependence import BetaBinomial

    counts = beta_counts(1.0, 2.0, prompts=20_000, samples=8)
    truth = float(BetaBinomial.from_ab(1.0, 2.0).prob_zero_std(32))
    found = predict_zero_std(counts, 32, rng=0, method=method, num_resamples=10)
    assert found.zero_std == pytest.approx(truth, abs=0.02)


def test_auto_says_which_method_it_took():
    counts = beta_counts(1.0, 2.0, prompts=50, samples=8)
    assert predict_zero_std(counts, 8, rng=0, num_resamples=5).method == "thinning"
    assert predict_zero_std(counts, 9, rng=0, num_resamples=5).method == "smoothed mixture"


@pytest.mark.parametrize("value", [0, 8])
@pytest.mark.parametrize("method", ["thinning", "beta-binomial", "mixture"])
def test_one_common_outcome_is_not_certainty(value, method):
    found = predict_zero_std(GroupCounts([value] * 16, 8), 8, rng=0, method=method)
    assert found.zero_std == pytest.approx(1.0, abs=1e-9)
    assert found.low == pytest.approx(0.025 ** (1 / 16))
    assert found.high == 1.0


def test_a_group_of_one_never_has_spread():
    found = predict_zero_std(GroupCounts([1, 3], 4), 1, rng=0)
    assert (found.zero_std, found.iid_mean_p) == (1.0, 1.0)


def test_intervals_are_reproducible_and_hold_the_value():
    counts = beta_counts(0.5, 1.5, prompts=100, samples=16)
    first, again = (predict_zero_std(counts, 8, rng=4) for _ in range(2))
    assert first == again
    assert first.low < first.zero_std < first.high


def test_impossible_requests_are_refused():
    counts = GroupCounts([1, 2], [4, 8])
    with pytest.raises(ValueError, match="group_size=8 samples for most prompts, got 1 of 2"):
        predict_zero_std(counts, 8, rng=0, method="thinning")
    with pytest.raises(ValueError, match="group_size must be >= 1, got 0"):
        predict_zero_std(counts, 0, rng=0)
    with pytest.raises(ValueError, match="method must be one of"):
        predict_zero_std(counts, 4, rng=0, method="magic")
    with pytest.raises(ValueError, match="k must not exceed the samples of most prompts"):
        estimate_pass_at_k(counts, 5, rng=0)
    single = GroupCounts([0, 1, 1], 1)
    for method in ("beta-binomial", "mixture", "auto"):
        with pytest.raises(ValueError, match="one sample per prompt says nothing"):
            predict_zero_std(single, 4, rng=0, method=method)
    with pytest.raises(ValueError, match="at least 2 samples"):
        fit_beta_binomial(single)
    filtered = GroupCounts([1, 2], 4, provenance=Provenance(filtered=True))
    for call in (predict_zero_std, estimate_pass_at_k):
        with pytest.raises(ValueError, match="filtered"):
            call(filtered, 2, rng=0)


def test_pass_at_k_standard_errors_split_into_two_levels():
    # per task sd .325 at n = 20, k = 10, p = .05: exact, where the delta method has .307
    one = GroupCounts(np.random.default_rng(0).binomial(20, 0.05, 200_000), 20)
    found = estimate_pass_at_k(one, 10, rng=0, num_resamples=5)
    assert found.stderr_within * 200_000**0.5 == pytest.approx(0.325, abs=2e-3)
    assert found.stderr_within == pytest.approx(found.stderr_total, rel=0.01)
    counts = beta_counts(0.15, 0.15, prompts=20_000, samples=20)
    found = estimate_pass_at_k(counts, 10, rng=0, num_resamples=50)
    values = pass_at_k(20, np.arange(21), 10)
    law = stats.betabinom.pmf(np.arange(21), 20, 0.15, 0.15)
    spread = np.sqrt(law @ (values - law @ values) ** 2)
    assert found.stderr_total * 20_000**0.5 == pytest.approx(spread, abs=0.004)
    assert found.stderr_within < found.stderr_total


def test_extrapolation_within_the_data_agrees_with_the_unbiased_estimate():
    counts = beta_counts(0.6, 2.0, prompts=3000, samples=32)
    direct = estimate_pass_at_k(counts, 16, rng=0, num_resamples=10).value
    found = extrapolate_pass_at_k(counts, 16)
    assert found.beta_binomial == pytest.approx(direct, abs=0.01)
    assert found.mixture == pytest.approx(direct, abs=0.003)
    assert found.value == pytest.approx(direct, abs=0.003)
    assert found.tail_exponent == pytest.approx(0.6, abs=0.06)


def test_unsolvable_prompts_are_seen_by_the_inflated_model():
    rng = np.random.default_rng(3)
    p = np.where(rng.random(3000) < 0.3, 0.0, rng.beta(2.0, 3.0, 3000))
    found = extrapolate_pass_at_k(GroupCounts(rng.binomial(32, p), 32), 4096)
    assert found.frac_zero == pytest.approx(0.3, abs=0.03)
    assert found.zero_gain > 50
    assert found.zero_inflated == pytest.approx(0.7, abs=0.03)
    assert found.beta_binomial > 0.8  # the power law keeps on climbing


def test_many_samples_per_prompt_cost_little():
    rng = np.random.default_rng(5)
    counts = GroupCounts(rng.binomial(10_112, rng.beta(0.2, 20.0, 128)), 10_112)
    started = time.process_time()
    found = estimate_pass_at_k(counts, 4096, rng=0, num_resamples=100)
    assert time.process_time() - started < 3.0
    assert found.stderr_within < found.stderr_total < 0.1


@pytest.mark.parametrize(("n", "k", "p"), [(8, 4, 0.3), (16, 5, 0.1), (64, 32, 0.02), (10, 1, 0.7)])
def test_the_sampling_variance_is_unbiased(n, k, p):
    c = np.arange(n + 1)
    law = stats.binom.pmf(c, n, p)
    each = [within_variance(CountCells(c[i : i + 1], np.array([n]), np.ones(1)), k) for i in c]
    exact = pass_at_k_variance(BetaBinomial(mean=p, rho=0.0), num_samples=n, k=k).within
    signed = thin_all_wrong(n, c, k) ** 2 - thin_all_wrong(n, c, 2 * k)
    assert law @ signed == pytest.approx(float(exact), abs=1e-12)
    assert np.allclose(each, np.maximum(signed, 0.0))  # what is reported is that, per prompt


@pytest.mark.parametrize(("n", "k"), [(8, 8), (8, 5), (32, 32)])
def test_the_sampling_error_is_right_up_to_k_equal_n(n, k):
    rng = np.random.default_rng(7)
    law = BetaBinomial.from_ab(0.5, 1.5)
    truth = float(pass_at_k_variance(law, num_samples=n, k=k).within)
    tables = [GroupCounts(rng.binomial(n, rng.beta(0.5, 1.5, 200)), n) for _ in range(60)]
    found = np.array([within_variance(tabulate(t), k) for t in tables])
    error = found.std(ddof=1) / 60**0.5
    assert found.mean() == pytest.approx(truth, abs=4 * error)
    assert error < 0.05 * truth


@pytest.mark.parametrize(("n", "k"), [(1000, 501), (1000, 999), (64, 40), (8, 8)])
def test_the_noise_within_prompts_is_never_none_where_prompts_are_mixed(n, k):
    """By the bound of Hoeffding for every table, not on average alone."""
    rng = np.random.default_rng(k)
    for _ in range(5):
        table = tabulate(GroupCounts(rng.binomial(n, rng.beta(0.5, 1.5, 40)), n))
        assert within_variance(table, k) > 0


@pytest.mark.parametrize("n", [20_000, 50_048])
def test_cost_does_not_grow_with_the_samples(n):
    counts = GroupCounts(np.random.default_rng(1).binomial(n, 0.01, 64), n)
    started = time.process_time()
    for k in (1, 256, n // 2, n):
        estimate_pass_at_k(counts, k, rng=0, num_resamples=10)
    assert time.process_time() - started < 6.0

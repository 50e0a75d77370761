import math

import numpy as np
import pytest
from scipy import stats

from grpolab.theory.groups import GroupCounts
from grpolab.validate.estimate import bootstrap, cells


def test_resamples_have_the_right_size_mean_and_spread():
    table = cells.tabulate(GroupCounts([0, 0, 0, 1, 2, 2], 2))
    boot = bootstrap.resample(table, num_resamples=20_000, rng=np.random.default_rng(1))
    assert np.all(boot.weight.sum(axis=1) == 6)
    assert boot.weight.mean(axis=0) == pytest.approx(table.weight, abs=0.04)
    assert boot.weight.var(axis=0) == pytest.approx(table.weight * (1 - table.weight / 6), rel=0.05)


def test_the_expanded_interval_of_a_normal_mean_is_the_t_interval():
    rng = np.random.default_rng(2)
    k = 8
    draws = np.sqrt((k - 1) / k) * rng.standard_normal(400_000)  # what a bootstrap mean has
    low, high = bootstrap.percentile_interval(draws, level=0.95, num_clusters=k)
    assert (low, high) == pytest.approx(
        (-stats.t.ppf(0.975, k - 1), stats.t.ppf(0.975, k - 1)), abs=0.03
    )


def test_the_bayesian_bootstrap_adds_one_prompt_of_unknown_rate():
    table = cells.tabulate(GroupCounts([0, 0, 0, 2], 2))
    boot = bootstrap.resample_bayesian(table, num_resamples=40_000, rng=np.random.default_rng(3))
    assert boot.weight.sum(axis=1) == pytest.approx(5.0)
    mean = boot.weight.mean(axis=0)
    assert mean == pytest.approx([3, 1, 1 / 3, 1 / 3, 1 / 3], abs=0.02)
    share = boot.weight[:, 0] / 5
    assert share.var() == pytest.approx(0.6 * 0.4 / 6, rel=0.03)  # Dirichlet of total 5


def test_half_widths_are_those_of_the_textbook():
    values = np.random.default_rng(4).normal(size=12)
    low, high = stats.ttest_1samp(values, 0.0).confidence_interval(0.9)
    half = bootstrap.half_width(bootstrap.mean_stderr(values), free=11, level=0.9)
    assert half == pytest.approx((high - low) / 2)
    assert bootstrap.half_width(1.0) == pytest.approx(stats.norm.ppf(0.975))
    assert bootstrap.half_width(1.0) < bootstrap.half_width(1.0, free=11)  # the control
    assert math.isnan(bootstrap.mean_stderr(np.ones(1)))


def test_bad_input():
    table = cells.tabulate(GroupCounts([1], 2))
    for call in (bootstrap.resample, bootstrap.resample_bayesian):
        with pytest.raises(ValueError, match="num_resamples must be >= 1, got 0"):
            call(table, num_resamples=0, rng=np.random.default_rng(0))
    for level in (0.0, 1.0):
        with pytest.raises(ValueError, match="level must lie"):
            bootstrap.check_level(level)


@pytest.mark.parametrize("share", [0.0, 0.004, 0.03, 0.5, 0.98, 1.0])
@pytest.mark.parametrize("clusters", [3, 8, 30, 100])
def test_a_floored_interval_covers_where_few_clusters_carry_the_mean(share, clusters):
    # values 0, 1 and something in between: the mean is share * (0.5 * 1 + 0.5 * 0.2)
    rng = np.random.default_rng(clusters)
    truth, hits, trials = share * 0.6, 0, 120
    for _ in range(trials):
        values = np.where(rng.random(clusters) < share, rng.choice([1.0, 0.2], clusters), 0.0)
        weight = np.ones(clusters)
        boot = bootstrap.draw_weights(weight, num_resamples=200, rng=rng) @ values / clusters
        plain = bootstrap.percentile_interval(boot, level=0.95, num_clusters=clusters)
        low, high = bootstrap.floored(plain, values, weight, rng=rng, num_draws=400)
        assert 0.0 <= low <= plain[0] <= plain[1] <= high <= 1.0
        assert high > low
        hits += low <= truth <= high
    assert hits / trials > 0.95 - 4 * (0.05 * 0.95 / trials) ** 0.5


def test_a_floor_of_differences_lies_on_both_sides():
    zero = np.zeros(1)
    low, high = bootstrap.floored(
        (0.0, 0.0), zero, np.array([40.0]), rng=0, bounds=(-1.0, 1.0), zero=(0.0, 0.0)
    )
    assert -low == pytest.approx(high) == pytest.approx(1 - 0.025 ** (1 / 40))
    assert bootstrap.floored((0.4, 0.5), np.array([0.4]), np.ones(1), rng=0) == (0.0, 1.0)


@pytest.mark.parametrize("trials", [1, 2, 16, 143])
def test_intervals_of_shares_are_scipys(trials):
    hits = range(trials + 1)
    low, high = bootstrap.exact_intervals(hits, trials, level=0.9)
    for k in hits:
        found = stats.binomtest(k, trials)
        assert (low[k], high[k]) == pytest.approx(tuple(found.proportion_ci(0.9)), abs=1e-9)
        wilson = bootstrap.wilson_interval(k, trials, level=0.9)
        assert wilson == pytest.approx(tuple(found.proportion_ci(0.9, "wilson")), abs=1e-9)
    assert bootstrap.exact_interval(0, 0) == (0.0, 1.0)

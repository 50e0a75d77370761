import numpy as np
import pytest
from scipy import stats

from grpolab.theory.groups import GroupCounts
from grpolab.validate.estimate import bootstrap, cells


def test_tabulate_loses_nothing():
    rng = np.random.default_rng(0)
    size = rng.integers(1, 9, 500)
    counts = GroupCounts(rng.binomial(size, 0.4), size, prompt_id=rng.integers(0, 90, 500))
    for unit, clusters in (("prompts", len(set(counts.prompt_id.tolist()))), ("groups", 500)):
        table = cells.tabulate(counts, unit=unit)
        assert table.num_clusters == clusters
        assert table.weight @ table.num_samples == size.sum()
        assert table.weight @ table.num_correct == counts.num_correct.sum()


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


def test_bad_input():
    with pytest.raises(ValueError, match="unit must be"):
        cells.tabulate(GroupCounts([1], 2), unit="rows")
    with pytest.raises(ValueError, match="at least one group"):
        cells.tabulate(GroupCounts([], 2))
    with pytest.raises(ValueError, match="num_resamples"):
        bootstrap.resample(
            cells.tabulate(GroupCounts([1], 2)), num_resamples=0, rng=np.random.default_rng(0)
        )

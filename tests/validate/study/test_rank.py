import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from grpolab.validate.study.shootout.rank import kendall, rank_interval, spearman


@given(data=st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_values_are_scipys_with_ties(data):
    size = data.draw(st.integers(2, 7))
    x = data.draw(st.lists(st.integers(0, 4), min_size=size, max_size=size))
    y = data.draw(st.lists(st.integers(0, 4), min_size=size, max_size=size))
    for ours, theirs in ((spearman, stats.spearmanr), (kendall, stats.kendalltau)):
        if len(set(x)) == 1 or len(set(y)) == 1:
            assert np.isnan(ours(x, y).value)
            assert ours(x, y).p_value == 1.0
        else:
            assert ours(x, y).value == pytest.approx(theirs(x, y).statistic, abs=1e-12)


def test_perfect_order_of_four_checkpoints_is_not_significant():
    found = spearman([0.1, 0.2, 0.3, 0.4], [1, 2, 3, 4])
    assert (found.value, found.p_value, found.exact) == (
        pytest.approx(1.0),
        pytest.approx(2 / 24),
        True,
    )


def test_a_correlation_of_seven_tenths_over_five_checkpoints():
    assert spearman([1, 2, 3, 4, 5], [2, 1, 3, 5, 4]).value == pytest.approx(0.8)
    found = spearman([1, 2, 3, 4, 5], [1, 4, 2, 3, 5])
    assert found.value == pytest.approx(0.7)
    assert found.p_value == pytest.approx(0.233, abs=5e-4)


def test_runs_that_share_a_checkpoint_are_not_independent_evidence():
    checkpoint = np.repeat(np.arange(5), 3)
    x = checkpoint.astype(float)
    y = x + np.tile([0.0, 0.1, 0.2], 5)
    by_run = spearman(x, y, rng=0)
    by_checkpoint = spearman(x, y, clusters=checkpoint)
    assert by_run.value == by_checkpoint.value
    assert by_run.p_value < 1e-3
    assert by_checkpoint.p_value == by_checkpoint.min_p_value == pytest.approx(2 / 120)


def test_exact_kendall_matches_scipy():
    x, y = [1, 2, 3, 4, 5, 6], [2, 1, 4, 3, 6, 5]
    assert kendall(x, y).p_value == pytest.approx(stats.kendalltau(x, y, method="exact").pvalue)


def test_monte_carlo_agrees_with_a_large_sample_p_value():
    rng = np.random.default_rng(0)
    x = rng.normal(size=40)
    y = x + 2.5 * rng.normal(size=40)
    assert spearman(x, y, rng=1).p_value == pytest.approx(stats.spearmanr(x, y).pvalue, abs=0.01)


def test_a_monte_carlo_p_value_is_never_zero():
    found = spearman(range(20), range(20), rng=0, num_permutations=99)
    assert (found.p_value, found.exact) == (0.01, False)


@pytest.mark.slow
def test_the_exact_test_holds_its_level():
    rng = np.random.default_rng(0)
    p = [spearman(rng.normal(size=6), rng.normal(size=6)).p_value for _ in range(600)]
    assert np.mean(np.array(p) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 600)


def test_intervals():
    found = rank_interval([1, 2, 3, 4, 5], [1, 4, 2, 3, 5], rng=0)
    assert found.low < 0.0 < 0.7 < found.high
    assert rank_interval([1, 1, 1], [1, 2, 3], rng=0) == (-1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"x": [1], "y": [1]}, "R >= 2"),
        ({"x": [1, 2], "y": [1, 2, 3]}, "one shape"),
        ({"x": [1, np.nan], "y": [1, 2]}, "finite"),
        ({"x": [1, 2], "y": [1, 2], "clusters": [0, 0]}, "constant within each cluster"),
        ({"x": range(9), "y": range(9)}, "rng is required"),
    ],
)
def test_bad_input(kwargs, match):
    with pytest.raises(ValueError, match=match):
        spearman(kwargs.pop("x"), kwargs.pop("y"), **kwargs)

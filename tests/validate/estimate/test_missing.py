"""Whether verdicts are missing by success."""

import numpy as np
import pytest

from grpolab.theory.groups import GroupCounts
from grpolab.validate.estimate.missing import missingness


def counts(rng, *, sizes, a=0.4, b=0.6, harder=1.0):
    p = rng.beta(a, b, len(sizes))
    short = sizes < sizes.max()
    return GroupCounts(rng.binomial(sizes, np.where(short, p * harder, p)), sizes)


def test_equal_numbers_of_verdicts_are_no_question():
    assert missingness(GroupCounts([1, 2, 3], 4), rng=0) is None


def test_short_and_full_prompts_are_told_apart():
    found = missingness(GroupCounts([7, 1, 64, 0, 32], [7, 7, 64, 64, 64]), rng=0)
    assert (found.num_short, found.num_full, found.full_size) == (2, 3, 64)
    assert found.rate_short == pytest.approx(4 / 7)
    assert found.rate_full == pytest.approx(0.5)
    # most prompts are short: the full ones are those above the median
    assert missingness(GroupCounts([1, 1, 4], [2, 2, 8]), rng=0).num_full == 1


@pytest.mark.parametrize("short", [1, 10, 50])
@pytest.mark.parametrize("left", [1, 7])
def test_size(short, left):
    rng = np.random.default_rng(short + left)
    sizes = np.where(np.arange(100) < short, left, 16)
    tables = [counts(rng, sizes=sizes) for _ in range(200)]
    p = np.array([missingness(t, rng=rng, num_draws=99).p_value for t in tables])
    assert np.mean(p <= 0.05) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200) + 0.02


def test_power():
    rng = np.random.default_rng(3)
    sizes = np.where(np.arange(200) < 60, 4, 16)
    tables = [counts(rng, sizes=sizes, harder=0.4) for _ in range(40)]
    p = np.array([missingness(t, rng=rng, num_draws=199).p_value for t in tables])
    assert np.mean(p <= 0.05) > 0.8


def test_one_seed_gives_one_answer():
    table = counts(np.random.default_rng(0), sizes=np.where(np.arange(90) < 30, 4, 16))
    assert missingness(table, rng=5) == missingness(table, rng=5)


@pytest.mark.parametrize("full", [1, 2, 5])
def test_few_full_prompts_prove_nothing_by_being_few(full: int) -> None:
    """One prompt of 8 verdicts among 200 of one verdict has some rate; that is no evidence."""
    low = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        n = np.where(np.arange(200) < full, 8, 1)
        found = missingness(GroupCounts(rng.binomial(n, rng.beta(0.3, 1.0, 200)), n), rng=seed)
        assert found is not None
        assert found.num_full == full
        low += found.p_value < 0.05
    assert low <= 9  # of 60 at 5% more than 9 have chance 0.001

import numpy as np
import pytest
from scipy import stats

from grpolab.theory.groups import GroupCounts
from grpolab.validate.estimate.truncated import _prob_mixed, fit_truncated


def mixed_groups(a, b, *, groups, g, seed=0):
    rng = np.random.default_rng(seed)
    correct = rng.binomial(g, rng.beta(a, b, groups))
    keep = (correct > 0) & (correct < g)
    return GroupCounts(correct[keep], g), keep.mean()


def test_the_mixed_share_is_the_beta_binomials():
    a, b = 0.7, 2.1
    law = stats.betabinom([2, 5, 9], a, b)
    expected = 1 - law.pmf(0) - law.pmf([2, 5, 9])
    found = _prob_mixed(np.array([2, 5, 9]), a / (a + b), 1 / (1 + a + b))
    assert found == pytest.approx(expected, rel=1e-12)


def test_what_filtering_removed_is_recovered():
    counts, kept = mixed_groups(1.0, 2.0, groups=40_000, g=16)
    found = fit_truncated(counts, rng=0, num_resamples=3)
    assert found.frac_kept == pytest.approx(kept, abs=0.03)
    assert found.mean == pytest.approx(1 / 3, abs=0.02)
    assert found.rho == pytest.approx(1 / 4, abs=0.02)
    # taking the dump at face value is wrong by far
    from grpolab.validate.estimate.icc import icc

    assert icc(counts, unit="groups") < 0.2
    assert counts.mean_reward > 0.36
    assert counts.frac_zero_std == 0.0


def test_likelihood_is_conditional_on_a_mixed_group():
    counts, _ = mixed_groups(1.0, 2.0, groups=300, g=8)
    found = fit_truncated(counts, rng=0, num_resamples=2)
    scale = 1 / found.rho - 1
    law = stats.betabinom(8, found.mean * scale, (1 - found.mean) * scale)
    direct = law.logpmf(counts.num_correct) - np.log(1 - law.pmf(0) - law.pmf(8))
    assert found.loglik == pytest.approx(direct.sum(), abs=1e-6)


def test_data_that_cannot_answer_are_refused():
    with pytest.raises(ValueError, match="mixed groups only"):
        fit_truncated(GroupCounts([0, 2], 4), rng=0)
    with pytest.raises(ValueError, match="at least 4 rollouts: mixed groups of 3"):
        fit_truncated(GroupCounts([1, 2], 3), rng=0)


def test_sizes_may_differ():
    counts = GroupCounts([1, 2, 3, 1, 6, 5], [4, 5, 6, 8, 8, 8])
    found = fit_truncated(counts, rng=0, num_resamples=2)
    assert 0 < found.frac_kept < 1

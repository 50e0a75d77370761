import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from grpolab.theory.groups import GroupCounts, Provenance
from grpolab.validate.estimate.mixture import fit_inflated_beta, fit_mixture


@given(data=st.data())
@settings(max_examples=30, deadline=None, derandomize=True)
def test_the_mixture_is_a_law_and_no_atom_improves_it(data):
    size = data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=10))
    correct = np.array([data.draw(st.integers(0, n)) for n in size])
    fit = fit_mixture(GroupCounts(correct, size))
    assert fit.weight.sum() == pytest.approx(1.0)
    assert fit.weight.min() > 0
    like = stats.binom.pmf(correct[:, None], np.array(size)[:, None], fit.support)
    density = like @ fit.weight
    assert np.log(density).sum() == pytest.approx(fit.loglik, abs=1e-8)
    grid = np.linspace(0, 1, 301)
    other = stats.binom.pmf(correct[:, None], np.array(size)[:, None], grid)
    # the first-order condition of the convex problem, with room for the grid spacing
    assert ((other / density[:, None]).sum(axis=0) - len(size)).max() < 5e-3 * len(size)


def test_a_two_point_law_is_recovered():
    rng = np.random.default_rng(1)
    p = rng.choice([0.1, 0.7], 5000, p=[0.6, 0.4])
    fit = fit_mixture(GroupCounts(rng.binomial(32, p), 32))
    low = fit.support < 0.4
    assert fit.weight[low].sum() == pytest.approx(0.6, abs=0.02)
    assert fit.weight[low] @ fit.support[low] / 0.6 == pytest.approx(0.1, abs=0.01)


def test_the_mixture_keeps_the_mean():
    rng = np.random.default_rng(2)
    counts = GroupCounts(rng.binomial(16, rng.beta(0.5, 2.0, 400)), 16)
    fit = fit_mixture(counts)
    assert fit.expect(fit.support) == pytest.approx(counts.mean_reward, abs=1e-3)


def test_filtered_tables_are_refused():
    counts = GroupCounts([1, 2], 4, provenance=Provenance(filtered=True))
    for call in (fit_mixture, fit_inflated_beta):
        with pytest.raises(ValueError, match="filtered"):
            call(counts)

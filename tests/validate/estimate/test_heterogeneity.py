import json
from pathlib import Path

import numpy as np
import pytest

from grpolab.theory.groups import GroupCounts
from grpolab.validate.estimate.heterogeneity import heterogeneity

REFERENCE = json.loads(
    (Path(__file__).parents[2] / "reference" / "binary_clusters.json").read_text()
)


@pytest.mark.parametrize("name", ["chromosome", "saxony", "geissler"])
def test_published_statistics(name):
    entry = REFERENCE["frequencies"][name]
    freq = entry["frequency"]
    found = heterogeneity(GroupCounts(np.repeat(np.arange(len(freq)), freq), len(freq) - 1))
    assert found.tarone_z == pytest.approx(entry["computed"]["tarone_z"], abs=6e-4)
    if name == "geissler":
        # the homogeneity statistic is sum over groups; Fisher's is sum over the nine counts
        assert found.likelihood_p < 1e-6
        assert found.pearson_p < 1e-6


def test_the_likelihood_ratio_has_half_its_null_mass_at_zero():
    from scipy import stats

    rng = np.random.default_rng(8)
    found = heterogeneity(GroupCounts(rng.binomial(8, rng.beta(8, 8, 60)), 8))
    assert found.likelihood_ratio > 0
    assert found.likelihood_p == stats.chi2.sf(found.likelihood_ratio, 1) / 2
    assert heterogeneity(GroupCounts([2] * 9, 4)).likelihood_p == 1.0


def test_fishers_fit_statistic():
    from scipy import stats

    entry = REFERENCE["frequencies"]["geissler"]
    freq = np.array(entry["frequency"])
    p = freq @ np.arange(9) / (8 * freq.sum())
    expected = freq.sum() * stats.binom.pmf(np.arange(9), 8, p)
    x2 = ((freq - expected) ** 2 / expected).sum()
    assert round(x2, 2) == entry["published"]["pearson_x2"]


@pytest.mark.parametrize("group", ["C", "L", "M", "H"])
def test_rabbit_litters(group):
    y, n = np.array(REFERENCE["rabbits"]["litters"][group]).T
    known = REFERENCE["rabbits"]["computed"][group]["z"]
    assert heterogeneity(GroupCounts(y, n)).tarone_z == pytest.approx(known, abs=6e-4)


def test_level_under_one_common_rate():
    rng = np.random.default_rng(0)
    found = [heterogeneity(GroupCounts(rng.binomial(8, 0.3, 200), 8)) for _ in range(400)]
    for name in ("tarone_p", "pearson_p", "likelihood_p"):
        rate = np.mean([getattr(f, name) <= 0.05 for f in found])
        assert abs(rate - 0.05) < 0.035, name
    # the half at zero: a chi-square on one degree of freedom would reject half as often
    assert np.mean([f.likelihood_ratio == 0 for f in found]) == pytest.approx(0.5, abs=0.09)


def test_one_common_outcome_tests_nothing():
    found = heterogeneity(GroupCounts([4, 4, 4], 4))
    assert (found.tarone_p, found.pearson_p, found.likelihood_p) == (1.0, 1.0, 1.0)

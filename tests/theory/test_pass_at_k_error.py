import math
from fractions import Fraction

import numpy as np
import pytest

from grpolab.theory import (
    MODELS,
    BetaBinomial,
    expected_pass_at_k,
    pass_at_k,
    pass_at_k_tail,
    pass_at_k_variance,
)


@pytest.mark.parametrize(("n", "k"), [(4, 1), (6, 3), (8, 8), (20, 10)])
@pytest.mark.parametrize("p", [Fraction(1, 20), Fraction(1, 2), Fraction(7, 8)])
def test_variance_given_p(exact, n, k, p):
    mean = float(1 - (1 - p) ** k)
    truth = exact.over_counts(lambda c: (float(pass_at_k(n, c, k)) - mean) ** 2, p, n)
    got = pass_at_k_variance(BetaBinomial(mean=float(p), rho=0.0), num_samples=n, k=k)
    assert got.within == pytest.approx(truth, rel=1e-9)
    assert got.between == pytest.approx(0.0, abs=1e-15)


def test_published_sizes():
    # n = 20, k = 10: sd .325 at p = .05, where the delta method says .307
    got = pass_at_k_variance(BetaBinomial(mean=0.05, rho=0.0), num_samples=20, k=10)
    assert math.sqrt(got.total) == pytest.approx(0.325, abs=5e-4)
    delta = 10 * 0.95**9 * math.sqrt(0.05 * 0.95 / 20)
    assert delta == pytest.approx(0.307, abs=5e-4)
    both = pass_at_k_variance(BetaBinomial(mean=0.15, rho=0.15), num_samples=20, k=10)
    assert math.sqrt(both.total) == pytest.approx(0.391, abs=5e-4)
    assert math.sqrt(both.between) == pytest.approx(0.316, abs=5e-4)


@pytest.mark.parametrize("model", MODELS)
def test_total_variance_under_every_model(model):
    law = MODELS[model](mean=0.3, rho=0.25)
    pmf = law.pmf(12)
    each = pass_at_k(12, np.arange(13), 4)
    truth = pmf @ each**2 - (pmf @ each) ** 2
    got = pass_at_k_variance(law, num_samples=12, k=4)
    assert got.total == pytest.approx(truth, rel=1e-9)


def test_stderr_covers_both_sources(rng):
    a, tasks = 0.4, 400
    p = rng.beta(a, 1.0, size=(300, tasks))
    c = rng.binomial(16, p)
    each = pass_at_k(16, c, 4)
    means, errors = each.mean(axis=1), each.std(axis=1, ddof=1) / math.sqrt(tasks)
    total = float(pass_at_k_variance(BetaBinomial.from_ab(a, 1.0), num_samples=16, k=4).total)
    assert np.std(means) == pytest.approx(math.sqrt(total / tasks), rel=0.15)
    assert np.mean(errors) == pytest.approx(math.sqrt(total / tasks), rel=0.02)


@pytest.mark.parametrize("a", [0.2, 1.0, 2.5])
def test_power_law_tail(a):
    law = BetaBinomial.from_ab(a, 3.0)
    k = np.array([10**4, 10**6])
    ratio = law.prob_all_wrong(k) / pass_at_k_tail(a, 3.0, k=k)
    assert ratio[1] == pytest.approx(1.0, rel=1e-4)
    assert abs(ratio[1] - 1) < abs(ratio[0] - 1)
    slope = np.diff(np.log(law.prob_all_wrong(k)))[0] / math.log(100)
    assert slope == pytest.approx(-a, rel=1e-3)


def test_one_fit_for_pass_at_k_and_dead_groups():
    # pass@1 and pass@64 fix rho, and with it the zero-std share: iid would say pass@64 = 1
    assert expected_pass_at_k(0.151, 64) == pytest.approx(0.99997, abs=5e-6)
    for rho, low, high in ((0.12, 0.92, 0.94), (0.15, 0.88, 0.91)):
        law = BetaBinomial(mean=0.151, rho=rho)
        assert low < 1 - law.prob_all_wrong(64) < high
        assert 0.36 < law.prob_zero_std(8) < 0.43

"""The law of p against enumeration, against each other, and against simulated groups."""

import itertools
import time
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from grpolab import theory
from grpolab.simulate import draw_groups
from grpolab.theory import GroupCounts, Provenance
from grpolab.validate.estimate import bootstrap, cells
from grpolab.validate.forecast.law import METHODS, fit_law, fit_rows, model_law, prompt_laws

MODELS = ("posterior", "beta-binomial", "mixture", "mean-p")


def beta_counts(a=0.5, b=1.5, *, prompts=200, samples=16, seed=0):
    rng = np.random.default_rng(seed)
    return GroupCounts(rng.binomial(samples, rng.beta(a, b, prompts)), samples)


def moments(law, g):
    """Everything that follows from the law of K, by plain sums over it."""
    pmf, k = law.group_pmf(g), np.arange(g + 1)
    return {
        "all_wrong": pmf[..., 0],
        "all_right": pmf[..., g],
        "zero_std": pmf[..., 0] + pmf[..., g],
        "mixed": pmf[..., 1:g].sum(axis=-1),
        "expected_std": pmf @ np.sqrt(k / g * (1 - k / g)),
        "expected_variance": pmf @ (k / g * (1 - k / g)),
        "pass_at": 1 - pmf[..., 0],
    }


@given(data=st.data())
@settings(max_examples=30, deadline=None, derandomize=True)
def test_thinning_is_the_law_of_all_subsets(data):
    n = data.draw(st.integers(2, 6))
    g = data.draw(st.integers(1, n))
    correct = data.draw(st.lists(st.integers(0, n), min_size=1, max_size=4))
    exact = [Fraction(0)] * (g + 1)
    for c in correct:
        subsets = list(itertools.combinations([1] * c + [0] * (n - c), g))
        for subset in subsets:
            exact[sum(subset)] += Fraction(1, len(subsets) * len(correct))
    found = fit_law(GroupCounts(correct, n)).group_pmf(g)
    assert found == pytest.approx([float(x) for x in exact], abs=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("g", [2, 3, 8, 16])
def test_every_number_is_a_mean_over_the_law_of_k(method, g):
    law = fit_law(beta_counts(), method)
    assert law.group_pmf(g).sum() == pytest.approx(1.0, abs=1e-12)
    for name, value in moments(law, g).items():
        assert getattr(law, name)(g) == pytest.approx(value, abs=1e-10), name
    k = np.arange(g + 1)
    assert law.mean == pytest.approx(float(law.group_pmf(g) @ k) / g, abs=1e-10)
    assert law.expected_std(g, ddof=1) == pytest.approx(
        law.group_pmf(g) @ np.sqrt(k * (g - k) / (g * (g - 1))), abs=1e-10
    )
    assert law.expected_variance(g, ddof=1) == pytest.approx(
        law.mean * (1 - law.mean) * (1 - law.icc), abs=1e-10
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_is_its_rows(method):
    data = cells.tabulate(beta_counts(prompts=40, samples=8))
    boot = bootstrap.resample(data, num_resamples=4, rng=np.random.default_rng(1))
    many = fit_rows(boot, method)
    for row, weight in enumerate(boot.weight):
        one = fit_rows(data._replace(weight=weight), method)
        assert one.mean.shape == ()
        assert many.group_pmf(5)[row] == pytest.approx(one.group_pmf(5), abs=1e-9)
        for name in ("zero_std", "all_right", "expected_std", "expected_variance", "pass_at"):
            assert getattr(many, name)(5)[row] == pytest.approx(getattr(one, name)(5), abs=1e-9)
        assert many.icc[row] == pytest.approx(float(one.icc), abs=1e-9)


@pytest.mark.parametrize("method", ["thinning", *MODELS])
def test_estimates_reach_the_law_that_drew_the_counts(method):
    truth = model_law(theory.BetaBinomial.from_ab(0.5, 1.5))
    law = fit_law(beta_counts(prompts=20_000), method)
    gap = abs(float(law.zero_std(8) - truth.zero_std(8)))
    if method == "mean-p":  # the negative control: it leaves out that prompts differ
        assert gap > 0.2
        assert law.icc == pytest.approx(0.0, abs=1e-12)
    else:
        assert gap < 0.012
        assert float(law.icc) == pytest.approx(1 / 3, abs=0.015)


def test_the_posterior_is_the_textbook_one():
    counts = GroupCounts([0, 3, 8, 5, 1, 7, 0, 2], 8)
    prior = fit_law(counts, "beta-binomial").model
    each = prompt_laws(counts, "posterior")
    a, b = float(prior.a), float(prior.b)
    for row, c in enumerate(counts.num_correct.tolist()):
        exact = stats.betabinom(5, a + c, b + 8 - c).pmf(np.arange(6))
        assert each.group_pmf(5)[row] == pytest.approx(exact, abs=1e-10)
    mean = each.group_pmf(5).mean(axis=0)
    assert fit_law(counts, "posterior").group_pmf(5) == pytest.approx(mean, abs=1e-12)


def test_prompts_one_by_one_average_to_the_law():
    rng = np.random.default_rng(2)
    size = rng.integers(4, 9, 50)
    counts = GroupCounts(rng.binomial(size, 0.4), size)
    each = prompt_laws(counts)
    assert each.zero_std(3).tolist() == pytest.approx(
        theory.thin_zero_std(size, counts.num_correct, 3).tolist()
    )
    law = fit_law(counts)
    for name in ("mixed", "expected_std", "expected_variance", "pass_at"):
        assert getattr(each, name)(4).mean() == pytest.approx(float(getattr(law, name)(4)))


@pytest.mark.parametrize("name", sorted(theory.MODELS))
def test_models_of_theory_are_laws(name):
    model = theory.MODELS[name](mean=0.3, rho=0.2)
    law = model_law(model)
    assert float(law.icc) == pytest.approx(0.2, abs=1e-9)
    for quantity, value in moments(law, 6).items():
        assert getattr(law, quantity)(6) == pytest.approx(value, abs=1e-9), quantity
    rates = law.sample(200_000, np.random.default_rng(0))
    assert rates.mean() == pytest.approx(0.3, abs=0.006)
    assert rates.var() == pytest.approx(0.2 * 0.21, abs=0.002)


LAWS = {
    "beta-binomial": lambda: fit_law(beta_counts(), "beta-binomial"),
    "posterior": lambda: fit_law(beta_counts(), "posterior"),
    "mixture": lambda: fit_law(beta_counts(), "mixture"),
    "given": lambda: model_law(theory.FailureShock(mean=0.4, rho=0.3)),
    "all or nothing": lambda: model_law(theory.BetaBinomial(mean=0.3, rho=1.0)),
    "one rate": lambda: model_law(theory.BetaBinomial(mean=0.3, rho=0.0)),
}


@pytest.mark.parametrize("name", sorted(LAWS))
def test_simulated_groups_have_the_shares_of_their_law(name):
    law, groups = LAWS[name](), 100_000
    rates = law.sample(groups, np.random.default_rng(3))
    played = draw_groups(rates, group_size=8, seed=4)
    found = {
        "zero_std": played.all_wrong | played.all_right,
        "all_wrong": played.all_wrong,
        "expected_variance": played.variance(),
    }
    for quantity, values in found.items():
        error = 4.5 * float(np.std(values)) / groups**0.5 + 1e-12
        assert abs(float(np.mean(values)) - float(getattr(law, quantity)(8))) < error, quantity


def test_groups_drawn_at_measured_rates_are_overdispersed():
    law = fit_law(beta_counts(samples=8, prompts=2000), "thinning")
    rates = law.sample(50_000, np.random.default_rng(5))
    played = draw_groups(rates, group_size=8, seed=6)
    assert played.frac_zero_std > float(law.zero_std(8)) + 0.03


def test_the_ends_are_cheap_at_any_size():
    law = fit_law(beta_counts(), "beta-binomial")
    boot = law.resampled(200, 0)
    started = time.process_time()
    tracemalloc.start()
    values = boot.pass_at(10_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert values.shape == (200,)
    assert peak < 4e6  # a table [200, 10_001] has 16e6 bytes
    assert time.process_time() - started < 2.0
    a, b = float(law.model.a), float(law.model.b)
    exact = -np.expm1(stats.betabinom.logpmf(0, 10_000, a, b))
    assert float(law.pass_at(10_000)) == pytest.approx(float(exact), rel=1e-9)


def test_the_interval_of_a_share_is_never_a_point():
    dead = fit_law(GroupCounts([0] * 16, 8))
    low, high = dead.interval(lambda law: law.zero_std(8), rng=0)
    assert (low, high) == (pytest.approx(0.025 ** (1 / 16)), 1.0)
    alone = fit_law(GroupCounts([3], 8))
    assert alone.interval(lambda law: law.zero_std(8), rng=0) == (0.0, 1.0)
    law = fit_law(beta_counts())
    low, high = law.interval(lambda one: one.icc, rng=0, share=False)
    assert low < float(law.icc) < high


def test_one_common_outcome():
    for value, end in ((0, "all_wrong"), (8, "all_right")):
        for method in METHODS:
            law = fit_law(GroupCounts([value] * 5, 8), method)
            assert float(getattr(law, end)(8)) == pytest.approx(1.0)
            assert float(law.icc) == 0.0
            assert float(law.expected_std(8)) == pytest.approx(0.0, abs=1e-9)


def test_what_cannot_be_said_is_refused():
    counts = GroupCounts([1, 2], [4, 8])
    law = fit_law(counts)
    for name in ("all_wrong", "all_right", "group_pmf", "expected_std", "zero_std", "pass_at"):
        with pytest.raises(ValueError, match="group_size=5 samples for most prompts"):
            getattr(law, name)(5)
    assert 0 < float(law.expected_variance(5)) < 0.25  # pairs are enough
    with pytest.raises(ValueError, match="group_size must be >= 1"):
        law.all_wrong(0)
    with pytest.raises(ValueError, match="ddof must be 0 or 1"):
        law.expected_std(2, ddof=2)
    with pytest.raises(ValueError, match="method must be one of"):
        fit_law(counts, "magic")
    with pytest.raises(ValueError, match="method must be thinning or posterior"):
        prompt_laws(counts, "mixture")
    with pytest.raises(ValueError, match="filtered"):
        fit_law(GroupCounts([1, 2], 4, provenance=Provenance(filtered=True)))
    single = GroupCounts([0, 1], 1)
    assert float(fit_law(single).all_wrong(1)) == 0.5
    with pytest.raises(ValueError, match="at least group_size=2 samples for most prompts"):
        fit_law(single).expected_variance(4)
    for method in ("beta-binomial", "mixture", "posterior"):
        with pytest.raises(ValueError, match="one sample per prompt says nothing"):
            fit_law(single, method)
    rng = np.random.default_rng(0)
    for nothing in (model_law(theory.BetaBinomial(mean=0.3, rho=0.1)), prompt_laws(counts)):
        with pytest.raises(ValueError, match="not estimated from a sample of prompts"):
            nothing.interval(lambda one: one.mean, rng=rng)
    for batch in (prompt_laws(counts), prompt_laws(counts, "posterior"), law.resampled(3, 0)):
        with pytest.raises(ValueError, match="rates are drawn from one law"):
            batch.sample(3, rng)
    with pytest.raises(ValueError, match="no law of p to sample from"):
        model_law(theory.Antithetic(mean=0.3)).sample(3, rng)

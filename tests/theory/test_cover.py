"""Cover@tau and its projections, against models, exact sums and simulated groups."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad

from grpolab import theory
from grpolab.simulate import tally_groups
from grpolab.theory import (
    BetaBinomial,
    CopyAll,
    OneFactorProbit,
    count_survival,
    cover_kernel,
    expected_from_cover,
)


def std_of(size):
    k = np.arange(size + 1)
    return np.sqrt(k * (size - k)) / size


@pytest.mark.parametrize("name", theory.MODELS)
@pytest.mark.parametrize("rho", [0.0, 0.2, 1.0])
def test_curve_is_that_of_the_sampled_rates(name, rho):
    law = theory.MODELS[name](mean=0.3, rho=rho)
    p = law.sample(20_000, rng=np.random.default_rng(1))
    tau = np.array([0.0, 0.01, 0.1, 0.29, 0.5, 0.9, 0.999])
    seen = (p[:, None] >= tau).mean(axis=0)
    np.testing.assert_allclose(law.cover(tau), seen, atol=4 * 0.5 / np.sqrt(20_000))
    assert law.cover(0.0) == 1.0


@pytest.mark.parametrize("p", [[0.2], [0.0, 0.1, 0.1, 0.7], [0.0, 1.0], [0.05, 0.5, 0.95, 1.0]])
@pytest.mark.parametrize("size", [1, 2, 8])
def test_exact_for_finitely_many_prompts(p, size):
    p = np.array(p)
    tau = np.union1d(p[p > 0], [1.0])
    cover = (p >= tau[:, None]).mean(axis=1)
    pmf = theory.count_pmf(p, size).mean(axis=0)
    above = count_survival(tau, cover, group_size=size)
    np.testing.assert_allclose(above, 1 - np.cumsum(pmf)[:-1], atol=1e-14)
    if size > 1:
        values = np.where((np.arange(size + 1) % size) == 0, 1.0, 0.0)
        share = expected_from_cover(tau, cover, values=values)
        assert share == pytest.approx(theory.prob_zero_std(p, size).mean(), abs=1e-14)
    mean_std = expected_from_cover(tau, cover, values=std_of(size))
    assert mean_std == pytest.approx(theory.expected_std(p, size).mean(), abs=1e-14)


LAWS = [
    BetaBinomial(mean=0.3, rho=0.2),
    OneFactorProbit(mean=0.1, rho=0.3),
    CopyAll(mean=0.4, rho=0.5),
]


@pytest.mark.parametrize("law", LAWS, ids=lambda m: type(m).__name__)
def test_models_by_quadrature(law):
    """f(0) + int f' C for pass@k, the zero-std share and the mean std of each model."""
    size = 8
    same = np.zeros(size + 1)
    same[[0, -1]] = 1.0
    some = np.ones(size + 1)
    some[0] = 0.0
    for values, want in (
        (some, law.prob_some_right(size)),
        (same, law.prob_zero_std(size)),
        (std_of(size), law.pmf(size) @ std_of(size)),
    ):
        edges = [0.0, 0.05, 0.2, 0.4, 0.7, 1.0]
        total = values[0] + sum(
            quad(lambda t, v=values: float(cover_kernel(t, values=v) * law.cover(t)), a, b)[0]
            for a, b in pairwise(edges)
        )
        assert total == pytest.approx(float(want), abs=1e-8)


def test_kernels():
    tau = np.linspace(0, 1, 11)
    pass_at_5 = cover_kernel(tau, values=[0, 1, 1, 1, 1, 1])
    np.testing.assert_allclose(pass_at_5, 5 * (1 - tau) ** 4, atol=1e-12)
    all_right = cover_kernel(tau, values=[0, 0, 0, 0, 0, 1])
    np.testing.assert_allclose(all_right, 5 * tau**4, atol=1e-12)
    mean = cover_kernel(tau, values=np.arange(6) / 5)
    np.testing.assert_allclose(mean, 1.0)


def test_curves_with_equal_projections_look_alike():
    """Groups of two tell the mean and E[p^2] and nothing else."""
    two = (np.array([0.25, 0.75, 1.0]), np.array([1.0, 0.5, 0.0]))
    spread = np.sqrt(0.0625 * 2)
    three = (np.array([0.5 - spread, 0.5, 0.5 + spread, 1.0]), np.array([1.0, 0.75, 0.25, 0.0]))
    same, other = ([count_survival(*curve, group_size=g) for curve in (two, three)] for g in (2, 4))
    np.testing.assert_allclose(same[0], same[1], atol=1e-14)
    assert np.abs(other[0] - other[1]).max() > 1e-3


def test_simulated_groups():
    law = BetaBinomial(mean=0.3, rho=0.2)
    tally = tally_groups(law, group_size=8, num_groups=100_000, seed=4)
    tau = np.linspace(0, 1, 4001)[1:]
    above = count_survival(tau, law.cover(tau - 1 / 8000), group_size=8)
    seen = 1 - np.cumsum(tally)[:-1] / tally.sum()
    np.testing.assert_allclose(above, seen, atol=5 * 0.5 / np.sqrt(100_000))


@pytest.mark.parametrize(
    ("tau", "cover", "words"),
    [
        ([0.5, 0.4, 1.0], [1, 0.5, 0], "tau must be rising"),
        ([0.5, 0.9], [1, 0.5], "end at 1"),
        ([0.5, 1.0], [0.5, 0.9], "cover must fall"),
        ([0.5, 1.0], [1.0], "cover must fall along 2"),
        ([0.5, 1.5], [1.0, 0.5], r"tau must lie in \[0, 1\]"),
    ],
)
def test_bad_curves(tau, cover, words):
    with pytest.raises(ValueError, match=words):
        count_survival(tau, cover, group_size=4)

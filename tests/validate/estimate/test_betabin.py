import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special, stats

from grpolab.theory.groups import GroupCounts
from grpolab.validate.estimate import betabin, bootstrap, cells

REFERENCE = json.loads(
    (Path(__file__).parents[2] / "reference" / "binary_clusters.json").read_text()
)


def fit(counts: GroupCounts) -> tuple[float, float, float]:
    data = cells.tabulate(counts)
    found = betabin.maximise(betabin.tails(data))
    constant = betabin.log_choose(data)
    return float(found.mean[0]), float(found.rho[0]), float(found.loglik[0]) + constant


@pytest.mark.parametrize("name", ["chromosome", "saxony", "geissler"])
def test_frequency_tables(name):
    entry = REFERENCE["frequencies"][name]
    freq = entry["frequency"]
    mean, rho, loglik = fit(GroupCounts(np.repeat(np.arange(len(freq)), freq), len(freq) - 1))
    assert mean * (1 / rho - 1) == pytest.approx(entry["computed"]["a"], rel=2e-6)
    assert (1 - mean) * (1 / rho - 1) == pytest.approx(entry["computed"]["b"], rel=2e-6)
    if "neg_loglik" in entry["published"]:
        digits = 3 if name == "chromosome" else 1
        assert round(-loglik, digits) == entry["published"]["neg_loglik"]


@given(data=st.data())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_the_kernel_is_scipys_log_pmf_without_the_binomial_coefficient(data):
    size = data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=6))
    correct = [data.draw(st.integers(0, n)) for n in size]
    mean, rho = data.draw(st.floats(0.02, 0.98)), data.draw(st.floats(0.01, 0.95))
    table = cells.tabulate(GroupCounts(correct, size))
    kernel = betabin.kernel(betabin.tails(table), np.array([mean]), np.array([rho]))[0]
    scale = 1 / rho - 1
    direct = stats.betabinom.logpmf(correct, size, mean * scale, (1 - mean) * scale).sum()
    assert kernel + betabin.log_choose(table) == pytest.approx(direct, abs=1e-9)


@given(data=st.data())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_no_grid_point_beats_the_maximum(data):
    size = data.draw(st.lists(st.integers(1, 9), min_size=2, max_size=10))
    correct = [data.draw(st.integers(0, n)) for n in size]
    table = betabin.tails(cells.tabulate(GroupCounts(correct, size)))
    best = float(betabin.maximise(table).loglik[0])
    mean, rho = np.meshgrid(np.linspace(0.01, 0.99, 60), np.linspace(0.0, 0.99, 60))
    shape = mean.size
    columns = (np.broadcast_to(s, (shape, s.shape[1])) for s in table[1:])
    many = betabin.Tails(table.at, *columns)
    assert betabin.kernel(many, mean.ravel(), rho.ravel()).max() <= best + 1e-7


def test_derivatives_match_finite_differences():
    table = betabin.tails(cells.tabulate(GroupCounts([0, 2, 5, 3], [4, 6, 7, 3])))
    at, step = np.array([0.4, 0.3]), 1e-5

    def value(m, r):
        return betabin.kernel(table, np.array([m]), np.array([r]))[0]

    analytic = [d[0] for d in betabin._derivatives(table, at[:1], at[1:])]
    m, r = at
    d_m = (value(m + step, r) - value(m - step, r)) / (2 * step)
    d_r = (value(m, r + step) - value(m, r - step)) / (2 * step)
    d_mm = (value(m + step, r) - 2 * value(m, r) + value(m - step, r)) / step**2
    d_rr = (value(m, r + step) - 2 * value(m, r) + value(m, r - step)) / step**2
    corners = [value(m + i * step, r + j * step) * i * j for i in (-1, 1) for j in (-1, 1)]
    d_mr = sum(corners) / (4 * step**2)
    assert analytic == pytest.approx([d_m, d_r, d_mm, d_mr, d_rr], rel=1e-4)


def test_a_batch_gives_what_single_fits_give():
    rng = np.random.default_rng(2)
    data = cells.tabulate(GroupCounts(rng.binomial(8, rng.beta(0.4, 2.0, 60)), 8))
    boot = bootstrap.resample(data, num_resamples=25, rng=rng)
    many = betabin.maximise(betabin.tails(boot))
    for i, weight in enumerate(boot.weight):
        one = betabin.maximise(betabin.tails(data._replace(weight=weight)))
        assert (many.mean[i], many.rho[i]) == pytest.approx((one.mean[0], one.rho[0]), abs=1e-7)


def test_boundaries():
    assert fit(GroupCounts([2] * 50, 4))[1] == 0.0  # less spread than binomial
    assert fit(GroupCounts([0, 4, 4], 4)) == pytest.approx((2 / 3, 1.0, -1.909542505), abs=1e-9)
    assert fit(GroupCounts([0, 0], 4)) == (0.0, 0.0, 0.0)
    assert fit(GroupCounts([4, 4], 4)) == (1.0, 0.0, 0.0)


def test_a_generic_optimiser_agrees():
    rng = np.random.default_rng(7)
    size = rng.integers(2, 40, 200)
    correct = rng.binomial(size, rng.beta(0.7, 3.0, 200))

    def negative(theta):
        a, b = np.exp(theta)
        terms = special.betaln(correct + a, size - correct + b) - special.betaln(a, b)
        return -terms.sum()

    found = optimize.minimize(negative, [0.0, 0.0], method="Nelder-Mead", tol=1e-12)
    a, b = np.exp(found.x)
    mean, rho, _ = fit(GroupCounts(correct, size))
    assert (mean, rho) == pytest.approx((a / (a + b), 1 / (1 + a + b)), abs=1e-5)


def _singly(data: cells.CountCells) -> betabin.Tails:
    """Every factor of the likelihood by itself."""
    at = np.arange(float(data.num_samples.max()))
    y, n = data.num_correct, data.num_samples
    parts = [np.atleast_2d(data.weight) @ (v[:, None] > at) for v in (y, n - y, n)]
    return betabin.Tails(at, *parts)


@pytest.mark.parametrize(("size", "prompts"), [(511, 2), (513, 2), (3000, 8), (60_000, 40)])
def test_a_few_nodes_stand_for_all_factors_of_large_clusters(size, prompts):
    rng = np.random.default_rng(size)
    y = rng.integers(0, size + 1, prompts)
    y[:2] = 0, size
    n = np.full(prompts, size)
    n[-1] = max(y[-1], size // 3)
    weight = np.stack([np.ones(prompts), rng.integers(0, 3, prompts)])
    data = cells.CountCells(y, n, weight)
    few, all_ = betabin.tails(data), _singly(data)
    assert len(few.at) <= len(all_.at)
    if size >= 3000:
        assert len(few.at) < len(all_.at) / 4
    for m in (1e-3, 0.5, 0.99):
        for r in (0.0, 1e-9, 0.01, 0.4, 0.999):
            place = np.full(2, m), np.full(2, r)
            assert betabin.kernel(few, *place) == pytest.approx(
                betabin.kernel(all_, *place), rel=1e-12
            )
            for ours, theirs in zip(
                betabin._derivatives(few, *place), betabin._derivatives(all_, *place), strict=True
            ):
                assert ours == pytest.approx(theirs, rel=1e-8)


def test_a_million_samples_per_prompt_cost_no_more_than_a_few_nodes():
    rng = np.random.default_rng(3)
    counts = GroupCounts(rng.binomial(10**6, rng.beta(0.5, 0.8, 40)), 10**6)
    table = betabin.tails(cells.tabulate(counts))
    assert len(table.at) < 3000
    mean, rho, loglik = fit(counts)
    a, b = mean * (1 / rho - 1), (1 - mean) * (1 / rho - 1)
    direct = stats.betabinom.logpmf(counts.num_correct, 10**6, a, b).sum()
    assert loglik == pytest.approx(direct, abs=1e-5)

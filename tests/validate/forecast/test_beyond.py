"""Beyond the samples: the interval for any law of p, the smoothed mixture, and the first groups."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import pytest
from scipy import optimize, stats

from grpolab.theory.groups import GroupCounts, Provenance
from grpolab.theory.signal import expected_std
from grpolab.theory.zero_std import prob_zero_std
from grpolab.validate.audit.summary import audit
from grpolab.validate.audit.tables import facts, plans
from grpolab.validate.estimate import cells, likelihood, mixture
from grpolab.validate.estimate.cells import CountCells
from grpolab.validate.estimate.smoothed import smoothed_law
from grpolab.validate.forecast.beyond import ASSUMES, beyond
from grpolab.validate.forecast.law import METHODS, fit_law, fit_rows
from grpolab.validate.forecast.pass_at_k import extrapolate_pass_at_k
from grpolab.validate.forecast.predict import first_groups, share_prediction
from grpolab.validate.forecast.profile import law_interval, nats_at, tangents
from grpolab.validate.forecast.zero_std import predict_zero_std


def histogram(*prompts: float) -> CountCells:
    n = len(prompts) - 1
    return CountCells(np.arange(n + 1), np.full(n + 1, n), np.array(prompts, dtype=float))


def test_the_solver_finds_the_most_likely_law():
    data = histogram(20, 3, 4, 6, 2, 1, 4, 8, 30)
    grid = likelihood.rate_grid(data)
    rows = likelihood.cell_likelihood(data, grid)
    weight = likelihood.maximise(rows, data.weight[None])[0]
    best = mixture.fit_mixture(GroupCounts(np.repeat(np.arange(9), data.weight.astype(int)), 8))
    log_like = stats.binom.logpmf(data.num_correct[:, None], 8, grid)
    assert data.weight @ np.log(np.exp(log_like) @ weight) == pytest.approx(best.loglik, abs=0.02)


def test_many_data_sets_at_once_are_each_alone():
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(60, [0.4, 0.1, 0.1, 0.1, 0.3], size=7).astype(float)
    data = CountCells(np.arange(5), np.full(5, 4), drawn)
    low, high = law_interval(data, partial(prob_zero_std, group_size=8))
    for row, weight in enumerate(drawn):
        ends = law_interval(data._replace(weight=weight), partial(prob_zero_std, group_size=8))
        assert (low[row], high[row]) == pytest.approx([float(end) for end in ends], abs=1e-9)


@pytest.mark.parametrize("statistic", [
    partial(prob_zero_std, group_size=4), lambda p: 2 * expected_std(p, 6),
    lambda p: 1 - (1 - p) ** 16, lambda p: p,
])  # fmt: skip
def test_the_ends_are_those_of_the_constrained_problem(statistic):
    """Against a general solver: extreme means over laws whose likelihood is near the maximum."""
    data = histogram(14, 6, 10)
    nats = nats_at(0.95, num_prompts=30)
    grid = np.sin(np.linspace(0, np.pi / 2, 17)) ** 2
    rows = likelihood.cell_likelihood(data, grid)
    value = statistic(grid)
    best = likelihood.maximise(rows, data.weight[None])[0]
    top = data.weight @ np.log(rows @ best)
    near = {"type": "ineq", "fun": lambda w: data.weight @ np.log(rows @ w) - top + nats}
    whole = {"type": "eq", "fun": lambda w: w.sum() - 1}
    found = [
        optimize.minimize(
            lambda w, sign=sign: sign * (w @ value), best, method="SLSQP", bounds=[(0, 1)] * 17,
            constraints=[near, whole], options={"maxiter": 500, "ftol": 1e-10},
        ).x @ value
        for sign in (1, -1)
    ]  # fmt: skip
    low, high = law_interval(data, statistic)
    assert low == pytest.approx(found[0], abs=0.01)
    assert high == pytest.approx(found[1], abs=0.01)


def test_a_mean_gets_the_likelihood_interval_of_a_share():
    """One sample per prompt: binomial, whose interval has a closed form."""
    data = histogram(70, 30)
    nats = nats_at(0.95, num_prompts=100)

    def excess(p):
        return 100 * (0.3 * np.log(0.3 / p) + 0.7 * np.log(0.7 / (1 - p))) - nats

    low, high = law_interval(data, lambda p: p)
    assert low == pytest.approx(optimize.brentq(excess, 0.01, 0.3), abs=2e-3)
    assert high == pytest.approx(optimize.brentq(excess, 0.3, 0.9), abs=2e-3)


def test_one_sample_leaves_the_spread_open():
    low, high = law_interval(histogram(50, 50), partial(prob_zero_std, group_size=8))
    assert low < 0.03
    assert high == 1.0


def test_one_prompt_says_nothing_and_all_alike_are_not_certainty():
    zero = partial(prob_zero_std, group_size=16)
    assert [float(e) for e in law_interval(histogram(0, 1, 0), zero)] == [0.0, 1.0]
    low, high = law_interval(histogram(40, 0, 0, 0, 0), zero)
    assert 0.7 < low < 0.9
    assert high == 1.0


def test_more_samples_and_more_prompts_narrow_it():
    rng = np.random.default_rng(3)

    def width(prompts, samples):
        counts = GroupCounts(rng.binomial(samples, rng.beta(0.5, 1.5, prompts)), samples)
        found = beyond(counts, partial(prob_zero_std, group_size=32))
        return found.high - found.low

    assert width(2000, 4) < width(100, 4)
    assert width(400, 16) < 0.6 * width(400, 4)


def test_estimates_lie_within_and_follow_the_counts_where_a_beta_cannot():
    rng = np.random.default_rng(1)
    p = rng.choice([0.05, 0.9], p=[0.7, 0.3], size=400)
    counts = GroupCounts(rng.binomial(8, p), 8)
    truth = float(0.7 * prob_zero_std(0.05, 16) + 0.3 * prob_zero_std(0.9, 16))
    found = predict_zero_std(counts, 16, rng=0)
    beta = predict_zero_std(counts, 16, rng=0, method="beta-binomial", num_resamples=100)
    assert found.method == "smoothed mixture"
    assert found.low < truth < found.high
    assert found.low < found.zero_std < found.high
    assert not beta.low < truth < beta.high
    assert abs(found.zero_std - truth) < abs(beta.zero_std - truth)


def test_unequal_samples_are_used_as_they_are():
    rng = np.random.default_rng(2)
    n = rng.integers(1, 9, 300)
    counts = GroupCounts(rng.binomial(n, rng.beta(1.0, 1.0, 300)), n)
    found = beyond(counts, partial(prob_zero_std, group_size=12))
    assert found.low < 2 / 13 < found.high
    assert 0 < found.low < found.value < found.high < 1


def test_the_smoothed_mixture_keeps_the_mean_of_the_counts():
    counts = GroupCounts(np.repeat([0, 1, 4, 8], [30, 30, 20, 20]), 8)
    law = smoothed_law(cells.tabulate(counts))
    assert float(law.weight @ law.support) == pytest.approx(counts.mean_reward, abs=0.01)
    heavy = smoothed_law(cells.tabulate(counts), prior_prompts=1e6)
    beta = fit_law(counts, "beta-binomial")
    assert float(heavy.weight @ heavy.support**8) == pytest.approx(
        float(beta.all_right(8)), abs=2e-3
    )


def test_every_method_says_what_it_assumes():
    assert set(ASSUMES) == set(METHODS)
    assert fit_rows(histogram(5, 5, 5), "smoothed mixture").zero_std(4) < 1


def test_pass_at_k_beyond_the_samples_covers_unsolvable_prompts_and_a_power_law():
    rng = np.random.default_rng(4)
    for p in (rng.beta(0.5, 1.5, 300), np.where(rng.random(300) < 0.3, 0.0, rng.beta(2, 2, 300))):
        found = extrapolate_pass_at_k(GroupCounts(rng.binomial(16, p), 16), 256)
        assert found.low < np.mean(1 - (1 - p) ** 256) < found.high
        assert found.low <= found.value <= found.high


@pytest.mark.parametrize("num_groups", [1, 7, 1000])
def test_first_groups_hold_the_expected_share_and_noise(num_groups):
    data = histogram(40, 10, 10, 10, 30)
    zero = partial(prob_zero_std, group_size=8)
    low, high = law_interval(data, zero)
    first, last = share_prediction(data, zero, num_groups=num_groups)
    assert first * num_groups == pytest.approx(round(float(first) * num_groups))
    assert first <= low + 1 / num_groups
    assert last >= high - 1 / num_groups
    if num_groups == 1:
        assert (first, last) == (0, 1)


def test_a_run_of_many_groups_is_as_uncertain_as_its_expected_share():
    data = histogram(400, 100, 100, 100, 300)
    zero = partial(prob_zero_std, group_size=8)
    nats = nats_at(0.95, num_prompts=1000)
    low, high = tangents(data, zero, nats=nats).ends(nats)
    first, last = share_prediction(data, zero, num_groups=10**6)
    assert first == pytest.approx(low, abs=0.004)
    assert last == pytest.approx(high, abs=0.004)


def test_bad_input_is_refused():
    counts = GroupCounts([0, 1, 2], 4)
    with pytest.raises(ValueError, match="num_groups must be >= 1, got 0"):
        first_groups(counts, 8, num_groups=0, rng=0)
    with pytest.raises(ValueError, match="level must lie in"):
        beyond(counts, lambda p: p, level=1.0)
    with pytest.raises(ValueError, match="one sample per prompt"):
        beyond(GroupCounts([0, 1], 1), lambda p: p)
    with pytest.raises(ValueError, match="filtered"):
        beyond(GroupCounts([1, 2], 4, provenance=Provenance(filtered=True)), lambda p: p)


def test_an_audit_shows_model_and_intervals_in_words_table_and_json():
    rng = np.random.default_rng(5)
    counts = GroupCounts(rng.binomial(8, rng.beta(0.5, 1.5, 200)), 8)
    found = audit(counts, rng=0, group_sizes=[8, 16], num_groups=64, num_resamples=100)
    plain = found.as_dict()
    for g, method in ((8, "thinning"), (16, "smoothed mixture")):
        row = plain["zero_std"][g]
        assert (row["method"], row["assumes"]) == (method, ASSUMES[method])
        for key in ("all_wrong", "all_right", "signal"):
            low, high = row[f"{key}_interval"]
            assert low < row[key] < high
        first = row["first_groups"]
        assert first["num_groups"] == 64
        assert first["low"] < row["low"] < row["high"] < first["high"]
    assert set(plain["pass_at_k_beyond"]) == {16}
    table = plans(found)
    assert [column.name for column in table.columns][:5] == [
        "g", "zero std", "95%", "of 64 groups", "by"
    ]  # fmt: skip
    assert [row[4] for row in table.rows] == ["thinning", "smoothed mixture"]
    assert ASSUMES["smoothed mixture"] in table.caption
    assert any("pass@16" in fact and "smoothed mixture" in fact for fact in facts(found))


def test_an_audit_within_the_samples_names_no_model():
    drawn = np.random.default_rng(0).binomial(8, np.linspace(0.05, 0.95, 80))
    found = audit(GroupCounts(drawn, 8), rng=0, group_sizes=[4], num_resamples=50)
    assert "by" not in [column.name for column in plans(found).columns]
    assert found.as_dict()["zero_std"][4]["first_groups"] is None


def test_a_thousand_prompts_at_three_sizes_take_a_second():
    rng = np.random.default_rng(6)
    counts = GroupCounts(rng.binomial(16, rng.beta(0.5, 1.5, 1000)), 16)
    for g in (32, 64, 128):
        beyond(counts, partial(prob_zero_std, group_size=g))
    started = time.process_time()
    for g in (32, 64, 128):
        beyond(counts, partial(prob_zero_std, group_size=g))
    assert time.process_time() - started < 1.0


def test_one_prompt_has_no_sharp_outlook():
    found = audit(GroupCounts([3], 8), rng=0, group_sizes=[4], num_resamples=50).as_dict()
    assert found["zero_std"][4]["all_wrong_interval"] == [0.0, 1.0]
    assert found["zero_std"][4]["signal_interval"] == [0.0, 0.5]

import itertools

import numpy as np
import pytest
from scipy import stats

from grpolab.theory import GroupCounts, Provenance, prob_zero_std
from grpolab.validate.forecast.interval import (
    METHODS,
    _score,
    _sum_law,
    coverage_by_step,
    forecast_interval,
)

LAWS = {
    "beta": lambda rng, size: rng.beta(0.5, 1.5, size),
    "two values": lambda rng, size: rng.choice([0.05, 0.9], p=[0.7, 0.3], size=size),
    "unsolvable": lambda rng, size: np.where(rng.random(size) < 0.4, 0.0, rng.beta(2, 2, size)),
    "nearly dead": lambda rng, size: np.where(rng.random(size) < 0.97, 1.0, 0.5),
}


def hits(law, *, prompts, num_groups, quantity, method, repeats=80, num_draws=40):
    rng = np.random.default_rng(5)
    count = 0
    for _ in range(repeats):
        counts = GroupCounts(rng.binomial(16, law(rng, prompts)), 16)
        found = forecast_interval(
            counts, group_size=8, num_groups=num_groups, rng=rng, quantity=quantity, method=method,
            num_draws=num_draws,
        )  # fmt: skip
        after = GroupCounts(rng.binomial(8, law(rng, num_groups)), 8)
        seen = after.frac_zero_std if quantity == "zero_std" else float(after.variance().mean())
        count += found.low - 1e-9 <= seen <= found.high + 1e-9
    return count


@pytest.mark.parametrize("name", sorted(LAWS))
@pytest.mark.parametrize("quantity", ["zero_std", "variance"])
@pytest.mark.parametrize(("prompts", "num_groups"), [(32, 32), (150, 100)])
def test_thinning_covers_whatever_the_law(name, quantity, prompts, num_groups):
    count = hits(
        LAWS[name], prompts=prompts, num_groups=num_groups, quantity=quantity, method="thinning"
    )
    assert stats.binom.cdf(count, 80, 0.94) > 0.005, count


def test_a_beta_covers_beta_prompts_and_fails_where_prompts_are_of_two_kinds():
    kept = {
        "prompts": 400,
        "num_groups": 200,
        "quantity": "variance",
        "method": "beta-binomial",
        "repeats": 40,
    }
    assert stats.binom.cdf(hits(LAWS["beta"], **kept), 40, 0.94) > 0.005
    assert hits(LAWS["two values"], **kept) < 16


def test_the_formula_at_the_mean_rate_does_not_cover():
    kept = {"prompts": 200, "num_groups": 32, "quantity": "zero_std", "method": "mean-p"}
    assert hits(LAWS["beta"], **kept) < 30
    rng = np.random.default_rng(0)
    same = GroupCounts(rng.binomial(16, 0.2, 200), 16)
    found = forecast_interval(same, group_size=8, num_groups=32, rng=0, method="mean-p")
    assert found.mean == pytest.approx(float(prob_zero_std(same.mean_reward, 8)))


def test_the_law_of_a_sum_is_the_convolution():
    law = np.array([0.5, 0.2, 0.1, 0.1, 0.1])
    for quantity in ("zero_std", "all_wrong", "all_right", "variance"):
        score, unit = _score(quantity, 4)
        assert unit in (1.0, 1 / 16)
        brute = np.zeros(3 * score.max() + 1)
        for ks in itertools.product(range(5), repeat=3):
            brute[sum(score[k] for k in ks)] += np.prod(law[list(ks)])
        assert np.abs(_sum_law(law[None], score, 3) - brute).max() < 1e-12


@pytest.mark.parametrize("method", METHODS)
def test_no_signal_seen_is_no_proof_that_there_is_none(method):
    dead = GroupCounts(np.zeros(40, int), 8)
    found = forecast_interval(dead, group_size=8, num_groups=32, rng=0, method=method)
    assert found.mean == 1.0
    assert 0.5 < found.low < 1.0 == found.high
    spread = forecast_interval(
        dead, group_size=8, num_groups=32, rng=0, method=method, quantity="variance"
    )
    assert spread.mean == 0.0 == spread.low < spread.high


def test_more_groups_and_more_prompts_narrow_the_interval_and_shares_add_up():
    rng = np.random.default_rng(1)
    p = rng.beta(0.5, 1.5, 1600)
    few, many = (GroupCounts(rng.binomial(16, p[:n]), 16) for n in (40, 1600))

    def width(counts, groups):
        found = forecast_interval(counts, group_size=8, num_groups=groups, rng=0)
        return found.high - found.low

    assert width(many, 1000) < width(few, 1000) < width(few, 32)
    assert width(many, 1000) < width(many, 32)
    wrong, right, both = (
        forecast_interval(many, group_size=8, num_groups=4, rng=0, quantity=q).mean
        for q in ("all_wrong", "all_right", "zero_std")
    )
    assert wrong + right == pytest.approx(both)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"group_size": 9}, "needs at least group_size=9 samples"),
        ({"group_size": 0}, "group_size must be >= 1"),
        ({"num_groups": 0}, "num_groups must be >= 1"),
        ({"num_draws": 0}, "num_draws must be >= 1"),
        ({"level": 1.0}, "level must lie"),
        ({"quantity": "speed"}, "quantity must be"),
        ({"method": "magic"}, "method must be one of"),
    ],
)
def test_bad_arguments(change, words):
    kept = {"group_size": 8, "num_groups": 4, "rng": 0, **change}
    with pytest.raises(ValueError, match=words):
        forecast_interval(GroupCounts([1, 2, 3], 8), **kept)


def test_filtered_tables_are_refused():
    counts = GroupCounts([1, 2], 8, provenance=Provenance(filtered=True))
    with pytest.raises(ValueError, match="filtered"):
        forecast_interval(counts, group_size=8, num_groups=1, rng=0)


def test_coverage_by_hand():
    measured = [[0.5, 0.5, 0.9, 0.1], [0.5, 0.7, 0.5, 0.5]]
    rows = coverage_by_step(
        measured, mean=[0.5, 0.6], low=[0.4, 0.55], high=[0.6, 0.8],
        windows=[(0, 2), (2, 50), (90, 100)],
    )  # fmt: skip
    assert [(r.first, r.last) for r in rows] == [(0, 2), (2, 4)]
    assert [r.coverage for r in rows] == [0.75, 0.0]
    assert (rows[0].frac_below, rows[0].frac_above) == (0.25, 0.0)
    assert (rows[1].frac_below, rows[1].frac_above) == (0.75, 0.25)
    assert rows[0].bias == pytest.approx((0 + 0 + 0.1 - 0.1) / 4)
    assert rows[0].mean_abs_error == pytest.approx(0.05)
    assert (rows[0].low, rows[0].high, rows[0].num_runs) == (0.0, 1.0, 2)
    moving = coverage_by_step(measured, mean=measured, low=measured, high=measured)
    assert all(r.coverage == 1.0 for r in moving)


def test_bad_coverage_arguments():
    with pytest.raises(ValueError, match="measured must have shape"):
        coverage_by_step([0.5], mean=[0.5], low=[0.4], high=[0.6])
    with pytest.raises(ValueError, match="low must have shape"):
        coverage_by_step([[0.5]], mean=[0.5], low=[0.4, 0.3], high=[0.6])
    with pytest.raises(ValueError, match="windows must be"):
        coverage_by_step([[0.5]], mean=[0.5], low=[0.4], high=[0.6], windows=[(2, 2)])

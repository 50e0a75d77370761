import json
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from grpolab.theory.groups import GroupCounts, Provenance
from grpolab.validate.estimate.icc import INTERVALS, METHODS, icc, icc_interval

REFERENCE = json.loads(
    (Path(__file__).parents[2] / "reference" / "binary_clusters.json").read_text()
)
RABBITS = {k: np.array(v) for k, v in REFERENCE["rabbits"]["litters"].items()}
MOMENT_METHODS = [m for m in METHODS if m != "beta-binomial"]


def litters(group: str) -> GroupCounts:
    return GroupCounts(RABBITS[group][:, 0], RABBITS[group][:, 1])


def frequencies(name: str) -> GroupCounts:
    freq = REFERENCE["frequencies"][name]["frequency"]
    return GroupCounts(np.repeat(np.arange(len(freq)), freq), len(freq) - 1)


@pytest.mark.parametrize("group", ["C", "L", "M", "H"])
def test_rabbits(group):
    known = REFERENCE["rabbits"]["computed"][group]
    assert icc(litters(group)) == pytest.approx(known["anova"], abs=6e-5)
    assert icc(litters(group), method="fleiss-cuzick") == pytest.approx(known["fc"], abs=6e-5)
    assert icc(litters(group), method="beta-binomial") == pytest.approx(known["bb_rho"], abs=6e-5)


def test_kleinman_denominator_is_not_the_broken_one():
    # the formula with a misplaced parenthesis gives numbers outside of [-1, 1] on these litters
    assert icc(litters("C"), method="kleinman-equal") == pytest.approx(0.2461, abs=6e-5)
    y, n = RABBITS["C"].T
    w = np.full(len(y), 1 / len(y))
    centre = w @ (y / n)
    spread, a = w @ (y / n - centre) ** 2, np.sum(w * (1 - w) / n)
    b = np.sum(w * (1 - w))
    broken = (spread - centre * (1 - centre) * a) / (centre * (1 - centre) * b - a)
    assert abs(broken) > 1


@pytest.mark.parametrize("name", ["chromosome", "saxony"])
def test_moments_reproduce_published_values(name):
    counts = frequencies(name)
    rho = icc(counts, method="beta-binomial-moments")
    a = counts.mean_reward * (1 / rho - 1)
    assert a == pytest.approx(REFERENCE["frequencies"][name]["published"]["moments_a"], rel=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [0, 5])
def test_one_common_outcome_gives_zero_with_the_widest_interval(method, value):
    counts = GroupCounts([value] * 7, 5)
    assert icc(counts, method=method) == 0.0
    result = icc_interval(counts, rng=0, method=method, num_resamples=20)
    assert (result.low, result.high) == (0.0, 1.0)


@pytest.mark.parametrize("method", METHODS)
def test_pure_clusters_are_perfectly_correlated(method):
    # Kleinman's estimators overshoot by a term of order 1/k
    slack = 0.02 if method.startswith("kleinman") else 1e-12
    assert icc(GroupCounts([0, 4] * 40, 4), method=method) == pytest.approx(1.0, abs=slack)


@pytest.mark.parametrize("method", MOMENT_METHODS)
def test_equal_counts_give_a_negative_estimate_that_is_not_clipped(method):
    assert icc(GroupCounts([2] * 50, 4), method=method) < -0.3


@pytest.mark.parametrize("method", METHODS)
@given(data=st.data())
@settings(max_examples=30, deadline=None, derandomize=True)
def test_flipping_right_and_wrong_changes_nothing(method, data):
    size = data.draw(st.lists(st.integers(2, 9), min_size=3, max_size=12))
    correct = [data.draw(st.integers(0, n)) for n in size]
    counts, flipped = GroupCounts(correct, size), GroupCounts(np.subtract(size, correct), size)
    assert icc(counts, method=method) == pytest.approx(icc(flipped, method=method), abs=2e-5)


@pytest.mark.parametrize("method", METHODS)
def test_every_estimator_is_consistent(method):
    rng = np.random.default_rng(5)
    size = rng.integers(4, 12, 40_000)
    counts = GroupCounts(rng.binomial(size, rng.beta(0.6, 1.4, len(size))), size)
    assert icc(counts, method=method) == pytest.approx(1 / 3, abs=0.012)


def test_clusters_are_prompts_unless_groups_are_asked_for():
    counts = GroupCounts([0, 4, 0, 4], 4, prompt_id=[0, 0, 1, 1])
    assert icc(counts) < 0
    assert icc(counts, unit="groups") == 1.0


def test_profile_interval_is_where_the_likelihood_ratio_crosses():
    from grpolab.validate.estimate import betabin, cells

    counts = litters("M")
    found = icc_interval(counts, rng=0, method="beta-binomial", interval="profile")
    table = betabin.tails(cells.tabulate(counts))
    top = float(betabin.maximise(table).loglik[0])
    for end in (found.low, found.high):
        drop = 2 * (top - betabin.profile(table, end))
        assert drop == pytest.approx(stats.chi2.ppf(0.95, 1), abs=1e-6)


def test_the_union_spans_both_intervals():
    parts = [icc_interval(litters("H"), rng=1, interval=i) for i in ("bootstrap", "profile")]
    both = icc_interval(litters("H"), rng=1, interval="union")
    assert both.low == min(p.low for p in parts)
    assert both.high == max(p.high for p in parts)


def test_the_interval_is_narrow_where_the_law_is_no_beta():
    # where the span of bootstrap and profile is .30 wide and the bootstrap .05
    rng = np.random.default_rng(0)
    p = np.where(rng.random((20, 164)) < 0.7, 0.05, 0.9)
    tables = [GroupCounts(row, 64) for row in rng.binomial(64, p)]
    found = {
        name: [icc_interval(t, rng=0, interval=name, num_resamples=300) for t in tables]
        for name in ("combined", "bootstrap", "union")
    }
    width = {name: np.mean([f.high - f.low for f in some]) for name, some in found.items()}
    assert width["combined"] < 1.4 * width["bootstrap"] < 0.5 * width["union"]
    truth = 0.7 * 0.3 * 0.85**2 / (0.305 * 0.695)
    assert np.mean([f.low <= truth <= f.high for f in found["combined"]]) >= 0.85


def test_the_interval_is_no_wider_than_the_profile_where_successes_are_rare():
    rng = np.random.default_rng(0)
    table = GroupCounts(rng.binomial(64, rng.beta(0.9, 70.0, 300)), 64)
    wide, narrow = (icc_interval(table, rng=0, interval=i) for i in ("union", "combined"))
    assert narrow.low >= wide.low - 0.01
    assert narrow.high <= 1.3 * wide.high
    assert narrow.low < 0.014 < narrow.high


@pytest.mark.parametrize("interval", INTERVALS)
def test_intervals_hold_the_estimate_and_are_reproducible(interval):
    counts = litters("M")
    first, again = (
        icc_interval(counts, rng=3, method="beta-binomial", interval=interval) for _ in range(2)
    )
    assert first == again
    assert first.low < first.estimate < first.high


@pytest.mark.parametrize(
    ("counts", "match"),
    [
        (GroupCounts([1], 4), "at least 2 prompts"),
        (GroupCounts([0, 1, 1], 1), "at least 2 samples"),
        (GroupCounts([1, 2], 4, provenance=Provenance(filtered=True)), "filtered"),
    ],
)
def test_data_that_cannot_answer_are_refused(counts, match):
    with pytest.raises(ValueError, match=match):
        icc(counts)


def test_wrong_options_are_refused():
    with pytest.raises(ValueError, match="method must be one of"):
        icc(litters("C"), method="smith")
    with pytest.raises(ValueError, match="interval must be one of combined, bootstrap"):
        icc_interval(litters("C"), rng=0, interval="wald")
    with pytest.raises(ValueError, match="level must lie in"):
        icc_interval(litters("C"), rng=0, level=1.0)


def test_ten_thousand_prompts_are_fast():
    rng = np.random.default_rng(0)
    counts = GroupCounts(rng.binomial(100, rng.beta(0.3, 0.9, 10_000)), 100)
    start = time.process_time()
    icc_interval(counts, rng=0)
    assert time.process_time() - start < 1.0


def test_orobanche_means():
    # a table of proportions per plate is a table of groups
    entry = REFERENCE["orobanche"]
    plates = [np.array(p) for p in entry["plates"].values()]
    means = [GroupCounts(p[:, 0], p[:, 1]).mean_reward for p in plates]
    assert [round(m, 3) for m in means] == entry["published"]["means"]
    every = np.concatenate(plates)
    overall = GroupCounts(every[:, 0], every[:, 1]).mean_reward
    assert round(overall, 3) == entry["published"]["overall"]


@pytest.mark.parametrize("method", METHODS)
def test_resamples_without_a_pair_warn_of_nothing_and_leave_an_interval(method):
    """One prompt of two samples among prompts of one: resamples without it say nothing."""
    counts = GroupCounts([1, 1, 0, 1], [2, 1, 1, 1], prompt_id=[0, 1, 2, 3])
    with np.errstate(all="warn"), warnings.catch_warnings():
        warnings.simplefilter("error")
        found = icc_interval(counts, rng=0, method=method)
    assert np.isfinite([found.estimate, found.low, found.high]).all()
    assert found.low <= found.estimate <= found.high

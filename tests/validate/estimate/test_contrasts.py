"""Comparisons of several means: false claims over a whole table, and what would settle the rest."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from grpolab.theory.pass_at_k import thin_std
from grpolab.validate.estimate import best
from grpolab.validate.estimate.best import best_chances
from grpolab.validate.estimate.contrasts import contrasts, holm, paired_gap, unpaired_gap

TABLE = thin_std(np.full(33, 32), np.arange(33), 8)


def measured(p, rng):
    """Signals [K, P] of K checkpoints from 32 samples."""
    return TABLE[rng.binomial(32, p)]


def compared(values):
    pairs = itertools.combinations(range(len(values)), 2)
    return contrasts([paired_gap(values[a] - values[b], span=0.5) for a, b in pairs])


@pytest.mark.parametrize("count", [2, 6])
@pytest.mark.parametrize(("a", "b", "prompts"), [(0.4, 0.6, 40), (0.03, 0.3, 20), (2, 2, 8)])
def test_equal_checkpoints_get_a_winner_in_five_percent_of_tables(count, a, b, prompts):
    rng = np.random.default_rng(count)
    winners = sum(
        any(
            c.decided for c in compared(measured(np.tile(rng.beta(a, b, prompts), (count, 1)), rng))
        )
        for _ in range(200)
    )
    assert stats.binomtest(winners, 200, 0.05, alternative="greater").pvalue > 1e-3


def test_equal_is_seldom_said_of_what_differs_by_the_margin():
    """True difference .02 exactly, the edge of the claim: said in at most 5%."""
    rng = np.random.default_rng(0)
    said = sum(
        compared(np.stack([v, rng.normal(0.18, 0.05, 200)]))[0].equal
        for v in rng.normal(0.2, 0.05, (400, 200))
    )
    assert stats.binomtest(said, 400, 0.05, alternative="greater").pvalue > 1e-3


@pytest.mark.parametrize("gap", [0.0, 0.012, 0.03])
def test_the_prompts_asked_for_settle_it(gap):
    """Chance 0.8 over what is not settled yet; a little less where the margin is near."""
    rng = np.random.default_rng(1)
    settled = tries = 0
    while tries < 200:
        values = rng.normal(gap, 0.1, 60)
        (now,) = contrasts([paired_gap(values)])
        if not np.isnan(now.prompts_needed):
            more = rng.normal(gap, 0.1, int(np.ceil(now.prompts_needed)) - 60)
            (later,) = contrasts([paired_gap(np.concatenate([values, more]))])
            settled += later.decided or later.equal
            tries += 1
    assert settled / tries > 0.6


def test_few_prompts_decide_nothing():
    assert not compared(np.array([[0.2, 0.2, 0.2], [0.4, 0.4, 0.4]]))[0].decided
    assert unpaired_gap(np.zeros(2), np.ones(2)).p_value > 0.05
    one = contrasts([paired_gap(np.array([0.3]))])[0]
    assert (one.decided, one.equal) == (False, False)


def test_all_zero_is_equal_only_with_prompts_enough():
    few, many = (contrasts([paired_gap(np.zeros(n), span=0.5)])[0] for n in (20, 200))
    assert (few.equal, many.equal) == (False, True)
    assert few.high > many.high > 0


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_monotone_and_not_below_the_p_values(p):
    adjusted = holm(p)
    assert all(a >= b for a, b in zip(adjusted, p, strict=True))
    assert np.all(np.diff(np.array(adjusted)[np.argsort(p, kind="stable")]) >= 0)


def test_the_chance_of_being_best_is_the_rate_of_being_best(monkeypatch):
    """Over a grid of spreads of the truth; a share of resamples would claim .1 too much."""
    monkeypatch.setattr(best, "_DRAWS", 500)
    rng = np.random.default_rng(0)
    claims, hits = [], []
    for spread in (0.0, 0.005, 0.01, 0.02, 0.05):
        for _ in range(120):
            truth = rng.normal(0.2, spread, 4)
            common = rng.normal(0, 0.1, 60)
            values = truth[:, None] + common + rng.normal(0, 0.1, (4, 60))
            found = best_chances(values, rng=rng).best
            top = int(found.argmax())
            claims.append(found[top])
            hits.append(0.25 if spread == 0 else float(truth[top] == truth.max()))
    claims, hits = np.array(claims), np.array(hits)
    for low, high in ((0.2, 0.5), (0.5, 0.75), (0.75, 1.01)):
        some = (claims >= low) & (claims < high)
        error = np.sqrt(np.mean(claims[some] * (1 - claims[some])) / some.sum())
        assert abs(claims[some].mean() - hits[some].mean()) < 3.5 * error + 0.02


def test_a_checkpoint_far_from_the_rest_says_nothing_of_the_rest():
    """The spread that one of them makes is not that of the seven equal ones."""
    rng = np.random.default_rng(0)
    found = []
    for far in (0.0, -1.0):  # in the same data
        rows = np.random.default_rng(1)
        tops = []
        for _ in range(15):
            values = rows.normal(0, 0.1, 60) + rows.normal(0, 0.1, (8, 60))
            values[0] += far
            chances = best_chances(values, rng=rng)
            tops.append(chances.best.max())
            if far:
                assert chances.best[0] < 1e-3
                assert chances.more[1:, 0].min() > 0.999
        found.append(np.mean(tops))
    assert max(found) < 0.4


@pytest.mark.parametrize("count", [2, 3, 9, 10, 14])
def test_checkpoints_that_all_differ_are_ordered_however_many(count):
    rng = np.random.default_rng(count)
    values = np.arange(count)[:, None] + rng.normal(0, 0.5, (count, 50))
    chances = best_chances(values, rng=0)
    assert chances.best.argmax() == count - 1
    assert chances.best[-1] > 0.95
    assert np.all(np.diag(chances.more[1:]) > 0.95)
    assert np.allclose(chances.more + chances.more.T, 1.0)


def test_one_checkpoint_is_the_best():
    assert best_chances(np.ones((1, 5)), rng=0).best.tolist() == [1.0]
    assert best_chances(np.ones((3, 1)), rng=0).best.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("seed", range(40))
def test_an_interval_says_what_the_tests_say(seed: int) -> None:
    rng = np.random.default_rng(seed)
    prompts, several = int(rng.choice([2, 3, 5, 20, 60, 300])), int(rng.choice([1, 3, 10]))
    gaps = [
        paired_gap(
            np.clip(rng.normal(rng.choice([0, 0.02, 0.1, 0.3]), spread, prompts), -0.5, 0.5),
            span=0.5,
        )
        for spread in rng.choice([0.0, 0.01, 0.1, 0.3], several)
    ]
    for one in contrasts(gaps, margin=0.05):
        assert one.low <= one.difference <= one.high
        assert one.decided == (not one.low < 0 < one.high)
        outside = max(-one.low, one.high)
        assert outside <= 0.05 if one.equal else outside >= 0.05 - 1e-12

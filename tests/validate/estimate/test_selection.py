"""Selection by outcome: found in counts where there is any, never in mixtures of binomials."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpolab.theory.groups import GroupCounts, Provenance
from grpolab.theory.samples import sample_rows
from grpolab.validate.estimate.selection import selection_test, stopping_test, upper_tail

LAWS = {
    "beta": lambda rng, n: rng.beta(0.5, 1.5, n),
    "near 0": lambda rng, n: rng.beta(0.1, 2, n),
    "one rate": lambda rng, n: np.full(n, 0.5),
    "two rates": lambda rng, n: rng.choice([0.05, 0.9], n),
}


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("prompts", "samples"), [(12, 4), (400, 8), (200, 2)])
def test_mixtures_of_binomials_raise_no_alarm(law, prompts, samples):
    rng = np.random.default_rng(0)
    tables = [
        GroupCounts(rng.binomial(samples, LAWS[law](rng, prompts)), samples) for _ in range(150)
    ]
    p = [1.0 if found is None else found.p_value for found in map(selection_test, tables)]
    assert np.mean(np.array(p) < 0.05) <= 0.1
    assert min(p) > 1e-4


@pytest.mark.parametrize(
    ("kept", "kind"),
    [
        (lambda k: (k > 0) & (k < 8), "mixed only"),
        (lambda k: k > 0, "no all-wrong"),
        (lambda k: k < 8, "no all-right"),
        (lambda k: (k > 1) & (k < 7), "too even"),
    ],
)
def test_groups_left_out_by_their_outcome_are_named(kept, kind):
    rng = np.random.default_rng(1)
    k = rng.binomial(8, rng.beta(0.7, 0.7, 3000))
    found = selection_test(GroupCounts(k[kept(k)], 8))
    assert (found.kind, found.p_value < 1e-6) == (kind, True)


def test_best_and_worst_of_each_group_are_named():
    rng = np.random.default_rng(2)
    k = rng.binomial(8, rng.beta(0.5, 1.0, 400))
    found = selection_test(GroupCounts((k > 0).astype(int) + (k == 8), 2))
    assert (found.kind, found.p_value < 1e-6) == ("extremes", True)


def test_the_groups_that_are_implied_are_fewer_than_those_left_out():
    rng = np.random.default_rng(3)
    k = rng.binomial(8, rng.beta(1, 2, 5000))
    mixed = (k > 0) & (k < 8)
    found = selection_test(GroupCounts(k[mixed], 8))
    assert 0 < found.missing < 1.1 * np.sum(~mixed)


def stopped(rng, prompts, most, *, on=1):
    """Rewards [P, most] up to the first ``on``, NaN after it."""
    drawn = (rng.random((prompts, most)) < rng.beta(0.5, 1.5, prompts)[:, None]).astype(float)
    first = np.argmax(drawn == on, axis=1)
    ended = np.any(drawn == on, axis=1)
    after = np.arange(most) > np.where(ended, first, most)[:, None]
    drawn[after] = np.nan
    return drawn


@pytest.mark.parametrize("on", [1, 0])
def test_stopping_is_found_with_and_without_order(on):
    drawn = stopped(np.random.default_rng(4), 300, 8, on=on)
    counts = GroupCounts.from_rewards(drawn)
    rows = sample_rows(prompt=np.repeat(np.arange(300), 8), reward=drawn.ravel())
    assert stopping_test(counts, rows).on_success == bool(on)
    assert stopping_test(counts, rows).p_value < 1e-6
    assert stopping_test(counts).p_value < 1e-3


def test_samples_sorted_by_reward_are_no_stopping():
    """They end with their successes, and with any number of them."""
    rng = np.random.default_rng(6)
    drawn = np.sort((rng.random((200, 8)) < 0.4).astype(float), axis=1)
    size = rng.integers(4, 9, 200)
    drawn[np.arange(8) < 8 - size[:, None]] = np.nan
    rows = sample_rows(prompt=np.repeat(np.arange(200), 8), reward=drawn.ravel())
    assert stopping_test(GroupCounts.from_rewards(drawn), rows) is None


def test_missing_verdicts_are_no_stopping():
    rng = np.random.default_rng(5)
    for _ in range(50):
        drawn = (rng.random((60, 8)) < rng.beta(0.5, 1.5, 60)[:, None]).astype(float)
        drawn[rng.random(drawn.shape) < 0.2] = np.nan
        rows = sample_rows(prompt=np.repeat(np.arange(60), 8), reward=drawn.ravel())
        counts = GroupCounts.from_rewards(drawn)
        for found in (stopping_test(counts, rows), stopping_test(counts)):
            assert found is None or found.p_value > 1e-4
    assert stopping_test(GroupCounts([1, 2], 4)) is None


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.integers(0, 12))
def test_upper_tail_is_that_of_all_outcomes(chance, found):
    chance = np.array(chance)
    outcomes = (np.arange(2 ** len(chance))[:, None] >> np.arange(len(chance))) & 1
    weight = np.prod(np.where(outcomes == 1, chance, 1 - chance), axis=1)
    expected = weight[outcomes.sum(axis=1) >= found].sum()
    assert upper_tail(found, chance) == pytest.approx(expected, abs=1e-12)


def test_a_table_without_groups_of_two_is_not_looked_at():
    assert selection_test(GroupCounts([0, 1], 1)) is None
    filtered = GroupCounts([1, 2], 4, provenance=Provenance(filtered=True))
    assert selection_test(filtered) is not None  # the caller decides what is known already

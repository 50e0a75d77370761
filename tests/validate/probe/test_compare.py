"""The comparison of starts by short runs: its error rate on synthetic outcomes, and its edges."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

from grpolab.validate.estimate.crossed import RL_NOISE, crossed_mean
from grpolab.validate.probe.compare import (
    StartPair,
    compare_starts,
    look_level,
)

NAMES = ("a", "b", "c")


def outcomes(rng, *, starts, rounds, prompts, samples=16, noise=RL_NOISE, lead=0.0):
    """Shares [K, R, P] after short runs: prompts, RL seeds, their interaction, and samples.

    All starts have the same law; ``lead`` is added to the logits of the first.
    """
    z = rng.normal(0, 2, (1, 1, prompts)) + rng.normal(0, 0.7, (starts, 1, prompts))
    slope = float((expit(z) * expit(-z)).mean())
    shift = rng.normal(0, noise / slope, (starts, rounds, 1))
    z = z + shift + rng.normal(0, 0.3, (starts, rounds, prompts))
    z[0] += lead
    return rng.binomial(samples, expit(z)) / samples


def looks(table, **options):
    """The comparison after every round."""
    names = NAMES[: len(table)]
    return [
        compare_starts(names, [start[:r] for start in table], **options)
        for r in range(1, table.shape[1] + 1)
    ]


def false_claims(seed, *, repeats=150, **law):
    """Probes of equal starts in which some look calls one of them better."""
    rng = np.random.default_rng(seed)
    return sum(
        any(
            pair.verdict == "better"
            for found in looks(outcomes(rng, **law))
            for pair in found.pairs
        )
        for _ in range(repeats)
    )


@pytest.mark.parametrize("law", [{"starts": 3, "prompts": 64}, {"starts": 2, "prompts": 32}])
def test_equal_starts_are_seldom_told_apart_whenever_one_stops(law):
    wrong = false_claims(0, rounds=4, **law)
    assert stats.binomtest(wrong, 150, 0.05, alternative="greater").pvalue > 1e-3


def test_the_error_rate_test_can_fail():
    """An RL noise of five times what is assumed is no longer 5%."""
    wrong = false_claims(0, rounds=4, starts=3, prompts=64, noise=5 * RL_NOISE)
    assert stats.binomtest(wrong, 150, 0.05, alternative="greater").pvalue < 1e-3


def test_a_clear_lead_is_found_and_most_often_before_the_last_round():
    rng, early, right = np.random.default_rng(1), 0, 0
    for _ in range(60):
        found = looks(outcomes(rng, starts=3, rounds=4, prompts=64, lead=1.5))
        right += found[-1].leader == "a"
        early += any(one.settled for one in found[:3])
    assert right >= 58
    assert early >= 45


def test_variance_of_a_crossed_mean_is_that_of_repeated_tables():
    rng, rows = np.random.default_rng(2), []
    for _ in range(800):
        table = rng.normal(0, 0.3, 40) + rng.normal(0, 0.05, (4, 1)) + rng.normal(0, 0.2, (4, 40))
        rows.append(crossed_mean(table, rl_noise=0.05 / np.sqrt(2)))
    measured = float(np.var([row.value for row in rows]))
    assert np.mean([row.stderr**2 for row in rows]) == pytest.approx(measured, rel=0.15)


def test_levels_spend_no_more_than_alpha_over_any_number_of_rounds():
    spent = [1 - look_level(look, level=0.9) for look in range(1, 2000)]
    assert sum(spent) < 0.1 < sum(spent) + 1e-3


def test_more_rounds_never_widen_the_interval():
    table = outcomes(np.random.default_rng(3), starts=2, rounds=5, prompts=50)
    pairs = [found.pairs[0] for found in looks(table)]
    ends = [(p.low, p.high) if p.first == "a" else (-p.high, -p.low) for p in pairs]
    assert all(b[0] >= a[0] and b[1] <= a[1] for a, b in itertools.pairwise(ends))


def test_equal_tables_on_few_prompts_are_not_called_equal():
    same = np.full((1, 6), 0.5)
    found = compare_starts(["a", "b"], [same, same], rl_noise=0)
    assert found.pairs[0].verdict == "cannot tell"
    assert found.active == ("a", "b")
    many = np.full((1, 400), 0.5)
    settled = compare_starts(["a", "b"], [many, many], rl_noise=0)
    assert settled.pairs[0].verdict == "equal"
    assert settled.active == ()


def test_a_start_that_fell_behind_is_compared_on_the_rounds_it_has():
    rng = np.random.default_rng(4)
    base = rng.uniform(0.3, 0.6, 100)
    tables = [base + rng.normal(0, 0.05, (3, 100)), base + rng.normal(0, 0.05, (3, 100)),
              base[None] - 0.3]  # fmt: skip
    found = compare_starts(NAMES, tables)
    assert {pair.rounds for pair in found.pairs} == {1, 3}
    assert "c" not in found.active


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.01, 0.2, "better"), (-0.02, 0.02, "equal"), (-0.01, 0.3, "no worse"),
        (-0.1, 0.3, "cannot tell"),
    ],
)  # fmt: skip
def test_verdicts(low, high, verdict):
    assert StartPair("a", "b", 1, (low + high) / 2, low, high, 0.022).verdict == verdict


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ["a"]}, "as many"),
        ({"scores": [np.zeros((1, 4)), np.zeros((1, 5))]}, "same prompts"),
        ({"scores": [np.zeros((0, 4)), np.zeros((1, 4))]}, "at least one round"),
        ({"scores": [np.zeros((1, 1)), np.zeros((1, 1))]}, "at least 2 prompts"),
        ({"margin": 0.0}, "margin"),
        ({"rl_noise": -1.0}, "rl_noise"),
        ({"level": 1.0}, "level"),
    ],
)
def test_bad_values_are_named(change, message):
    given = {"labels": ["a", "b"], "scores": [np.zeros((1, 4))] * 2, **change}
    with pytest.raises(ValueError, match=message):
        compare_starts(given.pop("labels"), given.pop("scores"), **given)

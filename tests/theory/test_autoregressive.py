"""Policies over tokens: what a group does, what it does on average, and what a table never does."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from grpolab import theory
from grpolab.theory import (
    DR_GRPO,
    GRPO,
    MAXRL,
    RLOO,
    expected_gain,
    group_update,
    prefix_update,
    response_probs,
    success_gradient,
    success_rate,
)
from grpolab.theory.autoregressive import response_length, response_paths

TABLE = np.log([[0.5, 0.5], [0.1, 0.9], [0.1, 0.9]])
MARK = np.array([True, False, False, True])
RANDOM = np.random.default_rng(3).normal(size=(13, 3))  # 27 responses of three tokens
RANDOM_MARK = np.random.default_rng(4).random(27) < 0.3


def chance(table, mark):
    return float(success_rate(response_probs(table), mark))


def test_paths_spell_the_responses():
    paths = response_paths(3, 3)
    for number, word in enumerate(itertools.product(range(3), repeat=3)):
        assert tuple(paths.token[number]) == word
        prefix = 0
        for place, token in enumerate(word):
            assert paths.prefix[number, place] == prefix
            prefix = 3 * prefix + token + 1
    assert response_length(3, 13) == 3


def test_one_group_lowers_p():
    """On policy, one prompt, advantages that sum to zero: the counter-example of the theorem."""
    for rate in (0.001, 0.01, 0.1, 1.0):
        moved = prefix_update(GRPO, TABLE, correct=MARK, responses=[0, 2], learning_rate=rate)
        assert chance(moved, MARK) < 0.5
    moved = prefix_update(GRPO, TABLE, correct=MARK, responses=[0, 2], learning_rate=0.1)
    assert chance(moved, MARK) - 0.5 == pytest.approx(-0.0119, abs=1e-4)


@pytest.mark.parametrize("size", [2, 3])
def test_a_logit_per_response_never_does(size):
    flat = np.log(response_probs(TABLE))
    for group in itertools.product(range(4), repeat=size):
        moved = group_update(GRPO, flat, correct=MARK, responses=group, learning_rate=0.5)
        assert success_rate(np.exp(moved) / np.exp(moved).sum(), MARK) >= 0.5 - 1e-15


@pytest.mark.parametrize(("table", "mark"), [(TABLE, MARK), (RANDOM, RANDOM_MARK)])
def test_gradient_is_that_of_p(table, mark):
    slope = success_gradient(table, correct=mark)
    step = 1e-6
    for place in np.ndindex(table.shape):
        ahead, behind = table.copy(), table.copy()
        ahead[place] += step
        behind[place] -= step
        numeric = (chance(ahead, mark) - chance(behind, mark)) / (2 * step)
        assert slope[place] == pytest.approx(numeric, abs=1e-9)


@pytest.mark.parametrize("rule", [GRPO, DR_GRPO, RLOO, MAXRL], ids=lambda r: r.name)
@pytest.mark.parametrize("size", [2, 4])
def test_mean_over_all_groups(rule, size):
    """E[dp]/eta by enumeration of every group equals w(p) |grad p|^2."""
    probs = response_probs(TABLE)
    rate = 1e-5
    total = falls = 0.0
    for group in itertools.product(range(4), repeat=size):
        weight = float(np.prod(probs[list(group)]))
        moved = prefix_update(rule, TABLE, correct=MARK, responses=group, learning_rate=rate)
        change = chance(moved, MARK) - 0.5
        total += weight * change
        falls += weight * (change < -1e-12)
    square = float(np.sum(success_gradient(TABLE, correct=MARK) ** 2))
    want = expected_gain(rule, 0.5, squared_gradient=square, group_size=size)
    assert total / rate == pytest.approx(float(want), rel=1e-3)
    assert falls > 0.005  # and yet many a group lowers p


def test_one_logit_is_the_case_of_the_drift():
    p, g = 0.3, 8
    got = expected_gain(GRPO, p, squared_gradient=(p * (1 - p)) ** 2, group_size=g)
    assert got == pytest.approx(p * (1 - p) * float(theory.expected_drift(GRPO, p, group_size=g)))

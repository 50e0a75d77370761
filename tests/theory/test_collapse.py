import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpolab.theory import (
    BetaBinomial,
    collision_rho,
    entropy,
    entropy_from_rho,
    expected_distinct,
    expected_entropy,
    rho_from_concentration,
    rho_from_entropy,
)
from grpolab.theory.collapse import concentration_from_entropy


@pytest.mark.parametrize("n", [1, 2, 3, 10])
def test_entropy_at_whole_alpha_is_harmonic(n):
    assert expected_entropy(n) == pytest.approx(sum(1 / i for i in range(1, n + 1)), rel=1e-14)


def test_small_entropy_law():
    # 1 - rho ~ (6/pi^2) H
    for h in (1e-3, 1e-6, 1e-12, 1e-300):
        free = float(1 - rho_from_entropy(h)) if h > 1e-9 else float(concentration_from_entropy(h))
        assert free == pytest.approx(6 / math.pi**2 * h, rel=max(2 * h, 1e-9))
    assert rho_from_entropy(0.0) == 1.0


@given(st.one_of(st.floats(0, 600), st.floats(1e-300, 1e-3)))
def test_inverse(h):
    alpha = concentration_from_entropy(h)
    assert expected_entropy(alpha) == pytest.approx(h, rel=1e-11, abs=1e-300)


@given(st.floats(1e-6, 1))
def test_rho_round_trip(rho):
    assert rho_from_entropy(entropy_from_rho(rho)) == pytest.approx(rho, rel=1e-9)


@given(st.floats(0, 50), st.floats(1e-3, 5))
def test_less_entropy_more_correlation(h, more):
    assert rho_from_entropy(h + more) < rho_from_entropy(h)


def test_series_meets_digamma():
    below, above = expected_entropy([0.05, 0.05 * (1 + 1e-9)])
    assert above - below == pytest.approx(
        0.05e-9 * (math.pi**2 / 6 - 2 * 1.2020569 * 0.05), rel=0.01
    )


def chinese_restaurant(alpha, size):
    """All partitions of a group by the seating rule, with their chances: an exact enumeration."""
    states = {(): 1.0}
    for i in range(size):
        after: dict[tuple[int, ...], float] = {}
        for tables, chance in states.items():
            for t in range(len(tables) + 1):
                seat = tables[t] if t < len(tables) else alpha
                new = tuple(
                    n + (j == t) for j, n in enumerate((*tables, 0) if t == len(tables) else tables)
                )
                after[new] = after.get(new, 0.0) + chance * seat / (alpha + i)
        states = after
    return states


@pytest.mark.parametrize("alpha", [0.3, 1.0, 4.0])
def test_labelled_tables_are_beta_binomial(alpha):
    size, mean = 6, 0.3
    law = np.zeros(size + 1)
    for tables, chance in chinese_restaurant(alpha, size).items():
        for labels in itertools.product((0, 1), repeat=len(tables)):
            weight = math.prod(mean if x else 1 - mean for x in labels)
            law[sum(n * x for n, x in zip(tables, labels, strict=True))] += chance * weight
    rho = rho_from_concentration(alpha)
    np.testing.assert_allclose(BetaBinomial(mean=mean, rho=rho).pmf(size), law, atol=1e-14)


def test_correlation_is_the_collision_chance_whatever_the_policy():
    # labels iid Bernoulli(m), policy fixed: enumerate labels and two draws
    pi, mean = np.array([0.5, 0.3, 0.2]), 0.3
    both = 0.0
    for labels in itertools.product((0, 1), repeat=3):
        weight = math.prod(mean if x else 1 - mean for x in labels)
        both += weight * float(pi @ np.array(labels)) ** 2
    rho = (both - mean**2) / (mean * (1 - mean))
    assert collision_rho(pi) == pytest.approx(rho, rel=1e-13)


def test_low_entropy_is_no_dependence_given_the_prompt():
    # one prompt, two responses, .15 right: K is Bin(8, .15) although two texts occur at most
    size, right = 8, 0.15
    law = np.zeros(size + 1)
    for texts in itertools.product((0, 1), repeat=size):
        law[sum(texts)] += right ** sum(texts) * (1 - right) ** (size - sum(texts))
    free = BetaBinomial(mean=right, rho=0.0).pmf(size)
    np.testing.assert_allclose(law, free, atol=1e-14)
    # the law over prompts at the same entropy is another thing
    tied = BetaBinomial(mean=right, rho=rho_from_entropy(entropy([0.15, 0.85])))
    assert tied.prob_zero_std(size) > 2 * free[0]


def test_stick_breaking_monte_carlo(rng):
    alpha, sticks = 1.5, 200
    v = rng.beta(1, alpha, size=(4000, sticks))
    pi = v * np.cumprod(np.concatenate([np.ones((4000, 1)), 1 - v[:, :-1]], axis=1), axis=1)
    pi /= pi.sum(axis=1, keepdims=True)
    for sample, truth in (
        (entropy(pi), expected_entropy(alpha)),
        (collision_rho(pi), rho_from_concentration(alpha)),
    ):
        error = sample.std() / math.sqrt(len(sample))
        assert abs(sample.mean() - float(truth)) < 4.5 * error


@pytest.mark.parametrize("g", [1, 2, 8, 1024])
def test_distinct_responses_to_sixty_digits(g):
    import mpmath

    for alpha in (0.0, 1e-9, 0.3, 1.0, 50.0, 999.0, 1000.0, 1e5, 1e9, 1e15, 1e30, 1e300):
        with mpmath.workdps(60):
            a = mpmath.mpf(alpha)
            exact = 1 + mpmath.fsum(a / (a + i) for i in range(1, g))
        assert float(expected_distinct(alpha, g)) == pytest.approx(float(exact), rel=2e-13), alpha

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from grpolab.theory import (
    DR_GRPO,
    GRPO,
    MAXRL,
    PRESETS,
    RLOO,
    SIGN,
    PassAtKGradient,
    PassAtKTraining,
    arcsine_weight,
    contrast_coefficient,
    expected_objective,
    expected_pass_at_k,
    expected_update,
    update_weight,
)

TRL = PRESETS["trl"]
RULES = [*PRESETS.values(), PassAtKGradient(1), PassAtKGradient(3), PassAtKTraining(2)]
NAMES = [getattr(r, "name", repr(r)) for r in RULES]


def surrogate(rule, p, size):
    """(1/g) E[sum_i A_i d log pi(R_i)/dp] over all 2^g outcomes: the update along dp."""
    total = 0.0
    for rewards in itertools.product((0, 1), repeat=size):
        k = sum(rewards)
        chance = p**k * (1 - p) ** (size - k)
        right, wrong = rule.advantages(k, size)
        score = [float(right) / p if r else -float(wrong) / (1 - p) for r in rewards]
        total += chance * sum(score) / size
    return total


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
@pytest.mark.parametrize("size", [3, 4, 7])
def test_update_over_all_outcomes(rule, size):
    for p in (0.1, 0.5, 0.8):
        assert expected_update(rule, p, group_size=size) == pytest.approx(
            surrogate(rule, p, size), rel=1e-10, abs=1e-12
        )


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_objective_is_the_integral_of_the_update(rule):
    for p in (0.2, 0.9, 1.0):
        area, _ = quad(lambda x, r=rule: float(expected_update(r, x, group_size=6)), 0, p)
        assert expected_objective(rule, p, group_size=6) == pytest.approx(area, rel=1e-9)


P = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1e-300, 1.0]))


@given(P, st.integers(2, 100))
def test_closed_forms(p, size):
    def weight(rule):
        return float(expected_update(rule, p, group_size=size))

    assert weight(RLOO) == pytest.approx(1.0, rel=1e-12)
    assert weight(DR_GRPO) == pytest.approx((size - 1) / size, rel=1e-12)
    assert weight(SIGN) == pytest.approx(2.0, rel=1e-12)
    assert weight(GRPO) == pytest.approx(float(update_weight(p, size)), rel=1e-11)
    assert weight(PRESETS["openrlhf"]) == pytest.approx(
        float(update_weight(p, size, ddof=1)), rel=1e-6
    )
    if p > 0:  # arXiv 2602.02710
        maxrl = -math.expm1(size * math.log1p(-p)) / p if p < 1 else 1.0
        assert weight(MAXRL) == pytest.approx(maxrl, rel=1e-11)
    assert weight(PassAtKGradient(2)) == pytest.approx(2 * (1 - p), rel=1e-11, abs=1e-14)


@given(st.floats(0, 1), st.integers(2, 60))
def test_closed_objectives(p, size):
    def value(rule):
        return float(expected_objective(rule, p, group_size=size))

    assert value(RLOO) == pytest.approx(p, rel=1e-9)
    assert value(SIGN) == pytest.approx(2 * p, rel=1e-9)
    assert value(DR_GRPO) == pytest.approx(p * (size - 1) / size, rel=1e-9)
    maxrl = sum(float(expected_pass_at_k(p, k)) / k for k in range(1, size + 1))
    assert value(MAXRL) == pytest.approx(maxrl, rel=1e-9)
    assert value(PassAtKGradient(2)) == pytest.approx(float(expected_pass_at_k(p, 2)), rel=1e-9)


@pytest.mark.parametrize(("size", "degree"), [(2, 1), (7, 5), (8, 7)])
def test_degree_of_the_grpo_objective(size, degree):
    # at most g - 1; for odd g the symmetry of w about 1/2 takes one more away
    nodes = np.linspace(0, 1, 30)
    value = expected_objective(GRPO, nodes, group_size=size)
    fit = np.polynomial.Polynomial.fit(nodes, value, degree)
    np.testing.assert_allclose(fit(nodes), value, atol=1e-12)
    short = np.polynomial.Polynomial.fit(nodes, value, degree - 1)
    assert np.abs(short(nodes) - value).max() > 1e-6


def test_large_groups_ascend_the_arcsine():
    gap = expected_objective(GRPO, 0.6, group_size=4000) - expected_objective(
        GRPO, 0.3, group_size=4000
    )
    limit, _ = quad(lambda x: float(arcsine_weight(x)), 0.3, 0.6)
    assert gap == pytest.approx(limit, rel=1e-3)
    assert limit == pytest.approx(2 * (math.asin(0.6**0.5) - math.asin(0.3**0.5)), rel=1e-9)


def test_eps_of_trl_is_not_negligible_at_large_groups():
    # sigma of a group with one correct rollout falls like g^(-1/2): 1e-4 of eps shows at g = 10^6
    small = expected_update(TRL, 0.0, group_size=8) / update_weight(0.0, 8, ddof=1)
    large = expected_update(TRL, 0.0, group_size=10**6) / update_weight(0.0, 10**6, ddof=1)
    assert 0.999 < small < 1.0
    assert large == pytest.approx(1 / 1.1, rel=1e-3)


@pytest.mark.parametrize("rule", [GRPO, DR_GRPO, RLOO, TRL, PassAtKTraining(2)], ids=repr)
@pytest.mark.parametrize("k", [0, 1, 3, 5, 6])
def test_group_standard_deviation_identity(rule, k, rng):
    size = 6
    rewards = np.arange(size) < k
    scores = rng.normal(size=size)
    right, wrong = rule.advantages(k, size)
    update = np.where(rewards, right, wrong) @ scores / size
    gap = scores[rewards].mean() - scores[~rewards].mean() if 0 < k < size else 0.0
    assert contrast_coefficient(rule, k, group_size=size) * gap == pytest.approx(update, abs=1e-12)


def test_contrast_coefficient_is_the_std():
    k = np.arange(9)
    sigma = np.sqrt(k * (8 - k)) / 8
    np.testing.assert_allclose(contrast_coefficient(GRPO, k, group_size=8), sigma, atol=1e-15)
    np.testing.assert_allclose(contrast_coefficient(DR_GRPO, k, group_size=8), sigma**2, atol=1e-15)
    with pytest.raises(ValueError, match="sum to zero"):
        contrast_coefficient(SIGN, 3, group_size=8)


def test_pass_at_k_training_by_subsets():
    # advantages as means over all k-subsets of the normalised subset maxima
    size, k = 6, 3
    for c in range(size + 1):
        rewards = np.arange(size) < c
        subsets = list(itertools.combinations(range(size), k))
        best = np.array([rewards[list(s)].max() for s in subsets], dtype=float)
        spread = best.std()
        normal = (best - best.mean()) / spread if spread else np.zeros(len(best))
        each = [np.mean([n for n, s in zip(normal, subsets, strict=True) if i in s])
                for i in range(size)]  # fmt: skip
        right, wrong = PassAtKTraining(k).advantages(c, size)
        if c > 0:
            assert right == pytest.approx(each[0], abs=1e-12)
        if c < size:
            assert wrong == pytest.approx(each[-1], abs=1e-12)
        assert c * right + (size - c) * wrong == pytest.approx(0, abs=1e-12)
        if c > size - k or c == 0:
            assert (right, wrong) == (0, 0)


def test_pass_at_k_gradient_in_fractions(exact):
    p, size, k = Fraction(1, 5), 5, 3

    def pull(j):  # A+(j+1) - A-(j) over the other g-1 members
        others = size - 1
        miss = Fraction(math.comb(others - j, k - 1), math.comb(others, k - 1))
        return k * miss

    truth = exact.over_counts(pull, p, size - 1)
    assert truth == k * (1 - p) ** (k - 1)
    assert expected_update(PassAtKGradient(k), 0.2, group_size=size) == pytest.approx(float(truth))


def test_too_small_a_group_for_k():
    with pytest.raises(ValueError, match="group_size must be a whole number >= 4, got 3"):
        PassAtKGradient(4).advantages(1, 3)

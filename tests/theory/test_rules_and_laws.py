"""Rules, graded rewards and laws from data: closed form, enumeration, and each other."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from grpolab import theory
from grpolab.simulate import draw_groups
from grpolab.theory import GRPO, RLOO, RateLaw


@pytest.mark.parametrize("name", theory.VARIANTS)
@pytest.mark.parametrize("p", [0.0, 0.2, 0.7, 1.0])
def test_masses_and_updates_by_enumeration(name: str, p: float) -> None:
    rule, g = theory.VARIANTS[name], 4
    drift, gained, lost = 0.0, 0.0, 0.0
    for rewards in product((0, 1), repeat=g):
        k = sum(rewards)
        chance = p**k * (1 - p) ** (g - k)
        right, wrong = (float(a) for a in rule.advantages(k, g))
        drift += chance * sum((right if r else wrong) * (r - p) for r in rewards) / g
        gained += chance * k * (right if k else 0.0) / g
        lost -= chance * (g - k) * (wrong if k < g else 0.0) / g
    mass = theory.gradient_mass(rule, p, group_size=g)
    assert float(theory.expected_drift(rule, p, group_size=g)) == pytest.approx(drift, abs=1e-12)
    assert (float(mass.right), float(mass.wrong)) == pytest.approx((gained, lost), abs=1e-12)
    assert (1 - p) * gained + p * lost == pytest.approx(drift, abs=1e-12)


def test_centred_rules_have_equal_masses_and_grpo_those_of_its_std() -> None:
    p = np.linspace(0, 1, 11)
    for rule in (GRPO, RLOO, theory.Focal(GRPO, 2.0)):
        right, wrong = theory.gradient_mass(rule, p, group_size=8)
        np.testing.assert_allclose(right, wrong, atol=1e-12)
    right, _ = theory.gradient_mass(GRPO, p, group_size=8)
    np.testing.assert_allclose(right, theory.expected_std(p, 8), atol=1e-12)


def test_neutral_wrappers_change_nothing() -> None:
    k = np.arange(9)
    plain = GRPO.advantages(k, 8)
    for rule in (theory.Asymmetric(GRPO), theory.Focal(GRPO, 0.0)):
        for own, its in zip(plain, rule.advantages(k, 8), strict=True):
            np.testing.assert_array_equal(own[1:-1], its[1:-1])


def test_the_std_of_a_batch_is_that_of_its_groups() -> None:
    law = theory.BetaBinomial(mean=0.3, rho=0.4)
    counts = draw_groups(law, group_size=8, num_groups=100_000, seed=0)
    k = counts.num_correct
    seen = np.sqrt(np.mean(k * (8 - k) / 64))
    assert theory.batch_std(law, 8) == pytest.approx(seen, rel=0.01)
    assert theory.batch_std(law, 8) == pytest.approx(
        float(theory.expected_variance(0.3, 8, rho=0.4)) ** 0.5
    )


@pytest.mark.parametrize("g", [1, 2, 4])
def test_graded_rewards_by_enumeration(g: int) -> None:
    law = theory.reward_law([0.0, 0.3, 1.0, 1.3], [0.4, 0.1, 0.3, 0.2])
    zero = std = variance = 0.0
    for draw in product(range(4), repeat=g):
        chance, reward = np.prod(law.prob[list(draw)]), law.value[list(draw)]
        zero += chance * (len(set(draw)) == 1)
        std += chance * reward.std()
        variance += chance * reward.var()
    assert theory.graded_zero_std(law, g) == pytest.approx(zero)
    assert theory.graded_std(law, g) == pytest.approx(std)
    assert theory.graded_variance(law, g) == pytest.approx(variance, abs=1e-15)


def test_components_that_coincide_and_constant_ones() -> None:
    binary = theory.reward_law([0, 1], [0.7, 0.3])
    constant = theory.reward_law([0.1], [1.0])
    for g in (2, 8):
        moved = theory.sum_of_components(binary, constant)
        assert theory.graded_zero_std(moved, g) == pytest.approx(
            float(theory.prob_zero_std(0.3, g))
        )
        assert theory.graded_std(moved, g) == pytest.approx(float(theory.expected_std(0.3, g)))
    other = theory.reward_law([0, 1], [0.5, 0.5])
    twins = theory.sum_of_components(binary, other)  # 1 + 0 is 0 + 1
    assert twins.value.tolist() == [0, 1, 2]
    apart = theory.sum_of_components(binary, theory.reward_law([0, 0.9], [0.5, 0.5]))
    assert theory.graded_zero_std(twins, 4) > theory.graded_zero_std(apart, 4)
    # 0.1 + 0.2 is 0.3 but for rounding
    dust = theory.sum_of_components(
        theory.reward_law([0.0, 0.1, 0.3], [0.2, 0.3, 0.5]), theory.reward_law([0, 0.2], [0.5, 0.5])
    )
    assert len(dust.value) == 5


def test_a_law_from_data_is_a_model_like_any_other() -> None:
    law = RateLaw([0.0, 0.1, 0.8], [1.0, 2.0, 1.0])
    k = np.arange(9)
    pmf = law.pmf(8)
    assert pmf @ k / 8 == pytest.approx(float(law.mean))
    assert pmf @ (k * (8 - k)) / 64 == pytest.approx(
        float(theory.expected_variance(law.mean, 8, rho=law.rho))
    )
    assert law.prob_zero_std(8) == pytest.approx(
        float(law.expect(theory.prob_zero_std(law.rate, 8)))
    )
    assert law.cover([0.1, 0.5]).tolist() == [0.75, 0.25]
    counts = draw_groups(law, group_size=8, num_groups=40_000, seed=0)
    assert counts.frac_zero_std == pytest.approx(float(law.prob_zero_std(8)), abs=0.01)
    assert law == RateLaw([0.0, 0.1, 0.8], [2.0, 4.0, 2.0])
    assert law != RateLaw([0.0, 0.1, 0.8])
    assert float(RateLaw([1.0]).rho) == 0.0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: RateLaw([]), "rate must have shape"),
        (lambda: RateLaw([0.5, 1.5]), "rate must lie in"),
        (lambda: RateLaw([0.5], [0.0]), "weight must be 1 numbers"),
        (lambda: RateLaw([0.5], [1.0, 2.0]), "weight must be 1 numbers"),
        (lambda: theory.Focal(GRPO, -1.0), "gamma must lie in"),
        (lambda: theory.Asymmetric(GRPO, negative=-1.0), "negative must lie in"),
        (lambda: theory.ZeroVariance(GRPO, right=float("nan")), "right must lie in"),
        (lambda: theory.BatchStd(0.0), "std must lie in"),
        (lambda: theory.reward_law([0, 1], [0.5, 0.6]), "prob must sum to 1"),
        (lambda: theory.reward_law([0, 1, 2], [0.5, 0.5]), "value and prob must have one shape"),
        (lambda: theory.sum_of_components(), "laws must hold"),
        (
            lambda: theory.graded_std(theory.reward_law(range(12), [1 / 12] * 12), 64),
            "group_size must leave",
        ),
        (lambda: theory.entropy_fit([1, 1, 1, 1], [0, 1, 2, 3]), "entropy must vary"),
        (lambda: theory.entropy_fit([1, 2, 3], [0, 1, 2]), "T >= 4"),
    ],
)
def test_bad_input(call, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


def test_the_entropy_law_where_it_holds_and_where_not() -> None:
    h = np.linspace(0.1, 1.0, 40)
    fit = theory.entropy_fit(h, 0.9 - 0.2 * np.exp(h))
    assert (fit.a, fit.b, fit.ceiling) == pytest.approx((0.2, 0.9, 0.7))
    assert fit.residual < 1e-12
    assert fit.bend == 0.0


def test_an_independent_component_lowers_the_zero_std_share_whatever_coincides() -> None:
    rng = np.random.default_rng(4)
    for _ in range(200):
        one, other = rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(2))
        law = theory.reward_law([0, 1, 2], one)
        both = theory.sum_of_components(law, theory.reward_law([0, 1], other))
        g = int(rng.integers(2, 9))
        assert theory.graded_zero_std(both, g) < theory.graded_zero_std(law, g)

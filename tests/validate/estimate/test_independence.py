import itertools

import numpy as np
import pytest

from grpolab.theory.groups import GroupCounts, Provenance
from grpolab.validate.estimate import independence
from grpolab.validate.estimate.independence import Blocks, pair_contrast, repeated_groups


def two_groups(rng, *, prompts=400, rho=0.0, g=8):
    """Two groups per prompt; with probability rho a group is g copies of one draw."""
    p = np.repeat(rng.beta(0.8, 4.0, prompts), 2)
    copied = rng.random(len(p)) < rho
    correct = np.where(copied, g * rng.binomial(1, p), rng.binomial(g, p))
    return GroupCounts(correct, g, prompt_id=np.repeat(np.arange(prompts), 2))


@pytest.mark.parametrize("rho", [0.0, 0.05, 0.2])
def test_the_contrast_finds_the_dependence_that_was_put_in(rho):
    found = pair_contrast(two_groups(np.random.default_rng(1), prompts=4000, rho=rho), rng=0)
    assert abs(found.rho - rho) < 3.5 * found.stderr
    assert (found.p_value < 0.01) == (rho > 0)


def test_differences_between_prompts_alone_do_not_reject():
    # the pooled test of overdispersion rejects this very table: it answers another question
    from grpolab.validate.estimate.heterogeneity import heterogeneity

    counts = two_groups(np.random.default_rng(3))
    assert pair_contrast(counts, rng=0).p_value > 0.05
    assert heterogeneity(counts).tarone_z > 20


def test_sampling_without_replacement_gives_a_negative_contrast():
    rng = np.random.default_rng(2)
    total = np.repeat(rng.integers(2, 15, 600), 2)
    correct = rng.hypergeometric(total, 16 - total, 8)
    counts = GroupCounts(correct, 8, prompt_id=np.repeat(np.arange(600), 2))
    found = pair_contrast(counts, rng=0)
    assert found.rho == pytest.approx(-1 / 15, abs=4 * found.stderr)
    assert found.p_value < 0.01


def test_the_permutation_law_is_the_exact_hypergeometric_one():
    # one prompt, two groups of 3, total 2: P(2, 0) + P(0, 2) = 2 * 3/15
    blocks = Blocks(np.array([[2, 0]]), np.array([[3, 3]]))
    p_value = independence._permutation_p(
        blocks, rng=np.random.default_rng(0), num_permutations=40_000
    )
    orders = list(itertools.combinations(range(6), 2))
    same = sum((a < 3) == (b < 3) for a, b in orders) / len(orders)
    assert p_value == pytest.approx(2 * same, abs=0.02)


def test_the_test_holds_its_level():
    rng = np.random.default_rng(4)
    rejected = [
        pair_contrast(two_groups(rng, prompts=30), rng=s, num_permutations=99).p_value <= 0.05
        for s in range(300)
    ]
    assert np.mean(rejected) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)


def test_one_group_per_prompt_is_not_identifiable():
    found = pair_contrast(GroupCounts([0, 3, 8], 8), rng=0)
    assert not found.identifiable
    assert np.isnan(found.rho)
    assert "no prompt has two groups" in found.reason


def test_groups_of_two_steps_are_not_one_policy():
    counts = GroupCounts([0, 8], 8, prompt_id=[0, 0], step=[1, 2])
    assert not pair_contrast(counts, rng=0).identifiable
    assert len(repeated_groups(counts).group_size) == 0


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        (GroupCounts([1, 1], 4, prompt_id=0, provenance=Provenance(filtered=True)), "filtered"),
        (GroupCounts([0, 0], 4, prompt_id=0), "always right or always wrong"),
        (GroupCounts([0, 1], 1, prompt_id=0), "no pairs"),
    ],
)
def test_other_data_that_cannot_answer(counts, reason):
    found = pair_contrast(counts, rng=0)
    assert not found.identifiable
    assert reason in found.reason


def test_the_row_order_does_not_matter():
    counts = two_groups(np.random.default_rng(5), prompts=60, rho=0.2)
    shuffled = counts.select(np.random.default_rng(6).permutation(len(counts)))
    first, second = pair_contrast(counts, rng=0), pair_contrast(shuffled, rng=0)
    assert first.rho == pytest.approx(second.rho, abs=1e-12)
    assert first.stderr == pytest.approx(second.stderr, abs=1e-12)


def test_plugging_in_the_prompt_rate_understates_the_spread():
    # the factor (N - g) / (N - 1) of the hypergeometric law, 0.77 at 4 groups of 8
    rng = np.random.default_rng(7)
    p = rng.beta(2.0, 2.0, 20_000)
    k = rng.binomial(8, p[:, None], (20_000, 4))
    rate = k.sum(axis=1, keepdims=True) / 32
    plug_in = ((k - 8 * rate) ** 2).sum() / (4 * (8 * rate * (1 - rate)).sum())
    assert plug_in == pytest.approx((32 - 8) / 31, abs=0.01)

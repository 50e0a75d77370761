import numpy as np
import pytest

from grpolab.validate.estimate.sampler import (
    block_test,
    duplicate_test,
    position_test,
    trend_test,
)


def draws(rng, *, groups=300, g=8, shared=0.0):
    """Sequences from one law with 20 outcomes; a share of the groups repeats one draw g times."""
    law = rng.dirichlet(np.full(20, 0.3))
    texts = rng.choice(20, size=(groups, g), p=law)
    stuck = rng.random(groups) < shared
    texts[stuck] = texts[stuck, :1]
    ids = np.repeat(np.arange(groups), g)
    return texts.ravel(), np.log(law)[texts].ravel(), ids


def test_duplicates_of_a_narrow_policy_are_expected():
    texts, logprob, groups = draws(np.random.default_rng(0))
    found = duplicate_test(texts, logprob, group_id=groups)
    assert found.duplicate_rate > 0.1
    assert found.p_value > 0.01


def test_shared_seeds_are_found():
    texts, logprob, groups = draws(np.random.default_rng(0), shared=0.15)
    assert duplicate_test(texts, logprob, group_id=groups).p_value < 1e-6


def test_duplicate_test_holds_its_level():
    rng = np.random.default_rng(1)
    p = [duplicate_test(*(d := draws(rng))[:2], group_id=d[2]).p_value for _ in range(300)]
    assert np.mean(np.array(p) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)


def test_long_texts_without_duplicates_do_not_reject():
    found = duplicate_test(np.arange(80), np.full(80, -200.0), group_id=np.repeat(np.arange(10), 8))
    assert (found.duplicate_rate, found.p_value) == (0.0, 1.0)


def test_position_effects_are_found_and_prompts_are_not_mistaken_for_them():
    rng = np.random.default_rng(2)
    p = rng.beta(0.5, 0.5, 400)[:, None]
    fair = rng.random((400, 8)) < p
    assert position_test(fair).p_value > 0.01
    skewed = fair.copy()
    skewed[:, 0] &= rng.random(400) < 0.5
    assert position_test(skewed).p_value < 1e-6
    assert position_test(np.zeros((3, 4))).p_value == 1.0


def test_block_effects_are_measured_without_repeated_groups():
    rng = np.random.default_rng(3)
    p = rng.beta(2.0, 2.0, 4000)
    ranks = np.repeat([0, 1], 4)
    fair = rng.random((4000, 8)) < p[:, None]
    assert block_test(fair, ranks).p_value > 0.01
    rho = 0.2
    q = rng.beta(*(np.array([p, 1 - p]) * (1 / rho - 1))[..., None], size=(4000, 2))
    tied = rng.random((4000, 8)) < q[:, ranks]
    found = block_test(tied, ranks)
    assert found.rho == pytest.approx(rho, abs=0.02)
    assert found.p_value < 1e-10


def test_block_variance_is_the_one_of_all_orders():
    from itertools import permutations

    from grpolab.validate.estimate.sampler import _permuted_pairs

    labels = np.array([[0, 0, 0, 1, 1, 2]])
    for total in range(7):
        rewards = [1] * total + [0] * (6 - total)
        pairs = [
            sum(
                order[i] * order[j]
                for i in range(6)
                for j in range(i)
                if labels[0, i] == labels[0, j]
            )
            for order in permutations(rewards)
        ]
        mean, variance = _permuted_pairs(np.array([float(total)]), labels)
        assert mean[0] == pytest.approx(np.mean(pairs))
        assert variance[0] == pytest.approx(np.var(pairs))


def test_a_trend_of_likelihood_is_found_and_a_clean_one_seldom():
    rng = np.random.default_rng(0)
    clean = [trend_test(rng.gumbel(size=(30, 8)) * rng.gamma(1, 9, (30, 1))) for _ in range(300)]
    assert 3 <= sum(one.p_value < 0.05 for one in clean) <= 27
    ties = [trend_test(rng.integers(0, 2, (30, 8))) for _ in range(300)]
    assert 3 <= sum(one.p_value < 0.05 for one in ties) <= 27
    logs = rng.gumbel(size=(64, 16))
    best_first = trend_test(-np.sort(-logs, axis=1))
    assert best_first.correlation == pytest.approx(-1.0)
    assert best_first.p_value < 1e-8
    drift = trend_test(logs - np.linspace(0, 1.5, 16))
    assert drift.p_value < 1e-5
    assert -0.8 < drift.correlation < -0.1


def test_one_prompt_shows_no_more_than_its_orders_do():
    """Of the 720 orders of six samples one falls: no p-value of the z-test is below 2/720."""
    assert trend_test([[6.0, 5.0, 4.0, 3.0, 2.0, 1.0]]).p_value > 2 / 720
    assert np.isnan(trend_test([[1.0, 1.0], [np.nan, 2.0]]).p_value)


def test_bad_input():
    with pytest.raises(ValueError, match="one shape"):
        duplicate_test([1, 2], [0.0], group_id=[0, 0])
    with pytest.raises(ValueError, match="log-probabilities"):
        duplicate_test([1, 2], [0.5, -1.0], group_id=[0, 0])
    with pytest.raises(ValueError, match="at least 2 groups"):
        duplicate_test([1, 2], [-1.0, -1.0], group_id=[0, 0])
    with pytest.raises(ValueError, match="g >= 2"):
        position_test([[1]])
    with pytest.raises(ValueError, match="0 or 1"):
        block_test([[0.5, 1.0]], [0, 0])

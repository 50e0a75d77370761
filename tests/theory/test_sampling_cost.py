import math
from fractions import Fraction

import numpy as np
import pytest

from grpolab.theory import (
    GRPO,
    RLOO,
    BetaBinomial,
    best_group_size,
    dynamic_sampling,
    expected_rollouts_until_mixed,
    expected_std,
    expected_variance,
    one_step,
    prob_mixed,
    prob_zero_std,
    signal_per_rollout,
    snr,
    variance_of_variance,
)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.83])
def test_rollouts_until_mixed(p):
    # n rollouts are needed iff the first n-1 agree and the n-th does not
    n = np.arange(2, 5000)
    chance = p ** (n - 1.0) * (1 - p) + (1 - p) ** (n - 1.0) * p
    assert expected_rollouts_until_mixed(p) == pytest.approx(chance @ n, rel=1e-12)
    assert expected_rollouts_until_mixed(p) == pytest.approx(1 / p + 1 / (1 - p) - 1)


def test_dynamic_sampling_rescales_and_does_not_turn():
    rates, size = np.array([0.02, 0.3, 0.6, 0.95]), 8
    steps = np.stack([one_step(GRPO, p, group_size=size).mean for p in rates])
    plain = steps / len(rates)  # expected contribution of each prompt to a plain batch
    mixed = prob_mixed(rates, size)
    given_mixed = steps / mixed
    filtered = mixed / mixed.sum() * given_mixed
    scale = dynamic_sampling(1, prob_zero_std=prob_zero_std(rates, size).mean()).step_scale
    np.testing.assert_allclose(filtered, plain * scale, rtol=1e-12)


def test_dynamic_sampling_monte_carlo(rng):
    rates, size, batch = np.array([0.05, 0.5]), 4, 16
    drawn = []
    for _ in range(2000):
        count = got = 0
        while got < batch:
            k = rng.binomial(size, rates[rng.integers(2)])
            count += 1
            got += 0 < k < size
        drawn.append(count)
    truth = dynamic_sampling(batch, prob_zero_std=prob_zero_std(rates, size).mean())
    error = np.std(drawn) / math.sqrt(len(drawn))
    assert abs(np.mean(drawn) - float(truth.expected_prompts)) < 4.5 * error


@pytest.mark.parametrize("size", [2, 3, 8])
@pytest.mark.parametrize("p", [Fraction(1, 10), Fraction(1, 2), Fraction(4, 5)])
def test_snr_over_all_outcomes(exact, size, p):
    def gradient(rewards):
        mean = Fraction(sum(rewards), size)
        return sum(Fraction(size, size - 1) * (r - mean) * (r - p) for r in rewards) / size

    mean = exact.over_outcomes(gradient, p, size)
    square = exact.over_outcomes(lambda r: gradient(r) ** 2, p, size)
    assert snr(float(p), size) == pytest.approx(float(mean**2 / (square - mean**2)), rel=1e-12)
    step = one_step(RLOO, float(p), group_size=size)
    assert step.mean == pytest.approx(float(p * (1 - p)), rel=1e-12)
    assert step.variance == pytest.approx(
        float(variance_of_variance(float(p), size, ddof=1)), rel=1e-12
    )


def test_snr_edges():
    assert snr(0.3, 1) == snr(0.0, 8) == snr(1.0, 8) == 0.0


@pytest.mark.parametrize("rho", [0.0, 0.2, 0.6])
def test_best_group_size(rho):
    law = BetaBinomial(mean=[0.05, 0.2, 0.5], rho=rho)
    for criterion, best in (("mixed", 2), ("variance", 2)):
        assert best_group_size(law, [16, 8, 4, 3, 2], criterion=criterion).tolist() == [best] * 3


def test_best_group_size_with_std_scaling():
    # at a fixed learning rate m_g/g is largest at g = 2 for independent rewards
    for p in (0.01, 0.2, 0.5):
        per = [float(expected_std(p, g)) / g for g in range(2, 33)]
        assert int(np.argmax(per)) == 0
        law = BetaBinomial(mean=p, rho=0.0)
        assert best_group_size(law, range(2, 33), criterion="std") == 2
        assert signal_per_rollout(law, 5, criterion="std") == pytest.approx(per[3], rel=1e-12)
        assert signal_per_rollout(law, 5, criterion="variance") == pytest.approx(
            float(expected_variance(p, 5)) / 5
        )


def test_bad_input():
    with pytest.raises(ValueError, match=r"prob_zero_std must lie in \[0, 1\), got 1"):
        dynamic_sampling(8, prob_zero_std=1.0)
    with pytest.raises(ValueError, match="at least one group size"):
        best_group_size(BetaBinomial(mean=0.5, rho=0.0), [])

import itertools
import math

import numpy as np
import pytest
from scipy.special import expit

from grpolab.theory import (
    DR_GRPO,
    GRPO,
    RLOO,
    SIGN,
    PassAtKGradient,
    chain_law,
    expected_hitting_time,
    one_step,
)


@pytest.mark.parametrize("rule", [GRPO, DR_GRPO, RLOO, SIGN], ids=repr)
def test_chain_over_all_paths(rule):
    size, steps, rate = 3, 4, 0.5
    start = math.log(0.2 / 0.8)
    paths: dict[float, float] = {}
    for path in itertools.product(range(size + 1), repeat=steps):
        z, chance = start, 1.0
        for k in path:
            step = one_step(rule, float(expit(z)), group_size=size)
            chance *= step.prob[k]
            z += rate * float(step.change[k])
        paths[round(z, 9)] = paths.get(round(z, 9), 0.0) + chance
    law = chain_law(rule, 0.2, group_size=size, learning_rate=rate, steps=steps)
    assert law.prob.sum() == pytest.approx(1)
    assert law.lost == 0
    mean = sum(c * expit(z) for z, c in paths.items())
    assert law.mean_p == pytest.approx(mean, rel=1e-9)
    if rule is not SIGN:
        assert len(law.prob) == len(paths)
        np.testing.assert_allclose(law.prob, [paths[z] for z in sorted(paths)], atol=1e-12)


def test_number_of_states():
    # h = 4 distinct changes at g = 8: combinations with repetition; a lattice without std scaling
    law = chain_law(GRPO, 0.2, group_size=8, learning_rate=0.1, steps=10)
    assert len(law.prob) == math.comb(14, 4)
    flat = chain_law(DR_GRPO, 0.2, group_size=8, learning_rate=0.1, steps=60)
    spacing = np.diff(flat.logit) * 64 / 0.1
    np.testing.assert_allclose(spacing, spacing.round(), atol=1e-6)
    assert len(flat.prob) < 60 * 16 + 2


def test_monotone():
    # sums to zero: z never falls, however noisy the draws
    law = chain_law(GRPO, 0.1, group_size=4, learning_rate=2.0, steps=5)
    assert law.logit.min() >= math.log(0.1 / 0.9) - 1e-12


def test_pruning_is_accounted_for():
    law = chain_law(GRPO, 0.1, group_size=8, learning_rate=0.1, steps=30, prune=1e-9)
    assert 0 < law.lost < 1e-3
    assert law.prob.sum() + law.lost == pytest.approx(1, abs=1e-12)
    assert len(law.prob) < math.comb(34, 4)


def test_hitting_time_at_group_size_two():
    # change 1/2 with chance 2pq, else nothing: the wait is a sum of geometric means
    z = np.array([0.0, 0.5, 1.0])
    exact = sum(1 / (2 * p * (1 - p)) for p in expit(z))
    got = expected_hitting_time(
        GRPO, 0.5, stop=float(expit(1.4)), group_size=2, learning_rate=1.0, bins=1000
    )
    assert got == pytest.approx(exact, rel=2e-3)


def test_hitting_time_against_the_chain():
    # mean = sum over t of P(not there yet)
    stop, total = 0.3, 0.0
    for steps in range(200):
        law = chain_law(DR_GRPO, 0.2, group_size=4, learning_rate=0.5, steps=steps) if (
            steps < 45
        ) else None  # fmt: skip
        if law is None:
            break
        below = law.prob[expit(law.logit) < stop - 1e-12].sum()
        total += below
    assert below < 1e-6
    got = expected_hitting_time(DR_GRPO, 0.2, stop=stop, group_size=4, learning_rate=0.5, bins=3200)
    assert got == pytest.approx(total, rel=2e-3)


def test_edges():
    assert expected_hitting_time(GRPO, 0.5, stop=0.4, group_size=4, learning_rate=1.0) == 0.0
    law = chain_law(GRPO, 0.5, group_size=4, learning_rate=1.0, steps=0)
    assert law.mean_p == 0.5
    with pytest.raises(ValueError, match="must not lower z"):
        expected_hitting_time(PassAtKGradient(2), 0.2, stop=0.5, group_size=4, learning_rate=1.0)
    with pytest.raises(ValueError, match=r"p0 must lie in \(0, 1\), got 0"):
        chain_law(GRPO, 0.0, group_size=4, learning_rate=1.0, steps=1)

"""Order of samples: clean samplers pass at the stated rate, faulty ones are named."""

import numpy as np
import pytest
from scipy import stats

from grpolab.theory.samples import pack
from grpolab.validate.estimate.order import neighbour_test, order_test
from grpolab.validate.estimate.permute import permutation_p

PROMPTS, SAMPLES = 64, 16
VOCABULARY = 60


def laws(rng, prompts):
    """Next-token laws [P, V]: neighbours are partly alike."""
    common = rng.dirichlet(np.full(VOCABULARY, 0.1))
    own = rng.dirichlet(np.full(VOCABULARY, 0.1), prompts)
    return 0.5 * common + 0.5 * own


def starts(rng, seeds):
    """Codes [P, n] of the first three tokens of samples with these seeds [P, n]."""
    names, row = np.unique(seeds, return_inverse=True)
    row = row.reshape(seeds.shape)
    tokens = []
    for _ in range(3):
        noise = rng.gumbel(size=(len(names), VOCABULARY))
        law = np.log(laws(rng, len(seeds)) + 1e-300)
        tokens.append(np.argmax(law[:, None] + noise[row], axis=2).ravel())
    return pack(np.stack(tokens, axis=1)).reshape(seeds.shape)


def texts(rng, prompts, samples, *, fault=""):
    """Texts [P, n] of a policy with 40 texts per prompt."""
    law = rng.dirichlet(np.full(40, 0.1), prompts)
    drawn = (rng.random((prompts, samples))[..., None] >= np.cumsum(law, axis=1)[:, None]).sum(-1)
    drawn = np.minimum(drawn, 39)
    if fault == "sorted":
        chance = np.take_along_axis(law, drawn, axis=1)
        drawn = np.take_along_axis(drawn, np.argsort(-chance, axis=1, kind="stable"), axis=1)
    elif fault == "greedy":
        drawn[:, 0] = law.argmax(axis=1)
    elif fault == "block":
        drawn = np.repeat(drawn[:, : samples // 2], 2, axis=1)
    elif fault == "repeat":
        drawn = np.tile(drawn[:, : samples // 2], (1, 2))
    return drawn


def test_clean_orders_are_rejected_at_the_nominal_rate():
    rng = np.random.default_rng(0)
    p = [order_test(texts(rng, 40, 8), rng=rng).p_value for _ in range(150)]
    rewards = (rng.random((150, 30, 8)) < rng.beta(0.3, 0.5, (150, 30, 1))).astype(np.int64)
    p += [order_test(table, rng=rng).p_value for table in rewards]
    hits = int(np.sum(np.array(p) < 0.05))
    assert stats.binomtest(hits, len(p), 0.05, alternative="greater").pvalue > 1e-3
    assert min(p) > 1e-5


@pytest.mark.parametrize(
    ("fault", "patterns"),
    [("sorted", {"near"}), ("greedy", {"first"}), ("block", {"block"}),
     ("repeat", {"distance", "every"})],
)  # fmt: skip
def test_a_pattern_of_places_is_named(fault, patterns):
    rng = np.random.default_rng(1)
    for _ in range(3):
        found = order_test(texts(rng, PROMPTS, SAMPLES, fault=fault), rng=rng)
        assert found.pattern in patterns
        assert found.p_value < 1e-4
        assert found.agreement > found.expected


def test_unequal_numbers_of_samples_and_constant_prompts_are_fine():
    rng = np.random.default_rng(2)
    table = texts(rng, 40, 8)
    table[rng.random(40) < 0.5, 5:] = -1
    assert order_test(table, rng=rng).p_value > 1e-4
    assert np.isnan(order_test(np.zeros((10, 4), np.int64), rng=0).p_value)
    assert np.isnan(order_test(np.arange(40).reshape(10, 4), rng=0).p_value)
    assert np.isnan(order_test(np.zeros((0, 0), np.int64), rng=0).p_value)


def seeds(fault, prompts, samples):
    prompt, sample = np.arange(prompts)[:, None], np.arange(samples)
    return {
        "clean": prompt * samples + sample,
        "next": prompt + sample,
        "half": prompt * (samples // 2) + sample,
        "one": 0 * prompt + sample,
        "workers": (prompt % (prompts // 2)) * samples + sample,
    }[fault]


def test_clean_requests_are_rejected_at_the_nominal_rate():
    rng = np.random.default_rng(3)
    p = np.array(
        [neighbour_test(starts(rng, seeds("clean", 24, 8)), rng=rng).p_value for _ in range(120)]
    )
    assert stats.binomtest(int(np.sum(p < 0.05)), len(p), 0.05).pvalue > 1e-3
    assert p.min() > 1e-5


@pytest.mark.parametrize(
    ("fault", "lag", "shift"),
    [("next", 1, -1), ("half", 1, -SAMPLES // 2), ("workers", PROMPTS // 2, 0)],
)
def test_seeds_that_requests_share_are_found(fault, lag, shift):
    rng = np.random.default_rng(4)
    for _ in range(2):
        found = neighbour_test(starts(rng, seeds(fault, PROMPTS, SAMPLES)), rng=rng)
        assert found.p_value < 1e-5
        assert (found.lag, found.shift) == (lag, shift)


def test_one_seed_for_all_requests_is_found():
    rng = np.random.default_rng(5)
    found = neighbour_test(starts(rng, seeds("one", PROMPTS, SAMPLES)), rng=rng)
    assert found.p_value < 1e-5
    assert found.shift == 0


def test_workers_are_found_among_many_requests():
    """800 requests are more than are compared one by one: eight runs of them are."""
    rng = np.random.default_rng(6)
    found = neighbour_test(starts(rng, seeds("workers", 800, 8)), rng=rng)
    assert found.p_value < 1e-5
    assert found.lag == 400


def test_equal_beginnings_of_all_say_nothing():
    assert np.isnan(neighbour_test(np.full((20, 8), 7 << 42), rng=0).p_value)


def test_permutation_p_values_are_uniform_and_reach_into_the_tail():
    rng = np.random.default_rng(7)
    p = np.array([permutation_p(rng.standard_normal(), rng.standard_normal) for _ in range(400)])
    assert stats.kstest(p, "uniform").pvalue > 1e-4
    found = permutation_p(4.5, rng.standard_normal)
    assert stats.norm.sf(4.5) < found < 1e-4  # an upper bound of the normal tail
    assert permutation_p(1.0, np.zeros) == pytest.approx(1 / 2000)

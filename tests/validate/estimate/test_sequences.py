"""Noise that requests share at shifts of their own, or in no order: found, and nothing else is."""

import numpy as np
import pytest
from scipy import stats

from grpolab.theory.samples import pack
from grpolab.validate.estimate.sequences import evenness_test, sequence_test

PROMPTS, SAMPLES, VOCABULARY = 64, 16, 40
OWN = np.arange(PROMPTS * SAMPLES).reshape(PROMPTS, SAMPLES)


def starts(rng, seeds, *, common=0.5):
    """Codes [P, n] of the first token of samples with these seeds; a part of the law is common."""
    names, row = np.unique(seeds, return_inverse=True)
    one = rng.dirichlet(np.full(VOCABULARY, 0.15))
    own = rng.dirichlet(np.full(VOCABULARY, 0.2), len(seeds))
    noise = rng.gumbel(size=(len(names), VOCABULARY))
    law = np.log(common * one + (1 - common) * own + 1e-300)
    token = np.argmax(law[:, None] + noise[row.reshape(seeds.shape)], axis=2)
    none = np.full_like(token, -1)
    return pack(np.stack([token, none, none], axis=-1).reshape(-1, 3)).reshape(seeds.shape)


def verdicts(rng, seeds):
    """Verdicts [P, n] of samples whose luck is that of their seed."""
    names, row = np.unique(seeds, return_inverse=True)
    luck = rng.random(len(names))[row.reshape(seeds.shape)]
    return (luck < rng.beta(0.5, 0.8, (len(seeds), 1))).astype(np.int64)


def shifted(rng, spread):
    return rng.integers(0, spread, (PROMPTS, 1)) + np.arange(SAMPLES)


@pytest.mark.parametrize("draw", [starts, verdicts])
def test_shifts_of_their_own_are_found(draw):
    rng = np.random.default_rng(1)
    found = sequence_test(draw(rng, shifted(rng, 60)), rng=0)
    assert found.p_value < 1e-4
    assert found.agreement > found.expected
    assert not found.every


def test_the_pair_and_its_shift_are_named():
    rng = np.random.default_rng(2)
    seeds = OWN[:24].copy()
    seeds[20] = seeds[3] + 5
    found = sequence_test(starts(rng, seeds, common=1.0), rng=0)
    assert (found.first, found.second, found.shift, found.agreement) == (3, 20, -5, 1.0)


def test_one_distance_between_requests_is_named_by_verdicts():
    rng = np.random.default_rng(3)
    found = sequence_test(verdicts(rng, np.tile(OWN[:32], (2, 1))), rng=0)
    assert (found.every, found.second - found.first, found.shift) == (True, 32, 0)
    assert found.p_value < 1e-4


def test_an_order_that_differs_for_each_request_shows_in_even_counts():
    rng = np.random.default_rng(4)
    seeds = rng.permuted(np.tile(np.arange(SAMPLES), (PROMPTS, 1)), axis=1)
    found = evenness_test(starts(rng, seeds), rng=0)
    assert found.p_value < 1e-4
    assert found.ratio < 0.6
    assert evenness_test(starts(rng, seeds, common=0.0), rng=0).p_value > 1e-4


def test_clean_samples_are_rejected_at_the_nominal_rate():
    rng = np.random.default_rng(5)
    own = OWN[:24, :8]
    p = [sequence_test(verdicts(rng, own), rng=rng).p_value for _ in range(30)]
    p += [sequence_test(starts(rng, own), rng=rng).p_value for _ in range(12)]
    p += [evenness_test(starts(rng, own, common=1.0), rng=rng).p_value for _ in range(60)]
    hits = int(np.sum(np.array(p) < 0.05))
    assert stats.binomtest(hits, len(p), 0.05, alternative="greater").pvalue > 1e-3
    assert min(p) > 1e-5


@pytest.mark.parametrize("shape", [(0, 0), (2, 8), (8, 1), (8, 2)])
def test_what_cannot_be_compared_is_no_number(shape):
    assert np.isnan(sequence_test(np.zeros(shape, np.int64), rng=0).p_value)


def test_constant_missing_and_many_samples_are_fine():
    rng = np.random.default_rng(6)
    assert np.isnan(sequence_test(np.ones((20, 8), np.int64), rng=0).p_value)
    assert np.isnan(sequence_test(np.full((20, 8), -1), rng=0).p_value)
    assert np.isnan(evenness_test(np.full((20, 8), 7 << 42), rng=0).p_value)
    table = verdicts(rng, np.arange(400 * 8).reshape(400, 8))
    table[::3, 5:] = -1
    assert sequence_test(table, rng=0).p_value > 1e-4

"""Copies: eight equal texts are one draw, and short honest answers are no copies."""

import numpy as np
import pytest

from grpolab.theory.groups import GroupCounts
from grpolab.theory.samples import sample_rows
from grpolab.validate.estimate.copies import copies_test, without_copies


def rows(text, reward, *, length=300):
    """One group per prompt from tables [P, n]."""
    prompts, samples = text.shape
    return sample_rows(
        prompt=np.repeat(np.arange(prompts), samples), reward=np.asarray(reward, float).ravel(),
        text=text.ravel(), length=np.full(text.size, length),
    )  # fmt: skip


def distinct(prompts, samples):
    return np.arange(prompts * samples).reshape(prompts, samples)


def judged(text, seed=0):
    """One verdict per text, half of them right."""
    return (np.random.default_rng(seed).random(int(text.max()) + 1) < 0.5).astype(float)[text]


@pytest.mark.parametrize(("copies", "size"), [(8, 0), (4, 4), (2, 2)])
def test_copies_are_found_and_counted_once(copies, size):
    text = np.repeat(distinct(60, 8 // copies), copies, axis=1)
    table = rows(text, judged(text))
    found = copies_test(table)
    assert (found.size, found.distinct, found.group_size) == (size, 8 / copies, 8)
    assert found.p_value < 1e-6
    counts = without_copies(GroupCounts([0], 8), table, found)
    assert set(counts.group_size.tolist()) == {8 // copies}
    assert counts.num_correct.sum() == judged(text)[:, ::copies].sum()


def test_order_does_not_matter():
    text = np.random.default_rng(1).permuted(np.repeat(distinct(60, 2), 4, axis=1), axis=1)
    assert copies_test(rows(text, judged(text))).size == 4


def test_whole_groups_of_short_wrong_texts_are_copies():
    text = np.repeat(distinct(120, 1), 8, axis=1)
    found = copies_test(rows(text, judged(text), length=8))
    assert (found.size, found.p_value < 1e-6) == (0, True)


def test_copies_in_some_groups_are_found_among_distinct_texts():
    text = distinct(200, 8)
    text[:40] = text[:40, :1]
    found = copies_test(rows(text, judged(text)))
    assert (found.size, found.num_groups, found.p_value < 1e-6) == (0, 40, True)


def honest(rng, kind):
    """Texts and rewards of a policy without a fault."""
    prompts, samples = 100, 8
    if kind == "sure and right":  # "4", eight times
        text = np.repeat(distinct(prompts, 1), samples, axis=1)
        return text, np.ones(text.shape), 1
    if kind == "yes or no":
        text = (rng.random((prompts, samples)) < rng.beta(0.5, 0.5, prompts)[:, None]).astype(int)
        return text, text == rng.integers(2, size=(prompts, 1)), 3
    if kind == "always yes":
        text = np.zeros((prompts, samples), int)
        return text, np.repeat(rng.random((prompts, 1)) < 0.6, samples, axis=1), 3
    if kind == "sharp":  # the likeliest of few answers has 0.5 to 1, right or wrong
        top = rng.random((prompts, samples)) < rng.beta(6, 1, prompts)[:, None]
        text = np.where(top, 0, rng.integers(1, 4, top.shape)) + 4 * np.arange(prompts)[:, None]
        return text, top == (rng.random((prompts, 1)) < 0.6), 6
    text = rng.integers(0, 40, (prompts, samples)) + 40 * np.arange(prompts)[:, None]
    return text, rng.random(text.shape) < 0.4, 400


@pytest.mark.parametrize(
    "kind", ["sure and right", "yes or no", "always yes", "sharp", "long and varied"]
)
def test_honest_repeats_are_no_copies(kind):
    rng = np.random.default_rng(2)
    for _ in range(40):
        text, reward, length = honest(rng, kind)
        assert copies_test(rows(text, reward, length=length)).p_value > 1e-4


def test_without_texts_there_is_nothing_to_say():
    assert copies_test(sample_rows(prompt=np.zeros(4, int), reward=np.ones(4))) is None

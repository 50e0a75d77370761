"""All tests together: one alarm in a thousand commands on clean data, whatever the data."""

import numpy as np
import pytest

from grpolab.theory.groups import GroupCounts
from grpolab.theory.samples import SampleRows, pack, sample_rows
from grpolab.validate.estimate.faults import (
    alarms,
    alarms_of,
    count_evidence,
    sample_evidence,
)
from grpolab.validate.estimate.sampler import PositionTest


def clean(rng) -> SampleRows:
    """Independent samples of some shape: few or many prompts, rare or certain success, texts."""
    prompts, samples = int(rng.choice([6, 15, 40])), int(rng.choice([2, 4, 8]))
    p = [rng.beta(0.1, 2, prompts), rng.beta(2, 0.1, prompts), rng.beta(0.5, 0.5, prompts)][
        rng.integers(3)
    ]
    prompt = np.repeat(np.arange(prompts), samples)
    reward = (rng.random(len(prompt)) < p[prompt]).astype(float)
    if rng.random() < 0.3:
        reward[rng.random(len(prompt)) < 0.1] = np.nan
    kind, text = rng.integers(4), None
    if kind == 1:
        text = np.nan_to_num(reward).astype(int)  # yes or no
    elif kind == 2:  # few short answers
        text = np.where(reward == 1, 0, rng.integers(1, 5, len(prompt))) + 5 * prompt
    elif kind == 3:  # long and varied
        text = rng.integers(0, 3000, len(prompt)) * prompts + prompt
    columns = {}
    if text is not None:
        start = np.stack([rng.choice(20, len(prompt), p=rng.dirichlet(np.full(20, 0.3)))] * 3, 1)
        length = np.full(len(prompt), [0, 3, 9, 400][kind])
        columns = {"text": text, "length": length, "start": pack(start)}
    return sample_rows(prompt=prompt, reward=reward, **columns)


def counts_of(rows: SampleRows) -> GroupCounts:
    prompts, inverse = np.unique(rows.prompt, return_inverse=True)
    return GroupCounts(
        np.bincount(inverse, weights=rows.reward), np.bincount(inverse), prompt_id=prompts
    )


def test_clean_samples_of_all_kinds_raise_next_to_no_alarm():
    """150 commands at a level of 5%: at most 16 alarms (5% in truth, chance 1 in 1,000)."""
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(150):
        rows = clean(rng)
        tests = {**count_evidence(counts_of(rows), rows), **sample_evidence(rows, rng=rng)}
        found += bool(alarms(tests, level=0.05))
    assert found <= 16


def test_a_prefix_that_blocks_share_is_named_where_completions_differ():
    """Samples four by four begin alike (a cached prefix) and go on apart."""
    rng = np.random.default_rng(0)
    first = np.repeat(rng.integers(0, 30, (40, 4)), 4, axis=1).ravel()
    start = np.stack([first, first, rng.integers(0, 30, first.size)], axis=1)
    rows = sample_rows(
        prompt=np.repeat(np.arange(40), 16), reward=(rng.random(first.size) < 0.4).astype(float),
        text=np.arange(first.size), start=pack(start),
    )  # fmt: skip
    found = {alarm.test: alarm.evidence for alarm in alarms(sample_evidence(rows, rng=0))}
    assert (found["beginnings"].pattern, found["beginnings"].size) == ("block", 4)
    assert "texts" not in found


def test_all_inputs_share_the_level():
    one = PositionTest(30.0, 4e-4, np.zeros(2))
    fine = PositionTest(1.0, 0.5, np.zeros(2))
    assert len(alarms({"positions": one})) == 1
    assert alarms_of([{"positions": one}, {"positions": fine}]) != [[], []]
    assert alarms_of([{"positions": one}, *[{"positions": fine}] * 2]) == [[], [], []]


@pytest.mark.parametrize("size", [0, 1, 2])
def test_next_to_nothing_is_no_error(size):
    rows = sample_rows(prompt=np.zeros(size, np.int64), reward=np.ones(size))
    assert sample_evidence(rows, rng=0) == {} if size else True
    if size:
        assert alarms(sample_evidence(rows, rng=0)) == []

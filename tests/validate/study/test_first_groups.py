"""The share of the first groups is predicted from counts that other groups did not see."""

from __future__ import annotations

import numpy as np

from grpolab.validate.study import first_groups


def sets(rates, *, samples=64):
    rng = np.random.default_rng(1)
    correct = rng.binomial(samples, rates)
    counts, prompts = np.unique(correct, return_counts=True)
    rows = [[samples, int(c), int(p)] for c, p in zip(counts, prompts, strict=True)]
    return {"one": {"n_c_problems": rows}}


def test_public_counts_are_split_by_prompt_and_by_sample():
    cases = list(first_groups.of_counts(sets(np.random.default_rng(0).beta(0.5, 1.5, 120))))
    assert len(cases) == 18
    assert {case.samples for case in cases} == {"n=4", "n=8"}
    assert sum(case.held for case in cases) >= 14
    rows = first_groups.summary(cases)
    assert sum(row["cases"] for row in rows) == 18
    assert all(0 < row["width"] < 0.7 for row in rows)


def test_too_few_samples_are_left_out():
    assert {c.groups for c in first_groups.of_counts(sets(np.full(30, 0.5), samples=12))} == {
        "g=4, other prompts", "g=8, other prompts"
    }  # fmt: skip

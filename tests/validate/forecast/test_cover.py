"""Cover@tau from counts: bands that hold, and what they cannot say."""

from __future__ import annotations

import numpy as np
import pytest

from grpolab.theory.groups import GroupCounts
from grpolab.validate.forecast import cover_curve


def test_the_band_holds_the_curve_and_falls() -> None:
    rng = np.random.default_rng(0)
    for n in (2, 4, 16):
        p = rng.choice([0.0, 0.3, 0.95], 300)
        found = cover_curve(GroupCounts(rng.binomial(n, p), n), [0.01, 0.2, 0.5, 0.9, 1.0])
        truth = [2 / 3, 2 / 3, 1 / 3, 1 / 3, 0.0]
        assert np.all((found.low <= truth) & (truth <= found.high))
        assert np.all((found.low <= found.value) & (found.value <= found.high))
        for curve in (found.low, found.high):
            assert np.all(np.diff(curve) <= 1e-9)


def test_more_samples_and_more_prompts_say_more() -> None:
    rng = np.random.default_rng(1)
    width = []
    for prompts, n in ((50, 4), (500, 4), (500, 32)):
        counts = GroupCounts(rng.binomial(n, rng.beta(0.5, 0.5, prompts)), n)
        found = cover_curve(counts, [0.25, 0.75])
        width.append(float(np.sum(found.high - found.low)))
    assert width[0] > width[1] > width[2]


def test_counts_that_no_law_of_p_can_leave_have_no_band() -> None:
    found = cover_curve(GroupCounts([2] * 500, 4))
    assert np.all(np.isnan(found.low))
    assert np.all(np.isnan(found.high))
    assert np.all(np.isfinite(found.value))


def test_ragged_samples_and_pooled_groups() -> None:
    rng = np.random.default_rng(2)
    n = rng.choice([2, 5, 8], 400)
    found = cover_curve(GroupCounts(rng.binomial(n, 0.5), n), [0.3, 0.7])
    assert found.low[0] > 0.2
    assert found.high[1] < 0.8


@pytest.mark.parametrize("correct", [[0] * 20, [4] * 20])
def test_all_equal(correct: list[int]) -> None:
    found = cover_curve(GroupCounts(correct, 4), [0.5])
    assert 0.0 <= found.low[0] <= found.value[0] <= found.high[0] <= 1.0
    assert (found.low[0] > 0.3) == (correct[0] == 4)


@pytest.mark.parametrize("tau", [[], [0.0], [1.2], [float("nan")], [[0.5]]])
def test_bad_tau(tau: object) -> None:
    with pytest.raises(ValueError, match="tau must be numbers"):
        cover_curve(GroupCounts([1, 2], 4), tau)

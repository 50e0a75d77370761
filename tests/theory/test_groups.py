"""GroupCounts: invariants, counting rewards, selecting, stacking, pooling, variance."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from grpolab.theory.groups import GroupCounts, Provenance

RUN = settings(deadline=None, derandomize=True, max_examples=60)


@st.composite
def tables(draw: st.DrawFn, *, min_groups: int = 1) -> GroupCounts:
    """Ragged groups of a few prompts."""
    rows = draw(
        st.lists(
            st.tuples(st.integers(1, 40), st.floats(0, 1), st.integers(-2, 5), st.integers(0, 9)),
            min_size=min_groups,
            max_size=30,
        )
    )
    return GroupCounts(
        [round(size * share) for size, share, _, _ in rows],
        [size for size, _, _, _ in rows],
        prompt_id=[prompt for _, _, prompt, _ in rows],
        step=[step for _, _, _, step in rows],
        provenance=Provenance(source="test", seed=3),
    )


REWARDS = arrays(
    np.float64,
    array_shapes(min_dims=2, max_dims=2, max_side=8),
    elements=st.sampled_from([0.0, 1.0, np.nan]),
)


@RUN
@given(rewards=REWARDS)
def test_from_rewards_counts_row_by_row(rewards: npt.NDArray[np.float64]) -> None:
    rows = [[r for r in row if r == r] for row in rewards.tolist()]
    kept = [i for i, row in enumerate(rows) if row]
    counts = GroupCounts.from_rewards(rewards, prompt_id=np.arange(len(rows)) + 10, step=7)
    assert counts.num_correct.tolist() == [sum(rows[i]) for i in kept]
    assert counts.group_size.tolist() == [len(rows[i]) for i in kept]
    assert counts.prompt_id.tolist() == [i + 10 for i in kept]
    assert counts.step.tolist() == [7] * len(kept)
    assert counts.provenance.num_missing == int(np.isnan(rewards).sum())


def test_missing_verdicts_add_up_and_leave_the_rest_of_the_provenance() -> None:
    info = Provenance(source="a.jsonl", seed=1, filtered=True, num_missing=5)
    counts = GroupCounts.from_rewards([[1, np.nan]], provenance=info)
    assert counts.provenance == dataclasses.replace(info, num_missing=6)


@RUN
@given(counts=tables())
def test_variance_is_that_of_the_rewards(counts: GroupCounts) -> None:
    for ddof in (0, 1):
        variance = counts.variance(ddof=ddof)
        for k, g, got in zip(counts.num_correct, counts.group_size, variance, strict=True):
            if g > ddof:
                rewards = np.repeat([1.0, 0.0], [k, g - k])
                assert got == pytest.approx(rewards.var(ddof=ddof), abs=1e-12)
            else:
                assert np.isnan(got)


@RUN
@given(counts=tables())
def test_shares_agree_with_each_other(counts: GroupCounts) -> None:
    zero_std = counts.variance() == 0
    assert counts.frac_zero_std == pytest.approx(zero_std.mean())
    assert np.array_equal(zero_std, counts.all_wrong | counts.all_right)
    assert counts.frac_zero_std == pytest.approx(counts.frac_all_wrong + counts.frac_all_right)
    assert counts.mean_reward == pytest.approx(
        np.average(counts.num_correct / counts.group_size, weights=counts.group_size)
    )


@RUN
@given(counts=tables())
def test_by_prompt_pools_every_group_once(counts: GroupCounts) -> None:
    totals = counts.by_prompt()
    assert totals.prompt_id.tolist() == sorted(set(counts.prompt_id.tolist()))
    for prompt, k, n in zip(totals.prompt_id, totals.num_correct, totals.num_samples, strict=True):
        mine = counts.prompt_id == prompt
        assert (k, n) == (counts.num_correct[mine].sum(), counts.group_size[mine].sum())
    assert np.allclose(totals.rate, totals.num_correct / totals.num_samples)


@RUN
@given(counts=tables(min_groups=2), data=st.data())
def test_select_and_concat_undo_each_other(counts: GroupCounts, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(counts)))
    rows = np.arange(len(counts))
    parts = [counts.select(rows < cut), counts.select(rows[cut:])]
    assert [len(part) for part in parts] == [cut, len(counts) - cut]
    assert GroupCounts.concat(parts) == counts


def test_concat_keeps_names_and_provenance_of_the_first() -> None:
    first = GroupCounts([1], 2, prompt_names={0: "a"}, provenance=Provenance(source="one"))
    both = GroupCounts.concat([first, GroupCounts([2], 2, provenance=Provenance(source="two"))])
    assert (both.provenance.source, dict(both.prompt_names)) == ("one", {0: "a"})
    with pytest.raises(ValueError, match="at least one"):
        GroupCounts.concat([])


@pytest.mark.parametrize(
    ("correct", "size", "message"),
    [
        ([1, 5], 4, "got 5 of 4 in group 1"),
        ([-1], 4, "got -1 of 4 in group 0"),
        ([0], 0, "group_size must be >= 1, got 0"),
        ([0.5], 4, "num_correct must hold whole numbers"),
        ([0, 0], [4, 4, 4], "group_size must have shape"),
        (3, 4, "num_correct must have shape"),
        ([[1]], 4, "num_correct must have shape"),
    ],
)
def test_broken_tables_are_refused(correct: object, size: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GroupCounts(correct, size)  # type: ignore[arg-type]


@pytest.mark.parametrize("column", ["prompt_id", "step"])
def test_columns_of_another_length_are_refused(column: str) -> None:
    with pytest.raises(ValueError, match=rf"{column} must have shape \[2\], got \[3\]"):
        GroupCounts([0, 1], 4, **{column: [1, 2, 3]})  # type: ignore[arg-type]


@pytest.mark.parametrize("rewards", [[[0.5]], [[2]], [1, 0], [[np.inf]], [[-1.0]]])
def test_rewards_other_than_0_and_1_are_refused(rewards: object) -> None:
    with pytest.raises(ValueError, match="rewards must"):
        GroupCounts.from_rewards(rewards)  # type: ignore[arg-type]


def test_not_a_number_is_no_count() -> None:
    with pytest.raises(ValueError, match="whole numbers"):
        GroupCounts([np.nan], 4)


def test_the_table_cannot_be_changed() -> None:
    given_size = np.array([4, 4])
    counts = GroupCounts([1, 2], given_size)
    with pytest.raises(ValueError, match="read-only"):
        counts.num_correct[0] = 3
    with pytest.raises(dataclasses.FrozenInstanceError):
        counts.group_size = given_size  # type: ignore[misc]
    given_size[0] = 1  # the table holds a copy, and the caller's array stays his
    assert counts.group_size.tolist() == [4, 4]


def test_defaults() -> None:
    counts = GroupCounts([1, 2], 4)
    assert (counts.prompt_id.tolist(), counts.step.tolist()) == ([0, 1], [0, 0])
    assert counts.provenance == Provenance()


def test_equality() -> None:
    counts = GroupCounts([1, 2], 4)
    assert counts == GroupCounts([1, 2], [4, 4], prompt_id=[0, 1])
    assert counts != GroupCounts([1, 3], 4)
    assert counts != GroupCounts([1, 2], 5)
    assert counts != GroupCounts([1, 2], 4, step=1)
    assert counts != GroupCounts([1, 2], 4, prompt_id=[0, 0])
    assert counts != GroupCounts([1, 2], 4, provenance=Provenance(seed=1))
    assert counts != "table"


def test_an_empty_table_has_no_groups() -> None:
    counts = GroupCounts.from_rewards(np.full((3, 2), np.nan))
    assert len(counts) == len(counts.by_prompt().prompt_id) == 0
    assert counts.provenance.num_missing == 6

"""Tables in notebooks and data frame libraries: every one of them, in one way."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

import grpolab
from grpolab import GroupCounts, Rollouts
from grpolab.frames import SHOWN, Frame
from grpolab.simulate.bernoulli import simulate_bernoulli

COUNTS = GroupCounts(
    np.arange(24) % 9, 8, prompt_id=np.arange(24) // 2, prompt_names={0: "<b>first</b>"}
)


def rollouts(seed: int) -> Rollouts:
    """Eight completions of each of 20 prompts."""
    rng = np.random.default_rng(seed)
    prompt = np.repeat(np.arange(20), 8)
    one = np.ones_like(prompt)
    return Rollouts(
        prompt_id=prompt, group=0 * one, reward=rng.binomial(1, 0.4, len(one)).astype(float),
        num_tokens=5 * one, truncated=one < 0, entropy=0.5 * one, logprob=-2.0 * one,
        text_hash=np.arange(len(one)),
    )  # fmt: skip


FRAMES: dict[str, Callable[[], Frame]] = {
    "GroupCounts": lambda: COUNTS,
    "no groups": lambda: GroupCounts([], []),
    "Audit": lambda: grpolab.audit(COUNTS, rng=0, label="x"),
    "Rollouts": lambda: rollouts(0),
    "Trajectory": lambda: simulate_bernoulli(
        0.3, group_size=8, num_steps=12, num_chains=10, learning_rate=0.1, seed=0
    ),
    "Triage": lambda: grpolab.triage(
        {name: rollouts(seed) for seed, name in enumerate("ab")}, task="t", group_size=4, rng=0,
        num_resamples=200,
    ),
}  # fmt: skip


@pytest.fixture(params=FRAMES)
def frame(request: pytest.FixtureRequest) -> Frame:
    return FRAMES[request.param]()


def test_repr_is_one_short_line(frame: Frame) -> None:
    assert repr(frame) == f"<{type(frame).__name__}: {frame.headline}>"
    assert "\n" not in repr(frame)
    assert len(repr(frame)) < 200


def test_notebooks_show_the_first_rows_and_escape_names(frame: Frame) -> None:
    shown = frame._repr_html_()
    length = len(next(iter(frame.columns.values())))
    assert shown.count("<tr>") == 1 + min(length, SHOWN)
    assert ("more rows" in shown) == (length > SHOWN)
    assert all(f'<th scope="col">{name}</th>' in shown for name in frame.columns)
    assert "<b>" not in shown
    assert not re.search(r"\bat 0x", shown)


def test_arrow_takes_all_rows(frame: Frame) -> None:
    table = pa.table(frame)
    assert table.column_names == list(frame.columns)
    for name, column in frame.columns.items():
        assert len(table) == len(column)
        np.testing.assert_equal(np.asarray(table[name].to_pylist()), np.asarray(column))


def test_pandas_takes_all_rows(frame: Frame) -> None:
    pytest.importorskip("pandas")
    data = frame.to_pandas()
    assert list(data.columns) == list(frame.columns)
    assert len(data) == max(map(len, frame.columns.values()))


def test_a_missing_pandas_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(grpolab.UserError, match="pip install pandas"):
        COUNTS.to_pandas()


def test_counts_in_a_line() -> None:
    assert repr(COUNTS) == (
        "<GroupCounts: 24 groups of 8, 12 prompts, mean reward 0.453, 21% of the groups zero-std>"
    )


def test_audits_side_by_side_and_a_triage_are_drawn() -> None:
    audit, triage = FRAMES["Audit"](), FRAMES["Triage"]()
    other = grpolab.audit(GroupCounts([0, 1, 4, 2], 4), rng=0, label="y")
    left, _ = grpolab.plot(audit, other).axes
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["x", "y"]
    assert left.get_xlabel() == "success rate p of a prompt"
    assert grpolab.plot(triage).axes[0].get_xlabel() == "expected signal"
    for wrong in ((), (audit, triage), (triage, triage)):
        with pytest.raises(ValueError, match="audits, or one triage"):
            grpolab.plot(*wrong)


def test_the_front_door_lists_what_is_there() -> None:
    assert {"plot", "read", "audit", "critical_p", "triage"} <= set(dir(grpolab))

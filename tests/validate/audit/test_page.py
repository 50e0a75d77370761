"""The page of an audit: few sentences first, one figure, and the prompts behind the numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from grpolab.theory.groups import GroupCounts
from grpolab.validate.audit.compare import compare
from grpolab.validate.audit.headline import headline
from grpolab.validate.audit.page import write_audit
from grpolab.validate.audit.summary import Audit, audit
from grpolab.validate.audit.tables import gaps
from grpolab.validate.audit.unsolved import unsolved


def made(seed: int, label: str, *, a: float = 0.6) -> Audit:
    rng = np.random.default_rng(seed)
    correct = rng.binomial(8, rng.beta(a, 1.0, 60))
    names = {i: f"problem {i}" for i in range(60)}
    counts = GroupCounts(correct, 8, prompt_id=np.arange(60), prompt_names=names)
    return audit(counts, rng=0, label=label, group_sizes=[4, 8], num_resamples=50)


def test_headline_agrees_with_the_table() -> None:
    found = made(0, "a")
    first, second, third = headline([found], [])
    p = found.plans[8].prediction
    assert first.startswith(f"**{100 * (1 - p.zero_std):.0f}% of the groups of 8 (")
    assert f"{100 * p.all_wrong:.0f}% are all wrong" in second
    never, some, always = found.solved
    assert f"{never} were never solved, {always} always, and {some} sometimes" in third


def test_prompts_never_solved_are_named_with_their_posterior() -> None:
    counts = GroupCounts(
        [0, 0, 0, 3, 4, 2, 1, 4], [4, 4, 12, 4, 4, 4, 4, 4], prompt_id=np.arange(8),
        prompt_names={0: "first", 1: "second", 2: "third"},
    )  # fmt: skip
    table = unsolved(counts, 8)
    assert table is not None
    few, many = table.rows
    assert (few[:2], few[-1]) == ((4, 2), "first, second")
    assert (many[:2], many[-1]) == ((12, 1), "third")
    assert isinstance(few[2], float)
    assert isinstance(many[2], float)
    assert 0 < many[2] < few[2] < 0.3  # 12 failures say more than 4
    assert unsolved(GroupCounts([1, 2, 3], 4), 8) is None
    assert unsolved(GroupCounts([0, 1], 1), 8) is None  # one sample each: no posterior


def test_several_inputs_share_one_figure_and_differences_have_intervals(tmp_path: Path) -> None:
    found = [made(0, "_a$1"), made(1, "b", a=3.0)]
    differences = compare(*found)
    write_audit(tmp_path / "page.html", found, differences)
    text = (tmp_path / "page.html").read_text()
    assert text.index("<svg") < text.index("<details")
    assert text.count("<svg") - text.count("<summary>Figure") == 1
    row = gaps(differences).cells[0]
    assert row[0] == "_a$1 minus b"
    assert float(row[2]) == pytest.approx(100 * differences[0].difference, abs=0.06)
    low, high = map(float, row[3].split(" to "))
    assert low < float(row[2]) < high

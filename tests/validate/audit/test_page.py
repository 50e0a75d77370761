"""The page of an audit: few sentences first, one figure, and the prompts behind the numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from grpolab.figures.page import drawn
from grpolab.theory.groups import GroupCounts
from grpolab.validate.audit.compare import compare
from grpolab.validate.audit.headline import headline
from grpolab.validate.audit.page import _draw_share, draw_sides, sides_size, write_audit
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


LONG = "runs/llama-3.1-8b-instruct-openr1-math-220k-lr1e-5-bs128/epoch3-step{}-temperature0.7"


@pytest.mark.parametrize("number", [2, 5, 12])
def test_a_figure_of_many_inputs_can_be_read(number: int) -> None:
    one = made(0, "")
    several = [replace(one, label=LONG.format(i)) for i in range(number)]
    figure = drawn(lambda axes: draw_sides(axes, several), size=sides_size(several), panels=2)
    figure.draw_without_rendering()
    left, right = figure.axes
    legend = left.get_legend()
    if legend is None:
        names = [tick.get_text() for tick in left.get_yticklabels()]
        assert number > 4
        assert len(right.get_lines()) == 2 * number
    else:
        names = [text.get_text() for text in legend.get_texts()]
        assert legend.get_window_extent().y1 < left.get_window_extent().y0  # below, over no line
    assert len(set(names)) == number
    assert max(map(len, names)) <= 30
    assert left.get_window_extent().width > 0.25 * figure.bbox.width


def test_the_headline_of_many_inputs_counts_pairs_and_names_the_ends() -> None:
    high, low = made(0, "high"), made(1, "low", a=3.0)
    several = [low, *(replace(high, label=f"high{i}") for i in range(5))]
    differences = compare(high, low)
    shares, *tallies = headline(several, differences)
    ranked = sorted(several, key=lambda one: one.plans[8].prediction.zero_std)
    assert f"most in {ranked[0].label} " in shares
    assert f"fewest in {ranked[-1].label} " in shares
    assert "of 6 inputs" in shares
    assert [said.partition(":")[0] for said in tallies] == [d.quantity for d in differences][:2]
    assert all("of 1 pair of inputs, " in said for said in tallies)


def test_one_prompt_is_one_prompt() -> None:
    one = audit(GroupCounts([5], 16), rng=0, label="one", group_sizes=[8], num_resamples=20)
    assert headline([one], [])[-1] == "Of 1 prompt, 0 were never solved, 0 always, and 1 sometimes."


def test_the_curve_goes_through_the_numbers_of_the_table() -> None:
    rng = np.random.default_rng(3)
    counts = GroupCounts(rng.binomial(4, rng.choice([0.05, 0.9], 40)), 4)
    found = audit(counts, rng=0, group_sizes=[4, 16, 64], num_resamples=50)
    figure = Figure()
    axes = figure.subplots()
    _draw_share(axes, found)
    (line,) = (one for one in axes.lines if one.get_label() == "forecast")
    shown = dict(zip(*(np.asarray(part).tolist() for part in line.get_data()), strict=True))
    assert [shown[g] for g in found.plans] == [p.prediction.zero_std for p in found.plans.values()]
    assert np.all(np.diff(list(shown.values())) <= 1e-9)

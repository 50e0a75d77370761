import io

import pytest
from matplotlib.figure import Figure

from grpolab.figures import shootout
from grpolab.figures.style import styled

VALUES = {
    "depth": {"t/a": 0.5, "t/b": -0.4},
    "signal": {"t/a": 0.9, "t/b": 0.8},
    "greedy": {"t/a": -0.2, "t/b": None},
}


def picture(values=VALUES, **more):
    with styled():
        figure = Figure(figsize=(4, 3), layout="constrained")
        ax = figure.subplots()
        shootout.draw(ax, values, **more)
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return ax, out.getvalue()


def names(ax):
    return [tick.get_text() for tick in ax.get_yticklabels()]


def test_best_row_first_baseline_marked_and_byte_stable():
    ax, first = picture(labels={"signal": "E[sigma]"}, title="t")
    assert names(ax) == ["E[sigma]", "depth (baseline)", "greedy"]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["t\na", "t\nb"]
    assert sorted(t.get_text() for t in ax.texts) == sorted(
        ["+0.90", "+0.80", "+0.50", "-0.40", "-0.20"]
    )
    assert picture(labels={"signal": "E[sigma]"}, title="t")[1] == first


def test_the_sign_has_its_own_colour():
    ax, _ = picture(baselines=())
    fills = [p for p in ax.patches if p.get_alpha() is not None]
    right = {p.get_facecolor()[:3] for p, t in zip(fills, ax.texts, strict=True)
             if t.get_text()[0] == "+"}  # fmt: skip
    wrong = {p.get_facecolor()[:3] for p, t in zip(fills, ax.texts, strict=True)
             if t.get_text()[0] == "-"}  # fmt: skip
    assert len(right) == len(wrong) == 1
    assert right != wrong


def test_least_regret_first_and_framed():
    ax, _ = picture({"depth": {"a": 0.3, "b": 0.0}, "x": {"a": 0.1, "b": 0.1}}, kind="regret")
    assert names(ax) == ["x", "depth (baseline)"]
    frames = [p for p in ax.patches if not p.get_fill()]
    assert sorted((p.get_x(), p.get_y()) for p in frames) == [(-0.4, -0.4), (0.6, 0.6)]


def test_all_regrets_zero_and_a_wrong_kind():
    ax, _ = picture({"depth": {"a": 0.0}}, kind="regret")
    assert [t.get_text() for t in ax.texts] == ["0.000"]
    with pytest.raises(ValueError, match="kind must be"):
        picture(kind="violin")

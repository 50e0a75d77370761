"""Figures draw what they are given, and the same data give the same bytes."""

import io

import numpy as np
import pytest
from matplotlib.figure import Figure

from grpolab.figures import forecast, ladder, thresholds
from grpolab.figures.style import styled
from grpolab.theory import critical_p

RUNGS = [
    ladder.Rung(
        d, 3,
        {"pass_at_1": 0.2 + i / 10, "pass_at_10": 0.8 - i / 10, "final_pass_at_1": 0.5,
         "final_pass_at_10": 0.9 - i / 5, "gain_pass_at_1": 0.3 - i / 10, "gain_pass_at_10": 0.1,
         "icc": i / 4, "token_entropy": 0.4 - i / 10},
        {"pass_at_1": 0.02},
    )
    for i, d in enumerate((8, 32, 128))
]  # fmt: skip
POINTS = {name: [(0.5, 0.1 * i), (0.9, 0.2 * i)] for i, name in enumerate(forecast.STYLES, 1)}
ROWS = [
    {"group_size": g, "rho": rho, "predicted": p, "estimate": 1.01 * p, "low": 0.99 * p,
     "high": 1.02 * p}
    for g in (4, 8, 16)
    for rho in (0.0, 0.1)
    for p in [float(critical_p(g, rho=rho))]
]  # fmt: skip


def draw_steps(ax):
    forecast.draw_steps(
        ax, [0.5, 0.4, 0.3], formula=[0.1, 0.1, 0.1],
        forecast={"beta-binomial": 0.45, "thinning": 0.5}, smooth=2,
    )  # fmt: skip


CLAIMS = {
    "ladder": lambda ax: ladder.draw(ax, RUNGS, title="t"),
    "gain": lambda ax: ladder.draw_gain(ax, RUNGS),
    "entropy": lambda ax: ladder.draw_entropy(ax, RUNGS),
    "forecast": lambda ax: forecast.draw(ax, POINTS),
    "steps": draw_steps,
    "thresholds": lambda ax: thresholds.draw(ax, ROWS),
}


def picture(draw):
    with styled():
        figure = Figure(figsize=(4, 3), layout="constrained")
        ax = figure.subplots()
        draw(ax)
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return ax, out.getvalue()


@pytest.mark.parametrize("name", sorted(CLAIMS))
def test_labelled_and_byte_stable(name):
    ax, first = picture(CLAIMS[name])
    assert ax.get_xlabel()
    assert picture(CLAIMS[name])[1] == first


def series(ax):
    return [np.asarray(line.get_ydata(), float).tolist() for line in ax.get_lines()]


def test_ladder_draws_its_numbers():
    ax, _ = picture(CLAIMS["ladder"])
    assert [r.mean["final_pass_at_10"] for r in RUNGS] in series(ax)
    assert [r.mean["pass_at_1"] for r in RUNGS] in series(ax)
    bars, _ = picture(CLAIMS["gain"])
    heights = [patch.get_height() for patch in bars.patches]
    assert heights == [r.mean["gain_pass_at_1"] for r in RUNGS] + [0.1] * 3


def test_thresholds_draw_theory_as_lines():
    ax, _ = picture(CLAIMS["thresholds"])
    assert [float(critical_p(g)) for g in (4, 8, 16)] in series(ax)


def test_steps_smooth_the_measured_series():
    ax, _ = picture(draw_steps)
    drawn = series(ax)
    assert drawn[0] == pytest.approx([0.5, 0.45, 0.35])
    assert [0.5, 0.5] in drawn

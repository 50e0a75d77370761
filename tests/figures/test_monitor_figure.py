"""The figure of the monitor draws what it is given."""

import io
import math

import numpy as np
from matplotlib.figure import Figure

from grpolab.figures import monitor
from grpolab.figures.style import styled

RUNS = {
    "dead": {"step": [1, 2, 3], "evidence": [1.0, 20.0, 300.0], "stop": 3},
    "healthy": {"step": [1, 2, 3], "evidence": [0.5, 1e-9, 0.2], "stop": None},
}


def picture(draw):
    with styled():
        figure = Figure(figsize=(6, 4), layout="constrained")
        ax = figure.subplots()
        draw(ax)
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return figure, out.getvalue()


def series(ax):
    return [np.asarray(line.get_ydata(), float).tolist() for line in ax.get_lines()]


def test_runs_and_stops():
    def draw(ax):
        monitor.draw(ax, RUNS, threshold=100.0)

    figure, first = picture(draw)
    (ax,) = figure.axes
    drawn = series(ax)
    assert [1.0, 20.0, 300.0] in drawn
    assert [300.0] in drawn  # the stop
    assert [0.5, 1e-3, 0.2] in drawn  # clipped at the floor
    assert ax.get_yscale() == "log"
    assert picture(draw)[1] == first


def test_one_run_in_panels():
    def draw(ax, entropy=(0.4, None, 0.3)):
        monitor.draw_run(
            ax, [1, 2, 3], num_informative=[4, 0, 0], num_groups=[8, 0, 8],
            evidence=[0.5, 0.5, 200.0], entropy=entropy, min_signal=0.02, threshold=100.0, stop=3,
        )  # fmt: skip

    figure, first = picture(draw)
    share, evidence, entropy = figure.axes
    dots = series(share)[0]
    assert (dots[0], dots[2]) == (0.5, 0.0)
    assert math.isnan(dots[1])
    assert [0.5, 0.5, 200.0] in series(evidence)
    assert [3, 3] in [list(line.get_xdata()) for line in evidence.get_lines()]
    assert entropy.get_ylabel() == "nats per token"
    assert entropy.get_xlabel() == "training step"
    assert picture(draw)[1] == first
    without, _ = picture(lambda ax: draw(ax, entropy=(None, None, None)))
    assert len(without.axes) == 2

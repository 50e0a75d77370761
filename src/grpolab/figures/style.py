"""One look for all figures: colour-blind safe, readable in print, byte-stable as SVG."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#6b7280"
PURPLE, SKY = "#CC79A7", "#56B4E9"

_RC: Any = {
    "font.size": 9,
    "font.family": "DejaVu Sans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e9ee",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.6,
    "svg.hashsalt": "grpolab",
    "svg.fonttype": "path",
}


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Apply the style inside a block and leave matplotlib as it was."""
    import matplotlib

    with matplotlib.rc_context(_RC):
        yield

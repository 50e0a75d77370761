"""One look for all figures: colour-blind safe, readable in print, byte-stable as SVG."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from grpolab.terminal import printable

BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#6b7280"
PURPLE, SKY = "#CC79A7", "#56B4E9"
LEGEND: Any = {
    "loc": "upper left", "fontsize": 8.5, "handlelength": 1.6, "columnspacing": 1.2,
}  # fmt: skip
"""A legend under a narrow figure."""

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


def ink(colour: str) -> str:
    """A darker shade of a line's colour, for words: pale letters are hard to read.

    >>> ink("#ff8000")
    '#b25900'
    """
    parts = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{7 * part // 10:02x}" for part in parts)


def name_line(
    ax: Any, text: str, *, at: tuple[float, float], colour: str, shift: tuple[float, float] = (4, 0)
) -> None:
    """Write the name of a line at the point ``at``, moved by ``shift`` in points.

    Moved to the right it begins there, to the left it ends there, else it is centred.
    """
    side = "center" if shift[0] == 0 else "left" if shift[0] > 0 else "right"
    ax.annotate(
        text, at, xytext=shift, textcoords="offset points", color=ink(colour), fontsize=8.5,
        ha=side, va="center", annotation_clip=False,
    )  # fmt: skip


def name_legend(ax: Any, lines: Sequence[Any], names: Sequence[str]) -> None:
    """A legend of names that users chose: nothing in them is a formula or hides the line."""
    legend = ax.legend(lines, ["-"] * len(lines), fontsize=8)
    for shown, name in zip(legend.get_texts(), names, strict=True):
        shown.set_parse_math(False)
        shown.set_text(printable(name))


def size_ticks(ax: Any, sizes: Any) -> None:
    """Group sizes along x, each written out, doubling at equal distances."""
    ax.set_xscale("log", base=2)
    ax.set_xticks(sizes, [str(g) for g in sizes])
    ax.set_xticks([], minor=True)
    ax.set_xlabel("group size g")


def plain_log(ax: Any, axis: str, ticks: Any) -> None:
    """A logarithmic axis with these ticks, written as numbers."""
    getattr(ax, f"set_{axis}scale")("log")
    getattr(ax, f"set_{axis}ticks")(ticks, [f"{v:g}" for v in ticks])
    getattr(ax, f"set_{axis}ticks")([], minor=True)

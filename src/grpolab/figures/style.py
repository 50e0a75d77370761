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
    '#aa5500'
    """
    parts = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{2 * part // 3:02x}" for part in parts)


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


def name_parts(ax: Any, names: Sequence[str]) -> None:
    """Above the axes, what the three parts of every bar are: wrong, mixed and right."""
    sides = (("left", 0.0, RED), ("center", 0.5, BLUE), ("right", 1.0, GREEN))
    for name, (side, x, colour) in zip(names, sides, strict=True):
        ax.text(x, 1.02, name, color=ink(colour), transform=ax.transAxes, fontsize=8, ha=side)


def name_legend(ax: Any, lines: Sequence[Any], names: Sequence[str]) -> None:
    """A legend below of names that users chose: nothing in them is a formula or hides the line."""
    legend = legend_below(ax, lines, ["-"] * len(lines))
    for shown, name in zip(legend.get_texts(), short_names(names), strict=True):
        shown.set_parse_math(False)
        shown.set_text(name)


def legend_below(ax: Any, *entries: Any) -> Any:
    """A legend in two columns under the axes, where it covers nothing."""
    return ax.legend(*entries, loc="upper left", bbox_to_anchor=(0, -0.16), ncols=2, fontsize=8)


def short_names(names: Sequence[str], *, longest: int = 30) -> list[str]:
    """Names that users chose, short enough for a figure: cut in the middle, distinct if they were.

    Where one is too long, the folder that all share is left out first.

    >>> short_names(["runs/a/step-8", "runs/a/step-16"])
    ['runs/a/step-8', 'runs/a/step-16']
    >>> short_names(["runs/abcdefgh/step-000008", "runs/abcdefgh/final"], longest=12)
    ['step-000008', 'final']
    >>> short_names(["a.jsonl", "a-very-long-name.jsonl"], longest=13)
    ['a.jsonl', 'a-very….jsonl']
    >>> short_names(["x" * 20 + "a" + "x" * 20, "x" * 20 + "b" + "x" * 20], longest=11)
    ['xxxxx…xxxxx', 'xxxxx…xxx~2']
    """
    whole = [printable(name) for name in names]
    if len(whole) > 1 and max(map(len, whole)) > longest:
        folders = [name.rpartition("/")[0] for name in whole]
        if folders[0] and len(set(folders)) == 1:
            whole = [name.removeprefix(f"{folders[0]}/") for name in whole]
    half = (longest - 1) // 2
    shown: list[str] = []
    for name in whole:
        cut = name if len(name) <= longest else f"{name[:half]}…{name[-half:]}"
        repeats = shown.count(cut)
        shown.append(f"{cut[:-2]}~{repeats + 1}" if repeats and len(name) > longest else cut)
    return shown


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

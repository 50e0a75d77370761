"""p*(g): half of the groups carry no signal; derived, and found again by simulation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from grpolab.figures.style import BLUE, GREEN, ORANGE, RED

_COLOURS = (BLUE, ORANGE, GREEN, RED)


def draw(ax: Any, rows: Sequence[Mapping[str, Any]], *, title: str = "") -> None:
    """Draw theory as lines and simulation as points with 99 % intervals, one colour per ICC.

    ``rows``: mappings with ``group_size``, ``rho``, ``predicted``, ``estimate``, ``low``, ``high``.
    """
    for rho, colour in zip(sorted({row["rho"] for row in rows}), _COLOURS, strict=False):
        mine = sorted((r for r in rows if r["rho"] == rho), key=lambda r: r["group_size"])
        mine = [r for r in mine if r["predicted"] is not None]
        x = [r["group_size"] for r in mine]
        ax.plot(x, [r["predicted"] for r in mine], color=colour, linewidth=1.2)
        low = [r["estimate"] - r["low"] for r in mine]
        high = [r["high"] - r["estimate"] for r in mine]
        ax.errorbar(
            x, [r["estimate"] for r in mine], yerr=[low, high], fmt="o", markersize=4,
            color=colour, capsize=2, label=f"ICC = {rho:g}",
        )  # fmt: skip
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ticks = sorted({row["group_size"] for row in rows})
    ax.set_xticks(ticks, [str(v) for v in ticks])
    ax.minorticks_off()
    ticks = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5]
    ax.set_yticks(ticks, [str(v) for v in ticks])
    ax.set_xlabel("group size g")
    ax.set_ylabel("p* (mean success rate)")
    ax.set_title(title)
    ax.legend(loc="lower left")

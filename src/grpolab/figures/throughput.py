"""Simulated training groups per processor second, beside the same model in NumPy, JAX and C."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from grpolab.figures.style import BLUE, GREY

SPEED = "million_groups_per_cpu_second"


def data(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Competitors, the fastest first."""
    rows = [{"name": name, **row} for name, row in found["peers"].items()]
    return sorted(rows, key=lambda row: -row[SPEED])


def draw(ax: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw a bar per competitor with its number."""
    speeds = [row[SPEED] for row in rows]
    colours = [BLUE if row["name"] == "grpolab" else GREY for row in rows]
    ax.barh(range(len(rows)), speeds, color=colours, height=0.62)
    for y, speed in enumerate(speeds):
        ax.annotate(f"{speed:.0f}", (speed, y), xytext=(4, 0), textcoords="offset points",
                    va="center")  # fmt: skip
    ax.set_yticks(range(len(rows)), [row["name"] for row in rows])
    ax.invert_yaxis()
    ax.tick_params(axis="y", length=0)
    ax.grid(visible=False, axis="y")
    ax.spines["left"].set_visible(False)
    ax.set_xlim(0, 1.12 * max(speeds))
    ax.set_xlabel("million groups per CPU second (g = 8)")

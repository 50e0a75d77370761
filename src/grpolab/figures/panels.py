"""Drawings of the reports, laid out as figures of their own: narrow, one panel above another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from grpolab.figures import forecast, ladder, monitor, shootout
from grpolab.figures.committed import regime

_LEGEND = {"loc": "upper left", "fontsize": 8.5, "handlelength": 1.6, "columnspacing": 1.2}


def draw_ladder(axes: Sequence[Any], found: Mapping[str, Any]) -> None:
    """One panel per family, a legend under the last."""
    for ax, (name, depths) in zip(axes, found.items(), strict=False):
        ladder.draw(ax, depths)
        ax.set_title(f"regime {regime(name)}", fontweight="normal", fontsize=9)
        ax.get_legend().remove()
        ax.set_xlabel("")
        ax.set_ylabel("")
    axes[len(axes) // 2].set_ylabel("share of held-out prompts solved")
    axes[-1].set_xlabel("SFT depth (steps)")
    axes[-1].legend(ncols=2, bbox_to_anchor=(-0.1, -0.3), **_LEGEND)


def draw_forecast(ax: Any, points: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    """Predicted against counted share of zero-std groups."""
    forecast.draw(ax, points)


def draw_shootout(ax: Any, values: Mapping[str, Mapping[str, float | None]]) -> None:
    """Regret of choosing the start by each predictor, in each family."""
    names = {p: p.replace("pass_at_", "pass@").replace("_", " ") for p in values}
    shootout.draw(ax, values, kind="regret", labels=names)
    families = list(dict.fromkeys(f for row in values.values() for f in row))
    ax.set_xticks(
        range(len(families)), families, rotation=40, ha="left", rotation_mode="anchor"
    )  # nine names do not fit side by side
    ax.tick_params(axis="both", labelsize=9)
    for number in ax.texts:
        number.set(text=number.get_text().removeprefix("0"), fontsize=9)


_RUNS = {
    "plain": "healthy",
    "outage": "healthy, grader down for a while",
}


def draw_monitor(ax: Any, found: Mapping[str, Any]) -> None:
    """Evidence of no signal over the steps of some runs."""
    runs = {_RUNS.get(name, name): run for name, run in found["runs"].items()}
    monitor.draw(ax, runs, threshold=found["threshold"])
    ax.legend(ncols=2, bbox_to_anchor=(-0.18, -0.2), **_LEGEND)

"""The formula at the mean p misses the share of zero-std groups; the spread of p does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from grpolab.figures.ladder import families
from grpolab.figures.style import BLUE, GREEN, GREY, ORANGE, RED

STYLES: Mapping[str, tuple[str, str, str]] = {
    "mean-p": ("formula at mean p", RED, "x"),
    "beta-binomial": ("beta-binomial fit", ORANGE, "s"),
    "thinning": ("thinning of earlier rollouts", BLUE, "o"),
}


def data(summary: Mapping[str, Any]) -> dict[str, list[tuple[float, float]]]:
    """Points (counted, predicted) per forecast, one per family and depth (means over seeds)."""
    rungs = [rung for ladder in families(summary).values() for rung in ladder]
    return {
        name: [(rung.mean["zero_std"], rung.mean[f"zero_std/{name}"]) for rung in rungs]
        for name in STYLES
    }


def real_data(record: Mapping[str, Any]) -> dict[str, list[tuple[float, float]]]:
    """Points (counted, predicted) of public data sets, each at its largest group size up to 8.

    >>> row = {"name": "a", "held_out": 0.5, "formula": 0.1, "beta_binomial": 0.4, "thinning": 0.45}
    >>> real_data({"rows": [{**row, "group_size": 4}, {**row, "group_size": 16}]})["mean-p"]
    [(0.5, 0.1)]
    """
    rows = sorted(
        (r for r in record["rows"] if r["group_size"] <= 8), key=lambda r: r["group_size"]
    )
    last = {row["name"]: row for row in rows}.values()
    columns = zip(STYLES, ("formula", "beta_binomial", "thinning"), strict=True)
    return {name: [(row["held_out"], row[column]) for row in last] for name, column in columns}


def draw(ax: Any, points: Mapping[str, Sequence[tuple[float, float]]], *, title: str = "") -> None:
    """Draw predicted against measured zero-std share; ``points[name]``: (measured, predicted)."""
    ax.plot([0, 1], [0, 1], color=GREY, linewidth=0.9)
    for name, (label, colour, mark) in STYLES.items():
        xs, ys = zip(*points[name], strict=True)
        ax.scatter(xs, ys, color=colour, marker=mark, s=26, label=label, zorder=3)
    ax.set_xlim(-0.02, 1.02)
    ax.set_ylim(-0.02, 1.02)
    ax.set_aspect("equal")
    ax.set_xlabel("measured share of zero-std groups")
    ax.set_ylabel("predicted share")
    ax.set_title(title)
    ax.legend(loc="upper left", borderpad=0.1)


def draw_steps(
    ax: Any,
    measured: Sequence[float],
    *,
    formula: Sequence[float],
    forecast: Mapping[str, float],
    title: str = "",
    ylabel: str = "share of zero-std groups",
    smooth: int = 5,
) -> None:
    """Draw a per-step series of early RL against the three forecasts, smoothed over ``smooth``."""
    ax.plot(_rolling(measured, smooth), color=GREEN, linewidth=2.2, label="measured")
    ax.plot(
        _rolling(formula, smooth), color=RED, linewidth=1.2, label="formula at the step's mean p"
    )
    for name in ("beta-binomial", "thinning"):
        label, colour, _ = STYLES[name]
        style = "--" if name == "beta-binomial" else ":"
        ax.axhline(forecast[name], color=colour, linestyle=style, label=f"{label}, before RL")
    ax.set_xlabel("GRPO step")
    ax.set_ylabel(ylabel)
    ax.set_ylim(bottom=0)
    ax.set_title(title)


def _rolling(values: Sequence[float], width: int) -> list[float]:
    """Mean of the last ``width`` values (fewer at the start).

    >>> _rolling([0.0, 2.0, 4.0], 2)
    [0.0, 1.0, 3.0]
    """
    out = []
    for i in range(len(values)):
        window = values[max(0, i - width + 1) : i + 1]
        out.append(sum(window) / len(window))
    return out

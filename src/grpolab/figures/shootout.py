"""No number before RL says everywhere which start is best; SFT depth itself is hard to beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from grpolab.figures.style import BLUE, GREY, ORANGE

Kind = Literal["spearman", "regret"]
Values = Mapping[str, Mapping[str, float | None]]
"""One number by predictor and family; None leaves a cell empty."""


def data(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Regret in final pass@1 by family, for each predictor under the name that people use."""
    regret = summary["shootout"]["regret"]["final_pass_at_1"]
    return {"values": regret, "labels": summary["labels"]}


def draw_claim(ax: Any, found: Mapping[str, Any]) -> None:
    """Regret of choosing the start by each predictor, in each family."""
    draw(ax, found["values"], kind="regret", labels=found["labels"])
    families = list(dict.fromkeys(f for row in found["values"].values() for f in row))
    ax.set_xticks(
        range(len(families)), families, rotation=40, ha="left", rotation_mode="anchor"
    )  # nine names do not fit side by side
    ax.tick_params(axis="both", labelsize=9)
    for number in ax.texts:
        number.set(text=number.get_text().removeprefix("0"), fontsize=9)


def draw(
    ax: Any,
    values: Values,
    *,
    kind: Kind = "spearman",
    baselines: Sequence[str] = ("depth", "pass_at_g"),
    labels: Mapping[str, str] | None = None,
    title: str = "",
) -> None:
    """Draw one number per predictor (row) and family (column); None leaves a cell empty.

    ``values[predictor][family]``. "spearman": in the direction in which the predictor is used, blue
    where that is right, orange where it is wrong. "regret": orange, the darker the dearer; the
    least of each column (to three digits) has a frame. Rows are sorted by their mean, best first;
    ``baselines`` have a grey band and a bar at the left.
    """
    if kind not in ("spearman", "regret"):
        raise ValueError(f"kind must be 'spearman' or 'regret', got {kind!r}")
    families = list(dict.fromkeys(f for row in values.values() for f in row))
    order = sorted(values, key=lambda p: _mean(values[p]), reverse=kind == "spearman")
    known = [abs(v) for row in values.values() for v in row.values() if v is not None]
    scale = 1.0 if kind == "spearman" else max(known, default=0.0) or 1.0
    for y, predictor in enumerate(order):
        if predictor in baselines:
            _box(ax, -0.5, y - 0.5, len(families), color=GREY, alpha=0.18)
            _box(ax, -0.5, y - 0.5, 0.05, color="black")
        for x, family in enumerate(families):
            value = values[predictor].get(family)
            if value is not None:
                _cell(ax, x, y, value, kind=kind, strength=min(abs(value) / scale, 1.0))
                if kind == "regret" and value <= _least(values, family) + 5e-4:
                    _box(ax, x - 0.4, y - 0.4, 0.8, height=0.8, fill=False, edgecolor="black")
    names = labels or {}
    ticks = [names.get(p, p) + (" (baseline)" if p in baselines else "") for p in order]
    ax.set_yticks(range(len(order)), ticks)
    ax.set_xticks(range(len(families)), [f.replace("/", "\n") for f in families])
    ax.set_xlim(-0.5, len(families) - 0.5)
    ax.set_ylim(len(order) - 0.5, -0.5)
    _plain(ax)
    ax.set_xlabel(_CAPTIONS[kind])
    ax.set_title(title)


_CAPTIONS = {
    "spearman": "Spearman's rho with the outcome, in the direction in which the predictor is used",
    "regret": "lost against the best start of the family (framed: least)",
}


def _cell(ax: Any, x: int, y: int, value: float, *, kind: Kind, strength: float) -> None:
    """A coloured field with its number; the sign is printed too, so that colour is not needed."""
    colour = BLUE if kind == "spearman" and value > 0 else ORANGE
    _box(ax, x - 0.4, y - 0.4, 0.8, height=0.8, color="white")
    _box(ax, x - 0.4, y - 0.4, 0.8, height=0.8, color=colour, alpha=0.7 * strength)
    text = f"{value:+.2f}" if kind == "spearman" else f"{value:.3f}"
    ax.text(x, y, text, ha="center", va="center", fontsize=8)


def _plain(ax: Any) -> None:
    """Names of the columns on top; no ticks, no grid, no frame."""
    ax.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    ax.grid(visible=False)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)


def _box(ax: Any, x: float, y: float, width: float, *, height: float = 1.0, **style: Any) -> None:
    from matplotlib.patches import Rectangle

    line = 1.1 if "edgecolor" in style else 0.0
    ax.add_patch(Rectangle((x, y), width, height, linewidth=line, **style))


def _mean(row: Mapping[str, float | None]) -> float:
    known = [v for v in row.values() if v is not None]
    return sum(known) / len(known) if known else 0.0


def _least(values: Values, family: str) -> float:
    column = [row.get(family) for row in values.values()]
    return min(v for v in column if v is not None)

"""Entropy and ICC under mode collapse: the law of a Dirichlet process, and real checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from grpolab.figures.ladder import families, regime
from grpolab.figures.style import BLUE, GREEN, GREY, RED, name_line
from grpolab.theory import rho_from_entropy

_COLOURS = (BLUE, RED, GREEN)
_MARKS = ("o", "s", "^")
_HOLLOW: Any = {"markerfacecolor": "white", "markersize": 4}


def data(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The law on a grid of entropies, and one point per family and SFT depth of a study."""
    found = {
        name: {
            "entropy": [rung.mean["sequence_entropy"] for rung in rungs],
            "icc": [rung.mean["icc"] for rung in rungs],
            "collision": [rung.mean["collision_rate"] for rung in rungs],
        }
        for name, rungs in families(summary).items()
    }
    top = max(max(one["entropy"]) for one in found.values())
    grid = np.linspace(0.0, 1.08 * top, 120)
    return {"entropy": grid, "law": rho_from_entropy(grid), "families": found}


def draw(ax: Any, found: Mapping[str, Any]) -> None:
    """Draw the law, the ICC of each checkpoint and its rate of identical pairs (hollow)."""
    ax.plot(found["entropy"], found["law"], color="black", linewidth=1.2)
    at = (found["entropy"][75], found["law"][75])
    name_line(ax, "law", at=at, colour=GREY, shift=(-6, -8))
    marks = zip(_COLOURS, _MARKS, strict=True)
    for (name, one), (colour, mark) in zip(found["families"].items(), marks, strict=False):
        ax.plot(one["entropy"], one["icc"], color=colour, linewidth=0.8, marker=mark, markersize=5)
        ax.plot(
            one["entropy"], one["collision"], mark, color=colour, markeredgewidth=0.9, **_HOLLOW
        )
        ax.plot([], [], color=colour, marker=mark, markersize=5, label=f"ICC, {regime(name)}")
    ax.plot([], [], "o", color="0.4", label="identical pairs", **_HOLLOW)
    ax.legend(loc="upper right")
    ax.set_xlim(0, found["entropy"][-1])
    ax.set_ylim(0, 1.02)
    ax.set_xlabel("entropy of the answer to a prompt (nats)")
    ax.set_ylabel("ICC, or share of pairs")

"""With std scaling a prompt pulls with w_g(p) <= sqrt(g-1), not with 1/sqrt(pq)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from grpolab.figures.style import BLUE, GREEN, GREY, PURPLE, RED, name_line, plain_log
from grpolab.theory import arcsine_weight, update_weight

_SIZES = (2, 4, 8, 64)
_COLOURS = (GREY, GREEN, BLUE, PURPLE)


def data() -> dict[str, Any]:
    """w_g(p) for some g and the weight of infinite groups, on a grid of p [P]."""
    p = np.geomspace(1e-3, 0.5, 120)
    return {
        "p": p,
        "limit": arcsine_weight(p),
        "weights": {g: update_weight(p, g) for g in _SIZES},
    }


def draw(ax: Any, found: Mapping[str, Any]) -> None:
    """Draw both against p; the curves are symmetric about 1/2."""
    p = found["p"]
    ax.plot(p, found["limit"], color=RED, linestyle="--")
    for (g, weight), colour in zip(found["weights"].items(), _COLOURS, strict=True):
        ax.plot(p, weight, color=colour)
        name_line(ax, f"g = {g}", at=(p[0], weight[0]), colour=colour, shift=(4, 7))
    name_line(ax, "g → ∞:  1/√(p(1-p))", at=(p[30], found["limit"][30]), colour=RED, shift=(7, 5))
    plain_log(ax, "x", [0.001, 0.003, 0.01, 0.03, 0.1, 0.3])
    plain_log(ax, "y", [1, 2, 4, 8, 16, 32])
    ax.set_xlim(p[0], p[-1])
    ax.set_ylim(0.8, 33)
    ax.set_xlabel("success rate p of the prompt")
    ax.set_ylabel("weight of ∇p in the update")

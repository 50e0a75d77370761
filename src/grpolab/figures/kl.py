"""Under the reverse KL a finite group gains at most sqrt(g-1)/beta logits over the reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import logit

from grpolab.figures.style import BLUE, GREEN, GREY, PURPLE, RED, name_line
from grpolab.theory import GRPO, kl_fixed_points, kl_fixed_points_limit, kl_gain_ceiling

_BETA = 1.0
_SIZES = (2, 4, 8, 64)
_COLOURS = (GREY, GREEN, BLUE, PURPLE)


def data() -> dict[str, Any]:
    """Gain in logits at the lowest fixed point against p_ref [P]: some g, and g -> infinity."""
    p_ref = np.geomspace(1e-8, 0.2, 31)
    limit = [kl_fixed_points_limit(float(p), beta=_BETA) for p in p_ref]
    return {
        "p_ref": p_ref,
        "limit": np.array([logit(f.p[0]) for f in limit]) - logit(p_ref),
        "limit_stable": np.array([f.stable[0] for f in limit]),
        "finite": {
            g: np.array(
                [
                    logit(kl_fixed_points(GRPO, float(p), beta=_BETA, group_size=g).p[0])
                    for p in p_ref
                ]
            )
            - logit(p_ref)
            for g in _SIZES
        },
        "ceiling": {g: float(kl_gain_ceiling(g, beta=_BETA)) for g in _SIZES},
    }


def draw(ax: Any, found: Mapping[str, Any]) -> None:
    """Draw the gain of each group size under its ceiling, and the unbounded limit."""
    p_ref, stable = found["p_ref"], found["limit_stable"]
    ax.plot(p_ref[~stable], found["limit"][~stable], color=RED, linestyle=":")
    ax.plot(p_ref[stable], found["limit"][stable], color=RED, linestyle="--")
    for (g, gain), colour in zip(found["finite"].items(), _COLOURS, strict=True):
        ax.axhline(found["ceiling"][g], color=colour, linewidth=0.8, linestyle=(0, (1, 3)))
        ax.plot(p_ref, gain, color=colour)
        place, shift = (-1, (-4, 6)) if g == max(_SIZES) else (0, (4, -8 if g == 2 else 6))
        at = (p_ref[place], found["ceiling"][g])
        name_line(ax, f"g = {g}: at most √{g - 1}", at=at, colour=colour, shift=shift)
    i = int(np.argmin(np.abs(found["limit"] - 10)))
    name_line(ax, "g → ∞", at=(p_ref[i], found["limit"][i]), colour=RED, shift=(8, 3))
    ticks = [-8, -6, -4, -2]
    ax.set_xscale("log")
    ax.set_xticks([10.0**t for t in ticks], [f"$10^{{{t}}}$" for t in ticks])
    ax.set_xticks([], minor=True)
    ax.set_xlim(p_ref[0], p_ref[-1])
    ax.set_ylim(0, 13)
    ax.set_xlabel("success rate p of the reference")
    ax.set_ylabel(f"gain in logits at rest (β = {_BETA:g})")

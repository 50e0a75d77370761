"""At one mean success rate, the spread of p over prompts decides how much signal there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from grpolab.figures.style import BLUE, GREEN, GREY, RED, name_line
from grpolab.theory import BetaBinomial, critical_p, expected_variance

_G = 8
_RHOS = (0.0, 0.2, 0.5, 0.8)
_COLOURS = (GREY, BLUE, GREEN, RED)


def data() -> dict[str, Any]:
    """E[sigma^2] and P(zero std) in groups of 8 against the mean m, one curve [M] per ICC."""
    mean = np.linspace(0.0, 1.0, 201)
    return {
        "mean": mean,
        "critical_p": float(critical_p(_G)),
        "curves": [
            {
                "rho": rho,
                "variance": expected_variance(mean, _G, rho=rho),
                "zero_std": BetaBinomial(mean=mean, rho=rho).prob_zero_std(_G),
            }
            for rho in _RHOS
        ],
    }


def draw(axes: Sequence[Any], found: Mapping[str, Any]) -> None:
    """Draw the variance above, the share of zero-std groups below."""
    x, middle = found["mean"], len(found["mean"]) // 2
    for ax, name in zip(axes, ("variance", "zero_std"), strict=True):
        for curve, colour in zip(found["curves"], _COLOURS, strict=True):
            ax.plot(x, curve[name], color=colour)
            text = f"ICC {curve['rho']:g}"
            name_line(ax, text, at=(0.5, curve[name][middle]), colour=colour, shift=(0, 6))
        ax.set_xlim(0, 1)
    axes[0].set_ylim(0, 0.25)
    axes[0].set_ylabel("expected variance E[σ²]")
    axes[1].axhline(0.5, color=GREY, linewidth=0.8, linestyle=":")
    axes[1].set_ylim(0, 1.02)
    axes[1].set_ylabel("zero-std groups (share)")
    axes[1].set_xlabel(f"mean success rate m (g = {_G})")

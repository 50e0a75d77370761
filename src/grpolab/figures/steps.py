"""Zero-std share of the first GRPO steps, step by step, against forecasts from before RL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from grpolab.figures import forecast
from grpolab.figures.ladder import regime

_FORECASTS = ("beta-binomial", "thinning")


def data(found: Mapping[str, Any]) -> dict[str, Any]:
    """The shallowest, a middle and the deepest start of the first family of ``steps.json``.

    There per family and depth: ``measured`` and ``mean-p`` [T] (the formula at each step's mean
    reward), and two forecasts from before RL, all means over seeds.
    """
    name, depths = next(iter(found["families"].items()))
    order = sorted(depths, key=int)
    shown = (order[0], order[len(order) // 2], order[-1])
    return {"family": regime(name), "depths": {depth: depths[depth] for depth in shown}}


def draw(axes: Sequence[Any], found: Mapping[str, Any]) -> None:
    """Draw one panel per depth, the shallowest on top."""
    for ax, (depth, one) in zip(axes, found["depths"].items(), strict=True):
        forecast.draw_steps(
            ax, one["measured"], formula=one["mean-p"],
            forecast={name: one[name] for name in _FORECASTS},
        )  # fmt: skip
        ax.set_ylim(0, 1.02)
        ax.set_xlabel("")
        ax.set_ylabel("")
        ax.set_title(f"SFT depth {depth} steps", fontweight="normal", fontsize=9)
    axes[1].set_ylabel("share of zero-std groups")
    axes[-1].set_xlabel("GRPO step (means of 5 steps)")
    axes[-1].legend(loc="upper left", bbox_to_anchor=(-0.03, -0.32), fontsize=8.5)

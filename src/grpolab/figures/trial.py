"""The trial of predictors: what choosing a start by each number costs, over designs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from grpolab.figures.style import BLUE, GREY, ORANGE

OUTCOME = "final pass@1"


class Cost(NamedTuple):
    """Mean regret of a predictor with its 95% interval over designs; None where there is none."""

    predictor: str
    value: float
    low: float | None
    high: float | None


def data(result: Mapping[str, Any]) -> dict[str, Any]:
    """Regret in final pass@1 by predictor, and how many designs it is over.

    The least is first once all designs are in, before that they come as in the protocol.
    """
    costs = [
        Cost(row["predictor"], *row["regret"])
        for row in result["standings"]
        if row["outcome"] == OUTCOME
    ]
    done, size = len(result["done"]), result["num_designs"]
    if done == size:
        costs.sort(key=lambda cost: (cost.value, cost.predictor))
    return {"costs": costs, "done": done, "num_designs": size}


def draw(ax: Any, found: Mapping[str, Any]) -> None:
    """One row per predictor; pass@1 before RL is the line to beat."""
    costs = found["costs"]
    for y, cost in enumerate(costs):
        probe = cost.predictor.startswith("probe")
        colour = ORANGE if probe else GREY if cost.predictor == "pass@1" else BLUE
        if cost.low is not None and cost.high is not None:
            ax.plot([cost.low, cost.high], [y, y], color=colour, linewidth=2, alpha=0.5)
        ax.plot([cost.value], [y], marker="o", markersize=5, color=colour)
    for cost in costs:
        if cost.predictor == "pass@1":
            ax.axvline(cost.value, color=GREY, linewidth=1, linestyle=":")
    ax.set_yticks(range(len(costs)), [cost.predictor for cost in costs])
    ax.set_ylim(len(costs) - 0.5, -0.5)
    ax.set_xlabel(f"regret in {OUTCOME}, mean and 95% interval over designs")
    done, size = found["done"], found["num_designs"]
    verdict = "" if done == size else ", interim: no verdict"
    ax.set_title(f"{done} of {size} designs{verdict}", fontweight="normal", fontsize=9)

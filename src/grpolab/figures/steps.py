"""Zero-std share of the first GRPO steps, step by step, against forecasts from before RL.

``python -m grpolab.figures.steps RUN_DIR FILE`` makes the small table from a study's run.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from grpolab.figures import forecast
from grpolab.figures.committed import regime
from grpolab.store import read_json, write_text

_FORECASTS = ("beta-binomial", "thinning")


def table(results: Mapping[str, Any]) -> dict[str, Any]:
    """Means over seeds by family and depth, from the raw rows of a study.

    Per depth: ``measured`` and ``mean-p`` [T] (the formula at each step's mean reward), and the two
    forecasts from before RL.
    """
    found: dict[str, Any] = {}
    for row in results["rows"]:
        family = found.setdefault(row.get("family", row.get("regime")), {})
        family.setdefault(str(row["depth"]), []).append(row["early"])
    return {
        "group_size": results["config"]["grpo"]["group_size"],
        "num_seeds": len(results["config"]["seeds"]),
        "families": {
            name: {depth: _mean(runs) for depth, runs in depths.items()}
            for name, depths in found.items()
        },
    }


def _mean(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    series = {
        name: np.mean([run[name]["zero_std"] for run in runs], axis=0).round(4).tolist()
        for name in ("measured", "mean-p")
    }
    single = {
        name: round(float(np.mean([run["forecast"][name]["zero_std"] for run in runs])), 4)
        for name in _FORECASTS
    }
    return {**series, **single}


def data(found: Mapping[str, Any]) -> dict[str, Any]:
    """The shallowest, a middle and the deepest start of the first family."""
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


def main(arguments: Sequence[str]) -> None:
    """Write the table of a finished study."""
    run, out = map(Path, arguments)
    write_text(out, json.dumps(table(read_json(run / "results.json"))) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])

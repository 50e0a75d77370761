"""How long a hard prompt stays hard: exact, by the mean field, and simulated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from grpolab.figures.style import BLUE, RED, name_line, plain_log
from grpolab.theory import DR_GRPO, GRPO, escape_time, expected_hitting_time

_G, _RATE, _STOP = 8, 0.1, 0.5
_RULES = {"Dr. GRPO": DR_GRPO, "GRPO": GRPO}
_STARTS = (0.005, 0.01, 0.02, 0.04, 0.083, 0.16)


def data() -> list[dict[str, Any]]:
    """Mean updates from p0 to 1/2 per rule: exact chain and mean field [P], simulated [S]."""
    from grpolab.simulate import simulate_escape

    grid = np.geomspace(_STARTS[0], _STARTS[-1], 12)
    out = []
    for name, rule in _RULES.items():
        played = [
            simulate_escape(
                p0, stop=_STOP, rule=rule, group_size=_G, learning_rate=_RATE, num_chains=1000,
                seed=0,
            )
            for p0 in _STARTS
        ]  # fmt: skip
        out.append(
            {
                "rule": name,
                "p0": grid,
                "exact": [
                    expected_hitting_time(
                        rule, float(p0), stop=_STOP, group_size=_G, learning_rate=_RATE, bins=100
                    )
                    for p0 in grid
                ],
                "mean_field": escape_time(rule, grid, _STOP, group_size=_G, learning_rate=_RATE),
                "start": [run.p0 for run in played],
                "mean": [run.mean for run in played],
                "stderr": [run.stderr for run in played],
            }
        )
    return out


def draw(ax: Any, found: Sequence[Mapping[str, Any]]) -> None:
    """Draw the exact time as a line, the mean field dashed, simulated means as points."""
    for one, colour in zip(found, (RED, BLUE), strict=True):
        ax.plot(one["p0"], one["exact"], color=colour, linewidth=1.2)
        ax.plot(one["p0"], one["mean_field"], color="black", linewidth=0.9, linestyle=(0, (2, 4)))
        error = [2 * e for e in one["stderr"]]
        ax.errorbar(one["start"], one["mean"], yerr=error, fmt="o", markersize=4, color=colour)
        name_line(ax, one["rule"], at=(one["p0"][3], one["exact"][3]), colour=colour, shift=(8, 8))
    ax.plot([], [], color="0.4", linewidth=1.2, label="exact chain")
    ax.plot([], [], color="black", linewidth=0.9, linestyle=(0, (2, 4)), label="mean field")
    ax.plot([], [], "o", color="0.4", markersize=4, label="simulated (± 2 s.e.)")
    ax.legend(loc="lower left")
    plain_log(ax, "x", [0.005, 0.01, 0.02, 0.05, 0.1])
    plain_log(ax, "y", [30, 100, 300, 1000, 3000])
    ax.set_xlabel(f"success rate p at the start (g = {_G}, η = {_RATE:g})")
    ax.set_ylabel("updates until p = ½")

"""A push from other prompts makes a real trap, and it moves with g in another way than p*."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grpolab.figures.style import BLUE, GREY, RED, name_line, plain_log, size_ticks
from grpolab.theory import DR_GRPO, GRPO, critical_p, interference_threshold

_LOAD = 0.02
_SIZES = (4, 8, 16, 32, 64)
_RULES = {"Dr. GRPO": DR_GRPO, "GRPO": GRPO}


def data() -> dict[str, Any]:
    """p_c under a constant push per rule, derived and simulated [G] each, and p* [G]."""
    from grpolab.simulate import derive_trap

    rules = {}
    for name, rule in _RULES.items():
        played = [
            derive_trap(
                g, load=_LOAD, rule=rule, learning_rate=0.2, num_steps=800, num_chains=256, seed=0
            )
            for g in _SIZES
        ]
        rules[name] = {
            "derived": interference_threshold(rule, _LOAD, group_size=_SIZES),
            "played": [found.estimate for found in played],
            "low": [found.low for found in played],
            "high": [found.high for found in played],
        }
    return {"group_size": _SIZES, "rules": rules, "critical_p": critical_p(_SIZES)}


def draw(ax: Any, found: Mapping[str, Any]) -> None:
    """Draw p_c of both rules and p*: three different slopes."""
    sizes = found["group_size"]
    for (name, one), colour in zip(found["rules"].items(), (RED, BLUE), strict=True):
        ax.plot(sizes, one["derived"], color=colour, linewidth=1.2)
        error = [
            [m - v for m, v in zip(one["played"], one["low"], strict=True)],
            [v - m for m, v in zip(one["played"], one["high"], strict=True)],
        ]
        ax.errorbar(sizes, one["played"], yerr=error, fmt="o", markersize=4, color=colour)
        end = (sizes[-1], one["derived"][-1])
        name_line(ax, f"trap,\n{name}", at=end, colour=colour, shift=(7, 0))
    ax.plot(sizes, found["critical_p"], color=GREY, linestyle="--")
    name_line(ax, "p*", at=(sizes[-1], found["critical_p"][-1]), colour=GREY, shift=(7, 0))
    size_ticks(ax, sizes)
    plain_log(ax, "y", [0.003, 0.01, 0.03, 0.1])
    ax.set_ylabel(f"success rate p (push {_LOAD:g} on the logit)")

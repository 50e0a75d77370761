"""Deeper SFT raises pass@1 before RL; what RL ends with may go the other way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from grpolab.figures.style import BLUE, GREEN, GREY, ORANGE


def draw(ax: Any, depths: Sequence[Mapping[str, Any]], *, title: str = "") -> None:
    """Draw pass@1 and pass@10 before RL and at its end, against SFT depth in steps.

    ``depths``: one mapping per depth with ``depth``, ``pass_at_1``, ``pass_at_10``,
    ``final_pass_at_1``, ``final_pass_at_10``, and ``<name>:sd`` over seeds where there are several.
    """
    x = [entry["depth"] for entry in depths]
    for name, label, colour, dash, mark in (
        ("pass_at_10", "pass@10 before RL", BLUE, "--", "o"),
        ("final_pass_at_10", "pass@10 after RL", BLUE, "-", "o"),
        ("pass_at_1", "pass@1 before RL", ORANGE, "--", "s"),
        ("final_pass_at_1", "pass@1 after RL", ORANGE, "-", "s"),
    ):
        y = [entry[name] for entry in depths]
        error = [entry.get(f"{name}:sd") or 0.0 for entry in depths]
        ax.errorbar(
            x, y, yerr=error if any(error) else None, color=colour, linestyle=dash, marker=mark,
            markersize=4, label=label, capsize=2,
            markerfacecolor="white" if dash == "--" else colour,
        )  # fmt: skip
    ax.set_xscale("log", base=2)
    ax.set_xticks(x, [str(v) for v in x])
    ax.minorticks_off()
    ax.set_ylim(0, 1.02)
    ax.set_xlabel("SFT depth (steps)")
    ax.set_ylabel("share of held-out prompts solved")
    ax.set_title(title)
    ax.legend(ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.18))


def draw_gain(ax: Any, depths: Sequence[Mapping[str, Any]], *, title: str = "") -> None:
    """Draw what RL adds: pass@1 and pass@10 at the end minus the same checkpoint's start."""
    x = list(range(len(depths)))
    width = 0.38
    for shift, name, label, colour in (
        (-width / 2, "gain_pass_at_1", "pass@1", ORANGE),
        (width / 2, "gain_pass_at_10", "pass@10", BLUE),
    ):
        ax.bar(
            [v + shift for v in x], [entry[name] for entry in depths], width, color=colour,
            label=f"RL gain in {label}",
        )  # fmt: skip
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.set_xticks(x, [str(entry["depth"]) for entry in depths])
    ax.set_xlabel("SFT depth (steps)")
    ax.set_ylabel("gain through RL")
    ax.set_title(title)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)


def draw_entropy(ax: Any, depths: Sequence[Mapping[str, Any]], *, title: str = "") -> None:
    """Draw the intraclass correlation and the token entropy against SFT depth."""
    x = [entry["depth"] for entry in depths]
    ax.plot(x, [e["icc"] for e in depths], "o-", color=GREEN, label="ICC", markersize=4)
    ax.plot(
        x, [e["token_entropy"] for e in depths], "s--", color=GREY, markersize=4,
        label="token entropy (nats)",
    )  # fmt: skip
    ax.set_xscale("log", base=2)
    ax.set_xticks(x, [str(v) for v in x])
    ax.minorticks_off()
    ax.set_ylim(bottom=0)
    ax.set_xlabel("SFT depth (steps)")
    ax.set_title(title)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)

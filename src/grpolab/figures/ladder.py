"""Deeper SFT raises pass@1 before RL; what RL ends with may go the other way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grpolab.figures.style import BLUE, GREEN, GREY, LEGEND, ORANGE


@dataclass(frozen=True, slots=True)
class Rung:
    """One depth of a ladder, or one start: means and standard deviations over seeds by metric.

    ``sd`` is empty where there is one seed; ``start`` names a start that no depth tells apart.
    """

    depth: int
    num_seeds: int
    mean: Mapping[str, float]
    sd: Mapping[str, float]
    start: str = ""


def families(summary: Mapping[str, Any]) -> dict[str, list[Rung]]:
    """The ladder of every family of a committed study."""
    return {
        name: [Rung(**rung) for rung in family["by_depth"]]
        for name, family in summary["families"].items()
    }


def regime(family: str) -> str:
    """Name of a family for a reader who sees one task.

    >>> regime("countdown/shift"), regime("broad")
    ('shift', 'broad')
    """
    return family.rpartition("/")[2]


def data(summary: Mapping[str, Any]) -> dict[str, list[Rung]]:
    """Three families, ``ample`` the last of them where there is one."""
    found = families(summary)
    shown = [name for name in found if name not in ("no-shift", "ample")][:2]
    rest = [name for name in ("ample", *found) if name in found and name not in shown]
    return {name: found[name] for name in [*shown, *rest[: 3 - len(shown)]]}


def draw_claim(axes: Sequence[Any], found: Mapping[str, Sequence[Rung]]) -> None:
    """One panel per family, a legend under the last."""
    for ax, (name, rungs) in zip(axes, found.items(), strict=False):
        draw(ax, rungs)
        ax.set_title(f"regime {regime(name)}", fontweight="normal", fontsize=9)
        ax.get_legend().remove()
        ax.set_xlabel("")
        ax.set_ylabel("")
    axes[len(axes) // 2].set_ylabel("share of held-out prompts solved")
    axes[-1].set_xlabel("SFT depth (steps)")
    axes[-1].legend(ncols=2, bbox_to_anchor=(-0.1, -0.3), **LEGEND)


def _places(rungs: Sequence[Rung]) -> list[float]:
    """Depths on a logarithmic axis; depth 0, the start without SFT, one factor of 4 to the left."""
    least = min((rung.depth for rung in rungs if rung.depth), default=4)
    return [rung.depth or least / 4 for rung in rungs]


def draw(ax: Any, rungs: Sequence[Rung], *, title: str = "") -> None:
    """Draw pass@1 and pass@10 before RL and at its end, against SFT depth in steps.

    Metrics ``pass_at_1``, ``pass_at_10``, ``final_pass_at_1`` and ``final_pass_at_10``; bars are
    standard deviations over seeds, where there are several.
    """
    x = _places(rungs)
    for name, label, colour, dash, mark in (
        ("pass_at_10", "pass@10 before RL", BLUE, "--", "o"),
        ("final_pass_at_10", "pass@10 after RL", BLUE, "-", "o"),
        ("pass_at_1", "pass@1 before RL", ORANGE, "--", "s"),
        ("final_pass_at_1", "pass@1 after RL", ORANGE, "-", "s"),
    ):
        y = [rung.mean[name] for rung in rungs]
        error = [rung.sd.get(name, 0.0) for rung in rungs]
        ax.errorbar(
            x, y, yerr=error if any(error) else None, color=colour, linestyle=dash, marker=mark,
            markersize=4, label=label, capsize=2,
            markerfacecolor="white" if dash == "--" else colour,
        )  # fmt: skip
    ax.set_xscale("log", base=2)
    ax.set_xticks(x, [str(rung.depth) for rung in rungs])
    ax.minorticks_off()
    ax.set_ylim(0, 1.02)
    ax.set_xlabel("SFT depth (steps)")
    ax.set_ylabel("share of held-out prompts solved")
    ax.set_title(title)
    ax.legend(ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.18))


def draw_gain(ax: Any, rungs: Sequence[Rung], *, title: str = "") -> None:
    """Draw what RL adds: pass@1 and pass@10 at the end minus the same checkpoint's start."""
    x = list(range(len(rungs)))
    width = 0.38
    for shift, name, label, colour in (
        (-width / 2, "gain_pass_at_1", "pass@1", ORANGE),
        (width / 2, "gain_pass_at_10", "pass@10", BLUE),
    ):
        ax.bar(
            [v + shift for v in x], [rung.mean[name] for rung in rungs], width, color=colour,
            label=f"RL gain in {label}",
        )  # fmt: skip
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.set_xticks(x, [str(rung.depth) for rung in rungs])
    ax.set_xlabel("SFT depth (steps)")
    ax.set_ylabel("gain through RL")
    ax.set_title(title)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)


def draw_entropy(ax: Any, rungs: Sequence[Rung], *, title: str = "") -> None:
    """Draw the intraclass correlation and the token entropy against SFT depth."""
    x = _places(rungs)
    ax.plot(x, [r.mean["icc"] for r in rungs], "o-", color=GREEN, label="ICC", markersize=4)
    ax.plot(
        x, [r.mean["token_entropy"] for r in rungs], "s--", color=GREY, markersize=4,
        label="token entropy (nats)",
    )  # fmt: skip
    ax.set_xscale("log", base=2)
    ax.set_xticks(x, [str(rung.depth) for rung in rungs])
    ax.minorticks_off()
    ax.set_ylim(bottom=0)
    ax.set_xlabel("SFT depth (steps)")
    ax.set_title(title)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)

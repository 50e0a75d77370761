"""Plots of `grpolab simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from grpolab.files import atomic_path

ENDINGS = (".svg", ".png", ".pdf")
Results = list[dict[str, Any]]


def draw(path: Path, what: str, results: Results) -> None:
    """Write one plot of the results of an experiment; the path ends in one of ENDINGS."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from grpolab.figures.style import styled

    with styled():
        figure = Figure(figsize=(6.0, 3.8), layout="constrained")
        FigureCanvasAgg(figure)
        _DRAW[what](figure.subplots(), results)
        metadata = (
            {}
            if path.suffix == ".png"
            else {"Date" if path.suffix == ".svg" else "CreationDate": None}
        )
        with atomic_path(path) as scratch:
            figure.savefig(scratch, format=path.suffix[1:], metadata=metadata)


def _pstar(ax: Any, results: Results) -> None:
    for rho, model in dict.fromkeys((r["point"]["rho"], r["point"]["model"]) for r in results):
        rows = [r for r in results if (r["point"]["rho"], r["point"]["model"]) == (rho, model)]
        rows = [r for r in rows if r["estimate"] is not None]
        sizes = [r["point"]["group_size"] for r in rows]
        mid = [r["estimate"] for r in rows]
        error = [
            [r["estimate"] - r["low"] for r in rows],
            [r["high"] - r["estimate"] for r in rows],
        ]
        ax.errorbar(sizes, mid, error, fmt="o", capsize=3, label=f"{model}, rho = {rho}")
        ax.plot(sizes, [r["theory"] for r in rows], "-", color="0.4", lw=1, zorder=0)
    ax.set(xscale="log", yscale="log", xlabel="group size", ylabel="p*",
           title="Simulated thresholds and theory (lines)")  # fmt: skip
    sizes = sorted({r["point"]["group_size"] for r in results})
    ax.set_xticks(sizes, [str(g) for g in sizes])
    ax.set_xticks([], minor=True)
    ax.legend()


def _dynamics(ax: Any, results: Results) -> None:
    for r in results:
        label = f"{r['point']['rule']}, p0 = {r['point']['p0']}"
        (line,) = ax.plot(r["step"], r["mean_p"], label=label)
        ax.plot(r["step"], r["mean_field"], ":", color=line.get_color(), lw=1)
    ax.set(xlabel="step", ylabel="mean p", title="Simulated runs and mean field (dotted)")
    ax.legend()


def _ladder(ax: Any, results: Results) -> None:
    for r in results:
        point = r["point"]
        label = (
            f"accuracy {point['label_accuracy']}, interference {point['interference']},"
            f" {point['num_steps']} steps"
        )
        (line,) = ax.plot(r["pass_at_1"], r["outcome"], "o-", label=label)
        ax.annotate(str(r["depths"][-1]), (r["pass_at_1"][-1], r["outcome"][-1]),
                    color=line.get_color(), fontsize=7)  # fmt: skip
    ax.axline((0, 0), slope=1, color="0.7", lw=0.8, zorder=0)
    ax.set(xlabel="pass@1 before GRPO", ylabel="pass@1 after GRPO",
           title="Depth ladders; the label is the deepest")  # fmt: skip
    ax.legend()


def _rule(result: dict[str, Any]) -> str:
    return str(result["point"].get("rule", "grpo"))


def _escape(ax: Any, results: Results) -> None:
    for rule in dict.fromkeys(_rule(r) for r in results):
        rows = sorted((r for r in results if _rule(r) == rule), key=lambda r: r["p0"])
        start = [r["p0"] for r in rows]
        (line,) = ax.plot(start, [r["exact"] for r in rows], lw=1)
        error = [2 * r["stderr"] for r in rows]
        ax.errorbar(start, [r["mean"] for r in rows], error, fmt="o", capsize=3, label=rule,
                    color=line.get_color())  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel="start p0", ylabel="steps to p = 1/2",
           title="Simulated escape times and the exact ones (lines)")  # fmt: skip
    ax.legend()


def _trap(ax: Any, results: Results) -> None:
    shown = False
    for rule in dict.fromkeys(_rule(r) for r in results):
        rows = [r for r in results if _rule(r) == rule and r["estimate"] is not None]
        rows.sort(key=lambda r: r["point"]["group_size"])
        size = [r["point"]["group_size"] for r in rows]
        (line,) = ax.plot(size, [r["theory"] for r in rows], lw=1)
        ax.plot(size, [r["estimate"] for r in rows], "o", color=line.get_color(), label=rule)
        if not shown:
            ax.plot(size, [r["p_star"] for r in rows], "--", color="0.4", lw=1, label="p*")
            shown = True
    ax.set(xscale="log", yscale="log", xlabel="group size", ylabel="p_c",
           title="The trap: simulated, and theory for small steps (lines)")  # fmt: skip
    sizes = sorted({r["point"]["group_size"] for r in results})
    ax.set_xticks(sizes, [str(g) for g in sizes])
    ax.set_xticks([], minor=True)
    ax.legend()


def _independence(ax: Any, results: Results) -> None:
    tests = {
        "pair_contrast": "pair contrast",
        "duplicates": "duplicates",
        "pooled_tarone": "pooled",
    }
    places = range(len(results))
    for i, (name, label) in enumerate(tests.items()):
        seen = [(x, r[name]) for x, r in zip(places, results, strict=True) if r[name]]
        x = [place + 0.22 * (i - 1) for place, _ in seen]
        rate = [found["rate"] for _, found in seen]
        error = [
            [found["rate"] - found["low"] for _, found in seen],
            [found["high"] - found["rate"] for _, found in seen],
        ]
        ax.errorbar(x, rate, error, fmt="o", capsize=2, markersize=4, label=label)
    ax.axhline(0.05, color="0.4", lw=0.8, ls=":")
    names = [
        f"{r['point']['kind']}\n{r['point']['num_prompts']} x {r['point']['groups_per_prompt']}"
        for r in results
    ]
    ax.set_xticks(list(places), names, fontsize=7)
    ax.set(ylim=(-0.03, 1.03), ylabel="share of tables rejected",
           title="Tests of independence at the 5% level (prompts x groups)")  # fmt: skip
    ax.legend()


_DRAW = {
    "pstar": _pstar,
    "trajectory": _dynamics,
    "ladder": _ladder,
    "escape": _escape,
    "trap": _trap,
    "independence": _independence,
}

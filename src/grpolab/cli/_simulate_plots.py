"""Plots of `grpolab simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from grpolab.errors import UserError
from grpolab.store import atomic_path

_ENDINGS = (".svg", ".png", ".pdf")
Results = list[dict[str, Any]]


def draw(path: Path, what: str, results: Results) -> None:
    """Write one plot of the results of an experiment; UserError for an unknown ending."""
    if path.suffix not in _ENDINGS:
        raise UserError(f"--plot must end in one of {', '.join(_ENDINGS)}, got {path}")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from grpolab.figures.style import styled

    with styled():
        figure = Figure(figsize=(6.0, 3.8), layout="constrained")
        FigureCanvasAgg(figure)
        {"pstar": _pstar, "dynamics": _dynamics, "ladder": _ladder}[what](
            figure.subplots(), results
        )
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

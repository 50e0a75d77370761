"""From a claim to files: SVG and PNG with the same bytes on every run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from grpolab.figures.claim import Claim
from grpolab.figures.style import styled
from grpolab.store import atomic_path

ENDINGS = (".svg", ".png")
_DPI = 220


def picture(claim: Claim, data: Any) -> Any:
    """A matplotlib figure of the claim, its title above everything."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    page = Figure(figsize=claim.size, layout="constrained")
    FigureCanvasAgg(page)
    axes = page.subplots(claim.panels, 1)
    claim.draw(list(axes) if claim.panels > 1 else axes, data)
    page.suptitle(claim.title, x=0.015, ha="left", fontsize=10, fontweight="bold")
    return page


def render(claim: Claim, data: Any, *, out: Path) -> list[Path]:
    """Write ``out/NAME.svg`` and ``out/NAME.png``; no date, no name of a program in either."""
    with styled():
        page = picture(claim, data)
        paths = [out / f"{claim.name}{ending}" for ending in ENDINGS]
        for path in paths:
            with atomic_path(path) as scratch:
                page.savefig(
                    scratch, format=path.suffix[1:], dpi=_DPI, metadata=_metadata(claim, path)
                )
    return paths


def _metadata(claim: Claim, path: Path) -> dict[str, str | None]:
    if path.suffix == ".png":
        return {"Software": None, "Title": claim.title.replace("\n", " ")}
    return {
        "Date": None,
        "Creator": None,
        "Title": claim.title.replace("\n", " "),
        "Description": claim.sentence,
    }

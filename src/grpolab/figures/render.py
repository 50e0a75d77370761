"""From a claim to files: SVG and PNG with the same bytes on every run."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grpolab.errors import UserError
from grpolab.figures.style import styled
from grpolab.files import atomic_path
from grpolab.store import read_json


@dataclass(frozen=True, slots=True)
class Claim:
    """One figure.

    ``data`` is called with the content of each file of ``reads`` (paths under the folder of
    committed results), or with nothing where the library computes it. ``draw`` gets an axes, or a
    list of them from top to bottom where ``panels`` > 1, and what ``data`` returned. ``size`` is in
    inches; 4.2 of them keep the lettering readable on a phone.
    """

    name: str
    title: str
    sentence: str
    source: str
    data: Callable[..., Any]
    draw: Callable[[Any, Any], None]
    size: tuple[float, float] = (4.2, 3.2)
    panels: int = 1
    reads: tuple[str, ...] = ()

    def missing(self, results: Path | None) -> list[str]:
        """Files that the figure needs and the folder of results does not hold."""
        if results is None:
            return list(self.reads)
        return [name for name in self.reads if not (results / name).is_file()]

    def load(self, results: Path | None) -> Any:
        """Everything that the figure shows; UserError where a file is missing or broken."""
        if self.missing(results):
            raise UserError(f"{self.name} needs {', '.join(self.missing(results))} in --results")
        parts = [_read(results / name) for name in self.reads] if results else []
        try:
            return self.data(*parts)
        except (KeyError, IndexError, TypeError, ValueError) as err:
            if not self.reads:  # computed: a fault of the program, not of a file
                raise
            raise UserError(
                f"{', '.join(self.reads)}: not what {self.name} reads ({err!r})"
            ) from err

    @property
    def maker(self) -> str:
        """Where the data are made: ``grpolab.figures.escape.data``."""
        return f"{self.data.__module__}.{self.data.__qualname__}"


def _read(path: Path) -> Any:
    """JSON, or the rows of a table with a header line."""
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines))
    return read_json(path)


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

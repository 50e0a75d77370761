"""Self-contained HTML pages: one visual language for every report, no network, printable."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grpolab.figures.tables import Column, Table, scrolled
from grpolab.figures.words import escaped, number
from grpolab.figures.words import text as text
from grpolab.files import check_place
from grpolab.store import write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = """
:root { --ink: #1c2430; --soft: #5b6675; --line: #d9dee5; --accent: #0b5cad; --wash: #f5f7fa;
  --page: #fff; --focus: #0072b2; color-scheme: light dark; }
@media screen and (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ee; --soft: #a3adba; --line: #353d49; --accent: #6cb2f5; --wash: #1d232c;
    --page: #12161c; --focus: #56b4e9; }
  /* pictures are drawn for paper: light and dark change places, hues stay */
  svg { --ink: #1c2430; --soft: #5b6675; filter: invert(.93) hue-rotate(180deg) brightness(1.3); }
}
* { box-sizing: border-box; }
body { color: var(--ink); background: var(--page); margin: 0 auto; max-width: 60rem;
  padding: 2rem 1.2rem;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; padding-top: .9rem;
  border-top: 1px solid var(--line); }
p, li { max-width: 46rem; }
.lead { color: var(--soft); margin: 0 0 1.4rem; }
.findings { background: var(--wash); border-left: 4px solid var(--accent); margin: 1rem 0;
  padding: .9rem 1.2rem .9rem 2.4rem; }
.findings li { margin: .5rem 0; max-width: none; }
.note { color: var(--soft); font-size: .9rem; }
a { color: var(--accent); }
figure { margin: 1rem 0 1.4rem; }
/* an inch has one width in all figures, so that lettering has one size; 11 inches fill the page */
.picture { overflow-x: auto; }
.picture svg { display: block; height: auto; width: calc(var(--inches) * 5.23rem); max-width: 100%;
  min-width: calc(var(--inches) * 3.5rem); }
figcaption { color: var(--soft); font-size: .9rem; max-width: 46rem; }
.wide { overflow-x: auto; }
.wide :is(th, td):first-child { position: sticky; left: 0; background: var(--page); }
table { border-collapse: collapse; font-size: .8rem; font-variant-numeric: tabular-nums;
  margin: .6rem 0 .3rem; }
th, td { padding: .25rem .45rem; text-align: right; border-bottom: 1px solid var(--line); }
th { font-weight: 600; vertical-align: bottom; border-bottom: 2px solid var(--ink); }
tbody th { font-weight: 400; vertical-align: inherit; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere; min-width: 6rem; }
th:first-child, .words, .left { text-align: left; }
td { white-space: nowrap; } td.words { white-space: normal; min-width: 14rem; }
code { background: var(--wash); padding: .05rem .3rem; font-size: .9em; }
details { margin: .8rem 0; } summary { cursor: pointer; color: var(--accent); }
h1, h2, p, li, summary, figcaption { overflow-wrap: anywhere; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
@media screen and (max-width: 40rem) {
  body { padding: 1.2rem 1rem; } h1 { font-size: 1.5rem; }
  .findings { margin: 1rem -1rem; padding: .7rem 1rem .7rem 1.9rem; }
}
@media print {
  @page { margin: 16mm; }
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  h2, summary, thead { break-after: avoid; } figure, tr, li { break-inside: avoid; }
  .wide, .picture { overflow: visible; } table { font-size: 7.2pt; }
  th, td { padding: .15rem .25rem; } .picture svg { min-width: 0; }
  details::details-content { content-visibility: visible; height: auto; }
}
"""


def paragraph(value: str, *, note: bool = False) -> str:
    """One paragraph; a note is smaller and paler."""
    return f'<p class="note">{text(value)}</p>' if note else f"<p>{text(value)}</p>"


def findings(items: Iterable[str]) -> str:
    """Lead the page with what was found, one sentence or two each."""
    return '<ul class="findings">' + "".join(f"<li>{text(item)}</li>" for item in items) + "</ul>"


def takeaways(items: Iterable[str], *, lead: int = 3) -> str:
    """The first few findings, and the others folded below them."""
    said = list(items)
    rest = said[lead:]
    more = details(f"{len(rest)} more finding{'s' * (len(rest) > 1)}", findings(rest))
    return findings(said[:lead]) + (more if rest else "")


def folded(table: Table) -> str:
    """A table that opens on a click at its title."""
    return details(table.title, table.html())


def table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str = "", digits: int = 3
) -> str:
    """A table of plain columns, as `Table` renders it; ``digits`` after the point of a float."""
    show = partial(number, digits=digits)
    return Table([Column(name, show) for name in columns], rows, caption).html()


def figure(
    draw: Callable[[Any], None],
    *,
    caption: str,
    alt: str,
    size: tuple[float, float] = (8.0, 3.6),
    panels: int = 1,
) -> str:
    """Draw on fresh axes (a list of them if ``panels`` > 1) and inline the picture as SVG.

    A width of 11 inches fills the page; on a phone a wide figure scrolls and stays readable.
    """
    from grpolab.figures.style import styled

    buffer = io.StringIO()
    with styled(), warnings.catch_warnings():
        # names of any language: a letter that the font has not is drawn as a box
        warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from font")
        picture = drawn(draw, size=size, panels=panels)
        metadata = {"Date": None, "Creator": None}
        picture.savefig(buffer, format="svg", transparent=True, metadata=metadata)
    svg, label = buffer.getvalue(), escaped(alt).replace('"', "&quot;")
    svg = svg[svg.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
    frame = scrolled("picture", f"Figure: {alt}", svg)
    inches = f"--inches:{size[0]:g}"
    return f'<figure style="{inches}">{frame}<figcaption>{text(caption)}</figcaption></figure>'


def drawn(
    draw: Callable[[Any], None], *, size: tuple[float, float] = (8.0, 3.6), panels: int = 1
) -> Figure:
    """A matplotlib figure that no window knows, drawn on fresh axes, a list of them if several."""
    from grpolab.figures.shown import ShownFigure
    from grpolab.figures.style import styled

    with styled():
        found = ShownFigure(figsize=size, layout="constrained")
        axes = found.subplots(1, panels)
        draw(list(axes) if panels > 1 else axes)
    return found


def section(title: str, *parts: str) -> str:
    """A heading and what stands under it."""
    return f"<section><h2>{text(title)}</h2>{''.join(parts)}</section>"


def details(summary: str, *parts: str) -> str:
    """Parts that open on a click."""
    return f"<details><summary>{text(summary)}</summary>{''.join(parts)}</details>"


def write_page(
    path: Path, *, title: str, lead: str, parts: Iterable[str], style: str = "", reload: int = 0
) -> None:
    """Write one HTML file that needs nothing else; ``style`` is CSS on top of the common one.

    A browser loads it anew every ``reload`` seconds; 0: never.
    """
    again = f'<meta http-equiv="refresh" content="{reload}">' if reload else ""
    check_place(path)
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">{again}'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escaped(title)}</title><style>{_STYLE}{style}</style></head><body>"
        f'<main><h1>{text(title)}</h1><p class="lead">{text(lead)}</p>{"".join(parts)}</main>'
        "</body></html>\n"
    )
    write_text(path, page)

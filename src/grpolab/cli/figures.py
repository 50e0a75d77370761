"""`grpolab figures`: every figure of the documentation, drawn again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grpolab.cli._options import expanded
from grpolab.cli._output import JsonFlag, print_json, print_table, say
from grpolab.errors import UserError, input_errors
from grpolab.figures.tables import Column, Table

if TYPE_CHECKING:
    from grpolab.figures.render import Claim


@expanded
def figures(
    names: Annotated[list[str] | None, typer.Argument(help="Figures to draw; all if none.")] = None,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("grpolab-figures"),
    results: Annotated[
        Path | None,
        typer.Option(help="Folder of committed results; docs/results of a checkout by default."),
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="List the figures and stop.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Draw the figures of the documentation as SVG and PNG, the same bytes each time.

    Some show measurements: outside of a checkout they need --results, or are skipped.

    Example: grpolab figures p-star weight --out pictures
    """
    from grpolab.figures.registry import find

    if results is not None and not results.is_dir():
        raise UserError(f"--results {results}: no such folder")
    folder = results or _committed()
    with input_errors():
        claims = find(names or [])
    if show:
        _list(claims, folder, as_json)
        return
    skipped = {claim.name: claim.missing(folder) for claim in claims if claim.missing(folder)}
    if names and skipped:
        name, files = next(iter(skipped.items()))
        raise UserError(f"{name} needs {', '.join(files)} in {folder or '--results DIR'}")
    paths = _draw([claim for claim in claims if claim.name not in skipped], folder, out)
    if as_json:
        print_json({"out": out, "files": paths, "skipped": skipped})
        return
    say(f"wrote {len(paths)} files to {out}")
    for name, files in skipped.items():
        say(f"skipped {name}: {', '.join(files)} is not in {folder or '--results DIR'}")


def _committed() -> Path | None:
    """docs/results of the current folder, or of the checkout that this code runs from."""
    import grpolab

    roots = (Path(), Path(grpolab.__file__).parents[2])
    places = [root / "docs" / "results" for root in roots]
    return next((place for place in places if (place / "full.json").is_file()), None)


def _draw(claims: list[Claim], folder: Path | None, out: Path) -> list[Path]:
    from grpolab.figures.render import render
    from grpolab.progress import ProgressBar

    paths = []
    with ProgressBar(len(claims), note=f"{len(claims)} figures", patience=2.0) as bar:
        for claim in claims:
            bar.part(claim.name, 0.0)
            paths += render(claim, claim.load(folder), out=out)
            bar.part(claim.name, 1.0, finished=True)
    return paths


def _list(claims: list[Claim], folder: Path | None, as_json: bool) -> None:
    if as_json:
        entries = [
            {
                "name": claim.name, "sentence": claim.sentence, "source": claim.source,
                "data": claim.maker, "reads": claim.reads, "missing": claim.missing(folder),
            }
            for claim in claims
        ]  # fmt: skip
        print_json({"figures": entries})
        return
    rows = [(claim.name, claim.sentence, ", ".join(claim.reads) or "computed") for claim in claims]
    columns = [Column(name, words=True) for name in ("name", "what it shows", "data")]
    print_table(Table(columns, rows, title="Figures"))

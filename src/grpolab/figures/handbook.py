"""The page of the documentation that lists every figure with the sentence it proves."""

from __future__ import annotations

from pathlib import Path

from grpolab.figures.registry import CLAIMS
from grpolab.figures.render import Claim

_HEAD = """\
# Figures

Made by `grpolab.figures.handbook.handbook`. `grpolab figures` draws all of them again as SVG and
PNG, with the same bytes on every run of one set of versions (`constraints.txt`); `grpolab figures
NAME` draws one.

Figures without a file below are computed by the library when they are drawn. The others show
measurements, read from `docs/results/`, which a wheel does not hold: there they need a checkout
and `--results`.
"""


def handbook(results: Path) -> str:
    """The whole page; figures whose files ``results`` does not hold have no picture yet."""
    return "\n".join([_HEAD, *(_entry(claim, results) for claim in CLAIMS)])


def _entry(claim: Claim, results: Path) -> str:
    title = claim.title.replace("\n", " ")
    missing = claim.missing(results)
    picture = (
        f"No picture yet: `{'`, `'.join(missing)}` is not there."
        if missing
        else f"![{title}](figures/{claim.name}.svg)"
    )
    lines = [
        f"## {title}",
        picture,
        claim.sentence,
        f"- name: `{claim.name}`\n- source: {claim.source}\n- data: `{claim.maker}`"
        + "".join(f"\n- file: `{_place(name)}`" for name in claim.reads),
    ]
    return "\n\n".join(lines) + "\n"


def _place(name: str) -> str:
    """A file of `Claim.reads` as seen from the root of a checkout.

    >>> _place("full.json"), _place("../samples/a.csv")
    ('docs/results/full.json', 'docs/samples/a.csv')
    """
    return f"docs/{name[3:]}" if name.startswith("../") else f"docs/results/{name}"

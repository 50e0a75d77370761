"""Intervals that say 95% cover in 93% and more, whatever the law of p."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from grpolab.figures.style import BLUE, GREY, RED, SKY

_CELL = re.compile(r"(?P<quantity>[^:]+): (?P<law>.+), (?P<design>\d+ prompts, n=.*)")
_AGAIN = re.compile(r" over \d+ new data sets$")
_POOLED = re.compile(r"all \d+ laws")
_KINDS = {
    "within": "up to n samples", "short-prompts": "some with fewer", "beyond": "beyond n samples",
    "first-groups": "share of B groups", "icc-interval": "correlation",
}  # fmt: skip
"""Checks of the grid that measure coverage, and what their intervals are of."""


class Row(NamedTuple):
    """Coverage of one interval in one design: by law, and over all laws."""

    kind: str
    quantity: str
    design: str
    by_law: Mapping[str, float]
    pooled: float

    @property
    def least(self) -> tuple[str, float]:
        """The law that is covered least."""
        return min(self.by_law.items(), key=lambda pair: pair[1])


def data(record: Mapping[str, Any]) -> list[Row]:
    """One row per quantity and design of a record of `grpolab verify --json`.

    A cell that was measured again has the coverage of the new data sets.

    >>> check = {"name": "zero std: all 9 laws, 20 prompts, n=4, g=8", "observed": 0.95}
    >>> data({"results": [{"name": "beyond", "checks": [check]}]})[0].pooled
    0.95
    """
    found: dict[tuple[str, str, str], dict[str, float]] = {}
    for outcome in record["results"]:
        for check in outcome["checks"] if outcome["name"] in _KINDS else ():
            cell = _CELL.fullmatch(check["name"])
            if cell is None:
                continue
            quantity = _AGAIN.sub("", cell["quantity"])  # more data sets, which come later
            if " over " in quantity:
                continue
            key = (_KINDS[outcome["name"]], quantity, cell["design"])
            found.setdefault(key, {})[cell["law"]] = check["observed"]
    rows = []
    for key, laws in found.items():
        pooled = next(value for law, value in laws.items() if _POOLED.fullmatch(law))
        single = {law: value for law, value in laws.items() if not _POOLED.fullmatch(law)}
        rows.append(Row(*key, single, pooled))
    return rows


def _short(design: str) -> str:
    """Prompts, samples and group size in a few signs.

    >>> _short("100 prompts, n=8, g=16"), _short("100 prompts, n=8, g=8, B=32")
    ('100×8 → 16', '100×8 → 8, B=32')
    """
    plain = re.sub(r"(\d+) prompts, n=(\d+)", r"\1×\2", design)
    return plain.replace(", g=", " → ")


def draw(ax: Any, rows: Sequence[Row]) -> None:
    """A line of dots per interval and design, one dot per law, and a bar for all laws together."""
    place, labels = 0, []
    kind = ""
    for row in rows:
        if row.kind != kind:
            kind = row.kind
            ax.text(0.802, place, kind, fontsize=8, weight="bold", va="center")
            labels.append((place, ""))
            place += 1
        values = list(row.by_law.values())
        ax.plot(values, [place] * len(values), "o", ms=3, color=SKY, alpha=0.7, mew=0)
        ax.plot([row.pooled], [place], "|", ms=8, mew=2, color=BLUE)
        labels.append((place, f"{row.quantity}, {_short(row.design)}"))
        place += 1
    ax.axvline(0.95, color=GREY, lw=0.9)
    ax.axvline(0.93, color=RED, lw=0.9, ls=":")
    ax.set_yticks([p for p, _ in labels], [text for _, text in labels], fontsize=7)
    ax.set(
        xlim=(0.8, 1.005),
        ylim=(place - 0.4, -0.6),
        xlabel="coverage of 95% intervals",
        ylabel="prompts × samples → group size",
    )
    ax.grid(axis="y", visible=False)

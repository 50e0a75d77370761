"""Two inputs in sentences: which has more, which are equal, and how many prompts would tell."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from grpolab.figures.words import count, round_up
from grpolab.validate.audit.compare import Difference


def advise_comparison(differences: Sequence[Difference]) -> list[str]:
    """Which input has more, or how many prompts would tell; group sizes that agree in one line."""
    found = []
    for _, alike in itertools.groupby(differences, key=_verdict):
        several = list(alike)
        d = several[0]
        if d.decided:
            found.append(_lead(several))
        elif d.equal:
            found.append(_equal(several))
        else:
            found += [_undecided(one) for one in several]
    return found


def _verdict(d: Difference) -> tuple[object, ...]:
    """What differences must share to be told in one sentence."""
    what = d.quantity.partition("g=")[0]
    return (
        d.first, d.second, what, d.decided, d.equal, d.difference > 0 and d.decided, d.paired,
        d.num_prompts,
    )  # fmt: skip


def _basis(d: Difference) -> str:
    return f"paired over {d.num_prompts} prompts" if d.paired else "different prompts"


def _names(alike: Sequence[Difference]) -> str:
    """The quantity, with all its group sizes."""
    sizes = "".join(f", {e.quantity.partition('g=')[2]}" for e in alike[1:])
    return f"{alike[0].quantity}{sizes}"


def _lead(alike: Sequence[Difference]) -> str:
    d = alike[0]
    more, less = (d.first, d.second) if d.difference > 0 else (d.second, d.first)
    spans = [(abs(e.difference), *sorted((abs(e.low), abs(e.high)))) for e in alike]
    points = ", ".join(
        f"{100 * at:.1f} ({100 * near:.1f} to {100 * far:.1f})" for at, near, far in spans
    )
    by = f", but by less than {100 * d.margin:.0f} points," if d.equal else ""
    return f"{_names(alike)}: {more} is above {less}{by} by {points} points, {_basis(d)}."


def _span(d: Difference) -> str:
    return f"{100 * d.difference:+.1f}, 95% {100 * d.low:+.1f} to {100 * d.high:+.1f}"


def _equal(alike: Sequence[Difference]) -> str:
    d = alike[0]
    return (
        f"{_names(alike)}: {d.first} and {d.second} are equal within {100 * d.margin:.0f} points"
        f" ({', '.join(map(_span, alike))} points, {_basis(d)})."
    )


def _undecided(d: Difference) -> str:
    said = (
        f"{d.quantity}: cannot tell {d.first} and {d.second} apart yet ({_span(d)} points,"
        f" {_basis(d)})"
    )
    if d.difference == 0 and d.p_value == 1:
        said = (
            f"{d.quantity}: {d.first} and {d.second} do not differ on these prompts ({_basis(d)})"
        )
    more = d.prompts_needed - d.num_prompts
    if not math.isfinite(more):
        return f"{said}."
    return (
        f"{said}; about {count(round_up(more))} more prompts would show who has more, or that they"
        f" are equal within {100 * d.margin:.0f} points."
    )

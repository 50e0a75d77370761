"""What the trial decides about each claim, by the rules that the protocol gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from typing import Protocol as Shape

import numpy as np

from grpolab.theory.groups import FloatArray
from grpolab.validate.estimate.contrasts import holm
from grpolab.validate.study.trial.lifts import BudgetRow, LowStart, lift_difference, slope
from grpolab.validate.study.trial.measures import (
    Estimate,
    calibration,
    one_sided,
    over_designs,
    ratio_over_designs,
    regret,
    sign_flip,
)
from grpolab.validate.study.trial.protocol import Protocol

CONFIRMED, REFUTED, OPEN, EARLY = "confirmed", "refuted", "open", "not decided yet"


class Row(Shape):
    """A design as the claims see it."""

    @property
    def name(self) -> str:
        """The design."""

    @property
    def x(self) -> Mapping[str, FloatArray]:
        """Predictors."""

    @property
    def y(self) -> Mapping[str, FloatArray]:
        """Outcomes."""


class Verdict(NamedTuple):
    """A claim, what the designs so far say of it, and the verdict.

    ``value`` with ``low`` and ``high`` is the claim's own number: a difference of regrets, a slope,
    a difference of shares, or a coverage. ``p_value`` is adjusted. ``ratio`` is the quotient of the
    two regrets where the claim has a bar, and ``meets_bar`` whether it is reached.
    """

    claim: str
    statement: str
    verdict: str
    num_designs: int
    value: float
    low: float
    high: float
    p_value: float | None = None
    ratio: float | None = None
    meets_bar: bool | None = None
    note: str = ""


def verdicts(
    protocol: Protocol, table: Sequence[Row], budget: Sequence[BudgetRow], low: Sequence[LowStart]
) -> list[Verdict]:
    """One per claim; not decided yet as long as a design is missing."""
    if not table:
        return []
    claims = protocol.words["claims"]
    better = [c for c in claims if c["kind"] == "superiority"]
    p_values = holm([sign_flip(_difference(table, c["first"], c)) for c in better])
    adjusted = {c["id"]: p for c, p in zip(better, p_values, strict=True)}
    kinds: dict[str, Callable[[Mapping[str, Any]], Verdict]] = {
        "superiority": lambda c: _superiority(protocol, table, c, adjusted[c["id"]]),
        "non-inferiority": lambda c: _non_inferiority(protocol, table, c),
        "budget law": lambda c: _budget(budget, c),
        "low p": lambda c: _doom(low, c) if c["id"] == "I" else _variance(low, c),
        "calibration": lambda c: _calibration(protocol, table, c),
    }
    found = [kinds[claim["kind"]](claim) for claim in claims]
    if len(table) == len(protocol.designs):
        return found
    return [verdict._replace(verdict=EARLY) for verdict in found]


def _difference(
    table: Sequence[Row], first: str, claim: Mapping[str, Any], second: str = ""
) -> FloatArray:
    """Regret of one predictor minus another's, by design, where both are defined."""
    other = second or claim["second"]
    return np.array(
        [
            regret(row.x[first], row.y[claim["outcome"]])
            - regret(row.x[other], row.y[claim["outcome"]])
            for row in table
            if first in row.x and other in row.x
        ]
    )


def _superiority(
    protocol: Protocol, table: Sequence[Row], claim: Mapping[str, Any], p_value: float
) -> Verdict:
    difference = _difference(table, claim["first"], claim)
    if not len(difference):
        return _nothing(claim)
    found = over_designs(difference)
    both = [row for row in table if claim["first"] in row.x]
    cost = [
        np.array([regret(row.x[name], row.y[claim["outcome"]]) for row in both])
        for name in (claim["first"], claim["second"])
    ]
    ratio = ratio_over_designs(*cost).value
    margin = protocol.words["margin"]["mean_regret"]
    level = protocol.words["tests"]["family_wise_level"]
    verdict = OPEN
    if p_value < level and found.value < 0:
        verdict = CONFIRMED
    elif found.low > -margin:
        verdict = REFUTED
    bar = claim.get("bar_ratio")
    return Verdict(
        claim["id"], claim["statement"], verdict, len(difference), *found, p_value=p_value,
        ratio=ratio, meets_bar=None if bar is None else bool(ratio <= bar),
    )  # fmt: skip


def _non_inferiority(protocol: Protocol, table: Sequence[Row], claim: Mapping[str, Any]) -> Verdict:
    margin = protocol.words["margin"]["mean_regret"]
    others = claim["second"]
    level = 1 - protocol.words["tests"]["family_wise_level"] / len(others)
    rows = []
    for other in others:
        values = _difference(table, claim["first"], claim, other)
        if len(values):
            rows.append((float(values.mean()), *one_sided(values, level=level), other, len(values)))
    if not rows:
        return _nothing(claim)
    verdict = OPEN
    if all(high <= margin for _, _, high, _, _ in rows):
        verdict = CONFIRMED
    elif any(low > margin for _, low, _, _, _ in rows):
        verdict = REFUTED
    value, low, high, other, size = max(rows, key=lambda row: row[2])
    return Verdict(
        claim["id"], claim["statement"], verdict, size, value, low, high,
        note=f"the highest bound is that against {other}",
    )  # fmt: skip


def _budget(rows: Sequence[BudgetRow], claim: Mapping[str, Any]) -> Verdict:
    return _by_interval(slope(rows), claim, {row.design for row in rows})


def _by_interval(found: Estimate, claim: Mapping[str, Any], designs: set[str]) -> Verdict:
    """Confirmed by an interval above 0, refuted by one below the size that the claim needs."""
    verdict = OPEN
    if found.low > 0:
        verdict = CONFIRMED
    elif found.high < claim["refuted_below"]:
        verdict = REFUTED
    return Verdict(claim["id"], claim["statement"], verdict, len(designs), *found)


def _doom(low: Sequence[LowStart], claim: Mapping[str, Any]) -> Verdict:
    """A low p and a low entropy doom a start: counted, by the rule of the protocol."""
    both = [row for row in low if row.low_entropy]
    lifted = [row for row in both if row.lifts]
    num, designs = len(both), len({row.design for row in both})
    verdict = OPEN
    if len(lifted) >= 2 and len({row.design for row in lifted}) >= 2:
        verdict = REFUTED
    elif num >= 5 and designs >= 3 and all(row.stalls for row in both):
        verdict = CONFIRMED
    share = len(lifted) / num if num else np.nan
    return Verdict(
        claim["id"], claim["statement"], verdict, designs, share, 0.0, 1.0,
        note=f"of {num} such starts {len(lifted)} lift and {sum(r.stalls for r in both)} stall",
    )  # fmt: skip


def _variance(low: Sequence[LowStart], claim: Mapping[str, Any]) -> Verdict:
    return _by_interval(lift_difference(low), claim, {row.design for row in low})


def _calibration(protocol: Protocol, table: Sequence[Row], claim: Mapping[str, Any]) -> Verdict:
    if len(table) < 4:
        return _nothing(claim)
    y = [row.y[claim["outcome"]].mean(axis=-1) for row in table]

    def intervals(name: str) -> tuple[FloatArray, FloatArray]:
        found = calibration([row.x[name].mean(axis=-1) for row in table], y)
        return found.coverage, found.score

    coverage, score = intervals(claim["predictor"])
    found = over_designs(coverage)
    narrower = [
        name
        for name, words in protocol.words["predictors"].items()
        if words["kind"] == "before RL"
        and name != claim["predictor"]
        and over_designs(intervals(name)[1] - score).high < 0
    ]
    verdict = OPEN
    if found.high < 0.95:
        verdict = REFUTED
    elif not narrower:
        verdict = CONFIRMED
    note = f"a lower interval score: {', '.join(narrower)}" if narrower else ""
    return Verdict(
        claim["id"], claim["statement"], verdict, len(table), *found, note=note
    )  # fmt: skip


def _nothing(claim: Mapping[str, Any]) -> Verdict:
    return Verdict(
        claim["id"], claim["statement"], OPEN, 0, np.nan, -np.inf, np.inf,
        note="no design has what it needs",
    )  # fmt: skip

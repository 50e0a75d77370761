"""The trial's result: a pure function of the counts of the designs that are finished.

On some of the designs it gives numbers and no verdict, so that nobody stops where it suits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from grpolab.store import jsonable
from grpolab.theory.groups import FloatArray
from grpolab.validate.study.trial.claims import Verdict, verdicts
from grpolab.validate.study.trial.counts import DesignCounts
from grpolab.validate.study.trial.lifts import BudgetRow, LowStart, best_ks, low_starts
from grpolab.validate.study.trial.measures import (
    Estimate,
    calibration,
    out_of_design,
    over_designs,
    rank_correlation,
    ratio_over_designs,
    regret,
)
from grpolab.validate.study.trial.protocol import Protocol
from grpolab.validate.study.trial.scores import outcome_scores, predictor_scores

FORECAST_DESIGNS = 4
"""Designs from which on intervals of outcomes can be judged."""


class Measured(NamedTuple):
    """Predictors (higher is chosen) and outcomes of one design, [S, D, R] each."""

    name: str
    x: dict[str, FloatArray]
    y: dict[str, FloatArray]


@dataclass(frozen=True, slots=True)
class Standing:
    """One predictor and outcome over the designs that have the predictor.

    ``against`` is the difference of its mean regret from that of pass@1; ``coverage`` and ``score``
    are those of its 95% intervals of the outcome, None for too few designs.
    """

    predictor: str
    outcome: str
    num_designs: int
    regret: Estimate
    worst: float
    worst_design: str
    against: Estimate
    spearman: Estimate
    r2: Estimate | None
    r2_within: Estimate | None
    coverage: Estimate | None
    score: Estimate | None


@dataclass(frozen=True, slots=True)
class Analysis:
    """Everything the trial says so far, from ``done`` of its designs."""

    protocol: str
    done: tuple[str, ...]
    num_designs: int
    standings: tuple[Standing, ...]
    verdicts: tuple[Verdict, ...]
    budget: tuple[BudgetRow, ...]
    low: tuple[LowStart, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types, floats to six digits; an estimate is [value, low, high]."""
        found: dict[str, Any] = rounded(
            jsonable(
                {
                    "protocol": self.protocol,
                    "done": self.done,
                    "num_designs": self.num_designs,
                    "standings": [asdict(row) for row in self.standings],
                    "verdicts": [row._asdict() for row in self.verdicts],
                    "budget": [row._asdict() for row in self.budget],
                    "low": [row._asdict() for row in self.low],
                }
            )
        )
        return found


def rounded(value: Any) -> Any:
    """Plain JSON types with floats of six digits."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    return round(value, 6) if isinstance(value, float) else value


def measured(protocol: Protocol, counts: DesignCounts) -> Measured:
    """Predictors with the sign of their direction, and outcomes."""
    words = protocol.words["predictors"]
    scores = predictor_scores(counts)
    x = {name: words[name]["direction"] * scores[name] for name in words if name in scores}
    return Measured(counts.design.name, x, outcome_scores(counts))


def analyse(protocol: Protocol, counts: Sequence[DesignCounts]) -> Analysis:
    """The result from the finished designs, in the order of the protocol."""
    table = [measured(protocol, one) for one in counts]
    standings = [
        _standing(table, predictor, outcome)
        for outcome in protocol.words["outcomes"]
        for predictor in protocol.words["predictors"]
        if any(predictor in row.x for row in table)
    ]
    budget = tuple(row for one in counts for row in best_ks(protocol, one))
    low = tuple(row for one in counts for row in low_starts(protocol, one))
    return Analysis(
        protocol=protocol.sha256,
        done=tuple(row.name for row in table),
        num_designs=len(protocol.designs),
        standings=tuple(standings),
        verdicts=tuple(verdicts(protocol, table, budget, low)),
        budget=budget,
        low=low,
    )


def _standing(table: Sequence[Measured], predictor: str, outcome: str) -> Standing:
    rows = [row for row in table if predictor in row.x]
    x, y = [row.x[predictor] for row in rows], [row.y[outcome] for row in rows]
    base = [row.x["pass@1"] for row in rows]
    cost = np.array([regret(a, b) for a, b in zip(x, y, strict=True)])
    other = np.array([regret(a, b) for a, b in zip(base, y, strict=True)])
    ranks = np.array([rank_correlation(a, b) for a, b in zip(x, y, strict=True)])
    means = [v.mean(axis=-1) for v in x], [v.mean(axis=-1) for v in y]
    r2 = within = coverage = score = None
    if len(rows) > 1:
        plain = out_of_design(*means, within=False)
        inside = out_of_design(*means, within=True)
        r2 = _r2(plain.error, plain.total)
        within = _r2(inside.error, inside.total)
    if len(rows) >= FORECAST_DESIGNS:
        found = calibration(*means)
        coverage, score = over_designs(found.coverage), over_designs(found.score)
    return Standing(
        predictor, outcome, len(rows), over_designs(cost), float(cost.max()),
        rows[int(np.argmax(cost))].name, over_designs(cost - other), over_designs(ranks), r2,
        within, coverage, score,
    )  # fmt: skip


def _r2(error: FloatArray, total: FloatArray) -> Estimate:
    found = ratio_over_designs(error, total)
    return Estimate(1 - found.value, 1 - found.high, 1 - found.low)

"""pass@k before RL as predictor, for k from 1 to 256: where does a larger k stop paying?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from grpolab.figures.tables import Column, Table
from grpolab.figures.words import estimate, number
from grpolab.theory.groups import FloatArray, GroupCounts
from grpolab.theory.pass_at_k import pass_at_k
from grpolab.validate.forecast.law import fit_law
from grpolab.validate.forecast.zero_std import natural_method
from grpolab.validate.study.explore.courses import Courses
from grpolab.validate.study.trial.measures import (
    over_designs,
    rank_correlation,
    regret,
)

KS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
OUTCOMES = (1, 10, 64)


def scores_at(one: Courses, k: int) -> FloatArray:
    """pass@k before RL of every start, [S, D]; beyond the samples by the smoothed mixture."""
    if k <= one.samples:
        return np.asarray(pass_at_k(one.samples, one.before, k).mean(axis=-1))
    found = np.empty(one.before.shape[:2])
    for place in np.ndindex(found.shape):
        counts = GroupCounts(one.before[place], one.samples)
        found[place] = fit_law(counts, natural_method(counts, k)).pass_at(k)
    return found


def outcomes_at(one: Courses, k: int) -> FloatArray:
    """pass@k after RL of every run, [S, D, R]."""
    return np.asarray(pass_at_k(one.end_samples, one.end, k).mean(axis=-1))


def sweep(designs: Sequence[Courses]) -> list[dict[str, Any]]:
    """One row per outcome and k: what choosing by pass@k costs, and how it ranks.

    ``against_half`` is the difference of the regret from that of k/2. The unit is the design.
    """
    score = {k: [scores_at(one, k) for one in designs] for k in KS}
    beyond = {k: sum(k > one.samples for one in designs) for k in KS}
    rows = []
    for outcome in OUTCOMES:
        y = [outcomes_at(one, outcome) for one in designs]
        cost: dict[int, FloatArray] = {}
        for k in KS:
            x = [np.broadcast_to(s[..., None], v.shape) for s, v in zip(score[k], y, strict=True)]
            cost[k] = np.array([regret(a, b) for a, b in zip(x, y, strict=True)])
            ranks = np.array([rank_correlation(a, b) for a, b in zip(x, y, strict=True)])
            rows.append(
                {
                    "outcome": outcome, "k": k, "designs": len(designs), "beyond": beyond[k],
                    "regret": over_designs(cost[k]), "spearman": over_designs(ranks),
                    "against_half": over_designs(cost[k] - cost[k // 2]) if k > 1 else None,
                }
            )  # fmt: skip
    return rows


def table(rows: Sequence[dict[str, Any]], outcome: int) -> Table:
    """The sweep for one outcome."""
    return Table(
        [
            "k", Column("regret", estimate), Column("against k/2", estimate),
            Column("Spearman", estimate), "beyond the samples",
        ],
        [
            (
                row["k"], row["regret"], row["against_half"], row["spearman"],
                f"{row['beyond']} of {row['designs']}" if row["beyond"] else "-",
            )
            for row in rows
            if row["outcome"] == outcome
        ],
    )  # fmt: skip


def said(rows: Sequence[dict[str, Any]]) -> str:
    """Where a larger k stops paying, by outcome, in sentences."""
    found = []
    for outcome in OUTCOMES:
        mine = [row for row in rows if row["outcome"] == outcome]
        best = min(mine, key=lambda row: row["regret"][0])
        paid = [r["k"] for r in mine if r["against_half"] and r["against_half"][2] < 0]
        costs = [r["k"] for r in mine if r["against_half"] and r["against_half"][1] > 0]
        text = (
            f"For final pass@{outcome} the least regret is at k = {best['k']}"
            f" ({number(best['regret'][0])}); "
        )
        if paid:
            text += f"the last doubling of k that pays beyond chance is that to {max(paid)}"
        else:
            text += "no doubling of k pays beyond chance"
        if costs:
            text += f", and doublings to {', '.join(map(str, costs))} cost beyond chance"
        found.append(f"- {text}.")
    return "\n".join(found)

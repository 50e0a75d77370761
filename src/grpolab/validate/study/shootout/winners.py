"""The verdict: one row per predictor and outcome, best first, and where each one fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from grpolab.theory.groups import FloatArray
from grpolab.validate.study.shootout.inversion import Calls, inversion_calls
from grpolab.validate.study.shootout.table import BASELINES, DIRECTIONS, FamilyTable
from grpolab.validate.study.shootout.within import RankRow, rank_rows, regret_rows, same_order


class Standing(NamedTuple):
    """A predictor over all families in one outcome.

    ``rho`` is Spearman's, positive where the predictor's direction is right, mean over families
    and in the worst one; ``adjusted_p`` corrects for all predictors; ``regret`` is the mean over
    families, ``worst`` the largest and ``fails_in`` where that is. ``beats`` counts, for each
    baseline, families in which the regret is smaller, equal and larger by ``TOLERANCE``.
    ``same_as_depth`` is the share of ladders in which the predictor orders the checkpoints exactly
    as SFT depth does: there it says nothing that depth does not say.
    """

    predictor: str
    outcome: str
    rho: float
    worst_rho: float
    adjusted_p: float
    regret: float
    worst: float
    fails_in: str
    beats: Mapping[str, tuple[int, int, int]]
    sensitivity: float
    specificity: float
    same_as_depth: float


TOLERANCE = 0.005
"""Regrets this close are equal."""


def standings(
    table: Sequence[FamilyTable],
    outcome: str,
    *,
    rng: np.random.Generator | int,
    directions: Mapping[str, int] = DIRECTIONS,
    baselines: Sequence[str] = BASELINES,
    num_permutations: int = 20_000,
) -> list[Standing]:
    """Rank the predictors that all families have by mean regret; references have no correlation.

    Families weigh the same. Regret is in units of the outcome, so that a family in which every
    start ends alike counts for little, as it should.
    """
    usable = {n: d for n, d in directions.items() if all(f.has(n) for f in table)}
    missing = [name for name in baselines if name not in usable]
    if missing:
        raise ValueError(f"baselines must be columns of every family, {missing[0]!r} is not")
    ranks = {
        row.predictor: row
        for row in rank_rows(
            table, outcome, rng=rng, predictors=tuple(usable), num_permutations=num_permutations,
            num_resamples=0,
        )
    }  # fmt: skip
    single = [_aligned(family, outcome, usable) for family in table]
    calls = {c.predictor: c for c in inversion_calls(table, outcome, directions=usable)}
    costs: dict[str, list[float]] = {}
    for family in table:
        for row in regret_rows(family, outcome, directions=usable):
            costs.setdefault(row.predictor, []).append(row.regret)
    found = [
        _standing(
            name, outcome, usable.get(name, 0), ranks.get(name), [s.get(name, 0.0) for s in single],
            np.array(cost), {b: np.array(costs[b]) for b in baselines},
            calls.get(name), [f.name for f in table],
            same_order(table, name) if name in usable else float("nan"),
        )
        for name, cost in costs.items()
    ]  # fmt: skip
    return sorted(found, key=lambda row: (row.regret, -row.rho if row.rho == row.rho else 0.0))


def _aligned(family: FamilyTable, outcome: str, directions: Mapping[str, int]) -> dict[str, float]:
    rows = rank_rows([family], outcome, rng=0, predictors=tuple(directions), num_resamples=0)
    return {row.predictor: directions[row.predictor] * row.spearman for row in rows}


def _standing(
    name: str,
    outcome: str,
    direction: int,
    rank: RankRow | None,
    single: Sequence[float],
    cost: FloatArray,
    baselines: Mapping[str, FloatArray],
    calls: Calls | None,
    names: Sequence[str],
    same: float,
) -> Standing:
    nan = float("nan")
    beats = {
        base: (
            int(np.sum(cost < other - TOLERANCE)),
            int(np.sum(np.abs(cost - other) <= TOLERANCE)),
            int(np.sum(cost > other + TOLERANCE)),
        )
        for base, other in baselines.items()
    }
    return Standing(
        name,
        outcome,
        direction * rank.spearman if rank else nan,
        min(single) if rank else nan,
        rank.adjusted_p if rank else nan,
        float(cost.mean()),
        float(cost.max()),
        names[int(np.argmax(cost))],
        beats,
        calls.sensitivity if calls else nan,
        calls.specificity if calls else nan,
        same,
    )

"""Trained checkpoints as ladders: the same task and regime, seeds by depths, one array per column.

A predictor has to say which checkpoint *of a family* is the best start: families differ in their
prompts, so that numbers are compared inside a family and never pooled over families.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from grpolab.theory.groups import FloatArray, IntArray
from grpolab.validate.estimate.bootstrap import top_share
from grpolab.validate.study.rows import METRICS

DIRECTIONS: Mapping[str, int] = MappingProxyType(
    {"depth": -1, **{m.name: m.direction for m in METRICS.values() if m.direction}}
)
"""Predictors, and whether the start with the most (1) or the least (-1) of it is chosen.

SFT depth itself (choose the shallowest) and pass@g are the baselines to beat.
"""

BASELINES = ("depth", "pass_at_g")
_KEYS = ("task", "regime", "seed", "depth")


class FamilyTable(NamedTuple):
    """Starts that differ in SFT alone: every column has one value per seed and depth, [S, D].

    Families with one ``ladder`` share their SFT checkpoints, so they are no independent evidence.
    """

    task: str
    regime: str
    ladder: str
    seeds: tuple[int, ...]
    depths: IntArray
    columns: Mapping[str, FloatArray]

    @property
    def name(self) -> str:
        """``task/regime``."""
        return f"{self.task}/{self.regime}"

    def has(self, *names: str) -> bool:
        """Whether all these columns were measured on every checkpoint."""
        return all(name in self.columns for name in names)

    def column(self, name: str) -> FloatArray:
        """A column [S, D]; ValueError where it was not measured on every checkpoint."""
        if name not in self.columns:
            raise ValueError(
                f"{self.name} has no column {name!r} on every checkpoint; it has"
                f" {', '.join(sorted(self.columns))}"
            )
        return self.columns[name]


def families(rows: Iterable[Mapping[str, Any]]) -> list[FamilyTable]:
    """Sort rows, one per trained checkpoint, into families of seeds by depths.

    A row has ``task``, ``regime``, ``seed``, ``depth``, perhaps ``ladder`` (default: task and
    regime), and numbers under any other name. A column that is absent, None or NaN on any
    checkpoint of a family is left out of that family. Raises ValueError for a checkpoint that is
    missing or there twice, and for a family of one depth.

    >>> rows = [dict(task="t", regime="r", seed=0, depth=d, x=1.0 / d) for d in (4, 2)]
    >>> families(rows)[0].column("x").tolist()
    [[0.5, 0.25]]
    """
    grouped: dict[tuple[str, str], dict[tuple[int, int], Mapping[str, Any]]] = {}
    for row in rows:
        lost = [key for key in _KEYS if key not in row]
        if lost:
            raise ValueError(f"rows must have {', '.join(_KEYS)}; one lacks {', '.join(lost)}")
        cells = grouped.setdefault((str(row["task"]), str(row["regime"])), {})
        place = int(row["seed"]), int(row["depth"])
        if place in cells:
            raise ValueError(
                f"rows must be distinct, got {row['task']}/{row['regime']} seed {place[0]} depth"
                f" {place[1]} twice"
            )
        cells[place] = row
    if not grouped:
        raise ValueError("rows must hold at least one checkpoint")
    return [_family(task, regime, cells) for (task, regime), cells in grouped.items()]


def _family(
    task: str, regime: str, cells: Mapping[tuple[int, int], Mapping[str, Any]]
) -> FamilyTable:
    seeds = sorted({seed for seed, _ in cells})
    depths = sorted({depth for _, depth in cells})
    if len(depths) < 2:
        raise ValueError(f"{task}/{regime} must have at least 2 depths, got {depths}")
    for seed in seeds:
        for depth in depths:
            if (seed, depth) not in cells:
                raise ValueError(f"{task}/{regime} lacks seed {seed} depth {depth}")
    grid = [[cells[seed, depth] for depth in depths] for seed in seeds]
    first = grid[0][0]
    names = [n for n in first if n not in (*_KEYS, "ladder")]
    columns = {n: np.array([[_number(row, n) for row in line] for line in grid]) for n in names}
    columns["depth"] = np.tile(np.log2(1.0 + np.array(depths)), (len(seeds), 1))
    return FamilyTable(
        task,
        regime,
        str(first.get("ladder", f"{task}/{regime}")),
        tuple(seeds),
        np.array(depths),
        {n: v for n, v in columns.items() if np.isfinite(v).all()},
    )


def _number(row: Mapping[str, Any], name: str) -> float:
    value = row.get(name)
    return float(value) if isinstance(value, (int, float, np.number)) else math.nan


def picks(family: FamilyTable, predictor: str, *, direction: int) -> FloatArray:
    """The choice of a predictor in each seed as weights over depths, [S, D]; ties are shared.

    >>> rows = [dict(task="t", regime="r", seed=0, depth=d, x=x) for d, x in ((1, 3), (2, 3))]
    >>> picks(families(rows)[0], "x", direction=1).tolist()
    [[0.5, 0.5]]
    """
    if direction not in (-1, 1):
        raise ValueError(f"direction of {predictor} must be 1 or -1, got {direction}")
    return top_share(direction * family.column(predictor))


def regret_of(weights: FloatArray, outcome: FloatArray) -> FloatArray:
    """Best outcome of each seed minus that of the choice, [S]; both arguments [S, D]."""
    return np.asarray(outcome.max(axis=1) - np.sum(weights * outcome, axis=1))


def known(families_: Sequence[FamilyTable], names: Iterable[str]) -> list[str]:
    """Those of the names that every family has."""
    return [name for name in names if all(family.has(name) for family in families_)]

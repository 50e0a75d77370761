"""Predictors before RL against outcomes after it, calibration of forecasts, and independence.

Plain-table statistics come from `study.shootout` and `validate.forecast`; this module brings a
study's rows into their form and picks what the report needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from grpolab.streams import stream_seed
from grpolab.validate.forecast.interval import METHODS, coverage_by_step, forecast_interval
from grpolab.validate.study import shootout
from grpolab.validate.study.families import REGIMES
from grpolab.validate.study.independence import (
    IndependenceRow,
    independence_row,
    independence_verdict,
)
from grpolab.validate.study.record import Record, Start
from grpolab.validate.study.results import (
    Calibration,
    Independence,
    OutOfSample,
    Ranked,
    Shootout,
    Transferred,
)
from grpolab.validate.study.rows import MAIN_OUTCOMES, METRICS, OUTCOMES, QUANTITIES, Row

PERMUTATIONS = (399, 9999)
"""Of the test of independence: for every checkpoint, and where that p-value is at most `SCREEN`."""
SCREEN = 0.05


def predictions(rows: Sequence[Row]) -> Shootout:
    """The shoot-out: within families, over all of them, and out of sample."""
    table = shootout.families(_flat(rows))
    outcomes = [o for o in OUTCOMES if all(f.has(o) for f in table)]
    several = len(table) > 1
    return Shootout(
        truth=tuple(shootout.truth(f, o) for f in table for o in outcomes),
        regret={outcome: _regrets(table, outcome) for outcome in MAIN_OUTCOMES},
        standings={
            outcome: tuple(shootout.standings(table, outcome, rng=0))
            for outcome in outcomes
            if several
        },
        transfer={
            leave_out: {o: _transfer(table, o, leave_out) for o in MAIN_OUTCOMES}
            for leave_out in (_folds(table) if several else [])
        },
        families={
            family.name: {
                outcome: Ranked(
                    tuple(shootout.rank_rows([family], outcome, rng=0)),
                    tuple(shootout.regret_rows(family, outcome)),
                )
                for outcome in outcomes
            }
            for family in table
        },
    )


def _regrets(table: Sequence[shootout.FamilyTable], outcome: str) -> dict[str, dict[str, float]]:
    """Regret by predictor and family."""
    found: dict[str, dict[str, float]] = {}
    for family in table:
        for row in shootout.regret_rows(family, outcome):
            found.setdefault(row.predictor, {})[family.name] = row.regret
    return found


def _folds(table: Sequence[shootout.FamilyTable]) -> list[Any]:
    several = {"family": {f.name for f in table}, "task": {f.task for f in table}}
    folds = [name for name, values in several.items() if len(values) > 1]
    return (["seed"] if len(table[0].seeds) > 1 else []) + folds


def _transfer(table: Sequence[shootout.FamilyTable], outcome: str, leave_out: Any) -> Transferred:
    """Out of sample: r2, Spearman, regret and inversion calls, best regret first."""
    predictors = {**{n: (n,) for n in shootout.DIRECTIONS}, **shootout.COMBINATIONS}
    found = shootout.overall(
        shootout.transfer(table, outcome, leave_out=leave_out, predictors=predictors)
    )
    return Transferred(
        predictors=tuple(
            OutOfSample(
                row.predictor, row.r2, row.spearman, row.regret, row.calls.sensitivity,
                row.calls.specificity,
            )
            for row in sorted(found, key=lambda row: row.regret)
        ),
        best_elsewhere=tuple(shootout.chosen_elsewhere(table, outcome, leave_out=leave_out)),
    )  # fmt: skip


def _flat(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One flat row per checkpoint; families on the same demonstrations share a ladder."""
    return [
        {
            "task": row.task,
            "regime": row.regime,
            "seed": row.seed,
            "depth": row.depth,
            "ladder": f"{row.task}/{REGIMES[row.regime].data}",
            **{name: metric.read(row) for name, metric in METRICS.items()},
        }
        for row in rows
    ]


def calibration(record: Record, rows: Sequence[Row]) -> tuple[Calibration, ...]:
    """Does a 95% interval made before RL cover the zero-std share of each early RL step?"""
    config = record.config
    before = [
        record.before[Start(row.task, REGIMES[row.regime].data, row.seed, row.depth)]
        .train.of(list(row.before.by_class))
        .counts()
        for row in rows
    ]
    found = []
    for quantity in QUANTITIES:
        seen = np.array([row.early.measured[quantity] for row in rows])  # [R, T]
        for method in METHODS:
            ends = [
                forecast_interval(
                    counts, group_size=config.grpo.group_size, rng=0, method=method,
                    num_groups=config.grpo.prompts_per_step, quantity=quantity,
                )
                for counts in before
            ]  # fmt: skip
            windows = coverage_by_step(
                seen, mean=[e.mean for e in ends], low=[e.low for e in ends],
                high=[e.high for e in ends],
            )  # fmt: skip
            found.append(Calibration(quantity, method, tuple(windows)))
    return tuple(found)


def independence(record: Record) -> Independence:
    """T1, T2 and T3 on the rollouts of every checkpoint before RL, each checkpoint once."""
    with ThreadPoolExecutor() as pool:  # what takes time in a row releases the interpreter
        rows = tuple(pool.map(partial(_independence_row, record), record.before))
    return Independence(rows, independence_verdict(rows))


def _independence_row(record: Record, start: Start) -> IndependenceRow:
    """The row of a checkpoint; where few permutations give a small p-value, many give another.

    Reporting the first p-value above `SCREEN` and the second otherwise is a valid test, for a
    p-value at most `SCREEN` needs both to be small.
    """
    label = f"{start.task} {start.data}, seed {start.seed}, depth {start.depth}"
    row = partial(
        independence_row, record.before[start].eval.counts(), label=label,
        group_size=record.config.grpo.group_size,
        rng=stream_seed(start.seed, f"independence, {label}"),
    )  # fmt: skip
    few = row(num_permutations=PERMUTATIONS[0])
    return row(num_permutations=PERMUTATIONS[1]) if few.p_value <= SCREEN else few

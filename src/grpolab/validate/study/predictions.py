"""Predictors before RL against outcomes after it, calibration of forecasts, and independence.

Plain-table statistics come from `validate.shootout` and its neighbours; this module only brings a
study's rows into their form and picks what the report needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from grpolab.store import read_json
from grpolab.theory.groups import GroupCounts
from grpolab.validate.forecast.interval import METHODS, coverage_by_step, forecast_interval
from grpolab.validate.rollouts.table import Rollouts
from grpolab.validate.study import shootout
from grpolab.validate.study.config import StudyConfig
from grpolab.validate.study.families import REGIMES, Family
from grpolab.validate.study.independence import IndependenceRow, independence_verdict
from grpolab.validate.study.jobs import RESULT, pre_key
from grpolab.validate.study.summary import METRICS
from grpolab.validate.study.tasks import StudyTask, make_task

OUTCOMES = (
    "final_pass_at_1", "final_pass_at_10", "final_pass_at_64", "corrected_peak_pass_at_1",
    "corrected_peak_pass_at_10", "corrected_peak_pass_at_64", "gain_pass_at_1",
)  # fmt: skip
Row = Mapping[str, Any]


def predictions(config: StudyConfig, rows: Sequence[Row]) -> dict[str, Any]:
    """The shoot-out: within families, over all of them, and out of sample."""
    table = shootout.families(_flat(rows))
    outcomes = [o for o in OUTCOMES if all(f.has(o) for f in table)]
    out: dict[str, Any] = {
        "truth": [shootout.truth(f, o)._asdict() for f in table for o in outcomes],
        "families": {
            family.name: {
                outcome: {
                    "rank": [r._asdict() for r in shootout.rank_rows([family], outcome, rng=0)],
                    "regret": [r._asdict() for r in shootout.regret_rows(family, outcome)],
                }
                for outcome in outcomes
            }
            for family in table
        },
    }
    out["regret"] = {outcome: _regrets(table, outcome) for outcome in outcomes[:2]}
    if len(table) > 1:
        out["standings"] = {
            outcome: [_standing(s) for s in shootout.standings(table, outcome, rng=0)]
            for outcome in outcomes
        }
        out["transfer"] = {
            leave_out: _transfer(table, outcomes[:2], leave_out) for leave_out in _folds(table)
        }
    return out


def _regrets(table: Sequence[shootout.Family], outcome: str) -> dict[str, dict[str, float]]:
    """Regret by predictor and family."""
    found: dict[str, dict[str, float]] = {}
    for family in table:
        for row in shootout.regret_rows(family, outcome):
            found.setdefault(row.predictor, {})[family.name] = row.regret
    return found


def _standing(row: shootout.Standing) -> dict[str, Any]:
    return {**row._asdict(), "beats": {k: list(v) for k, v in row.beats.items()}}


def _folds(table: Sequence[shootout.Family]) -> list[str]:
    several = {"family": {f.name for f in table}, "task": {f.task for f in table}}
    folds = [name for name, values in several.items() if len(values) > 1]
    return (["seed"] if len(table[0].seeds) > 1 else []) + folds


def _transfer(
    table: Sequence[shootout.Family], outcomes: Sequence[str], leave_out: Any
) -> dict[str, Any]:
    """Out of sample: r2, Spearman, regret and inversion calls, best regret first."""
    single = {n: (n,) for n in shootout.DIRECTIONS}
    found = {}
    for outcome in outcomes:
        rows = shootout.overall(
            shootout.transfer(
                table, outcome, leave_out=leave_out,
                predictors={**single, **shootout.COMBINATIONS},
            )
        )  # fmt: skip
        chosen = shootout.chosen_elsewhere(table, outcome, leave_out=leave_out)
        found[outcome] = {
            "predictors": [
                {
                    "predictor": r.predictor, "r2": r.r2, "spearman": r.spearman,
                    "regret": r.regret, "sensitivity": r.calls.sensitivity,
                    "specificity": r.calls.specificity,
                }
                for r in sorted(rows, key=lambda r: r.regret)
            ],
            "best_elsewhere": [c._asdict() for c in chosen],
        }  # fmt: skip
    return found


def _flat(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One flat row per checkpoint; families on the same demonstrations share a ladder."""
    return [
        {
            "task": row["task"],
            "regime": row["regime"],
            "seed": row["seed"],
            "depth": row["depth"],
            "ladder": f"{row['task']}/{REGIMES[row['regime']].data}",
            **{name: read(row) for name, read in METRICS.items()},
        }
        for row in rows
    ]


def calibration(config: StudyConfig, rows: Sequence[Row], *, root: Path) -> list[dict[str, Any]]:
    """Does a 95 % interval made before RL cover the zero-std share of each early RL step?"""
    found = []
    measured = {(r["family"], r["seed"], r["depth"]): r["early"]["measured"] for r in rows}
    tasks = {(name, s): make_task(name, seed=s) for name in config.tasks for s in config.seeds}
    runs = [(f, s, d) for f in config.parsed for s in config.seeds for d in config.sft.depths]
    before = [_training_counts(root, tasks[f.task, s], f, s, d) for f, s, d in runs]
    for quantity in ("zero_std", "variance"):
        seen = np.array([measured[f.name, s, d][quantity] for f, s, d in runs])  # [R, T]
        for method in METHODS:
            ends = [
                forecast_interval(
                    counts, group_size=config.grpo.group_size, rng=0, method=method,
                    num_groups=config.grpo.prompts_per_step,
                    quantity=quantity,
                )
                for counts in before
            ]  # fmt: skip
            windows = coverage_by_step(
                seen, mean=[e.mean for e in ends], low=[e.low for e in ends],
                high=[e.high for e in ends],
            )  # fmt: skip
            found += [{"quantity": quantity, "method": method, **w._asdict()} for w in windows]
    return found


def _training_counts(
    root: Path, task: StudyTask, family: Family, seed: int, depth: int
) -> GroupCounts:
    table = Rollouts.read(root / pre_key(family.task, family.data, seed, depth) / "train.parquet")
    asked = task.classes[: REGIMES[family.regime].rl_classes]
    ids = [p.id for p in task.prompts("rl") if p.label in asked]
    return table.select(np.isin(table.prompt_id, ids)).counts()


def independence(config: StudyConfig, *, root: Path) -> dict[str, Any]:
    """T1, T2 and T3 on the rollouts of every checkpoint before RL, each checkpoint once."""
    rows = [
        IndependenceRow.from_dict(
            read_json(root / pre_key(task, data, seed, depth) / RESULT)["independence"]
        )
        for task, data in dict.fromkeys((f.task, f.data) for f in config.parsed)
        for seed in config.seeds
        for depth in config.sft.depths
    ]
    return {
        "rows": [row.as_dict() for row in rows],
        "verdict": independence_verdict(rows)._asdict(),
    }

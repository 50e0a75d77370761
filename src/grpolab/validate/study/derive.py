"""From the record of a study to its results and to the files that show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from grpolab.files import atomic_path
from grpolab.store import write_parquet
from grpolab.validate.study.config import StudyConfig
from grpolab.validate.study.findings import findings
from grpolab.validate.study.measure import rows
from grpolab.validate.study.outcomes import arm_table, force_table
from grpolab.validate.study.predictions import calibration, independence, predictions
from grpolab.validate.study.record import Record
from grpolab.validate.study.results import Results
from grpolab.validate.study.rows import METRICS, Row, label
from grpolab.validate.study.shootout import DIRECTIONS
from grpolab.validate.study.summary import family_summaries, starts, tuning


def derive(record: Record) -> Results:
    """Everything that is said about a study, from its record alone."""
    config, measured = record.config, tuple(rows(record))
    results = Results(
        config=record.settings,
        version=record.version,
        rows=measured,
        thresholds=record.thresholds,
        labels={name: label(name) for name in (*METRICS, *DIRECTIONS, "deepest")},
    )
    if config.is_tuning:
        results = replace(results, tuning=tuning(config, measured))
    elif len(config.depths) == 1:
        results = replace(results, starts={t: starts(record, measured, t) for t in config.tasks})
    else:
        results = replace(
            results,
            families=family_summaries(record, measured),
            shootout=predictions(measured),
            calibration=calibration(record, measured),
            independence=independence(record),
        )
    if len(config.arms) > 1 and not config.is_tuning:
        results = replace(results, arms=arm_table(record))
    if config.force_steps:
        results = replace(results, forces=force_table(record))
    return replace(results, findings=findings(config, results))


def write_results(config: StudyConfig, results: Results, *, out: Path) -> None:
    """Write ``results.json``, ``summary.json``, two tables and the report of a run."""
    from grpolab.validate.study.report import write_report

    results.write(out / "results.json")
    results.summary().write(out / "summary.json")
    write_table(out / "checkpoints.parquet", checkpoints(results.rows))
    write_table(out / "early_steps.parquet", early_steps(results.rows))
    write_report(config, results, out=out)


def write_table(path: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write columns as parquet, whole or not at all."""
    with atomic_path(path) as scratch:
        write_parquet(scratch, columns, {})


def checkpoints(measured: Sequence[Row]) -> dict[str, list[Any]]:
    """One line per run, a column per metric: for other tools."""
    keys = ("family", "seed", "depth", "lr")
    columns: dict[str, list[Any]] = {key: [getattr(r, key) for r in measured] for key in keys}
    return columns | {name: [m.read(r) for r in measured] for name, m in METRICS.items()}


def early_steps(measured: Sequence[Row]) -> dict[str, list[Any]]:
    """One line per run and early RL step: for other tools."""
    lines = [
        (row.family, row.seed, row.depth, row.lr, step, share, variance)
        for row in measured
        for step, (share, variance) in enumerate(
            zip(row.early.measured["zero_std"], row.early.measured["variance"], strict=True)
        )
    ]
    names = ("family", "seed", "depth", "lr", "step", "zero_std", "variance")
    return {name: [line[i] for line in lines] for i, name in enumerate(names)}


def step_table(results: Results) -> dict[str, Any]:
    """The zero-std share of early steps by family and depth, means over seeds, for the figure.

    Per depth: ``measured`` and ``mean-p`` [T] (the formula at each step's mean reward), and two
    forecasts from before RL.
    """
    found: dict[str, dict[str, list[Row]]] = {}
    for row in results.rows:
        found.setdefault(row.family, {}).setdefault(str(row.depth), []).append(row)
    return {
        "group_size": results.config["grpo"]["group_size"],
        "num_seeds": len(results.config["seeds"]),
        "families": {
            name: {depth: _step_means(mine) for depth, mine in depths.items()}
            for name, depths in found.items()
        },
    }


def _step_means(mine: Sequence[Row]) -> dict[str, Any]:
    def mean(values: Sequence[Any]) -> Any:
        return np.mean(values, axis=0).round(4).tolist()

    return {
        "measured": mean([row.early.measured["zero_std"] for row in mine]),
        "mean-p": mean([row.early.formula["zero_std"] for row in mine]),
        **{
            name: mean([row.early.forecast[name].zero_std for row in mine])
            for name in ("beta-binomial", "thinning")
        },
    }

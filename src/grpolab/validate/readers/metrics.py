"""Metric logs of trainers: numbers per step, no verdicts.

They tell how a run went and are no substitute for rollouts: a zero-std share that a trainer logs
mixes all-wrong and all-right groups, is taken from the sum of all reward functions, and is absent
from steps without fresh generations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grpolab.errors import UserError
from grpolab.theory.groups import FloatArray, IntArray
from grpolab.validate.readers.source import Remarks, Sample, located, records
from grpolab.validate.readers.trainer_state import read_history, trainer_states


@dataclass(frozen=True, slots=True)
class MetricLog:
    """Rows of a log as written: ``step`` [N] and one column [N] per metric, NaN where absent."""

    step: IntArray
    columns: dict[str, FloatArray]
    format: str

    def series(self, name: str) -> tuple[IntArray, FloatArray]:
        """Steps and values of the rows that have the metric; empty where none has."""
        values = self.columns.get(name, np.full(len(self.step), math.nan))
        there = ~np.isnan(values)
        return self.step[there], values[there]


def read_metrics(path: Path | str) -> MetricLog:
    """Read TRL's trainer_state.json, verl's file logger or prime-rl's metrics.jsonl.

    A folder stands for its latest ``checkpoint-*/trainer_state.json``. UserError for anything else.
    """
    path = Path(path)
    if path.is_dir():
        states = trainer_states(path)
        if not states:
            raise UserError(f"{path}: no trainer_state.json in it or in its checkpoints")
        path = states[0]
    if not path.is_file():
        raise UserError(f"{path}: no such file or folder")
    with located(str(path)):
        sample = Sample(path)
        if sample.has("log_history") and sample.is_document:
            return _columns(read_history(path), "trl", path)
        if sample.kind == "jsonl" and sample.has("step", "data"):
            rows = [{"step": row["step"], **row["data"]} for _, row in records(path, Remarks())]
            return _columns(rows, "verl", path)
        if sample.kind == "jsonl" and sample.has("step", "time"):
            return _columns([row for _, row in records(path, Remarks())], "prime-rl", path)
    raise UserError(f"{path}: no metric log of TRL, verl or prime-rl")


def _columns(rows: list[dict[str, Any]], name: str, path: Path) -> MetricLog:
    if not rows:
        raise UserError(f"{path}: the log is empty")
    names = sorted({key for row in rows for key in row if key != "step"})
    columns = {key: np.array([_number(row.get(key)) for row in rows]) for key in names}
    kept = {key: values for key, values in columns.items() if not np.isnan(values).all()}
    return MetricLog(np.array([int(row["step"]) for row in rows], dtype=np.int64), kept, name)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan

"""Our own loop: ``run.json`` of kind grpolab-train, and one line per step in ``steps.jsonl``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from grpolab.validate.monitor.files import (
    Notes,
    Plan,
    Trainer,
    last_branch,
    log_rows,
    number_of,
    step_of,
)
from grpolab.validate.monitor.scalars import metrics_of, training_row
from grpolab.validate.monitor.state import GroupTally, StepView, tally
from grpolab.validate.readers.format import ReadOptions

KIND = "grpolab-train"


class GrpolabSource:
    """Exact counts of every group; after a resume the last line of a step counts."""

    trainer = "grpolab"

    def __init__(self, folder: Path) -> None:
        self._path, self._manifest = folder / "steps.jsonl", folder / "run.json"

    def read(self, options: ReadOptions, notes: Notes) -> list[StepView]:
        """All whole lines."""
        if not self._path.is_file():
            return []
        rows = ((step_of(row), row) for row in log_rows(self._path, notes))
        kept = last_branch((step, row) for step, row in rows if step is not None)
        scores = self._scores(notes)
        return [
            StepView(
                step,
                _groups(row, notes, step),
                metrics_of(training_row(row))._replace(held_out=scores.get(step)),
            )
            for step, row in kept.items()
        ]

    def _scores(self, notes: Notes) -> dict[int, float]:
        """Mean reward of the evaluations, by the step before which they were made."""
        path = self._path.with_name("evals.jsonl")
        rows = log_rows(path, notes) if path.is_file() else iter(())
        known = ((step_of(row), number_of(row, "mean_reward")) for row in rows)
        return last_branch((s, score) for s, score in known if s is not None and score is not None)

    def plan(self) -> Plan:
        """The steps of the configuration."""
        config = _manifest(self._manifest).get("config")
        steps = config.get("steps") if isinstance(config, dict) else None
        return Plan(steps if isinstance(steps, int) else None)


def find(folder: Path, groups_per_step: int | None = None) -> GrpolabSource | None:
    """The run in a folder, if it is one of ours."""
    return GrpolabSource(folder) if _manifest(folder / "run.json").get("kind") == KIND else None


def _manifest(path: Path) -> dict[str, Any]:
    """What runs here; empty where there is no such file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _groups(row: dict[str, Any], notes: Notes, step: int) -> GroupTally | None:
    try:
        return tally([int(k) for k in row["num_correct"]], [int(n) for n in row["group_size"]])
    except (KeyError, TypeError, ValueError):
        notes[f"step {step} has no counts of its groups and was left out"] = None
        return None


TRAINER = Trainer(
    name="grpolab",
    tool="grpolab",
    files="`run.json` and `steps.jsonl`",
    needs="a run of `grpolab train`",
    find=find,
)

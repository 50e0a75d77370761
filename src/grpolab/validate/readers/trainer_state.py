"""``trainer_state.json`` of Hugging Face trainers: the log of a run, one in every checkpoint."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from grpolab.errors import UserError
from grpolab.validate.readers.source import document

_NAME = "trainer_state.json"


def trainer_states(run: Path) -> list[Path]:
    """The states in the folder of a run and in its checkpoints, the newest first."""
    found = [*run.glob(f"checkpoint-*/{_NAME}"), *run.glob(_NAME)]
    return sorted(found, key=lambda path: (path.stat().st_mtime, _step(path)), reverse=True)


def _step(path: Path) -> float:
    """The step of a checkpoint; the state of the whole run is written last."""
    number = path.parent.name.removeprefix("checkpoint-")
    return int(number) if number.isdigit() else math.inf


def read_history(path: Path) -> list[dict[str, Any]]:
    """The rows that a trainer has logged; UserError for a file without them."""
    state = document(path)
    rows = state.get("log_history") if isinstance(state, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{path}: not a valid record (log_history must be a list of objects)")
    return rows


def planned_steps(path: Path) -> int | None:
    """The last step that the trainer means to do, None where the state does not say."""
    steps = document(path).get("max_steps")
    return steps if isinstance(steps, int) and steps > 0 else None


def histories(run: Path) -> Iterator[list[dict[str, Any]]]:
    """Logs of all states of a run, the newest first; a state that is being written is left out."""
    for path in trainer_states(run):
        with contextlib.suppress(UserError):
            yield read_history(path)


def is_evaluation(row: Mapping[str, Any]) -> bool:
    """Whether a row of the log was written by an evaluation.

    >>> is_evaluation({"step": 4, "eval_reward": 0.5}), is_evaluation({"step": 4, "loss": 0.1})
    (True, False)
    """
    return any(key.startswith("eval_") for key in row)

"""open-instruct ``{run}_rollouts_{shard}.jsonl``: written after the zero-std filter by default."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from grpolab.errors import UserError
from grpolab.theory.groups import GroupCounts
from grpolab.validate.readers import verdicts
from grpolab.validate.readers.source import Sample, located, records
from grpolab.validate.readers.verdicts import ReadOptions, Verdicts, verdict

FORMAT = "open-instruct"
MANY_FILES = True


def recognises(sample: Sample) -> bool:
    """Rows with step, prompt_idx, sample_idx and reward."""
    return sample.kind == "jsonl" and sample.has("step", "prompt_idx", "sample_idx", "reward")


def read(paths: Sequence[Path], options: ReadOptions, notes: list[str]) -> GroupCounts:
    """Groups by (step, prompt_idx); one positive reward value means right.

    The table is marked filtered when no group without spread is left in it.
    """
    table = Verdicts(name="reward")
    for path in sorted(paths):
        for line, row in records(path, notes):
            where = f"{path}:{line}"
            missing = [n for n in ("step", "prompt_idx", "reward") if n not in row]
            if missing:
                raise UserError(f"{where}: no {missing[0]!r} in this row")
            group = row["prompt_idx"]
            score = verdict(row["reward"], where=where)
            with located(where):
                table.add(_problem(row), score, group=group, step=int(row["step"]))
    source = paths[0] if len(paths) == 1 else paths[0].parent
    threshold = options.threshold
    levels = np.unique([s for s in table.score if s == s])
    if threshold is None and len(levels) == 2 and levels[0] == 0.0 and levels[1] > 0:
        threshold = float(levels[1]) / 2
    counts = verdicts.count_verdicts(table, source=source, notes=notes, threshold=threshold)
    mixed_only = not bool(np.any(counts.all_wrong | counts.all_right))
    filtered = mixed_only if options.filtered is None else options.filtered
    if filtered:
        notes.append(f"{source}: written after the zero-std filter, mixed groups only")
    return verdicts.count_verdicts(
        table, source=source, notes=[], threshold=threshold, filtered=filtered
    )


def _problem(row: dict[str, Any]) -> str:
    """The prompt's tokens where they were written, else its place in the step."""
    tokens = row.get("prompt_tokens")
    if tokens:
        return f"{row.get('dataset', '')}:{tokens}"
    return f"step {row['step']} prompt {row['prompt_idx']}"

"""open-instruct ``{run}_rollouts_{shard}.jsonl``: written after the zero-std filter by default."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from grpolab.errors import UserError
from grpolab.validate.readers.format import Format, Part, ReadOptions
from grpolab.validate.readers.source import Remarks, Sample, located, records
from grpolab.validate.readers.verdicts import Verdicts, count_verdicts, verdict


def recognises(sample: Sample) -> bool:
    """Rows with step, prompt_idx, sample_idx and reward."""
    return sample.kind == "jsonl" and sample.has("step", "prompt_idx", "sample_idx", "reward")


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """Groups by (step, prompt_idx); one positive reward value means right.

    The table is marked filtered when no group without spread is left in it.
    """
    table = Verdicts(name="reward")
    for path in sorted(paths):
        for line, row in records(path, remarks):
            where = f"{path}:{line}"
            missing = [n for n in ("step", "prompt_idx", "reward") if n not in row]
            if missing:
                raise UserError(f"{where}: no {missing[0]!r} in this row")
            group = row["prompt_idx"]
            score = verdict(row["reward"], where=where)
            with located(where):
                table.add(_problem(row), score, group=group, step=int(row["step"]))
    levels = np.unique([s for s in table.score if s == s])
    binary = len(levels) == 2 and levels[0] == 0.0 and levels[1] > 0
    middle = float(levels[1]) / 2 if binary else None
    (part,) = count_verdicts(table, paths, options, remarks, threshold=middle)
    counts = part.counts
    mixed_only = not bool(np.any(counts.all_wrong | counts.all_right))
    filtered = mixed_only if options.filtered is None else options.filtered
    info = replace(counts.provenance, filtered=filtered)
    if filtered:
        remarks.add(f"{info.source}: written after the zero-std filter, mixed groups only")
    return [part._replace(counts=replace(counts, provenance=info))]


def _problem(row: dict[str, Any]) -> str:
    """The prompt's tokens where they were written, else its place in the step."""
    tokens = row.get("prompt_tokens")
    if tokens:
        return f"{row.get('dataset', '')}:{tokens}"
    return f"step {row['step']} prompt {row['prompt_idx']}"


FORMAT = Format(
    name="open-instruct",
    tool="open-instruct",
    files="`{run}_rollouts_{shard}.jsonl`",
    tested_on="records built from its source",
    detect=recognises,
    read=read,
    many_files=True,
)

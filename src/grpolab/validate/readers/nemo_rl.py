"""NeMo-RL ``train_data_step{N}.jsonl``: contiguous groups, values wrapped in lists of one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grpolab.errors import UserError
from grpolab.validate.readers.format import ChoiceNeeded, Format, Part, ReadOptions
from grpolab.validate.readers.source import Remarks, Sample, records
from grpolab.validate.readers.verdicts import Verdicts, count_verdicts, verdict

_STEP = re.compile(r"_step(\d+)")


def recognises(sample: Sample) -> bool:
    """Rows with content, rewards and idx."""
    return sample.kind == "jsonl" and sample.has("content", "rewards", "idx")


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """Blocks of ``--recorded-group-size`` rows; prompts are not recorded, so each is a problem."""
    train = [p for p in paths if not p.name.startswith("val_data")] or list(paths)
    if len(train) < len(paths):
        remarks.add(f"{len(paths) - len(train)} validation files were left out")
    size = options.group_size
    if size is None:
        raise ChoiceNeeded(
            str(train[0]),
            "NeMo-RL does not record the group size",
            option="group_size",
            value="G (grpo.num_generations_per_prompt)",
        )
    table, pruned = Verdicts(name="rewards"), False
    for path in train:
        found = _STEP.search(path.name)
        step = int(found[1]) if found else 0
        rows = list(records(path, remarks))
        if len(rows) % size:
            raise UserError(f"{path}: {len(rows)} rows are not whole groups of {size}")
        for place, (line, row) in enumerate(rows):
            pruned |= "filtered_rewards" in row
            score = verdict(_bare(row.get("rewards")), where=f"{path}:{line}")
            table.add(f"step {step} group {place // size}", score, group=place // size, step=step)
    if pruned:
        remarks.add("filtered_rewards are present: the dump was written after dynamic sampling")
    return count_verdicts(table, train, options, remarks, filtered=pruned)


def _bare(value: Any) -> Any:
    """The value inside lists of one."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value


FORMAT = Format(
    name="nemo-rl",
    tool="NeMo-RL",
    files="`train_data_step{N}.jsonl`",
    tested_on="records built from its source",
    detect=recognises,
    read=read,
    options=("group_size",),
    many_files=True,
)

"""NeMo-RL ``train_data_step{N}.jsonl``: contiguous groups, values wrapped in lists of one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from grpolab.errors import UserError
from grpolab.validate.readers import over_files
from grpolab.validate.readers.columns import Codes, Column, scores
from grpolab.validate.readers.format import ChoiceNeeded, Format, Part, ReadOptions
from grpolab.validate.readers.frame import LinesFrame
from grpolab.validate.readers.gather import Piece
from grpolab.validate.readers.source import Remarks, Sample
from grpolab.validate.readers.verdicts import count_piece

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
    pieces, pruned = [], False
    for path in train:
        found = _STEP.search(path.name)
        step = int(found[1]) if found else 0
        frame = LinesFrame(path, remarks)
        pruned |= "filtered_rewards" in frame.names
        score = scores(_bare(frame.columns(("rewards",))["rewards"]), frame.place, "rewards")
        if len(score) % size:
            raise UserError(f"{path}: {len(score)} rows are not whole groups of {size}")
        group = np.arange(len(score)) // size
        count = len(score) // size
        pieces.append(
            Piece(
                problem=Codes(group, [f"step {step} group {i}" for i in range(count)]),
                score=score, place=frame.place, group=Codes(group, list(range(count))),
                step=np.full(len(score), step), label="rewards",
            )
        )  # fmt: skip
    if pruned:
        remarks.add("filtered_rewards are present: the dump was written after dynamic sampling")
    piece = over_files.pooled(pieces, [str(path) for path in train])
    source = str(train[0] if len(train) == 1 else train[0].parent)
    return count_piece(piece, source, options, remarks, filtered=pruned)


def _bare(column: Column) -> Column:
    """The values inside lists of one."""
    if isinstance(column, list):
        inner = [v[0] if isinstance(v, list) and len(v) == 1 else v for v in column]
        return inner if inner == column else _bare(inner)
    import pyarrow as pa
    import pyarrow.compute as pc

    while (
        pa.types.is_list(column.type) and pc.all(pc.equal(pc.list_value_length(column), 1)).as_py()
    ):
        column = pc.list_element(column, 0)
    return column


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

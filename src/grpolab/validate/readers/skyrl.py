"""SkyRL ``dumped_evals/global_step_{N}_evals/{source}.jsonl``: one row per completion.

``score`` is the reward of the completion, or the rewards of its tokens, whose sum is the reward.
The step stands in the name of the folder; ``aggregated_results.jsonl`` beside holds no verdicts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from grpolab.validate.readers import long_table
from grpolab.validate.readers.choose import Roles
from grpolab.validate.readers.format import TABLE_OPTIONS, Format, Part, ReadOptions
from grpolab.validate.readers.frame import LinesFrame
from grpolab.validate.readers.gather import gather
from grpolab.validate.readers.source import Remarks, Sample

_STEP = re.compile(r"global_step_(\d+)")


def recognises(sample: Sample) -> bool:
    """Rows with input_prompt, output_response and score."""
    return sample.kind == "jsonl" and sample.has("input_prompt", "output_response", "score")


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """``score`` per prompt and data source; rows that stopped by an error have no verdict."""
    pieces = []
    for path in paths:
        frame = LinesFrame(path, remarks)
        score = options.score or "score"
        roles = Roles(
            problem=tuple(n for n in ("data_source", "input_prompt") if n in frame.names),
            score=(score,), status=tuple(n for n in ("stop_reason",) if n in frame.names),
            text="output_response",
            per_token=any(isinstance(row.get(score), list) for row in frame.head),
        )  # fmt: skip
        piece = gather(frame, roles, options, remarks)
        found = _STEP.search(str(path.parent))
        if found is not None:
            piece.step = np.full(len(piece.score), int(found[1]), dtype=np.int64)
        pieces.append(piece)
    where = str(paths[0] if len(paths) == 1 else paths[0].parent)
    files = [str(path) for path in paths]
    return long_table.from_pieces(pieces, roles, options, remarks, where=where, files=files)


FORMAT = Format(
    name="skyrl",
    tool="SkyRL",
    files="the folder `dumped_evals/`",
    tested_on="records built from its source",
    detect=recognises,
    read=read,
    options=TABLE_OPTIONS,
    many_files=True,
)

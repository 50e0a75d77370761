"""torchtitan RL ``rollout_samples.jsonl``: one row per rollout that the recorder kept.

The default recorder keeps the rollouts with the largest and the smallest reward of every group,
which says nothing of how many groups have equal rewards by chance: such a file is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from grpolab.errors import UserError
from grpolab.validate.readers import long_table
from grpolab.validate.readers.choose import Roles
from grpolab.validate.readers.format import TABLE_OPTIONS, Format, Part, ReadOptions
from grpolab.validate.readers.frame import LinesFrame
from grpolab.validate.readers.gather import Piece, gather
from grpolab.validate.readers.pooling import chosen
from grpolab.validate.readers.source import Remarks, Sample

_KEYS = ("group_id", "rollout_id", "reward", "status", "is_validation")
_EXTREMES = 2  # rollouts per group: the best and the worst


def recognises(sample: Sample) -> bool:
    """Rows with group_id, rollout_id, reward, status and is_validation."""
    return sample.kind == "jsonl" and sample.has(*_KEYS)


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """``reward``, or a named part of it, per group; validation left out where training is there."""
    pieces = []
    for path in paths:
        frame = LinesFrame(path, remarks)
        roles = Roles(
            problem=(), group=("group_id",), score=(options.score or "reward",),
            step="step" if "step" in frame.names else None, status=("status",),
            others=("is_validation",),
        )  # fmt: skip
        pieces.append(_training(gather(frame, roles, options, remarks), remarks))
    where = str(paths[0] if len(paths) == 1 else paths[0].parent)
    if options.filtered is None and all(_is_extreme(piece) for piece in pieces):
        raise UserError(
            f"{where}: at most {_EXTREMES} rollouts of a group were kept, the best and the worst by"
            " the default recorder: they do not say how the others went; record all rollouts"
            " (a filter that keeps every sample), or pass --no-filtered if groups were that small"
        )
    files = [str(path) for path in paths]
    return long_table.from_pieces(pieces, roles, options, remarks, where=where, files=files)


def _training(piece: Piece, remarks: Remarks) -> Piece:
    kind = piece.others.pop("is_validation")
    of = {str(v).lower(): i for i, v in enumerate(kind.values)}
    train = kind.code == of.get("false", -2)
    if not train.any() or train.all():
        return piece
    remarks.add(f"{int((~train).sum())} rollouts of validation were left out")
    return chosen(piece, np.flatnonzero(train))


def _is_extreme(piece: Piece) -> bool:
    """Whether no group has more rollouts than a best and a worst, and most have both."""
    size = np.bincount(piece.problem.code)
    return bool(size.max() <= _EXTREMES and np.mean(size == _EXTREMES) > 0.5)


FORMAT = Format(
    name="torchtitan",
    tool="torchtitan RL",
    files="`rollout_samples.jsonl` of a recorder that keeps all rollouts",
    tested_on="records built from its source",
    detect=recognises,
    read=read,
    options=TABLE_OPTIONS,
    many_files=True,
)

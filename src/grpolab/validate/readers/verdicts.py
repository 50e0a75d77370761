"""The long table that every format is turned into, and its way to GroupCounts.

One row is one completion with one verdict. A missing verdict is NaN and no observation; it is
counted, never taken for wrong.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from grpolab.errors import UserError
from grpolab.theory.groups import FloatArray, GroupCounts, IntArray, Provenance
from grpolab.theory.pass_at_k import pass_at_k
from grpolab.validate.readers.columns import (
    Codes,
    Texts,
    as_text,
    factorise,
    hashable,
    texts_of,
    verdict,
)
from grpolab.validate.readers.format import ChoiceNeeded, NoVerdicts, Part, ReadOptions, Samples
from grpolab.validate.readers.gather import Piece
from grpolab.validate.readers.repeats import begun_anew, without_repeats
from grpolab.validate.readers.source import Remarks

__all__ = [
    "Verdicts", "as_text", "binarise", "count_piece", "count_verdicts", "factorise", "hashable",
    "invert_pass_at_k", "scored", "settle", "to_part", "verdict", "whole",
]  # fmt: skip

_SHOWN = 5


@dataclass(slots=True)
class Verdicts:
    """Columns of equal length: problem, score (NaN = no verdict), optional group, step and text.

    ``learned`` is what the trainer learns from, where that is another column than the score.
    ``name`` says which column, metric or scorer the scores came from.
    """

    problem: list[Hashable] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    group: list[Hashable] | None = None
    step: list[int] | None = None
    text: list[str | None] = field(default_factory=list)
    learned: list[float] | None = None
    name: str = ""

    def add(
        self,
        problem: Hashable,
        score: float,
        *,
        group: Hashable = None,
        step: int | None = None,
        text: str | None = None,
        learned: float | None = None,
    ) -> None:
        """Append one completion."""
        if learned is not None:
            self.learned = [] if self.learned is None else self.learned
            self.learned.append(learned)
        self.text.append(text)
        self.problem.append(hashable(problem))
        self.score.append(score)
        if group is not None:
            self.group = [] if self.group is None else self.group
            self.group.append(hashable(group))
        if step is not None:
            self.step = [] if self.step is None else self.step
            self.step.append(step)


def whole(value: Any, *, name: str, where: str) -> int:
    """A whole number from a JSON value or the text of one, for the column ``name``."""
    try:
        number = float(value)
        if number == int(number):
            return int(number)
    except (TypeError, ValueError, OverflowError):
        pass
    raise UserError(f"{where}: {name} must be a whole number, got {value!r:.40}")


def scored(scores: FloatArray, missing: float | None) -> FloatArray:
    """Scores with NaN in place of the number that stands for no verdict.

    >>> scored(np.array([1.0, -1.0]), -1).tolist(), scored(np.array([1.0, -1.0]), None).tolist()
    ([1.0, nan], [1.0, -1.0])
    """
    return scores if missing is None else np.where(scores == missing, np.nan, scores)


def binarise(
    scores: FloatArray, *, threshold: float | None, remarks: Remarks, where: str
) -> FloatArray:
    """Scores as 0, 1 or NaN: a threshold, or values that can mean nothing else.

    {0, 1} is taken as it is, {-1, 1} and {0, 100} as wrong and right; anything else needs the
    threshold.

    >>> binarise(np.array([-1.0, 1.0]), threshold=None, remarks=Remarks(), where="f").tolist()
    [0.0, 1.0]
    """
    if threshold is not None:
        return np.where(np.isnan(scores), np.nan, (scores > threshold).astype(np.float64))
    low, high = _levels(scores)
    if (low, high) == (0.0, 1.0):
        return scores
    if (low, high) == (0.0, 100.0):
        remarks.add_of(where, "scores are 0 and 100; 100 was taken as right")
        return scores / 100.0
    if (low, high) == (-1.0, 1.0):
        remarks.add_of(where, "scores are -1 and +1; -1 was taken as wrong")
        return (scores + 1.0) / 2.0
    seen = np.unique(scores[~np.isnan(scores)])
    odd = [f"{v:g}" for v in seen[~np.isin(seen, (0.0, 1.0))][:_SHOWN]]
    if len(odd) == 1 and len(seen) > 1 and not 0 < float(odd[0]) < 1:
        raise ChoiceNeeded(
            where,
            f"scores are 0 or 1, and {odd[0]} in {int(np.sum(scores == float(odd[0])))} of"
            f" {len(scores)} samples",
            option="missing",
            value=f"{odd[0]} (no verdict), or --threshold T to call score > T correct",
            choices=(odd[0],),
        )
    raise ChoiceNeeded(
        where,
        f"scores are not 0 or 1 (found {', '.join(odd)})",
        option="threshold",
        value="T to call score > T correct",
    )


def _levels(scores: FloatArray) -> tuple[float, float]:
    """The pair of values that binary scores are made of, (nan, nan) where they are not binary."""
    for low, high in ((0.0, 1.0), (-1.0, 1.0), (0.0, 100.0)):
        if np.all((scores == low) | (scores == high) | np.isnan(scores)):
            return low, high
    return math.nan, math.nan


def to_part(
    problem: IntArray,
    score: FloatArray,
    right: FloatArray,
    *,
    names: Sequence[Hashable],
    source: str,
    remarks: Remarks,
    group: IntArray | None = None,
    step: IntArray | None = None,
    text: Texts | None = None,
    filtered: bool = False,
    name: str = "",
    label: str = "",
    threshold: float | None = None,
    learned: FloatArray | None = None,
    rewards: Mapping[str, FloatArray] = MappingProxyType({}),
) -> Part:
    """Count successes per (problem, group, step); all columns [R], ``right`` is 0, 1 or NaN."""
    if len(problem) == 0:
        raise UserError(f"{source}: holds no samples")
    row, table = _cells(problem, group, step)
    width = table.shape[1]
    seen = ~np.isnan(right)
    all_seen = bool(seen.all())
    size = np.bincount(row if all_seen else row[seen], minlength=width)
    correct = np.bincount(row[right == 1.0], minlength=width)
    keep = size > 0
    missing = 0 if all_seen else int((~seen).sum())
    notes = []
    if missing:
        lost = int((~keep).sum())
        extra = f"; {lost} groups had none at all" if lost else ""
        notes.append(f"{source}: {missing} of {len(right)} samples have no verdict{extra}")
    if not keep.any():
        raise NoVerdicts(f"{source}: no sample has a verdict")
    used = np.unique(table[0][keep]).tolist()
    counts = GroupCounts(
        correct[keep].astype(np.int64),
        size[keep].astype(np.int64),
        prompt_id=table[0][keep],
        step=table[2][keep],
        prompt_names={i: str(names[i]) for i in used},
        provenance=Provenance(source=source, verdict=name, filtered=filtered, num_missing=missing),
    )
    samples = Samples(
        prompt=problem, reward=right, score=score, group=group, step=step, threshold=threshold,
        learned=learned, rewards=rewards,
        text=None if text is None else text.code, length=None if text is None else text.length,
        starts=() if text is None else text.starts,
    )  # fmt: skip
    return Part(counts, samples, label, tuple(notes))


def _cells(
    problem: IntArray, group: IntArray | None, step: IntArray | None
) -> tuple[IntArray, IntArray]:
    """The cell of every row, and problem, group and step of every cell, in this order of keys."""
    if group is None and step is None:
        count = int(problem.max()) + 1
        if count <= 4 * len(problem):
            used = np.flatnonzero(np.bincount(problem, minlength=count))
            zero = np.zeros_like(used)
            if len(used) == count:
                return problem, np.stack([used, zero, zero])
        first, row = np.unique(problem, return_inverse=True)
        return row, np.stack([first, np.zeros_like(first), np.zeros_like(first)])
    cell = problem
    for key in (group, step):
        if key is not None:
            values, code = np.unique(key, return_inverse=True)
            cell = np.unique(cell, return_inverse=True)[1] * len(values) + code
    _, first, row = np.unique(cell, return_index=True, return_inverse=True)
    zero = np.zeros(len(first), dtype=np.int64)
    groups, steps = (zero if key is None else key[first] for key in (group, step))
    return row, np.stack([problem[first], groups, steps])


def count_verdicts(
    rows: Verdicts,
    paths: Sequence[Path],
    options: ReadOptions,
    remarks: Remarks,
    *,
    threshold: float | None = None,
    filtered: bool = False,
) -> list[Part]:
    """The one part that was read from ``paths``: how most readers end.

    ``threshold`` and ``filtered`` are what the format says itself; the options override them.
    """
    source = str(paths[0] if len(paths) == 1 else paths[0].parent)
    if not rows.problem:
        raise UserError(f"{source}: holds no samples")
    piece = Piece(
        problem=Codes(*factorise(rows.problem)),
        score=np.array(rows.score, dtype=np.float64),
        place=lambda row: f"{source}: sample {row + 1}",
        group=None if rows.group is None else Codes(*factorise(rows.group)),
        step=None if rows.step is None else np.array(rows.step, dtype=np.int64),
        text=None if not any(rows.text) else texts_of(list(rows.text)),
        label=rows.name,
    )
    learned = None if rows.learned is None else np.array(rows.learned, dtype=np.float64)
    return count_piece(
        piece, source, options, remarks, threshold=threshold, filtered=filtered, learned=learned
    )


def count_piece(
    piece: Piece,
    source: str,
    options: ReadOptions,
    remarks: Remarks,
    *,
    threshold: float | None = None,
    filtered: bool = False,
    learned: FloatArray | None = None,
) -> list[Part]:
    """`count_verdicts` of columns; ``learned`` [R] is what the trainer learns from."""
    limit = threshold if options.threshold is None else options.threshold
    piece.score = scored(piece.score, options.missing)
    piece = without_repeats(begun_anew(piece), piece, "problem", options, remarks, source)
    part = to_part(
        piece.problem.code,
        piece.score,
        binarise(piece.score, threshold=limit, remarks=remarks, where=source),
        names=piece.problem.values,
        source=source,
        remarks=remarks,
        group=None if piece.group is None else piece.group.code,
        step=piece.step,
        text=piece.text,
        filtered=filtered if options.filtered is None else options.filtered,
        name=piece.label,
        threshold=options.threshold,
        learned=learned,
    )
    return [part]


_SLACK = 0.05  # largest share of the samples that may stay open where pass@k = 1


def invert_pass_at_k(
    value: float, *, num_samples: int, k: int, where: str, tolerance: float = 1e-6
) -> tuple[int, int]:
    """Smallest and largest count c with ``1 - C(n-c, k) / C(n, k) = value``.

    >>> invert_pass_at_k(0.5, num_samples=4, k=2, where="f"), invert_pass_at_k(
    ...     1.0, num_samples=16, k=2, where="f"
    ... )
    ((1, 1), (15, 16))
    """
    if not 1 <= k <= num_samples:
        raise UserError(f"{where}: pass@{k} cannot come from {num_samples} samples")
    if not 0.0 <= value <= 1.0 or math.isnan(value):
        raise UserError(f"{where}: pass@{k} must lie in [0, 1], got {value}")
    table = pass_at_k(num_samples, np.arange(num_samples + 1), k)
    close = np.flatnonzero(np.abs(table - value) <= tolerance)
    if len(close) == 0:
        raise UserError(f"{where}: {value} is not a value of pass@{k} with {num_samples} samples")
    return int(close[0]), int(close[-1])


def settle(low: int, high: int, *, num_samples: int, where: str) -> int:
    """The upper count, or an error where too much stays open to call it known."""
    if (high - low) / num_samples > _SLACK:
        raise UserError(
            f"{where}: the score only says that {low} to {high} of {num_samples} samples are"
            " correct; a smaller k or verdicts per sample are needed"
        )
    return high

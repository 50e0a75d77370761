"""The long table that every format is turned into, and its way to GroupCounts.

One row is one completion with one verdict. A missing verdict is NaN and no observation; it is
counted, never taken for wrong.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from grpolab.errors import UserError
from grpolab.theory.groups import FloatArray, GroupCounts, IntArray, Provenance
from grpolab.theory.pass_at_k import pass_at_k
from grpolab.validate.readers.format import ChoiceNeeded, NoVerdicts, ReadOptions
from grpolab.validate.readers.source import Remarks

_SHOWN = 5


@dataclass(slots=True)
class Verdicts:
    """Columns of equal length: problem, score (NaN = no verdict), and optional group and step.

    ``name`` says which column, metric or scorer the scores came from.
    """

    problem: list[Hashable] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    group: list[Hashable] | None = None
    step: list[int] | None = None
    name: str = ""

    def add(
        self, problem: Hashable, score: float, *, group: Hashable = None, step: int | None = None
    ) -> None:
        """Append one completion."""
        self.problem.append(hashable(problem))
        self.score.append(score)
        if group is not None:
            self.group = [] if self.group is None else self.group
            self.group.append(hashable(group))
        if step is not None:
            self.step = [] if self.step is None else self.step
            self.step.append(step)


def hashable(value: Any) -> Hashable:
    """A stand-in for any JSON value; a number and its text stay apart."""
    return repr(value) if isinstance(value, list | dict) else value


def verdict(value: Any, *, where: str) -> float:
    """A number from one JSON value: bool, number, or null for a missing verdict.

    >>> verdict(True, where="f:1"), verdict(0, where="f:1")
    (1.0, 0.0)
    """
    if value is None:
        return math.nan
    if isinstance(value, bool | int | float):
        number = float(value)
        if math.isinf(number):
            raise UserError(f"{where}: score must be finite, got {value}")
        return number
    raise UserError(f"{where}: score must be a number, true, false or null, got {value!r:.60}")


def whole(value: Any, *, name: str, where: str) -> int:
    """A whole number from a JSON value or the text of one, for the column ``name``."""
    try:
        number = float(value)
        if number == int(number):
            return int(number)
    except (TypeError, ValueError, OverflowError):
        pass
    raise UserError(f"{where}: {name} must be a whole number, got {value!r:.40}")


def factorise(values: Iterable[Hashable]) -> tuple[IntArray, list[Hashable]]:
    """Integer codes in order of first appearance, and the value of every code."""
    codes: dict[Hashable, int] = {}
    rows = [codes.setdefault(v, len(codes)) for v in values]
    return np.array(rows, dtype=np.int64), list(codes)


def binarise(
    scores: FloatArray, *, threshold: float | None, remarks: Remarks, where: str
) -> FloatArray:
    """Scores as 0, 1 or NaN: a threshold, or values that can mean nothing else.

    {0, 1} is taken as it is and {-1, 1} as wrong and right; anything else needs the threshold.

    >>> binarise(np.array([-1.0, 1.0]), threshold=None, remarks=Remarks(), where="f").tolist()
    [0.0, 1.0]
    """
    seen = np.unique(scores[~np.isnan(scores)])
    if threshold is not None:
        return np.where(np.isnan(scores), np.nan, (scores > threshold).astype(np.float64))
    if np.all(np.isin(seen, (0.0, 1.0))):
        return scores
    if np.all(np.isin(seen, (-1.0, 1.0))):
        remarks.add(f"{where}: scores are -1 and +1; -1 was taken as wrong")
        return (scores + 1.0) / 2.0
    odd = [f"{v:g}" for v in seen[~np.isin(seen, (0.0, 1.0))][:_SHOWN]]
    raise ChoiceNeeded(
        where,
        f"scores are not 0 or 1 (found {', '.join(odd)})",
        option="threshold",
        value="T to call score > T correct",
    )


def to_counts(
    problem: IntArray,
    score: FloatArray,
    *,
    names: list[Hashable],
    source: Path,
    remarks: Remarks,
    group: IntArray | None = None,
    step: npt.ArrayLike | None = None,
    filtered: bool = False,
    name: str = "",
) -> GroupCounts:
    """Count successes per (problem, group, step); all columns [R], score 0, 1 or NaN."""
    if len(problem) == 0:
        raise UserError(f"{source}: holds no samples")
    steps = np.zeros(len(problem), np.int64) if step is None else np.asarray(step, np.int64)
    inner = np.zeros(len(problem), np.int64) if group is None else group
    if np.any(steps) or np.any(inner):
        keys = np.stack([problem, inner, steps])
        table, row = np.unique(keys, axis=1, return_inverse=True)
    else:
        first, row = np.unique(problem, return_inverse=True)
        table = np.stack([first, np.zeros_like(first), np.zeros_like(first)])
    seen = ~np.isnan(score)
    width = table.shape[1]
    size = np.bincount(row, weights=seen, minlength=width).astype(np.int64)
    correct = np.bincount(row, weights=np.where(seen, score, 0.0), minlength=width)
    keep = size > 0
    missing = int((~seen).sum())
    if missing:
        lost = int((~keep).sum())
        extra = f"; {lost} groups had none at all" if lost else ""
        remarks.add(f"{source}: {missing} of {len(score)} samples have no verdict{extra}")
    if not keep.any():
        raise NoVerdicts(f"{source}: no sample has a verdict")
    used = np.unique(table[0][keep])
    return GroupCounts(
        correct[keep].astype(np.int64),
        size[keep],
        prompt_id=table[0][keep],
        step=table[2][keep],
        prompt_names={int(i): str(names[i]) for i in used},
        provenance=Provenance(
            source=str(source), verdict=name, filtered=filtered, num_missing=missing
        ),
    )


def count_verdicts(
    rows: Verdicts,
    paths: Sequence[Path],
    options: ReadOptions,
    remarks: Remarks,
    *,
    threshold: float | None = None,
    filtered: bool = False,
) -> GroupCounts:
    """The table of what was read from ``paths``: how most readers end.

    ``threshold`` and ``filtered`` are what the format says itself; the options override them.
    """
    source = paths[0] if len(paths) == 1 else paths[0].parent
    if not rows.problem:
        raise UserError(f"{source}: holds no samples")
    limit = threshold if options.threshold is None else options.threshold
    score = binarise(np.array(rows.score), threshold=limit, remarks=remarks, where=str(source))
    problem, names = factorise(rows.problem)
    return to_counts(
        problem,
        score,
        names=names,
        source=source,
        remarks=remarks,
        group=None if rows.group is None else factorise(rows.group)[0],
        step=rows.step,
        filtered=filtered if options.filtered is None else options.filtered,
        name=rows.name,
    )


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

"""Numbers of right samples and of samples, from numbers, shares or texts such as 3/8."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from grpolab.errors import UserError
from grpolab.theory.groups import FloatArray, IntArray
from grpolab.validate.readers.columns import Column, encoded, scores
from grpolab.validate.readers.count_columns import Pair
from grpolab.validate.readers.format import ChoiceNeeded, ReadOptions
from grpolab.validate.readers.frame import Frame
from grpolab.validate.readers.source import Remarks
from grpolab.validate.readers.verdict_words import fraction_of

_SLACK = 0.3  # samples by which a share times n may miss a whole number
_EXACT = 1e-6  # of n: rounding of a share that was written in full


def fractions(
    column: Column, pair: Pair, frame: Frame, options: ReadOptions, remarks: Remarks
) -> tuple[IntArray, IntArray]:
    """Right samples and samples of texts such as 3/8; ChoiceNeeded where 8 may be tests."""
    code, values = encoded(column)
    parts = [fraction_of(v) if isinstance(v, str) else None for v in values]
    odd = next((i for i, part in enumerate(parts) if part is None), None)
    if odd is not None:
        row = int(np.flatnonzero(code == odd)[0])
        raise UserError(
            f"{frame.place(row)}: {pair.correct} must be such as 3/8, got {values[odd]!r:.40}"
        )
    table = np.array([*parts, (0, 0)], dtype=np.int64)
    sizes = np.unique(table[:-1, 1])
    if len(sizes) > 1 and options.num_correct is None:
        raise ChoiceNeeded(
            frame.where,
            f"{pair.correct} is such as {values[0]!r}, of {sizes[0]} to {sizes[-1]}: of samples, or"
            " of the tests of one sample?",
            option="num_correct",
            value=f"{pair.correct} (samples), or --score {pair.correct} --threshold 0.999 (tests)",
            choices=(pair.correct,),
        )
    remarks.add_of(
        frame.where, f"{pair.correct} {values[0]!r} was taken for {table[0, 0]} of {table[0, 1]}"
        " samples"
    )  # fmt: skip
    found = table[code]
    return found[:, 0], found[:, 1]


def sizes(columns: Mapping[str, Any], pair: Pair, frame: Frame) -> IntArray:
    """Samples of every row: a number, a column, or what was right and wrong together."""
    if pair.wrong:
        both = [scores(columns[n], frame.place, n) for n in (pair.correct, pair.wrong)]
        return whole(both[0] + both[1], pair.wrong, frame)
    if isinstance(pair.total, int):
        return np.full(len(columns[pair.correct]), pair.total, dtype=np.int64)
    return whole(scores(columns[pair.total], frame.place, pair.total), pair.total, frame)


def whole(values: FloatArray, name: str, frame: Frame) -> IntArray:
    """Whole numbers; UserError names another value."""
    bad = np.flatnonzero(~(values == np.round(values)))
    if len(bad):
        raise UserError(
            f"{frame.place(int(bad[0]))}: {name} must be a whole number, got {values[bad[0]]:g}"
        )
    if np.any(np.abs(values) > 2**53):
        raise UserError(f"{frame.where}: {name} must be below 2^53")
    return values.astype(np.int64)


def num_correct(
    values: FloatArray, size: IntArray, pair: Pair, frame: Frame, options: ReadOptions
) -> IntArray:
    """Numbers of correct samples, from numbers or from shares."""
    if pair.is_rate and not _are_counts(values, size, pair, frame, options):
        share = values / 100 if values.max() > 1 else values
        exact = share * size
        near = np.round(exact)
        miss = np.abs(exact - near)
        digits = max((len(f"{v:.15g}".partition(".")[2]) for v in share[:1000].tolist()), default=0)
        allowed = np.maximum(_EXACT * size, 0.6 * size * 10.0**-digits if digits < 12 else 0.0)
        vague = np.flatnonzero((allowed > _SLACK) & (share > 0) & (share < 1))
        if len(vague):
            raise UserError(
                f"{frame.place(int(vague[0]))}: {pair.correct} with {digits} digits does not say"
                f" how many of {size[vague[0]]} samples were correct; give the numbers"
            )
        off = np.flatnonzero(~(miss <= allowed))
        if len(off):
            raise UserError(
                f"{frame.place(int(off[0]))}: {pair.correct} {values[off[0]]:g} is no share of"
                f" {size[off[0]]} samples"
            )
        found = near.astype(np.int64)
    else:
        found = whole(values, pair.correct, frame)
    bad = np.flatnonzero((found < 0) | (found > size))
    if len(bad):
        row = int(bad[0])
        raise UserError(
            f"{frame.place(row)}: {pair.correct} must be 0..{pair.total}, got {found[row]} of"
            f" {size[row]}"
        )
    return found


def _are_counts(
    values: FloatArray, size: IntArray, pair: Pair, frame: Frame, options: ReadOptions
) -> bool:
    """Whether a column that is called like a share holds numbers; ChoiceNeeded for percentages."""
    if not (np.all(values == np.round(values)) and values.max() > 1):
        return False
    exact = values * size / 100
    percent = values.max() <= 100 and bool(np.all(np.abs(exact - np.round(exact)) < _EXACT * size))
    counts = bool(np.all(values <= size))
    if percent and counts and options.num_correct is None and np.any(exact != values):
        raise ChoiceNeeded(
            frame.where,
            f"{pair.correct} is up to {values.max():g} beside {pair.total} = {size.max()}: numbers"
            " of correct samples, or percentages? Write percentages with %, or",
            option="num_correct",
            value=f"{pair.correct} (numbers)",
        )
    return counts or not percent

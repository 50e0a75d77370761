"""Rows that are written twice, and some rows of the samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from grpolab.theory.groups import BoolArray, FloatArray, IntArray
from grpolab.validate.readers.columns import Codes
from grpolab.validate.readers.format import ChoiceNeeded, ReadOptions
from grpolab.validate.readers.gather import Piece
from grpolab.validate.readers.source import Remarks
from grpolab.validate.readers.words import SEED, TIMES, is_one_of

_TWICE = np.log(1e-6)  # chance of the second half of a file to repeat the verdicts of the first
_AHEAD, _PLACES = 8, 50  # rows that tell where a file may begin anew, and places that are tried
_MOST_SAMPLES = 50_000_000  # that rows with counts may stand for
Twice = tuple[IntArray, IntArray]
"""Rows that stood before, and where."""


def without_repeats(
    twice: Twice | None,
    piece: Piece,
    problem: str,
    options: ReadOptions,
    remarks: Remarks,
    where: str,
) -> Piece:
    """Rows that are written twice, and where before: asked about, or left out on demand."""
    if twice is None or options.repeats == "keep":
        return piece
    again, first = twice
    if options.repeats == "drop":
        remarks.add_of(where, f"{len(again)} rows repeat samples that are there and were left out")
        keep = np.ones(len(piece.score), dtype=bool)
        keep[again] = False
        return chosen(piece, keep)
    row, before = int(again[0]), int(first[0])
    what = f"{problem} {piece.problem.values[int(piece.problem.code[row])]!r:.40}"
    what += "".join(
        f" {n} {c.values[int(c.code[row])]!r:.20}" for n, c in piece.numbers.items()
        if c.code[row] >= 0
    )  # fmt: skip
    line = piece.place(before).rpartition(":")[2].strip()
    raise ChoiceNeeded(
        piece.place(row),
        f"{what} was already in line {line}, as {len(again)} of {len(piece.score)} rows were",
        option="repeats",
        value="drop (count them once), or --repeats keep",
        choices=("drop", "keep"),
    )


def same_number(piece: Piece, options: ReadOptions) -> Twice | None:
    """Rows whose problem and numbers of the sample stood in an earlier row, and that row."""
    numbers = [c for c in piece.numbers.values() if np.all(c.code >= 0)]
    if not numbers:
        return None
    seeds = all(is_one_of(name, SEED) for name in piece.numbers)
    if seeds and len(numbers) == 1 and (options.group_by == "none" or len(numbers[0].values) == 1):
        return None  # one seed for all, or pooled as the user said
    keys = [(piece.problem.code, len(piece.problem.values))]
    keys += [(c.code, len(c.values)) for c in numbers]
    if piece.group is not None:
        keys.append((piece.group.code + 1, len(piece.group.values) + 1))
    if piece.step is not None:
        steps, code = np.unique(piece.step, return_inverse=True)
        keys.append((code, len(steps)))
    key = keys[0][0]
    span = keys[0][1]
    for code, count in keys[1:]:
        if span * count > 2**62:
            key = np.unique(key, return_inverse=True)[1]
            span = int(key.max()) + 1
        key = key * count + code
        span *= count
    if span <= 8 * len(key):
        seen = np.zeros(span, dtype=bool)
        seen[key] = True
        if np.count_nonzero(seen) == len(key):
            return None
    _, first, back, often = np.unique(
        key, return_index=True, return_inverse=True, return_counts=True
    )
    if often.max() == 1:
        return None
    origin = first[back]
    again = np.flatnonzero(origin != np.arange(len(key)))
    return again, origin[again]


def with_times(piece: Piece, remarks: Remarks, where: str) -> Piece:
    """Rows as often as a column of counts says, where a row is a problem with one of its verdicts.

    What ``GROUP BY problem, correct`` and ``value_counts`` give.
    """
    if not any(is_one_of(name, TIMES) for name in piece.others):
        return piece
    if piece.text is not None or piece.group is not None or np.isnan(piece.score).any():
        return piece
    rows = len(piece.score)
    _, level = np.unique(piece.score, return_inverse=True)
    several = len(piece.problem.values) < rows
    if not several or level.max() != 1:
        return piece
    for name, column in piece.others.items():
        texts = [str(v) for v in column.values]
        counts = [int(t) if t.isdigit() and len(t) < 10 else 0 for t in texts]
        if not is_one_of(name, TIMES) or np.any(column.code < 0) or min(counts, default=0) < 1:
            continue
        rest = [c.code for n, c in (*piece.others.items(), *piece.numbers.items()) if n != name]
        keys = np.stack([piece.problem.code, level, *rest])
        keys = keys if piece.step is None else np.stack([*keys, piece.step])
        if max(counts) < 2 or len(np.unique(keys, axis=1).T) < rows:
            continue
        times = np.array(counts, dtype=np.int64)[column.code]
        if times.sum() > _MOST_SAMPLES:
            continue
        remarks.add_of(where, f"a row was counted as often as {name} says: {int(times.sum())}"
                       " samples")  # fmt: skip
        whole = chosen(piece, np.repeat(np.arange(rows), times))
        del whole.others[name]
        return whole
    return piece


def begun_anew(piece: Piece) -> Twice | None:
    """Rows from a place on that repeat the file from its start, row by row, beyond chance.

    A file that was appended to itself, in whole or until a second run was stopped.
    """
    rows = len(piece.score)
    if rows < 4 or piece.step is not None:
        return None
    columns: list[IntArray | FloatArray] = [piece.problem.code]
    columns.append(np.nan_to_num(piece.score, nan=np.inf))
    columns += [c.code for c in (*piece.others.values(), *piece.numbers.values())]
    columns += [] if piece.text is None else [piece.text.code]
    for start in _starts(columns, rows):
        length = rows - start
        if any(not np.array_equal(c[:length], c[start:]) for c in columns):
            continue
        code, score = piece.problem.code[:length], piece.score[:length]
        if _log_chance(code, score) <= _TWICE or _tells(piece, length):
            return np.arange(start, rows), np.arange(length)
    return None


def _starts(columns: Sequence[FloatArray | IntArray], rows: int) -> list[int]:
    """Places where the first rows come again, the earliest first; half of the file is one of them.

    A problem alone in a file begins anew everywhere: only the first places are tried.
    """
    ahead = min(_AHEAD, rows // 2)
    found = np.flatnonzero(columns[0][1 : rows - ahead + 1] == columns[0][0]) + 1
    for column in columns:
        for i in range(ahead):
            found = found[column[found + i] == column[i]]
    half = [rows // 2] if rows % 2 == 0 else []
    return [*half, *found[:_PLACES].tolist()]


def every_text(piece: Piece) -> Twice | None:
    """Rows of a file in which every completion stands twice, or m times, whatever the order.

    Most problems must have several completions: a policy without randomness repeats itself.
    """
    if piece.text is None or piece.step is not None or np.any(piece.text.code < 0):
        return None
    columns = [piece.problem.code, piece.text.code, *(c.code for c in piece.others.values())]
    columns += [c.code for c in piece.numbers.values()]
    columns.append(np.unique(piece.score, return_inverse=True)[1])
    key = np.zeros(len(piece.score), dtype=np.int64)
    for column in columns:
        key = np.unique(key * (int(column.max()) + 2) + column + 1, return_inverse=True)[1]
    size = np.bincount(key)
    times = int(np.gcd.reduce(size))
    if times < 2 or len(size) < 2 * len(piece.problem.values):
        return None
    order = np.argsort(key, kind="stable")
    start = np.cumsum(size) - size
    rank = np.arange(len(key)) - start[key[order]]
    first = order[start[key[order]] + rank - rank % times]
    again = rank % times > 0
    place = np.argsort(order[again])
    return order[again][place], first[again][place]


def _tells(piece: Piece, length: int) -> bool:
    """Whether completions differ so much that the same ones again in this order are no chance."""
    if piece.text is None or length < 3:
        return False
    code = piece.text.code[:length]
    return bool(np.all(code >= 0)) and len(np.unique(code)) > length / 2


def _log_chance(problem: IntArray, score: FloatArray) -> float:
    """Log of the chance that verdicts drawn anew at the rates of the problems are the same."""
    seen = ~np.isnan(score)
    total = np.bincount(problem[seen])
    total = np.maximum(total, 1)
    chance = 0.0
    for level in np.unique(score[seen])[:20]:
        at = np.bincount(problem[seen & (score == level)], minlength=len(total)) / total
        with np.errstate(divide="ignore", invalid="ignore"):
            chance += float(np.nansum(np.where(at > 0, total * at * np.log(at), 0.0)))
    return chance


def chosen(piece: Piece, rows: IntArray | BoolArray) -> Piece:
    """Some rows of the samples."""
    place = np.arange(len(piece.score))[rows]

    def all_at(columns: dict[str, Codes]) -> dict[str, Codes]:
        return {n: _some(c, place) for n, c in columns.items()}

    return Piece(
        problem=_some(piece.problem, place), score=piece.score[place],
        place=lambda row: piece.place(int(place[row])),
        group=None if piece.group is None else _some(piece.group, place),
        step=None if piece.step is None else piece.step[place],
        text=None if piece.text is None else piece.text.at(place),
        numbers=all_at(piece.numbers), others=all_at(piece.others), label=piece.label,
        row_groups=piece.row_groups,
    )  # fmt: skip


def _some(codes: Codes, rows: IntArray) -> Codes:
    """Some rows, and the values that they have, in the same order."""
    code = codes.code[rows]
    used, short = np.unique(code, return_inverse=True)
    none = int(len(used) > 0 and used[0] < 0)
    return Codes(short - none, [codes.values[i] for i in used[none:].tolist()])

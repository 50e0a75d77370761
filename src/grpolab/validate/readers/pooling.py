"""Samples that are not draws of one policy for one problem: found, and asked about.

A column that splits the samples of most problems into equal blocks (a model, a temperature, a
subject beside an id) means that the samples come from several policies or belong to several
problems; rows that are written twice are no samples of their own. Where the meaning of a column is
known it is used, everywhere else the user is asked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Sequence
from pathlib import PurePath

import numpy as np

from grpolab.errors import UserError
from grpolab.theory.groups import IntArray
from grpolab.validate.readers.columns import Codes, joined
from grpolab.validate.readers.format import ChoiceNeeded, ReadOptions, listed
from grpolab.validate.readers.gather import Piece
from grpolab.validate.readers.over_files import FILE as FILE
from grpolab.validate.readers.repeats import (
    begun_anew,
    chosen,
    every_text,
    same_number,
    with_times,
    without_repeats,
)
from grpolab.validate.readers.source import Remarks
from grpolab.validate.readers.suffixes import without_suffix
from grpolab.validate.readers.totals import without_total
from grpolab.validate.readers.words import (
    BEST_OF,
    GRADER,
    NEUTRAL,
    PART_OF_PROBLEM,
    POLICY,
    SECTION,
    SEED,
    WEAK,
    is_one_of,
)

_MOST = 0.5  # share of the problems that a column must split
_ALIKE = 0.8  # share of them that an unknown column must split into the same blocks
_CHANCE = np.log(1e-3)  # of blocks as equal as these, were the values of the column random
_LOOK = 2_000_000  # rows that are looked at, of whole problems
_SHOWN = 4
NONE = "none"
"""Value of ``--group-by`` that is no column: pool all."""


def settled(
    piece: Piece, problem: str, options: ReadOptions, remarks: Remarks, where: str
) -> Piece:
    """The samples with the problem that they are of; ChoiceNeeded where several are pooled.

    ``problem`` is how the column of the problem is called. Columns of ``group_by`` have divided the
    samples before; with ``none`` nothing is asked.
    """
    by = group_columns(options)
    piece = without_total(piece, remarks, where)
    piece.problem = _told_apart(piece.problem, problem, remarks, where)
    piece = without_suffix(piece, problem, options, remarks, where)
    piece = with_times(piece, remarks, where)
    twice = begun_anew(piece) or every_text(piece)
    piece = without_repeats(twice, piece, problem, options, remarks, where)
    piece = _with_parts(piece, problem, options, remarks, where)
    if options.group_by != NONE:
        for name, column in piece.others.items():
            if name not in by:
                _refuse_split(name, column, piece, problem, where, by)
        _refuse_seeds(piece, problem, where, by)
    twice = same_number(piece, options)
    return without_repeats(twice, piece, problem, options, remarks, where)


def _told_apart(codes: Codes, problem: str, remarks: Remarks, where: str) -> Codes:
    """Ids that differ by blanks or by a ``.0`` alone are one; others that look alike are noted."""
    plain: dict[Hashable, int] = {}
    to = np.array(
        [plain.setdefault(_plain_id(v), len(plain)) for v in codes.values], dtype=np.int64
    )
    alike = len(codes.values) - len(plain)
    if alike:
        remarks.add_of(where, f"{alike} names of {problem} differ from others by blanks or a .0"
                       " alone and were taken for the same problem")  # fmt: skip
        first = np.unique(to, return_index=True)[1]
        values = [codes.values[i] for i in first.tolist()]
        codes = Codes(np.append(to, -1)[codes.code], values)
    texts = {str(v) for v in codes.values}
    if len(texts) < len(codes.values):
        remarks.add_of(where, f"{len(codes.values) - len(texts)} names of {problem} are a number in"
                       " some rows and a text in others: they count as two problems")  # fmt: skip
    cases = len(texts) - len({text.casefold() for text in texts})
    if cases:
        remarks.add_of(where, f"{cases} names of {problem} differ from others by upper and lower"
                       " case alone: they count as problems of their own")  # fmt: skip
    return codes


_DIGITS = re.compile(r"\d+")
_WHOLE = re.compile(r"-?\d+\.0+")


def _plain_id(value: Hashable) -> Hashable:
    """An id without blanks around it and without the ``.0`` that tables with gaps write."""
    if not isinstance(value, str):
        return (type(value) is bool, value)
    text = value.strip()
    return text.partition(".")[0] if _WHOLE.fullmatch(text) else text


def _with_parts(
    piece: Piece, problem: str, options: ReadOptions, remarks: Remarks, where: str
) -> Piece:
    """Columns beside which ids begin anew become part of the name of the problem."""
    for name, column in list(piece.others.items()):
        if not is_one_of(name, PART_OF_PROBLEM) or options.problem is not None:
            continue
        if options.group_by == NONE or name in group_columns(options):
            continue
        split = _Split.of(piece, column)
        if split is None or split.share < _MOST:
            continue
        if split.usual_block < 2 or split.regular < _ALIKE:
            raise _question(name, column, split, problem, where)
        piece.problem = joined([piece.problem, column])
        del piece.others[name]
        remarks.add_of(
            where, f"{problem} begins anew for every {name}: a problem is {problem} and {name}"
        )
    return piece


class _Split:
    """How one column splits the samples of the problems."""

    def __init__(self, table: IntArray) -> None:
        self.table = table  # [P, K]: samples of a problem with a value
        self.values = np.count_nonzero(table, axis=1)
        several = table.sum(axis=1) >= 2
        self.share = float(np.mean(self.values[several] >= 2)) if several.any() else 0.0
        blocks = table[table > 0]
        self.usual_block = int(np.median(blocks)) if len(blocks) else 0
        self.regular = float(np.mean(blocks == self.usual_block)) if len(blocks) else 0.0

    @classmethod
    def of(cls, piece: Piece, column: Codes) -> _Split | None:
        """The split of the problems at the head of the file; None for a column of one value."""
        if len(column.values) < 2:
            return None
        cell, code = piece.problem.code, column.code
        if piece.step is not None:
            steps, step = np.unique(piece.step, return_inverse=True)
            cell = cell * len(steps) + step
        if piece.group is not None and not piece.row_groups:
            cell = cell * (len(piece.group.values) + 1) + piece.group.code
        if len(cell) > _LOOK:
            some = cell <= np.partition(cell[:_LOOK], _LOOK // 2)[_LOOK // 2]
            cell, code = cell[some], code[some]
        there = code >= 0
        _, row = np.unique(cell[there], return_inverse=True)
        values, place = np.unique(code[there], return_inverse=True)
        if not len(row) or (row.max() + 1) * len(values) > 4 * _LOOK:
            return None  # as good as a value per row
        shape = (int(row.max()) + 1, len(values))
        packed = np.bincount(row * shape[1] + place, minlength=shape[0] * shape[1])
        return cls(packed.reshape(shape))

    def blocks(self, *, labels: bool = False) -> IntArray | None:
        """The blocks into which most problems are split alike; None where chance may do the same.

        Chance: the values of the column, drawn anew for every sample. Blocks of one sample are
        numbers of samples, unless the values are ``labels``.
        """
        split = self.table[(self.values >= 2)]
        if not len(split) or self.share < _MOST:
            return None
        kinds, often = np.unique(split, axis=0, return_counts=True)
        kind: IntArray = kinds[np.argmax(often)]
        if often.max() < _ALIKE * len(split) or (kind.max() < 2 and not labels):
            return None
        rates = split.sum(axis=0) / split.sum()
        used = kind > 0
        ways = math.lgamma(kind.sum() + 1) - sum(math.lgamma(k + 1) for k in kind.tolist())
        each = ways + kind[used] @ np.log(rates[used])
        return kind if often.max() * each < _CHANCE else None


def _refuse_split(
    name: str, column: Codes, piece: Piece, problem: str, where: str, by: Sequence[str]
) -> None:
    """ChoiceNeeded where a column says that the samples of a problem are not of one kind."""
    kind = name.rpartition(".")[2]
    if is_one_of(kind, POLICY) and column.values and np.any(column.code < 0):
        none = len(column.values)  # rows that do not say which policy are of another one
        column = Codes(np.where(column.code < 0, none, column.code), [*column.values, "none"])
    if len(column.values) < 2 or is_one_of(kind, NEUTRAL):
        return
    split = _Split.of(piece, column)
    if is_one_of(kind, POLICY):
        raise _question(name, column, split, problem, where, by)
    if split is None:
        return
    known = is_one_of(kind, GRADER) or kind.lower() in ("split", "epoch")
    known = known or _is_best_of(kind, column)
    if name == SECTION and split.share >= _MOST and is_one_of(problem, WEAK):
        known = True  # samples numbered below their problem, or problems below a policy
    labels = not _number_samples(column.values)
    if (known and split.share > 0) or split.blocks(labels=labels) is not None:
        raise _question(name, column, split, problem, where, by)


def _number_samples(values: Sequence[Hashable]) -> bool:
    """Whether values number samples: whole numbers in a row, or one text with different numbers.

    >>> _number_samples([3, 1, 2]), _number_samples(["run-1", "run-2"]), _number_samples(["x", "y"])
    (True, True, False)
    """
    texts = [str(v) for v in values]
    if any(not re.search(r"\d", t) for t in texts) or len({_DIGITS.sub("#", t) for t in texts}) > 1:
        return False
    if not all(t.isdigit() and len(t) < 18 for t in texts):
        return not any(re.fullmatch(r"-?\d*\.\d+", t) for t in texts)
    numbers = sorted(map(int, texts))
    return numbers[-1] - numbers[0] < 2 * len(numbers)


def _is_best_of(name: str, column: Codes) -> bool:
    """Whether a column says of how many samples a verdict is; a running ``k`` numbers samples."""
    if not is_one_of(name, BEST_OF):
        return False
    texts = [str(v) for v in column.values]
    numbers = sorted(int(t) for t in texts if t.isdigit() and len(t) < 18)
    first = numbers[0] if numbers else 0
    running = len(numbers) == len(texts) and numbers == list(range(first, first + len(numbers)))
    return not (running and first <= 1 and name.lower() == "k")


def _refuse_seeds(piece: Piece, problem: str, where: str, by: Sequence[str]) -> None:
    """A seed, run or epoch with several samples per problem may be a checkpoint or a second run."""
    seeds = {n: c for n, c in piece.numbers.items() if is_one_of(n, SEED) and n not in by}
    rest = [c for n, c in piece.numbers.items() if n not in seeds]
    for name, column in seeds.items():
        if is_one_of(name, ("seed", "random_seed")) and rest:
            continue  # numbered samples of several seeds
        split = _Split.of(piece, column)
        if split is not None and split.share >= _MOST and split.blocks() is not None:
            raise _question(name, column, split, problem, where, by)


def _question(
    name: str,
    column: Codes,
    split: _Split | None,
    problem: str,
    where: str,
    by: Sequence[str] = (),
) -> ChoiceNeeded:
    values = ", ".join(str(v)[:30] for v in column.values[:_SHOWN])
    more = ", ..." if len(column.values) > _SHOWN else ""
    within = ""
    if split is not None and split.share > 0:
        share = f"{100 * split.share:.0f}%"
        within = f", which split the samples of {share} of the problems"
    return ChoiceNeeded(
        where,
        f"column {name} has {len(column.values)} values ({values}{more}){within}"
        if name != FILE
        else f"{len(column.values)} files ({values}{more}){within}",
        option="group_by",
        value=f"{','.join([*by, name])} (one input per value), --problem {problem},{name}"
        f" (other problems) or --group-by {NONE} (pool them)",
        choices=(name, NONE),
    )


def refuse_files(piece: Piece, where: str, problem: str) -> None:
    """ChoiceNeeded where most problems are in several files: checkpoints, or samples of one?"""
    files = piece.others.get(FILE)
    if files is None:
        return
    split = _Split.of(piece, files)
    if split is not None and np.mean(split.values >= 2) > _MOST:
        raise _question(FILE, files, split, problem, where)


def is_shared(piece: Piece) -> bool:
    """Whether a problem is in several files."""
    files = piece.others[FILE]
    keys = np.unique(piece.problem.code * len(files.values) + files.code)
    return len(keys) > len(np.unique(piece.problem.code))


_SHARD = re.compile(
    r"(?:^|[^a-z])(sample|seed|run|trial|attempt|rep|repeat|replicate|shard|part|rank|chunk|worker"
    r"|gpu|node|proc|batch)[^a-z0-9]*\d+(?:[^a-z0-9]*of[^a-z0-9]*\d+)?$"
)


def is_shards(piece: Piece) -> bool:
    """Whether the files are called like parts or repeats of one run: ``seed-1``, ``part_00003``."""
    stems = {
        PurePath(str(name)).name.partition(".")[0].lower() for name in piece.others[FILE].values
    }
    rests = {re.sub(r"\d+", "", stem) for stem in stems}
    return len(rests) == 1 and all(_SHARD.search(stem) for stem in stems)


def group_columns(options: ReadOptions) -> tuple[str, ...]:
    """The columns of ``--group-by``; none where nothing is divided."""
    return () if options.group_by == NONE else listed(options.group_by)


def divided(piece: Piece, columns: Sequence[str], where: str) -> list[tuple[str, Piece]]:
    """One piece per value of a column, or per combination of several, by their labels."""
    column, *rest_of = columns
    if rest_of:
        return [
            (f"{label} {inner}", last)
            for label, part in divided(piece, [column], where)
            for inner, last in divided(part, rest_of, where)
        ]
    codes = piece.others.get(column) or piece.numbers.get(column)
    if codes is None:
        present = ", ".join([*piece.others, *piece.numbers]) or "none"
        raise UserError(f"{where}: nothing can be grouped by {column!r}; columns: {present}, none")
    found = [(str(v), np.flatnonzero(codes.code == i)) for i, v in enumerate(codes.values)]
    rest = np.flatnonzero(codes.code < 0)
    if len(rest):
        found.append(("none", rest))
    return [
        (label if column == FILE else f"{column}={label}", chosen(piece, rows))
        for label, rows in found
        if len(rows)
    ]

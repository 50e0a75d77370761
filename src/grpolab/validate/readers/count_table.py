"""A plain table with one row per problem: samples that were right, and samples drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from grpolab.errors import UserError
from grpolab.theory.groups import GroupCounts, IntArray, Provenance
from grpolab.validate.readers.choose import named, several, step_of
from grpolab.validate.readers.columns import encoded, joined, scores, whole_numbers
from grpolab.validate.readers.count_columns import (
    Pair,
    are_shares,
    is_share,
    numbers,
    pair_of,
    without_thousands,
    wrong_counts,
)
from grpolab.validate.readers.count_values import fractions, num_correct, sizes, whole
from grpolab.validate.readers.format import ChoiceNeeded, Format, Part, ReadOptions
from grpolab.validate.readers.frame import Frame
from grpolab.validate.readers.rivals import refuse_rival_counts
from grpolab.validate.readers.shapes import frame_of
from grpolab.validate.readers.source import Remarks, Sample
from grpolab.validate.readers.totals import refuse_sums, summaries
from grpolab.validate.readers.verdict_words import fraction_of
from grpolab.validate.readers.views import ROW
from grpolab.validate.readers.words import (
    COMPLETION,
    CORRECT,
    GROUP,
    LOOSE_CORRECT,
    POLICY,
    PROBLEM,
    RATE,
    TEXT_OF_PROBLEM,
    TOTAL,
    WEAK,
    WITHOUT,
    find,
    find_all,
    squeezed,
)


def recognises(sample: Sample) -> bool:
    """A column of successes and one of samples, by their usual names."""
    frame = frame_of(sample, Remarks(), fits=fits)
    return frame is not None and fits(frame.names, frame.head)


def could_be(sample: Sample, options: ReadOptions) -> bool:
    """Whether a file is a table that has the columns which the user named."""
    frame = frame_of(sample, Remarks(), fits=lambda names, head: _has(names, options))
    return frame is not None and _has(frame.names, options)


def _has(names: Sequence[str], options: ReadOptions) -> bool:
    wanted = (options.num_correct, options.num_samples)
    return all(n is None or n in names or n.isdigit() for n in wanted)


def fits(names: Sequence[str], head: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a table has a column of successes and one of samples."""
    return pair_of(names, head) is not None


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """Counts as they stand; a row without a problem is a problem of its own."""
    (path,) = paths
    frame = frame_of(Sample(path), remarks, fits=lambda n, h: _wanted(n, h, options) is not None)
    if frame is None:
        frame = frame_of(Sample(path), remarks, fits=lambda n, h: True)
    if frame is None:
        raise UserError(f"{path}: not a table")
    return read_frame(frame, options, remarks)


def _wanted(
    names: Sequence[str], head: Sequence[Mapping[str, Any]], options: ReadOptions
) -> Pair | None:
    if options.num_correct is None:
        return pair_of(names, head)
    return Pair(options.num_correct, "") if options.num_correct in names else None


def _named_pair(frame: Frame, options: ReadOptions) -> Pair:
    """The columns that the user named, completed by the known ones."""
    pair = pair_of(frame.names, frame.head)
    if pair is not None and options.num_correct in (None, pair.correct) and not options.num_samples:
        return pair
    correct = named(frame, options.num_correct, "number of correct samples")
    total: str | int | None = options.num_samples
    if total is None and correct is not None and _is_fraction(frame, correct):
        return Pair(correct, "", is_fraction=True)
    if total is not None and str(total).isdigit() and total not in frame.names:
        total = int(total)
    elif total is not None:
        total = named(frame, str(total), "number of samples")
    correct = correct or (pair.correct if pair else find((*CORRECT, *LOOSE_CORRECT, *RATE),
                                                         frame.names))  # fmt: skip
    total = total if total is not None else (pair.total if pair else find(TOTAL, frame.names))
    columns = ", ".join(sorted(frame.names)) or "none"
    if correct is None:
        raise UserError(
            f"{frame.where}: no columns of successes and samples, such as num_correct and n;"
            f" columns: {columns}; pass --num-correct COLUMN --num-samples COLUMN"
        )
    if total is None:
        raise ChoiceNeeded(
            frame.where,
            f"no number of samples beside {correct} (columns: {columns})",
            option="num_samples",
            value="COLUMN or a number",
        )
    return Pair(correct, total, is_share(correct) or are_shares(correct, frame.head))


def read_frame(frame: Frame, options: ReadOptions, remarks: Remarks) -> list[Part]:
    """The counts of one table."""
    pair = _named_pair(frame, options)
    names = frame.names
    problem = (
        several(frame, options.problem, "problem")
        if options.problem and (options.problem != ROW or ROW in names)
        else ()
        if options.problem
        else tuple(find_all((*PROBLEM, *WEAK, *TEXT_OF_PROBLEM), names)[:1])
    )
    step = step_of(frame, options)
    wanted = [*problem, *pair.columns, step]
    columns = frame.columns(tuple(dict.fromkeys(n for n in wanted if n)), [n for n in wanted if n])
    if not len(columns[pair.correct]):
        raise UserError(f"{frame.where}: holds no samples")
    columns = {n: without_thousands(c) if n in pair.columns else c for n, c in columns.items()}
    if pair.is_fraction:
        correct, size = fractions(columns[pair.correct], pair, frame, options, remarks)
    else:
        size = sizes(columns, pair, frame)
        correct = num_correct(
            scores(columns[pair.correct], frame.place, pair.correct), size, pair, frame, options
        )
    if isinstance(pair.total, str) and pair.total:
        size = _without_errors(frame, pair, correct, size, options, remarks)
    keep = size > 0
    if not keep.all():
        remarks.add(f"{frame.where}: {int((~keep).sum())} rows have no samples and were left out")
    if not keep.any():
        raise UserError(f"{frame.where}: holds no samples")
    ids, labels = _problems(frame, columns, problem)
    at = whole_numbers(columns[step], name=step, place=frame.place) if step else np.zeros_like(size)
    if options.num_correct is None:
        _refuse_verdicts(frame, pair, correct, size)
        refuse_rival_counts(frame, pair.correct, correct, size)
    by = _by(frame, options, pair)
    if problem and step is None and len(labels) < len(ids) and not by:
        _repeated(frame, pair, problem, options, remarks)
    if problem:
        keep &= ~summaries(labels, ids, correct, size, frame, remarks)
    else:
        refuse_sums(correct, size, frame)
    known = {i: str(labels[i]) for i in np.unique(ids[keep]).tolist()} if problem else {}
    parts = []
    for label, rows in by or [("", np.arange(len(size)))]:
        rows = rows[keep[rows]]
        counts = GroupCounts(
            correct[rows], size[rows], prompt_id=ids[rows], step=at[rows], prompt_names=known,
            provenance=Provenance(
                source=frame.where, verdict=pair.said,
                filtered=bool(options.filtered),
            ),
        )  # fmt: skip
        parts.append(Part(counts, None, label))
    return parts


def _without_errors(
    frame: Frame,
    pair: Pair,
    correct: IntArray,
    size: IntArray,
    options: ReadOptions,
    remarks: Remarks,
) -> IntArray:
    """Samples less those without a verdict, which a column beside the counts may number."""
    names = find_all(WITHOUT, [n for n in frame.names if n not in pair])
    wrong = [] if pair.is_rate else wrong_counts(frame.names, frame.head)
    if names and numbers(names[0], frame.head):
        values = scores(frame.columns(names[:1])[names[0]], frame.place, names[0])
        lost = whole(np.nan_to_num(values), names[0], frame)
    elif len(wrong) == 1:  # what is neither right nor wrong has no verdict
        values = scores(frame.columns(wrong)[wrong[0]], frame.place, wrong[0])
        if not np.all(values == np.round(values)):
            return size
        lost = size - correct - values.astype(np.int64)
        names = [f"neither {pair.correct} nor {wrong[0]}"]
        if np.any(lost < 0):
            return size
    else:
        return size
    if not lost.any() or np.any(correct + lost > size):  # they were not among the samples
        return size
    if options.errors == "wrong":
        return size
    if options.errors == "missing":
        remarks.add(f"{frame.where}: {int(lost.sum())} samples ({names[0]}) have no verdict")
        return np.asarray(size - lost)
    raise ChoiceNeeded(
        frame.where,
        f"{int(lost.sum())} samples are counted under {names[0]}: wrong answers, or outages"
        f" without a verdict, to be taken from {pair.total}?",
        option="errors",
        value="wrong, or --errors missing",
        choices=("wrong", "missing"),
    )


def _refuse_verdicts(frame: Frame, pair: Pair, correct: IntArray, size: IntArray) -> None:
    """ChoiceNeeded where a column that may hold verdicts holds nothing but 0 and 1."""
    loose = squeezed(pair.correct) in {squeezed(n) for n in LOOSE_CORRECT}
    if loose and correct.max() <= 1 < size.max():
        raise ChoiceNeeded(
            frame.where,
            f"{pair.correct} is 0 or 1 in every row beside a {pair.total} of {size.max()}:"
            " verdicts, or numbers of correct samples?",
            option="score",
            value=f"{pair.correct}, or --num-correct {pair.correct} --num-samples {pair.total}",
            choices=(pair.correct,),
        )


def _by(frame: Frame, options: ReadOptions, pair: Pair) -> list[tuple[str, IntArray]]:
    """Rows of every value of ``--group-by``; ChoiceNeeded where rows are of several policies."""
    if options.group_by == "none":
        return []
    by = several(frame, options.group_by, "inputs") if options.group_by else ()
    code, values = joined([encoded(frame.columns([n])[n]) for n in by]) if by else (None, [])
    for name in find_all(POLICY, [n for n in frame.names if n not in (*pair, *by)]):
        other = encoded(frame.columns([name])[name])
        pairs = other.code if code is None else np.unique([code, other.code], axis=1)
        if len(other.values) > 1 and (code is None or np.shape(pairs)[1] > len(values)):
            together = ",".join([*by, name])
            raise ChoiceNeeded(
                frame.where,
                f"column {name} has {len(other.values)} values"
                f" ({', '.join(map(str, other.values[:4]))})",
                option="group_by",
                value=f"{together} (one input per value) or --group-by none (pool them)",
                choices=(name, "none"),
            )
    if code is None:
        return []
    label = "/".join(by)
    return [(f"{label}={v}", np.flatnonzero(code == i)) for i, v in enumerate(values)]


def _is_fraction(frame: Frame, name: str) -> bool:
    values = [v for row in frame.head if (v := row.get(name)) not in (None, "")]
    return bool(values) and all(isinstance(v, str) and fraction_of(v) for v in values)


def _problems(
    frame: Frame, columns: Mapping[str, Any], problem: Sequence[str]
) -> tuple[IntArray, list[Any]]:
    if not problem:
        count = len(next(iter(columns.values())))
        return np.arange(count, dtype=np.int64), []
    found = joined([encoded(columns[n]) for n in problem])
    lost = np.flatnonzero(found.code < 0)
    if len(lost):
        raise ChoiceNeeded(
            frame.place(int(lost[0])),
            f"no {problem[0]} in this row and in {len(lost)} of {len(found.code)} rows",
            option="problem",
            value="NAME of a column that is filled, or complete the rows",
        )
    return found.code, found.values


def _repeated(
    frame: Frame, pair: Pair, problem: Sequence[str], options: ReadOptions, remarks: Remarks
) -> None:
    """Several rows of a problem: groups of one policy, or tests of a completion, or policies?"""
    loose = squeezed(pair.correct) in {squeezed(n) for n in LOOSE_CORRECT}
    if options.num_correct is None and loose and find(COMPLETION, frame.names):
        raise ChoiceNeeded(
            frame.where,
            f"several rows of one {problem[0]} with {pair.correct} of {pair.total}: are these tests"
            " that a completion passed? Then give one verdict per completion; for samples",
            option="num_correct",
            value=f"{pair.correct} --num-samples {pair.total}",
        )
    if find(GROUP, frame.names) is None:
        remarks.add(f"{frame.where}: rows of one {problem[0]} were taken for groups of one policy")


FORMAT = Format(
    name="counts",
    tool="a table of counts",
    files="csv, tsv, xlsx, json, jsonl or parquet, one row per problem: `num_correct`,"
    " `num_samples`, or an accuracy and `n`",
    tested_on="tables of every kind",
    detect=recognises,
    read=read,
    options=("problem", "step", "num_correct", "num_samples", "group_by", "errors"),
)

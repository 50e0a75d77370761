"""A plain table with one row per completion: JSON lines, JSON, csv or parquet.

Columns are found by their usual names or named by the caller. A column that numbers the samples of
a problem is used to find rows that were written twice.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from grpolab.errors import UserError
from grpolab.theory.groups import GroupCounts
from grpolab.validate.readers.format import ChoiceNeeded, Format, ReadOptions
from grpolab.validate.readers.source import Remarks, Sample, read_columns, table_rows
from grpolab.validate.readers.verdicts import (
    Verdicts,
    binarise,
    count_verdicts,
    hashable,
    to_counts,
    verdict,
    whole,
)

PROBLEM = (
    "problem_id", "prompt_id", "task_id", "question_id", "example_id", "doc_id", "problem",
    "prompt", "id",
)  # fmt: skip
SCORE = (
    "correct", "passed", "is_correct", "pass", "solved", "success", "resolved", "exact_match",
    "reward", "score", "acc", "verdict",
)  # fmt: skip
GROUP = ("group_id", "group")
STEP = ("step", "global_step")
SAMPLE = ("sample", "sample_id", "sample_idx", "completion_id", "replicate")


def recognises(sample: Sample) -> bool:
    """Any table with a column for the problem and one for the verdict."""
    return find(PROBLEM, sample.keys) is not None and find(SCORE, sample.keys) is not None


def find(candidates: Iterable[str], keys: Iterable[str]) -> str | None:
    """The first of the candidates that is among the keys."""
    present = set(keys)
    return next((name for name in candidates if name in present), None)


def _choose(
    wanted: str | None, candidates: tuple[str, ...], sample: Sample, *, what: str
) -> str | None:
    if wanted is not None:
        if wanted not in sample.keys:
            raise UserError(
                f"{sample.path}: no column {wanted!r} for the {what};"
                f" it has {', '.join(sorted(sample.keys)) or 'none'}"
            )
        return wanted
    return find(candidates, sample.keys)


def _need(name: str | None, sample: Sample, *, what: Literal["problem", "score"]) -> str:
    if name is None:
        columns = sorted(sample.keys)
        why = f"no column for the {what} (columns: {', '.join(columns) or 'none'})"
        raise ChoiceNeeded(str(sample.path), why, option=what, choices=columns)
    return name


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> GroupCounts:
    """Read one or several tables; rows of the same problem are pooled over files."""
    if len(paths) == 1:
        fast = _read_fast(Sample(paths[0]), options, remarks)
        if fast is not None:
            return fast
    rows = Verdicts()
    own: list[set[Hashable]] = []
    for path in paths:
        before = len(rows.problem)
        _read_rows(Sample(path), options, remarks, rows)
        own.append(set(rows.problem[before:]))
    if rows.step is None and sum(map(len, own)) > len(set().union(*own)):
        remarks.add(
            f"{len(paths)} files hold the same problems and were pooled; if they are different"
            " checkpoints, give them one by one"
        )
    return count_verdicts(rows, paths, options, remarks)


def _columns(sample: Sample, options: ReadOptions) -> tuple[str, str, str | None, str | None]:
    problem = _need(
        _choose(options.problem, PROBLEM, sample, what="problem"), sample, what="problem"
    )
    score = _need(_choose(options.score, SCORE, sample, what="score"), sample, what="score")
    group = _choose(options.group, GROUP, sample, what="group")
    return problem, score, group, _choose(options.step, STEP, sample, what="step")


def _read_fast(sample: Sample, options: ReadOptions, remarks: Remarks) -> GroupCounts | None:
    """JSON lines without groups and steps, the shape of large files; None for anything else."""
    if sample.kind != "jsonl":
        return None
    problem, score, group, step = _columns(sample, options)
    number = find(SAMPLE, sample.keys)
    if group is not None or step is not None:
        return None
    others = () if number is None else (number,)
    table = read_columns(
        sample.path, first=sample.head, problem=problem, score=score, others=others
    )
    if table is None:
        return None
    if number is not None:
        pair = table.problem * (int(table.others[number].max()) + 1) + table.others[number]
        if len(np.unique(pair)) < len(pair):
            return None  # the plain reader names the line
    where = str(sample.path)
    return to_counts(
        table.problem,
        binarise(table.score, threshold=options.threshold, remarks=remarks, where=where),
        names=table.names,
        source=sample.path,
        remarks=remarks,
        filtered=bool(options.filtered),
        name=f"{score} by {problem}",
    )


def _read_rows(sample: Sample, options: ReadOptions, remarks: Remarks, rows: Verdicts) -> None:
    problem, score, group, step = _columns(sample, options)
    rows.name = f"{score} by {problem}"
    number = find(SAMPLE, sample.keys)
    seen: dict[tuple[Any, ...], int] = {}
    for line, row in table_rows(sample, remarks):
        where = f"{sample.path}:{line}"
        for name in (problem, score, group, step):
            if name is not None and name not in row:
                raise UserError(f"{where}: no {name!r} in this row")
        if number is not None and number in row:
            key = tuple(hashable(row[n]) for n in (problem, group, step, number) if n is not None)
            first = seen.setdefault(key, line)
            if first != line:
                raise UserError(
                    f"{where}: {problem} {row[problem]!r:.40} {number} {row[number]!r:.20}"
                    f" was already in line {first}"
                )
        rows.add(
            row[problem],
            _score(row[score], where=where),
            group=None if group is None else row[group],
            step=None if step is None else whole(row[step], name="step", where=where),
        )


_WORDS = {
    "true": 1.0, "false": 0.0,
    **dict.fromkeys(("", "nan", "none", "null", "na", "n/a"), math.nan),
}  # fmt: skip


def _score(value: Any, *, where: str) -> float:
    """`verdict`, and the words that a csv file has for one."""
    if not isinstance(value, str):
        return verdict(value, where=where)
    word = value.strip().lower()
    if word in _WORDS:
        return _WORDS[word]
    try:
        return verdict(float(word), where=where)
    except ValueError:
        raise UserError(
            f"{where}: score must be a number or true/false, got {value!r:.60}"
        ) from None


FORMAT = Format(
    name="table",
    tool="any other table",
    files="csv, tsv, jsonl or parquet, one row per completion",
    tested_on="tables of every kind",
    detect=recognises,
    read=read,
    options=("problem", "score", "group", "step"),
    many_files=True,
)

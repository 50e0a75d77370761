"""A plain table with one row per problem: samples that were right, and samples drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from grpolab.errors import UserError
from grpolab.theory.groups import GroupCounts, Provenance
from grpolab.validate.readers.format import Format, ReadOptions
from grpolab.validate.readers.long_table import GROUP, PROBLEM, STEP, find
from grpolab.validate.readers.source import Remarks, Sample, table_rows
from grpolab.validate.readers.verdicts import factorise, hashable, whole

_PAIRS = (
    ("num_correct", "num_samples"), ("num_correct", "group_size"), ("num_correct", "num_total"),
    ("num_correct", "n"), ("n_correct", "n_samples"), ("n_correct", "n"), ("correct", "total"),
    ("passed", "total"), ("c", "n"),
)  # fmt: skip


def recognises(sample: Sample) -> bool:
    """A column of successes and one of samples, by their usual names."""
    return _pair(sample) is not None


def _pair(sample: Sample) -> tuple[str, str] | None:
    pair = next((pair for pair in _PAIRS if sample.has(*pair)), None)
    head = sample.head if pair and isinstance(sample.head, dict) else {}
    return None if any(isinstance(head.get(name), list) for name in pair or ()) else pair


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> GroupCounts:
    """Counts as they stand; a row without a problem is a problem of its own."""
    (path,) = paths
    sample = Sample(path)
    pair = _pair(sample)
    if pair is None:
        raise UserError(f"{path}: no columns of successes and samples, such as num_correct and n")
    problem = options.problem or find(PROBLEM, sample.keys)
    step = options.step or find(STEP, sample.keys)
    rows: list[tuple[Any, int, int, int]] = []
    empty = 0
    for line, row in table_rows(sample, remarks):
        where = f"{path}:{line}"
        missing = [n for n in (problem, step, *pair) if n is not None and n not in row]
        if missing:
            raise UserError(f"{where}: no {missing[0]!r} in this row")
        correct, size = (whole(row[name], name=name, where=where) for name in pair)
        if not 0 <= correct <= size:
            raise UserError(f"{where}: {pair[0]} must be 0..{pair[1]}, got {correct} of {size}")
        at = 0 if step is None else whole(row[step], name=step, where=where)
        empty += size == 0
        if size:
            rows.append((line if problem is None else hashable(row[problem]), correct, size, at))
    if empty:
        remarks.add(f"{path}: {empty} rows have no samples and were left out")
    if not rows:
        raise UserError(f"{path}: holds no samples")
    ids, names = factorise(row[0] for row in rows)
    if len(names) < len(rows) and step is None and find(GROUP, sample.keys) is None:
        remarks.add(f"{path}: rows of one {problem} were taken for groups of one policy")
    correct, size, at = np.array([row[1:] for row in rows], dtype=np.int64).T
    return GroupCounts(
        correct,
        size,
        prompt_id=ids,
        step=at,
        prompt_names={} if problem is None else {i: str(n) for i, n in enumerate(names)},
        provenance=Provenance(
            source=str(path), verdict=" of ".join(pair), filtered=bool(options.filtered)
        ),
    )


FORMAT = Format(
    name="counts",
    tool="a table of counts",
    files="csv, tsv, jsonl or parquet, one row per problem: `num_correct`, `num_samples`",
    tested_on="tables of every kind",
    detect=recognises,
    read=read,
    options=("problem", "step"),
)

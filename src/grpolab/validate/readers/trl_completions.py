"""TRL ``completions/completions_{step}.parquet``: blocks of g rows that share a prompt.

The files hold the trainer's last generation batch at every log call, so three things go wrong when
rows are simply grouped by prompt: the same rows are written again under a later step; a file
written after an evaluation holds evaluation rows behind training rows; and g is not recorded.
Groups are therefore blocks of consecutive rows, and a block's advantages must sum to zero.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from grpolab.errors import UserError
from grpolab.validate.readers.format import ChoiceNeeded, Format, Part, ReadOptions
from grpolab.validate.readers.source import Remarks, Sample, located, parquet_rows
from grpolab.validate.readers.trainer_state import histories, is_evaluation, trainer_states
from grpolab.validate.readers.verdicts import Verdicts, count_verdicts

_OWN = ("step", "prompt", "completion", "advantage")
_BALANCE = 1e-3  # of the largest advantage of a block


def recognises(sample: Sample) -> bool:
    """Columns step, prompt, completion and advantage."""
    return sample.kind == "parquet" and sample.has(*_OWN)


class _File(NamedTuple):
    path: Path
    step: int
    rows: list[dict[str, Any]]


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """Groups of one binary reward column, duplicates and evaluation steps left out."""
    files = [f for f in map(_load, paths) if f.rows]
    files.sort(key=lambda f: (f.step, f.path.name))
    if not files:
        raise UserError(f"{paths[0].parent}: holds no completions")
    reward = _reward_column(files[0], options)
    fresh = _drop_eval_steps(_drop_rewritten(files, reward, remarks), remarks)
    size = options.group_size or _infer_group_size(fresh)
    if options.group_size is None:
        remarks.add(f"group size {size} was inferred from runs of equal prompts")
    table = Verdicts(name=reward)
    for part in fresh:
        _add_blocks(part, table, size=size, reward=reward, options=options)
    return count_verdicts(table, paths, options, remarks)


def _load(path: Path) -> _File:
    rows = parquet_rows(path)
    with located(str(path)):
        for row in rows:
            row["prompt"] = _text(row["prompt"])
        return _File(path, int(rows[0]["step"]) if rows else 0, rows)


def _text(prompt: Any) -> str:
    return prompt if isinstance(prompt, str) else json.dumps(prompt, sort_keys=True)


def _reward_column(first: _File, options: ReadOptions) -> str:
    """The one reward function, or the one that was asked for; a sum of several is never used."""
    row = first.rows[0]
    if options.score is not None:
        if options.score not in row:
            raise UserError(f"{first.path}: no column {options.score!r}; it has {', '.join(row)}")
        return options.score
    names = [
        name
        for name in row
        if name not in _OWN
        and any(isinstance(r[name], float) for r in first.rows)
        and all(r[name] is None or isinstance(r[name], float) for r in first.rows)
    ]
    if len(names) == 1:
        return names[0]
    why = f"which reward column holds the verdict (found: {', '.join(names) or 'none'})"
    raise ChoiceNeeded(str(first.path), why, option="score", choices=names)


def _drop_eval_steps(files: list[_File], remarks: Remarks) -> list[_File]:
    """Leave out files of steps that were evaluated, as trainer_state.json tells."""
    run = files[0].path.parent.parent
    if not trainer_states(run) and len(files) > 1:
        remarks.add(
            "no trainer_state.json beside the completions: rows of an evaluation at a logged step,"
            " if there was one, are counted as training rows"
        )
    steps = {int(row["step"]) for rows in histories(run) for row in rows if is_evaluation(row)}
    kept = [f for f in files if f.step not in steps]
    if len(kept) < len(files):
        lost = ", ".join(str(f.step) for f in files if f.step in steps)
        remarks.add(f"files of steps {lost} mix training and evaluation rows and were left out")
    if not kept:
        raise UserError(
            f"{files[0].path.parent}: every file was overwritten by an evaluation at its step"
        )
    return kept


def _signature(row: dict[str, Any], reward: str) -> tuple[Any, ...]:
    return row["prompt"], _text(row["completion"]), repr(row[reward]), repr(row["advantage"])


def _drop_rewritten(files: list[_File], reward: str, remarks: Remarks) -> list[_File]:
    """Rows at the head of a file that repeat the tail of the file before were written twice."""
    kept, dropped, before = [], 0, list[tuple[Any, ...]]()
    for part in files:
        now = [_signature(row, reward) for row in part.rows]
        overlap = _overlap(before, now)
        dropped += overlap
        kept.append(part._replace(rows=part.rows[overlap:]))
        before = now
    if dropped:
        remarks.add(f"{dropped} rows repeat rows of the step before and were left out")
    return [part for part in kept if part.rows]


def _overlap(before: list[Any], now: list[Any]) -> int:
    """Length of the longest tail of ``before`` that is a head of ``now``."""
    longest = min(len(before), len(now))
    return next((n for n in range(longest, 0, -1) if before[-n:] == now[:n]), 0)


def _runs(rows: list[dict[str, Any]]) -> list[int]:
    """Lengths of the runs of equal prompts."""
    changes = [i for i in range(1, len(rows)) if rows[i]["prompt"] != rows[i - 1]["prompt"]]
    return [int(n) for n in np.diff([0, *changes, len(rows)])]


def _infer_group_size(files: list[_File]) -> int:
    size = math.gcd(*(n for part in files for n in _runs(part.rows)))
    if size < 2:
        why = "the group size cannot be inferred from the prompts"
        raise ChoiceNeeded(str(files[0].path), why, option="group_size", value="G")
    return size


def _add_blocks(
    part: _File, table: Verdicts, *, size: int, reward: str, options: ReadOptions
) -> None:
    if len(part.rows) % size:
        raise UserError(f"{part.path}: {len(part.rows)} rows are not whole groups of {size}")
    for start in range(0, len(part.rows), size):
        block = part.rows[start : start + size]
        where = f"{part.path}: rows {start + 1} to {start + size}"
        if len({row["prompt"] for row in block}) > 1:
            why = f"different prompts in one group of {size}"
            raise ChoiceNeeded(where, why, option="group_size", value="G")
        advantages = [row["advantage"] or 0.0 for row in block]
        top = max(abs(a) for a in advantages)
        if abs(sum(advantages)) > _BALANCE * size * top and top > 0:
            raise UserError(
                f"{where}: advantages do not sum to zero, so this is not one group of {size}"
            )
        for row in block:
            problem = row["prompt"] if options.problem is None else row.get(options.problem)
            score = math.nan if row[reward] is None else float(row[reward])
            table.add(problem, score, group=start, step=part.step)


FORMAT = Format(
    name="trl",
    tool="TRL",
    files="the folder `completions/` (`log_completions=True`)",
    tested_on="files that the tool wrote",
    detect=recognises,
    read=read,
    options=("problem", "score", "group_size"),
    many_files=True,
)

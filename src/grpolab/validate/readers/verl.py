"""verl rollout dumps: ``{step}.jsonl`` of both trainers.

The older trainer writes no group id and reorders the rows, so a group is a (step, input) pair, and
two copies of one prompt in one batch cannot be told apart. The newer one writes
``uid = {sample}_{session}_{output}``; a session with several outputs is one rollout.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grpolab.errors import UserError
from grpolab.validate.readers.format import Format, Part, ReadOptions
from grpolab.validate.readers.source import Remarks, Sample, records
from grpolab.validate.readers.verdicts import Verdicts, as_text, count_verdicts, verdict


def recognises(sample: Sample) -> bool:
    """Rows with input, output and score."""
    return sample.kind == "jsonl" and sample.has("input", "output", "score")


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """Verdict: the asked field, else ``acc`` where there is one, else ``score``."""
    rows: dict[tuple[Any, ...], tuple[str, float, str, int, float, Any]] = {}
    repeated, name = 0, options.score or ""
    for path in sorted(paths, key=lambda p: (len(p.stem), p.stem)):
        for line, row in records(path, remarks):
            where = f"{path}:{line}"
            problem, step = _field(row, "input", where), _step(row, path, where)
            uid = row.get("uid")
            key: tuple[Any, ...]
            if uid is None:
                group, key = problem, (str(path), line)
            else:
                group, key = (
                    _sample_of(uid, where=where),
                    (str(path), step, str(uid).rsplit("_", 1)[0]),
                )
            repeated += key in rows
            name = options.score or ("acc" if "acc" in row else "score")
            score = _score(row, name, where=where)
            trained = _score(row, "score", where=where) if "score" in row else score
            rows[key] = (problem, score, group, step, trained, row.get("output"))
    if repeated:
        remarks.add(f"{repeated} outputs belong to a session with a later output, which counts")
    table = Verdicts(name=name)
    for problem, score, group, step, trained, output in rows.values():
        table.add(problem, score, group=group, step=step, learned=trained, text=as_text(output))
    _note_collisions(table, options, remarks)
    return count_verdicts(table, paths, options, remarks)


def _field(row: dict[str, Any], name: str, where: str) -> str:
    if not isinstance(row.get(name), str):
        raise UserError(f"{where}: {name} must be text, got {row.get(name)!r:.40}")
    return str(row[name])


def _step(row: dict[str, Any], path: Path, where: str) -> int:
    value = row.get("step", path.stem.partition(".")[0])
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{where}: step must be a whole number, got {value!r:.40}") from None


def _sample_of(uid: Any, *, where: str) -> str:
    parts = str(uid).rsplit("_", 2)
    if len(parts) != 3:
        raise UserError(f"{where}: uid must read sample_session_output, got {uid!r:.40}")
    return parts[0]


def _score(row: dict[str, Any], name: str, *, where: str) -> float:
    if name not in row:
        raise UserError(f"{where}: no {name!r} in this row")
    value = row[name]
    return math.nan if value is None else verdict(value, where=where)


def _note_collisions(table: Verdicts, options: ReadOptions, remarks: Remarks) -> None:
    """Without uid, a prompt that is twice in a batch makes one group of double size."""
    if table.group is None or table.step is None:  # no rows
        return
    sizes = Counter(zip(table.group, table.step, strict=True)).values()
    usual = options.group_size or Counter(sizes).most_common(1)[0][0]
    merged = sum(n > usual for n in sizes)
    short = sum(n < usual for n in sizes)
    if merged:
        remarks.add(
            f"{merged} groups hold more than {usual} rollouts: a prompt drawn twice in a step"
        )
    if short:
        remarks.add(f"{short} groups hold fewer than {usual} rollouts")


FORMAT = Format(
    name="verl",
    tool="verl",
    files="`rollout_data_dir` or `validation_data_dir`",
    tested_on="records built from its source",
    detect=recognises,
    read=read,
    options=("score", "group_size"),
    many_files=True,
)

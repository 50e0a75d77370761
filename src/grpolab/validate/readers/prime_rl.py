"""prime-rl ``rollouts/step_N/train/all/traces.jsonl`` and verifiers runs: one episode per line.

``effective`` folders hold what was trained on, after groups without advantage were dropped, so
``all`` is read wherever there is one. Episodes that failed for reasons outside of the model have
``ok: false`` and are no observations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grpolab.errors import UserError
from grpolab.validate.readers.format import Format, Part, ReadOptions
from grpolab.validate.readers.source import Remarks, Sample, located, records
from grpolab.validate.readers.verdicts import Verdicts, count_verdicts, verdict


def recognises(sample: Sample) -> bool:
    """Rows with task and traces; evaluations have no group."""
    return sample.kind == "jsonl" and sample.has("task", "traces")


def _pick(paths: Sequence[Path], remarks: Remarks) -> tuple[list[Path], bool]:
    """Training files before any pruning; whether only pruned ones were found."""
    train = [p for p in paths if "eval" not in p.parts[-4:-1]] or list(paths)
    if len(train) < len(paths):
        remarks.add(f"{len(paths) - len(train)} evaluation files were left out")
    whole = [p for p in train if "effective" not in p.parts[-3:-1]]
    return (whole, False) if whole else (train, True)


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """Groups by ``group.id``; reward is the weighted sum of scores, or one named score."""
    files, pruned = _pick(paths, remarks)
    table = Verdicts(name=options.score or "weighted sum of rewards")
    for path in files:
        for line, row in records(path, remarks):
            where = f"{path}:{line}"
            with located(where):
                _add(row, table, options, where=where)
    if pruned:
        remarks.add("only 'effective' traces were found: groups without advantage are missing")
    return count_verdicts(table, files, options, remarks, filtered=pruned)


def _add(row: dict[str, Any], table: Verdicts, options: ReadOptions, *, where: str) -> None:
    """One verdict per trace of the trained policy; judges and other helpers have none."""
    task = row["task"].get("key") or row["task"].get("hash") or repr(row["task"].get("data"))
    problem = f"{(row.get('env') or {}).get('id', '')}/{task}"
    group = (row.get("group") or {}).get("id", problem)
    step = int(((row.get("run") or {}).get("work") or {}).get("step", 0))
    own = [t for t in row["traces"] if (t.get("agent") or {}).get("trainable", True)]
    if not own:
        table.add(problem, math.nan, group=group, step=step)
    for trace in own:
        usable = row.get("ok", True) and trace.get("ok", True)
        score = _reward(trace.get("rewards"), options, where=where) if usable else math.nan
        table.add(problem, score, group=group, step=step)


def _reward(rewards: Any, options: ReadOptions, *, where: str) -> float:
    """The named score, or the weighted sum; null is a reward function that did not run."""
    if not isinstance(rewards, dict) or not rewards:
        return math.nan
    if options.score is not None:
        if options.score not in rewards:
            raise UserError(f"{where}: no reward {options.score!r}; it has {', '.join(rewards)}")
        part = rewards[options.score]
        return math.nan if part is None else verdict(part.get("score"), where=where)
    parts = [
        verdict(part.get("score"), where=where) * float(part.get("weight", 1.0))
        for part in rewards.values()
        if part is not None
    ]
    return sum(parts) if parts else math.nan


FORMAT = Format(
    name="prime-rl",
    tool="prime-rl",
    files="the folder `rollouts/`",
    tested_on="files that the tool wrote",
    detect=recognises,
    read=read,
    options=("score",),
    many_files=True,
)

"""EvalPlus: ``eval_results.json`` with the statuses of the base and the extended tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grpolab.errors import UserError
from grpolab.validate.readers.format import ChoiceNeeded, Format, Part, ReadOptions
from grpolab.validate.readers.source import Remarks, Sample, document
from grpolab.validate.readers.verdicts import Verdicts, count_verdicts

_STATUSES = ("pass", "fail", "timeout")


def recognises(sample: Sample) -> bool:
    """A document with ``eval`` whose entries hold ``base_status``."""
    if not sample.has("eval", "hash") or not sample.is_document:
        return False
    return isinstance(sample.head, dict) and isinstance(sample.head["eval"], dict)


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """Verdicts by ``--score plus`` (base and extended tests, the default) or ``--score base``."""
    (path,) = paths
    tests = options.score or "plus"
    if tests not in ("base", "plus"):
        raise UserError(f"{path}: --score must be base or plus for EvalPlus, got {tests!r}")
    rows, late = Verdicts(name=f"{tests} tests"), 0
    tasks = document(path)
    tasks = tasks.get("eval") if isinstance(tasks, dict) else None
    if not isinstance(tasks, dict):
        raise UserError(f"{path}: expected a document with tasks under 'eval'")
    for task, samples in tasks.items():
        if not isinstance(samples, list):
            raise UserError(f"{path}: {task}: expected a list of samples (a file before 0.2?)")
        for sample in samples:
            base = _status(sample, "base_status", path=path, task=task)
            status = [base]
            if tests == "plus":
                if isinstance(sample, dict) and sample.get("plus_status") is None:
                    raise ChoiceNeeded(
                        f"{path}: {task}",
                        "no plus_status (written with --base-only)",
                        option="score",
                        value="base",
                        choices=("base",),
                    )
                status.append(_status(sample, "plus_status", path=path, task=task))
            late += "timeout" in status
            rows.add(task, float(all(s == "pass" for s in status)))
    if late:
        remarks.add(f"{path}: {late} samples timed out and count as wrong")
    return count_verdicts(rows, paths, options, remarks)


def _status(sample: Any, key: str, *, path: Path, task: str) -> str:
    status = sample.get(key) if isinstance(sample, dict) else None
    if status not in _STATUSES:
        raise UserError(f"{path}: {task}: {key} must be pass, fail or timeout, got {status!r:.40}")
    return str(status)


FORMAT = Format(
    name="evalplus",
    tool="EvalPlus",
    files="`*_eval_results.json`",
    tested_on="files that the tool wrote",
    detect=recognises,
    read=read,
    options=("score",),
)

"""EvalPlus and BigCodeBench: ``eval_results.json`` with a status per solution.

EvalPlus has the statuses of the base and of the extended tests, its versions before 0.2 as lists
per task; BigCodeBench has one status.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from grpolab.errors import UserError
from grpolab.validate.readers.format import ChoiceNeeded, Format, Part, ReadOptions
from grpolab.validate.readers.source import Remarks, Sample, document
from grpolab.validate.readers.verdicts import Verdicts, count_verdicts

_STATUSES = ("pass", "fail", "timeout")
_TESTS = ("base", "plus")
_BEFORE_0_2 = {"success": "pass", "failed": "fail", "timed out": "timeout"}


def recognises(sample: Sample) -> bool:
    """A document with ``eval`` and ``hash``, or with ``eval`` whose entries hold a status."""
    return _holds(sample) and sample.has("hash")


def recognises_one(sample: Sample) -> bool:
    """A document with ``date`` and ``eval`` alone, whose entries hold one status."""
    if not _holds(sample) or sample.has("hash"):
        return False
    first = next(iter(sample.head["eval"].values()), None)
    one = first[0] if isinstance(first, list) and first else None
    return isinstance(one, dict) and "status" in one


def _holds(sample: Sample) -> bool:
    if not sample.has("eval") or not sample.is_document:
        return False
    return isinstance(sample.head, dict) and isinstance(sample.head["eval"], dict)


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """Verdicts by ``--score plus`` (base and extended tests, the default) or ``--score base``."""
    (path,) = paths
    if options.score not in (None, *_TESTS):
        raise UserError(f"{path}: --score must be base or plus for EvalPlus, got {options.score!r}")
    found = list(_solutions(path))
    without = [task for task, status, _ in found if status["plus"] is None]
    tests = options.score or "plus"
    if tests == "plus" and without and len(without) == len(found) and options.score is None:
        tests = "base"
        remarks.add(f"{path}: written with --base-only: verdicts are those of the base tests")
    elif tests == "plus" and without:
        raise ChoiceNeeded(
            f"{path}: {without[0]}",
            f"no status of the extended tests, nor have {len(without)} of {len(found)} solutions",
            option="score",
            value="base",
            choices=("base",),
        )
    names = _TESTS[: _TESTS.index(tests) + 1]
    rows, late = Verdicts(name=f"{tests} tests"), 0
    for task, status, text in found:
        kept = [status[name] for name in names]
        late += "timeout" in kept
        rows.add(task, float(all(s == "pass" for s in kept)), text=text)
    _note_late(late, path, remarks)
    return count_verdicts(rows, paths, options, remarks)


def read_one(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """``status`` per solution."""
    (path,) = paths
    rows, late = Verdicts(name="status"), 0
    for task, samples in _tasks(path):
        if not isinstance(samples, list):
            raise UserError(f"{path}: {task}: expected a list of solutions")
        for sample in samples:
            status = _status(sample, "status", path=path, task=task)
            late += status == "timeout"
            rows.add(task, float(status == "pass"), text=_solution(sample))
    _note_late(late, path, remarks)
    return count_verdicts(rows, paths, options, remarks)


def _note_late(late: int, path: Path, remarks: Remarks) -> None:
    if late:
        remarks.add(f"{path}: {late} samples timed out and count as wrong")


def _tasks(path: Path) -> Iterator[tuple[str, Any]]:
    tasks = document(path)
    tasks = tasks.get("eval") if isinstance(tasks, dict) else None
    if not isinstance(tasks, dict):
        raise UserError(f"{path}: expected a document with tasks under 'eval'")
    yield from tasks.items()


def _solutions(path: Path) -> Iterator[tuple[str, dict[str, str | None], str | None]]:
    """Task, statuses and text of every solution; None is a status that is not there."""
    for task, samples in _tasks(path):
        if isinstance(samples, dict):
            yield from _before_0_2(path, task, samples)
            continue
        if not isinstance(samples, list):
            raise UserError(f"{path}: {task}: expected a list of samples")
        for sample in samples:
            status: dict[str, str | None] = {
                "base": _status(sample, "base_status", path=path, task=task), "plus": None,
            }  # fmt: skip
            if sample.get("plus_status") not in (None, ""):
                status["plus"] = _status(sample, "plus_status", path=path, task=task)
            yield task, status, _solution(sample)


def _before_0_2(
    path: Path, task: str, lists: dict[str, Any]
) -> Iterator[tuple[str, dict[str, str | None], str | None]]:
    """Solutions of a task whose results are ``base: [[status, details], ...]`` and ``plus``."""
    base, plus = lists.get("base"), lists.get("plus") or []
    if not isinstance(base, list) or not isinstance(plus, list) or len(plus) not in (0, len(base)):
        raise UserError(f"{path}: {task}: expected lists of results under base and plus")
    for i, result in enumerate(base):
        extended = plus[i] if plus else None
        yield task, {
            "base": _first(result, path=path, task=task),
            "plus": None if extended is None else _first(extended, path=path, task=task),
        }, None  # fmt: skip


def _first(result: Any, *, path: Path, task: str) -> str:
    found = {"status": result[0]} if isinstance(result, list) and result else result
    return _status(found, "status", path=path, task=task)


def _status(sample: Any, key: str, *, path: Path, task: str) -> str:
    status = sample.get(key) if isinstance(sample, dict) else None
    status = _BEFORE_0_2.get(status, status) if isinstance(status, str) else status
    if status not in _STATUSES:
        raise UserError(f"{path}: {task}: {key} must be pass, fail or timeout, got {status!r:.40}")
    return str(status)


def _solution(sample: Any) -> str | None:
    text = sample.get("solution") if isinstance(sample, dict) else None
    return text if isinstance(text, str) else None


FORMAT = Format(
    name="evalplus",
    tool="EvalPlus",
    files="`*_eval_results.json`",
    tested_on="files that the tool wrote; before 0.2: records built from its source",
    detect=recognises,
    read=read,
    options=("score",),
)
BIGCODEBENCH = Format(
    name="bigcodebench",
    tool="BigCodeBench",
    files="`*_eval_results.json`",
    tested_on="records built from its source",
    detect=recognises_one,
    read=read_one,
)

"""The folder of a training run, the same for every trainer; killed at any point, it goes on.

``run.json`` says what runs, ``steps.jsonl`` has one JSON object per step (appended and flushed),
``rollouts`` a table of the completions per step, ``evals.jsonl`` the evaluations, ``checkpoints``
what a later process goes on from, ``final`` the trained model and ``groups.parquet`` all groups,
which ``grpolab audit`` reads. A checkpoint is sealed, and its seal covers the lines before it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from grpolab.errors import UserError
from grpolab.files import atomic_path, broken_seal, promises_of, remove_scratch, sha256, sync
from grpolab.store import (
    BrokenLine,
    claim,
    claim_folder,
    json_lines,
    jsonable,
    read_counts,
    read_manifest,
    write_counts,
)
from grpolab.theory.groups import GroupCounts, Provenance
from grpolab.validate.training.log import GRPORun, StepLog, StepRecord

KIND = "grpolab-train"
RUN, STEPS, EVALS, GROUPS = "run.json", "steps.jsonl", "evals.jsonl", "groups.parquet"
ROLLOUTS = "rollouts"
_TAIL = 2**22  # bytes in which the last line lies, whatever the number of groups
_TABLES = ("num_correct", "group_size", "prompt_id")
_FREE = ("versions", "model", "reference", "config.steps", "interventions")
"""What may change between the processes of one run; models are known by hash, not by path."""
_HOW: Mapping[str, Any] = MappingProxyType(
    {"manifest": RUN, "what": "a training run", "may_change": _FREE, "restart": True}
)


@dataclass(frozen=True, slots=True)
class RunDir:
    """An opened run folder, written by one process.

    The rollouts of every ``rollouts_every``-th step are kept, 0: of none.
    """

    path: Path
    rollouts_every: int = 1

    @property
    def manifest(self) -> dict[str, Any]:
        """What runs here."""
        return read_manifest(self.path / RUN)

    @property
    def checkpoints(self) -> Path:
        """Where the trainer keeps what it goes on from."""
        return self.path / "checkpoints"

    @property
    def final(self) -> Path:
        """The trained model, once the run is over."""
        return self.path / "final"

    def append(self, record: StepRecord) -> None:
        """Add a step at the end of ``steps.jsonl``, on disk before this returns."""
        step, table = record.log.step, record.rollouts
        if table is not None and self.rollouts_every and step % self.rollouts_every == 0:
            info = _provenance(self.manifest, num_missing=record.log.num_missing)
            named = replace(table, provenance=info, step=np.full(len(table), step))
            named.write(self.path / ROLLOUTS / f"step-{step:06d}.parquet")
        _append(self.path / STEPS, step_row(record))

    def append_eval(self, step: int, found: Mapping[str, Any]) -> None:
        """Add an evaluation made before step ``step``."""
        _append(self.path / EVALS, {"step": step, **found})

    def promises(self, step: int) -> dict[str, Any]:
        """What the seal of a checkpoint at ``step`` says: the lines that were on disk before it."""
        found: dict[str, Any] = {"step": step}
        for path in (self.path / STEPS, self.path / EVALS):
            if path.is_file():
                sync(path)
                found[path.name] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
        return found

    def fault(self, saved: Path, step: int) -> str:
        """Why a run cannot go on from what was saved before ``step``, in words; empty: it can."""
        if reason := broken_seal(saved):
            return f"{saved}: {reason}"
        return self._broken_lines(step, promises_of(saved))

    def rewind(self, step: int, saved: Path | None = None) -> None:
        """Forget steps and evaluations from ``step`` on: a run goes on from what was ``saved``.

        UserError where the lines before do not hold one step each, in order.
        """
        promised = promises_of(saved) if saved is not None else {}
        if reason := self._broken_lines(step, promised):
            raise UserError(reason)
        for path in (self.path / STEPS, self.path / EVALS):
            if path.is_file():
                kept = self._kept(path, step, promised)
                with atomic_path(path) as scratch:
                    scratch.write_bytes(kept)
        for table in (self.path / ROLLOUTS).glob("step-*.parquet"):
            if number(table.with_suffix("")) >= step:
                table.unlink()

    def _broken_lines(self, step: int, promised: Mapping[str, Any]) -> str:
        """What is wrong with the lines before a step, in words; empty where nothing is."""
        for place, raw in enumerate(self._lines(step)):
            if _step_of(raw) != place:
                return f"{self.path / STEPS}:{place + 1}: not step {place}, which was there before"
        for path in (self.path / STEPS, self.path / EVALS):
            told = promised.get(path.name)
            if told is None:
                continue
            if not path.is_file() or sha256(path, told["bytes"]) != told["sha256"]:
                return f"{path}: the lines before step {step} have changed since they were written"
        return ""

    def _kept(self, path: Path, step: int, promised: Mapping[str, Any]) -> bytes:
        """The lines of a file before a step."""
        if path.name in promised:
            with path.open("rb") as file:
                return file.read(promised[path.name]["bytes"])
        if path.name == STEPS or not step:
            return b"".join(self._lines(step))
        return b"".join(_line(row).encode() for row in _rows(path) if row["step"] < step)

    def _lines(self, number: int) -> list[bytes]:
        """The first lines of ``steps.jsonl``, with empty ones where there are fewer."""
        path = self.path / STEPS
        found: list[bytes] = []
        if number and path.is_file():
            with path.open("rb") as file:
                found = list(itertools.islice(file, number))
        return found + [b""] * (number - len(found))

    def is_whole(self, *, steps: int) -> bool:
        """Whether ``steps`` steps or more are on record and the model behind the last is there."""
        try:
            done = len(read_run(self.path).records)
        except UserError:
            return False
        if done < steps or not self.final.is_dir():
            return False
        told = promises_of(self.final).get("step")
        if told is None:  # written by an earlier version, which wrote the groups last
            return (self.path / GROUPS).is_file() and not broken_seal(self.final)
        return bool(told == done) and not self.fault(self.final, done)

    def finish(self) -> GroupCounts:
        """Write all groups as ``groups.parquet``, where they are not there already."""
        counts = counts_of(self.path)
        with contextlib.suppress(UserError):
            if read_counts(self.path / GROUPS) == counts:
                return counts
        write_counts(self.path / GROUPS, counts)
        return counts


def good_checkpoint(found: Sequence[Path], fault: Callable[[Path], str]) -> Path | None:
    """The newest checkpoint, None without any; ``found`` has the newest last.

    UserError where it cannot be gone on from, with what to remove to go on from an earlier one.
    """
    reason = fault(found[-1]) if found else ""
    if not reason:
        return found[-1] if found else None
    good = max((p for p in found[:-1] if not fault(p)), key=number, default=None)
    spoilt = [p for p in found if good is None or number(p) > number(good)]
    where = f"from {good.name}" if good else "from the start"
    raise UserError(f"{reason}; remove {' '.join(map(str, spoilt))} to go on {where}")


def numbered(folder: Path, name: str, *, whole: str) -> list[Path]:
    """Folders ``name-N`` that hold the file ``whole``, by their numbers."""
    found = (p for p in folder.glob(f"{name}-*") if p.name == f"{name}-{number(p)}")
    return sorted((p for p in found if (p / whole).is_file()), key=number)


@contextlib.contextmanager
def claim_run(path: Path, manifest: Mapping[str, Any], *, first: bool = True) -> Iterator[RunDir]:
    """`open_run`, and no other process may while this one works in the folder.

    Of several processes of one run the ``first`` claims it, the others only need to know where.
    """
    if not first:
        yield RunDir(path)
        return
    with claim(path, {"kind": KIND, **manifest}, **_HOW):
        remove_scratch(path)
        yield RunDir(path)


def open_run(path: Path, manifest: Mapping[str, Any]) -> RunDir:
    """Write the manifest, or check that the run at ``path`` is this one; UserError if it is not.

    A run may be made longer: ``config.steps`` is not compared. One that has not got anywhere yet
    is no run that could be spoilt, and is replaced.
    """
    claim_folder(path, {"kind": KIND, **manifest}, **_HOW)
    return RunDir(path)


def step_row(record: StepRecord) -> dict[str, Any]:
    """One line of ``steps.jsonl``.

    >>> one = np.array([1])
    >>> record = StepRecord(StepLog(0, 0.5, 0, math.nan, 1, 0, 0, 0, 0, 0, 0), one, one + 1, one)
    >>> [step_row(record)[name] for name in ("step", "num_correct", "group_size", "entropy")]
    [0, [1], [2], None]
    """
    tables = {name: getattr(record, name) for name in _TABLES}
    log = record.log._asdict()
    row: dict[str, Any] = jsonable({"step": log.pop("step"), **tables, **log})
    return row


def read_run(path: Path) -> GRPORun:
    """All steps and evaluations of a run, finished or not; a half-written last line is no step.

    ``.records`` has a row per step, ``.counts()`` all groups. UserError for another folder.
    """
    manifest = read_manifest(path / RUN)
    if manifest.get("kind") != KIND:
        raise UserError(f"{path}: not a training run of grpolab")
    steps, evals = path / STEPS, path / EVALS
    records = [_record(row, steps) for row in _rows(steps)] if steps.is_file() else []
    found = [(row.pop("step"), row) for row in _rows(evals)] if evals.is_file() else []
    return GRPORun(records, found)


def last_step(path: Path) -> dict[str, Any] | None:
    """The last whole line of ``steps.jsonl`` of a run folder, None before there is one."""
    with contextlib.suppress(FileNotFoundError), (path / STEPS).open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
        for raw in reversed(file.read().splitlines()):
            if _step_of(raw) is not None:
                found: dict[str, Any] = json.loads(raw)
                return found
    return None


def summary_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """An evaluation without what it says of single prompts.

    >>> summary_of({"mean_reward": 0.5, "prompts_hash": "ab", "counts": {}})
    {'mean_reward': 0.5}
    """
    return {name: v for name, v in found.items() if name not in ("prompts_hash", "counts")}


def counts_of(path: Path) -> GroupCounts:
    """All groups of a run with their provenance; UserError while there are none."""
    run, manifest = read_run(path), read_manifest(path / RUN)
    if not any(record.group_size.any() for record in run.records):
        raise UserError(f"{path}: no group with a verdict yet")
    missing = sum(record.log.num_missing for record in run.records)
    return replace(run.counts(), provenance=_provenance(manifest, num_missing=missing))


def _provenance(manifest: Mapping[str, Any], *, num_missing: int) -> Provenance:
    return Provenance(
        source=manifest["model"],
        sampling={
            "temperature": manifest["config"]["temperature"], "trainer": manifest["trainer"]
        },
        seed=manifest["seed"],
        versions=manifest["versions"],
        num_missing=num_missing,
    )  # fmt: skip


def keep_last(found: Sequence[Path], *, keep: int) -> None:
    """Remove the first of some folders but ``keep``; 0 keeps all."""
    for old in found[: -keep or 0] if keep else []:
        shutil.rmtree(old)


def number(path: Path) -> int:
    """The number at the end of a name: 50 of ``step-50``; -1 where there is none."""
    digits = path.name.rpartition("-")[2]
    return int(digits) if digits.isdecimal() else -1


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(jsonable(row), allow_nan=False) + "\n"


def _step_of(raw: bytes) -> int | None:
    """The step of a line of ``steps.jsonl``; None where the line is no step."""
    try:
        step = json.loads(raw)["step"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return step if type(step) is int else None


def _append(path: Path, row: Mapping[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(_line(row))


def _rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSON lines file; a last line that was cut off is no row."""

    def refuse(broken: BrokenLine) -> None:
        if not broken.cut_off:
            raise broken

    rows = []
    for place, row in json_lines(path, refuse):
        try:
            row["step"] = int(row["step"])
        except (ValueError, KeyError, TypeError) as err:
            raise UserError(f"{path}:{place}: not a step ({err})") from None
        rows.append(row)
    return rows


def _record(row: Mapping[str, Any], path: Path) -> StepRecord:
    row = {**StepLog._field_defaults, **row}

    def value(name: str) -> Any:
        return math.nan if row[name] is None else row[name]

    try:
        log = StepLog(**{name: value(name) for name in StepLog._fields})
        correct, size, ids = (np.array(row[name], dtype=np.int64) for name in _TABLES)
        return StepRecord(log, correct, size, ids)
    except (KeyError, TypeError, ValueError) as err:
        raise UserError(f"{path}: step {row.get('step')} is not complete ({err})") from None

"""Plain run logs, whoever wrote them: rows of numbers by step.

Text logs and trackio's database are read here; TensorBoard event files and W&B's offline runs by
the libraries of those tools, which must be installed for them. `grpolab.validate.monitor.scalars`
says what the numbers mean.
"""

from __future__ import annotations

import csv
import itertools
import json
import math
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from grpolab.errors import UserError, first_line, require
from grpolab.validate.monitor.files import Notes, last_branch, log_rows
from grpolab.validate.monitor.scalars import ENDED, PLANNED, training_row
from grpolab.validate.readers.trainer_state import planned_steps, read_history

Rows = dict[int, dict[str, float]]
_STEPS = ("step", "_step", "Step", "global_step", "train/global_step", "trainer/global_step",
          "training/global_step", "trainer/step", "global_step/max_steps", "iteration",
          "rollout/step")  # fmt: skip
"""Columns that hold the step, the surest first."""
_OF_A_RUN = re.compile(r"^(?P<run>.+) - (?P<key>[^ ].*)$")  # W&B: "run name - train/reward"
_NUMBERS = {"nan": math.nan, "inf": math.inf, "infinity": math.inf, "-inf": -math.inf,
            "-infinity": -math.inf}  # fmt: skip
KINDS = (
    "trainer_state.json, .jsonl or .csv with a column step, TensorBoard's events.out.tfevents.*,"
    " W&B's run-*.wandb, trackio's .db"
)
"""Logs that are read, in words."""


def is_event_file(path: Path) -> bool:
    """Whether a file has the name of TensorBoard's."""
    return path.name.startswith("events.out.tfevents")


def is_log(path: Path) -> bool:
    """Whether a file has the name of a run log."""
    return (
        is_event_file(path)
        or path.suffix in (".wandb", ".csv", ".jsonl", ".db")
        or path.name == "trainer_state.json"
    )


def read_log(path: Path, notes: Notes, *, limit: int | None = None) -> Rows:
    """Numbers of training by step; UserError where the file is no log of a run.

    Lines of one step are one row. A step written again ends what an earlier try wrote from there.
    At most ``limit`` lines are read.
    """
    if is_event_file(path):
        pairs = _tensorboard(path)
    elif path.suffix == ".wandb":
        pairs = _wandb(path)
    elif path.suffix == ".db":
        pairs = _trackio(path)
    elif path.suffix == ".csv":
        pairs = _stepped(_table(path), path)
    elif path.suffix == ".jsonl":
        pairs = _stepped((_flat(row) for row in log_rows(path, notes)), path)
    elif path.suffix == ".json":
        last = planned_steps(path)
        more = {} if last is None else {PLANNED: last}
        pairs = _stepped(({**row, **more} for row in read_history(path)), path)
    else:
        raise UserError(f"{path}: not a log of a run; known are {KINDS}")
    return _merged(itertools.islice(pairs, limit))


def _merged(pairs: Iterator[tuple[int, dict[str, Any]]]) -> Rows:
    rows: list[tuple[int, dict[str, float]]] = []
    for step, row in pairs:
        known = training_row({k: _number(v) for k, v in row.items() if v != ""})  # "": not there
        if rows and rows[-1][0] == step:
            kept = rows[-1][1]
            kept.update({k: v for k, v in known.items() if k not in kept or not math.isnan(v)})
        elif known:
            rows.append((step, known))
    return last_branch(rows)


def _number(value: Any) -> Any:
    """A number that is written as a text, as in a table or for NaN in JSON."""
    if not isinstance(value, str):
        return value
    word = value.strip().lower()
    if word in _NUMBERS:
        return _NUMBERS[word]
    try:
        return float(word)
    except ValueError:
        return value


def _stepped(rows: Iterator[dict[str, Any]], path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows with their steps; a row without one belongs to no step."""
    column, seen = None, 0
    for row in rows:
        seen += 1
        if column is None or column not in row:
            column = next((name for name in _STEPS if _step(row.get(name)) is not None), column)
        step = None if column is None else _step(row.get(column))
        if column is not None and step is not None:
            last = _last_step(row.get(column))
            more = {} if last is None else {PLANNED: last}
            yield step, {key: value for key, value in row.items() if key != column} | more
    if seen and column is None:
        raise UserError(f"{path}: no column holds the step; known are {', '.join(_STEPS)}")


def _step(value: Any) -> int | None:
    """A step: a number, or "5/100" as ms-swift writes it."""
    known = _number(value.partition("/")[0] if isinstance(value, str) else value)
    if isinstance(known, bool) or not isinstance(known, int | float):
        return None
    return int(known) if math.isfinite(known) and known >= 0 else None


def _last_step(value: Any) -> int | None:
    """The last planned step in "5/100"."""
    return _step(value.partition("/")[2]) if isinstance(value, str) else None


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """A line of verl's file logger holds its numbers in ``data``."""
    data = row.get("data")
    return {**data, "step": row.get("step")} if isinstance(data, dict) else row


def _table(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a csv; an export of W&B has the name of the run in front of each column."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        try:
            names = list(reader.fieldnames or [])
            found = {name: _OF_A_RUN.match(name) for name in names}
            runs = {match["run"] for match in found.values() if match}
            if len(runs) > 1:
                some = ", ".join(sorted(runs)[:3])
                raise UserError(f"{path}: columns of {len(runs)} runs ({some}); export one")
            keys = {name: match["key"] if match else name for name, match in found.items()}
            for row in reader:
                yield {
                    keys[name]: value
                    for name, value in row.items()
                    if name in keys and not keys[name].endswith(("__MIN", "__MAX"))
                }
        except (UnicodeDecodeError, csv.Error) as err:
            raise UserError(f"{path}: not a table in text ({first_line(err)})") from err


def _tensorboard(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    require("tensorboard", extra="logs")
    from tensorboard.backend.event_processing import event_accumulator as events
    from tensorboard.util.tensor_util import make_ndarray

    found = events.EventAccumulator(str(path), size_guidance={"scalars": 0, "tensors": 0})
    try:
        found.Reload()
    except Exception as err:  # of many kinds
        raise UserError(f"{path}: TensorBoard cannot read it ({first_line(err)})") from err
    rows: dict[int, dict[str, Any]] = {}
    for tag in found.Tags()["scalars"]:
        for event in found.Scalars(tag):
            rows.setdefault(event.step, {})[tag] = event.value
    for tag in found.Tags()["tensors"]:
        for event in found.Tensors(tag):
            value = make_ndarray(event.tensor_proto)
            if value.size == 1 and value.dtype.kind in "fiu":
                rows.setdefault(event.step, {})[tag] = float(value.reshape(()))
    yield from sorted(rows.items())


def _wandb(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    require("wandb", extra="logs")
    from wandb.proto.wandb_internal_pb2 import Record

    count, last = 0, None
    for data in _wandb_records(path):
        record = Record()
        try:
            record.ParseFromString(data)
        except Exception as err:  # protobuf's own
            raise UserError(f"{path}: wandb cannot read it ({first_line(err)})") from err
        kind = record.WhichOneof("record_type")
        if kind == "exit" and last is not None:
            yield last, {ENDED: 1.0}
        if kind != "history":
            continue
        row = {
            item.key or "/".join(item.nested_key): json.loads(item.value_json)
            for item in record.history.item
        }
        step = _step(row.pop("_step", None))
        last = count if step is None else step
        yield last, row
        count += 1


_BLOCK, _HEAD, _FULL, _FIRST, _LAST = 1 << 15, 7, 1, 2, 4


def _wandb_records(path: Path) -> Iterator[bytes]:
    """Records of a log in LevelDB's format behind a header of W&B; a cut-off last one is left out.

    Blocks of 32 KiB hold pieces, each with checksum (4 bytes), length (2), and kind (1): a whole
    record, or its first, a middle or its last piece.
    """
    data = path.read_bytes()
    if not data.startswith(b":W&B"):
        raise UserError(f"{path}: not a log of wandb")
    place, parts = _HEAD, [b""]
    while place + _HEAD <= len(data):
        left = _BLOCK - place % _BLOCK
        if left < _HEAD:  # too little for a piece: filled up
            place += left
            continue
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        piece = data[place + _HEAD : place + _HEAD + length]
        place += _HEAD + length
        if kind in (_FULL, _FIRST):
            parts = []
        parts.append(piece)
        if kind in (_FULL, _LAST) and len(piece) == length:
            yield b"".join(parts)


def _trackio(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The newest run of a project; its database is read only."""
    try:
        with sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True) as base:
            names = [row[0] for row in base.execute(
                "SELECT run_name FROM metrics GROUP BY run_name ORDER BY MAX(id)")]  # fmt: skip
            if not names:
                return
            found = base.execute(
                "SELECT step, metrics FROM metrics WHERE run_name = ? ORDER BY id", names[-1:]
            )
            for step, text in found:
                row = json.loads(text)
                if isinstance(row, dict):
                    yield int(step), row
    except (sqlite3.Error, ValueError) as err:
        raise UserError(f"{path}: not a database of trackio ({first_line(err)})") from err

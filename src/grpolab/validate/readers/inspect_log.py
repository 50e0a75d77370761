"""inspect_ai logs, ``.json`` or ``.eval``, without inspect_ai.

An ``.eval`` file is a ZIP whose members are compressed with Zstandard, which Python's zipfile
cannot unpack; pyarrow can.
"""

from __future__ import annotations

import json
import math
import struct
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from grpolab.errors import UserError
from grpolab.packed import read_document
from grpolab.validate.readers.format import ChoiceNeeded, Format, Part, ReadOptions
from grpolab.validate.readers.source import Remarks, Sample, document, located
from grpolab.validate.readers.verdicts import Verdicts, count_verdicts, hashable, verdict

_ZSTANDARD = 93
_LETTERS = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}


def recognises(sample: Sample) -> bool:
    """A log document, or an archive with a folder of samples."""
    if sample.has("eval", "version", "status"):
        return sample.is_document and isinstance(sample.head, dict)
    if sample.kind != "zip":
        return False
    with zipfile.ZipFile(sample.path) as archive:
        names = set(archive.namelist())
    return "header.json" in names or any(n.startswith("samples/") for n in names)


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """Scores per sample id, one epoch each: C and I, numbers or booleans; NaN is no verdict."""
    (path,) = paths
    rows = Verdicts()
    seen: set[tuple[Any, Any]] = set()
    failed = 0
    for number, sample in enumerate(_samples(path), start=1):
        with located(f"{path}: sample {number}"):
            problem, epoch = hashable(sample["id"]), hashable(sample.get("epoch"))
            where = f"{path}: sample {problem} epoch {epoch}"
            if (problem, epoch) in seen:
                raise UserError(f"{where}: appears twice")
            seen.add((problem, epoch))
            scores = sample.get("scores") or {}
            if sample.get("error") is not None:
                scores = {}
            failed += not scores
            value = None
            if scores:
                rows.name = _pick(scores, options, where=where)
                value = scores[rows.name].get("value")
            rows.add(problem, _number(value, where=where))
    if failed:
        remarks.add(f"{path}: {failed} samples were not scored (errors or limits)")
    return count_verdicts(rows, paths, options, remarks)


def _pick(scores: dict[str, Any], options: ReadOptions, *, where: str) -> str:
    if options.score is None and len(scores) > 1:
        why = f"several scorers ({', '.join(scores)})"
        raise ChoiceNeeded(where, why, option="score", choices=tuple(scores))
    name = options.score or next(iter(scores))
    if name not in scores:
        raise UserError(f"{where}: no scorer {name!r}; it has {', '.join(scores)}")
    return name


def _number(value: Any, *, where: str) -> float:
    if isinstance(value, str):
        if value not in _LETTERS:
            raise UserError(f"{where}: score must be C, I, P, N or a number, got {value!r:.40}")
        return _LETTERS[value]
    if isinstance(value, dict | list):
        raise UserError(f"{where}: the score is a {type(value).__name__}, not one verdict")
    return math.nan if value is None else verdict(value, where=where)


def _samples(path: Path) -> Iterator[dict[str, Any]]:
    if not zipfile.is_zipfile(path):
        value = document(path)
        samples = value.get("samples") if isinstance(value, dict) else None
        if not isinstance(samples, list):
            raise UserError(f"{path}: the log has no samples (written with log_samples=False?)")
        yield from samples
        return
    with zipfile.ZipFile(path) as archive:
        members = [m for m in archive.infolist() if m.filename.startswith("samples/")]
        if not members:
            raise UserError(f"{path}: the log has no samples")
        for member in sorted(members, key=lambda m: m.filename):
            with located(f"{path}: {member.filename}"):
                sample = json.loads(_unpack(path, archive, member))
            yield sample


def _unpack(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Bytes of a member, Zstandard included."""
    if member.compress_type != _ZSTANDARD:
        with archive.open(member) as stream:
            return read_document(stream, path)
    import pyarrow as pa

    with path.open("rb") as handle:
        handle.seek(member.header_offset + 26)
        name, extra = struct.unpack("<HH", handle.read(4))
        handle.seek(member.header_offset + 30 + name + extra)
        packed = handle.read(member.compress_size)
    with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as stream:
        return bytes(read_document(stream, path))


FORMAT = Format(
    name="inspect",
    tool="inspect",
    files="`.eval` or `.json` logs",
    tested_on="files that the tool wrote",
    detect=recognises,
    read=read,
    options=("score",),
)

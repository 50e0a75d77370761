"""Runs on disk: manifests, JSON, JSON lines, tables as parquet, GroupCounts in either.

Everything is written whole or not at all (`grpolab.files`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Never

import numpy as np

from grpolab.errors import UserError, first_line
from grpolab.files import atomic_path, digest, exclusive, parquet_matches_seal, write_sealed_parquet
from grpolab.packed import decoded, not_utf8, raw_lines, require_small
from grpolab.theory.groups import GroupCounts, Provenance

_DIGEST_KEY, _SEALED = "sha256", b"grpolab.seal"
_COLUMNS = ("num_correct", "group_size", "prompt_id", "step")

SETTINGS = "settings.json"
"""Options of the command of a run, in its folder."""


def jsonable(value: Any) -> Any:
    """Plain JSON types: arrays to lists, numpy scalars to numbers, NaN and infinities to null.

    >>> jsonable({"a": np.float64("nan"), "b": np.arange(2)})
    {'a': None, 'b': [0, 1]}
    """
    if isinstance(value, Mapping):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return jsonable(value.tolist())
    if isinstance(value, list | tuple):
        return [jsonable(v) for v in value]
    if isinstance(value, np.generic):
        return jsonable(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Path):
        return str(value)
    return value


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with atomic_path(path) as scratch:
        scratch.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON, keys in the order given, two spaces of indent."""
    write_text(path, json.dumps(jsonable(value), indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON; UserError names the file when it is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as err:
        raise UserError(f"{path}: cannot be read ({err.strerror})") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as err:
        raise UserError(f"{path}: not valid JSON ({err})") from None


def write_sealed(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object, its digest as the last key; `read_sealed` asks for it.

    The digest is the SHA-256 of the object as `json.dumps` writes it without the key.
    """
    plain = jsonable(value)
    write_json(path, {**plain, _DIGEST_KEY: digest(plain)})


def read_sealed(path: Path) -> dict[str, Any]:
    """Read what `write_sealed` wrote, without the digest; UserError where anything has changed."""
    value = read_json(path)
    if not isinstance(value, dict) or value.pop(_DIGEST_KEY, None) != digest(value):
        raise UserError(f"{path}: has changed since it was written (its SHA-256 is another)")
    return value


class BrokenLine(UserError):
    """A line of a JSON-lines file that holds no JSON object.

    ``cut_off`` is true for a last line that has no line end and does not parse: its file is still
    being written, or its writer was killed.
    """

    def __init__(self, path: Path, number: int, reason: str, *, cut_off: bool = False) -> None:
        super().__init__(f"{path}:{number}: {reason}{' (the line is cut off)' if cut_off else ''}")
        self.path = path
        self.number = number
        self.cut_off = cut_off


def _refuse(err: BrokenLine) -> Never:
    raise err


def json_lines(
    path: Path, on_broken: Callable[[BrokenLine], None] = _refuse
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line numbers and objects of a JSON-lines file, plain or packed with gzip or Zstandard.

    Blank lines are skipped. A line that holds no JSON object is a `BrokenLine`, which is raised;
    where ``on_broken`` is given, it is called with the error, and the line is left out unless it
    raises. Only a line that is cut off should be left out, as it may be a record that is still
    being written: readers of rollouts do so with a note, the monitor reads it again later. The
    monitor alone goes on after other broken lines: a run that was killed and resumed leaves them.
    """
    for number, raw in raw_lines(path):
        try:
            value = _object(path, number, raw)
        except BrokenLine as err:
            on_broken(err)
            continue
        if value is not None:
            yield number, value


def _object(path: Path, number: int, raw: bytes) -> dict[str, Any] | None:
    """The object of a line, None for a blank line; BrokenLine for anything else."""
    cut_off = not raw.endswith(b"\n")
    try:
        text = decoded(raw, first=number == 1)
        value = json.loads(text) if text.strip() else None
    except UnicodeDecodeError as err:
        reason = not_utf8(raw, err.reason)
        raise BrokenLine(path, number, reason, cut_off=cut_off) from None
    except (ValueError, RecursionError) as err:
        reason = f"not valid JSON ({first_line(err)})"
        raise BrokenLine(path, number, reason, cut_off=cut_off) from None
    if isinstance(value, dict) or not text.strip():
        return value
    raise BrokenLine(path, number, f"expected a JSON object, got {type(value).__name__}")


def write_counts(path: Path, counts: GroupCounts) -> None:
    """Write a table as parquet (``.parquet``) or JSON lines (any other ending)."""
    meta = {
        "provenance": counts.provenance.as_dict(),
        "prompt_names": {str(k): v for k, v in counts.prompt_names.items()},
    }
    columns = {name: getattr(counts, name) for name in _COLUMNS}
    with atomic_path(path) as scratch:
        if path.suffix == ".parquet":
            write_parquet(scratch, columns, meta)
        else:
            rows = zip(*(column.tolist() for column in columns.values()), strict=True)
            lines = [json.dumps({"grpolab": jsonable(meta)})]
            lines += [json.dumps(dict(zip(_COLUMNS, row, strict=True))) for row in rows]
            scratch.write_text("\n".join(lines) + "\n", encoding="utf-8")


def claim_folder(
    out: Path,
    wanted: Mapping[str, Any],
    *,
    manifest: str,
    what: str,
    may_change: Sequence[str] = (),
    restart: bool = False,
) -> None:
    """Write the manifest of a new run, or check that the run in ``out`` is this one.

    ``manifest`` is the file's name and ``what`` what such a folder holds ("a rollout run").
    ``may_change`` names leaves and branches of the manifest, by dotted names, that may differ; they
    are written anew. With ``restart`` a folder that holds nothing but a manifest, and settings,
    is a new one. Hidden files do not count. UserError for a file, a folder of something
    else, or another run.
    """
    now = jsonable(wanted)
    if _there(out, now, manifest, what, may_change, restart=restart) != now:
        write_sealed(out / manifest, now)


def write_settings(out: Path, settings: Mapping[str, Any]) -> None:
    """Keep the options of a command in its run folder, as ``--config`` reads them."""
    write_json(out / SETTINGS, dict(settings))


@contextlib.contextmanager
def claim(
    out: Path,
    wanted: Mapping[str, Any],
    *,
    manifest: str,
    what: str,
    may_change: Sequence[str] = (),
    restart: bool = False,
    shared: bool = False,
) -> Iterator[None]:
    """`claim_folder`, and no other process may claim the folder until the block ends.

    Processes that claim it ``shared`` keep out those that do not, and not each other.
    """
    # looked at first without the lock: a folder that is refused gets no file of ours
    _there(out, jsonable(wanted), manifest, what, may_change, restart=restart)
    with exclusive(out, shared=shared):
        claim_folder(
            out, wanted, manifest=manifest, what=what, may_change=may_change, restart=restart
        )
        yield


def read_manifest(path: Path) -> dict[str, Any]:
    """What `claim_folder` wrote; UserError, and what to do, where it has changed since.

    A manifest of an earlier version has no digest, and is taken as it is.
    """
    anew = f"remove {path.parent} to start the run anew"
    try:
        value = read_json(path)
    except UserError as err:
        raise UserError(f"{err}; {anew}" if path.is_file() else str(err)) from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: no manifest of a run; choose another folder")
    if value.pop(_DIGEST_KEY, None) not in (None, digest(value)):
        raise UserError(f"{path}: has changed since it was written; {anew}")
    return value


def _there(
    out: Path, now: Any, manifest: str, what: str, may_change: Sequence[str], *, restart: bool
) -> Any:
    """The manifest of the run in ``out``, None in a new folder; UserError where it is another."""
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: is a file; choose a folder with --out")
    names = {p.name for p in out.iterdir() if not p.name.startswith(".")} if out.exists() else set()
    if not names or (restart and {manifest} == names - {SETTINGS}):
        return None
    if manifest not in names:
        raise UserError(f"{out}: not empty and not {what}; choose another --out")
    there = read_manifest(out / manifest)
    if there.get("kind") != now.get("kind"):
        raise UserError(f"{out}: not {what} of this command; choose another --out")
    _require_same(out, flat(there), flat(now), may_change)
    return there


def _require_same(
    out: Path, before: Mapping[str, Any], now: Mapping[str, Any], may_change: Sequence[str]
) -> None:
    differ = [
        key
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
        and not any(key == name or key.startswith(f"{name}.") for name in may_change)
    ]
    if differ:
        key = differ[0]
        more = f" and {len(differ) - 1} more" if len(differ) > 1 else ""
        raise UserError(
            f"{out}: holds another run: {key} was {before.get(key)!r}, now {now.get(key)!r}{more};"
            " choose another --out"
        )


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Leaves of nested mappings under dotted names.

    >>> flat({"a": {"b": 1}, "c": [2]})
    {'a.b': 1, 'c': [2]}
    """
    if not isinstance(value, Mapping):
        return {prefix: value}
    found: dict[str, Any] = {}
    for key, inner in value.items():
        found |= flat(inner, f"{prefix}.{key}" if prefix else str(key))
    return found


def write_parquet(
    path: Path, columns: Mapping[str, Any], meta: Any, *, compression: str = "snappy"
) -> None:
    """Write columns of equal length, JSON metadata under the key ``grpolab``, sums and a seal.

    Every page has the checksum of the format. The seal is the SHA-256 of all other bytes of the
    file; it lies before the footer, where readers of parquet do not look.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(dict(columns))
    table = table.replace_schema_metadata(
        {"grpolab": json.dumps(jsonable(meta)), _SEALED: hashlib.sha256().name}
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, write_page_checksum=True, compression=compression)
    write_sealed_parquet(path, sink.getvalue())


def check_parquet(path: Path) -> None:
    """UserError where a table that `write_parquet` wrote is not as it was written."""
    read_parquet(path, ())


def read_parquet(
    path: Path, names: Sequence[str], *, optional: Sequence[str] = ()
) -> tuple[dict[str, Any], Any]:
    """Named columns as arrays, and the JSON metadata that `write_parquet` put beside them.

    ``optional`` names columns that may be absent. UserError where the file is not a table of ours,
    or where a bit of it has changed since it was written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        body = pa.py_buffer(path.read_bytes())
        whole = parquet_matches_seal(body)
        if whole is False:
            raise UserError(f"{path}: has changed since it was written (its SHA-256 is another)")
        require_small(path)
        # in this thread: one of Arrow's that lets go of Python's bytes as the interpreter ends
        # takes the process down
        file = pq.ParquetFile(pa.BufferReader(body), page_checksum_verification=True)
        table = file.read(use_threads=False)
        about = table.schema.metadata or {}
        if whole is None and _SEALED in about:
            raise UserError(f"{path}: has changed since it was written (its seal is broken)")
        meta = json.loads(about[b"grpolab"])
        there = [*names, *(name for name in optional if name in table.column_names)]
        return {name: table[name].to_numpy() for name in there}, meta
    except (KeyError, ValueError, OSError, pa.ArrowException) as err:
        raise UserError(f"{path}: not a grpolab table ({first_line(err)})") from None


def has_column(path: Path, name: str) -> bool:
    """Whether a parquet file has a column; False where it is none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return name in pq.read_schema(path).names
    except (OSError, pa.ArrowException):
        return False


def read_counts(path: Path) -> GroupCounts:
    """Read what `write_counts` wrote; UserError where it is anything else."""
    if path.suffix == ".parquet":
        columns, meta = read_parquet(path, _COLUMNS)
    else:
        columns, meta = _read_lines(path)
    try:
        return GroupCounts(
            **columns,
            prompt_names={int(k): v for k, v in meta["prompt_names"].items()},
            provenance=Provenance(**meta["provenance"]),
        )
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as err:
        raise UserError(f"{path}: not a grpolab table ({err})") from None


def _read_lines(path: Path) -> tuple[dict[str, Any], Any]:
    try:
        head, *rows = (row for _, row in json_lines(path))
        meta = head["grpolab"]
        return {name: np.array([row[name] for row in rows]) for name in _COLUMNS}, meta
    except (BrokenLine, KeyError, TypeError, ValueError) as err:
        raise UserError(f"{path}: not a grpolab table ({err})") from None

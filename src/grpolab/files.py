"""Files and folders that are whole or absent, and that are known again: synced, then sealed.

Everything is written beside its place, put on disk and renamed into place, so that a reader sees a
whole file or none, and a run that was killed can be started again. A seal is a SHA-256 digest that
is stored with what it covers: a bit that changes afterwards is found when a run reads it back.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from grpolab.errors import UserError

SCRATCH = ".partial"
"""Ending of files and folders that are being written; what a killed run leaves behind."""
LOCK = ".lock"
"""What `exclusive` locks; it stays behind and means nothing then."""
SEAL = "digests.json"
"""Digests of all other files of a folder; `seal` writes it and `broken_seal` compares."""
_SHOWN = 50  # characters of a name that its scratch file takes over: names are limited to 255 bytes
_BLOCK = 1 << 20
_NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EACCES)
"""What a file system answers that cannot sync a folder."""


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """A temporary file beside ``target`` that is renamed to it when the block ends well.

    The bytes are on disk before the name is. What is no regular file (``/dev/stdout``, a pipe) is
    written to directly.
    """
    if target.exists() and not target.is_file() and not target.is_dir():
        yield target
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(SCRATCH, f".{target.name[:_SHOWN]}.", target.parent)
    os.close(handle)
    scratch = Path(name)
    try:
        yield scratch
        scratch.chmod(0o644)
        sync(scratch)
        scratch.replace(target)
        sync(target.parent)
    finally:
        scratch.unlink(missing_ok=True)


def check_place(target: Path) -> None:
    """UserError or OSError where no file can be written, so that a command says so before its work.

    Nothing is left behind: folders that are missing are made when the file is.
    """
    if target.is_dir():
        raise UserError(f"{target}: is a folder; name a file")
    if target.exists() and not target.is_file():
        return
    for folder in target.absolute().parents:
        try:
            folder.stat()
        except FileNotFoundError:
            continue
        tempfile.TemporaryFile(dir=folder).close()
        return


@contextlib.contextmanager
def atomic_dir(target: Path) -> Iterator[Path]:
    """A temporary folder that becomes ``target`` when the block ends well."""
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(SCRATCH, f".{target.name[:_SHOWN]}.", target.parent))
    try:
        yield scratch
        move_into_place(scratch, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def move_into_place(scratch: Path, target: Path) -> None:
    """Put a folder on disk, then give it its name; what had the name before is removed."""
    scratch.chmod(0o755)
    for folder, _, names in os.walk(scratch):
        for name in names:
            sync(Path(folder, name))
        sync(Path(folder))
    if target.exists():
        shutil.rmtree(target)
    scratch.replace(target)
    sync(target.parent)


def sync(path: Path) -> None:
    """Return when the bytes of a file, or the names in a folder, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as err:
        if not (path.is_dir() and err.errno in _NO_SYNC):
            raise
    finally:
        os.close(handle)


def remove_scratch(folder: Path) -> None:
    """Remove what killed processes were writing; call it where no other process writes."""
    for left in list(folder.rglob(f".*{SCRATCH}")):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


@contextlib.contextmanager
def exclusive(folder: Path, *, lock: str = LOCK, shared: bool = False) -> Iterator[None]:
    """Hold a folder for one process; UserError where another works in it, or none can.

    Processes that hold it ``shared`` keep out those that want it alone, and not each other.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = (folder / lock).open("a")
    except OSError as err:
        raise UserError(f"{folder}: cannot be written to ({err.strerror})") from None
    with held:
        try:
            fcntl.flock(held, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{folder}: another process is working in this folder") from None
        except OSError:  # a file system without locks
            pass
        yield


def sha256(path: Path, size: int | None = None) -> str:
    """SHA-256 of a file, as ``sha256sum`` prints it, or of its first ``size`` bytes."""
    with path.open("rb") as file:
        if size is None:
            return hashlib.file_digest(file, "sha256").hexdigest()
        digest = hashlib.sha256()
        while size > 0 and (block := file.read(min(size, _BLOCK))):
            digest.update(block)
            size -= len(block)
        return digest.hexdigest()


def seal(folder: Path, promises: Mapping[str, Any] | None = None) -> None:
    """Write the digests of all files below a folder, and what else was true when they were written.

    ``promises`` are plain JSON types; `promises_of` returns them. Call it in a folder that is not
    in its place yet: see `atomic_dir`.
    """
    found = {
        path.relative_to(folder).as_posix(): sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / SEAL
    }
    told = {"sha256": found, "promises": promises or {}}
    text = json.dumps({**told, "seal": digest(told)}, indent=1)
    (folder / SEAL).write_text(text + "\n", encoding="utf-8")


def broken_seal(folder: Path) -> str:
    """What of a sealed folder is not as it was written, in words; empty where all of it is.

    A folder without a seal was written by an earlier version, and nothing is known of it.
    """
    if not (folder / SEAL).exists():
        return ""
    told = _read_seal(folder)
    if told is None:
        return f"{SEAL} has changed since it was written"
    for name, digest in told["sha256"].items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if sha256(path) != digest:
            return f"{name} has changed since it was written"
    return ""


def promises_of(folder: Path) -> Mapping[str, Any]:
    """What `seal` was told; empty for a folder without a whole seal."""
    told = _read_seal(folder)
    return told["promises"] if told else {}


def _read_seal(folder: Path) -> dict[str, Any] | None:
    try:
        told = json.loads((folder / SEAL).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    whole = isinstance(told, dict) and told.pop("seal", None) == digest(told)
    return told if whole else None


def digest(plain: Any) -> str:
    """SHA-256 of plain JSON types, as they are written."""
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()


_MARK, _SIZE = b"grpolab:sha256:", hashlib.sha256().digest_size


def write_sealed_parquet(path: Path, body: Any) -> None:
    """Write the bytes of a parquet file and, in front of its footer, their SHA-256.

    Readers of parquet find everything from the footer and never look at the bytes in front of it.
    """
    view = memoryview(body).cast("B")
    cut = _footer(view)
    with path.open("wb") as file:
        file.writelines((view[:cut], _MARK, hashlib.sha256(view).digest(), view[cut:]))


def parquet_matches_seal(body: Any) -> bool | None:
    """Whether the bytes of a parquet file are those that were sealed; None where no seal is."""
    view = memoryview(body).cast("B")
    cut = _footer(view) if len(view) >= 8 else 0
    end = cut - _SIZE - len(_MARK)
    if end < 0 or view[end : cut - _SIZE] != _MARK:
        return None
    digest = hashlib.sha256(view[:end])
    digest.update(view[cut:])
    return digest.digest() == view[cut - _SIZE : cut]


def _footer(view: memoryview) -> int:
    """Where the footer begins: its length is in front of the last four bytes."""
    return len(view) - 8 - int.from_bytes(view[-8:-4], "little")

"""Files as bytes: plain or packed, in lines or whole, and never more than memory can hold.

A small file can unpack to more than any machine has. What unpacks to more than `MAX_UNPACKED`
bytes and to more than `MAX_RATIO` times its own size is refused; text and tables of real runs pack
to a tenth or a fiftieth.
"""

from __future__ import annotations

import codecs
import io
import lzma
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from grpolab.errors import UserError, first_line
from grpolab.footer import chunks

_BLOCK = 2**24
MAX_LINE = 256 * 2**20
"""Bytes of the longest line that is read."""
MAX_DOCUMENT = 512 * 2**20
"""Bytes of the longest document, unpacked, that is read as one value."""
MAX_UNPACKED = 2 * 2**30
"""Bytes that any file may unpack to."""
MAX_RATIO = 250
"""How many times larger than itself a file may unpack to beyond that."""
_MAGIC = (
    (b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bz2"), (b"\xfd7zX", "xz"),
)  # fmt: skip
_WIDE = (
    (re.compile(rb"\xff\xfe\0\0|\0\0\xfe\xff"), "utf-32"),
    (re.compile(rb"\xff\xfe|\xfe\xff"), "utf-16"),
    (re.compile(rb"[\t -~]\0\0\0"), "utf-32-le"),
    (re.compile(rb"\0\0\0[\t -~]"), "utf-32-be"),
    (re.compile(rb"[\t -~]\0"), "utf-16-le"),
    (re.compile(rb"\0[\t -~]"), "utf-16-be"),
)
"""How text begins that has two or four bytes per character, with or without a mark."""


def decoded(raw: bytes, *, first: bool) -> str:
    """UTF-8 text of a line; a byte order mark is taken off the first."""
    return raw.decode("utf-8-sig" if first else "utf-8")


def not_utf8(raw: bytes, reason: str = "") -> str:
    """What is wrong with bytes that are no UTF-8 text, and how to convert them.

    >>> not_utf8("a".encode("utf-16")).partition(":")[0]
    'UTF-16 text'
    """
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in raw:
        return "UTF-16 text: convert it with iconv -f UTF-16 -t UTF-8 OLD > NEW"
    return (
        f"not UTF-8 text ({reason}): convert it, from Latin-1 or Windows-1252 with"
        " iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW"
    )


def raw_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Line numbers and bytes of all lines, unpacked; UserError where a file ends too early."""
    try:
        with open_bytes(path) as stream:
            number = 0
            while raw := stream.readline(MAX_LINE + 1):
                number += 1
                if len(raw) > MAX_LINE:
                    raise UserError(f"{path}:{number}: line longer than {MAX_LINE} bytes")
                yield number, raw
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, EOFError) as err:
        raise UserError(f"{path}: cannot be read to its end ({first_line(err)})") from None


def read_document(stream: IO[bytes], path: Path) -> bytes:
    """All bytes of a stream; UserError where a packed file unpacks to more than one can hold."""
    raw = stream.read(MAX_DOCUMENT + 1)
    if len(raw) > MAX_DOCUMENT:
        raise UserError(
            f"{path}: one value of more than {MAX_DOCUMENT} bytes; write one record per line"
        )
    return raw


def open_bytes(path: Path) -> IO[bytes]:
    """A buffered byte stream of UTF-8 text.

    What gzip, Zstandard, bzip2 and xz packed is unpacked, and UTF-16 and UTF-32 are converted; all
    are known by their first bytes. UserError for a pipe or a device: one would wait for a writer,
    or have no end.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise UserError(f"{path}: not a regular file; save what it gives to one first")
    packing = _packing(path)
    raw: Any = io.FileIO(path) if packing is None else _unpacked_stream(path, packing)
    stream = io.BufferedReader(raw, 2**20)
    encoding = _encoding(stream)
    return stream if encoding is None else io.BufferedReader(_Recoded(stream, encoding), 2**20)


def open_arrow(path: Path) -> Any:
    """The same as a stream of Arrow's own, which its readers take without a detour."""
    import pyarrow as pa

    if _packing(path) is not None or _is_wide(path):
        return pa.PythonFile(open_bytes(path), mode="r")
    return pa.input_stream(arrow_source(path), buffer_size=2**20)


def arrow_block(path: Path) -> int:
    """Bytes that Arrow's readers take at once: a small file whole, in no more memory than it needs.

    Two bytes of a wide encoding may become three.
    """
    return _BLOCK if _packing(path) is not None else min(_BLOCK, 2 * path.stat().st_size + 1024)


def _unpacked_stream(path: Path, packing: str) -> _Counted:
    import pyarrow as pa

    if packing == "xz":
        return _Counted(lzma.open(path), path)
    stream = pa.input_stream(arrow_source(path), compression=packing, buffer_size=2**20)
    return _Counted(stream, path)


def _encoding(stream: Any) -> str | None:
    """The wide encoding of a text by its first bytes, None for all others."""
    head = stream.peek(4)[:4]
    return next((name for start, name in _WIDE if start.match(head)), None)


def _is_wide(path: Path) -> bool:
    with path.open("rb") as stream:
        return _encoding(stream) is not None


class _Recoded(io.RawIOBase):
    """Text in UTF-8 that stands in another encoding."""

    def __init__(self, stream: IO[bytes], encoding: str) -> None:
        self._stream, self._encoding = stream, encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            raw = self._stream.read(2**16)
            try:
                self._rest = self._decoder.decode(raw, final=not raw).encode()
            except UnicodeError as err:
                raise OSError(f"not {self._encoding.upper()} text ({first_line(err)})") from None
            if not raw:
                break
        part, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        self._stream.close()
        super().close()


class _Counted(io.RawIOBase):
    """Unpacked bytes; a UserError where there are too many of them."""

    def __init__(self, stream: Any, path: Path) -> None:
        self._stream, self._path = stream, path
        self._count, self._size = 0, path.stat().st_size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            raw = self._stream.read(len(buffer))
        except lzma.LZMAError as err:
            raise OSError(str(err)) from None
        buffer[: len(raw)] = raw
        self._count += len(raw)
        refuse_bomb(self._path, self._count, self._size)
        return len(raw)

    def close(self) -> None:
        self._stream.close()
        super().close()


def refuse_bomb(path: Path, unpacked: float, size: int) -> None:
    """UserError where a file of ``size`` bytes unpacks to more than memory can hold."""
    if unpacked > MAX_UNPACKED and unpacked > MAX_RATIO * size:
        raise UserError(
            f"{path}: its {size} bytes unpack to more than {unpacked / 2**30:.1f} GiB, which is"
            " not read; save the rows and columns that are needed"
        )


def require_small(path: Path) -> tuple[float, set[str]]:
    """Bytes that a parquet file needs in memory by its footer, and columns stored as differences.

    UserError where they are more than memory can hold, ValueError where the footer is damaged.
    """
    found = chunks(path)
    needed = sum(chunk.needed for chunk in found)
    refuse_bomb(path, needed, path.stat().st_size)
    return needed, {chunk.path for chunk in found if chunk.differences}


def open_parquet(path: Path, **options: Any) -> Any:
    """A `pyarrow.parquet.ParquetFile`.

    With ``read_dictionary=True`` texts become dictionaries, where they are stored so that they can.
    UserError where it is no such file, or unpacks to more than memory can hold.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        needed, differences = require_small(path)
        file = pq.ParquetFile(arrow_source(path))
        if differences:  # a pass over the file says how long their texts are
            for batch in file.iter_batches(batch_size=1024, columns=sorted(differences)):
                refuse_bomb(path, needed := needed + batch.nbytes, path.stat().st_size)
        if options.pop("read_dictionary", False):
            options["read_dictionary"] = [
                field.name
                for field in file.schema_arrow
                if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
                if field.name not in differences
            ]
        return pq.ParquetFile(arrow_source(path), **options)
    except (OSError, ValueError, pa.ArrowException) as err:
        raise UserError(f"{path}: not a parquet file ({first_line(err)})") from None


def parquet_batches(path: Path) -> Iterator[Any]:
    """The record batches of a parquet file, as long as all of them together fit in memory."""
    total, size = 0, path.stat().st_size if path.is_file() else 0
    for batch in open_parquet(path).iter_batches(batch_size=4096):
        total += batch.nbytes
        refuse_bomb(path, total, size)
        yield batch


def arrow_source(path: Path) -> str | IO[bytes]:
    """What pyarrow opens: the name, or a file of Python's where the name is not UTF-8."""
    name = os.fspath(path)
    try:
        name.encode()
    except UnicodeEncodeError:
        return path.open("rb")
    return name


def _packing(path: Path) -> str | None:
    with path.open("rb") as handle:
        head = handle.read(4)
    return next((name for magic, name in _MAGIC if head.startswith(magic)), None)

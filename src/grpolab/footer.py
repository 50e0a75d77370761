"""What the footer of a parquet file says of its columns, read before Arrow reads anything.

Arrow's own reader of footers ends the process where some damaged ones do not fit together. The
footer is one value in Thrift's compact protocol
(https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md); its fields are
those of `FileMetaData` (https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

_MAGIC = b"PAR1"
_DEPTH = 16
"""How deep the structures of a footer may be nested; real ones are six deep."""
_DELTA_BYTE_ARRAY = 7
_WIDTHS = (0.125, 4.0, 8.0, 8.0, 4.0, 8.0, 4.0, 16.0)
"""Bytes that Arrow needs per value of each physical type: of a text, its place in a dictionary."""


class Chunk(NamedTuple):
    """One column in one row group.

    ``differences``: texts say how they differ from the one before. ``needed`` are bytes in memory,
    of equal texts those of one.
    """

    path: str
    differences: bool
    needed: float


def chunks(path: Path) -> list[Chunk]:
    """All column chunks of a parquet file.

    ValueError where the footer is damaged; none where the file has no footer that can be read, as
    an encrypted one.
    """
    with path.open("rb") as file:
        end = file.seek(0, 2)
        file.seek(max(0, end - 8))
        tail = file.read(8)
        size = int.from_bytes(tail[:4], "little")
        if tail[4:] != _MAGIC or size > end - 8:
            return []
        file.seek(end - 8 - size)
        raw = file.read(size)
    try:
        meta = _Reader(raw).struct(0)
        leaves = sum(not element.get(5) for element in meta[2])
        return [chunk for group in meta.get(4, ()) for chunk in _columns(group, leaves)]
    except (LookupError, TypeError, AttributeError) as err:
        raise ValueError(f"its footer is damaged: {err}") from None


def _columns(group: Any, leaves: int) -> Iterator[Chunk]:
    if len(group[1]) != leaves:
        raise ValueError("its footer is damaged: a row group with other columns than the schema")
    for column in group[1]:
        if 3 not in column:  # encrypted
            continue
        told = column[3]
        needed = max(told[6], told[5] * _WIDTHS[told[1]])
        name = b".".join(told[3]).decode("utf-8", "replace")
        yield Chunk(name, _DELTA_BYTE_ARRAY in told[2], needed)


class _Reader:
    """Values of the compact protocol, one after another."""

    def __init__(self, raw: bytes) -> None:
        self._raw, self._at = raw, 0

    def _byte(self) -> int:
        self._at += 1
        return self._raw[self._at - 1]

    def _number(self) -> int:
        value = shift = 0
        while shift < 70:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
        raise LookupError("a number of more than ten bytes")

    def _signed(self) -> int:
        value = self._number()
        return (value >> 1) ^ -(value & 1)

    def _bytes(self, size: int) -> bytes:
        if size > len(self._raw) - self._at:
            raise LookupError("a text beyond its end")
        self._at += size
        return self._raw[self._at - size : self._at]

    def struct(self, depth: int) -> dict[int, Any]:
        """The fields of a structure by their numbers."""
        if depth > _DEPTH:
            raise LookupError("nested too deep")
        found: dict[int, Any] = {}
        field = 0
        while (head := self._byte()) & 15:
            field = field + (head >> 4) if head >> 4 else self._signed()
            kind = head & 15
            found[field] = kind == 1 if kind in (1, 2) else self._value(kind, depth)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (1, 2, 3):
            return self._byte()
        if kind in (4, 5, 6):
            return self._signed()
        if kind == 7:
            return self._bytes(8)
        if kind == 8:
            return self._bytes(self._number())
        if kind in (9, 10):
            head = self._byte()
            size = head >> 4 if head >> 4 < 15 else self._number()
            if size > len(self._raw) - self._at:
                raise LookupError("a list beyond its end")
            return [self._value(head & 15, depth + 1) for _ in range(size)]
        if kind == 12:
            return self.struct(depth + 1)
        raise LookupError(f"a value of kind {kind}")

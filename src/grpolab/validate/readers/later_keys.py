"""Keys of JSON lines that only some rows have and that change what a row means.

The columns of JSON lines are those of the first rows. An error is often written for failed rows
alone, and a second model may begin anywhere, so the bytes of the file are searched for such keys.
"""

from __future__ import annotations

import re
from pathlib import Path

from grpolab.errors import UserError, first_line
from grpolab.packed import open_bytes
from grpolab.validate.readers.words import POLICY, is_error, squeezed

_PARTS = (b"rror", b"xception", b"raceback", b"timed_out", b"timeout", b"rashed", b"borted",
          b"skipped", b"model", b"checkpoint", b"temperature")  # fmt: skip
"""What is searched for: a part of each of the keys."""
_POLICY = frozenset(squeezed(name) for name in POLICY)
_KEY = re.compile(rb'"(\w+)"\s*:')
_CHUNK = 2**22
_AROUND = 64  # bytes before and after a part in which its key stands
_HITS = 200  # places per chunk that are looked at: texts may be full of errors


def later_keys(path: Path) -> list[str]:
    """Known keys of errors and policies anywhere in a file, at any depth."""
    found: dict[str, None] = {}
    open_parts = set(_PARTS)
    tail = b""
    try:
        with open_bytes(path) as stream:
            while open_parts and (chunk := stream.read(_CHUNK)):
                text = tail + chunk
                for part in sorted(open_parts):
                    keys = _keys(part, text)
                    found.update(dict.fromkeys(keys))
                    open_parts -= {part} if keys else set()
                tail = text[-_AROUND:]
    except (OSError, EOFError) as err:
        raise UserError(f"{path}: cannot be read to its end ({first_line(err)})") from None
    return list(found)


def _keys(part: bytes, text: bytes) -> list[str]:
    """Keys that hold a part, at the first places where one is known."""
    place = text.find(part)
    for _ in range(_HITS):
        if place < 0:
            break
        around = text[max(place - _AROUND, 0) : place + _AROUND]
        keys = [key.decode() for key in _KEY.findall(around) if part in key]
        known = [key for key in keys if squeezed(key) in _POLICY or is_error(key)]
        if known:
            return known
        place = text.find(part, place + len(part))
    return []

"""Compare what a program printed with what it should print."""

from __future__ import annotations

import math
import re

from grpolab import terminal

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def same_text(got: str, expected: str, *, tolerance: float | None = None) -> bool:
    r"""Whether two outputs are equal but for trailing blanks and, if asked, small differences.

    Numbers are what ASCII digits spell: no digits of other scripts, no underscores, no "nan".

    >>> same_text("1 2 \n\n", "1 2"), same_text("0.30001", "0.3", tolerance=1e-3)
    (True, True)
    >>> same_text("１", "1", tolerance=1e-3)
    False
    """
    left, right = _lines(got), _lines(expected)
    if left == right:
        return True
    if tolerance is None or len(left) != len(right):
        return False
    return all(_same_line(a, b, tolerance) for a, b in zip(left, right, strict=True))


def _lines(text: str) -> list[str]:
    lines = [line.rstrip(" \t\r") for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _same_line(got: str, expected: str, tolerance: float) -> bool:
    left, right = got.split(), expected.split()
    return len(left) == len(right) and all(
        a == b or _near(a, b, tolerance) for a, b in zip(left, right, strict=True)
    )


def _near(a: str, b: str, tolerance: float) -> bool:
    if len(a) > 400 or not _NUMBER.fullmatch(a) or not _NUMBER.fullmatch(b):
        return False
    got, expected = float(a), float(b)
    return math.isfinite(got) and math.isclose(got, expected, rel_tol=tolerance, abs_tol=tolerance)


def printable(text: str, limit: int = 500) -> str:
    r"""A text of others for one line of ours: as `terminal.printable` shows it, and cut.

    >>> printable("a\x1b[2Jb\nc"), printable("abcdef", 4)
    ('a\\x1b[2Jb\\nc', 'abc…')
    """
    escaped = terminal.printable(text[:limit])
    return escaped if len(text) <= limit and len(escaped) <= limit else f"{escaped[: limit - 1]}…"

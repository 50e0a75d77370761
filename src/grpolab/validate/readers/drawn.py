"""Tables that text draws: with bars as Markdown and databases do, or verdicts without any name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from grpolab.errors import UserError
from grpolab.packed import decoded, not_utf8, raw_lines
from grpolab.validate.readers.verdict_words import number_of

_RULE, _OF_RULE = re.compile(r"--|==|:-|-:|\|\s*-\s*\|"), frozenset(" \t|+:=-")
"""What the line below the names, or between rows, of a drawn table has, and all its characters."""
_BOX = re.compile(r"[\u2500-\u257f]")
_PIPE = re.compile(r"(?<!\\)\|")
_DELIMITERS = re.compile(r"[,;\t|]|\s+")
_FIRST_LOOK = 200  # lines above a table that are texts
_DIGITS = re.compile(r"[01]{2,}")
AS_PRINTED = "a table as it is printed, which may be cut: save it as csv or parquet"
_CUT = re.compile(r"\s*(only showing top \d+ rows?|\.\.\. and \d+ more)", re.IGNORECASE)
Line = tuple[int, str]
Drawn = tuple[int, list[str], list[Line]]
"""The line of the column names, the names, and the lines of the rows."""


def is_drawn(path: Path, *, text_above: bool) -> bool:
    """Whether a file has a table that is drawn; below a text only where one is looked for."""
    lines = _lines(path, _FIRST_LOOK if text_above else 4)
    return any(_is_below(rule, line) for (_, line), (_, rule) in pairwise(lines))


def is_boxed(line: str) -> bool:
    """Whether a line begins a table in a box, as libraries print it: often cut.

    >>> is_boxed("┌────┬───┐"), is_boxed("a,b")
    (True, False)
    """
    return bool(_BOX.match(line.strip()))


def drawn_tables(path: Path) -> list[tuple[int, list[dict[str, str]], list[int]]]:
    """The line of the names, the rows and their lines of every drawn table of a file."""
    found, text = [], _lines(path, None)
    cut = next((number for number, line in text if _CUT.match(line)), None)
    if cut is not None:
        raise UserError(f"{path}:{cut}: {AS_PRINTED}")
    for place, names, lines in _tables(text):
        if len(set(names)) < len(names):
            raise UserError(f"{path}:{place}: column names are not unique")
        rows = []
        for number, line in lines:
            cells = _cells(line)
            if len(cells) != len(names):
                raise UserError(f"{path}:{number}: {len(cells)} cells, but {len(names)} columns")
            rows.append(dict(zip(names, cells, strict=True)))
        found.append((place, rows, [number for number, _ in lines]))
    return found


def _tables(lines: Sequence[Line]) -> Iterator[Drawn]:
    at = 0
    while at + 1 < len(lines):
        place, header = lines[at]
        if not _is_below(lines[at + 1][1], header):
            at += 1
            continue
        at += 2
        rows = []
        while at < len(lines) and (_PIPE.search(lines[at][1]) or _is_rule(lines[at][1])):
            if not _is_rule(lines[at][1]):
                rows.append(lines[at])
            at += 1
        yield place, _cells(header), rows


def _is_below(rule: str, header: str) -> bool:
    return (
        _is_rule(rule)
        and not _is_rule(header)
        and len(_PIPE.findall(header)) > 0
        and ("|" in rule or "+" in rule)
        and len(_cells(header)) == len(_cells(rule.replace("+", "|")))
    )


def _is_rule(line: str) -> bool:
    text = line.strip()
    return _OF_RULE.issuperset(text) and _RULE.search(text) is not None


def _cells(line: str) -> list[str]:
    r"""What stands between the bars, without the marks of Markdown around it.

    >>> _cells(r"| **a** | `1 \| 2` |"), _cells(" a | t")
    (['a', '1 | 2'], ['a', 't'])
    """
    inner = line.strip()
    if inner.startswith("|"):
        inner = inner[1:]
    if inner.endswith("|") and not inner.endswith(r"\|"):
        inner = inner[:-1]
    cells = (part.replace(r"\|", "|").strip() for part in _PIPE.split(inner))
    return [c.strip("`") if c.strip("*`_") == c.strip("`") else c.strip("*`_") for c in cells]


def _lines(path: Path, most: int | None) -> list[Line]:
    """Lines with their numbers, the first ``most`` that are not blank."""
    found: list[Line] = []
    filled = 0
    for number, raw in raw_lines(path):
        try:
            text = decoded(raw, first=number == 1)
        except UnicodeDecodeError as err:
            if most is not None:
                break
            raise UserError(f"{path}:{number}: {not_utf8(raw, err.reason)}") from None
        found.append((number, text))
        filled += bool(text.strip())
        if filled == most:
            break
    return found


def verdict_line(line: str) -> list[Any] | None:
    """The verdicts of a line that holds nothing else, and no column name.

    >>> verdict_line("0 1 1 0"), verdict_line("0110"), verdict_line("0,1,2"), verdict_line("a,1")
    (['0', '1', '1', '0'], ['0', '1', '1', '0'], None, None)
    """
    text = line.strip()
    if _DIGITS.fullmatch(text):
        return list(text)
    cells = _DELIMITERS.split(text)
    right = {number_of(c) for c in cells}
    known = {v for v in right if v is None or v == v}
    is_named = len(set(cells)) == len(cells)
    return cells if known and known <= {0.0, 1.0} and not is_named else None


def verdict_matrix(path: Path) -> list[list[Any]]:
    """The verdicts of a file without column names, one list per line."""
    rows = []
    for number, line in _lines(path, None):
        text = line.strip()
        if not text:
            continue
        cells = list(text) if _DIGITS.fullmatch(text) else _DELIMITERS.split(text)
        for cell in cells:
            value = number_of(cell)
            if value is None or (value not in (0.0, 1.0) and value == value):
                raise UserError(
                    f"{path}:{number}: {cell!r:.40} is no verdict, and no line above holds column"
                    " names; add a line such as problem_id,correct"
                )
        rows.append(list(cells))
    return rows

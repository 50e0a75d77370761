"""Plain data as JSON: what crosses the wall between a program and its tests.

None, bool, int, float, str and list are JSON's own; every other type is an object with one key,
its tag. Reading builds exact built-in types only, so that no method of a program's object can run
where values are compared.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

_BIG = 1 << 63
_STDLIB: tuple[tuple[str, type, Callable[[Any], Any], Callable[[Any], Any]], ...] = (
    ("complex", complex, lambda z: [z.real, z.imag], lambda v: complex(*v)),
    ("bytes", bytes, lambda b: b.hex(), bytes.fromhex),
    ("decimal", Decimal, str, Decimal),
    ("fraction", Fraction, lambda f: [hex(f.numerator), hex(f.denominator)],
     lambda v: Fraction(int(v[0], 16), int(v[1], 16))),
    ("range", range, lambda r: [r.start, r.stop, r.step], lambda v: range(*v)),
    ("datetime", datetime, datetime.isoformat, datetime.fromisoformat),
    ("date", date, date.isoformat, date.fromisoformat),
    ("time", time, time.isoformat, time.fromisoformat),
    ("timedelta", timedelta, lambda d: [d.days, d.seconds, d.microseconds],
     lambda v: timedelta(*v)),
)  # fmt: skip
_WRITE = {kind: (tag, write) for tag, kind, write, _ in _STDLIB}
_READ = {tag: read for tag, _, _, read in _STDLIB}
_BASES: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (list, lambda v: list(list.__iter__(v))),
    (tuple, lambda v: tuple(tuple.__iter__(v))),
    (set, lambda v: set(set.__iter__(v))),
    (frozenset, lambda v: frozenset(frozenset.__iter__(v))),
)
_SEQUENCES: Mapping[str, Callable[[list[Any]], Any]] = {
    "tuple": tuple, "set": set, "frozenset": frozenset, "deque": deque,
}  # fmt: skip


def _refuse(value: object) -> Any:
    raise TypeError(f"a value of type {type(value).__name__} is not plain data")


def encode(value: object, other: Callable[[object], Any] = _refuse) -> Any:
    """JSON-ready form; ``other`` encodes whatever is not plain.

    >>> encode({"a": (1, 2.5, True)})
    {'dict': [['a', {'tuple': [1, 2.5, True]}]]}

    An instance of a subclass is sent as the plain value that it holds. RecursionError where the
    nesting is too deep or a container holds itself.
    """
    kind = type(value)
    if value is None or kind is bool or kind is str or kind is float:
        return value
    if kind is int:
        return value if -_BIG < value < _BIG else {"int": hex(value)}  # type: ignore[operator,arg-type]
    if kind is list:
        return [encode(item, other) for item in value]  # type: ignore[attr-defined]
    if kind is dict:
        pairs = value.items()  # type: ignore[attr-defined]
        return {"dict": [[encode(k, other), encode(v, other)] for k, v in pairs]}
    if kind in (tuple, set, frozenset, deque):
        return {kind.__name__: [encode(item, other) for item in value]}  # type: ignore[attr-defined]
    if kind in _WRITE:
        tag, write = _WRITE[kind]
        return {tag: write(value)}
    return _encode_subclass(value, other)


def _encode_subclass(value: object, other: Callable[[object], Any]) -> Any:
    if isinstance(value, dict):
        return encode(dict(dict.items(value)), other)
    for base, plain in _BASES:
        if isinstance(value, base):
            return encode(plain(value), other)
    return other(value)


def decode(data: Any, other: Callable[[Any], Any] | None = None) -> Any:
    """The value that `encode` sent; ``other`` reads {tag: ...} that is not known here.

    >>> decode({'dict': [['a', {'tuple': [1, 2.5, True]}]]})
    {'a': (1, 2.5, True)}

    ValueError, TypeError or RecursionError for anything that `encode` does not write.
    """
    if type(data) is list:
        return [decode(item, other) for item in data]
    if type(data) is not dict:
        return data
    if len(data) != 1:
        raise ValueError("an object of plain data has one tag")
    ((tag, body),) = data.items()
    if tag == "int":
        return int(body, 16)
    if tag == "dict":
        return {decode(k, other): decode(v, other) for k, v in body}
    if tag in _SEQUENCES:
        return _SEQUENCES[tag]([decode(item, other) for item in body])
    if tag in _READ:
        return _READ[tag](body)
    if other is None:
        raise ValueError(f"unknown tag {tag!r} in plain data")
    return other(data)


def dumps(message: Any) -> bytes:
    """JSON bytes, ASCII, so that lone surrogates survive."""
    return json.dumps(message, separators=(",", ":")).encode("ascii")


def loads(data: bytes) -> Any:
    """What `dumps` wrote."""
    return json.loads(data)

"""Plain data as JSON: what crosses the wall between a program and its tests.

None, bool, int, float, str and list are JSON's own; every other type is an object with one key,
its tag. Reading builds exact types of Python and its library only, so that no method of a
program's object can run where values are compared.
"""

from __future__ import annotations

import builtins
import io
import json
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

_BIG = 1 << 63
_STDLIB: tuple[tuple[str, type, Callable[[Any], Any], Callable[[Any], Any]], ...] = (
    ("complex", complex, lambda z: [z.real, z.imag], lambda v: complex(*v)),
    ("bytes", bytes, lambda b: b.hex(), bytes.fromhex),
    ("bytearray", bytearray, lambda b: b.hex(), bytearray.fromhex),
    ("decimal", Decimal, str, Decimal),
    ("fraction", Fraction, lambda f: [hex(f.numerator), hex(f.denominator)],
     lambda v: Fraction(int(v[0], 16), int(v[1], 16))),
    ("range", range, lambda r: [r.start, r.stop, r.step], lambda v: range(*v)),
    ("datetime", datetime, datetime.isoformat, datetime.fromisoformat),
    ("date", date, date.isoformat, date.fromisoformat),
    ("time", time, time.isoformat, time.fromisoformat),
    ("timedelta", timedelta, lambda d: [d.days, d.seconds, d.microseconds],
     lambda v: timedelta(*v)),
    ("ellipsis", type(...), lambda _: 0, lambda _: ...),
    ("text file", io.StringIO, lambda f: [f.getvalue(), f.tell()],
     lambda v: _at(io.StringIO(v[0], newline=""), v[1])),
    ("byte file", io.BytesIO, lambda f: [f.getvalue().hex(), f.tell()],
     lambda v: _at(io.BytesIO(bytes.fromhex(v[0])), v[1])),
)  # fmt: skip
_WRITE = {kind: (tag, write) for tag, kind, write, _ in _STDLIB}
_READ = {tag: read for tag, _, _, read in _STDLIB}
_BASES: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (bytes, lambda v: bytes(bytes.__iter__(v))),
    (list, lambda v: list(list.__iter__(v))),
    (tuple, lambda v: tuple(tuple.__iter__(v))),
    (set, lambda v: set(set.__iter__(v))),
    (frozenset, lambda v: frozenset(frozenset.__iter__(v))),
)
_SEQUENCES: Mapping[str, Callable[[list[Any]], Any]] = {
    "tuple": tuple, "set": set, "frozenset": frozenset,
}  # fmt: skip
_DICTS: Mapping[str, Callable[[dict[Any, Any]], Any]] = {
    "dict": dict, "Counter": Counter, "OrderedDict": OrderedDict,
}  # fmt: skip
_SHARED: tuple[Any, ...] = (
    bool, int, float, complex, str, bytes, bytearray, list, tuple, set, frozenset, dict, range,
    object, type, type(None), slice, Decimal, Fraction, datetime, date, time, timedelta, Counter,
    OrderedDict, defaultdict, deque,
)  # fmt: skip
TYPES: Mapping[str, Any] = {
    **{kind.__name__: kind for kind in _SHARED},
    **{n: e for n, e in vars(builtins).items() if isinstance(e, type) and issubclass(e, Exception)},
}
"""Classes that mean the same on both sides, and go by their names."""


def _at(file: Any, place: int) -> Any:
    file.seek(place)
    return file


def _refuse(value: object) -> Any:
    raise TypeError(f"a value of type {type(value).__name__} is not plain data")


def encode(
    value: object,
    other: Callable[[object], Any] = _refuse,
    special: Callable[[object, Any], Any] | None = None,
) -> Any:
    """JSON-ready form; ``other`` encodes whatever is not plain.

    >>> encode({"a": (1, 2.5, True)})
    {'dict': [['a', {'tuple': [1, 2.5, True]}]]}

    An instance of a subclass is sent as the plain value that it holds, or as what ``special``
    makes of the instance and that value. RecursionError where the nesting is too deep or a
    container holds itself.
    """
    kind: Any = type(value)
    held: Any = value
    if value is None or kind is bool or kind is str or kind is float:
        return value
    if kind is int:
        return value if -_BIG < held < _BIG else {"int": hex(held)}
    if kind is list:
        return [encode(item, other, special) for item in held]
    if kind is dict or kind is Counter or kind is OrderedDict:
        pairs = [[encode(k, other, special), encode(v, other, special)] for k, v in held.items()]
        return {kind.__name__: pairs}
    if kind in (tuple, set, frozenset):
        return {kind.__name__: [encode(item, other, special) for item in held]}
    if kind is deque:
        return {"deque": [[encode(item, other, special) for item in held], held.maxlen]}
    if kind is defaultdict:
        factory = encode(held.default_factory, other, special)
        return {"defaultdict": [factory, encode(dict(held), other, special)]}
    if kind in _WRITE:
        tag, write = _WRITE[kind]
        return {tag: write(value)}
    name = getattr(value, "__name__", "") if kind is type else ""
    if name and TYPES.get(name) is value:
        return {"type": name}
    return _encode_subclass(value, other, special)


def _encode_subclass(
    value: object,
    other: Callable[[object], Any],
    special: Callable[[object, Any], Any] | None,
) -> Any:
    plain: Any = None
    if isinstance(value, dict):
        plain = dict(dict.items(value))
    else:
        made = next((read for base, read in _BASES if isinstance(value, base)), None)
        if made is None:
            return other(value)
        plain = made(value)
    if special is not None:
        return special(value, plain)
    return encode(plain, other)


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
    if tag in _DICTS:
        return _DICTS[tag]({decode(k, other): decode(v, other) for k, v in body})
    if tag in _SEQUENCES:
        return _SEQUENCES[tag]([decode(item, other) for item in body])
    if tag == "deque":
        return deque([decode(item, other) for item in body[0]], body[1])
    if tag == "defaultdict":
        return defaultdict(decode(body[0], other), decode(body[1], other))
    if tag in _READ:
        return _READ[tag](body)
    if tag == "type" and body in TYPES:
        return TYPES[body]
    if other is None:
        raise ValueError(f"unknown tag {tag!r} in plain data")
    return other(data)


def dumps(message: Any) -> bytes:
    """JSON bytes, ASCII, so that lone surrogates survive."""
    return json.dumps(message, separators=(",", ":")).encode("ascii")


def loads(data: bytes) -> Any:
    """What `dumps` wrote."""
    return json.loads(data)

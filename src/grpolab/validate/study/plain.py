"""Typed records to plain JSON types and back: what is written can be read without string keys."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from grpolab.errors import UserError
from grpolab.store import jsonable

T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """Dataclasses and named tuples as objects, everything else as `store.jsonable` writes it.

    A field that holds None is left out: absent and None mean the same.

    >>> @dataclasses.dataclass
    ... class Point:
    ...     x: float
    ...     name: str | None = None
    >>> to_plain([Point(1.0), Point(float("nan"), "a")])
    [{'x': 1.0}, {'x': None, 'name': 'a'}]
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = [(f.name, getattr(value, f.name)) for f in dataclasses.fields(value)]
        return {name: to_plain(v) for name, v in pairs if v is not None}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: to_plain(v) for name, v in value._asdict().items() if v is not None}
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(v) for v in value]
    return jsonable(value)


def from_plain(kind: type[T], value: Any) -> T:
    """The record of a type that `to_plain` described; UserError names what does not fit.

    null is NaN where a number is wanted, which is how JSON has it. Names that the type does not
    have are ignored: a record of an earlier version may hold settings that no longer exist.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Point:
    ...     x: float
    ...     at: tuple[int, ...] = ()
    >>> from_plain(Point, {"x": 1, "at": [2, 3], "colour": "red"})
    Point(x=1.0, at=(2, 3))
    """
    return cast(T, _build(kind, value, kind.__name__))


def _build(kind: Any, value: Any, place: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any or origin is typing.Literal:
        return value
    if origin is typing.Union or origin is types.UnionType:
        if value is None:
            return None
        kinds = [a for a in arguments if a is not type(None)]
        return _build(kinds[0], value, place) if len(kinds) == 1 else value
    if dataclasses.is_dataclass(kind) or hasattr(kind, "_fields"):
        return _record(kind, value, place)
    if origin is tuple:
        items = _checked(list, value, place)
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_build(arguments[0], v, place) for v in items)
        return tuple(_build(a, v, place) for a, v in zip(arguments, items, strict=True))
    if origin is Mapping:
        pairs = _checked(dict, value, place).items()
        key = int if arguments[0] is int else str
        return {key(k): _build(arguments[1], v, f"{place}.{k}") for k, v in pairs}
    if kind is float:
        return math.nan if value is None else float(_checked((int, float), value, place))
    return _checked(kind, value, place)


def _record(kind: Any, value: Any, place: str) -> Any:
    found = _checked(dict, value, place)
    hints = typing.get_type_hints(kind)
    known = {n: _build(h, found[n], f"{place}.{n}") for n, h in hints.items() if n in found}
    try:
        return kind(**known)
    except (TypeError, ValueError) as err:
        raise UserError(f"{place}: {err}") from None


def _checked(kind: Any, value: Any, place: str) -> Any:
    if not isinstance(value, kind):
        raise UserError(f"{place}: expected {kind}, got {value!r}")
    return value

"""Objects of the tests' own classes as data: they cross as a table of numbers and attributes.

The program works on shadows, which have the attributes, and call the methods where the tests
live. The table is flat, so that a list of a thousand nodes nests no deeper than one.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import Any

_OPERATORS = """
call len iter next getitem setitem delitem contains eq ne lt le gt ge hash bool str repr add sub mul
truediv floordiv mod pow neg abs radd rsub rmul and or xor enter exit int float index
"""
_DUNDERS = frozenset(f"__{name}__" for name in _OPERATORS.split())


def _methods(kind: type) -> list[str]:
    """Methods that the tests wrote for a class of theirs."""
    names = {
        name
        for cls in kind.__mro__
        if cls.__module__ == "tests"
        for name, thing in vars(cls).items()
        if callable(thing) or isinstance(thing, staticmethod | classmethod)
    }
    return sorted(n for n in names if n in _DUNDERS or not n.startswith("__"))


def _attributes(value: object) -> dict[str, Any]:
    """What an object holds, and what its properties say; names with two underscores excepted."""
    held: dict[str, Any] = dict(getattr(value, "__dict__", {}))
    for cls in type(value).__mro__[:-1]:
        for name, thing in vars(cls).items():
            if name not in held and hasattr(type(thing), "__get__") and not callable(thing):
                try:
                    held[name] = getattr(value, name)
                except Exception:
                    continue
            elif name not in held and cls.__module__ == "tests" and not callable(thing):
                held[name] = thing
    return {k: v for k, v in held.items() if not k.startswith("__")}


def _is_settable(kind: type, name: str) -> bool:
    """Whether an instance may hold the attribute: a slot or no descriptor at all."""
    thing = next((vars(cls)[name] for cls in kind.__mro__ if name in vars(cls)), None)
    return type(thing) is types.MemberDescriptorType or not hasattr(type(thing), "__get__")


class Owned:
    """The tests' side: objects that the program may know, by number."""

    def __init__(self) -> None:
        self.objects: list[object] = []
        self._numbers: dict[int, int] = {}
        self._new: list[int] = []

    @staticmethod
    def is_own(value: object) -> bool:
        """Whether a class of the tests made it."""
        return type(value).__module__ == "tests" and not isinstance(value, type)

    def refer(self, value: object) -> dict[str, Any]:
        """Its number, which enters the table of the next message."""
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self.objects)
            self.objects.append(value)
        if number not in self._new:
            self._new.append(number)
        return {"own": number}

    def has_new(self) -> bool:
        """Whether objects were referred to since the last message."""
        return bool(self._new)

    def table(self, encode: Callable[[object], Any]) -> dict[str, Any]:
        """All objects referred to since the last message, and what they lead to."""
        table: dict[str, Any] = {}
        for number in self._new:  # grows meanwhile
            value = self.objects[number]
            attributes = {k: encode(v) for k, v in _attributes(value).items()}
            table[str(number)] = [type(value).__name__, _methods(type(value)), attributes]
        self._new = []
        return table

    def method(self, number: int, name: str) -> Callable[..., Any]:
        """A method that the tests wrote; LookupError or TypeError for anything else."""
        value = self.get(number)
        if name not in _methods(type(value)):
            raise LookupError(name)
        return getattr(value, name)  # type: ignore[no-any-return]

    def get(self, number: object) -> object:
        """The object of that number."""
        if type(number) is not int or number < 0:
            raise LookupError(number)
        return self.objects[number]

    def targets(self, changed: Mapping[str, Any], *, in_place: bool) -> dict[int, object]:
        """Where changes go: to the objects themselves ``in_place``, else to copies."""
        originals = {int(number): self.get(int(number)) for number in changed}
        if in_place:
            return originals
        return {n: object.__new__(type(old)) for n, old in originals.items()}

    def fill(
        self,
        changed: Mapping[str, Any],
        targets: Mapping[int, object],
        decode: Callable[[Any], Any],
    ) -> None:
        """Give objects the attributes that the program left: no method is ever replaced."""
        for text, attributes in changed.items():
            original = self.get(int(text))
            held = _attributes(original)
            for name, data in attributes.items():
                known = name in held or not hasattr(type(original), name)
                if known and name.isidentifier() and not name.startswith(("__", "_grpolab")):
                    held[name] = decode(data)
            for name, value in held.items():
                if _is_settable(type(original), name):
                    object.__setattr__(targets[int(text)], name, value)


class Shadow:
    """The program's view of an object of the tests."""


class Shadows:
    """The program's side: shadows by number, and what was last known of them."""

    def __init__(self, call: Callable[[Any, Any, Any], Any]) -> None:
        self._call = call
        self._shadows: dict[int, Any] = {}
        self._numbers: dict[int, int] = {}
        self._kinds: dict[tuple[str, ...], type] = {}
        self._known: dict[int, Any] = {}

    def get(self, number: int) -> object:
        """The shadow of that number."""
        return self._shadows[number]

    def refer(self, value: Shadow) -> dict[str, Any]:
        """Its number."""
        return {"own": self._numbers[id(value)]}

    def learn(self, table: Mapping[str, Any], decode: Callable[[Any], Any]) -> None:
        """Make or refresh the shadows of a message."""
        for text, (name, methods, _) in table.items():
            number = int(text)
            if number not in self._shadows:
                self._shadows[number] = object.__new__(self._kind(name, methods))
                self._numbers[id(self._shadows[number])] = number
        for text, (_, _, attributes) in table.items():
            shadow = self._shadows[int(text)]
            vars(shadow).clear()
            vars(shadow).update({k: decode(v) for k, v in attributes.items()})
            self._known[int(text)] = attributes

    def changed(self, encode: Callable[[object], Any]) -> dict[str, Any]:
        """Attributes of all shadows where the program changed any; else nothing."""
        now = {n: {k: encode(v) for k, v in vars(s).items()} for n, s in self._shadows.items()}
        return {} if now == self._known else {str(n): held for n, held in now.items()}

    def _kind(self, name: str, methods: list[str]) -> type:
        key = (name, *methods)
        if key not in self._kinds:
            body = {method: self._forward(method) for method in methods}
            if "__eq__" in body:
                body.setdefault("__hash__", lambda s: self._numbers[id(s)])
            self._kinds[key] = type(name, (Shadow,), body)
        return self._kinds[key]

    def _forward(self, method: str) -> Callable[..., Any]:
        def forward(shadow: Any, *args: Any, **kwargs: Any) -> Any:
            return self._call([self._numbers[id(shadow)], method], args, kwargs)

        return forward

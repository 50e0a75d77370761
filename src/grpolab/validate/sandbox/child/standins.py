"""Stand-ins: what the tests hold in place of objects of the program. No code of it is in them."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Asked(Protocol):
    """The channel, as stand-ins use it."""

    def ask(self, action: str, *args: object) -> Any:
        """One operation on the program's objects."""

    def exact(self, kind: type[T], action: str, *args: object) -> T:
        """One operation whose answer must be of exactly this type."""

    def call(self, function: Remote, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call a function of the program."""

    def may_hold_back(self, error: BaseException | None) -> bool:
        """Whether an exception is the program's to end."""


class Remote:
    """An object that lives in the program's process.

    Attributes, calls, items, length, iteration, text and truth are asked for over the channel and
    come back as plain data or as further stand-ins. What the program says of two objects of its
    own (whether they are equal, in order, what their sum is) is believed, since it made both; what
    it says of a value of the tests is not: such an object equals nothing and has no order. The
    exception is an object that the tests made themselves, by calling a class that they use as a
    class (``_owned``): its operators are what they test.
    """

    __slots__ = ("_kind", "_number", "_owned", "_program")
    _program: Asked
    _number: int
    _kind: str
    _owned: bool

    def __init__(self, program: Asked, number: int, kind: str = "object") -> None:
        for name, value in (
            ("_program", program), ("_number", number), ("_kind", kind), ("_owned", False),
        ):  # fmt: skip
            object.__setattr__(self, name, value)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """What `isinstance` looks at: never a class that the program names."""
        known = {"function": types.FunctionType, "generator": types.GeneratorType, "class": type}
        return known.get(self._kind) or _Kind(self)

    @property
    def __bases__(self) -> tuple[type, ...]:
        if self._kind != "class":
            raise AttributeError("__bases__")
        return (object,)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__") and name not in _READABLE:
            raise AttributeError(name)
        return self._program.ask("getattr", self, name)

    def __setattr__(self, name: str, value: object) -> None:
        self._program.ask("setattr", self, name, value)

    def __delattr__(self, name: str) -> None:
        self._program.ask("delattr", self, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the object where it lives."""
        return self._program.call(self, args, kwargs)

    def __getitem__(self, key: object) -> Any:
        return self._program.ask("getitem", self, key)

    def __setitem__(self, key: object, value: object) -> None:
        self._program.ask("setitem", self, key, value)

    def __delitem__(self, key: object) -> None:
        self._program.ask("delitem", self, key)

    def __len__(self) -> int:
        return self._program.exact(int, "len", self)

    def __bool__(self) -> bool:
        return self._program.exact(bool, "bool", self)

    def __str__(self) -> str:
        return self._program.exact(str, "str", self)

    def __repr__(self) -> str:
        return self._program.exact(str, "repr", self)

    def __format__(self, spec: str) -> str:
        return self._program.exact(str, "format", self, spec)

    def __int__(self) -> int:
        return self._program.exact(int, "int", self)

    def __float__(self) -> float:
        return self._program.exact(float, "float", self)

    def __round__(self, digits: int | None = None) -> Any:
        return self._program.ask("round", self, digits)

    def __hash__(self) -> int:
        return self._program.exact(int, "hash", self)

    def __iter__(self) -> Any:
        return iter(self._program.ask("iter", self))

    def __reversed__(self) -> Any:
        return iter(self._program.ask("reversed", self))

    def __next__(self) -> Any:
        return self._program.ask("next", self)

    def __copy__(self) -> Any:
        return self._program.ask("copy", self)

    def __deepcopy__(self, memo: object) -> Any:
        return self._program.ask("deepcopy", self)

    def __instancecheck__(self, instance: object) -> bool:
        if not _is_program(instance):
            return False
        return self._program.exact(bool, "isinstance", instance, self)

    def __subclasscheck__(self, kind: object) -> bool:
        return _is_program(kind) and self._program.exact(bool, "issubclass", kind, self)

    def __contains__(self, item: object) -> bool:
        if _believed(self, item):
            return self._program.exact(bool, "contains", self, item)
        return any(item is each or item == each for each in self)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return _believed(self, other) and self._program.exact(bool, "eq", self, other)

    def __ne__(self, other: object) -> bool:
        if self is other:
            return False
        return not _believed(self, other) or self._program.exact(bool, "ne", self, other)

    def __enter__(self) -> Any:
        return self._program.ask("enter", self)

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        """Tell the program; only what it raised itself may it hold back."""
        name = "" if error is None else type(error).__name__
        held = self._program.exact(bool, "exit", self, name, "" if error is None else str(error))
        return held and self._program.may_hold_back(error)

    async def __aenter__(self) -> Any:
        return self._program.ask("aenter", self)

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        name = "" if error is None else type(error).__name__
        held = self._program.exact(bool, "aexit", self, name, "" if error is None else str(error))
        return held and self._program.may_hold_back(error)

    def __aiter__(self) -> Any:
        return over(self)


_READABLE = frozenset({"__name__", "__qualname__", "__doc__", "__annotations__", "__members__"})


class _Kind:
    """The class of a stand-in, as far as tests look at it: its name."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def __getattr__(self, name: str) -> Any:
        if name in ("__name__", "__qualname__"):
            return self._remote._program.exact(str, "kind", self._remote)
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._remote, name)


def _is_program(value: object) -> bool:
    return issubclass(type(value), Remote) or "_grpolab_remote" in getattr(value, "__dict__", {})


def _believed(remote: Remote, other: object) -> bool:
    return remote._owned or _is_program(other)


def _operator(name: str) -> Callable[[Remote, object], Any]:
    def operate(remote: Remote, other: object) -> Any:
        return remote._program.ask(name, remote, other) if _believed(remote, other) else (
            NotImplemented
        )  # fmt: skip

    return operate


def _unary(name: str) -> Callable[[Remote], Any]:
    return lambda remote: remote._program.ask(name, remote)


BINARY = (
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor", "matmul",
    "lshift", "rshift",
)  # fmt: skip
ORDER = ("lt", "le", "gt", "ge")
UNARY = ("neg", "pos", "abs", "invert")
for _name in (*BINARY, *(f"r{name}" for name in BINARY), *ORDER):
    setattr(Remote, f"__{_name}__", _operator(_name))
for _name in UNARY:
    setattr(Remote, f"__{_name}__", _unary(_name))


class RemoteIterator(Remote):
    """An iterator of the program."""

    __slots__ = ()

    def __iter__(self) -> Any:
        return self


async def awaited(remote: Remote) -> Any:
    """A coroutine of the program, as one of the tests' own."""
    return remote._program.ask("await", remote)


async def over(remote: Remote) -> Any:
    """An asynchronous iterator of the program, as a generator of the tests' own."""
    steps: Any = remote
    if remote._kind != "asyncgen":
        steps = remote._program.ask("aiter", remote)
        if isinstance(steps, types.AsyncGeneratorType):  # one that this function made
            async for item in steps:
                yield item
            return
    while True:
        try:
            item = remote._program.ask("anext", steps)
        except StopAsyncIteration:
            return
        yield item

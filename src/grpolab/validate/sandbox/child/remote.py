"""The trusted side of a program in another sandbox: stand-ins that hold no code of it."""

from __future__ import annotations

import builtins
import contextlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from grpolab.validate.sandbox.child.frames import Broken, read_frame, write_frame
from grpolab.validate.sandbox.child.values import decode, dumps, encode, loads

T = TypeVar("T")

_ENDINGS = ("StopIteration", "StopAsyncIteration")


class ProgramGone(BaseException):
    """The program's process is gone or no longer speaks the protocol; no test may survive this."""


class ProgramError(Exception):
    """An exception of the program whose class is not one of Python's own."""


class Remote:
    """An object that lives in the program's process.

    Attributes, calls, items, length, iteration, text and truth are asked for over the channel and
    come back as plain data or as further stand-ins. Equality is identity and there is no order and
    no arithmetic: what a program's object claims about itself counts for nothing.
    """

    __slots__ = ("_number", "_program")
    _program: Program
    _number: int

    def __init__(self, program: Program, number: int) -> None:
        object.__setattr__(self, "_program", program)
        object.__setattr__(self, "_number", number)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__") and name not in ("__name__", "__doc__"):
            raise AttributeError(name)
        return self._program.ask("getattr", self, name)

    def __setattr__(self, name: str, value: object) -> None:
        self._program.ask("setattr", self, name, value)

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

    def __iter__(self) -> Any:
        return iter(self._program.ask("iter", self))

    def __next__(self) -> Any:
        return self._program.ask("next", self)

    def __instancecheck__(self, instance: object) -> bool:
        return self._program.exact(bool, "isinstance", instance, self)


class _Iterator(Remote):
    __slots__ = ()

    def __iter__(self) -> Any:
        return self


class Program:
    """The tests' end of the channel: counts calls, remembers what the program raised."""

    def __init__(self, channel: int, *, cap: int) -> None:
        self._channel = channel
        self._cap = cap
        self._callbacks: list[Callable[..., Any]] = []
        self._stand_ins: dict[int, Remote] = {}
        self.calls = 0
        self.gone = ""
        self.raised: list[BaseException] = []
        self.out_of_memory = False

    def names(self) -> list[str]:
        """Names that the program defines, among those asked for; raises what its loading raised."""
        names = self._reply()["value"]
        return [n for n in names if type(n) is str] if type(names) is list else self._lost("names")

    def name(self, name: str) -> Any:
        """A global of the program."""
        return self.ask("name", name)

    def missing(self, name: str) -> Exception:
        """What is raised where the program lacks a name that the tests need."""
        error = NameError(f"the program defines no {name}")
        self.raised.append(error)
        return error

    def ask(self, action: str, *args: object) -> Any:
        """One operation on the program's objects."""
        self.calls += 1
        self._send({"do": action, "args": [encode(a, self._encode_other) for a in args]})
        value = self._value(self._reply(ending=action == "next"))
        if action == "iter" and type(value) is Remote:
            return _Iterator(self, value._number)
        return value

    def exact(self, kind: type[T], action: str, *args: object) -> T:
        """One operation whose answer must be of exactly this type."""
        value = self.ask(action, *args)
        if type(value) is not kind:
            self._lost(f"{action} gave no {kind.__name__}")
        return value

    def call(self, function: Remote, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call; arguments that the program changed in place are changed here too."""
        self.calls += 1
        packed = [encode(a, self._encode_other) for a in (function, *args)]
        named = {key: encode(a, self._encode_other) for key, a in kwargs.items()}
        self._send({"do": "call", "args": packed, "kwargs": named})
        reply = self._reply()
        changed = reply.get("args")
        if type(changed) is list:
            for old, new in zip(args, changed, strict=False):
                _overwrite(old, self._value({"value": new}))
        return self._value(reply)

    def _encode_other(self, value: object) -> Any:
        if isinstance(value, Remote):
            return {"ref": value._number}
        if callable(value):
            self._callbacks.append(value)
            return {"callback": len(self._callbacks) - 1}
        raise TypeError(f"the tests pass a {type(value).__name__}, which is not plain data")

    def _send(self, message: Mapping[str, Any]) -> None:
        if self.gone:
            raise ProgramGone(self.gone)
        try:
            write_frame(self._channel, dumps(message))
        except Broken as err:
            self._lost(str(err))

    def _reply(self, *, ending: bool = False) -> dict[str, Any]:
        """The answer to the last request; callbacks are served meanwhile.

        StopIteration is passed on only where it is the answer (``ending``): elsewhere it would end
        a loop of the tests before they are through.
        """
        while True:
            try:
                message = loads(read_frame(self._channel, cap=self._cap))
                if type(message) is not dict:
                    raise ValueError("no object")
                if "raise" in message:
                    names, text = message["raise"]
                    error = self._error([str(name) for name in names], str(text), ending)
                elif "callback" in message:
                    self._serve_callback(message)
                    continue
                elif "value" in message:
                    return message
                else:
                    raise ValueError("no answer")
            except (Broken, ValueError, TypeError, KeyError, IndexError, RecursionError) as err:
                self._lost(f"{type(err).__name__}: {err}")
            raise error

    def _serve_callback(self, message: Mapping[str, Any]) -> None:
        args, kwargs = (decode(part, self._decode_other) for part in message["with"])
        try:
            value = self._callbacks[message["callback"]](*args, **kwargs)
            reply = {"value": encode(value, self._encode_other)}
        except Exception as err:
            reply = {"raise": f"{type(err).__name__}: {err}"}
        self._send(reply)

    def _value(self, message: Mapping[str, Any]) -> Any:
        try:
            return decode(message["value"], self._decode_other)
        except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as err:
            return self._lost(f"{type(err).__name__}: {err}")

    def _decode_other(self, data: Mapping[str, Any]) -> Remote:
        number, _ = data["ref"]
        if type(number) is not int:
            raise ValueError("a reference is a number")
        return self._stand_ins.setdefault(number, Remote(self, number))

    def _error(self, names: Sequence[str], text: str, ending: bool) -> BaseException:
        self.out_of_memory |= names[:1] == ["MemoryError"]
        kinds = (getattr(builtins, name, None) for name in names if ending or name not in _ENDINGS)
        kind = next((k for k in kinds if isinstance(k, type) and issubclass(k, Exception)), None)
        error: Exception = ProgramError(f"{names[0]}: {text}")
        if kind not in (None, Exception):
            with contextlib.suppress(TypeError):  # a class with more arguments than a message
                error = kind(text)
        self.raised.append(error)
        return error

    def _lost(self, why: str) -> NoReturn:
        self.gone = self.gone or why
        raise ProgramGone(why)


def _overwrite(old: Any, new: Any) -> None:
    """Give a mutable container the content of another of the same type."""
    if type(old) is not type(new):
        return
    if type(old) is list:
        old[:] = new
    elif type(old) in (dict, set, deque):
        old.clear()
        old.extend(new) if type(old) is deque else old.update(new)

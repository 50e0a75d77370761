"""The untrusted side: hold a program, call what the tests ask for, answer with plain data.

Everything here runs in the same interpreter as the program, which may replace any of it. That is
harmless: whatever it sends is read as data, and it has nothing to send but guesses.
"""

from __future__ import annotations

import builtins
import copy
import gc
import io
import operator
import os
import random
import sys
import types
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from grpolab.validate.sandbox.child.frames import Broken, read_frame, write_frame
from grpolab.validate.sandbox.child.own import Shadow, Shadows
from grpolab.validate.sandbox.child.script import print_error, run_source, start_afresh
from grpolab.validate.sandbox.child.values import decode, dumps, encode, loads

REQUEST_CAP = 1 << 28


def _until_done(coroutine: Any) -> Any:
    """Run a coroutine in the one event loop of this program."""
    import asyncio

    if not hasattr(_until_done, "loop"):
        _until_done.loop = asyncio.new_event_loop()  # type: ignore[attr-defined]
        asyncio.set_event_loop(_until_done.loop)  # type: ignore[attr-defined]

    async def wait() -> Any:
        return await coroutine

    return _until_done.loop.run_until_complete(wait())  # type: ignore[attr-defined]


def _leave(manager: Any, name: str, text: str) -> bool:
    if not name:
        return bool(manager.__exit__(None, None, None))
    error = _error_like([name], text)
    return bool(manager.__exit__(type(error), error, None))


def _leave_async(manager: Any, name: str, text: str) -> bool:
    error = _error_like([name], text) if name else None
    return bool(_until_done(manager.__aexit__(error and type(error), error, None)))


def _error_like(names: list[str], text: str) -> BaseException:
    """An exception of the tests, as near as this side knows its class."""
    known = (getattr(builtins, name, None) for name in names)
    base = next(k for k in (*known, Exception) if isinstance(k, type) and issubclass(k, Exception))
    kind: Any = base if base.__name__ == names[0] else type(names[0], (base,), {})
    try:
        return kind(text)  # type: ignore[no-any-return]
    except TypeError:
        return kind.__new__(kind, text)  # type: ignore[no-any-return]


def _held(value: Any) -> Any:
    """The plain content of a container of a class of the program."""
    bases: tuple[Any, ...] = (list, dict, set)
    base = next(b for b in bases if isinstance(value, b))
    return dict(dict.items(value)) if base is dict else base(base.__iter__(value))


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "bool": bool, "delattr": delattr, "delitem": operator.delitem, "getattr": getattr,
    "getitem": operator.getitem, "isinstance": isinstance, "issubclass": issubclass, "iter": iter,
    "len": len, "next": next, "repr": repr, "setattr": setattr, "setitem": operator.setitem,
    "str": str, "format": format, "int": int, "float": float, "hash": hash, "abs": abs,
    "reversed": reversed, "copy": copy.copy, "deepcopy": copy.deepcopy,
    "contains": operator.contains, "eq": operator.eq, "ne": operator.ne, "lt": operator.lt,
    "le": operator.le, "gt": operator.gt, "ge": operator.ge, "neg": operator.neg,
    "pos": operator.pos, "invert": operator.invert, "enter": lambda m: m.__enter__(),
    "exit": _leave, "aenter": lambda m: _until_done(m.__aenter__()), "aexit": _leave_async,
    "await": _until_done, "aiter": lambda a: a.__aiter__(),
    "anext": lambda a: _until_done(a.__anext__()), "kind": lambda v: type(v).__name__,
    "seed": random.seed, "round": round, "plain": _held,
    "method": lambda v, name, args, more: getattr(v, name)(*args, **more),
}  # fmt: skip
for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and_", "or_", "xor",
              "matmul", "lshift", "rshift"):  # fmt: skip
    _operate = getattr(operator, _name)
    _OPERATIONS[_name.strip("_")] = _operate
    _OPERATIONS[f"r{_name.strip('_')}"] = lambda a, b, operate=_operate: operate(b, a)
_MUTABLE = (list, dict, set, deque, bytearray, io.StringIO, io.BytesIO)


def _kind(value: object) -> str:
    if isinstance(value, type):
        return "exception" if issubclass(value, BaseException) else "class"
    if isinstance(value, types.GeneratorType):
        return "generator"
    if isinstance(value, types.CoroutineType):
        return "coroutine"
    if isinstance(value, types.AsyncGeneratorType):
        return "asyncgen"
    return "function" if isinstance(value, types.FunctionType) else "object"


class _Peer:
    """The program's end of the channel."""

    def __init__(self, channel: int, job: Mapping[str, Any]) -> None:
        self._channel = channel
        self._in_place = job["in_place"]
        self._plain = job.get("plain", False)
        self._objects: list[object] = []
        self._referred = False
        self._numbers: dict[int, int] = {}
        self._functions: dict[int, tuple[int, object]] = {}
        self._shadows = Shadows(self._call_back)
        self._printed = io.StringIO() if job.get("captures") else None
        self.program: Any = None
        if self._printed:
            sys.stdout = self._printed

    def send(self, message: dict[str, Any]) -> None:
        if self._printed and self._printed.tell():
            message["printed"] = self._printed.getvalue()
            self._printed.seek(0)
            self._printed.truncate()
        write_frame(self._channel, dumps(message))

    def receive(self) -> Any:
        message = loads(read_frame(self._channel, cap=REQUEST_CAP))
        if "own" in message:
            self._shadows.learn(message["own"], self._decode)
        return message

    def number(self, value: object) -> int:
        """The number of an object that stays here."""
        self._referred = True
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self._objects)
            self._objects.append(value)
        return number

    def refer(self, value: object) -> dict[str, Any]:
        """Stand-in of an object that is no plain data."""
        if isinstance(value, Shadow):
            return self._shadows.refer(value)
        if id(value) in self._functions:
            return {"callback": self._functions[id(value)][0]}
        kind = _kind(value)
        more = [self.line(value)] if kind == "exception" else []
        return {"ref": [self.number(value), kind, *more]}

    def line(self, kind: Any) -> list[list[Any]]:
        """The ancestors of an exception class: library classes by name, others by number."""
        library = sys.stdlib_module_names
        return [
            [cls.__module__ if cls.__module__.partition(".")[0] in library else self.number(cls),
             cls.__name__]
            for cls in kind.__mro__
            if issubclass(cls, BaseException)
        ]  # fmt: skip

    def special(self, value: object, plain: object) -> Any:
        """An instance of a subclass of a plain type: its value, and who it is."""
        encoded = encode(plain, self.refer, self.special)
        if self._plain:
            return encoded
        kind: Any = type(value)
        base: Any = type(plain)
        fields = list(getattr(kind, "_fields", [])) if base is tuple else []
        shown = not fields and (kind.__str__, kind.__repr__) != (base.__str__, base.__repr__)
        return {"sub": [encoded, self.number(value), fields, kind.__name__, shown]}

    def encode(self, value: object) -> Any:
        """A value as a message holds it."""
        return encode(value, self.refer, self.special)

    def _decode(self, data: Any) -> Any:
        return decode(data, self.resolve)

    def resolve(self, data: Mapping[str, Any]) -> object:
        """What a tag of the tests' side means here."""
        if "ref" in data:
            return self._objects[data["ref"]]
        if "own" in data:
            return self._shadows.get(data["own"])
        if "named" in data:
            from collections import namedtuple

            name, fields, items = data["named"]
            return namedtuple(name, fields)(*self._decode(items))
        return self._function(data["callback"])

    def _function(self, number: int) -> Callable[..., Any]:
        """A function of the tests, as one that calls it."""

        def tests_function(*args: Any, **kwargs: Any) -> Any:
            return self._call_back(number, args, kwargs)

        self._functions[id(tests_function)] = (number, tests_function)
        return tests_function

    def _call_back(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Call a function of the tests; they may call the program meanwhile."""
        self.send({"callback": target, "with": [self.encode(args), self.encode(kwargs)]})
        while True:
            message = self.receive()
            if "do" in message:
                self.send(self.answer(message))
            elif "raise" in message:
                names, text, number = message["raise"]
                error = _error_like(names, text)
                error._tests_error = number  # type: ignore[attr-defined]
                raise error
            else:
                return self._decode(message["value"])

    def bindings(self, names: list[str]) -> dict[str, Any]:
        """What the program defines of the names that the tests ask for: [value], or null."""
        space = vars(self.program)
        try:
            return {"value": [[self._global(space[n])] if n in space else None for n in names]}
        except BaseException as err:
            return self.failure(err)

    def _global(self, value: object) -> Any:
        """A global; a class stays here, so that calls of it are calls of the program."""
        if isinstance(value, type) and not issubclass(value, BaseException):
            return {"ref": [self.number(value), "class"]}
        return self.encode(value)

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return self._perform(request)
        except BaseException as err:
            return self.failure(err)

    def _perform(self, request: Mapping[str, Any]) -> dict[str, Any]:
        action = request["do"]
        args = [self._decode(item) for item in request["args"]]
        if action == "has":
            return {"value": hasattr(self.program, args[0])}
        if action == "name":
            return {"value": self._global(getattr(self.program, args[0]))}
        if action != "call":
            return {"value": self.encode(_OPERATIONS[action](*args))}
        function, *args = args
        before = request["args"][1:]
        kwargs = {}
        for key, item in request.get("kwargs", {}).items():
            kwargs[key] = self._decode(item)
            before.append(item)
        value = function(*args, **kwargs)
        reply: dict[str, Any] = {"value": self.encode(value)}
        if value is None or self._in_place:
            after = [
                self.encode(a) if type(a) in _MUTABLE else None for a in (*args, *kwargs.values())
            ]
            if any(a is not None and a != b for a, b in zip(after, before, strict=True)):
                reply["args"] = after
        if owns := self._shadows.changed(self.encode):
            reply["own"] = owns
        return reply

    def foretell(self, calls: list[Any]) -> None:
        """Make calls unasked, and answer each, until one fails or an object stays here."""
        space = vars(self.program)
        for name, args in calls:
            reply: dict[str, Any] = {"value": None, "last": True}
            if name in space:
                target = {"ref": self.number(space[name])}
                self._referred = False
                reply = self.answer({"do": "call", "args": [target, *args]})
                if self._referred or "raise" in reply:
                    reply["last"] = True
            self.send(reply)
            if "last" in reply:
                return

    def failure(self, err: BaseException) -> dict[str, Any]:
        """An exception as data: its class and its ancestors, its text and its arguments."""
        try:
            text = str(err)[:2000]
            args = self.encode(err.args)
        except BaseException:
            text, args = "", None
        said: dict[str, Any] = {"line": self.line(type(err)), "text": text, "args": args}
        said["number"] = self.number(err.with_traceback(None))
        said["thrown"] = getattr(err, "_tests_error", None)
        return {"raise": said}


def run(job: Mapping[str, Any], channel: int, output: int) -> None:
    """Load ``job["program"]`` and answer until the tests hang up."""
    os.close(output)
    start_afresh()
    gc.enable()
    peer = _Peer(channel, job)
    try:
        peer.program = run_source("solution", job["program"])
    except BaseException as err:
        print_error(err)
        peer.send(peer.failure(err))
        return
    peer.send(peer.bindings(job["names"]))
    try:
        peer.foretell(job["calls"])
        while True:
            peer.send(peer.answer(peer.receive()))
    except Broken:
        return

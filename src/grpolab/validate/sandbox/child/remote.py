"""The trusted side of a program in another sandbox: one channel, and what is believed of it."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from grpolab.validate.sandbox.child.errors import Errors, ProgramError
from grpolab.validate.sandbox.child.frames import Broken, read_frame, write_frame
from grpolab.validate.sandbox.child.own import Owned
from grpolab.validate.sandbox.child.specials import overwrite, special
from grpolab.validate.sandbox.child.standins import Remote, RemoteIterator, awaited, over
from grpolab.validate.sandbox.child.values import decode, dumps, encode, loads

T = TypeVar("T")
_KINDS = ("function", "class", "generator", "object")


class ProgramGone(BaseException):
    """The program's process is gone or no longer speaks the protocol; no test may survive this."""


class Unsupported(BaseException):
    """The tests need what cannot cross the wall; says what."""


class Program:
    """The tests' end of the channel: counts calls, remembers what the program raised.

    ``in_place``: whether arguments that the program changed are changed here though the call
    returned a value. ``classes`` are names that the tests use as classes. ``calls`` are known to
    the program: it makes them unasked, in this order, and answers each, until one answer is an
    exception or an object that stays with it.
    """

    def __init__(
        self, channel: int, *, cap: int, in_place: bool = False, classes: Sequence[str] = (),
        calls: Sequence[tuple[str, list[Any]]] = (),
    ) -> None:  # fmt: skip
        self._channel = channel
        self._cap = cap
        self._lock = threading.RLock()  # threads of the tests take turns
        self._in_place = in_place
        self._classes = frozenset(classes)
        self._makers: set[int] = set()
        self._foretold = deque(calls)
        self._globals: dict[str, Any] = {}
        self._callbacks: list[Callable[..., Any]] = []
        self._thrown: list[BaseException] = []
        self._stand_ins: dict[int, Remote] = {}
        self._owned = Owned()
        self._errors = Errors()
        self._copies: Mapping[int, object] = {}
        self.calls = 0
        self.gone = ""
        self.refusal = ""
        self.raised: list[BaseException] = []
        self.failed_inside: list[AssertionError] = []
        self.out_of_memory = False

    def loaded(self, names: Sequence[str]) -> dict[str, Any]:
        """Wait until the program is loaded; what it defines of these names.

        Raises what its loading raised. The names are ours: the answer has one place for each.
        """
        places = self._reply()["value"]
        if type(places) is not list or len(places) != len(names):
            self._lost("no bindings")
        self._globals = {
            name: self._named(name, self._value({"value": place})[0])
            for name, place in zip(names, places, strict=True)
            if type(place) is list and len(place) == 1
        }
        return self._globals

    def has(self, name: str) -> bool:
        """Whether the program defines a name."""
        return self.exact(bool, "has", name)

    def name(self, name: str) -> Any:
        """A global of the program."""
        return self._named(name, self.ask("name", name))

    def _named(self, name: str, value: Any) -> Any:
        if issubclass(type(value), type) and not issubclass(value, BaseException):
            self._lost(f"{name} is a class of this side")
        if name in self._classes and type(value) is Remote:
            self._makers.add(value._number)
        return value

    def missing(self, name: str) -> Exception:
        """What is raised where the program lacks a name that the tests need."""
        error = NameError(f"the program defines no {name}")
        self.raised.append(error)
        return error

    def raised_here(self, error: BaseException | None) -> bool:
        """Whether an exception came from the program."""
        return any(error is known for known in self.raised)

    def may_hold_back(self, error: BaseException | None) -> bool:
        """Whether an exception is the program's to end: never a failed assertion of the tests."""
        theirs = isinstance(error, AssertionError) and any(error is e for e in self._thrown)
        return self.raised_here(error) and not theirs

    def ask(self, action: str, *args: object) -> Any:
        """One operation on the program's objects."""
        with self._lock:
            if action not in ("name", "has", "plain", "seed"):
                self.calls += 1
            self._send({"do": action, "args": [self._encode(a) for a in args]})
            value = self._value(self._reply(ending=action in ("next", "anext")))
        if action == "iter" and type(value) is Remote:
            return RemoteIterator(self, value._number)
        return value

    def exact(self, kind: type[T], action: str, *args: object) -> T:
        """One operation whose answer must be of exactly this type."""
        value = self.ask(action, *args)
        if type(value) is not kind:
            self._lost(f"{action} gave no {kind.__name__}")
        return value

    def call(self, function: Remote, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call; arguments that the program changed are changed here where that is allowed."""
        with self._lock:
            return self._call(function, args, kwargs)

    def _call(self, function: Remote, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        self.calls += 1
        message: dict[str, Any] = {"do": "call", "args": [self._encode(function)]}
        message["args"] += [self._encode(a) for a in args]
        if kwargs:
            message["kwargs"] = {key: self._encode(a) for key, a in kwargs.items()}
        if self._is_next(function, message):
            self._foretold.popleft()
        else:
            self._send(message)
        reply = self._reply()
        allowed = self._in_place or reply["value"] is None
        self._copies = {}
        owns = reply.get("own")
        if type(owns) is dict and owns:
            self._copies = self._guarded(lambda: self._owned.targets(owns, in_place=allowed))
            self._guarded(lambda: self._owned.fill(owns, self._copies, self._decode))
        changed = reply.get("args")
        if allowed and type(changed) is list:
            for old, new in zip((*args, *kwargs.values()), changed, strict=False):
                if new is not None:
                    overwrite(old, self._value({"value": new}))
        value = self._value(reply)
        self._copies = {}
        if function._number in self._makers and type(value) is Remote:
            object.__setattr__(value, "_owned", True)
        return value

    def _is_next(self, function: Remote, message: Mapping[str, Any]) -> bool:
        """Whether a call is the next one that the program makes unasked."""
        if not self._foretold or "kwargs" in message or self._owned.has_new():
            return False
        name, args = self._foretold[0]
        return self._globals.get(name) is function and message["args"][1:] == args

    def _drop_foretold(self) -> None:
        """Take the answers that nobody asked for off the channel."""
        while self._foretold:
            self._foretold.popleft()
            self._message()

    def _message(self) -> dict[str, Any]:
        message: dict[str, Any] = self._guarded(
            lambda: loads(read_frame(self._channel, cap=self._cap))
        )
        if type(message) is not dict:
            self._lost("no object")
        if message.get("last") is True:
            self._foretold.clear()
        return message

    def _encode(self, value: object) -> Any:
        return encode(value, self._encode_other, self._encode_special)

    def _encode_special(self, value: object, plain: object) -> Any:
        remote = getattr(value, "__dict__", {}).get("_grpolab_remote")
        if remote is not None:
            return {"ref": remote._number}
        fields = getattr(type(value), "_fields", None)
        if isinstance(value, tuple) and type(fields) is tuple:
            return {"named": [type(value).__name__, list(fields), self._encode(list(value))]}
        return self._encode(plain)

    def _encode_other(self, value: object) -> Any:
        if issubclass(type(value), Remote):
            return {"ref": value._number}  # type: ignore[attr-defined]
        if Owned.is_own(value):
            return self._owned.refer(value)
        if callable(value):
            known = (i for i, function in enumerate(self._callbacks) if function is value)
            number = next(known, len(self._callbacks))
            self._callbacks[number:] = self._callbacks[number:] or [value]
            return {"callback": number}
        self.refusal = f"the tests pass a {type(value).__name__} to the program"
        raise Unsupported(self.refusal)

    def _send(self, message: dict[str, Any]) -> None:
        if self.gone:
            raise ProgramGone(self.gone)
        self._drop_foretold()
        table = self._owned.table(self._encode)
        if table:
            message["own"] = table
        try:
            write_frame(self._channel, dumps(message))
        except Broken as err:
            self._lost(str(err))

    def _reply(self, *, ending: bool = False) -> dict[str, Any]:
        """The answer to the last request; callbacks are served meanwhile."""
        while True:
            message = self._message()
            if type(message.get("printed")) is str:
                sys.stdout.write(message["printed"])
            if "raise" in message:
                raise self._guarded(lambda m=message: self._error(m["raise"], ending))  # type: ignore[misc]
            if "callback" in message:
                self._guarded(lambda m=message: self._serve_callback(m))  # type: ignore[misc]
            elif "value" in message:
                return message
            else:
                self._lost("no answer")

    def _guarded(self, read: Callable[[], T]) -> T:
        """What a message means; a program that sends what means nothing is gone."""
        try:
            return read()
        except (
            ArithmeticError, AttributeError, Broken, LookupError, RecursionError, TypeError,
            ValueError,
        ) as err:  # fmt: skip
            self._lost(f"{type(err).__name__}: {err}")

    def _serve_callback(self, message: Mapping[str, Any]) -> None:
        args, kwargs = (self._decode(part) for part in message["with"])
        target = message["callback"]
        function = self._callback(target)
        try:
            reply = {"value": self._encode(function(*args, **kwargs))}
        except Exception as err:
            if isinstance(err, AssertionError) and not self.raised_here(err):
                self.failed_inside.append(err)
            self._thrown.append(err)
            names = [cls.__name__ for cls in type(err).__mro__]
            reply = {"raise": [names, str(err), len(self._thrown) - 1]}
        self._send(reply)

    def _callback(self, target: Any) -> Callable[..., Any]:
        """A function that the tests passed, or a method of an object that they passed."""
        if type(target) is list:
            return self._owned.method(*target)
        if type(target) is not int or target < 0:
            raise ValueError("a function goes by its number")
        return self._callbacks[target]

    def _value(self, message: Mapping[str, Any]) -> Any:
        return self._guarded(lambda: self._decode(message["value"]))

    def _decode(self, data: Any) -> Any:
        return decode(data, self._decode_other)

    def _decode_other(self, data: Mapping[str, Any]) -> Any:
        if "own" in data:
            number = data["own"]
            return self._copies[number] if number in self._copies else self._owned.get(number)
        if "sub" in data:
            plain, number, fields, name, shown = data["sub"]
            return special(self, self._decode(plain), self._stand_in(number), fields, name, shown)
        if "callback" in data:
            return self._callback(data["callback"])
        number, kind, *more = data["ref"]
        if kind == "exception":
            return self._errors.kind(more[0])
        if kind == "coroutine":
            return awaited(self._stand_in(number))
        if kind == "asyncgen":
            return over(self._stand_in(number, kind))
        return self._stand_in(number, kind if kind in _KINDS else "object")

    def _stand_in(self, number: object, kind: str = "object") -> Remote:
        if type(number) is not int:
            raise ValueError("a reference is a number")
        if number not in self._stand_ins:
            self._stand_ins[number] = Remote(self, number, kind)
        return self._stand_ins[number]

    def _error(self, said: Mapping[str, Any], ending: bool) -> BaseException:
        thrown = said.get("thrown")
        if type(thrown) is int:
            error = self._thrown[thrown]
            self.failed_inside = [e for e in self.failed_inside if e is not error]  # now it is seen
        else:
            line, text = list(said["line"]), str(said["text"])
            self.out_of_memory |= line[:1] == [["builtins", "MemoryError"]]
            kind = self._errors.kind(line, ending=ending)
            args = self._decode(said["args"]) if kind is not ProgramError else None
            if type(args) is not tuple:
                args = (f"{line[0][1]}: {text}" if kind is ProgramError else text,)
            try:
                error = kind(*args)
            except Exception:
                parts = ([ProgramError(text)],) if issubclass(kind, BaseExceptionGroup) else ()
                error = kind.__new__(kind, text, *parts)
            if "__getattr__" in vars(type(error)):
                number = self._stand_in(said["number"])
                vars(error).update(_grpolab_text=text, _grpolab_remote=number)
        self.raised.append(error)
        return error

    def _lost(self, why: str) -> NoReturn:
        self.gone = self.gone or why
        raise ProgramGone(why)

"""The untrusted side: hold a program, call what the tests ask for, answer with plain data.

Everything here runs in the same interpreter as the program, which may replace any of it. That is
harmless: whatever it sends is read as data, and it has nothing to send but guesses.
"""

from __future__ import annotations

import operator
import os
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from grpolab.validate.sandbox.child.frames import Broken, read_frame, write_frame
from grpolab.validate.sandbox.child.script import run_source, start_afresh
from grpolab.validate.sandbox.child.values import decode, dumps, encode, loads

REQUEST_CAP = 1 << 28
_OPERATIONS: Mapping[str, Callable[..., Any]] = {
    "bool": bool, "delitem": operator.delitem, "getattr": getattr, "getitem": operator.getitem,
    "isinstance": isinstance, "issubclass": issubclass, "iter": iter, "len": len, "next": next,
    "repr": repr, "setattr": setattr, "setitem": operator.setitem, "str": str,
}  # fmt: skip
_MUTABLE = (list, dict, set, deque)


class _Peer:
    """The program's end of the channel."""

    def __init__(self, channel: int, *, in_place: bool) -> None:
        self._channel = channel
        self._in_place = in_place
        self._objects: list[object] = []
        self.program: Any = None

    def send(self, message: Mapping[str, Any]) -> None:
        write_frame(self._channel, dumps(message))

    def receive(self) -> Any:
        return loads(read_frame(self._channel, cap=REQUEST_CAP))

    def refer(self, value: object) -> dict[str, Any]:
        """Stand-in of an object that is no plain data."""
        self._objects.append(value)
        return {"ref": [len(self._objects) - 1, callable(value)]}

    def resolve(self, data: Mapping[str, Any]) -> object:
        if "ref" in data:
            return self._objects[data["ref"]]
        number = data["callback"]
        return lambda *args, **kwargs: self._call_back(number, args, kwargs)

    def _call_back(self, number: int, args: Any, kwargs: Any) -> Any:
        """Call a function of the tests; they may call the program meanwhile."""
        packed = [encode(args, self.refer), encode(kwargs, self.refer)]
        self.send({"callback": number, "with": packed})
        while True:
            message = self.receive()
            if "do" in message:
                self.send(self.answer(message))
            elif "raise" in message:
                raise RuntimeError(message["raise"])
            else:
                return decode(message["value"], self.resolve)

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return self._perform(request)
        except BaseException as err:
            return failure(err)

    def _perform(self, request: Mapping[str, Any]) -> dict[str, Any]:
        action = request["do"]
        args = [decode(item, self.resolve) for item in request["args"]]
        if action == "name":
            return {"value": encode(getattr(self.program, args[0]), self.refer)}
        if action != "call":
            return {"value": encode(_OPERATIONS[action](*args), self.refer)}
        function, *args = args
        kwargs = {key: decode(item, self.resolve) for key, item in request["kwargs"].items()}
        value = function(*args, **kwargs)
        reply: dict[str, Any] = {"value": encode(value, self.refer)}
        if value is None or self._in_place:
            before = request["args"][1:]
            after = [encode(a, self.refer) if type(a) in _MUTABLE else None for a in args]
            if any(a is not None and a != b for a, b in zip(after, before, strict=True)):
                reply["args"] = after
        return reply


def failure(err: BaseException) -> dict[str, Any]:
    """An exception as data: its class and its bases by name, and its text."""
    try:
        text = str(err)[:2000]
    except BaseException:
        text = ""
    return {"raise": [[cls.__name__ for cls in type(err).__mro__], text]}


def run(job: Mapping[str, Any], channel: int, output: int) -> None:
    """Load ``job["program"]`` and answer until the tests hang up."""
    os.close(output)
    start_afresh()
    peer = _Peer(channel, in_place=job["in_place"])
    try:
        peer.program = run_source("solution", job["program"])
    except BaseException as err:
        peer.send(failure(err))
        return
    peer.send({"value": [name for name in job["names"] if hasattr(peer.program, name)]})
    try:
        while True:
            peer.send(peer.answer(peer.receive()))
    except Broken:
        return

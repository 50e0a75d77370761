"""Exceptions of the program, as classes that ``except`` takes."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Sequence
from typing import Any

from grpolab.validate.sandbox.child.specials import ask_attribute

_NEVER = (StopIteration, StopAsyncIteration, GeneratorExit)


class ProgramError(Exception):
    """An exception of the program whose class is not one of Python's own."""


class Errors:
    """Exception classes of the program, each made once."""

    def __init__(self) -> None:
        self._made: dict[int, type[BaseException]] = {}

    def kind(self, line: Sequence[Any], *, ending: bool = False) -> type[BaseException]:
        """A class from its line of ancestors, each [number, name] or [module, name].

        StopIteration and its like are passed on only where they are the answer (``ending``):
        elsewhere they would end a loop of the tests before they are through.
        """
        if not line:
            return ProgramError
        (home, name), rest = line[0], line[1:]
        if type(home) is not int:
            found = _library(str(home), str(name))
            if found in (Exception, BaseException) or found is None:
                return self.kind(rest, ending=ending) if found is None else ProgramError
            return ProgramError if issubclass(found, _NEVER) and not ending else found
        if home not in self._made:
            base = self.kind(rest)
            body = {"__module__": "solution", "__getattr__": ask_attribute, "__str__": _said}
            self._made[home] = type(str(name), (base,), body)
        return self._made[home]


def _said(error: Any) -> str:
    return str(vars(error).get("_grpolab_text") or BaseException.__str__(error))


def _library(module: str, name: str) -> type[BaseException] | None:
    """An exception class of Python or of a module of its library that the tests know."""
    root = module.partition(".")[0]
    if root == "builtins":
        found = getattr(builtins, name, None)
    elif root in sys.stdlib_module_names and root not in ("unittest", "__main__", "bdb"):
        found = getattr(sys.modules.get(module), name, None)
    else:
        found = None
    return found if isinstance(found, type) and issubclass(found, BaseException) else None

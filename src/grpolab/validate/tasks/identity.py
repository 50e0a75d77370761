"""Which verifier judged: its name, and a hash of its source and of the data that it judges by."""

from __future__ import annotations

import functools
import hashlib
import sys
import sysconfig
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple


class VerifierId(NamedTuple):
    """A verifier as a manifest names it; verdicts of two that differ are not to be mixed."""

    name: str
    hash: str


def verifier_id(name: str, *parts: object) -> VerifierId:
    """Identify a verifier by what its verdicts depend on: functions, classes and plain data.

    A function stands for its file and for the files of its folder that it refers to, directly or
    through others; anything else for its ``repr``.

    >>> verifier_id("numeric", "answer") == verifier_id("numeric", "answer")
    True
    >>> verifier_id("numeric", "answer").hash == verifier_id("numeric", "gold").hash
    False
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        for piece in _source(part) if callable(part) else (repr(part).encode("utf-8", "replace"),):
            digest.update(hashlib.blake2b(piece).digest())
    return VerifierId(name, digest.hexdigest())


def _source(function: Callable[..., Any]) -> Iterable[bytes]:
    """The bytes that a function, a class or a callable object runs on."""
    code = _code(function)
    if code is None:
        yield repr(type(function)).encode()
        return
    yield function.__qualname__.encode() if hasattr(function, "__qualname__") else b""
    path = Path(code.co_filename)
    if not path.is_file():  # typed into an interpreter
        yield code.co_code + repr(code.co_consts).encode("utf-8", "replace")
        return
    files = {path.resolve()}
    _follow(getattr(_plain(function), "__globals__", {}), path.resolve().parent, files)
    for one in sorted(files):
        yield one.read_bytes()


def _plain(function: Any) -> Any:
    """The function behind a partial, a wrapper, a bound method, a class or a callable object."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif hasattr(function, "__func__"):
            function = function.__func__
        elif isinstance(function, type):
            own = [v for v in vars(function).values() if hasattr(v, "__code__")]
            return own[0] if own else function
        elif not hasattr(function, "__code__"):
            return type(function).__call__
        else:
            return function


def _code(function: Any) -> Any:
    return getattr(_plain(function), "__code__", None)


def _follow(names: dict[str, Any], folder: Path, files: set[Path]) -> None:
    """Add the files below ``folder`` of the modules that some global names come from."""
    installed = Path(sysconfig.get_paths()["purelib"])
    for value in list(names.values()):
        module = value if isinstance(value, ModuleType) else None
        if module is None and hasattr(value, "__module__"):
            module = sys.modules.get(str(value.__module__))
        place = getattr(module, "__file__", None)
        if module is None or not place or not place.endswith(".py"):
            continue
        path = Path(place).resolve()
        if path in files or folder not in path.parents or installed in path.parents:
            continue
        files.add(path)
        _follow(vars(module), folder, files)

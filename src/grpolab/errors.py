"""What users give: the exception for bad input, shown as a single line, and their own objects."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class UserError(Exception):
    """Bad input: the message says what, where and what to do. The command line exits with 2."""


def first_line(err: BaseException) -> str:
    """The first line of what an exception says, or its type where it says nothing.

    >>> first_line(ValueError("no such column")), first_line(KeyError())
    ('no such column', 'KeyError')
    """
    words = str(err).strip().splitlines()
    return words[0] if words else type(err).__name__


EXTRAS = {"numba": "sim", "matplotlib": "figures", "sympy": "theory"}
"""Modules that the core does without wherever it can, and the extra that installs each."""


def require(module: str, *, extra: str) -> None:
    """Raise UserError unless an optional dependency is installed; it is not imported here."""
    if importlib.util.find_spec(module) is None:
        raise _needs(module, extra)


def _needs(module: str, extra: str) -> UserError:
    words = f"this needs {module}, which is not installed: pip install 'grpolab[{extra}]'"
    return UserError(words)


@contextlib.contextmanager
def extras_named() -> Iterator[None]:
    """Turn the import of an optional dependency that is not installed into a UserError.

    >>> with extras_named():
    ...     raise ModuleNotFoundError("No module named 'numba'", name="numba")
    Traceback (most recent call last):
    ...
    grpolab.errors.UserError: this needs numba, which is not installed: pip install 'grpolab[sim]'
    """
    try:
        yield
    except ModuleNotFoundError as err:
        module = (err.name or "").partition(".")[0]
        if module not in EXTRAS:
            raise
        raise _needs(module, EXTRAS[module]) from err


@contextlib.contextmanager
def input_errors() -> Iterator[None]:
    """Turn a ValueError about the arguments of a formula into a UserError.

    >>> with input_errors():
    ...     raise ValueError("p must lie in [0, 1], got 2")
    Traceback (most recent call last):
    ...
    grpolab.errors.UserError: p must lie in [0, 1], got 2
    """
    try:
        yield
    except ValueError as err:
        raise UserError(str(err)) from err


def load_object(place: str, *, kind: str = "") -> Any:
    """The object at ``FILE.py:NAME``; UserError where there is none or the file cannot be run.

    ``kind`` (with a space after it) says in the message what was wanted.
    """
    file, _, name = place.rpartition(":")
    path = Path(file)
    spec = importlib.util.spec_from_file_location(path.stem, file) if file else None
    if spec is None or spec.loader is None or not path.is_file():
        raise UserError(f"{place}: no such file")
    module = importlib.util.module_from_spec(spec)
    there = sys.modules.get(spec.name)
    sys.modules[spec.name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as err:  # somebody else's code
        raise UserError(f"{place}: {file} cannot be run ({type(err).__name__}: {err})") from err
    finally:
        if there is None:
            del sys.modules[spec.name]
        else:
            sys.modules[spec.name] = there
    if not hasattr(module, name):
        raise UserError(f"{place}: {file} has no {kind}{name!r}")
    return getattr(module, name)


def named(what: str, value: str | T, table: Mapping[str, T]) -> T:
    """The entry of a table, the object at ``FILE.py:NAME``, or what was given if it is no name.

    ValueError for an unknown name.

    >>> named("size", "small", {"small": 1}), named("size", 7, {"small": 1})
    (1, 7)
    """
    if not isinstance(value, str):
        return value
    if value in table:
        return table[value]
    if ":" in value:
        found: T = load_object(value)
        return found
    raise ValueError(f"{what} must be one of {sorted(table)} or FILE.py:NAME, got {value}")

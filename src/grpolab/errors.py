"""The one exception that means "the input is at fault", shown to the user as a single line."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator


class UserError(Exception):
    """Bad input: the message says what, where and what to do. The command line exits with 2."""


def first_line(err: BaseException) -> str:
    """The first line of what an exception says, or its type where it says nothing.

    >>> first_line(ValueError("no such column")), first_line(KeyError())
    ('no such column', 'KeyError')
    """
    words = str(err).strip().splitlines()
    return words[0] if words else type(err).__name__


def require(module: str, *, extra: str) -> None:
    """Raise UserError unless an optional dependency is installed; it is not imported here."""
    if importlib.util.find_spec(module) is None:
        raise UserError(
            f"this command needs {module}, which is not installed: pip install 'grpolab[{extra}]'"
        )


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

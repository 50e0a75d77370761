"""The little of pytest that generated tests use: raises, approx, fail, mark.parametrize."""

from __future__ import annotations

import contextlib
import functools
import math
import re
import types
from collections.abc import Callable, Iterator
from typing import Any, NoReturn


class _Caught:
    """What ``with raises(...) as caught`` gives."""

    value: BaseException | None = None

    @property
    def type(self) -> type | None:
        return None if self.value is None else type(self.value)


@contextlib.contextmanager
def raises(kinds: Any, *, match: str | None = None) -> Iterator[_Caught]:
    """Fail unless the block raises one of these, with a matching text."""
    caught = _Caught()
    try:
        yield caught
    except kinds as err:
        caught.value = err
        if match is not None and not re.search(match, str(err)):
            raise AssertionError(f"{err} does not match {match}") from None
        return
    raise AssertionError(f"did not raise {kinds}")


class approx:
    """Equal to finite numbers, or lists, tuples and dicts of them, within a tolerance."""

    def __init__(self, expected: Any, rel: float | None = None, abs: float | None = None) -> None:
        self._expected = expected
        self._rel = 1e-6 if rel is None and abs is None else rel or 0.0
        self._abs = 1e-12 if abs is None else abs

    def __eq__(self, got: object) -> bool:
        return self._near(got, self._expected)

    __hash__ = None  # type: ignore[assignment]

    def _near(self, got: Any, expected: Any) -> bool:
        if isinstance(expected, list | tuple):
            same = type(got) is type(expected) and len(got) == len(expected)
            return same and all(map(self._near, got, expected))
        if isinstance(expected, dict):
            same = type(got) is dict and got.keys() == expected.keys()
            return same and all(self._near(got[key], expected[key]) for key in expected)
        if type(got) in (int, float) and isinstance(expected, int | float):
            return math.isclose(got, expected, rel_tol=self._rel, abs_tol=self._abs)
        return bool(got == expected)


def fail(reason: str = "") -> NoReturn:
    """Fail."""
    raise AssertionError(reason)


def _parametrize(names: Any, rows: Any, **_: Any) -> Callable[[Any], Any]:
    keys = [n.strip() for n in names.split(",")] if isinstance(names, str) else list(names)

    def mark(function: Any) -> Any:
        table = [dict(zip(keys, [row] if len(keys) == 1 else row, strict=True)) for row in rows]
        before = getattr(function, "rows", [{}])
        function.rows = [{**old, **new} for old in before for new in table]
        return function

    return mark


def expand(test: Any) -> Iterator[Callable[[], object]]:
    """One call per row of a parametrized test."""
    for row in getattr(test, "rows", [{}]):
        yield functools.partial(test, **row)


def as_module() -> types.ModuleType:
    """A module to stand where ``import pytest`` looks."""
    module = types.ModuleType("pytest")
    mark = types.SimpleNamespace(parametrize=_parametrize)
    module.__dict__.update(raises=raises, approx=approx, fail=fail, mark=mark)
    return module

"""The part of pytest that generated tests use: raises, approx, fixtures, parametrize, capsys."""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
import math
import re
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, NoReturn

from grpolab.validate.sandbox.child.remote import Program, Unsupported


class _Caught:
    """What ``with raises(...) as caught`` gives."""

    value: BaseException | None = None

    @property
    def type(self) -> type | None:
        return None if self.value is None else type(self.value)

    def match(self, pattern: str) -> bool:
        """Fail unless the text matches."""
        if not re.search(pattern, str(self.value)):
            raise AssertionError(f"{self.value} does not match {pattern}")
        return True


@contextlib.contextmanager
def _raises(kinds: Any, match: str | None = None) -> Iterator[_Caught]:
    caught = _Caught()
    try:
        yield caught
    except kinds as err:
        caught.value = err
        if match is not None:
            caught.match(match)
        return
    raise AssertionError(f"did not raise {kinds}")


def raises(kinds: Any, *call: Any, match: str | None = None, **more: Any) -> Any:
    """Fail unless the block, or the call, raises one of these, with a matching text."""
    if not call:
        return _raises(kinds, match)
    with _raises(kinds, match) as caught:
        call[0](*call[1:], **more)
    return caught


class approx:
    """Equal to finite numbers, or lists, tuples and dicts of them, within a tolerance."""

    def __init__(
        self,
        expected: Any,
        rel: float | None = None,
        abs: float | None = None,
        nan_ok: bool = False,
    ) -> None:
        self._expected = expected
        self._rel = 1e-6 if rel is None and abs is None else rel or 0.0
        self._abs = 1e-12 if abs is None else abs
        self._nan_ok = nan_ok

    def __eq__(self, got: object) -> bool:
        return self._near(got, self._expected)

    __hash__ = None  # type: ignore[assignment]

    def _near(self, got: Any, expected: Any) -> bool:
        if isinstance(expected, list | tuple):
            same = isinstance(got, list | tuple) and len(got) == len(expected)
            return same and all(map(self._near, got, expected))
        if isinstance(expected, dict):
            same = isinstance(got, dict) and got.keys() == expected.keys()
            return same and all(self._near(got[key], expected[key]) for key in expected)
        if isinstance(got, int | float) and isinstance(expected, int | float):
            if self._nan_ok and math.isnan(got) and math.isnan(expected):
                return True
            return math.isclose(got, expected, rel_tol=self._rel, abs_tol=self._abs)
        return bool(got == expected)


class _Skipped(Exception):
    """A test that asks not to be run."""


def fail(reason: str = "", **_: Any) -> NoReturn:
    """Fail."""
    raise AssertionError(reason)


def _skip(reason: str = "", **_: Any) -> NoReturn:
    raise _Skipped(reason)


def _param(*values: Any, **_: Any) -> Any:
    return _Row(values)


class _Row(NamedTuple):
    """One row of a parametrized test, as ``pytest.param`` makes it."""

    values: tuple[Any, ...]


def _parametrize(names: Any, rows: Any, **_: Any) -> Callable[[Any], Any]:
    keys = [n.strip() for n in names.split(",") if n.strip()] if isinstance(names, str) else names

    def mark(function: Any) -> Any:
        table = []
        for row in rows:
            values = row.values if isinstance(row, _Row) else [row] if len(keys) == 1 else row
            table.append(dict(zip(keys, values, strict=True)))
        before = getattr(function, "rows", [{}])
        function.rows = [{**old, **new} for old in before for new in table]
        return function

    return mark


class _Marks:
    """``pytest.mark``: parametrize and skip count, other marks change nothing."""

    parametrize = staticmethod(_parametrize)

    def skip(self, *args: Any, **_: Any) -> Any:
        """Leave a test out."""

        def mark(test: Any) -> Any:
            test.skipped = True
            return test

        return mark(args[0]) if args and callable(args[0]) else mark

    def skipif(self, condition: Any, **_: Any) -> Any:
        """Leave a test out if."""
        return self.skip() if condition else lambda test: test

    def __getattr__(self, name: str) -> Any:
        def mark(*args: Any, **_: Any) -> Any:
            return args[0] if len(args) == 1 and callable(args[0]) else lambda test: test

        return mark


def _fixture(
    function: Any = None, *, autouse: bool = False, params: Any = (None,), **more: Any
) -> Any:
    def mark(made: Any) -> Any:
        made.fixture = (autouse, tuple(params), more.get("name") or made.__name__)
        return made

    return mark if function is None else mark(function)


class _Request(NamedTuple):
    param: Any


class _Capture:
    """``capsys``: what was printed since the last look."""

    def __init__(self) -> None:
        self.out, self._kept = io.StringIO(), sys.stdout
        sys.stdout = self.out

    def readouterr(self) -> Any:
        """Texts of standard output and of standard error, which stays empty."""
        text = self.out.getvalue()
        self.out.seek(0)
        self.out.truncate()
        return types.SimpleNamespace(out=text, err="")

    def close(self) -> None:
        """Print as before."""
        sys.stdout = self._kept


class Fixtures:
    """Fixtures of a module, and those of a class in it."""

    def __init__(self, space: Mapping[str, Any], pytest: Any) -> None:
        self._pytest = pytest
        self._made = {
            thing.fixture[2]: thing
            for thing in space.values()
            if type(thing) is types.FunctionType and hasattr(thing, "fixture")
        }

    def within(self, case: type) -> Fixtures:
        """With the fixtures of a class."""
        inner = Fixtures(dict(inspect.getmembers(case)), self._pytest)
        inner._made = {**self._made, **inner._made}
        return inner

    def wanted(self, test: Any, given: Mapping[str, Any]) -> list[str]:
        """Fixtures that a test asks for; Unsupported where there is no such one."""
        names = [name for name, made in self._made.items() if made.fixture[0]]
        for name, parameter in inspect.signature(test).parameters.items():
            if name in given or name == "self" or name in names:
                continue
            if name not in self._made and name not in ("capsys", "capfd", "request"):
                if parameter.default is inspect.Parameter.empty:
                    raise Unsupported(f"the tests use the fixture {name}")
                continue
            names.append(name)
        return names

    def rows(self, names: list[str]) -> list[dict[str, Any]]:
        """One row per combination of the fixtures' params."""
        rows: list[dict[str, Any]] = [{}]
        for name in names:
            params = self._made[name].fixture[1] if name in self._made else (None,)
            rows = [{**row, name: param} for row in rows for param in params]
        return rows

    def value(
        self, name: str, row: Mapping[str, Any], ready: dict[str, Any], ends: contextlib.ExitStack,
        owner: object,
    ) -> Any:  # fmt: skip
        """What a fixture gives; what it opened is closed after the test."""
        if name in ready:
            return ready[name]
        if name in ("capsys", "capfd"):
            capture = ready[name] = _Capture()
            ends.callback(capture.close)
            return capture
        made = self._made[name]
        args = {}
        for inner in inspect.signature(made).parameters:
            if inner == "self":
                args[inner] = owner
            elif inner == "request":
                args[inner] = _Request(row.get(name))
            elif inner in self._made or inner in ("capsys", "capfd"):
                args[inner] = self.value(inner, row, ready, ends, owner)
            else:
                raise Unsupported(f"the tests use the fixture {inner}")
        if inspect.isgeneratorfunction(made):
            ready[name] = ends.enter_context(contextlib.contextmanager(made)(**args))
        else:
            ready[name] = _finished(made(**args))
        return ready[name]


def _finished(value: Any) -> Any:
    if not inspect.iscoroutine(value):
        return value
    import asyncio  # only here: every module that a server holds makes each of its forks dearer

    return asyncio.run(value)


def _run(
    test: Any, given: Mapping[str, Any], fixtures: Fixtures, row: Mapping[str, Any], owner: Any
) -> None:
    with contextlib.ExitStack() as ends:
        ready: dict[str, Any] = {}
        values = {n: fixtures.value(n, row, ready, ends, owner) for n in row if n != "request"}
        names = inspect.signature(test).parameters
        with contextlib.suppress(_Skipped):
            _finished(test(**{**{k: v for k, v in values.items() if k in names}, **given}))


def expand(test: Any, fixtures: Fixtures) -> Iterator[Callable[[], object]]:
    """One call per row of a parametrized test."""
    if getattr(test, "skipped", False) or hasattr(test, "fixture"):
        return
    for given in getattr(test, "rows", [{}]):
        names = fixtures.wanted(test, given)
        for row in fixtures.rows(names):
            yield functools.partial(_run, test, given, fixtures, row, None)


def expand_method(case: type, name: str, fixtures: Fixtures) -> Iterator[Callable[[], object]]:
    """The same for a method of a class, each with an instance of its own."""
    method = getattr(case, name)
    if getattr(method, "skipped", False) or getattr(case, "skipped", False):
        return
    for given in getattr(method, "rows", getattr(case, "rows", [{}])):
        names = fixtures.wanted(method, given)
        for row in fixtures.rows(names):
            yield functools.partial(_run_method, case, name, given, fixtures, row)


def _run_method(
    case: Any, name: str, given: Mapping[str, Any], fixtures: Fixtures, row: Mapping[str, Any]
) -> None:
    owner = case()
    for level in ("setup_class", "setup_method", "setup"):
        _prepare(owner, level, name)
    try:
        _run(getattr(owner, name), given, fixtures, row, owner)
    finally:
        for level in ("teardown", "teardown_method", "teardown_class"):
            _prepare(owner, level, name)


def _prepare(owner: Any, level: str, name: str) -> None:
    prepare = getattr(owner, level, None)
    if prepare is not None:
        prepare(*[getattr(owner, name)][: len(inspect.signature(prepare).parameters)])


def as_module(program: Program) -> types.ModuleType:
    """A module to stand where ``import pytest`` looks."""
    module = types.ModuleType("pytest")
    module.__dict__.update(
        raises=raises, approx=approx, fail=fail, skip=_skip, mark=_Marks(), fixture=_fixture,
        param=_param, main=lambda *a, **k: 0,
    )  # fmt: skip
    return module

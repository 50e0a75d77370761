"""The trusted side: run the tests of one program and write the verdict.

The tests run in a sandbox of their own, apart from the program's, because they too are code that
somebody else wrote. The program is present only as stand-ins (`standins`).
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import marshal
import os
import random
import sys
import types
import unittest
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from grpolab.validate.sandbox.child import pytest_part
from grpolab.validate.sandbox.child.compare import same_value
from grpolab.validate.sandbox.child.remote import Program, ProgramGone, Unsupported
from grpolab.validate.sandbox.child.script import start_afresh
from grpolab.validate.sandbox.child.standins import Remote
from grpolab.validate.sandbox.child.values import decode, dumps

_DETAIL = 500
_SEED = random.seed


class _Failed(Exception):
    """A test that says no."""


class _Count:
    """Assertions that the tests ran."""

    ran = 0

    def add(self) -> None:
        """One more."""
        self.ran += 1


def run(job: Mapping[str, Any], channel: int, output: int) -> None:
    """Judge, and write {"verdict", "detail"} to ``output``."""
    random.seed = _SEED
    start_afresh()
    data = memoryview(dumps(judge(job, channel)))
    while data:
        data = data[os.write(output, data) :]


def judge(job: Mapping[str, Any], channel: int) -> dict[str, str]:
    """Verdict: pass, wrong, exception, oom, gone, or unsupported."""
    program = Program(
        channel, cap=job["limits"]["output_bytes"], in_place=job["in_place"],
        classes=job.get("classes", ()), calls=job["calls"],
    )  # fmt: skip
    verdict, detail = "pass", ""
    try:
        verdict, detail = _TRIALS[job["trial"]](job, program)
    except ProgramGone as err:
        verdict, detail = "gone", str(err)
    except Unsupported as err:
        verdict, detail = "unsupported", str(err)
    except BaseException as err:
        raised = program.raised_here(err)
        verdict = "exception" if raised else "wrong"
        if raised and program.out_of_memory:
            verdict = "oom"
        detail = f"{type(err).__name__}: {_text(err)}"
    if verdict == "pass" and program.failed_inside:  # the program may have swallowed it
        verdict, detail = "wrong", f"AssertionError: {_text(program.failed_inside[0])}"
    if program.refusal:  # unittest takes it for an error of the test
        verdict, detail = "unsupported", program.refusal
    if program.gone:  # a test that swallows everything does not undo this
        verdict, detail = "gone", program.gone
    return {"verdict": verdict, "detail": detail[:_DETAIL]}


def _text(err: BaseException) -> str:
    try:
        return str(err)
    except Exception:
        return ""


def _entry(program: Program, known: Mapping[str, Any], name: str) -> Any:
    """The function of that name, or the method of that name of a class ``Solution``."""
    if name in known:
        return known[name]
    if "Solution" in known:
        return getattr(known["Solution"](), name)
    raise program.missing(name)


def _run_cases(job: Mapping[str, Any], program: Program) -> tuple[str, str]:
    """Pairs of arguments and expected value, in order, up to the first that fails."""
    function = _entry(program, program.loaded(job["names"]), job["entry_point"])
    for i, case in enumerate(job["cases"]):
        args, expected = decode(case[0]), decode(case[1])
        got = function(*args)
        if got is None and job["in_place"] and args:
            got = args[0]
        if not same_value(got, expected, tolerance=job["tolerance"]):
            raise _Failed(f"case {i}")
    return "pass", ""


class _Solution(types.ModuleType):
    """The module ``solution``: every public name is asked of the program when tests look it up."""

    def __init__(self, program: Program) -> None:
        super().__init__("solution")
        self.__dict__["_program"] = program

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        program: Program = self.__dict__["_program"]
        if not program.has(name):
            program.raised.append(error := AttributeError(f"the program defines no {name}"))
            raise error
        self.__dict__[name] = value = program.name(name)
        return value


def _run_code(job: Mapping[str, Any], program: Program) -> tuple[str, str]:
    """Test source, HumanEval's ``check``, plain asserts, pytest functions or unittest classes."""
    count = _Count()
    module = types.ModuleType("tests")
    space = module.__dict__
    space.update(__name__="tests", __file__="/tests.py")
    sys.modules["tests"] = module
    pytest = sys.modules["pytest"] = pytest_part.as_module(program)
    for name in job["modules"]:
        _require(name)
    unittest.main = lambda *args, **kwargs: None  # type: ignore[assignment]
    exec(marshal.loads(bytes.fromhex(job["context"])), space)
    known = program.loaded(job["names"])
    solution = sys.modules["solution"] = _Solution(program)
    entry = job["entry_point"]
    plain = _bind(job, known, space, solution)
    if entry and entry not in space:
        raise program.missing(entry)
    random.seed = functools.partial(_seed, program, random.seed)
    given = set(space)
    space[job["ran"]] = count.add
    try:
        exec(marshal.loads(bytes.fromhex(job["tests"])), space)
    except SystemExit as end:
        if end.code or program.raised_here(end):
            raise
    if entry and job["defines_check"]:
        space["check"](space[entry])
    tests = _collect({k: v for k, v in space.items() if k not in given}, pytest)
    for test in list(tests):  # all are found before one runs
        test()
    constants = any(name in known for name in job["constants"])
    if count.ran and (program.calls or constants):
        return "pass", ""
    if count.ran and not plain:
        return "unsupported", "the tests never call the program"
    if program.calls or plain:  # what the program said may have led around them
        return "wrong", "no assertion of the tests was reached"
    return "unsupported", "the tests never call the program"


def _seed(program: Program, seed: Callable[..., None], *args: Any, **more: Any) -> None:
    """``random.seed`` of the tests counts in the program too."""
    seed(*args, **more)
    if args and isinstance(args[0], int | float | str | bytes):
        program.ask("seed", args[0])


def _require(module: str) -> None:
    """Unsupported where the tests import what is not here."""
    root = module.partition(".")[0]
    if root not in sys.modules and importlib.util.find_spec(root) is None:
        raise Unsupported(f"the tests import {root}, which is not installed in the sandbox")


def _bind(
    job: Mapping[str, Any],
    known: Mapping[str, Any],
    space: dict[str, Any],
    solution: types.ModuleType,
) -> int:
    """Put what the program defines of the names asked for into the tests' namespace.

    What the context defines stays, but for the entry point. How many are no stand-ins: what such a
    value is may lead the tests somewhere without a call of the program.
    """
    entry = job["entry_point"]
    solution.__dict__.update(known)
    space.update({n: value for n, value in known.items() if n == entry or n not in space})
    if "solution" not in known:
        space.setdefault("solution", solution)
    if job["star"]:
        solution.__dict__["__all__"] = list(known)
    if entry not in known:
        space.pop(entry, None)
    return sum(type(value) is not Remote for value in known.values())


def _collect(space: Mapping[str, Any], pytest: Any) -> Iterator[Callable[[], object]]:
    """What pytest would run: functions test*, methods of Test* classes, unittest cases."""
    fixtures = pytest_part.Fixtures(space, pytest)
    for name, thing in space.items():
        if type(thing) is types.FunctionType and name.startswith("test"):
            yield from pytest_part.expand(thing, fixtures)
        elif not issubclass(type(thing), type):
            continue
        elif issubclass(thing, unittest.TestCase):
            if thing.__module__ == "tests":
                yield functools.partial(_run_unittest, thing)
        elif name.startswith("Test"):
            inner = fixtures.within(thing)
            for method, _ in inspect.getmembers(thing, inspect.isroutine):
                if method.startswith("test"):
                    yield from pytest_part.expand_method(thing, method, inner)


def _run_unittest(case: type[unittest.TestCase]) -> None:
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    if result.failures or result.errors or not result.testsRun:
        raise _Failed(f"{case.__name__}: {[str(t) for t, _ in result.failures + result.errors]}")


_TRIALS: Mapping[str, Callable[[Mapping[str, Any], Program], tuple[str, str]]] = {
    "cases": _run_cases,
    "code": _run_code,
}

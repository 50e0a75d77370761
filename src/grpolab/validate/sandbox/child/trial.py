"""The trusted side: run the tests of one program and write the verdict.

The tests run in a sandbox of their own, apart from the program's, because they too are code that
somebody else wrote. The program is present only as stand-ins (`remote`).
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
import types
import unittest
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from grpolab.validate.sandbox.child import pytest_part
from grpolab.validate.sandbox.child.compare import same_value
from grpolab.validate.sandbox.child.remote import Program, ProgramGone
from grpolab.validate.sandbox.child.script import start_afresh
from grpolab.validate.sandbox.child.values import decode, dumps

_DETAIL = 500


class _Failed(Exception):
    """A test that says no."""


def run(job: Mapping[str, Any], channel: int, output: int) -> None:
    """Judge, and write {"verdict", "detail"} to ``output``."""
    start_afresh()
    data = memoryview(dumps(judge(job, channel)))
    while data:
        data = data[os.write(output, data) :]


def judge(job: Mapping[str, Any], channel: int) -> dict[str, str]:
    """Verdict: pass, wrong, exception, oom, gone, or vacuous (the tests never call the program)."""
    program = Program(channel, cap=job["limits"]["output_bytes"])
    verdict, detail = "pass", ""
    try:
        _TRIALS[job["trial"]](job, program)
    except ProgramGone as err:
        verdict, detail = "gone", str(err)
    except BaseException as err:
        raised = any(err is known for known in program.raised)
        verdict = "exception" if raised else "wrong"
        if raised and program.out_of_memory:
            verdict = "oom"
        detail = f"{type(err).__name__}: {_text(err)}"
    if program.gone:  # a test that swallows everything does not undo this
        verdict, detail = "gone", program.gone
    if verdict == "pass" and not program.calls:
        verdict = "vacuous"
    return {"verdict": verdict, "detail": detail[:_DETAIL]}


def _text(err: BaseException) -> str:
    try:
        return str(err)
    except Exception:
        return ""


def _entry(program: Program, name: str) -> Any:
    """The function of that name, or the method of that name of a class ``Solution``."""
    known = program.names()
    if name in known:
        return program.name(name)
    if "Solution" in known:
        return getattr(program.name("Solution")(), name)
    raise program.missing(name)


def _run_cases(job: Mapping[str, Any], program: Program) -> None:
    """Pairs of arguments and expected value, in order, up to the first that fails."""
    function = _entry(program, job["entry_point"])
    for i, case in enumerate(job["cases"]):
        args, expected = decode(case[0]), decode(case[1])
        got = function(*args)
        if got is None and job["in_place"] and args:
            got = args[0]
        if not same_value(got, expected, tolerance=job["tolerance"]):
            raise _Failed(f"case {i}")


def _run_code(job: Mapping[str, Any], program: Program) -> None:
    """Test source, HumanEval's ``check``, plain asserts, pytest functions or unittest classes."""
    known = program.names()
    module = types.ModuleType("tests")
    module.__dict__["__name__"] = "tests"
    sys.modules["tests"] = module
    sys.modules["pytest"] = pytest_part.as_module()
    space = module.__dict__
    _execute(job["context"], "context", space)
    bound = {name: program.name(name) for name in known}
    solution = types.ModuleType("solution")
    solution.__dict__.update(bound)
    sys.modules["solution"] = solution
    space.update(bound)
    entry = job["entry_point"]
    if entry and entry not in known:
        raise program.missing(entry)
    given = set(space)
    _execute(job["tests"], "tests", space)
    if entry and "check" in space and "check" not in bound:
        space["check"](bound[entry])
    for test in _collect({k: v for k, v in space.items() if k not in given}):
        test()


def _execute(source: str, name: str, space: dict[str, Any]) -> None:
    exec(compile(source, f"<{name}>", "exec", dont_inherit=True), space)


def _collect(space: Mapping[str, Any]) -> Iterator[Callable[[], object]]:
    """What pytest would run: functions test*, methods of Test* classes, unittest cases."""
    for name, thing in space.items():
        if inspect.isclass(thing) and issubclass(thing, unittest.TestCase):
            yield functools.partial(_run_unittest, thing)
        elif inspect.isclass(thing) and name.startswith("Test"):
            methods = [m for m in vars(thing) if m.startswith("test")]
            for method in methods:
                yield from pytest_part.expand(getattr(thing(), method))
        elif inspect.isfunction(thing) and name.startswith("test"):
            yield from pytest_part.expand(thing)


def _run_unittest(case: type[unittest.TestCase]) -> None:
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    if result.failures or result.errors or not result.testsRun:
        raise _Failed(f"{case.__name__}: {[str(t) for t, _ in result.failures + result.errors]}")


_TRIALS: Mapping[str, Callable[[Mapping[str, Any], Program], None]] = {
    "cases": _run_cases,
    "code": _run_code,
}

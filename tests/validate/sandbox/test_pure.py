"""Tests that leave nothing share a process; calls that are certain are made unasked."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from grpolab.validate.sandbox import CaseTests, CodeTests, Job, Level, Limits, Outcome, Sandbox
from grpolab.validate.sandbox.child.server import REUSES
from grpolab.validate.sandbox.child.values import decode
from grpolab.validate.sandbox.pair import Pair
from grpolab.validate.sandbox.pure import leaves_nothing


def beside(name: str) -> ModuleType:
    """A module in this folder, which is no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


JOBS: dict[str, Job] = {**beside("correct").CORRECT, **beside("correct_pairs").PAIRS}
LEAVE_SOMETHING = [
    "import math\nmath.pi = 3\nassert f(1)",
    "import random\nrandom.random = lambda: 0\nassert f(1)",
    "import random\nrandom._inst.seed = None\nassert f(1)",
    "import copy\ncopy.dispatch_table[int] = 1\nassert f(1)",
    "import sys\nsys.modules.clear()\nassert f(1)",
    "import collections.abc\nassert f(1)",
    "from functools import lru_cache\nassert f(1)",
    "from math import *\nfrom os import *\nassert f(1)",
    "__builtins__['len'] = None\nassert f(1)",
    "assert f(1), __import__('os').environ.clear()",
    "assert f.__globals__.clear() is None",
    "(x for x in [1]).gi_frame.f_builtins['len'] = None\nassert f(1)",
    "try: 1 / 0\nexcept Exception as e: e.__traceback__.tb_frame.f_builtins.clear()\nassert f(1)",
    "try: 1 / 0\nexcept Exception as e: e.with_traceback(None).tb_frame\nassert f(1)",
    "exec('import os')\nassert f(1)",
    "assert getattr(f, '__class__')",
    "assert type(f(1)) is int",
    "open('/tmp/x')\nassert f(1)",
    "def len(x): return 1\nglobals()['len'] = len\nassert f(1)",
    "class A: pass\nassert f(A())",
    "def check(c):\n    global x\n    x = 1\n    assert c(1)",
    "async def g(): assert f(1)",
    "from typing import get_type_hints\nassert f(1)",
    "import random as __builtins__\nassert f(1)",
    "def g(__builtins__): assert f(1)",
    "assert f(1), input()",
    "del f.x\nassert f(1)",
]


@pytest.mark.parametrize("source", LEAVE_SOMETHING)
def test_what_may_leave_something_is_not_pure(source: str) -> None:
    assert not leaves_nothing(ast.parse(source))


@pytest.mark.parametrize(
    "source",
    [
        "import math\ndef check(c):\n    for i in range(9): assert abs(c(i) - math.sin(i)) < 1e-6",
        "from typing import List\ndef h(xs: List[int]): return sum(xs)\nassert f(1) == h([1])",
        "from collections import Counter\nassert Counter(f(1)) == Counter('a')",
        "try:\n    f(1)\n    assert False\nexcept ValueError as e: assert 'x' in str(e)",
        "xs = [3]\nxs.append(1)\nxs[0] = 2\nassert f(xs) == sorted(xs, key=lambda x: -x)",
    ],
)
def test_what_only_computes_is_pure(source: str) -> None:
    assert leaves_nothing(ast.parse(source))


CERTAIN = {
    "assert f(1) == 2\nassert f([1], 'a') == (2,)": 2,
    "X = 1\nassert f(1) == 1\nassert not f(2)\nassert f(3) in [1, 2]\nassert -f(4) < f(5)": 5,
    "X = 1\nassert f(1) == X": 0,
    "assert g(1) == f(2)\nassert len(f(3)) == 2\nassert (f(4), [g(5)]) == (1, [2])": 5,
    "assert f(1) == 2, f'{f(7)}'": 1,
    "assert f(1) == 2 and f(3)": 0,
    "assert f(1) < f(2) < f(3)": 0,
    "assert f(1) if f(2) else f(3)": 0,
    "assert all(f(i) for i in [1, 2])": 0,
    "for i in [1]: assert f(i)": 0,
    "x = [1]\nassert f(x) == 2": 0,
    "x = f(1)\nassert x": 0,
    "assert f(f(1)) == 2": 0,
    "assert f(x=1) == 2": 0,
    "assert f(*[1]) == 2": 0,
    "assert f({1, 2}) == 2": 0,
    "assert (lambda: f(1))() == 2": 0,
    "assert f(1)(2) == 3": 0,
    "assert f.g(1) == 2": 0,
    "assert f(1).x == 2": 0,
    "assert f(1)[0] == 2": 0,
    "assert sum(f(1)) == 2": 0,
    "def len(x): return f(9)\nassert len(f(1)) == 2": 0,
    "def abs(x): return 1": 0,
    "assert [x := f(1)] == 2": 0,
    "import random\nrandom.seed(1)\nassert f(1) == 2": 0,
    "try: assert f(1)\nexcept ValueError: pass": 0,
    "if True:\n    assert f(1)": 0,
    "def test_a():\n    assert f(1) == 2": 0,
}


@pytest.mark.parametrize("source", CERTAIN)
def test_calls_that_no_answer_can_prevent(source: str) -> None:
    assert len(CodeTests(tests=source).suite().calls) == CERTAIN[source]


@pytest.mark.parametrize(
    ("tests", "number"),
    [
        ("def check(c):\n    assert c(1) == 2\n    assert c(3) == 4", 2),
        ("META = {}\n\ndef check(candidate):\n    'x'\n    assert candidate(1) == 2\n    pass", 1),
        ("def check(c, d=f(1)):\n    assert c(1) == 2", 0),
        ("def check(*c):\n    assert c(1) == 2", 0),
        ("@f\ndef check(c):\n    assert c(1) == 2", 0),
        ("def check(c):\n    assert f(1) == 2", 0),
        ("def check(c):\n    assert c(1) == 2\ncheck(f)", 0),
        ("def check(c):\n    c = 1\n    assert c(1) == 2", 0),
        ("def check(c):\n    return\n    assert c(1) == 2", 0),
    ],
)
def test_calls_of_a_check(tests: str, number: int) -> None:
    assert len(CodeTests(tests=tests, entry_point="f").suite().calls) == number


def planned() -> list[str]:
    return [n for n, j in JOBS.items() if isinstance(j.tests, CodeTests) and j.tests.suite().calls]


@pytest.mark.parametrize("name", planned())
def test_the_tests_make_the_calls_that_are_certain(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one process, where each call can be seen."""
    tests = JOBS[name].tests
    assert isinstance(tests, CodeTests)
    space: dict[str, Any] = {"__name__": "tests"}
    monkeypatch.setitem(sys.modules, "solution", module := ModuleType("solution"))
    program = vars(module)
    exec(tests.context, space)
    exec(JOBS[name].program, program)
    seen: list[Any] = []

    def spied(name: str, function: Any) -> Any:
        def call(*args: Any) -> Any:
            seen.append((name, list(args)))
            return function(*args)

        return call

    for asked in {name for name, _ in tests.suite().calls}:
        space[asked] = spied(asked, program[asked])
    exec(tests.tests, space)
    if tests.suite().defines_check:
        space["check"](space[tests.entry_point])
    assert seen == [(name, decode(args)) for name, args in tests.suite().calls]


def test_a_wrong_answer_ends_before_a_later_call_does(sandbox: Sandbox) -> None:
    loops = Job(
        "def f(x):\n    while x: pass\n    return 5",
        CodeTests(tests="assert f(0) == 4\nassert f(1) == 4"),
    )
    assert sandbox.run(loops).outcome is Outcome.WRONG
    cases = CaseTests(cases=[((0,), 4), ((1,), 4)], entry_point="f")
    assert sandbox.run(Job(loops.program, cases)).outcome is Outcome.WRONG


def test_an_exception_is_what_the_call_raises(sandbox: Sandbox) -> None:
    raises = Job(
        "def f(x):\n    if x: raise KeyError('no')\n    return 5",
        CodeTests(tests="assert f(0) == 5\nassert f(1) == 5\nassert f(0) == 5"),
    )
    result = sandbox.run(raises)
    assert (result.outcome, result.detail) == (Outcome.EXCEPTION, "KeyError: 'no'")


def test_cases_of_a_method_and_of_a_changed_argument(sandbox: Sandbox) -> None:
    method = "class Solution:\n    n = 0\n    def f(self, x):\n        self.n += 1\n"
    method += "        return self.n"
    cases = CaseTests(cases=[((1,), 1), ((2,), 2)], entry_point="f")
    assert sandbox.run(Job(method, cases)).outcome is Outcome.PASS
    changed = CaseTests(cases=[(([2, 1],), [1, 2])], entry_point="f", in_place=True)
    assert sandbox.run(Job("def f(x): x.sort()", changed)).outcome is Outcome.PASS
    sets = CaseTests(cases=[(({"a", "b"},), 2), ((float("nan"),), 0)], entry_point="f")
    count = "n = 0\ndef f(x):\n    global n\n    n += 1\n    return len(x) if n == 1 else 2 - n"
    assert sandbox.run(Job(count, sets)).outcome is Outcome.PASS


def test_pure_tests_share_a_process_and_others_do_not(level: Level) -> None:
    """More suites than one process runs, with failures of every kind in between."""
    pure = Job("def f(x): return x", CodeTests(tests="assert f(1) == 1"))
    between = {
        Outcome.WRONG: Job("def f(x): return 2", pure.tests),
        Outcome.EXCEPTION: Job("def f(x): return 1 / 0", pure.tests),
        Outcome.TIMEOUT: Job(
            "def f(x): return x", CodeTests(tests="assert f(1)\nwhile True: pass")
        ),
        Outcome.PASS: Job(
            "def f(x): return x", CodeTests(tests="import os\nassert f(os.sep) == '/'")
        ),
    }
    limits = Limits(cpu_seconds=0.3, wall_seconds=3)
    with Sandbox(level=level, workers=1, limits=limits) as pool:
        for number in range(REUSES + 6):
            assert pool.run(pure).outcome is Outcome.PASS
            if number % 23 == 0:
                for wanted, job in between.items():
                    result = pool.run(job)
                    assert (result.outcome, result.tries) == (wanted, 1)
    pair = Pair(level, Limits())
    told = [pair.run(pure).outcome for _ in range(2)]
    pair.close()
    assert told == [Outcome.PASS, Outcome.PASS]


LEAVES = {
    "a global": ("X = 5\nassert f() == 1", "assert f() == X"),
    "a function": ("def g(): return 1\nassert f() == g()", "assert g() == f()"),
    "a shadowed builtin": ("def check(len):\n    assert len() == 1", "assert len([f()]) == 1"),
    "random numbers": (
        "import random\nrandom.seed(3)\nassert f() == 1",
        "import random\nassert f() == 1 and random.random() == 0.8444218515250481",
    ),
    "an exhausted iterator": ("it = iter([1])\nassert f() == next(it)", "assert f() == next(it)"),
}


@pytest.mark.parametrize("name", LEAVES)
def test_a_suite_leaves_nothing_to_the_next(sandbox: Sandbox, name: str) -> None:
    first, second = LEAVES[name]
    entry = "f" if "check" in first else ""
    program = "def f(): return 1"
    fresh = sandbox.run(Job(program, CodeTests(tests=f"{second}\nclass A: pass"))).outcome
    assert sandbox.run(Job(program, CodeTests(tests=first, entry_point=entry))).outcome == "pass"
    after = sandbox.run(Job(program, CodeTests(tests=second))).outcome
    assert after == fresh

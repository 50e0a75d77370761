"""No hostile program is judged correct, escapes its verdict, or touches anything."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from grpolab.validate.sandbox import (
    CaseTests,
    CodeTests,
    Job,
    Level,
    Limits,
    Outcome,
    Sandbox,
    TextTests,
)

TIGHT = Limits(cpu_seconds=0.1, wall_seconds=1.0, memory_bytes=192 << 20, output_bytes=1 << 20)
NO_VERDICT_OR_CORRECT = {Outcome.PASS, Outcome.SANDBOX_ERROR, Outcome.UNSUPPORTED}


def beside(name: str) -> ModuleType:
    """A module in this folder, which is no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hostile = beside("hostile")
CORRECT: dict[str, Job] = {**beside("correct").CORRECT, **beside("correct_pairs").PAIRS}


def as_code(source: str, tokens: tuple[str, str]) -> Job:
    """The weakest tests: whatever ``==`` accepts."""
    lines = [f"    assert candidate({i}) == {token!r}" for i, token in enumerate(tokens)]
    tests = "\n".join(["def check(candidate):", *lines])
    return Job(source, CodeTests(tests=tests, entry_point="answer"))


def as_asserts(source: str, tokens: tuple[str, str]) -> Job:
    """As MBPP writes them, with a builtin that a program may want to replace."""
    lines = [f"assert set([answer({i})]) == set([{token!r}])" for i, token in enumerate(tokens)]
    return Job(source, CodeTests(tests="\n".join(lines)))


def as_functions(source: str, tokens: tuple[str, str]) -> Job:
    """As pytest collects them, with an argument that may be rewritten."""
    tests = (
        f"import pytest\nimport solution as s\nfrom solution import answer\nTOKENS = {tokens!r}\n"
        "@pytest.mark.parametrize('i', [0, 1])\ndef test_one(i):\n"
        "    assert s.answer(i) == TOKENS[i]\n"
        "def test_two():\n    for i, want in enumerate(TOKENS):\n        assert answer(i) == want\n"
    )
    return Job(source, CodeTests(tests=tests))


def as_methods(source: str, tokens: tuple[str, str]) -> Job:
    """As unittest runs them."""
    tests = (
        f"import unittest\nfrom solution import answer\nTOKENS = {tokens!r}\n"
        "class TestAnswer(unittest.TestCase):\n"
        "    def test_one(self):\n"
        "        for i in range(2): self.assertEqual(answer(i), TOKENS[i])\n"
        "    def test_two(self): self.assertIn(answer(1), TOKENS)\n"
    )
    return Job(source, CodeTests(tests=tests))


def as_objects(source: str, tokens: tuple[str, str]) -> Job:
    """Tests that pass lists and objects of their own, and sort out what they see afterwards."""
    tests = (
        f"TOKENS = {tokens!r}\nclass Box:\n    def __init__(self, v): self.v = v\n"
        "    def get(self): return self.v\n"
        "def check(candidate):\n    for i, token in enumerate(TOKENS):\n"
        "        box, items = Box(token[:3]), [token[:3]]\n"
        "        try: got = candidate(i, items, box)\n"
        "        except TypeError: got = candidate(i)\n"
        "        assert box.get() == token[:3] and items == [token[:3]]\n"
        "        assert got == token and not isinstance(got, Box)\n"
    )
    return Job(source, CodeTests(tests=tests, entry_point="answer"))


FORMS = (as_asserts, as_functions, as_methods, as_objects)


def as_cases(source: str, tokens: tuple[str, str]) -> Job:
    cases = [((i,), token) for i, token in enumerate(tokens)]
    return Job(source, CaseTests(cases=cases, entry_point="answer"))


def as_text(source: str, tokens: tuple[str, str]) -> Job:
    return Job(source, TextTests(cases=[(str(i), token) for i, token in enumerate(tokens)]))


def test_corpus_is_large_and_explained() -> None:
    programs = {**hostile.CALLS, **hostile.TEXTS}
    assert len(programs) >= 200
    assert all(program.attempt and program.source.strip() for program in programs.values())


def test_the_page_lists_the_whole_corpus() -> None:
    page = (Path(__file__).parents[3] / "docs" / "sandbox.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| ([\w-]+) \| .* \| (\w+) \|$", page, re.MULTILINE)
    assert [name for name, _ in listed] == ["program", *hostile.CALLS, *hostile.TEXTS]
    assert "pass" not in {outcome for _, outcome in listed}


IN_EVERY_FORM = [
    "names-in-job", "more-bindings", "bindings-by-name", "builtin-type", "forged-arguments",
    "forged-own-table", "forged-thrown", "skip-test", "skip-by-name", "skip-in-line", "pytest-skip",
    "exit-class", "exit-in-line", "stop-async", "changing-list", "learning-container",
    "lying-class", "lying-enum", "lying-sub", "lying-named-tuple", "forged-type", "valid-frames",
    "writer-thread", "sys-exit", "stop-iteration", "always-equal-object", "any-mock",
]  # fmt: skip


def test_no_hostile_program_gets_through(level: Level, world: Any) -> None:
    jobs = {
        f"{name} ({program.attempt})": form(
            hostile.placed(program.source, world.places), world.tokens
        )
        for programs, form in ((hostile.CALLS, as_code), (hostile.TEXTS, as_text))
        for name, program in programs.items()
    }
    none_gets_through(jobs, level, world)


def test_the_worst_get_through_in_no_form(one_level: Level, world: Any) -> None:
    """What reads the answers is one and the same at every level."""
    none_gets_through(in_forms(IN_EVERY_FORM, FORMS, world), one_level, world)


@pytest.mark.slow  # half a thousand programs that want their time, for what the worst show
def test_no_program_gets_through_in_one_more_form(one_level: Level, world: Any) -> None:
    jobs = {}
    for number, form in enumerate(FORMS):
        jobs |= in_forms(list(hostile.CALLS)[number :: len(FORMS)], [form], world)
    none_gets_through(jobs, one_level, world)


def in_forms(
    names: Sequence[str], forms: Sequence[Callable[[str, tuple[str, str]], Job]], world: Any
) -> dict[str, Job]:
    """Programs with tests in other forms than those of the corpus."""
    return {
        f"{name} ({form.__name__})": form(
            hostile.placed(hostile.CALLS[name].source, world.places), world.tokens
        )
        for form in forms
        for name in names
    }


def none_gets_through(jobs: dict[str, Job], level: Level, world: Any) -> None:
    before, tokens = world.state(), world.tokens
    others = descendants(os.getpid())
    with Sandbox(level=level, limits=TIGHT, workers=2) as pool:
        results = pool.run_many(list(jobs.values()))
        servers = descendants(os.getpid()) - others
        after_all = pool.run(as_code(f"def answer(i): return {tokens!r}[i]", tokens))
    got_through = {
        name: result
        for name, result in zip(jobs, results, strict=True)
        if result.outcome in NO_VERDICT_OR_CORRECT
    }
    assert got_through == {}
    assert {result.level for result in results} == {str(level)}
    assert world.state() == before
    assert after_all.outcome is Outcome.PASS
    assert servers
    assert wait_until_gone(servers)


VALUE_TRICKS = [
    "always-equal-object", "always-equal-str", "metaclass-equal", "contains-all", "frame-walk",
    "lazy-object", "nan", "not-implemented", "any-mock", "generator", "forge-reply", "patch-json",
]  # fmt: skip


@pytest.mark.parametrize("name", VALUE_TRICKS)
def test_value_tricks_fail_on_cases_too(sandbox: Sandbox, name: str) -> None:
    result = sandbox.run(as_cases(hostile.CALLS[name].source, ("token-1", "token-2")))
    assert result.outcome not in NO_VERDICT_OR_CORRECT


@pytest.mark.parametrize("name", ["abstract-socket", "raw-io", "subprocess", "tcp"])
def test_without_walls_the_same_programs_get_through(name: str, world: object) -> None:
    source = hostile.placed(hostile.CALLS[name].source, world.places)  # type: ignore[attr-defined]
    with Sandbox(level=Level.UNSAFE, unsafe=True, workers=1) as pool:
        result = pool.run(as_code(source, world.tokens))  # type: ignore[attr-defined]
    assert (result.outcome, result.level) == (Outcome.PASS, "unsafe")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def answer(i): return i == 0 and 1", [True, False]),  # int for bool
        ("def answer(i): return True", [1, 1]),  # bool for int
        ("def answer(i): return float('nan')", [0.5, 0.5]),
        ("def answer(i): return float('inf')", [1e308, 1e308]),
        ("def answer(i): return '1'", [1, 1]),
        ("def answer(i): return b'a'", ["a", "a"]),
        ("def answer(i): return 'e\\u0301'", ["\u00e9", "\u00e9"]),  # same look
        ("def answer(i): return '\\u0430'", ["a", "a"]),  # Cyrillic
        ("def answer(i): return {'a': 1, 'b': 2}", [{"a": 1}, {"a": 1}]),
        ("def answer(i): return {True: 'x'}", [{1: "x"}, {1: "x"}]),
        ("def answer(i): return [1, 2, 3]", [[1, 2], [1, 2]]),
        ("def answer(i): return {1, True}", [{True}, {True}]),
        ("def answer(i): return 10 ** 400", [1.0, 1.0]),
        ("def answer(i): return None", [0, 0]),
    ],
)
def test_near_misses_are_wrong(sandbox: Sandbox, source: str, expected: list[object]) -> None:
    cases = [((i,), value) for i, value in enumerate(expected)]
    result = sandbox.run(Job(source, CaseTests(cases=cases, entry_point="answer")))
    assert result.outcome is Outcome.WRONG


@pytest.mark.parametrize("printed", ["１", "1_0", "nan", "inf", "0x1", "1,0", "1 1", "", "1\\n1"])
def test_numbers_in_disguise_are_wrong(sandbox: Sandbox, printed: str) -> None:
    tests = TextTests(cases=[("", "1")], tolerance=0.1)
    assert sandbox.run(Job(f"print('{printed}')", tests)).outcome is Outcome.WRONG


@pytest.mark.parametrize(
    ("program", "tests"),
    [
        # clears its argument, and the tests compute the expected value afterwards
        ("def f(x):\n    x.clear()\n    return []", "a = [2, 1]\nassert f(a) == sorted(a)"),
        # ends the tests' loop before the first comparison
        (
            "def f(x): raise StopIteration",
            "for got, want in zip(map(f, [1, 2]), [3, 4]):\n    assert got == want",
        ),
        # is gone before the tests look, and the tests swallow everything
        (
            "import os\ndef f(x): os._exit(0)",
            "try:\n    assert f(1) == 2\nexcept BaseException:\n    pass",
        ),
        # replaces the helper that the prompt gave to the tests
        ("def twice(x): return 6\ndef f(x): return x", "assert twice(f(4)) == 6"),
        # claims to be an instance of everything and larger than everything
        (
            "class A:\n    __gt__ = __lt__ = __le__ = __ge__ = lambda s, o: True\n"
            "    __class__ = int\ndef f(x): return A()",
            "assert isinstance(f(1), int) and f(1) > 5",
        ),
    ],
)
def test_weak_tests_are_not_weaker_than_written(sandbox: Sandbox, program: str, tests: str) -> None:
    job = Job(program, CodeTests(tests=tests, context="def twice(x): return 2 * x"))
    assert sandbox.run(job).outcome not in NO_VERDICT_OR_CORRECT


LOOKS = """
import json, os, random, sys, tempfile, threading
first = random.random()
try:
    threads = len(os.listdir("/proc/self/task"))
except OSError:
    threads = 1
def f():
    if hasattr(json, "poisoned") or first == 0.0: return "modules"
    for place in (tempfile.gettempdir(), "/tmp", "/dev/shm", "/scratch"):
        try:
            if "stash" in os.listdir(place) or (place != "/tmp" and os.listdir(place)): return place
        except OSError: pass
    if threads != 1 or threading.active_count() != 1: return "threads"
    for fd in range(3, 1024):
        if fd != 50:
            try: os.fstat(fd)
            except OSError: continue
            return f"descriptor {fd}"
    kept = ("SANDBOX_TOKENS", "POISON")
    return next((name for name in kept if name in os.environ), "clean")
"""
LEAVES = {
    "modules": hostile.CALLS["warm-server"].source,
    "files": hostile.CALLS["stash"].source,
    "deep folders": hostile.CALLS["deep-folders"].source,
    "closed folders": hostile.CALLS["closed-folders"].source,
    "many files": hostile.CALLS["many-files"].source,
    "environment": "import os\nos.environ['POISON'] = '1'\nos.umask(0)\ndef answer(i): return ''",
    "threads": "import threading, time\ndef answer(i):\n"
    "    for _ in range(5): threading.Thread(target=time.sleep, args=(9,)).start()\n",
    "frames": hostile.CALLS["valid-frames"].source,
    "spare": hostile.CALLS["spare-line"].source,
    "large answers": hostile.CALLS["big-guess"].source,
    "names": hostile.CALLS["name-flood"].source,
    "line ends": hostile.CALLS["line-end-in-text"].source,
    "answers nobody asked for": hostile.CALLS["unasked-for-ever"].source,
    "deep answers": hostile.CALLS["nested-answer"].source,
    "signals": "import signal\nfor s in range(1, 32):\n    try: signal.signal(s, signal.SIG_IGN)\n"
    "    except (OSError, ValueError): pass\nsignal.pthread_sigmask(0, range(1, 32))\n"
    "def answer(i): return ''",
    "priority": "import os\ntry: os.nice(19)\nexcept OSError: pass\ndef answer(i): return ''",
    "kill": hostile.CALLS["kill-all"].source.replace("OWNER_PID", "2"),
}


@pytest.mark.parametrize("name", LEAVES)
def test_a_program_leaves_nothing_to_the_next(level: Level, name: str) -> None:
    """Eight programs in a row, so that those who were forked together meet too."""
    clean = Job(LOOKS, CodeTests(tests="assert f() == 'clean'"))
    limits = Limits(cpu_seconds=0.3, wall_seconds=2)
    with Sandbox(level=level, workers=1, limits=limits) as pool:
        for _ in range(4):
            assert pool.run(as_code(LEAVES[name], ("a", "b"))).outcome not in NO_VERDICT_OR_CORRECT
            result = pool.run(clean)
            assert result.outcome is Outcome.PASS, result


FORGED_BY_TESTS = {
    "swallowing manager": (
        "class F:\n    def __enter__(self): return self\n    def __exit__(self, *e): return True\n"
        "    def v(self): return 2\n",
        "from solution import F\nwith F() as x:\n    assert x.v() == 1\n",
    ),
    "swallowing caller": (
        "def f(cb):\n    try: cb(2)\n    except BaseException: pass\n",
        "def cb(x):\n    assert x == 1\nf(cb)\n",
    ),
    "swallowing caller and manager": (
        "class F:\n    def __enter__(self): return self\n    def __exit__(self, *e): return True\n"
        "    def run(self, cb): cb(2)\n",
        "from solution import F\ndef cb(x):\n    assert x == 1\n"
        "with F() as f:\n    f.run(cb)\nassert isinstance(f, F)\n",
    ),
    "swallowing iterator": (
        "class F:\n    def __init__(self, cb): self.cb = cb\n    def __iter__(self): return self\n"
        "    def __next__(self):\n        try: self.cb(2)\n        except Exception: pass\n"
        "        raise StopIteration\n",
        "from solution import F\ndef cb(x):\n    assert x == 1\nfor x in F(cb): pass\n"
        "assert True == bool(F(cb))\n",
    ),
    "capitalised function": (
        "class Total:\n    def __init__(self, *a): pass\n    def __eq__(self, o): return True\n",
        "assert Total(1, 2) == 3",
    ),
    "result of a method": (
        "class A:\n    def __eq__(self, o): return True\nclass P:\n    def n(self): return A()\n",
        "from solution import P\np = P()\nassert p.n() == 3",
    ),
    "difference": (
        "class A:\n    __sub__ = __rsub__ = __abs__ = lambda *a: 0\n    __lt__ = lambda *a: True\n"
        "def f(): return A()\n",
        "assert abs(f() - 3.5) < 1e-6",
    ),
    "membership": (
        "class A:\n    __contains__ = lambda *a: True\ndef f(): return A()\n",
        "assert 3 in f()",
    ),
    "instance of a builtin": (
        "class A:\n    __class__ = int\ndef f(): return A()\n",
        "assert isinstance(f(), int)",
    ),
    "changed object": (
        "def f(n):\n    n.v = 0\n    return 0\n",
        "class N:\n    def __init__(self, v): self.v = v\nn = N(4)\nassert f(n) == n.v * 2",
    ),
    "changed method": (
        "def f(n):\n    n.good = lambda: True\n",
        "class N:\n    def good(self): return False\nn = N()\nf(n)\nassert n.good()",
    ),
    "changed keyword": (
        "def f(*, xs):\n    xs.clear()\n    return []\n",
        "a = [2, 1]\nassert f(xs=a) == sorted(a)",
    ),
    "changed set": ("def f(s):\n    s.clear()\n    return 0\n", "s = {1}\nassert f(s) == len(s)"),
    "empty answer": ("def f(): return []\n", "for x in f():\n    assert x > 0"),
    "no instances": (
        "K = []\ndef f(x): return 1\n",
        "from solution import K, f\nfor k in K:\n    assert f(k) == 2",
    ),
    "exit in a test": ("def f(): raise SystemExit(0)\n", "assert f() == 1"),
    "exit in unittest": (
        "def f(): raise SystemExit(0)\n",
        "import unittest\nfrom solution import f\nclass T(unittest.TestCase):\n"
        "    def test_a(self): self.assertEqual(f(), 1)",
    ),
    "keyword interrupt in unittest": (
        "def f(): raise KeyboardInterrupt\n",
        "import unittest\nfrom solution import f\nclass T(unittest.TestCase):\n"
        "    def test_a(self): self.assertEqual(f(), 1)",
    ),
    "fake assertion error": (
        "class AssertionError(Exception): pass\ndef f(): raise AssertionError\n",
        "import pytest\nfrom solution import f\ndef test_a():\n"
        "    with pytest.raises(ValueError): f()",
    ),
}


@pytest.mark.parametrize("name", FORGED_BY_TESTS)
def test_what_tests_do_with_objects_forges_nothing(sandbox: Sandbox, name: str) -> None:
    program, tests = FORGED_BY_TESTS[name]
    result = sandbox.run(Job(program, CodeTests(tests=tests)))
    assert result.outcome not in NO_VERDICT_OR_CORRECT, result


@pytest.mark.parametrize("name", CORRECT)
def test_correct_programs_pass(sandbox: Sandbox, name: str) -> None:
    result = sandbox.run(CORRECT[name])
    assert result.outcome is Outcome.PASS, result


def test_time_is_processor_time(level: Level) -> None:
    limits = Limits(cpu_seconds=0.3)
    sleeps = Job(
        "import time\ndef f():\n    time.sleep(0.8)\n    return 1",
        CodeTests(tests="assert f() == 1"),
    )
    loops = Job("def f():\n    while True: pass", CodeTests(tests="assert f()"))
    with Sandbox(level=level, limits=limits, workers=1) as pool:
        slept, looped = pool.run(sleeps), pool.run(loops)
    assert slept.outcome is Outcome.PASS
    assert slept.wall_seconds > 0.8
    assert (looped.outcome, looped.detail) == (Outcome.TIMEOUT, "cpu limit")
    assert 0.3 < looped.cpu_seconds < 0.6


OWNER = """
import sys
from grpolab.validate.sandbox import CodeTests, Job, Level, Limits, Sandbox
pool = Sandbox(level=Level(sys.argv[1]), workers=1, limits=Limits(cpu_seconds=20))
pool.run(Job("def f(): return 1", CodeTests(tests="assert f()")))
print("ready", flush=True)
pool.run(Job("def f():\\n    while True: pass", CodeTests(tests="assert f()")))
"""


def test_everything_ends_with_its_owner(level: Level, tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, level], stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert owner.stdout is not None
    with owner.stdout as words:
        assert words.readline() == b"ready\n"
        time.sleep(0.2)
        servers = descendants(owner.pid)
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    assert len(servers) >= 3
    assert wait_until_gone(servers)
    assert list(tmp_path.iterdir()) == []


def descendants(pid: int) -> set[tuple[int, str]]:
    """Processes below one, each with its start time."""
    parents: dict[int, tuple[int, str]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            known = stat(int(entry.name))
            if known is not None:
                parents[int(entry.name)] = known
    found: set[int] = {pid}
    while more := {p for p, (parent, _) in parents.items() if parent in found} - found:
        found |= more
    return {(p, parents[p][1]) for p in found - {pid}}


def stat(pid: int) -> tuple[int, str] | None:
    """Parent and start time of a live process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else (int(fields[1]), fields[19])


def wait_until_gone(processes: set[tuple[int, str]]) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        left = [p for p, start in processes if (stat(p) or (0, ""))[1] == start]
        if not left:
            return True
        time.sleep(0.02)
    return False

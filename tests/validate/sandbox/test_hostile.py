"""No hostile program is judged correct, escapes its verdict, or touches anything."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

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

TIGHT = Limits(cpu_seconds=0.15, wall_seconds=1.0, memory_bytes=192 << 20, output_bytes=1 << 20)
NO_VERDICT_OR_CORRECT = {Outcome.PASS, Outcome.SANDBOX_ERROR}


def beside(name: str) -> ModuleType:
    """A module in this folder, which is no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hostile = beside("hostile")
CORRECT: dict[str, Job] = beside("correct").CORRECT


def as_code(source: str, tokens: tuple[str, str]) -> Job:
    """The weakest tests: whatever ``==`` accepts."""
    lines = [f"    assert candidate({i}) == {token!r}" for i, token in enumerate(tokens)]
    tests = "\n".join(["def check(candidate):", *lines])
    return Job(source, CodeTests(tests=tests, entry_point="answer"))


def as_cases(source: str, tokens: tuple[str, str]) -> Job:
    cases = [((i,), token) for i, token in enumerate(tokens)]
    return Job(source, CaseTests(cases=cases, entry_point="answer"))


def as_text(source: str, tokens: tuple[str, str]) -> Job:
    return Job(source, TextTests(cases=[(str(i), token) for i, token in enumerate(tokens)]))


def test_corpus_is_large_and_explained() -> None:
    programs = {**hostile.CALLS, **hostile.TEXTS}
    assert len(programs) >= 120
    assert all(program.attempt and program.source.strip() for program in programs.values())


def test_the_page_lists_the_whole_corpus() -> None:
    page = (Path(__file__).parents[3] / "docs" / "sandbox.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| ([\w-]+) \| .* \| (\w+) \|$", page, re.MULTILINE)
    assert [name for name, _ in listed] == ["program", *hostile.CALLS, *hostile.TEXTS]
    assert "pass" not in {outcome for _, outcome in listed}


def test_no_hostile_program_gets_through(level: Level, world: object) -> None:
    before = world.state()  # type: ignore[attr-defined]
    tokens, places = world.tokens, world.places  # type: ignore[attr-defined]
    jobs = {
        f"{name} ({program.attempt})": form(hostile.placed(program.source, places), tokens)
        for programs, form in ((hostile.CALLS, as_code), (hostile.TEXTS, as_text))
        for name, program in programs.items()
    }
    with Sandbox(level=level, limits=TIGHT, workers=3) as pool:
        results = pool.run_many(list(jobs.values()))
        servers = descendants(os.getpid())
        after_all = pool.run(as_code(f"def answer(i): return {tokens!r}[i]", tokens))
    got_through = {
        name: result
        for name, result in zip(jobs, results, strict=True)
        if result.outcome in NO_VERDICT_OR_CORRECT
    }
    assert got_through == {}
    assert {result.level for result in results} == {str(level)}
    assert world.state() == before  # type: ignore[attr-defined]
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


def test_a_program_leaves_nothing_to_the_next(level: Level) -> None:
    poison = hostile.CALLS["warm-server"].source
    looks = (
        "import json, random\nfirst = random.random()\n"
        "def f(): return hasattr(json, 'poisoned') or first == 0.0"
    )
    tests = CodeTests(tests="assert f() is False")
    with Sandbox(level=level, workers=1) as pool:
        pool.run(as_code(poison, ("a", "b")))
        assert pool.run(Job(looks, tests)).outcome is Outcome.PASS


@pytest.mark.parametrize("name", CORRECT)
def test_correct_programs_pass(sandbox: Sandbox, name: str) -> None:
    result = sandbox.run(CORRECT[name])
    assert result.outcome is Outcome.PASS, result


def test_time_is_processor_time(level: Level) -> None:
    limits = Limits(cpu_seconds=0.3)
    sleeps = Job("import time\ndef f():\n    time.sleep(0.8)\n    return 1", CodeTests(tests="assert f() == 1"))
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


def test_everything_ends_with_its_owner(level: Level) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, level], stdout=subprocess.PIPE)
    assert owner.stdout is not None
    with owner.stdout as words:
        assert words.readline() == b"ready\n"
        time.sleep(0.2)
        servers = descendants(owner.pid)
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    assert len(servers) >= 3
    assert wait_until_gone(servers)


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

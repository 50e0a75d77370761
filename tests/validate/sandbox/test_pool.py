"""Outcomes, retries, batches, levels, and what the tests may ask for."""

from __future__ import annotations

import json
import math
import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from grpolab.errors import UserError
from grpolab.validate.sandbox import (
    CaseTests,
    CodeTests,
    Job,
    Level,
    Limits,
    Outcome,
    Sandbox,
    TextTests,
    choose_level,
    levels,
    pool,
    probe,
    worker,
)
from grpolab.validate.sandbox.pair import judge_calls, judge_script
from grpolab.validate.sandbox.text import same_text
from grpolab.validate.sandbox.worker import Report

ONE = CodeTests(tests="assert f() == 1")


def report(how: str, code: int = 0, output: bytes = b"") -> Report:
    return Report(how, code, 0.1, 0.2, 1000, output)


def says(verdict: str) -> Report:
    return report("exit", 0, json.dumps({"verdict": verdict, "detail": ""}).encode())


GONE = says("gone")


@pytest.mark.parametrize(
    ("program", "trial", "outcome"),
    [
        (report("exit"), says("pass"), Outcome.PASS),
        (report("stopped"), says("pass"), Outcome.PASS),
        (report("exit"), says("wrong"), Outcome.WRONG),
        (report("exit"), says("exception"), Outcome.EXCEPTION),
        (report("exit"), says("oom"), Outcome.OOM),
        (report("cpu"), GONE, Outcome.TIMEOUT),
        (report("wall"), report("wall"), Outcome.TIMEOUT),
        (report("stopped"), report("cpu"), Outcome.TIMEOUT),
        (report("signal", 9), GONE, Outcome.EXCEPTION),
        (report("exit", 71), GONE, Outcome.EXCEPTION),
        (report("exit"), GONE, Outcome.EXCEPTION),
        (report("exit"), report("signal", 11), Outcome.EXCEPTION),
        (report("exit"), report("exit", 71), Outcome.EXCEPTION),
        (report("exit"), report("output"), Outcome.EXCEPTION),
        (report("exit"), says("unsupported"), Outcome.UNSUPPORTED),
        (report("killed", 9), GONE, Outcome.SANDBOX_ERROR),
        (report("stopped"), report("killed", 9), Outcome.SANDBOX_ERROR),
        (report("disk"), GONE, Outcome.EXCEPTION),
        (report("exit"), report("exit", 0, b'{"verdict":"pass","detail":""}x'), Outcome.EXCEPTION),
        (report("exit"), report("exit", 0, b'{"verdict":"pass"}'), Outcome.EXCEPTION),
        (report("exit"), report("exit", 0, b'{"verdict":"pass","detail":[]}'), Outcome.EXCEPTION),
        (report("exit"), report("exit", 0, b"[" * 100000), Outcome.EXCEPTION),
        (report("exit"), report("exit", 0, b"\xff"), Outcome.EXCEPTION),
        (report("exit"), report("exit", 1, b'{"verdict":"pass","detail":""}'), Outcome.EXCEPTION),
        (report("unready", 70, b"OSError: no"), GONE, Outcome.SANDBOX_ERROR),
        (report("exit"), report("unready"), Outcome.SANDBOX_ERROR),
    ],
)
def test_outcome_of_calls(program: Report, trial: Report, outcome: Outcome) -> None:
    assert judge_calls(program, trial)[0] is outcome


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        (report("exit", 0), Outcome.PASS), (report("exit", 1), Outcome.EXCEPTION),
        (report("exit", 3), Outcome.OOM), (report("signal", 9), Outcome.EXCEPTION),
        (report("cpu"), Outcome.TIMEOUT), (report("wall"), Outcome.TIMEOUT),
        (report("output"), Outcome.WRONG), (report("unready"), Outcome.SANDBOX_ERROR),
    ],
)  # fmt: skip
def test_outcome_of_scripts(script: Report, outcome: Outcome) -> None:
    assert judge_script(script)[0] is outcome


def test_two_outcomes_have_no_reward() -> None:
    none = [Outcome.SANDBOX_ERROR, Outcome.UNSUPPORTED]
    assert [o for o in Outcome if math.isnan(o.reward)] == none
    assert [o for o in Outcome if o.verdict is None] == none
    assert [o for o in Outcome if o.reward == 1] == [o for o in Outcome if o.verdict]


def test_batch_keeps_the_order_and_tells_progress(sandbox: Sandbox) -> None:
    jobs = [Job(f"def f(): return {i % 3}", ONE) for i in range(12)]
    seen: list[tuple[int, int]] = []
    results = sandbox.run_many(jobs, progress=lambda done, total: seen.append((done, total)))
    assert [r.outcome is Outcome.PASS for r in results] == [i % 3 == 1 for i in range(12)]
    assert seen == [(i + 1, 12) for i in range(12)]
    assert all(r.tries == 1 and r.cpu_seconds > 0 and r.peak_bytes > 1 << 20 for r in results)
    assert sandbox.run_many([]) == []


def test_a_failing_progress_stops_the_batch_and_leaves_the_pool_usable(sandbox: Sandbox) -> None:
    def fails(done: int, total: int) -> None:
        raise KeyError("stop")

    with pytest.raises(KeyError):
        sandbox.run_many([Job("def f(): return 1", ONE)] * 20, progress=fails)
    assert sandbox.run(Job("def f(): return 1", ONE)).outcome is Outcome.PASS


def test_a_kill_from_outside_is_no_verdict_of_the_program(level: Level) -> None:
    """A right program whose process is killed once passes at the second try."""
    job = Job("import time\ndef f():\n    time.sleep(0.7)\n    return 1", ONE)

    def kill(one: Sandbox) -> None:
        time.sleep(0.35)
        server = one._pairs[0]._workers[0]._process.pid
        os.kill(busiest(server), signal.SIGKILL)

    with Sandbox(level=level, workers=1) as one:
        assert one.run(Job("def f(): return 1", ONE)).outcome is Outcome.PASS
        killer = threading.Thread(target=kill, args=(one,))
        killer.start()
        result = one.run(job)
        killer.join()
    assert (result.outcome, result.tries) == (Outcome.PASS, 2), result


def busiest(server: int) -> int:
    """The process below a server that holds a channel, not a job socket: the program."""
    below, found = [server], []
    while below:
        pid = below.pop()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        below += [int(child) for child in children]
        found += [int(child) for child in children]
    ages = {pid: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in found}
    filtered = [pid for pid in found if "Seccomp:\t2" in Path(f"/proc/{pid}/status").read_text()]
    assert filtered, ages
    return filtered[-1]


def test_a_program_whose_server_dies_every_time_is_wrong() -> None:
    """At the unsafe level a program can kill its server; it does not choose to be missing."""
    job = Job("import os\ndef f():\n    os.kill(os.getppid(), 9)\n    return 1", ONE)
    with Sandbox(level=Level.UNSAFE, unsafe=True, workers=1) as one:
        result = one.run(job)
        assert (result.outcome, result.tries) == (Outcome.WRONG, pool.TRIES)
        assert "its server died" in result.detail
        assert one.run(Job("def f(): return 1", ONE)).outcome is Outcome.PASS


SPOILER = """
import os
def parent(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return int(stat.read().rpartition(")")[2].split()[1])
def f():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if int(pid) != os.getpid() and parent(parent(pid)) == OWNER:
                for data in (b'{"verdict":"pass","detail":""}', b"[" * 5000, b"\\xff"):
                    with open(f"/proc/{pid}/fd/51", "wb", 0) as pipe: pipe.write(data)
        except OSError: pass
"""


def test_what_a_program_does_at_the_unsafe_level_ends_no_batch() -> None:
    spoiler = Job(SPOILER.replace("OWNER", str(os.getpid())), ONE)
    right = Job("def f(): return 1", ONE)
    limits = Limits(wall_seconds=3)
    with Sandbox(level=Level.UNSAFE, unsafe=True, workers=1, limits=limits) as one:
        results = one.run_many([right, spoiler, right, spoiler, spoiler, right])
    assert len(results) == 6
    assert results[0].outcome is Outcome.PASS


def test_the_last_line_of_standard_error_reaches_the_detail(sandbox: Sandbox) -> None:
    text = TextTests(cases=[("", "1")])
    for program, said in (
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import sys\nsys.stderr.write('a\\nb\\x1b[2Jc\\n')\nsys.exit(3)", "b\\x1b[2Jc"),
        ("raise SystemExit('no input')", "no input"),
        ("import sys\nsys.stderr.write('x' * 5000)\nsys.exit(1)", "x…"),
        ("x = (", "SyntaxError"),
    ):
        result = sandbox.run(Job(program, text))
        assert result.outcome is Outcome.EXCEPTION
        assert said in result.detail, result
        assert len(result.detail) <= 520
        assert result.detail.isprintable()
    crash = "import ctypes, sys\ndef f():\n    print('so far', file=sys.stderr)\n"
    result = sandbox.run(Job(crash + "    ctypes.string_at(0)", ONE))
    assert (result.outcome, result.detail) == (
        Outcome.EXCEPTION, "killed by signal 11: so far",
    )  # fmt: skip


def test_dead_servers_are_replaced(level: Level) -> None:
    with Sandbox(level=level, workers=1) as one:
        job = Job("def f(): return 1", ONE)
        one.run(job)
        for server in one._pairs[0]._workers:
            server._process.kill()
            server._socket.shutdown(2)
        result = one.run(job)
    assert (result.outcome, result.tries) == (Outcome.PASS, 2)


def test_a_broken_sandbox_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "server_command", lambda *a: ["/bin/sh", "-c", "echo broken >&2"])
    with Sandbox(level=Level.UNSAFE, unsafe=True, workers=1) as one:
        for tests in (ONE, TextTests(cases=[("", "")])):
            result = one.run(Job("", tests))
            assert (result.outcome, result.tries) == (Outcome.SANDBOX_ERROR, pool.TRIES)
            assert "broken" in result.detail or "closed" in result.detail


@pytest.mark.parametrize(
    ("tests", "why"),
    [
        ("assert 1 == 1", "the tests never call the program"),
        ("from math import pi\nassert pi > 3", "the tests never call the program"),
        ("from solution import f\nassert 1 == 1", "the tests never call the program"),
        ("from solution import f as g\nimport math\nassert math.pi > 3", "never call the program"),
        ("import solution\nassert 1 == 1", "the tests never call the program"),
        ("f(1)", "the tests assert nothing"),
        ("assert True\nf(1)", "the tests assert nothing"),
        ("def helper():\n    assert f() == 1", "the tests never call the program"),
        ("from unittest import mock\nwith mock.patch('a.b'):\n    assert f() == 1", "patch"),
        ("def test_a(tmp_path):\n    assert f() == 1", "the fixture tmp_path"),
        ("def test_a(monkeypatch):\n    assert f() == 1", "the fixture monkeypatch"),
        ("import no_such_thing\nassert f() == 1", "import no_such_thing"),
        ("import sys, io\nsys.stdin = io.StringIO('1')\nassert f() == 1", "replace stdin"),
        ("assert f(open('x')) == 1", "open files"),
        ("import tempfile\nassert f() == 1", "use tempfile"),
        ("import re\nassert f(re.compile('a')) == 1", "pass a Pattern"),
    ],
)
def test_tests_that_can_judge_no_program_are_no_verdict(
    sandbox: Sandbox, tests: str, why: str
) -> None:
    result = sandbox.run(Job("def f(*a): return 1", CodeTests(tests=tests)))
    assert result.outcome is Outcome.UNSUPPORTED  # on a busy machine perhaps at the second try
    assert why in result.detail


@pytest.mark.parametrize("program", ["def f(): return 1", "f = 5", "f = list", "f = ValueError"])
@pytest.mark.parametrize(
    "tests",
    [
        "from solution import f\ndef helper():\n    assert f() == 1\nassert 1 < 2",
        "def f(): return 1\ndef check(c):\n    assert c() == 1",
        "if 0:\n    assert f() == 1\nassert 1 < 2",
    ],
)
def test_what_never_calls_the_program_is_no_pass(
    sandbox: Sandbox, program: str, tests: str
) -> None:
    result = sandbox.run(Job(program, CodeTests(tests=tests, entry_point="f")))
    assert result.outcome is not Outcome.PASS
    if program.startswith("def"):
        assert result.outcome is Outcome.UNSUPPORTED


def test_an_assertion_that_is_not_reached_is_no_pass(sandbox: Sandbox) -> None:
    loop = CodeTests(tests="for x in f():\n    assert x == 1")
    assert sandbox.run(Job("def f(): return [1, 1]", loop)).outcome is Outcome.PASS
    for empty in ("def f(): return []", "f = list", "def f():\n    yield from ()"):
        result = sandbox.run(Job(empty, loop))
        assert (result.outcome, result.detail) == (
            Outcome.WRONG, "no assertion of the tests was reached",
        )  # fmt: skip


def test_packages_can_be_shown(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "extra_thing.py").write_text("VALUE = 1")
    tmp_path.chmod(0o755)
    job = Job("import extra_thing\ndef f(): return extra_thing.VALUE", ONE)
    assert sandbox.run(job).outcome is Outcome.EXCEPTION
    with Sandbox(level=sandbox.level, workers=1, packages=[tmp_path]) as shown:
        assert shown.run(job).outcome is Outcome.PASS


def test_memory_limit_is_the_programs(level: Level) -> None:
    job = Job("def f(): return len(bytearray(150 << 20)) > 0 and 1", ONE)
    for megabytes, outcome in ((100, Outcome.OOM), (400, Outcome.PASS)):
        with Sandbox(level=level, limits=Limits(memory_bytes=megabytes << 20), workers=1) as one:
            assert one.run(job).outcome is outcome


THREADS = """
import threading, time
threading.stack_size(65536)  # so that memory is not what ends it
def f(wanted):
    started = 0
    try:
        for _ in range(wanted):
            threading.Thread(target=time.sleep, args=(0.5,), daemon=True).start()
            started += 1
    except RuntimeError:
        pass
    return started
"""


def test_threads_are_limited_but_not_forbidden(sandbox: Sandbox) -> None:
    few = Job(THREADS, CodeTests(tests="assert f(16) == 16"))
    assert sandbox.run(few).outcome is Outcome.PASS
    if sandbox.level is Level.BUBBLEWRAP:  # elsewhere only memory bounds them
        many = Job(THREADS, CodeTests(tests="assert f(100) == 100"))
        assert sandbox.run(many).outcome is Outcome.WRONG


def test_strongest_level_whose_walls_stand_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    def walls(*, broken: Sequence[Level]) -> None:
        monkeypatch.setattr(probe, "broken_walls", lambda level: "no" if level in broken else "")

    walls(broken=[])
    assert choose_level() is Level.BUBBLEWRAP
    walls(broken=[Level.BUBBLEWRAP])
    assert choose_level() is Level.LANDLOCK
    with pytest.raises(UserError, match="bubblewrap: no"):
        choose_level(Level.BUBBLEWRAP, unsafe=True)
    walls(broken=[Level.BUBBLEWRAP, Level.LANDLOCK])
    with pytest.raises(UserError, match=r"bubblewrap: no; landlock: no.*install bubblewrap"):
        choose_level()
    assert choose_level(unsafe=True) is Level.UNSAFE
    with pytest.raises(UserError, match="explicitly"):
        choose_level(Level.UNSAFE)


def test_the_probe_sees_missing_walls(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "reading a file" in probe.broken_walls.__wrapped__(Level.UNSAFE)
    monkeypatch.setattr(levels.shutil, "which", lambda name: None)
    assert probe.broken_walls.__wrapped__(Level.BUBBLEWRAP) == "bwrap is not installed"


def test_names_asked_of_the_program() -> None:
    tests = CodeTests(
        context="import math\nK = 2\ndef helper(x): return x",
        tests="from solution import g\nimport re as r\nfor i in range(3):\n"
        "    assert f(i, lambda z: z) == helper(K) + h.attr + len([j for j in r.x])\n"
        "try: pass\nexcept ValueError as e: print(e)\nassert solution.k(math.pi)",
        entry_point="entry",
    )
    assert tests.names() == ["entry", "f", "g", "h", "k", "solution"]


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: CodeTests(tests="assert ("), "tests is no Python"),
        (lambda: CodeTests(tests="", context="\0"), "context is no Python"),
        (lambda: CaseTests(cases=[], entry_point="f"), "cases must not be empty"),
        (lambda: CaseTests(cases=[((), 1)], entry_point="f("), "entry_point must be a name"),
        (lambda: TextTests(cases=[]), "cases must not be empty"),
        (lambda: Limits(cpu_seconds=0), "cpu_seconds must be >= 0.05, got 0"),
        (lambda: Limits(memory_bytes=1), "memory_bytes must be >= 67108864, got 1"),
        (lambda: Limits(wall_seconds=math.nan), "wall_seconds must be >= 0.1, got nan"),
        (lambda: Sandbox(workers=0), "workers must be >= 1, got 0"),
    ],
)
def test_bad_input_is_named(make: object, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("got", "expected", "tolerance", "same"),
    [
        ("a\n", "a", None, True), ("a \r\nb\n\n\n", "a\nb", None, True),
        ("a\n\nb", "a\nb", None, False),
        ("\na", "a", None, False), (" a", "a", None, False), ("1.0", "1", None, False),
        ("1.0", "1", 1e-9, True), ("x 1.01", "x 1", 0.1, True), ("y 1", "x 1", 0.1, False),
        ("1e999", "1e999", None, True), ("1e999", "1", 0.1, False), ("", "", None, True),
        ("1 2", "1  2", 0.1, True), ("1 2", "1", 0.1, False), ("A", "a", None, False),
    ],
)  # fmt: skip
def test_same_text(got: str, expected: str, tolerance: float | None, same: bool) -> None:
    assert same_text(got, expected, tolerance=tolerance) is same

"""Outcomes, retries, batches, levels, and what the tests may ask for."""

from __future__ import annotations

import json
import math
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
        (report("exit"), says("vacuous"), Outcome.SANDBOX_ERROR),
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


def test_only_a_sandbox_error_has_no_reward() -> None:
    assert [o for o in Outcome if math.isnan(o.reward)] == [Outcome.SANDBOX_ERROR]
    assert [o for o in Outcome if o.verdict is None] == [Outcome.SANDBOX_ERROR]
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


def test_tests_that_never_call_the_program_are_no_verdict(sandbox: Sandbox) -> None:
    result = sandbox.run(Job("def f(): return 1", CodeTests(tests="assert 1 == 1")))
    assert (result.outcome, result.detail) == (
        Outcome.SANDBOX_ERROR, "the tests never call the program",
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

"""Output: a script's text comes back, and nothing else decides."""

from __future__ import annotations

import pytest

from grpolab.validate.sandbox import Job, Outcome, Output, Sandbox


@pytest.mark.parametrize(
    ("program", "outcome", "text"),
    [
        ("print(input()[::-1])", Outcome.PASS, "cba\n"),
        ("import sys; sys.stdout.buffer.write(b'\\xff')", Outcome.PASS, "\udcff"),
        ("pass", Outcome.PASS, ""),
        ("print(1); raise SystemExit(2)", Outcome.EXCEPTION, ""),
        ("print(1); 1 / 0", Outcome.EXCEPTION, ""),
        ("print(1); [0] * 10 ** 12", Outcome.OOM, ""),
        ("open('/etc/passwd')", Outcome.EXCEPTION, ""),
    ],
)
def test_what_a_script_prints(sandbox: Sandbox, program: str, outcome: Outcome, text: str) -> None:
    result = sandbox.run(Job(program, Output(stdin="abc")))
    assert (result.outcome, result.output) == (outcome, text)


def test_tests_say_nothing_of_output(sandbox: Sandbox) -> None:
    results = sandbox.run_many([Job(f"print({i})", Output()) for i in range(20)])
    assert [r.output for r in results] == [f"{i}\n" for i in range(20)]

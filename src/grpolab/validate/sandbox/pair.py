"""Two sandboxes for one verdict: the program in one, its tests in the other."""

from __future__ import annotations

import contextlib
import functools
import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grpolab.validate.sandbox.child import script
from grpolab.validate.sandbox.child.values import encode
from grpolab.validate.sandbox.jobs import (
    CaseTests,
    CodeTests,
    Job,
    Limits,
    Outcome,
    Output,
    Result,
    TextTests,
)
from grpolab.validate.sandbox.levels import Level
from grpolab.validate.sandbox.pure import are_stable
from grpolab.validate.sandbox.suite import RAN
from grpolab.validate.sandbox.text import printable, same_text
from grpolab.validate.sandbox.worker import Report, Worker, WorkerLost

_VERDICTS = {
    "pass": Outcome.PASS,
    "wrong": Outcome.WRONG,
    "exception": Outcome.EXCEPTION,
    "oom": Outcome.OOM,
    "unsupported": Outcome.UNSUPPORTED,
}
_LATE = ("cpu", "wall")
_NO_VERDICT = ("unready", "killed")


class Pair:
    """A server for programs and a server for tests; both are replaced when one fails."""

    def __init__(self, level: Level, limits: Limits, packages: Sequence[Path] = ()) -> None:
        self._level = level
        self._limits = limits
        self._packages = packages
        self._workers: list[Worker] = []
        self.lost_running = False
        """Whether the last run ended because a server died after the program had begun."""

    def run(self, job: Job) -> Result:
        """The verdict on one job; SANDBOX_ERROR when a server fails, never an exception."""
        self.lost_running = False
        if isinstance(job.tests, CodeTests) and (refusal := job.tests.suite().refusal):
            return Result(Outcome.UNSUPPORTED, str(self._level), refusal)
        try:
            match job.tests:
                case TextTests():
                    self._start(1)
                    return self._run_text(job.program, job.tests)
                case Output():
                    self._start(1)
                    return self._run_output(job.program, job.tests.stdin)
                case _:
                    self._start(2)
                    return self._run_calls(job.program, job.tests)
        except WorkerLost as err:
            self.lost_running = any(worker.running for worker in self._workers)
            self.close()
            return Result(Outcome.SANDBOX_ERROR, str(self._level), str(err))

    def _start(self, count: int) -> None:
        """Have ``count`` servers: scripts need none for tests."""
        while len(self._workers) < count:
            first = not self._workers  # the server of programs
            self._workers.append(Worker(self._level, self._packages, scratch=first))

    def close(self) -> None:
        """End both servers; a later `run` starts new ones."""
        while self._workers:
            self._workers.pop().close()

    def _result(self, outcome: Outcome, detail: str, *reports: Report) -> Result:
        return Result(
            outcome, str(self._level), printable(detail),
            cpu_seconds=sum(r.cpu_seconds for r in reports),
            wall_seconds=sum(r.wall_seconds for r in reports),
            peak_bytes=max(r.peak_bytes for r in reports),
        )  # fmt: skip

    def _run_script(self, program: str, stdin: str) -> Report:
        worker = self._workers[0]
        worker.submit(
            {"kind": "script", "program": program, "stdin": stdin,
             "limits": self._limits.as_dict()}
        )  # fmt: skip
        return worker.collect()

    def _run_output(self, program: str, stdin: str) -> Result:
        report = self._run_script(program, stdin)
        outcome, detail = judge_script(report)
        text = _printed(report) if outcome is Outcome.PASS else ""
        return self._result(outcome, detail, report)._replace(output=text)

    def _run_text(self, program: str, tests: TextTests) -> Result:
        reports: list[Report] = []
        for i, (given, expected) in enumerate(tests.cases):
            reports.append(self._run_script(program, given))
            outcome, detail = judge_script(reports[-1])
            printed = _printed(reports[-1])
            if outcome is Outcome.PASS and not same_text(
                printed, expected, tolerance=tests.tolerance
            ):
                outcome = Outcome.WRONG
            if outcome is not Outcome.PASS:
                return self._result(outcome, f"case {i}: {detail}".removesuffix(": "), *reports)
        return self._result(Outcome.PASS, "", *reports)

    def _run_calls(self, program: str, tests: CodeTests | CaseTests) -> Result:
        limits = self._limits.as_dict()
        trial = describe_tests(tests)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.closing(ours), contextlib.closing(theirs):
            self._workers[0].submit(
                {"kind": "serve", "program": program, "in_place": tests.in_place,
                 "plain": isinstance(tests, CaseTests), "captures": trial.get("captures", False),
                 "names": trial["names"], "calls": trial["calls"], "limits": limits},
                [theirs.fileno()],
            )  # fmt: skip
            self._workers[1].submit(
                {"kind": "trial", "limits": limits, **trial}, [ours.fileno()],
                stays=trial["pure"] and self._level is not Level.UNSAFE,
            )  # fmt: skip
        trial_report = self._workers[1].collect()
        program_report = self._workers[0].collect()
        outcome, detail = judge_calls(program_report, trial_report)
        return self._result(outcome, detail, program_report, trial_report)


def _printed(report: Report) -> str:
    return report.output.decode("utf-8", "surrogateescape")


def describe_tests(tests: CodeTests | CaseTests) -> dict[str, Any]:
    """The message for the server of tests."""
    if isinstance(tests, CodeTests):
        return _describe_code(tests)
    cases = [[encode(list(args)), encode(expected)] for args, expected in tests.cases]
    calls = [(tests.entry_point, args) for args, _ in cases]
    if not all(are_stable(args) for _, args in calls):
        calls = []
    return {
        "trial": "cases", "cases": cases, "entry_point": tests.entry_point,
        "names": [tests.entry_point, "Solution"], "pure": True, "calls": calls,
        "tolerance": tests.tolerance, "in_place": tests.in_place,
    }  # fmt: skip


@functools.lru_cache(maxsize=1024)  # many programs are judged by the same tests
def _describe_code(tests: CodeTests) -> dict[str, Any]:
    suite = tests.suite()
    return {
        "trial": "code", "tests": suite.tests.hex(), "context": suite.context.hex(),
        "names": suite.names, "classes": suite.classes, "constants": suite.constants,
        "modules": suite.modules, "star": suite.star, "captures": suite.captures, "ran": RAN,
        "defines_check": suite.defines_check, "entry_point": tests.entry_point,
        "in_place": tests.in_place, "pure": suite.pure, "calls": suite.calls,
    }  # fmt: skip


def judge_script(report: Report) -> tuple[Outcome, str]:
    """Whether a script ended well; its output is for the caller to compare."""
    if report.how in _NO_VERDICT:
        return Outcome.SANDBOX_ERROR, _fallen(report)
    if report.how in _LATE:
        return Outcome.TIMEOUT, f"{report.how} limit"
    if report.how == "output":
        return Outcome.WRONG, "too much output"
    if report.how == "disk":
        return Outcome.EXCEPTION, "too many files"
    if report.how == "exit" and report.code == script.OK:
        return Outcome.PASS, ""
    if report.how == "exit" and report.code == script.NO_MEMORY:
        return Outcome.OOM, "out of memory"
    return Outcome.EXCEPTION, _with_words(f"{report.how} {report.code}", report)


def _with_words(detail: str, report: Report) -> str:
    """A detail and the last line that the program wrote to standard error."""
    lines = report.words.strip().splitlines()
    return f"{detail}: {lines[-1]}" if lines else detail


def _fallen(report: Report) -> str:
    if report.how == "killed":
        return "killed from outside"
    said = report.output.decode("utf-8", "replace")
    return f"the walls did not stand: {said or f'{report.how} {report.code}'}"


def judge_calls(program: Report, trial: Report) -> tuple[Outcome, str]:
    """One outcome from how the program ended and what the tests say.

    Only a wall that did not stand, a kill from outside, or tests that judge no program are no
    verdict; whatever the program does to its own process, to the channel or to the tests' time is
    a failure of it.
    """
    for report in (program, trial):
        if report.how in _NO_VERDICT:
            return Outcome.SANDBOX_ERROR, _fallen(report)
    verdict, detail = _verdict(trial)
    if verdict in _VERDICTS:
        return _VERDICTS[verdict], detail
    for report in (program, trial):
        if report.how in _LATE:
            return Outcome.TIMEOUT, f"{report.how} limit"
    if program.how == "disk":
        return Outcome.EXCEPTION, "too many files"
    if program.how == "signal":
        return Outcome.EXCEPTION, _with_words(f"killed by signal {program.code}", program)
    said = f"the program stopped answering: {detail or trial.how}"
    return Outcome.EXCEPTION, _with_words(said, program)


def _verdict(report: Report) -> tuple[str, str]:
    """What the tests wrote: two texts, or nothing that counts."""
    if report.how not in ("exit", "stays") or report.code != 0:
        return "", ""
    try:
        said = json.loads(report.output)
    except (ValueError, RecursionError):
        return "", ""
    if type(said) is not dict or set(said) != {"verdict", "detail"}:
        return "", ""
    verdict, detail = said["verdict"], said["detail"]
    return (verdict, detail) if type(verdict) is type(detail) is str else ("", "")

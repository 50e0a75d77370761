"""Verdicts per second of the sandbox on trivial programs.

python tests/benchmarks/bench_sandbox.py [NUMBER]
"""

from __future__ import annotations

import sys
import time

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


def main(number: int) -> None:
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


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)

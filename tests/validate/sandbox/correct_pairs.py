"""Correct programs of the listing beside this file, each with its tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from grpolab.validate.sandbox import CaseTests, CodeTests, Job, TextTests


def _job(program: str, form: str, tests: str) -> Job:
    kind, _, rest = form.partition(" ")
    if kind == "code":
        return Job(program, CodeTests(tests=tests))
    name, _, more = rest.partition(" ")
    if kind == "check":
        return Job(program, CodeTests(tests=tests, entry_point=name, context=more))
    if kind == "cases":
        cases = [(args, _value(expected)) for args, expected in json.loads(more)]
        return Job(program, CaseTests(cases=cases, entry_point=name))
    return Job(program, TextTests(cases=[tuple(case) for case in json.loads(rest)]))


def _value(data: Any) -> Any:
    """JSON, and {"set": [...]} for a set."""
    if isinstance(data, list):
        return [_value(item) for item in data]
    if isinstance(data, dict):
        return set(data["set"]) if "set" in data else {k: _value(v) for k, v in data.items()}
    return data


def read_pairs() -> dict[str, Job]:
    """Programs, each under a line "### name", and their tests under a line "--- form"."""
    listing = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8")
    jobs: dict[str, Job] = {}
    for part in f"\n{listing}".split("\n### ")[1:]:
        name, _, source = part.partition("\n")
        program, _, tests = source.partition("\n--- ")
        form, _, tests = tests.partition("\n")
        assert name not in jobs, f"two programs are called {name}"
        jobs[name] = _job(f"{program}\n", form.strip(), tests)
    return jobs


PAIRS = read_pairs()

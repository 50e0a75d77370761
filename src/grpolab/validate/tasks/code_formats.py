"""Code problems as published data sets write them, brought to one form."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from grpolab.errors import UserError
from grpolab.validate.sandbox import CaseTests, CodeTests, Tests, TextTests
from grpolab.validate.tasks.extract import closed_context
from grpolab.validate.tasks.rows import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeProblem:
    """What the model reads, what judges it, and, if known, programs that are right.

    ``prompt_code`` is code that a completion continues; ``entry_point`` and ``names`` are what it
    must define, and without any it is a whole program. A problem is sound if one of its
    ``references`` passes.
    """

    prompt: str
    tests: Tests
    prompt_code: str = ""
    entry_point: str = ""
    names: tuple[str, ...] = ()
    references: tuple[str, ...] = ()


def _human_eval(row: Row) -> CodeProblem:
    prompt, entry = row["prompt"], row["entry_point"]
    solution = row.get("canonical_solution") or ""
    return CodeProblem(
        prompt=prompt,
        prompt_code=prompt,
        entry_point=entry,
        references=(prompt + solution,) if solution else (),
        tests=CodeTests(tests=row["test"], entry_point=entry, context=closed_context(prompt)),
    )


def _mbpp(row: Row) -> CodeProblem:
    """The prompt shows the first assert, which names the function; all of them judge."""
    asserts = list(row["test_list"])
    context = "\n".join([*(row.get("test_imports") or []), row.get("test_setup_code") or ""])
    text = row.get("text") or row["prompt"]
    tests = CodeTests(tests="\n".join(asserts), context=context)
    return CodeProblem(
        prompt=f"{text}\nYour code should satisfy this test:\n{asserts[0]}\n",
        tests=tests,
        names=tuple(tests.names()),
        references=_references(row.get("code")),
    )


def _kod_code(row: Row) -> CodeProblem:
    tests = CodeTests(tests=row["test"])
    return CodeProblem(
        prompt=row["question"],
        tests=tests,
        names=tuple(tests.names()),
        references=_references(row.get("solution")),
    )


def _input_output(row: Row) -> CodeProblem:
    """APPS and TACO: ``input_output`` holds inputs, outputs and, for functions, ``fn_name``.

    ``solutions`` holds many programs, some of them in Python 2: one that passes is enough.
    """
    body = row["input_output"]
    body = json.loads(body) if isinstance(body, str) else body
    inputs, outputs = body["inputs"], body["outputs"]
    if len(inputs) != len(outputs):
        raise ValueError(f"{len(inputs)} inputs, {len(outputs)} outputs")
    prompt = row.get("question") or row["prompt"]
    starter = row.get("starter_code") or ""
    entry = body.get("fn_name") or ""
    references = _references(row.get("solutions"))
    if not entry:
        pairs = [(_joined(i), _joined(o)) for i, o in zip(inputs, outputs, strict=True)]
        return CodeProblem(prompt=prompt, tests=TextTests(cases=pairs), references=references)
    if all(isinstance(o, list) and len(o) == 1 for o in outputs):
        outputs = [o[0] for o in outputs]  # the published form wraps each value in a list
    cases = list(zip(inputs, outputs, strict=True))
    return CodeProblem(
        prompt=f"{prompt}\n{starter}".rstrip() + "\n",
        prompt_code=f"{starter.rstrip()}\n" if starter.strip() else "",
        entry_point=entry,
        references=references,
        tests=CaseTests(cases=cases, entry_point=entry),
    )


def _joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "\n".join(text)


def _references(value: Any) -> tuple[str, ...]:
    """Programs in a column that holds one, or a list of them, which may be written as JSON."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        with contextlib.suppress(ValueError):
            value = json.loads(value)
    programs = [value] if isinstance(value, str) else list(value or [])
    return tuple(str(program) for program in programs if program)


def _test_cases(row: Row) -> CodeProblem:
    """LiveCodeBench: JSON lists of {input, output, testtype}; public ones and readable others."""
    tests = [*_plain_cases(row["public_test_cases"]), *_plain_cases(row.get("private_test_cases"))]
    prompt, starter = row["question_content"], row.get("starter_code") or ""
    if not tests or tests[0].get("testtype", "stdin") == "stdin":
        pairs = [(test["input"], test["output"]) for test in tests]
        return CodeProblem(prompt=prompt, tests=TextTests(cases=pairs))
    metadata = row.get("metadata") or "{}"
    metadata = json.loads(metadata) if isinstance(metadata, str) else metadata
    entry = metadata.get("func_name") or _last_name(starter)
    cases = [
        (
            [json.loads(line) for line in test["input"].split("\n") if line],
            json.loads(test["output"]),
        )
        for test in tests
    ]
    return CodeProblem(
        prompt=f"{prompt}\n{starter}",
        prompt_code=starter,
        entry_point=entry,
        tests=CaseTests(cases=cases, entry_point=entry),
    )


def _plain_cases(tests: Any) -> list[Mapping[str, Any]]:
    """A JSON list; compressed pickles, as some releases hold, are not opened: they run code."""
    if isinstance(tests, str):
        tests = json.loads(tests) if tests.lstrip().startswith("[") else []
    return list(tests or [])


def _last_name(starter: str) -> str:
    names = re.findall(r"def\s+(\w+)", starter)
    if not names:
        raise ValueError("neither metadata nor starter_code names the function")
    return str(names[-1])


def _pairs(row: Row) -> CodeProblem:
    """Our own plain form: ``tests`` is a list of {input, output} texts, or of {args, expected}."""
    tests = row["tests"]
    if "input" in tests[0]:
        pairs = [(str(test["input"]), str(test["output"])) for test in tests]
        return CodeProblem(
            prompt=row["prompt"],
            tests=TextTests(cases=pairs, tolerance=row.get("tolerance")),
            references=_references(row.get("reference")),
        )
    entry = row["entry_point"]
    return CodeProblem(
        prompt=row["prompt"],
        entry_point=entry,
        references=_references(row.get("reference")),
        tests=CaseTests(
            cases=[(test["args"], test["expected"]) for test in tests],
            entry_point=entry,
            tolerance=row.get("tolerance", 1e-6),
            in_place=bool(row.get("in_place", False)),
        ),
    )


_SIGNS: Mapping[str, tuple[frozenset[str], Callable[[Row], CodeProblem]]] = MappingProxyType(
    {
        "humaneval": (frozenset({"prompt", "test", "entry_point"}), _human_eval),
        "mbpp": (frozenset({"test_list"}), _mbpp),
        "livecodebench": (frozenset({"question_content", "public_test_cases"}), _test_cases),
        "apps": (frozenset({"input_output"}), _input_output),
        "kodcode": (frozenset({"question", "test"}), _kod_code),
        "pairs": (frozenset({"prompt", "tests"}), _pairs),
    }
)
FORMATS = tuple(_SIGNS)
"""Known forms of code problems, in the order in which they are recognised."""


def detect_format(row: Row) -> str | None:
    """The form whose columns a row has; None when there is none.

    >>> detect_format({"prompt": "", "test": "", "entry_point": "f", "task_id": "HumanEval/0"})
    'humaneval'
    """
    return next((name for name, (keys, _) in _SIGNS.items() if keys <= row.keys()), None)


def read_problem(row: Row, *, number: int, form: str | None = None) -> CodeProblem:
    """One row as a problem; UserError says which row is at fault and why."""
    form = form or detect_format(row)
    if form is None or form not in _SIGNS:
        raise UserError(
            f"row {number}: no known form of code problem; known forms: {', '.join(FORMATS)}; the"
            f" columns are {', '.join(sorted(row))}"
        )
    try:
        return _SIGNS[form][1](row)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as err:
        raise UserError(f"row {number} is no {form} problem: {type(err).__name__}: {err}") from err

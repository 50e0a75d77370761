"""Code problems of published forms, judged end to end."""

from __future__ import annotations

import gzip
import importlib.machinery
import json
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from grpolab.errors import UserError
from grpolab.validate.rollouts.judge import judge
from grpolab.validate.sandbox import Limits, Outcome, Result, Sandbox, choose_level
from grpolab.validate.tasks import CodeTask, NoVerdict, Prompt, load_rows, load_task
from grpolab.validate.tasks.code_formats import FORMATS, detect_format, read_problem
from grpolab.validate.tasks.extract import closed_context, extract_program

HUMAN_EVAL = {
    "task_id": "X/0",
    "prompt": "import math\n\ndef half(x):\n    return x / 2\n\n\ndef area(r: float) -> float:\n"
    '    """Area of a disc."""\n',
    "entry_point": "area",
    "canonical_solution": "    return math.pi * r * r\n",
    "test": "METADATA = {}\n\ndef check(candidate):\n"
    "    assert abs(candidate(1) - 3.14159) < 1e-4\n"
    "    assert abs(half(candidate(2)) - 6.28318) < 1e-4\n",
}
MBPP = {
    "text": "Write a function to add.",
    "code": "def add(a, b):\n    return a + b",
    "test_setup_code": "",
    "test_list": ["assert add(1, 2) == 3", "assert add(0, 0) == 0", "assert add(-1, 1) == 0"],
}
KOD_CODE = {
    "question": "Write `twice(x)`.",
    "solution": "def twice(x):\n    if x is None: raise ValueError('none')\n    return 2 * x",
    "test": "from solution import twice\nimport pytest\n\n"
    "def test_a():\n    assert twice(2) == 4\n\n"
    "def test_b():\n    with pytest.raises(ValueError):\n        twice(None)\n",
}
APPS_TEXT = {
    "question": "Add two numbers.",
    "input_output": json.dumps({"inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "7"]}),
}
APPS_CALL = {
    "question": "Add.",
    "starter_code": "def add(a, b):",
    "input_output": {"inputs": [[1, 2], [3, 4]], "outputs": [[3], [7]], "fn_name": "add"},
}
LIVE_TEXT = {
    "question_content": "Double it.",
    "public_test_cases": json.dumps([{"input": "2\n", "output": "4\n", "testtype": "stdin"}]),
    "private_test_cases": "eJxrYJmqy8AAAA",
}
LIVE_CALL = {
    "question_content": "Two indices.",
    "starter_code": "class Solution:\n    def pick(self, nums, k):\n        ",
    "public_test_cases": json.dumps(
        [{"input": "[1, 2]\n1", "output": "[1, 0]", "testtype": "functional"}]
    ),
    "metadata": json.dumps({"func_name": "pick"}),
}
PAIRS_CALL = {
    "prompt": "Reverse in place: rev(x).",
    "entry_point": "rev",
    "in_place": True,
    "tests": [{"args": [[1, 2]], "expected": [2, 1]}],
    "reference": "def rev(x): x.reverse()",
}
PAIRS_TEXT = {
    "prompt": "Print 1/3.",
    "tests": [{"input": "", "output": "0.3333"}],
    "tolerance": 1e-3,
}

CASES: list[tuple[str, dict[str, Any], str, str]] = [
    ("humaneval", HUMAN_EVAL, "    return 3.14159265 * r ** 2\n", "    return r\n"),
    ("humaneval", HUMAN_EVAL, "```python\ndef area(r):\n    return math.pi * r * r\n```",
     "def half(x): return 6.28318\ndef area(r): return 3.14159"),
    ("mbpp", MBPP, "def add(a, b): return b + a", "def add(a, b): return 3"),
    ("kodcode", KOD_CODE, str(KOD_CODE["solution"]), "def twice(x): return 2 * x"),
    ("apps", APPS_TEXT, "print(sum(map(int, input().split())))", "print(3)"),
    ("apps", APPS_CALL, "def add(a, b): return a + b", "def add(a, b): return 3"),
    ("livecodebench", LIVE_TEXT, "print(int(input()) * 2)", "print(2)"),
    ("livecodebench", LIVE_CALL, "class Solution:\n    def pick(self, nums, k): return (k, 0)",
     "class Solution:\n    def pick(self, nums, k): return [0, 1]"),
    ("pairs", PAIRS_CALL, "def rev(x): x[:] = x[::-1]", "def rev(x): x.sort()"),
    ("pairs", PAIRS_TEXT, "print(1 / 3)", "print(1 / 2)"),
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _needs_a_sandbox() -> None:
    try:
        choose_level()
    except UserError as err:
        pytest.skip(str(err))


@pytest.fixture(scope="module")
def task() -> Iterator[CodeTask]:
    with CodeTask.from_rows([row for _, row, _, _ in CASES], name="all forms") as made:
        yield made


def test_every_form_is_recognised_and_judged(task: CodeTask) -> None:
    assert {form for form, *_ in CASES} == set(FORMATS)
    assert [detect_format(row) for _, row, _, _ in CASES] == [form for form, *_ in CASES]
    prompts = task.prompts("eval")
    assert [p.id for p in prompts] == list(range(len(CASES)))
    right = task.verify_many(prompts, [right for *_, right, _ in CASES])
    wrong = task.verify_many(prompts, [wrong for *_, wrong in CASES])
    assert right == [True] * len(CASES)
    assert wrong == [False] * len(CASES)
    assert task.outcomes[Outcome.PASS] == len(CASES)
    assert sum(task.outcomes.values()) == 2 * len(CASES)
    assert task.level in ("bubblewrap", "landlock")


def test_references_pass_and_broken_problems_are_found() -> None:
    broken = {**MBPP, "test_list": ["assert add(1, 2) == 4"]}
    with CodeTask.from_rows([HUMAN_EVAL, broken, MBPP, KOD_CODE, PAIRS_CALL]) as task:
        failing = task.check_references()
    assert {i: r.outcome for i, r in failing.items()} == {1: Outcome.WRONG}
    left = task.without(list(failing))
    assert [p.text for p in left.prompts()] == [
        p.text for p in task.prompts() if p.id not in failing
    ]


@pytest.mark.parametrize("completion", ["", "   ", "I cannot.", "```python\n```", "\x00", "\ud800"])
def test_empty_and_odd_completions_are_wrong(task: CodeTask, completion: str) -> None:
    assert task.verify(task.prompts()[2], completion) is False


def test_a_failing_sandbox_gives_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    with CodeTask.from_rows([MBPP]) as task:
        broken = Result(Outcome.SANDBOX_ERROR, "none", "no more processes")
        monkeypatch.setattr(Sandbox, "run_many", lambda self, jobs, progress: [broken] * len(jobs))
        prompt = task.prompts()[0]
        assert judge(task, [prompt, prompt], ["a", "b"]) == [None, None]
        assert task.outcomes == {Outcome.SANDBOX_ERROR: 2}
        with pytest.raises(NoVerdict, match="no more processes"):
            task.verify(prompt, "a")


def test_equal_completions_are_judged_once(task: CodeTask) -> None:
    prompt, other = task.prompts()[2], task.prompts()[0]
    before = sum(task.outcomes.values())
    good = "def add(a, b): return a + b"
    pairs = [(prompt, good), (other, good), (prompt, "x"), (prompt, good)]
    verdicts = judge(task, [p for p, _ in pairs], [t for _, t in pairs])
    assert verdicts == [True, False, False, True]
    assert sum(task.outcomes.values()) - before == 3


def test_files_are_read(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    plain, packed, table = (tmp_path / f"x{end}" for end in (".jsonl", ".jsonl.gz", ".parquet"))
    text = json.dumps(MBPP) + "\n\n" + json.dumps(MBPP) + "\n"
    plain.write_text(text)
    packed.write_bytes(gzip.compress(text.encode()))
    pq.write_table(pa.Table.from_pylist([MBPP, MBPP]), table)
    for path in (plain, packed, table):
        with load_task(path, limit=1) as task:  # type: ignore[union-attr]
            (prompt,) = task.prompts("eval")
            assert "assert add(1, 2) == 3" in prompt.text
            assert "assert add(0, 0)" not in prompt.text
            assert task.verify(prompt, MBPP["code"]) is True  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ({"prompt": "x"}, "row 0: no known form.*known forms: humaneval, mbpp"),
        ({**MBPP, "test_list": []}, "row 0 is no mbpp problem: IndexError"),
        ({**MBPP, "test_list": ["assert ("]}, "tests is no Python"),
        ({**APPS_TEXT, "input_output": "{"}, "row 0 is no apps problem: JSONDecodeError"),
        ({**APPS_TEXT, "input_output": {"inputs": ["1"], "outputs": []}}, "1 inputs, 0 outputs"),
        ({**LIVE_CALL, "metadata": "{}", "starter_code": ""}, "names the function"),
        ({**HUMAN_EVAL, "test": None}, "row 0 is no humaneval problem: TypeError"),
    ],
)
def test_bad_rows_are_named(row: dict[str, Any], match: str) -> None:
    with pytest.raises(UserError, match=match):
        read_problem(row, number=0)


def test_bad_sources_are_named(tmp_path: Path) -> None:
    for content, match in (
        ("", "no rows"),
        ("{", r"bad.jsonl:1: not valid JSON .*\(the line is cut off\)"),
        ("{}\n3", "bad.jsonl:2: expected a JSON object, got int"),
        ('{"prompt": 1}', "not code problems"),
    ):
        path = tmp_path / "bad.jsonl"
        path.write_text(content)
        with pytest.raises(UserError, match=match):
            load_task(path)
    with pytest.raises(UserError, match="no such file"):
        load_task(tmp_path / "absent.jsonl")
    (tmp_path / "bad.parquet").write_text("x")
    with pytest.raises(UserError, match=r"bad\.parquet"):
        load_task(tmp_path / "bad.parquet")
    with pytest.raises(UserError, match="has no problems"):
        CodeTask([])
    with pytest.raises(UserError, match="split 'eval' only"):
        CodeTask.from_rows([MBPP]).prompts("train")


def test_data_sets_by_id(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = types.ModuleType("datasets")
    datasets.__spec__ = importlib.machinery.ModuleSpec("datasets", None)
    asked = []

    def load_dataset(path: str, config: str | None, *, split: str) -> list[dict[str, Any]]:
        asked.append((path, config, split))
        if path == "no/such":
            raise ConnectionError("offline")
        return [MBPP, MBPP]

    datasets.load_dataset = load_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", datasets)
    assert len(load_rows("some/mbpp:full", split="train", limit=1)) == 1
    with pytest.raises(UserError, match=r"no/such is no file here .*offline"):
        load_rows("no/such")
    assert asked == [("some/mbpp", "full", "train"), ("no/such", None, "test")]


def test_a_slow_program_is_a_failure_with_a_reason() -> None:
    def quick() -> Sandbox:
        return Sandbox(limits=Limits(cpu_seconds=0.2), workers=1)

    with CodeTask.from_rows([MBPP], sandbox=quick) as task:
        prompt: Prompt = task.prompts()[0]
        (result,) = task.judge([prompt], ["def add(a, b):\n    while True: pass"])
    assert (result.outcome, result.detail) == (Outcome.TIMEOUT, "cpu limit")


@pytest.mark.parametrize(
    ("completion", "program"),
    [
        ("x = 1", "x = 1"),
        ("```\nx = 1\n```", "x = 1\n"),
        ("```python\nx = 1\n```\nor\n```py\nx = 2\n```\n```bash\nls\n```", "x = 2\n"),
        ("~~~ ```python x = 1```", "~~~ ```python x = 1```"),
        ("```python\nunclosed = 1", "unclosed = 1\n"),
    ],
)
def test_program_of_a_completion(completion: str, program: str) -> None:
    assert extract_program(completion) == program


def test_a_prompt_without_body_still_gives_its_helpers() -> None:
    assert closed_context("x = (") == ""
    program = extract_program(
        "def f(a):\n    return g(a)",
        prompt_code="def g(a):\n    return a\n\ndef f(a):\n",
        entry_point="f",
    )
    space: dict[str, Any] = {}
    exec(program, space)
    assert space["f"](3) == 3

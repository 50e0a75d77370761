"""Files that people have and that could be misread in silence: right counts, or a question."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grpolab.validate.readers import ChoiceNeeded, ReadOptions, read, read_all
from grpolab.validate.readers.failures import is_of_program

RNG = np.random.default_rng(0)
VERDICTS = (RNG.random((10, 8)) < np.linspace(0.1, 0.9, 10)[:, None]).astype(int).tolist()


def lines(path: Path, rows: Iterable[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def document(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


def is_whole(path: Path, options: ReadOptions | None = None) -> bool:
    """Whether all verdicts were read, those of a problem together."""
    table = read(path, options).counts.by_prompt()
    return sorted(table.num_correct.tolist()) == sorted(map(sum, VERDICTS)) and set(
        table.num_samples.tolist()
    ) == {8}


def cells() -> list[tuple[int, int, int]]:
    return [(p, i, v) for p, row in enumerate(VERDICTS) for i, v in enumerate(row)]


@pytest.mark.parametrize("setting", [
    lambda i: {"T": [0.6, 1.0][i % 2]},
    lambda i: {"length_penalty": [0.5, 1.5][i // 4]},
    lambda i: {"config": {"model": "ab"[i // 4]}},
    lambda i: {"sampling": {"temperature": [0.2, 1.0][i % 2], "seed": 1}},
    lambda i: {"metadata": {"judge": "xy"[i % 2]}},
])  # fmt: skip
def test_settings_anywhere_that_split_the_samples_are_asked_about(tmp_path, setting):
    rows = [{"id": p, "correct": v, **setting(i)} for p, i, v in cells()]
    with pytest.raises(ChoiceNeeded) as caught:
        read(lines(tmp_path / "t.jsonl", rows))
    assert caught.value.option == "group_by"
    first, second = read_all(tmp_path / "t.jsonl", ReadOptions(group_by=caught.value.choices[0]))
    assert first.counts.group_size.tolist() == second.counts.group_size.tolist() == [4] * 10
    assert is_whole(tmp_path / "t.jsonl", ReadOptions(group_by="none"))


def test_numbers_of_chance_with_few_values_are_no_setting(tmp_path):
    rows = [
        {"id": p, "correct": v, "format_bonus": float(RNG.choice([0.0, 0.5, 1.0]))}
        for p, _, v in cells()
    ]
    assert is_whole(lines(tmp_path / "t.jsonl", rows))


LAYOUTS = {
    "lists below a key": lambda: {
        f"p{p}": {"samples": [{"passed": bool(v)} for v in row]} for p, row in enumerate(VERDICTS)
    },
    "records below two keys": lambda: {
        "data": {f"p{p}": {"runs": [{"ok": v} for v in row]} for p, row in enumerate(VERDICTS)}
    },
    "runs with results": lambda: [
        {"run": i, "results": [{"id": p, "correct": VERDICTS[p][i]} for p in range(10)]}
        for i in range(8)
    ],
    "task ids in the lists": lambda: [
        {"name": f"run{i}", "tests": [{"task_id": p, "passed": VERDICTS[p][i]} for p in range(10)]}
        for i in range(8)
    ],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_part_of_a_document_is_left_out(tmp_path, layout):
    path = document(tmp_path / "t.json", LAYOUTS[layout]())
    if "run" in layout or "lists" not in layout:  # a run may be a policy, and is asked about then
        assert is_whole(path, ReadOptions(group_by="none"))
    if layout != "task ids in the lists":
        assert is_whole(path)


def test_models_above_lists_are_asked_about(tmp_path):
    value = {m: {f"p{p}": VERDICTS[p][4 * k :][:4] for p in range(10)} for k, m in enumerate("ab")}
    path = document(tmp_path / "t.json", value)
    with pytest.raises(ChoiceNeeded, match="section has 2 values"):
        read(path)
    assert [r.label for r in read_all(path, ReadOptions(group_by="section"))] == [
        "section=a", "section=b",
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["jsonl", "csv"])
@pytest.mark.parametrize("again", [9, 33, 80])
def test_a_file_that_was_begun_anew(tmp_path, form, again):
    rows = [
        {"id": p, "correct": v, "response": f"{p} {RNG.random()}", "note": "n"}
        for p, _, v in cells()
    ]
    path = tmp_path / f"t.{form}"
    if form == "jsonl":
        lines(path, rows + rows[:again])
    else:
        text = [f"{r['id']},{r['correct']},{r['response']}" for r in rows + rows[:again]]
        path.write_text("\n".join(["id,correct,response", *text]) + "\n")
    with pytest.raises(ChoiceNeeded, match=f"already in line .*{again} of") as caught:
        read(path)
    assert caught.value.option == "repeats"
    assert is_whole(path, ReadOptions(repeats="drop"))


def test_rounds_of_all_problems_are_no_new_beginning(tmp_path):
    rows = [{"id": p, "correct": VERDICTS[p][i]} for i in range(8) for p in range(10)]
    assert is_whole(lines(tmp_path / "t.jsonl", rows))


@pytest.mark.parametrize("other", ["{} ", " {}", "{}.0", "{}.00 "])
def test_ids_that_differ_by_blanks_or_a_decimal_point(tmp_path, other):
    text = [f"{(other if i % 2 else '{}').format(p)},{v}" for p, i, v in cells()]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["problem_id,correct", *text]) + "\n")
    assert is_whole(path)
    assert any("taken for the same problem" in note for note in read(path).notes)


def test_ids_that_are_numbers_and_texts_are_noted(tmp_path):
    rows = [{"id": p if i % 2 else str(p), "correct": v} for p, i, v in cells()]
    reading = read(lines(tmp_path / "t.jsonl", rows))
    assert len(reading.counts.num_correct) == 20
    assert any("a number in some rows and a text in others" in note for note in reading.notes)


def test_pipes_separate_columns(tmp_path):
    text = [f"{p}|{v}" for p, _, v in cells()]
    (tmp_path / "t.csv").write_text("\n".join(["problem|correct", *text]) + "\n")
    assert is_whole(tmp_path / "t.csv")


def test_ids_inside_of_objects(tmp_path):
    rows = [{"meta": {"id": p}, "result": {"correct": bool(v)}} for p, _, v in cells()]
    assert is_whole(lines(tmp_path / "t.jsonl", rows))


def test_samples_counted_as_errors_are_asked_about(tmp_path):
    text = [f"{p},{sum(row)},10,2" for p, row in enumerate(VERDICTS)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["problem,num_correct,num_samples,num_errors", *text]) + "\n")
    with pytest.raises(ChoiceNeeded, match="20 samples are counted under num_errors"):
        read(path)
    assert is_whole(path, ReadOptions(errors="missing"))
    assert read(path, ReadOptions(errors="wrong")).counts.group_size.tolist() == [10] * 10


PROGRAMS = (
    "AssertionError",
    "AssertionError: 3 != 4",
    "NameError: name 'x' is not defined",
    'Traceback (most recent call last):\n  File "a.py"\nIndexError: list index out of range',
    "SyntaxError: invalid syntax (<string>, line 1)",
    "IndentationError: unexpected indent",
    "TypeError: unsupported operand type(s) for +: 'int' and 'str'",
    "ZeroDivisionError('division by zero')",
    "ValueError: not enough values to unpack",
    "KeyError: 'a'",
    "RecursionError: maximum recursion depth exceeded",
    "Wrong answer",
    "WRONG_ANSWER",
    "wrong answer: expected 3, got 4",
    "Incorrect",
    "incorrect format",
    "Mismatch on test 3",
    "Compilation Error: a.cpp:3",
    "Runtime Error",
    "Tests failed: 2 of 5",
    "No answer found in \\boxed{}",
    "Could not parse the answer",
    "Expected 5 but got 6",
    "Segmentation fault (core dumped)",
    "AttributeError: 'NoneType' object has no attribute 'group'",
    "Failed to parse response as JSON",
)
OUTAGES = (
    "Timeout: sandbox down",
    "ConnectionError('reset')",
    "HTTP 503",
    "HTTP Error 429: Too Many Requests",
    "docker daemon unavailable",
    "requests.exceptions.ConnectionError: HTTPSConnectionPool",
    "api overloaded",
    "Error code: 529 - overloaded_error",
    "TimeoutError",
    "asyncio.exceptions.TimeoutError: ",
    "rate limit exceeded",
    "CUDA out of memory",
    "MemoryError",
    "OSError: [Errno 28] No space left on device",
    "killed by signal 9",
    "BrokenPipeError: [Errno 32] Broken pipe",
    "ConnectionResetError: [Errno 104]",
    "container exited with 137",
    "openai.RateLimitError: Error code: 429",
    "context length exceeded",
    "judge returned no verdict",
    "node preempted",
    "FileNotFoundError: [Errno 2] No such file or directory: '/workspace/run.sh'",
    "cancelled by user",
    "sandbox failed to start",
    "502 Bad Gateway",
    "SSL: CERTIFICATE_VERIFY_FAILED",
    "quota exhausted",
)


def test_how_often_errors_of_programs_are_told_from_outages():
    assert np.mean([is_of_program(words) for words in PROGRAMS]) >= 0.95
    assert np.mean([is_of_program(words) for words in OUTAGES]) <= 0.05


@pytest.mark.parametrize("name", ["max_k", "pass_at", "best_of", "k"])
def test_the_best_of_several_samples_is_no_sample(tmp_path, name):
    rows = [
        {"id": p, name: k, "correct": max(row[:k])}
        for p, row in enumerate(VERDICTS)
        for k in (1, 4, 8)
    ]
    with pytest.raises(ChoiceNeeded, match=f"column {name} has 3 values"):
        read(lines(tmp_path / "t.jsonl", rows))


def test_a_running_k_numbers_samples(tmp_path):
    assert is_whole(
        lines(tmp_path / "t.jsonl", [{"id": p, "k": i, "correct": v} for p, i, v in cells()])
    )


@pytest.mark.parametrize("name", ["id", "task_id", "question"])
def test_parts_of_a_data_set_below_keys(tmp_path, name):
    half = {
        part: [{name: f"{part}{p}", "correct": v} for p, _, v in cells() if p % 2 == k]
        for k, part in enumerate(("train", "test"))
    }
    assert is_whole(document(tmp_path / "t.json", half))
    same = {m: [{name: f"q{p}", "correct": v} for p, _, v in cells()] for m in ("a", "b")}
    with pytest.raises(ChoiceNeeded, match="section has 2 values"):
        read(document(tmp_path / "u.json", same))


def test_samples_with_numbers_below_their_problem_are_asked_about(tmp_path):
    value = {
        f"p{p}": [{"id": i, "correct": v} for i, v in enumerate(row)]
        for p, row in enumerate(VERDICTS)
    }
    path = document(tmp_path / "t.json", value)
    with pytest.raises(ChoiceNeeded, match="section has 10 values"):
        read(path)
    assert is_whole(path, ReadOptions(problem="section"))


def test_a_summary_beside_the_samples_is_passed_over(tmp_path):
    rows = [{"id": p, "correct": v} for p, _, v in cells()]
    value = {"summary": [{"metric": "acc", "value": 0.5}], "samples": rows}
    assert is_whole(document(tmp_path / "t.json", value))

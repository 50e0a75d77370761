"""Words, flags and statuses that may say wrong, or that there is no verdict."""

import json

import numpy as np
import pytest

from grpolab.validate.readers import ChoiceNeeded, ReadOptions, read

RATES = np.linspace(0, 1, 12)


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rows_of(verdict=None, **columns):
    """12 problems of 4; problem 2 is marked: by its verdict, or by (marked, other) columns."""
    rng = np.random.default_rng(3)
    rows = []
    for p, rate in enumerate(RATES):
        for _ in range(4):
            score = int(rng.random() < rate)
            row = {"problem_id": p, "correct": 0 if p == 2 else score}
            if p == 2 and verdict is not None:
                row["correct"] = verdict
            row |= {name: pair[0] if p == 2 else pair[1] for name, pair in columns.items()}
            rows.append(row)
    return rows


def counted(path, errors):
    counts = read(path, ReadOptions(errors=errors)).counts
    return len(counts.num_correct), int(counts.group_size.sum())


@pytest.mark.parametrize("word", [
    "timeout", "Timed out", "TLE", "OOM", "killed", "invalid", "no answer", "Runtime Error", "CE",
])  # fmt: skip
def test_doubtful_words_in_the_verdict_are_asked_about(tmp_path, word):
    path = write(tmp_path / "t.jsonl", rows_of(word))
    with pytest.raises(ChoiceNeeded, match="verdicts are words such as") as caught:
        read(path)
    assert caught.value.option == "errors"
    assert counted(path, "missing") == (11, 44)
    assert counted(path, "wrong") == (12, 48)


@pytest.mark.parametrize("word", ["n.a.", "not run", "API error", "ungraded", "rate_limit"])
def test_words_for_no_verdict(tmp_path, word):
    assert counted(write(tmp_path / "t.jsonl", rows_of(word)), None) == (11, 44)


def test_error_is_doubtful_where_nothing_else_is_wrong(tmp_path):
    rows = [{"id": i % 6, "correct": "success" if i % 5 else "error"} for i in range(24)]
    path = write(tmp_path / "t.jsonl", rows)
    with pytest.raises(ChoiceNeeded, match="'error'"):
        read(path)
    assert read(path, ReadOptions(errors="wrong")).counts.mean_reward == pytest.approx(19 / 24)


@pytest.mark.parametrize(("name", "marked", "other"), [
    ("judge_error", "overloaded", None), ("sandboxError", "down", None), ("is_timeout", 1, 0),
    ("crashed", True, False), ("http_status", 503, 200), ("grader_status", "error", "done"),
    ("skipped", True, False), ("exception_info", {"type": "ConnectionError"}, None),
])  # fmt: skip
def test_columns_that_are_made_of_the_words_of_errors(tmp_path, name, marked, other):
    rows = rows_of(**{name: (marked, other)})
    assert counted(write(tmp_path / "all.jsonl", rows), None) == (11, 44)
    late = [row for row in rows if row["problem_id"] != 2] * 3
    late = [row | {"sample": i} for i, row in enumerate(late)]
    late = [{k: v for k, v in row.items() if k != name or v is not None} for row in late]
    late += [row | {"sample": i} for i, row in enumerate(rows) if row["problem_id"] == 2]
    assert counted(write(tmp_path / "late.jsonl", late), None) == (11, 132)


@pytest.mark.parametrize("name", ["error_rate", "timeout_s", "num_errors_seen", "std_error"])
def test_measurements_are_no_errors(tmp_path, name):
    rows = [row | {name: 0.1 * i} for i, row in enumerate(rows_of())]
    assert counted(write(tmp_path / "t.jsonl", rows), None) == (12, 48)


@pytest.mark.parametrize(("name", "marked", "other"), [
    ("status", "failed", "completed"), ("is_valid", False, True), ("completed", 0, 1),
    ("has_verdict", "no", "yes"), ("state", "killed", "done"), ("parse_error", "no box", None),
])  # fmt: skip
def test_flags_that_may_be_the_verdict_are_asked_about(tmp_path, name, marked, other):
    path = write(tmp_path / "t.jsonl", rows_of(**{name: (marked, other)}))
    with pytest.raises(ChoiceNeeded) as caught:
        read(path)
    assert caught.value.option == "errors"
    assert counted(path, "missing") == (11, 44)
    assert counted(path, "wrong") == (12, 48)


def test_a_status_that_is_the_verdict_once_more(tmp_path):
    rows = [row | {"status": "passed" if row["correct"] else "failed"} for row in rows_of()]
    assert counted(write(tmp_path / "t.jsonl", rows), None) == (12, 48)

"""An outage is no wrong answer: errors, exceptions and statuses of the harness."""

import json

import numpy as np
import pytest

from grpolab.validate.readers import ChoiceNeeded, ReadOptions, read

OUTAGES = {
    "error": "Timeout: sandbox down", "exception": "ConnectionError('reset')", "is_error": True,
    "error_message": "HTTP 503", "timed_out": True, "traceback": "docker daemon unavailable",
}  # fmt: skip


def table(path, kind, rows):
    if kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        import pyarrow as pa
        import pyarrow.csv as pc
        import pyarrow.parquet as pq

        data = pa.Table.from_pylist(rows)
        (pq.write_table if kind == "parquet" else pc.write_csv)(data, path)
    return path


def rows_of(name, outage, nothing):
    rng = np.random.default_rng(0)
    return [
        {"task_id": p, "correct": 0 if i == 3 else int(rng.random() < 0.5),
         name: outage if i == 3 else nothing}
        for p in range(12)
        for i in range(4)
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("name", OUTAGES)
def test_rows_with_an_error_have_no_verdict(tmp_path, kind, name):
    nothing = False if OUTAGES[name] is True else None
    path = table(tmp_path / f"t.{kind}", kind, rows_of(name, OUTAGES[name], nothing))
    reading = read(path)
    assert reading.counts.by_prompt().num_samples.tolist() == [3] * 12
    assert reading.counts.provenance.num_missing == 12
    assert any("12 samples have an error" in note for note in reading.notes)
    taken = read(path, ReadOptions(errors="wrong"))
    assert taken.counts.by_prompt().num_samples.tolist() == [4] * 12


@pytest.mark.parametrize("status", ["error", "Exception", "infrastructure error", "aborted"])
def test_a_status_of_the_harness(tmp_path, status):
    path = table(tmp_path / "t.jsonl", "jsonl", rows_of("status", status, "completed"))
    assert read(path).counts.provenance.num_missing == 12
    path = table(tmp_path / "u.jsonl", "jsonl", rows_of("status", "truncated", "completed"))
    assert read(path).counts.provenance.num_missing == 0


def test_errors_inside_of_objects(tmp_path):
    rows = [
        {"id": p, "correct": i % 2, "info": {"error": "api overloaded" if i == 2 else None}}
        for p in range(6)
        for i in range(4)
    ]
    assert read(table(tmp_path / "t.jsonl", "jsonl", rows)).counts.provenance.num_missing == 6


def test_errors_of_the_judged_programs_are_asked_about(tmp_path):
    words = ["AssertionError: 3 != 4", "NameError: name 'x' is not defined", None]
    rows = [
        {"task_id": p, "passed": i % 3 == 2, "error": words[i % 3]}
        for p in range(9)
        for i in range(6)
    ]
    path = table(tmp_path / "t.jsonl", "jsonl", rows)
    with pytest.raises(ChoiceNeeded, match="wrong answers, or outages") as caught:
        read(path)
    assert caught.value.option == "errors"
    assert read(path, ReadOptions(errors="wrong")).counts.mean_reward == pytest.approx(1 / 3)
    assert read(path, ReadOptions(errors="missing")).counts.mean_reward == 1.0


def test_errors_that_are_told_apart_by_nothing_are_asked_about(tmp_path):
    rows = [
        {"id": p, "correct": int(i < 3), "error": None if i < 3 else "code 17"}
        for p in range(9)
        for i in range(6)
    ]
    with pytest.raises(ChoiceNeeded, match="--errors"):
        read(table(tmp_path / "t.jsonl", "jsonl", rows))


@pytest.mark.parametrize("late", [{"error": "sandbox down"}, {"exception": "ConnectionError"}])
def test_a_key_that_only_failed_rows_have(tmp_path, late):
    rows = [{"task_id": i // 4, "correct": i % 3 % 2} for i in range(800)]
    rows[700] = {**rows[700], "correct": 0, **late}
    path = table(tmp_path / "t.jsonl", "jsonl", rows)
    assert read(path).counts.provenance.num_missing == 1


def test_a_second_model_that_begins_late(tmp_path):
    rows = [{"task_id": i // 4, "correct": i % 3 % 2} for i in range(400)]
    rows += [{**row, "model": f"m{i % 2}"} for i, row in enumerate(rows)]
    with pytest.raises(ChoiceNeeded, match="--group-by model"):
        read(table(tmp_path / "t.jsonl", "jsonl", rows))


def test_a_time_limit_is_asked_about(tmp_path):
    path = table(tmp_path / "t.jsonl", "jsonl", rows_of("status", "timeout", "ok"))
    with pytest.raises(ChoiceNeeded, match="such as 'timeout'"):
        read(path)
    assert read(path, ReadOptions(errors="missing")).counts.provenance.num_missing == 12
    assert read(path, ReadOptions(errors="wrong")).counts.provenance.num_missing == 0

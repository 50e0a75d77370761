"""Tables with one row per problem: counts as they stand, and what is refused."""

import json

import numpy as np
import pytest

from grpolab.errors import UserError
from grpolab.store import write_counts
from grpolab.theory import GroupCounts
from grpolab.validate.readers import ReadOptions, read


@pytest.mark.parametrize(
    "header",
    ["num_correct,num_samples", "num_correct,group_size", "n_correct,n", "correct,total", "c,n"],
)
def test_counts_by_their_usual_names(tmp_path, header):
    path = tmp_path / "counts.csv"
    path.write_text(f"problem_id,{header}\na,1,8\nb,8,8\nc,0,4\n")
    reading = read(path)
    assert reading.format == "counts"
    assert reading.counts.num_correct.tolist() == [1, 8, 0]
    assert reading.counts.group_size.tolist() == [8, 8, 4]
    assert reading.counts.prompt_names == {0: "a", 1: "b", 2: "c"}
    assert reading.counts.provenance.verdict == header.replace(",", " of ")
    assert reading.notes == ()


def test_json_lines_without_a_problem_are_problems_of_their_own(tmp_path):
    path = tmp_path / "counts.jsonl"
    rows = [{"num_correct": k, "num_samples": 4} for k in (0, 3, 3)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    counts = read(path).counts
    assert len(np.unique(counts.prompt_id)) == 3
    assert counts.by_prompt().num_correct.tolist() == [0, 3, 3]


def test_groups_and_steps_of_a_problem(tmp_path):
    path = tmp_path / "counts.csv"
    path.write_text("task_id,num_correct,n,step\na,1,8,0\na,2,8,1\nb,0,0,1\n")
    reading = read(path)
    assert reading.counts.step.tolist() == [0, 1]
    assert reading.counts.prompt_id.tolist() == [0, 0]
    assert any("1 rows have no samples" in note for note in reading.notes)
    path.write_text("task_id,num_correct,n\na,1,8\na,2,8\n")
    assert any("groups of one policy" in note for note in read(path).notes)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a,9,8", "num_correct must be 0..num_samples, got 9 of 8"),
        ("a,-1,8", "got -1 of 8"),
        ("a,0.5,8", "num_correct must be a whole number"),
        ("a,x,8", ":2: num_correct must be a number"),
        ("a,0,0", "holds no samples"),
        ("", "holds no samples"),
    ],
)
def test_what_is_no_count(tmp_path, rows, message):
    path = tmp_path / "counts.csv"
    path.write_text(f"task_id,num_correct,num_samples\n{rows}\n")
    with pytest.raises(UserError, match=message):
        read(path, ReadOptions(format="counts"))
    path.write_text("task_id,score\na,1\n")
    with pytest.raises(UserError, match="no columns of successes and samples"):
        read(path, ReadOptions(format="counts"))


def test_one_row_per_completion_is_no_count_table(tmp_path):
    path = tmp_path / "long.csv"
    path.write_text("task_id,correct,n_tokens\na,1,8\na,0,8\n")
    assert read(path).format == "table"


def test_steps_of_a_training_run_are_no_count_table(tmp_path):
    row = {"step": 0, "num_correct": [1, 2], "group_size": [4, 4], "prompt_id": [0, 1]}
    (tmp_path / "steps.jsonl").write_text(json.dumps(row) + "\n" + json.dumps(row) + "\n")
    with pytest.raises(UserError, match="not recognised"):
        read(tmp_path / "steps.jsonl")


def test_a_folder_of_ours_is_read_by_its_table_of_groups(tmp_path):
    write_counts(tmp_path / "groups.parquet", GroupCounts([1, 2], 4))
    (tmp_path / "more.csv").write_text("id,correct\na,1\n")
    reading = read(tmp_path)
    assert (reading.format, reading.counts.num_correct.tolist()) == ("grpolab", [1, 2])
    assert read(tmp_path, ReadOptions(format="table")).counts.num_correct.tolist() == [1]

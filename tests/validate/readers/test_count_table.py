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


def counts_of(path, header, lines, **options):
    path.write_text("\n".join([header, *lines]) + "\n")
    found = read(path, ReadOptions(**options)).counts
    return found.num_correct.tolist(), found.group_size.tolist()


RIGHT, DRAWN = [3, 0, 4, 2, 1, 4], [4] * 6


@pytest.mark.parametrize("header", [
    "total_correct,total", "num_right,num_all", "n_solved,rollouts_per_prompt", "wins,games",
    "correct_completions,total_completions", "sum,count", "sum,size", "passes,runs", "#correct,n",
])  # fmt: skip
def test_counts_by_names_that_are_made_of_known_words(tmp_path, header):
    lines = [f"p{i},{k},4" for i, k in enumerate(RIGHT)]
    assert counts_of(tmp_path / "t.csv", f"problem_id,{header}", lines) == (RIGHT, DRAWN)


@pytest.mark.parametrize("header", [
    "passed,failed", "n_correct,n_wrong", "num_pass,num_fail", "right,wrong", "True,False", "1,0",
])  # fmt: skip
def test_numbers_of_right_and_wrong_samples(tmp_path, header):
    lines = [f"p{i},{k},{4 - k}" for i, k in enumerate(RIGHT)]
    assert counts_of(tmp_path / "t.csv", f"problem_id,{header}", lines) == (RIGHT, DRAWN)


def test_columns_zero_and_one_of_samples_are_no_counts(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("problem_id,0,1\n" + "".join(f"p{i},{i % 2},1\n" for i in range(6)))
    counts = read(path).counts
    assert (int(counts.num_correct.sum()), counts.group_size.tolist()) == (9, [2] * 6)


def test_samples_that_are_neither_right_nor_wrong_are_asked_about(tmp_path):
    lines = [f"p{i},{k},{max(0, 3 - k)},4" for i, k in enumerate(RIGHT)]
    path, header = tmp_path / "t.csv", "problem_id,n_passed,n_failed,n_total"
    with pytest.raises(UserError, match="neither n_passed nor n_failed") as caught:
        counts_of(path, header, lines)
    assert caught.value.option == "errors"
    sizes = counts_of(path, header, lines, errors="missing")[1]
    assert sizes == [3, 3, 4, 3, 3, 4]


@pytest.mark.parametrize("text", ["{}/4", "{} of 4", "{} / 4 (about)"])
def test_three_of_four(tmp_path, text):
    lines = [f"p{i},{text.format(k)}" for i, k in enumerate(RIGHT)]
    assert counts_of(tmp_path / "t.csv", "task_id,passed", lines) == (RIGHT, DRAWN)


def test_parts_of_different_wholes_may_be_tests(tmp_path):
    lines = [f"p{i},{k}/{4 + i % 2}" for i, k in enumerate(RIGHT)]
    with pytest.raises(UserError, match="of the tests of one sample") as caught:
        counts_of(tmp_path / "t.csv", "task_id,score", lines)
    assert caught.value.option == "num_correct"
    assert counts_of(tmp_path / "t.csv", "task_id,score", lines, num_correct="score")[0] == RIGHT


@pytest.mark.parametrize("mark", [",", "'", " ", "\u00a0"])
def test_marks_between_thousands(tmp_path, mark):
    lines = [f'p{i},"1{mark}00{k}","2{mark}000"' for i, k in enumerate(RIGHT)]
    found = counts_of(tmp_path / "t.csv", "problem,num_correct,num_samples", lines)
    assert found == ([1000 + k for k in RIGHT], [2000] * 6)


@pytest.mark.parametrize(("name", "number"), [("accuracy", 25), ("pass_rate", 25.0)])
def test_whole_percentages_are_no_numbers(tmp_path, name, number):
    lines = [f"p{i},{number * k},4" for i, k in enumerate(RIGHT)]
    assert counts_of(tmp_path / "t.csv", f"problem,{name},n", lines) == (RIGHT, DRAWN)


def test_percentages_that_may_be_numbers_are_asked_about(tmp_path):
    lines = [f"p{i},{25 * k},200" for i, k in enumerate(RIGHT)]
    path, header = tmp_path / "t.csv", "problem,accuracy,n"
    with pytest.raises(UserError, match="numbers of correct samples, or percentages"):
        counts_of(path, header, lines)
    assert counts_of(path, header, lines, num_correct="accuracy")[0] == [25 * k for k in RIGHT]


@pytest.mark.parametrize("first", [True, False])
def test_sums_of_all_rows_are_no_problem(tmp_path, first):
    lines = [f"p{i},{k},4" for i, k in enumerate(RIGHT)]
    total = f"{sum(RIGHT)},{sum(DRAWN)}"
    for name in ("Grand Total", "all problems"):
        table = [f"{name},{total}", *lines] if first else [*lines, f"{name},{total}"]
        assert counts_of(tmp_path / "t.csv", "task,n_correct,n", table) == (RIGHT, DRAWN)
    for bare, row in ((lines, f"x,{total}"), ([line[3:] for line in lines], total)):
        header = "task,n_correct,n" if row != total else "n_correct,n"
        table = [row, *bare] if first else [*bare, row]
        with pytest.raises(UserError, match="sums of all other rows"):
            counts_of(tmp_path / "t.csv", header, table)


def test_rows_with_the_number_of_samples_that_they_stand_for(tmp_path):
    path = tmp_path / "t.csv"
    lines = [f"p{i},{v},{n}" for i, k in enumerate(RIGHT) for v, n in ((1, k), (0, 4 - k)) if n]
    path.write_text("\n".join(["problem_id,correct,count", *lines]) + "\n")
    reading = read(path)
    assert reading.counts.num_correct.tolist() == RIGHT
    assert reading.counts.group_size.tolist() == DRAWN
    assert any("as often as count says" in note for note in reading.notes)

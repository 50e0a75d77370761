"""Samples of several policies or problems in one file: their meaning is known, or asked."""

import itertools
import json

import numpy as np
import pytest

from grpolab.errors import UserError
from grpolab.validate.readers import ChoiceNeeded, ReadOptions, read, read_all

PACKINGS = ("jsonl", "csv", "parquet", "json")


def write(path, rows, packing="jsonl"):
    path = path.with_suffix(f".{packing}")
    if packing == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif packing == "json":
        path.write_text(json.dumps(rows))
    else:
        import pyarrow as pa
        import pyarrow.csv as pc
        import pyarrow.parquet as pq

        table = pa.Table.from_pylist(rows)
        (pq.write_table if packing == "parquet" else pc.write_csv)(table, path)
    return path


def sizes(reading):
    return sorted(reading.counts.by_prompt().num_samples.tolist())


def rows_of(problems=10, samples=4, *, split="model", values=("a", "b"), seed=0, extra=None):
    rng = np.random.default_rng(seed)
    return [
        {split: value, "task_id": p, "correct": int(rng.random() < 0.5), **(extra or {})}
        for value in values
        for p in range(problems)
        for _ in range(samples)
    ]


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize(
    ("split", "values"),
    [
        ("model", ("a", "b")), ("checkpoint", ("100", "200", "300")), ("temperature", (0.2, 1.0)),
        ("epoch", (1, 2)), ("split", ("train", "test")), ("filter", ("strict", "flexible")),
        ("variant", ("x", "y")), ("ckpt", (1, 2)), ("Model Name", ("a", "b")),
        ("prompting", (0, 1)),
    ],
)  # fmt: skip
def test_columns_that_split_the_samples_are_asked_about(tmp_path, packing, split, values):
    path = write(tmp_path / "t", rows_of(split=split, values=values), packing)
    with pytest.raises(ChoiceNeeded) as caught:
        read(path)
    assert caught.value.option == "group_by"
    assert caught.value.choices[0] == split
    assert f"--group-by {split}" in str(caught.value)
    assert "\n" not in str(caught.value)
    found = read_all(path, ReadOptions(group_by=split))
    assert [r.label for r in found] == [
        f"{split}={v:g}" if split == "temperature" else f"{split}={v}" for v in values
    ]
    assert all(sizes(r) == [4] * 10 for r in found)
    assert sizes(read(path, ReadOptions(group_by="none"))) == [4 * len(values)] * 10
    joined = read(path, ReadOptions(problem=f"task_id,{split}", group_by="none"))
    assert sizes(joined) == [4] * 10 * len(values)


@pytest.mark.parametrize("samples", [1, 3])
def test_policies_are_asked_about_whatever_their_blocks(tmp_path, samples):
    rows = rows_of(samples=samples) + rows_of(samples=2, values=("c",))
    with pytest.raises(ChoiceNeeded, match="column model has 3 values"):
        read(write(tmp_path / "t", rows))
    rows = [{**row, "task_id": f"{row['model']}{row['task_id']}"} for row in rows]
    with pytest.raises(ChoiceNeeded, match="column model has 3 values"):
        read(write(tmp_path / "u", rows))


@pytest.mark.parametrize("name", ["subject", "dataset", "data_source", "category", "lang"])
def test_ids_that_begin_anew_are_told_apart(tmp_path, name):
    reading = read(write(tmp_path / "t", rows_of(split=name, values=("algebra", "logic"))))
    assert sizes(reading) == [4] * 20
    assert any("begins anew" in note for note in reading.notes)
    alone = rows_of(split=name, values=("algebra", "logic"), samples=1)
    with pytest.raises(ChoiceNeeded, match=f"--problem task_id,{name}"):
        read(write(tmp_path / "u", alone))


def test_columns_of_chance_are_no_split(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        {"task_id": p, "correct": int(rng.random() < 0.5), "truncated": bool(rng.random() < 0.3),
         "tokens": int(rng.integers(100)), "worker": i % 2, "level": p % 3, "note": "x",
         "label_of_grader": str(rng.integers(3))}
        for p in range(30)
        for i in range(8)
    ]  # fmt: skip
    reading = read(write(tmp_path / "t", rows))
    assert sizes(reading) == [8] * 30
    assert reading.notes == ()


@pytest.mark.parametrize(
    "name", ["sample", "trial", "attempt", "run", "seed", "epoch", "replicate", "sample_idx"]
)
def test_columns_that_number_samples_find_rows_written_twice(tmp_path, name):
    rng = np.random.default_rng(0)
    rows = [
        {"task_id": p, name: i, "reward": float(rng.random() < 0.5)}
        for p in range(8)
        for i in range(4)
    ]
    assert sizes(read(write(tmp_path / "once", rows))) == [4] * 8
    path = write(tmp_path / "twice", rows + rows)
    with pytest.raises(ChoiceNeeded) as caught:
        read(path)
    assert caught.value.option in ("repeats", "group_by")
    found = read(path, ReadOptions(repeats="drop", group_by="none"))
    assert sizes(found) == [4] * 8
    some = write(tmp_path / "some", rows + rows[:1])
    with pytest.raises(UserError, match=f"task_id 0 {name} 0 was already in line 1"):
        read(some)


def test_a_file_that_was_appended_to_itself(tmp_path):
    rng = np.random.default_rng(1)
    rows = [{"id": p, "correct": int(rng.random() < 0.5)} for p in range(20) for _ in range(4)]
    with pytest.raises(ChoiceNeeded, match=":81: id 0 was already in line 1, as 80 of 160"):
        read(write(tmp_path / "t", rows + rows))
    assert sizes(read(write(tmp_path / "u", rows + rows), ReadOptions(repeats="keep"))) == [8] * 20
    easy = [{"id": p, "correct": 1} for p in range(20) for _ in range(4)]
    assert sizes(read(write(tmp_path / "v", easy + easy))) == [8] * 20  # no sign of a copy


def test_samples_numbered_within_seeds_are_samples(tmp_path):
    rng = np.random.default_rng(1)
    rows = [
        {"id": p, "seed": s, "sample": i, "correct": int(rng.random() < 0.5)}
        for p, s, i in itertools.product(range(9), range(2), range(3))
    ]
    assert sizes(read(write(tmp_path / "t", rows))) == [6] * 9


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("empty", [None, ""])
def test_rows_without_an_id_are_no_problem(tmp_path, packing, empty):
    rows = [{"task_id": f"t{i // 4}", "correct": i % 2} for i in range(20)]
    rows[7]["task_id"] = rows[11]["task_id"] = empty
    with pytest.raises(ChoiceNeeded, match=r"no task_id in this row and in 2 of 20") as caught:
        read(write(tmp_path / "t", rows, packing))
    assert caught.value.option == "problem"


def test_ids_that_are_none_are_replaced_by_those_that_are(tmp_path):
    rows = [{"task_id": "gsm8k", "question_id": i // 4, "correct": i % 2} for i in range(40)]
    reading = read(write(tmp_path / "t", rows))
    assert sizes(reading) == [4] * 10
    assert "problems are told by question_id; task_id is the same" in reading.notes[0]
    rows = [{"id": f"row-{i}", "question": f"q{i // 4}", "correct": i % 2} for i in range(40)]
    assert sizes(read(write(tmp_path / "u", rows))) == [4] * 10
    rows = [{"example_id": i, "prompt": f"q{i // 4}", "correct": i % 2} for i in range(40)]
    with pytest.raises(ChoiceNeeded, match="--problem prompt, or --problem example_id"):
        read(write(tmp_path / "v", rows))


@pytest.mark.parametrize("big", [2**53, 2**60, 2**63 + 10, 10**30])
@pytest.mark.parametrize("packing", ["jsonl", "json", "csv", "parquet"])
def test_large_numbers_stay_apart(tmp_path, big, packing):
    if packing == "parquet" and big >= 2**63:
        pytest.skip("no such column")
    rows = [{"id": big + i // 2, "correct": i % 2} for i in range(8)]
    if packing == "csv":
        path = tmp_path / "t.csv"
        path.write_text("id,correct\n" + "".join(f"{r['id']},{r['correct']}\n" for r in rows))
    else:
        path = write(tmp_path / "t", rows, packing)
    reading = read(path)
    assert sizes(reading) == [2] * 4
    assert list(reading.counts.prompt_names.values()) == [str(big + i) for i in range(4)]


def test_folders_of_checkpoints_and_of_shards(tmp_path):
    rng = np.random.default_rng(0)

    def file(name, problems):
        rows = [{"id": p, "correct": int(rng.random() < 0.5)} for p in problems for _ in range(4)]
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path / name, rows)

    for name in ("models/base", "models/tuned"):
        file(name, range(10))
    with pytest.raises(ChoiceNeeded, match="--group-by file"):
        read(tmp_path / "models")
    found = read_all(tmp_path / "models", ReadOptions(group_by="file"))
    assert [r.label for r in found] == ["base.jsonl", "tuned.jsonl"]
    assert sizes(read(tmp_path / "models", ReadOptions(group_by="none"))) == [8] * 10
    for i in range(3):
        file(f"shards/part-{i:05d}-of-00003", range(10 * i, 10 * i + 10))
        file(f"seeds/seed_{i}", range(10))
    assert sizes(read(tmp_path / "shards")) == [4] * 30
    seeds = read(tmp_path / "seeds")
    assert sizes(seeds) == [12] * 10
    assert any("pooled" in note for note in seeds.notes)


def test_files_scored_by_other_columns_are_asked_about(tmp_path):
    write(tmp_path / "a", [{"prompt": f"a{i}", "reward": 1.0, "success": 0} for i in range(5)])
    write(tmp_path / "b", [{"prompt": f"b{i}", "reward": 1.0} for i in range(5)])
    with pytest.raises(ChoiceNeeded, match=r"scored by reward, but .*a.jsonl by success") as caught:
        read(tmp_path)
    assert (caught.value.option, caught.value.choices) == ("score", ("reward",))
    write(tmp_path / "b", [{"task_id": f"b{i}", "reward": 1.0, "success": 0} for i in range(5)])
    with pytest.raises(ChoiceNeeded, match="problems named by task_id") as caught:
        read(tmp_path)
    assert caught.value.option == "problem"


def test_files_of_other_problems_are_joined_by_their_names(tmp_path):
    for name in ("algebra", "logic"):
        write(tmp_path / name, [{"id": i // 4, "correct": i % 2} for i in range(40)])
    with pytest.raises(ChoiceNeeded, match="--problem id,file"):
        read(tmp_path)
    assert sizes(read(tmp_path, ReadOptions(problem="id,file"))) == [4] * 20


def test_an_iteration_may_number_samples(tmp_path):
    rows = [{"id": p, "iteration": i, "correct": (p + i) % 2} for i in range(5) for p in range(8)]
    counts = read(write(tmp_path / "t", rows)).counts
    assert (len(counts), set(counts.step.tolist())) == (8, {0})
    counts = read(write(tmp_path / "u", [{**r, "iteration": r["iteration"] // 2} for r in rows]))
    assert sorted(set(counts.counts.step.tolist())) == [0, 1, 2]


def test_a_column_of_the_answers_is_no_part_of_the_problem(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        {"id": p, "language": "en" if rng.random() < 0.5 else "de", "correct": p % 2}
        for p in range(30)
        for _ in range(8)
    ]
    with pytest.raises(ChoiceNeeded, match="column language has 2 values"):
        read(write(tmp_path / "t", rows))


def test_every_completion_twice_in_any_order(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        {"id": p, "completion": f"answer {p} {i}", "correct": int(rng.random() < 0.5)}
        for p in range(9)
        for i in range(4)
    ]
    twice = [rows[i % 36] for i in rng.permutation(72)]
    path = write(tmp_path / "t", twice)
    with pytest.raises(ChoiceNeeded, match="as 36 of 72 rows were; pass --repeats drop"):
        read(path)
    dropped = read(path, ReadOptions(repeats="drop"))
    assert sizes(dropped) == [4] * 9
    assert dropped.counts.num_correct.sum() == sum(r["correct"] for r in rows)
    greedy = [{**row, "completion": f"answer {row['id']}"} for row in rows]
    assert sizes(read(write(tmp_path / "u", greedy))) == [4] * 9


def test_grouping_by_one_column_does_not_hide_another(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        {"model": m, "temperature": t, "id": p, "passed": int(rng.random() < 0.5)}
        for m in "ab"
        for t in (0, 1)
        for p in range(8)
        for _ in range(4)
    ]
    path = write(tmp_path / "t", rows)
    with pytest.raises(ChoiceNeeded, match="--group-by model,temperature"):
        read_all(path, ReadOptions(group_by="model"))
    found = read_all(path, ReadOptions(group_by="model,temperature"))
    assert [r.label for r in found] == [f"model={m} temperature={t}" for m in "ab" for t in (0, 1)]
    assert all(sizes(r) == [4] * 8 for r in found)
    tied = [{**row, "temperature": "ab".index(row["model"])} for row in rows]
    assert len(read_all(write(tmp_path / "u", tied), ReadOptions(group_by="model"))) == 2


@pytest.mark.parametrize("values", [("x", "y"), ("cot", "direct", "tools"), (True, False), (0, 5)])
def test_one_sample_of_every_arm_is_asked_about(tmp_path, values):
    rows = rows_of(40, 1, split="arm", values=values)
    with pytest.raises(ChoiceNeeded) as caught:
        read(write(tmp_path / "t", rows))
    assert caught.value.option == "group_by"


@pytest.mark.parametrize("values", [(0, 1), ("run-1", "run-2", "run-3"), (7, 8)])
def test_numbers_of_samples_are_no_arms(tmp_path, values):
    rows = rows_of(40, 1, split="which", values=values)
    assert sizes(read(write(tmp_path / "t", rows))) == [len(values)] * 40


def test_policies_deep_inside_of_objects(tmp_path):
    rows = [
        {"id": p, "correct": i % 2, "config": {"sampling": {"temperature": i // 2}}}
        for p in range(6)
        for i in range(4)
    ]
    for packing in ("jsonl", "parquet", "json"):
        path = write(tmp_path / "t", rows, packing)
        with pytest.raises(ChoiceNeeded, match=r"config\.sampling\.temperature has 2 values"):
            read(path)
        found = read_all(path, ReadOptions(group_by="config.sampling.temperature"))
        assert [sizes(r) for r in found] == [[2] * 6] * 2


@pytest.mark.parametrize("about", ["question", "query", "ground_truth", "target"])
def test_an_id_that_begins_anew_shows_in_what_the_problem_is(tmp_path, about):
    rows = [
        {"id": p, "correct": i % 2, about: f"{part} {p}"}
        for part in "ab"
        for p in range(6)
        for i in range(3)
    ]
    path = write(tmp_path / "t", rows)
    with pytest.raises(ChoiceNeeded, match=f"{about} differs within 100% of the problems"):
        read(path)
    assert sizes(read(path, ReadOptions(problem=f"id,{about}"))) == [3] * 12
    assert sizes(read(path, ReadOptions(problem="id"))) == [6] * 6
    by = [row | {"subject": row[about][0]} for row in rows]
    assert sizes(read(write(tmp_path / "u", by))) == [3] * 12


@pytest.mark.parametrize("step", [lambda p, i: i, lambda p, i: 4 * p + i])
def test_steps_that_leave_samples_alone_are_asked_about(tmp_path, step):
    rows = [{"id": p, "correct": i % 2, "step": step(p, i)} for p in range(8) for i in range(4)]
    path = write(tmp_path / "t", rows)
    with pytest.raises(ChoiceNeeded, match="one sample in each") as caught:
        read(path)
    assert caught.value.choices == ("step", "none")
    assert read(path, ReadOptions(step="none")).counts.group_size.tolist() == [4] * 8
    assert read(path, ReadOptions(step="step")).counts.group_size.tolist() == [1] * 32


def test_names_for_no_id_are_no_problem(tmp_path):
    rows = rows_of(values=("a",))
    for name in ("unknown", "N/A", "none"):
        bad = [row | {"task_id": name} if row["task_id"] < 3 else row for row in rows]
        with pytest.raises(ChoiceNeeded, match="no task_id in this row"):
            read(write(tmp_path / "t", bad))


@pytest.mark.parametrize(("value", "told"), [("sum", True), ("mean", True), ("other", False)])
def test_a_last_row_that_sums_up_the_samples(tmp_path, value, told):
    rows = rows_of(values=("a",), split="sample_of")
    total = sum(row["correct"] for row in rows)
    number = {"sum": total, "mean": total / len(rows), "other": 3 * total}[value]
    lines = [f"{row['task_id']},{row['correct']}" for row in rows] + [f"Total,{number}"]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["task_id,correct", *lines]) + "\n")
    if told:
        assert sizes(read(path)) == [4] * 10
        return
    with pytest.raises(UserError, match="neither the sum nor the mean"):
        read(path)


@pytest.mark.parametrize("comma", [",", ", "])
def test_names_with_commas_between_may_have_blanks(tmp_path, comma):
    rows = [{**row, "part": i % 2} for i, row in enumerate(rows_of(values=("a",)))]
    for name in ("one", "two"):
        write(tmp_path / name, rows)
    by_problem = ReadOptions(problem=comma.join(("part", "task_id", "file")))
    assert sizes(read(tmp_path, by_problem)) == [2] * 40
    by_input = ReadOptions(group_by=comma.join(("part", "file", "part")))
    assert len(read_all(tmp_path, by_input)) == 4

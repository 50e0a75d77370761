import csv
import gzip
import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpolab.errors import UserError
from grpolab.validate.readers import ReadOptions, long_table, read
from grpolab.validate.readers.frame import LinesFrame
from grpolab.validate.readers.source import Remarks


def totals(counts):
    pooled = counts.by_prompt()
    rows = zip(pooled.prompt_id, pooled.num_correct, pooled.num_samples, strict=True)
    return {counts.prompt_names[int(i)]: (int(c), int(n)) for i, c, n in rows}


def write(path, rows, packing="none"):
    kind = path.suffix
    if kind == ".csv":
        with path.open("w", newline="") as handle:
            out = csv.DictWriter(handle, rows[0].keys())
            out.writeheader()
            out.writerows(rows)
        return path
    if kind == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), path)
        return path
    text = json.dumps(rows) if kind == ".json" else "".join(json.dumps(r) + "\n" for r in rows)
    data = text.encode()
    if packing == "gzip":
        data = gzip.compress(data)
    if packing == "zstd":
        import pyarrow as pa

        data = pa.Codec("zstd").compress(data, asbytes=True)
    path.write_bytes(data)
    return path


ROWS = st.lists(
    st.tuples(st.sampled_from(["p1", "p 2", 'p"3', "p,4", "π"]), st.integers(0, 1)),
    min_size=1,
    max_size=30,
)


@pytest.mark.parametrize(
    ("ending", "packing"),
    [
        (".jsonl", "none"), (".jsonl", "gzip"), (".jsonl", "zstd"), (".json", "none"),
        (".csv", "none"), (".parquet", "none"),
    ],
)  # fmt: skip
@given(rows=ROWS)
@settings(max_examples=15, deadline=None, derandomize=True)
def test_what_was_written_is_what_is_counted(tmp_path_factory, ending, packing, rows):
    path = tmp_path_factory.mktemp("t") / f"table{ending}"
    write(path, [{"problem_id": p, "reward": r} for p, r in rows], packing)
    reading = read(path)
    right, every = Counter(), Counter()
    for problem, reward in rows:
        right[problem] += reward
        every[problem] += 1
    assert totals(reading.counts) == {p: (right[p], every[p]) for p in every}
    assert reading.format == "table"


@given(rows=ROWS)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_arrow_and_the_plain_reader_agree(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("t") / "table.jsonl"
    numbers = Counter()
    table = []
    for problem, reward in rows:
        table.append({"task_id": problem, "sample": numbers[problem], "score": float(reward)})
        numbers[problem] += 1
    write(path, table)
    fast, slow = LinesFrame(path, Remarks()), LinesFrame(path, Remarks())
    slow._by_arrow = lambda names: None
    assert fast._by_arrow(["task_id", "score"]) is not None
    found = [
        long_table.read_frames([frame], ReadOptions(), Remarks(), where="t")[0].counts
        for frame in (fast, slow)
    ]
    assert totals(found[0]) == totals(found[1])


def test_groups_and_steps_are_kept(tmp_path):
    rows = [
        {"prompt_id": p, "group_id": g, "step": s, "correct": c}
        for p, g, s, c in [("a", 0, 1, 1), ("a", 0, 1, 0), ("a", 1, 1, 0), ("a", 1, 2, 1)]
    ]
    counts = read(write(tmp_path / "t.jsonl", rows)).counts
    found = sorted(
        zip(
            counts.step.tolist(),
            counts.num_correct.tolist(),
            counts.group_size.tolist(),
            strict=True,
        )
    )
    assert found == [(1, 0, 1), (1, 1, 2), (2, 1, 1)]


def test_a_missing_verdict_is_no_observation(tmp_path):
    rows = [{"id": "a", "score": s} for s in (1, None, 0, float("nan"))] + [
        {"id": "b", "score": None}
    ]
    reading = read(write(tmp_path / "t.jsonl", rows))
    assert totals(reading.counts) == {"a": (1, 2)}
    assert reading.counts.provenance.num_missing == 3
    assert "3 of 5 samples have no verdict; 1 groups had none at all" in reading.notes[0]


def test_named_columns(tmp_path):
    path = write(tmp_path / "t.csv", [{"q": "a", "ok": "true"}, {"q": "a", "ok": "False"}])
    with pytest.raises(
        UserError, match=r"not recognised \(keys: ok, q\); a column with the problem is missing"
    ):
        read(path)
    assert totals(read(path, ReadOptions(problem="q", score="ok")).counts) == {"a": (1, 2)}
    with pytest.raises(UserError, match="no column 'x' for the problem; it has ok, q"):
        read(path, ReadOptions(format="table", problem="x", score="ok"))


def test_number_and_text_ids_are_not_mixed_up(tmp_path):
    rows = [{"id": 1, "score": 1}, {"id": "1", "score": 0}]
    counts = read(write(tmp_path / "t.jsonl", rows)).counts
    assert sorted(counts.num_correct.tolist()) == [0, 1]


def test_thresholds(tmp_path):
    path = write(tmp_path / "t.jsonl", [{"id": "a", "score": s} for s in (0.2, 0.7, 1.0)])
    with pytest.raises(UserError, match="pass --threshold"):
        read(path)
    assert totals(read(path, ReadOptions(threshold=0.5)).counts) == {"a": (2, 3)}
    assert totals(read(path, ReadOptions(threshold=0.7)).counts) == {"a": (1, 3)}


def test_a_folder_of_shards_is_one_table(tmp_path):
    for i in range(3):
        write(
            tmp_path / f"shard-{i}.jsonl",
            [{"id": "a", "score": i % 2}, {"id": f"b{i}", "score": 1}],
        )
    (tmp_path / "config.json").write_text('{"model": "m"}')
    found = totals(read(tmp_path).counts)
    assert found == {"a": (1, 3), "b0": (1, 1), "b1": (1, 1), "b2": (1, 1)}


def test_a_million_verdicts_are_read_within_a_second(tmp_path):
    import time

    rng = np.random.default_rng(0)
    reward = rng.random((2_000, 100)) < rng.beta(0.5, 1.5, 2_000)[:, None]
    path = tmp_path / "big.jsonl"
    with path.open("w") as handle:
        for i in range(2_000):
            verdict = ["true" if r else "false" for r in reward[i]]
            handle.writelines(
                f'{{"problem_id": "p{i}", "sample": {j}, "correct": {verdict[j]}}}\n'
                for j in range(100)
            )
    start = time.perf_counter()
    counts = read(path).counts
    assert time.perf_counter() - start < 0.6  # a fifth of a million; a slow machine has some room
    assert counts.num_correct.sum() == reward.sum()


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_separators_of_csv(tmp_path, mark):
    path = tmp_path / "t.csv"
    path.write_text("\n".join(mark.join(row) for row in (("id", "pass"), "a1", "a0", "b1")) + "\n")
    reading = read(path)
    assert totals(reading.counts) == {"a": (1, 2), "b": (1, 1)}
    assert reading.counts.provenance.verdict == "pass by id"


def test_a_file_without_column_names(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("HumanEval/0,1\nHumanEval/0,0\n")
    with pytest.raises(UserError, match="the first line holds data, not column names"):
        read(path)

"""Tables as people write them: count tables, lists, wide tables, documents and words."""

import gzip
import importlib.util
import io
import json
import subprocess
import sys

import numpy as np
import pytest

from grpolab.errors import UserError
from grpolab.validate.readers import ChoiceNeeded, ReadOptions, read, read_all

RIGHT = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 0])  # of 8
VERDICTS = [[int(i < k) for i in range(8)] for k in RIGHT]


def totals(reading):
    found = reading.counts.by_prompt()
    return found.num_correct.tolist(), found.num_samples.tolist()


def is_right(reading, right=RIGHT, size=8):
    return totals(reading) == (list(right), [size] * len(right))


@pytest.mark.parametrize(
    ("correct", "total"),
    [
        ("n_correct", "n_total"), ("n_correct", "n_rollouts"), ("num_samples_correct", "n"),
        ("Num. Samples Correct", "Num. Samples"), ("num_passed", "num_trials"), ("c", "n"),
        ("passed", "total"), ("correct_count", "count"), ("nCorrect", "nTotal"),
        ("solved_count", "attempts"), ("successes", "trials"), ("correct", "num_generations"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["csv", "jsonl", "json"])
def test_counts_under_any_names(tmp_path, correct, total, kind):
    rows = [{"idx": i, correct: int(k), total: 8} for i, k in enumerate(RIGHT)]
    path = tmp_path / f"t.{kind}"
    if kind == "csv":
        path.write_text(f"idx,{correct},{total}\n" + "".join(f"{i},{k},8\n" for i, k in
                                                             enumerate(RIGHT)))  # fmt: skip
    elif kind == "json":
        path.write_text(json.dumps(rows))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert is_right(read(path))


@pytest.mark.parametrize("name", ["accuracy", "pass_rate", "mean_reward", "acc", "pass@1"])
@pytest.mark.parametrize("form", ["{:.4f}", "{:.15g}", "{:.1%}", "percent"])
def test_shares_and_a_number_of_samples(tmp_path, name, form):
    shares = [k / 8 * 100 if form == "percent" else k / 8 for k in RIGHT]
    text = [f"{s:g}" if form == "percent" else form.format(s) for s in shares]
    path = tmp_path / "t.csv"
    path.write_text(f"id,{name},n\n" + "".join(f"{i},{t},8\n" for i, t in enumerate(text)))
    assert is_right(read(path))


def test_shares_that_say_too_little_or_nothing(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,accuracy,n\na,0.33,1000\nb,0.5,1000\n")
    with pytest.raises(UserError, match="does not say how many of 1000"):
        read(path)
    path.write_text("id,accuracy,n\na,0.3333,8\nb,0.5,8\n")
    with pytest.raises(UserError, match=r"0.3333 is no share of 8 samples"):
        read(path)


def test_counts_that_the_user_names(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("who,good,drawn\n" + "".join(f"{i},{k},8\n" for i, k in enumerate(RIGHT)))
    options = ReadOptions(problem="who", num_correct="good", num_samples="drawn")
    assert is_right(read(path, options))
    assert is_right(read(path, ReadOptions(problem="who", num_correct="good", num_samples="8")))
    with pytest.raises(ChoiceNeeded, match="--num-samples COLUMN or a number"):
        read(path, ReadOptions(problem="who", num_correct="good"))
    with pytest.raises(ChoiceNeeded, match="--num-correct good --num-samples COLUMN") as caught:
        read(path, ReadOptions(problem="who", score="good"))
    assert caught.value.option == "num_correct"
    assert is_right(read(path, ReadOptions(problem="who", num_correct="good", num_samples="8")))


def test_counts_of_several_models(tmp_path):
    path = tmp_path / "t.csv"
    lines = [f"{m},{i},{k},8" for m in "ab" for i, k in enumerate(RIGHT)]
    path.write_text("\n".join(["model,idx,n_correct,n", *lines]) + "\n")
    with pytest.raises(ChoiceNeeded, match="--group-by model"):
        read(path)
    found = read_all(path, ReadOptions(group_by="model"))
    assert [r.label for r in found] == ["model=a", "model=b"]
    assert all(is_right(r) for r in found)


def test_a_number_of_samples_at_the_top_of_a_document(tmp_path):
    path = tmp_path / "t.json"
    rows = [{"problem": f"p{i}", "n_correct": int(k)} for i, k in enumerate(RIGHT)]
    path.write_text(json.dumps({"model": "m", "k": 8, "results": rows}))
    assert is_right(read(path))


LISTS = {
    "jsonl": lambda: "".join(
        json.dumps({"idx": i, "score": [bool(v) for v in row], "code": ["x"] * 8}) + "\n"
        for i, row in enumerate(VERDICTS)
    ),
    "rewards": lambda: "".join(
        json.dumps({"prompt_id": str(i), "rewards": row}) + "\n" for i, row in enumerate(VERDICTS)
    ),
    "graded_list": lambda: json.dumps(
        [{"question_id": str(i), "graded_list": row, "x": 1} for i, row in enumerate(VERDICTS)]
    ),
    "by id": lambda: json.dumps({f"p{i}": row for i, row in enumerate(VERDICTS)}),
    "by id of booleans": lambda: json.dumps(
        {f"p{i}": [bool(v) for v in row] for i, row in enumerate(VERDICTS)}, indent=2
    ),
    "nested by id": lambda: json.dumps(
        {"pass@1": 0.5, "raw_scored_generations": {f"p{i}": row for i, row in enumerate(VERDICTS)}}
    ),
    "matrix": lambda: json.dumps(VERDICTS),
    "records by id": lambda: json.dumps(
        {f"p{i}": [{"passed": bool(v)} for v in row] for i, row in enumerate(VERDICTS)}
    ),
    "completions": lambda: "".join(
        json.dumps({"prompt": f"p{i}", "completions": [{"text": "x", "reward": v} for v in row]})
        + "\n"
        for i, row in enumerate(VERDICTS)
    ),
    "counts by id": lambda: json.dumps(
        {f"p{i}": {"n_correct": sum(row), "n": 8} for i, row in enumerate(VERDICTS)}
    ),
    "wide": lambda: "task," + ",".join(f"run_{j}" for j in range(8)) + "\n" + "".join(
        f"p{i}," + ",".join("pass" if v else "fail" for v in row) + "\n"
        for i, row in enumerate(VERDICTS)
    ),
    "wide of numbers": lambda: "id," + ",".join(map(str, range(8))) + "\n" + "".join(
        f"p{i}," + ",".join(map(str, row)) + "\n" for i, row in enumerate(VERDICTS)
    ),
    "pandas": lambda: json.dumps({
        "task_id": {str(i): f"p{i // 8}" for i in range(80)},
        "correct": {str(i): VERDICTS[i // 8][i % 8] for i in range(80)},
    }),
    "pandas split": lambda: json.dumps({
        "columns": ["task_id", "correct"], "index": list(range(80)),
        "data": [[f"p{i // 8}", VERDICTS[i // 8][i % 8]] for i in range(80)],
    }),
    "columns": lambda: json.dumps({
        "task_id": [i // 8 for i in range(80)],
        "correct": [VERDICTS[i // 8][i % 8] for i in range(80)],
    }),
    "pandas table": lambda: json.dumps({
        "schema": {"fields": []},
        "data": [{"index": i, "task_id": i // 8, "correct": VERDICTS[i // 8][i % 8]}
                 for i in range(80)],
    }),
    "words in columns with spaces": lambda: "Question;Judgement\n" + "".join(
        f"q{i // 8};{'richtig' if VERDICTS[i // 8][i % 8] else 'falsch'}\n" for i in range(80)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_every_layout_gives_the_same_counts(tmp_path, name):
    path = tmp_path / "file"
    path.write_text(LISTS[name]())
    assert is_right(read(path))
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert is_right(read(packed))


@pytest.mark.parametrize(
    ("yes", "no"),
    [
        ("yes", "no"), ("Y", "N"), ("PASS", "FAIL"), ("C", "I"), ("True", "False"), ("oui", "non"),
        ("sí", "no"), ("ja", "nein"), ("verdadero", "falso"), ("да", "нет"), ("正确", "错误"),
        ("是", "否"), ("はい", "いいえ"), ("✓", "✗"), ("100%", "0%"), ("1", "0"), ("1.0", "0.0"),
        ("resolved", "unresolved"), ("success", "failure"), ("vrai", "faux"), ("1", "-1"),
        ("100", "0"), ("AC", "WA"),
    ],
)  # fmt: skip
def test_words_for_right_and_wrong(tmp_path, yes, no):
    path = tmp_path / "t.csv"
    flat = [v for row in VERDICTS for v in row]
    lines = [f"{i // 8}\t{yes if v else no}\n" for i, v in enumerate(flat)]
    path.write_text("id\tverdict\n" + "".join(lines))
    assert is_right(read(path))


def test_a_word_that_is_no_verdict_is_named(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,correct\na,yes\na,perhaps\n")
    with pytest.raises(UserError, match=r":3: score must be a number or a word .*'perhaps'"):
        read(path)


@pytest.mark.parametrize(
    "name", ["idx", "qid", "instance_id", "name", "question", "index", "Task ID", "uid", "key",
             "problemId", "example", "input"],
)  # fmt: skip
def test_known_names_of_a_problem(tmp_path, name):
    path = tmp_path / "t.csv"
    path.write_text(f"{name},correct\n" + "".join(f"q{i // 8},{VERDICTS[i // 8][i % 8]}\n"
                                                  for i in range(80)))  # fmt: skip
    assert is_right(read(path))
    assert is_right(read(path, ReadOptions(problem=name)))


def test_the_problem_alone_is_enough(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("thing,correct\n" + "".join(f"q{i // 8},{VERDICTS[i // 8][i % 8]}\n"
                                                for i in range(80)))  # fmt: skip
    with pytest.raises(UserError, match="a column with the problem is missing: --problem NAME"):
        read(path)
    assert is_right(read(path, ReadOptions(problem="thing")))


def test_dotted_columns(tmp_path):
    path = tmp_path / "t.jsonl"
    rows = [{"id": i // 8, "reward_breakdown": {"correct": VERDICTS[i // 8][i % 8], "fmt": 1}}
            for i in range(80)]  # fmt: skip
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    assert is_right(read(path))
    assert is_right(read(path, ReadOptions(score="reward_breakdown.fmt")), [8] * 10)


def test_values_per_token_are_no_samples(tmp_path):
    path = tmp_path / "t.jsonl"
    row = {"id": 0, "completion": "a b c", "reward": [0, 0, 1]}
    path.write_text((json.dumps(row) + "\n") * 4)
    with pytest.raises(UserError, match="is it a value per token or per test"):
        read(path)


def test_lists_of_one_prompt_over_several_rows_are_groups(tmp_path):
    path = tmp_path / "t.jsonl"
    rows = [{"prompt_id": i % 2, "rewards": VERDICTS[i]} for i in range(4)]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    counts = read(path).counts
    assert counts.group_size.tolist() == [8] * 4
    assert len(np.unique(counts.prompt_id)) == 2


def test_refusals_name_what_every_kind_of_file_holds(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"loss": 1}\n{"loss": 2}\n')
    (tmp_path / "b.json").write_text('{"lr": 1,\n "seed": 2}')
    (tmp_path / "c.jsonl").write_text('{"task_id": 1, "text": "x"}\n')
    with pytest.raises(UserError) as caught:
        read(tmp_path)
    for part in ("a.jsonl: loss", "b.json: lr, seed", "c.jsonl: task_id, text", "--score NAME"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_tables_in_memory():
    import pyarrow as pa

    pd = pytest.importorskip("pandas")

    columns = {"task_id": np.arange(80) // 8, "correct": np.array(VERDICTS).reshape(-1)}
    for table in (pd.DataFrame(columns), pa.table(columns), Stream(pa.table(columns))):
        reading = read(table)
        assert is_right(reading)
        assert reading.format == "table"
    counts = pa.table({"task_id": np.arange(10), "n_correct": RIGHT, "n": [8] * 10})
    assert is_right(read(counts))
    with pytest.raises(UserError, match="not a table"):
        read(3)
    by_model = pa.table({**columns, "model": ["a", "b"] * 40})
    with pytest.raises(ChoiceNeeded, match="--group-by model"):
        read(by_model)
    assert [r.label for r in read_all(by_model, ReadOptions(group_by="model"))] == [
        "model=a", "model=b",
    ]  # fmt: skip


class Stream:
    """What polars and others offer: the Arrow PyCapsule protocol and nothing else."""

    def __init__(self, table):
        self._table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


def test_standard_input_and_pipes(tmp_path, monkeypatch):
    text = "id,correct\n" + "".join(f"{i // 8},{VERDICTS[i // 8][i % 8]}\n" for i in range(80))
    data = gzip.compress(text.encode())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert is_right(read("-"))
    path = tmp_path / "t.csv"
    path.write_text(text)
    command = f"{sys.executable} -m grpolab audit <(cat {path}) -g 4 --json"
    run = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout)["inputs"][0]["num_samples"] == 80


@pytest.mark.skipif(importlib.util.find_spec("openpyxl") is None, reason="needs openpyxl")
def test_spreadsheets(tmp_path):
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(["notes"])
    sheet = book.create_sheet("results")
    sheet.append(["task_id", "correct"])
    for i in range(80):
        sheet.append([f"p{i // 8}", bool(VERDICTS[i // 8][i % 8])])
    book.save(tmp_path / "t.xlsx")
    assert is_right(read(tmp_path / "t.xlsx"))


def test_samples_keep_scores_order_and_texts(tmp_path):
    path = tmp_path / "t.jsonl"
    rows = [{"id": i // 4, "score": i / 8, "completion": f"{'x' * 300}{i % 2}"} for i in range(8)]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    samples = read(path, ReadOptions(threshold=0.5)).samples
    assert samples.prompt.tolist() == [0] * 4 + [1] * 4
    assert samples.score.tolist() == [i / 8 for i in range(8)]
    assert samples.reward.tolist() == [0] * 5 + [1] * 3
    assert samples.text.tolist() == [0, 1] * 4
    assert samples.length.tolist() == [301] * 8
    assert samples.starts == ["x" * 200] * 2
    assert samples.is_graded


def test_zeros_and_ones_beside_a_number_are_asked_about(tmp_path):
    path = tmp_path / "t.csv"
    right = np.random.default_rng(0).random(1600) < 0.3
    lines = [f"{i % 200},{right[i]:d},8" for i in range(1600)]  # all problems once, then again
    path.write_text("\n".join(["task_id,correct,n", *lines]) + "\n")
    verdicts = read(path, ReadOptions(score="correct"))
    assert set(verdicts.counts.by_prompt().num_samples.tolist()) == {8}
    few = tmp_path / "few.csv"
    few.write_text("task_id,correct,n\na,1,8\nb,0,8\n")
    with pytest.raises(ChoiceNeeded, match="verdicts, or numbers of correct samples"):
        read(few)
    counts = read(few, ReadOptions(num_correct="correct", num_samples="n"))
    assert totals(counts) == ([1, 0], [8, 8])


def test_a_status_of_requests_is_no_verdict(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps({"id": i // 4, "status": "ok"}) + "\n" for i in range(8)))
    with pytest.raises(UserError, match="a column with the verdict is missing"):
        read(path)
    rows = [{"id": i // 4, "status": ["passed", "failed"][i % 2]} for i in range(8)]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    assert totals(read(path)) == ([2, 2], [4, 4])

"""Tables that are drawn, matrices without names, arrays, and what is advised for other files."""

import contextlib
import json
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pytest

from grpolab.errors import UserError
from grpolab.validate.readers import ChoiceNeeded, ReadOptions, read, read_all

VERDICTS = (np.random.default_rng(8).random((9, 5)) < np.linspace(0, 1, 9)[:, None]).astype(int)
RIGHT = VERDICTS.sum(axis=1).tolist()
LONG = [(f"alg-{p}", int(v)) for p in range(9) for v in VERDICTS[p]]


def right(source, **options):
    """Right samples of every problem; 5 samples each."""
    counts = read(source, ReadOptions(**options)).counts
    assert counts.group_size.tolist() == [5] * 9
    return counts.num_correct.tolist()


ROW = "".join
DRAWN = {
    "markdown": "| id | correct |\n|:---|--:|\n" + ROW(f"| {p} | {v} |\n" for p, v in LONG),
    "below a text": "# Last night\n\nA model, and all.\n\n| Task | # correct | # samples |\n"
    "|---|:-:|---|\n" + ROW(f"| `a{p}` | **{k}** | 5 |\n" for p, k in enumerate(RIGHT)) + "\n.\n",
    "no outer bars": "problem | n_correct | n\n--- | --- | ---\n"
    + ROW(f"p{p} | {k} | 5\n" for p, k in enumerate(RIGHT)),
    "marks": "|task|s1|s2|s3|s4|s5|\n|-|-|-|-|-|-|\n"
    + ROW(f"|t{p}|" + "|".join("❌✅"[v] for v in VERDICTS[p]) + "|\n" for p in range(9)),
    "psql": "  task  | correct \n--------+---------\n"
    + ROW(f" {p} | {'ft'[v]}\n" for p, v in LONG) + "(45 rows)\n",
    "mysql": "+-------+---------+\n| id    | correct |\n+-------+---------+\n"
    + ROW(f"| {p} |       {v} |\n" for p, v in LONG) + "+-------+---------+\n",
    "grid": "+-------+---------+\n| id    | correct |\n+=======+=========+\n"
    + ROW(f"| {p} |       {v} |\n+-------+---------+\n" for p, v in LONG),
    "total row": "| id | pass@1 | n |\n|--|--|--|\n"
    + ROW(f"| {p} | {20 * k}% | 5 |\n" for p, k in enumerate(RIGHT))
    + f"| **total** | {100 * VERDICTS.mean():.1f}% | 45 |\n",
}  # fmt: skip


def test_boxes_of_markdown_and_lines_above(tmp_path):
    path = tmp_path / "t.md"
    rows = ROW(f"| {p} | {('[ ]', '[x]')[v]} |\n" for p, v in LONG)
    path.write_text(f"---\ntitle: x\n---\n\n| id | solved |\n|---|---|\n{rows}")
    assert right(path) == RIGHT
    path.write_text(DRAWN["mysql"] + "only showing top 20 rows\n")
    with pytest.raises(UserError, match="a table as it is printed, which may be cut"):
        read(path)


@pytest.mark.parametrize("kind", DRAWN)
@pytest.mark.parametrize("name", ["t.md", "t.txt", "stdin"])
def test_a_drawn_table_is_read(tmp_path, kind, name):
    path = tmp_path / name
    path.write_text(DRAWN[kind], encoding="utf-8")
    assert right(path) == RIGHT


def test_a_drawn_table_that_is_no_table_is_refused_with_its_line(tmp_path):
    path = tmp_path / "t.md"
    path.write_text("| id | correct |\n|---|---|\n| a | 1 |\n| a | 0 | 1 |\n")
    with pytest.raises(UserError, match=r"t.md:4: 3 cells, but 2 columns"):
        read(path)
    path.write_text("| id | correct |\n|---|---|\n| a | 1 |\n| a | perhaps |\n")
    with pytest.raises(UserError, match=r"line 4: .*perhaps"):
        read(path)
    path.write_text(DRAWN["markdown"] + "\n" + DRAWN["markdown"])
    with pytest.raises(UserError, match=r"2 tables of verdicts \(1, 49\)"):
        read(path)


def test_a_drawn_table_inside_of_a_cell_is_a_text(tmp_path):
    path = tmp_path / "t.csv"
    cell = '"| x | y |\n|---|---|\n| 1 | 2 |"'
    path.write_text("id,completion,correct\n" + ROW(f"{p},{cell},{v}\n" for p, v in LONG))
    assert right(path) == RIGHT


def _lines(mark, words="01"):
    return ROW(mark.join(words[v] if len(words) == 2 else words.split()[v] for v in row) + "\n"
               for row in VERDICTS)  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [_lines(""), _lines(" "), _lines(","), _lines("\t"), _lines(" ", "False True"),
     _lines(", ", "fail pass")],
)  # fmt: skip
def test_a_matrix_without_names(tmp_path, text):
    path = tmp_path / "t.txt"
    path.write_text(text)
    assert right(path) == RIGHT
    path.write_text(text + "0,1,7,1,1\n")
    with pytest.raises(UserError, match=r"t.txt:10: '7' is no verdict"):
        read(path)


def test_arrays_of_numpy(tmp_path):
    for kind in (int, bool, float, np.float32):
        np.save(tmp_path / "t.npy", VERDICTS.astype(kind))
        assert right(tmp_path / "t.npy") == RIGHT
    np.savez(tmp_path / "t.npz", VERDICTS)
    assert right(tmp_path / "t.npz") == RIGHT
    np.savez_compressed(tmp_path / "t.npz", num_correct=RIGHT, num_samples=np.full(9, 5))
    assert right(tmp_path / "t.npz") == RIGHT
    np.savez(tmp_path / "t.npz", verdicts=VERDICTS, problem_id=np.array(list("abcdefghi")))
    assert right(tmp_path / "t.npz") == RIGHT
    assert right(VERDICTS) == right(VERDICTS.tolist()) == right({"correct": VERDICTS.tolist()})


def test_an_array_of_models_is_asked_about(tmp_path):
    np.save(tmp_path / "t.npy", np.stack([VERDICTS, 1 - VERDICTS]))
    with pytest.raises(ChoiceNeeded) as asked:
        read(tmp_path / "t.npy")
    assert asked.value.option == "group_by"
    two = read_all(tmp_path / "t.npy", ReadOptions(group_by="section"))
    assert [r.counts.num_correct.tolist() for r in two] == [RIGHT, [5 - k for k in RIGHT]]


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x01\x00v\x00{'descr"])
def test_damaged_arrays(tmp_path, damage):
    path = tmp_path / "t.npy"
    path.write_bytes(damage + b"\0" * 9)
    with pytest.raises(UserError):
        read(path)
    np.save(path, np.array([{}, None], dtype=object))
    with pytest.raises(UserError, match="not an array that can be read"):
        read(path)


def test_arrow_files_and_a_saved_dataset(tmp_path):
    table = pa.table({"id": [p for p, _ in LONG], "correct": [v for _, v in LONG]})
    pyarrow.feather.write_feather(table, tmp_path / "t.feather")
    assert right(tmp_path / "t.feather") == RIGHT
    folder = tmp_path / "dataset"
    folder.mkdir()
    for i, part in enumerate((table.slice(0, 20), table.slice(20))):
        shard = folder / f"data-0000{i}-of-00002.arrow"
        with shard.open("wb") as out, pa.ipc.new_stream(out, part.schema) as writer:
            writer.write_table(part)
    (folder / "state.json").write_text(json.dumps({"_fingerprint": "x", "_split": None}))
    (folder / "dataset_info.json").write_text(json.dumps({"features": {"id": {"dtype": "string"}}}))
    assert right(folder) == RIGHT
    (tmp_path / "t.feather").write_bytes(b"ARROW1\0\0" + b"x" * 50)
    with pytest.raises(UserError, match="not an Arrow table"):
        read(tmp_path / "t.feather")


def test_texts_of_one_mark_per_sample(tmp_path):
    path = tmp_path / "t.csv"
    for zero, one in ("01", "FP", "FT", "❌✅", "NY"):
        marks = ["".join((zero, one)[v] for v in row) for row in VERDICTS]
        path.write_text("task,result\n" + ROW(f"t{p},{m}\n" for p, m in enumerate(marks)))
        assert right(path) == RIGHT
    path.write_text("problem,correct\n" + ROW(f"{p % 8:03b},{p % 2}\n" for p in range(24)))
    assert read(path).counts.num_correct.tolist() == [0, 3] * 4  # ids that are bits


TESTS = [
    {"task_id": f"t{i // 4}", "output": f"code {i}", "NAME": [{"passed": True}, {"passed": i % 2}]}
    for i in range(16)
]  # fmt: skip


@pytest.mark.parametrize("name", ["tests", "test_results", "rubric", "turns", "judges", "messages"])
def test_tests_and_turns_of_one_sample_are_no_samples(tmp_path, name):
    path = tmp_path / "t.jsonl"
    rows = [{k if k != "NAME" else name: v for k, v in row.items()} for row in TESTS]
    path.write_text(ROW(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UserError, match=rf"{name}\[\].passed is of the tests, turns or judges"):
        read(path)
    path.write_text(ROW(json.dumps(r | {"passed": bool(i % 2)}) + "\n" for i, r in enumerate(rows)))
    assert read(path).counts.num_correct.tolist() == [2] * 4


def test_verdicts_deep_in_lists_and_under_longer_names(tmp_path):
    path = tmp_path / "t.jsonl"
    deep = [{"problem": {"id": p}, "attempts": [{"answer": "", "eval": {"is_correct": bool(v)}}
            for v in VERDICTS[p]]} for p in range(9)]  # fmt: skip
    path.write_text(ROW(json.dumps(row) + "\n" for row in deep))
    assert right(path) == right(path, score="attempts[].eval.is_correct") == RIGHT
    rows = [
        {"problem": f"Find {p}.", "solution": "..", "uuid": f"u{p}", "answer": "3",
         "generations": [f"{p} {i} ..." for i in range(5)],
         "correctness_math_verify": [bool(v) for v in VERDICTS[p]],
         "correctness_llama": None if p % 3 else [bool(v) for v in VERDICTS[p]],
         "correctness_count": RIGHT[p]}
        for p in range(9)
    ]  # fmt: skip
    path.write_text(ROW(json.dumps(row) + "\n" for row in rows))
    assert right(path) == RIGHT
    rows[0]["correctness_llama"] = [True, False, True, True, True]
    path.write_text(ROW(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ChoiceNeeded, match="correctness_math_verify, or --score correctness_llama"):
        read(path)


ADVICE = {
    "id,p0,p1\na,0.25,0.5\nb,0.75,1\n": r"--num-correct p0 --num-samples N .* --score 'p\*' --thr",
    "id,gpt,claude\na,1,0\nb,0,0\n": r"--score NAME of one column, or --score gpt,claude,\.\.\.",
    "prompt,big8b_solve_rate\na,0.25\nb,0.5\n": "big8b_solve_rate is a share: pass --num-correct",
    "problem,difficulty\na,3/8\nb,0/8\n": "3/8: pass --num-correct difficulty",
    "Results of a model,,\nid,run,correct\na,0,1\n": r"with tail -n \+2 OLD > NEW",
    ",correct,correct\nrun,0,1\nid,,\na,1,0\n": "names are not unique .'correct'.*df.columns",
    "a-1,0,1,1\na-2,1,1,1\n": "the first line holds data",
    '"id" "correct"\n"1" "a" 1\n"2" "a" 0\n': "row.names = FALSE",
    '"id","correct"\n"1","a",1\n"2","a",0\n': "row.names = FALSE",
    "     problem  correct\n0  a  1\n1  a  0\n": "a table as it is printed",
    "id,Model A\na,25%\nb,50%\n": "--num-correct 'Model A' --num-samples",
    "┌────┬─────┐\n│ id ┆ correct │\n": "a table as it is printed, which may be cut",
    "<!DOCTYPE html>\n<table><tr><td>id</td></tr></table>": r"pandas.read_html\(OLD\)",
    "---\n- id: a\n  correct: 1\n": "yq -o json",
    '{"a": [4, 6], "b": [0, 6]}': "lists such as .4, 6. are no verdicts",
    '[["a", 1], ["a", 0]]': "rows without names",
    "[1, 0, 1]": "single values, and nothing says",
}


@pytest.mark.parametrize("text", ADVICE)
def test_advice_names_what_helps(tmp_path, text):
    path = tmp_path / "t.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=ADVICE[text]):
        read(path)


@pytest.mark.parametrize(
    ("data", "advice"),
    [(pickle.dumps({"a": 1}), "a pickle"), (b"SQLite format 3\0\x10", "sqlite3 -csv"),
     (b"\x89HDF\r\n\x1a\n", "HDF5"), (b"\xd0\xcf\x11\xe0\xa1\xb1", r"\.xls"), (b"ORC\x01", "ORC")],
)  # fmt: skip
def test_other_binary_files(tmp_path, data, advice):
    path = tmp_path / "t.bin"
    path.write_bytes(data + b"\0" * 30)
    with pytest.raises(UserError, match=advice):
        read(path)


def test_the_advice_for_rates_works(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,p0,p1\na,0.25,0.5\nb,0.75,1\n")
    counts = read(path, ReadOptions(num_correct="p0", num_samples="4")).counts
    assert counts.num_correct.tolist() == [1, 3]
    assert read(path, ReadOptions(score="p*", threshold=0.4)).counts.num_correct.tolist() == [1, 2]


def test_a_summary_over_records_is_no_count_of_one_problem(tmp_path):
    path = tmp_path / "results.json"
    rows = [{"task_id": f"t{p}", "trial_name": f"t{p}.{i + 1}-of-5", "is_resolved": bool(v)}
            for p in range(9) for i, v in enumerate(VERDICTS[p])]  # fmt: skip
    path.write_text(json.dumps({"id": "x", "results": rows, "n_resolved": 20, "n_unresolved": 25}))
    assert right(path) == RIGHT
    one = {"problem": "Find x.", "completions": [{"reward": 1.0}, {"reward": 0.0}]}
    path.write_text(json.dumps(one))
    assert read(path).counts.num_correct.tolist() == [1]


def test_verdicts_of_graders_deep_in_objects(tmp_path):
    path = tmp_path / "t.jsonl"
    rows = [{"instance_id": p, "test_result": {"patch": "..", "report": {"resolved": bool(v)}}}
            for p, v in LONG]  # fmt: skip
    path.write_text(ROW(json.dumps(row) + "\n" for row in rows))
    assert right(path) == RIGHT
    rows = [
        {"index": i, "input": f"Question {p}", "sample_score": {"score": {
            "value": {"acc": float(v)}, "prediction": "x"}, "group_id": p}}
        for i, (p, v) in enumerate(LONG)
    ]  # fmt: skip
    path.write_text(ROW(json.dumps(row) + "\n" for row in rows))
    assert right(path) == RIGHT
    rows = [
        {"instance_id": p, "report": {"resolved": bool(v), "error_eval": not v and i % 2 == 0}}
        for i, (p, v) in enumerate(LONG)
    ]
    path.write_text(ROW(json.dumps(row) + "\n" for row in rows))
    lost = sum(row["report"]["error_eval"] for row in rows)
    assert read(path, ReadOptions(errors="missing")).counts.group_size.sum() == 45 - lost


@pytest.mark.parametrize("kind", ["arrow", "npy", "npz", "md"])
def test_damaged_bytes_are_refused_or_read(tmp_path, kind):
    path = tmp_path / f"t.{kind}"
    if kind == "arrow":
        table = pa.table({"id": [p for p, _ in LONG], "correct": [str(v) for _, v in LONG]})
        pyarrow.feather.write_feather(table, path, compression="uncompressed")
    elif kind == "md":
        path.write_text(DRAWN["grid"])
    else:
        (np.save if kind == "npy" else np.savez)(path, VERDICTS)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(60):
        raw = bytearray(whole)
        for place in rng.integers(0, len(raw), 3):
            raw[place] = rng.choice([0, 1, 40, 127, 255])
        path.write_bytes(bytes(raw[: rng.choice([len(raw), len(raw) // 2, 200])]))
        with contextlib.suppress(UserError):  # nothing else, and no crash
            assert read(path).counts.group_size.min() >= 1
    head = b"\x93NUMPY\x01\x00\x20\x00{'descr': (\n"
    path.write_bytes(head.ljust(40) + b"\n")
    with pytest.raises(UserError):
        read(path)

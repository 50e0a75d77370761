"""What a table can mean in two ways is asked about, and the answer that is named reads it."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from grpolab.errors import UserError
from grpolab.validate.readers import ChoiceNeeded, ReadOptions, read

_PROMPTS, _SAMPLES = 12, 6
_RATES = np.linspace(0.02, 0.98, _PROMPTS)
_RIGHT = np.random.default_rng(3).binomial(1, _RATES, (_SAMPLES, _PROMPTS)).T.copy()
_OTHER = _RIGHT.copy()
_OTHER[::3, 0] ^= 1
_CELLS = [(i, j) for i in range(_PROMPTS) for j in range(_SAMPLES)]


def _counts(source: object, **options: object) -> list[tuple[int, int]]:
    counts = read(source, ReadOptions(**options)).counts  # type: ignore[arg-type]
    return sorted(zip(counts.num_correct.tolist(), counts.group_size.tolist(), strict=True))


def _of(verdicts: np.ndarray) -> list[tuple[int, int]]:
    """Right and seen of every row, counted by numpy; NaN is none."""
    there = ~np.isnan(verdicts.astype(float))
    return sorted(
        (int(np.nansum(row)), int(some.sum()))
        for row, some in zip(verdicts.astype(float), there, strict=True)
    )


def _csv(path: Path, header: str, rows: object) -> Path:
    path.write_text(header + "\n" + "".join(f"{row}\n" for row in rows))  # type: ignore[attr-defined]
    return path


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("correct", "passed"), ("is_correct", "reward"), ("exact_match", "acc"),
        ("solved", "score"), ("passed", "verdict"), ("correct", "llm_judge_correct"),
        ("exact_match", "exact_match_strict"),
    ],
)  # fmt: skip
def test_two_columns_of_verdicts_that_differ_are_asked_about(tmp_path, first, second):
    rows = (f"{i},{_RIGHT[i, j]},{_OTHER[i, j]}" for i, j in _CELLS)
    path = _csv(tmp_path / "t.csv", f"task_id,{first},{second}", rows)
    with pytest.raises(ChoiceNeeded, match="differ in 4 of 72") as caught:
        read(path)
    assert caught.value.option == "score"
    assert set(caught.value.choices) == {first, second}
    assert _counts(path, score=first) == _of(_RIGHT)
    assert _counts(path, score=second) == _of(_OTHER)


def test_the_same_verdict_twice_and_a_grade_beside_it_are_not(tmp_path):
    rows = (f"{i},{_RIGHT[i, j]},{bool(_RIGHT[i, j])},0.{i}{j}" for i, j in _CELLS)
    assert _counts(_csv(tmp_path / "t.csv", "task_id,correct,passed,score", rows)) == _of(_RIGHT)


def test_a_request_that_went_well_is_no_verdict(tmp_path):
    rows = [f"{i},{_RIGHT[i, j]},true" for i, j in _CELLS]
    assert _counts(_csv(tmp_path / "a.csv", "task_id,correct,success", rows)) == _of(_RIGHT)
    with pytest.raises(ChoiceNeeded, match="success and score both hold verdicts"):
        read(_csv(tmp_path / "b.csv", "task_id,score,success", rows))


@pytest.mark.parametrize("layout", ["objects", "lists", "list of objects"])
def test_two_verdicts_inside_of_objects_and_lists_are_asked_about(layout):
    if layout == "objects":
        rows = [
            {"id": i, "metrics": {"correct": int(_RIGHT[i, j]), "passed": int(_OTHER[i, j])}}
            for i, j in _CELLS
        ]
    elif layout == "lists":
        rows = [
            {"id": i, "correct": a.tolist(), "passed": b.tolist()}
            for i, (a, b) in enumerate(zip(_RIGHT, _OTHER, strict=True))
        ]
    else:
        rows = [
            {"id": i, "samples": [{"correct": int(c), "passed": int(d)}
                                  for c, d in zip(a, b, strict=True)]}
            for i, (a, b) in enumerate(zip(_RIGHT, _OTHER, strict=True))
        ]  # fmt: skip
    with pytest.raises(ChoiceNeeded, match="differ in 4 of 72"):
        read(pa.Table.from_pylist(rows))


def test_one_verdict_per_problem_beside_its_samples_is_asked_about(tmp_path):
    wide = ",".join(f"run_{j}" for j in range(_SAMPLES))
    rows = [f"{i},{int(row.max())},{','.join(map(str, row))}" for i, row in enumerate(_RIGHT)]
    path = _csv(tmp_path / "w.csv", f"task,solved,{wide}", rows)
    with pytest.raises(ChoiceNeeded, match=r"--score 'run_\*' \(samples\), or --score solved"):
        read(path)
    assert _counts(path, score="run_*") == _of(_RIGHT)
    assert _counts(path, score="solved") == sorted((int(r.max()), 1) for r in _RIGHT)
    lists = [
        {"id": i, "rewards": r.tolist(), "correct": int(r.max())} for i, r in enumerate(_RIGHT)
    ]
    with pytest.raises(ChoiceNeeded, match="rewards holds several"):
        read(pa.Table.from_pylist(lists))


@pytest.mark.parametrize(("name", "scale"), [("accuracy", 1), ("reward", 1), ("score", 100)])
def test_the_mean_beside_the_samples_is_no_verdict(tmp_path, name, scale):
    rows = [
        {"id": i, "rewards": r.tolist(), name: round(scale * float(r.mean()), 3)}
        for i, r in enumerate(_RIGHT)
    ]
    assert _counts(pa.Table.from_pylist(rows)) == _of(_RIGHT)


_SUFFIXES = (
    "q{0}_{1}", "q{0}-{1}", "gsm8k/{0}/{1}", "q{0}_sample_{1}", "q{0}#{1}", "q{0}:{1}", "{0}_{1}",
    "task{0}_s{1}", "p{0}-run{1}", "q{0:03d}_{1:02d}", "q{0} ({1})", "q{0}[{1}]", "HE/{0}_try{1}",
)  # fmt: skip


@pytest.mark.parametrize("form", _SUFFIXES)
def test_ids_that_end_in_the_number_of_a_sample_are_asked_about(tmp_path, form):
    rows = [f"{form.format(i, j)},{_RIGHT[i, j]}" for j, i in np.ndindex(_SAMPLES, _PROMPTS)]
    path = _csv(tmp_path / "s.csv", "id,correct", rows)
    with pytest.raises(ChoiceNeeded, match="samples of") as caught:
        read(path)
    assert caught.value.option == "id_suffix"
    assert _counts(path, id_suffix="sample") == _of(_RIGHT)
    assert _counts(path, id_suffix="problem") == sorted((int(c), 1) for c in _RIGHT.flat)
    with pytest.raises(ChoiceNeeded):
        read(path, ReadOptions(problem="id"))


def test_ids_of_few_problems_with_many_samples_are_told_by_their_verdicts(tmp_path):
    rng = np.random.default_rng(0)
    rows = [f"q{i}_{j},{int(rng.random() < p)}" for i, p in enumerate((0.1, 0.9, 0.5))
            for j in range(64)]  # fmt: skip
    with pytest.raises(ChoiceNeeded, match="--id-suffix"):
        read(_csv(tmp_path / "s.csv", "id,correct", rows))


@pytest.mark.parametrize(
    "ids",
    [
        [f"q_{k}" for k in range(60)],
        [f"HumanEval/{k}" for k in range(60)],
        [f"{'abc'[k % 3]}_{k // 3}" for k in range(60)],
        [f"django__django-{11000 + 7 * k}" for k in range(60)],
        [f"year_{2000 + k // 15}_{k % 15}" for k in range(60)],
        [f"{k}.0" for k in range(60)],
    ],
)
def test_ids_of_problems_with_one_sample_are_not(tmp_path, ids):
    rows = [f"{name},{int(k % 7 < 3)}" for k, name in enumerate(ids)]
    assert len(_counts(_csv(tmp_path / "s.csv", "id,correct", rows))) == 60


def test_an_id_without_a_number_cannot_be_taken_apart(tmp_path):
    path = _csv(tmp_path / "s.csv", "id,correct", ["q0_0,1", "q0_1,0", "last,1"])
    with pytest.raises(UserError, match="'last' does not end in the number of a sample"):
        read(path, ReadOptions(id_suffix="sample"))


@pytest.mark.parametrize("mark", [-1, -99, 2])
@pytest.mark.parametrize("layout", ["rows", "columns", "lists"])
def test_a_number_for_no_verdict_is_asked_about(tmp_path, mark, layout):
    if layout == "columns" and mark != -1:
        pytest.skip("other numbers are no family of verdicts")
    verdicts = _RIGHT.astype(float)
    verdicts[1, 2] = verdicts[5, 0] = verdicts[7, 1] = np.nan
    marked = np.nan_to_num(verdicts, nan=mark).astype(int)
    path = tmp_path / "m.csv"
    if layout == "rows":
        _csv(path, "task,correct", (f"{i},{marked[i, j]}" for i, j in _CELLS))
    elif layout == "columns":
        header = ",".join(f"run_{j}" for j in range(_SAMPLES))
        _csv(path, f"task,{header}", (f"{i},{','.join(map(str, r))}" for i, r in enumerate(marked)))
    else:
        path = tmp_path / "m.jsonl"
        rows = ({"id": i, "rewards": row.tolist()} for i, row in enumerate(marked))
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ChoiceNeeded, match=f"{mark} in 3 of 72 samples; pass --missing {mark}"):
        read(path)
    assert _counts(path, missing=mark) == _of(verdicts)


def test_a_grade_between_wrong_and_right_is_no_gap(tmp_path):
    path = _csv(tmp_path / "g.csv", "task,correct", ["a,0", "a,1", "a,0.5", "b,1"])
    with pytest.raises(ChoiceNeeded) as caught:
        read(path)
    assert caught.value.option == "threshold"


@pytest.mark.parametrize("word", ["total", "Total", "ALL", "overall", "Gesamt"])
def test_the_row_of_totals_is_no_problem(tmp_path, word):
    rows = [f"p{i},{row.sum()},{_SAMPLES}" for i, row in enumerate(_RIGHT)]
    total = f"{word},{_RIGHT.sum()},{_RIGHT.size}"
    path = _csv(tmp_path / "c.csv", "problem,n_correct,n", [*rows, total])
    assert _counts(path) == _of(_RIGHT)
    assert "holds the sums of the others" in read(path).notes[0]
    with pytest.raises(UserError, match=r"c.csv:14: a row called .* add up to"):
        read(_csv(tmp_path / "c.csv", "problem,n_correct,n", [*rows, f"{word},2,6"]))


@pytest.mark.parametrize(("first", "second"), [("n_correct", "n_passed"), ("num_pass", "correct")])
def test_two_columns_of_counts_that_differ_are_asked_about(tmp_path, first, second):
    pairs = list(zip(_RIGHT.sum(axis=1), _OTHER.sum(axis=1), strict=True))
    rows = [f"p{i},{a},{b},{_SAMPLES}" for i, (a, b) in enumerate(pairs)]
    path = _csv(tmp_path / "c.csv", f"problem,{first},{second},n", rows)
    with pytest.raises(ChoiceNeeded, match="differ in 4 of 12 rows"):
        read(path)
    assert _counts(path, num_correct=first) == _of(_RIGHT)
    assert _counts(path, num_correct=second) == _of(_OTHER)
    same = [f"p{i},{a},{a},{_SAMPLES}" for i, (a, _) in enumerate(pairs)]
    path = _csv(tmp_path / "d.csv", f"problem,{first},{second},n", same)
    assert _counts(path) == _of(_RIGHT)


_GOOD = "task,correct\né1,1\né1,0\né2,1\né2,1\n"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (_GOOD.encode("latin-1"), "iconv -f WINDOWS-1252 -t UTF-8"),
        (_GOOD.replace(",", " ").encode(), "separated by blanks: convert it with tr"),
        (b"# version 1\n" + _GOOD.encode(), r"comment.*grep -v '\^#'"),
        (b"# version 1, seed 2\n" + _GOOD.encode(), r"comment.*grep -v '\^#'"),
        (b"sep=,\n" + _GOOD.encode(), "tail -n"),
        (b"My results\n\n" + _GOOD.encode(), "holds no column names"),
        (_GOOD.replace("\n", "\r").encode(), "carriage return alone; convert it with tr"),
        ('[{"id": "é", "correct": 1}]'.encode("latin-1"), "iconv -f WINDOWS-1252"),
    ],
)
def test_text_that_is_no_table_says_how_to_convert_it(tmp_path, raw, message):
    path = tmp_path / "t.csv"
    path.write_bytes(raw)
    with pytest.raises(UserError, match=message):
        read(path)


@pytest.mark.parametrize(
    "raw",
    [
        _GOOD.encode("latin-1"),
        _GOOD.replace(",", " ").encode(),
        b"# version 1, seed 2\n" + _GOOD.encode(),
        b"sep=,\n" + _GOOD.encode(),
        _GOOD.replace("\n", "\r").encode(),
    ],
)
def test_the_command_that_converts_it_does(tmp_path, raw):
    path, new = tmp_path / "OLD", tmp_path / "NEW"
    path.write_bytes(raw)
    with pytest.raises(UserError) as caught:
        read(path)
    found = re.search(r"(iconv|tr|grep|tail) .*OLD > NEW$", str(caught.value))
    assert found is not None
    tool = found[0].replace("OLD", shlex.quote(str(path))).replace("NEW", shlex.quote(str(new)))
    subprocess.run(["sh", "-c", tool], check=True)
    assert _counts(new) == [(1, 2), (2, 2)]


def test_ids_that_differ_by_case_alone_are_noted(tmp_path):
    rows = [f"{'Q' if j else 'q'}{i},{_RIGHT[i, j]}" for i, j in _CELLS]
    reading = read(_csv(tmp_path / "t.csv", "task,correct", rows))
    assert len(reading.counts.num_correct) == 2 * _PROMPTS
    assert any("12 names of task differ from others by upper and lower" in n for n in reading.notes)


def test_two_sheets_of_verdicts_are_not_one(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for title in ("model a", "model b"):
        sheet = book.create_sheet(title)
        for row in [("task", "correct"), *((i, int(_RIGHT[i, j])) for i, j in _CELLS)]:
            sheet.append(row)
    path = tmp_path / "t.xlsx"
    book.save(path)
    with pytest.raises(UserError, match=r"2 sheets .* \(model a, model b\)"):
        read(path)
    del book["model b"]
    book.save(path)
    assert _counts(path) == _of(_RIGHT)


def test_a_column_of_numbers_called_hash_is_no_comment(tmp_path):
    path = _csv(tmp_path / "t.csv", "#,task,correct", ["0,a,1", "1,a,0", "2,b,1", "3,b,0"])
    assert _counts(path) == [(1, 2), (1, 2)]

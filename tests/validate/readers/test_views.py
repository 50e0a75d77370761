"""Tables as they are meant: packings, encodings, lists in texts, columns that are problems."""

import bz2
import io
import json
import lzma
import tarfile
import zipfile

import numpy as np
import pytest

from grpolab.errors import UserError
from grpolab.validate.readers import ChoiceNeeded, ReadOptions, read, read_all

VERDICTS = (np.random.default_rng(5).random((10, 4)) < np.linspace(0, 1, 10)[:, None]).astype(int)
RIGHT = VERDICTS.sum(axis=1).tolist()
ROWS = [
    {"problem_id": f"q{p}", "sample": i, "correct": int(VERDICTS[p, i]), "note": "é"}
    for p in range(10)
    for i in range(4)
]
CSV = "problem_id,sample,correct,note\n" + "".join(
    f"{r['problem_id']},{r['sample']},{r['correct']},{r['note']}\n" for r in ROWS
)
LINES = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in ROWS)
WIDE = (
    "sample,"
    + ",".join(f"q{p}" for p in range(10))
    + "\n"
    + "".join(f"{i}," + ",".join(map(str, VERDICTS[:, i])) + "\n" for i in range(4))
)


def right(source, **options):
    """Right samples of every problem, in the order of their names; 4 samples each."""
    counts = read(source, ReadOptions(**options)).counts
    assert set(counts.group_size.tolist()) == {4}
    names = [counts.prompt_names[int(i)] for i in counts.prompt_id]
    return [k for _, k in sorted(zip(names, counts.num_correct.tolist(), strict=True))]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"])
@pytest.mark.parametrize("text", [CSV, LINES, json.dumps(ROWS)], ids=["csv", "jsonl", "json"])
def test_text_with_several_bytes_per_character(tmp_path, encoding, text):
    path = tmp_path / "t.txt"
    path.write_bytes(text.encode(encoding))
    assert right(path) == RIGHT
    path.write_bytes(bz2.compress(text.encode(encoding)))
    assert right(path) == RIGHT


def test_text_that_ends_within_a_character(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_bytes(LINES.encode("utf-16-le")[:-1])
    with pytest.raises(UserError, match="UTF-16"):
        read(path)


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress])
@pytest.mark.parametrize("text", [CSV, LINES], ids=["csv", "jsonl"])
def test_other_packings(tmp_path, pack, text):
    packed = pack(text.encode())
    path = tmp_path / "t.packed"
    path.write_bytes(packed)
    assert right(path) == RIGHT
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(UserError):
        read(path)


def archive(path, files):
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as out:
            for name, text in files.items():
                out.writestr(name, text)
    else:
        with tarfile.open(path, "w:gz") as out:
            for name, text in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(text.encode())
                out.addfile(member, io.BytesIO(text.encode()))
    return path


@pytest.mark.parametrize("name", ["t.zip", "t.tar.gz", "t.tgz"])
def test_archives_are_read_like_folders(tmp_path, name):
    path = archive(tmp_path / name, {"a/t.csv": CSV, "__MACOSX/a/._t.csv": "x"})
    assert right(path) == RIGHT
    half = CSV.splitlines(keepends=True)
    parts = {"part-0.csv": "".join(half[:21]), "part-1.csv": "".join([half[0], *half[21:]])}
    assert right(archive(tmp_path / name, parts)) == RIGHT
    with pytest.raises(ChoiceNeeded) as caught:
        read(archive(tmp_path / name, {"gpt.csv": CSV, "llama.csv": CSV}))
    assert caught.value.option == "group_by"
    assert caught.value.where == str(path)
    assert (
        read(archive(tmp_path / name, {"t.csv": CSV})).counts.provenance.source == f"{path}/t.csv"
    )
    whole = path.read_bytes()
    for damaged in (whole[:60], whole[:-60] + b"\0" * 38 + whole[-22:], whole[:90] + whole[110:]):
        path.write_bytes(damaged)
        with pytest.raises(UserError):
            read(path)


@pytest.mark.parametrize("write", [
    lambda v: str(v.tolist()), lambda v: str(v.astype(bool).tolist()), lambda v: str(v),
    lambda v: str(tuple("pass" if x else "fail" for x in v)), lambda v: json.dumps(v.tolist()),
])  # fmt: skip
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_lists_that_are_written_as_texts(tmp_path, write, kind):
    import pyarrow as pa
    import pyarrow.csv as pc
    import pyarrow.parquet as pq

    rows = [{"task_id": f"q{p}", "correct": write(v)} for p, v in enumerate(VERDICTS)]
    path = tmp_path / f"t.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        (pq.write_table if kind == "parquet" else pc.write_csv)(pa.Table.from_pylist(rows), path)
    assert right(path) == RIGHT
    assert right(pa.Table.from_pylist(rows)) == RIGHT


def test_a_column_per_problem(tmp_path):
    path = tmp_path / "t.csv"
    for header in ("sample", "run", "", "seed"):
        path.write_text(WIDE.replace("sample", header, 1))
        assert right(path) == RIGHT
    path.write_text(WIDE.replace("sample,", "model,", 1).replace("\n0,", "\nx,"))
    with pytest.raises(ChoiceNeeded, match="column model has 4 values"):
        read(path)


def test_columns_of_any_name_are_problems_on_demand(tmp_path):
    names = ["algebra", "logic", "cooking"]
    path = tmp_path / "t.csv"
    lines = [",".join(map(str, VERDICTS[4:7, i])) for i in range(4)]
    path.write_text("\n".join([",".join(names), *lines]) + "\n")
    with pytest.raises(UserError, match="--problem columns"):
        read(path)
    assert sorted(right(path, problem="columns")) == sorted(RIGHT[4:7])
    path.write_text("\n".join(["a,b,c", *(f"{line[:4]}7" for line in lines)]) + "\n")
    with pytest.raises(UserError):
        read(path, ReadOptions(problem="columns"))


def test_every_row_is_a_problem_on_demand(tmp_path):
    path = tmp_path / "t.json"
    path.write_text(json.dumps([{f"{i}": int(x) for i, x in enumerate(v)} for v in VERDICTS]))
    with pytest.raises(UserError, match="--problem row"):
        read(path)
    counts = read(path, ReadOptions(problem="row")).counts
    assert counts.num_correct.tolist() == RIGHT


@pytest.mark.parametrize("levels", [1, 2])
def test_the_index_of_a_split_document_names_the_problems(tmp_path, levels):
    index = [f"q{p}" if levels == 1 else [f"q{p}", i] for p in range(10) for i in range(4)]
    document = {"columns": ["correct"], "index": index, "data": [[r["correct"]] for r in ROWS]}
    path = tmp_path / "t.json"
    path.write_text(json.dumps(document))
    assert right(path) == RIGHT


def test_a_split_document_with_a_column_per_problem(tmp_path):
    path = tmp_path / "t.json"
    names = [f"q{p}" for p in range(10)]
    document = {"columns": names, "index": list(range(4)), "data": VERDICTS.T.tolist()}
    path.write_text(json.dumps(document))
    assert right(path) == RIGHT
    by_sample = {str(i): dict(zip(names, VERDICTS[:, i].tolist(), strict=True)) for i in range(4)}
    path.write_text(json.dumps(by_sample))
    assert right(path) == RIGHT


def test_rows_of_python():
    assert right(ROWS) == RIGHT


def test_files_of_several_packings_name_problems_alike(tmp_path):
    rows = [{"id": p, "correct": int(VERDICTS[p, i])} for p in range(10) for i in range(4)]
    (tmp_path / "run-1.csv").write_text(
        "id,correct\n" + "".join(f"{r['id']},{r['correct']}\n" for r in rows[:20])
    )
    (tmp_path / "run-2.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows[20:]))
    assert right(tmp_path) == RIGHT
    twice = "id,correct\n" + "".join(f"{r['id']},{r['correct']}\n" for r in rows)
    (tmp_path / "run-1.csv").write_text(twice)
    assert read(tmp_path).counts.group_size.tolist() == [4] * 5 + [8] * 5


def test_a_policy_that_only_some_rows_name_is_asked_about(tmp_path):
    rows = [{k: v for k, v in r.items() if k in ("problem_id", "correct")} for r in ROWS]
    rows = [row | ({"model": "a"} if i % 4 < 2 else {}) for i, row in enumerate(rows)]
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ChoiceNeeded, match="column model has 2 values"):
        read(path)
    assert [r.label for r in read_all(path, ReadOptions(group_by="model"))] == [
        "model=a", "model=none",
    ]  # fmt: skip


def test_a_bare_matrix_of_verdicts(tmp_path):
    path = tmp_path / "t.json"
    path.write_text(json.dumps(VERDICTS.tolist()))
    assert read(path).counts.num_correct.tolist() == RIGHT
    path.write_text(json.dumps(VERDICTS.T.tolist()))
    with pytest.raises(UserError, match=r"--problem row \(or columns\)"):
        read(path)
    assert read(path, ReadOptions(problem="columns")).counts.num_correct.tolist() == RIGHT
    assert read(path, ReadOptions(problem="row")).counts.group_size.tolist() == [10] * 4


def test_objects_of_verdicts_below_the_problems(tmp_path):
    path = tmp_path / "t.json"
    for names in ("abcd", [f"run{i}" for i in range(4)]):
        rows = {f"q{p}": dict(zip(names, v.tolist(), strict=True)) for p, v in enumerate(VERDICTS)}
        path.write_text(json.dumps(rows))
        assert right(path) == RIGHT


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_marks_inside_of_names_do_not_separate_columns(tmp_path, mark):
    others = "".join(m for m in ",;|" if m != mark)
    header = mark.join(["problem_id", f'"a{others}{others}{others}"', "correct"])
    lines = [mark.join([r["problem_id"], "x", str(r["correct"])]) for r in ROWS]
    path = tmp_path / "t.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    assert right(path) == RIGHT


def test_a_zip_file_of_an_unknown_version(tmp_path):
    path = archive(tmp_path / "t.zip", {"t.csv": CSV})
    whole = path.read_bytes()
    place = whole.index(b"PK\x01\x02") + 6
    path.write_bytes(whole[:place] + b"\xff" + whole[place + 1 :])
    with pytest.raises(UserError):
        read(path)

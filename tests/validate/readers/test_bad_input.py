"""Whatever the bytes are: a count that is right, or one line that says what is wrong and where."""

import contextlib
import gzip
import json
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grpolab.errors import UserError
from grpolab.theory.groups import GroupCounts
from grpolab.validate.readers import FORMATS, ChoiceNeeded, NoVerdicts, ReadOptions, read, read_all

DATA = Path(__file__).parent / "data"
GOOD = b'{"id": "a", "score": 1}\n'

CORPUS = {
    "empty file": (b"", "the file is empty"),
    "blank lines only": (b"\n\n  \n", "not recognised"),
    "broken line": (GOOD + b'{"id": "a", "sc\n' + GOOD, r":2: not valid JSON"),
    "broken first line": (b'{"id": \n' + GOOD, r":1: not valid JSON"),
    "array among objects": (GOOD + b"[1, 2]\n", r":2: expected a JSON object, got list"),
    "number among objects": (GOOD + b"7\n", r":2: expected a JSON object, got int"),
    "missing column": (GOOD + b'{"id": "a"}\n', r":2: no 'score' in this row"),
    "missing problem": (GOOD + b'{"score": 1}\n', r":2: no 'id' in this row"),
    "text score": (GOOD + b'{"id": "a", "score": "good"}\n', r":2: score must be a number"),
    "list score": (GOOD + b'{"id": "a", "score": [1]}\n', r":2: score must be a number"),
    "infinite score": (GOOD + b'{"id": "a", "score": 1e999}\n', r":2: score must be finite"),
    "other score": (GOOD + b'{"id": "a", "score": 0.5}\n', r"not 0 or 1 \(found 0.5\)"),
    "no verdict at all": (b'{"id": "a", "score": null}\n', "no sample has a verdict"),
    "latin-1": (GOOD + b'{"id": "\xe9", "score": 1}\n', r":2: not UTF-8 text"),
    "deep nesting": (GOOD + b"[" * 100_000 + b"\n", r":2: "),
    "binary": (bytes(range(256)) * 20, "."),
    "text": (b"hello world\n", "not recognised"),
    "cut gzip": (gzip.compress(GOOD * 5000)[:-20], "cannot be read to its end"),
    "duplicate sample": (
        b'{"id": "a", "sample": 0, "score": 1}\n' * 2, r":2: id 'a' sample 0 was already in line 1"
    ),
    "short csv row": (b"id,score\na,1\nb\n", r":3: 1 fields, but 2 columns"),
    "twice the same column": (b"id,id,score\na,b,1\n", r":1: column names are not unique"),
    "csv word": (b"id,score\na,maybe\n", r":2: score must be a number or a word"),
    "step word": (b"id,score,step\na,1,soon\n", r":2: step must be a whole number"),
    "carriage return in a csv header": (b"id,sc\rore\na,1\n", ":1: not a valid record"),
    "cut parquet": (b"PAR1" + b"\x00" * 40, "not a parquet file"),
    "zip of something": (None, "not recognised"),
}  # fmt: skip


@pytest.mark.parametrize("name", CORPUS)
def test_corpus(tmp_path, name):
    data, message = CORPUS[name]
    path = tmp_path / "input"
    if data is None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.txt", "x")
    else:
        path.write_bytes(data)
    with pytest.raises(UserError, match=message) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_line_that_was_cut_off_is_left_out_and_counted(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_bytes(GOOD * 3 + b'{"id": "a", "sco')
    reading = read(path)
    assert reading.counts.group_size.tolist() == [3]
    assert reading.notes == (f"{path}: last line (4) is cut off and was left out",)
    assert reading.cut_off == 1
    path.write_bytes(GOOD * 3 + GOOD[:-1])  # no line end, and yet whole
    whole = read(path)
    assert (whole.counts.group_size.tolist(), whole.cut_off) == ([4], 0)


def test_outcomes_that_callers_act_on_have_a_type(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"id": "a", "score": null}\n')
    with pytest.raises(NoVerdicts):
        read(path)
    path.write_text('{"id": "a", "score": 0.5}\n')
    with pytest.raises(ChoiceNeeded) as caught:
        read(path)
    assert (caught.value.option, caught.value.choices) == ("threshold", ())
    path.write_text('{"score": 1}\n')
    with pytest.raises(ChoiceNeeded, match=r"; pass --problem NAME") as caught:
        read(path, ReadOptions(format="table"))
    assert (caught.value.option, caught.value.choices) == ("problem", ())


def test_overlong_lines(tmp_path, monkeypatch):
    from grpolab import packed

    monkeypatch.setattr(packed, "MAX_LINE", 1000)
    path = tmp_path / "t.jsonl"
    path.write_bytes(GOOD + b'{"id": "' + b"x" * 2000 + b'", "score": "no"}\n')
    with pytest.raises(UserError, match=":2: line longer than"):
        read(path)


def test_folders(tmp_path):
    with pytest.raises(UserError, match="no such file or folder"):
        read(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no files ending in"):
        read(tmp_path)
    (tmp_path / "a.jsonl").write_bytes(GOOD)
    row = {"input": "q", "output": "o", "score": 1.0, "step": 1}
    (tmp_path / "b.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(UserError, match=r"several formats \(1 table, 1 verl\); pass --format"):
        read(tmp_path)
    assert read(tmp_path, ReadOptions(format="verl")).format == "verl"
    two = tmp_path / "two"
    two.mkdir()
    for name in ("a", "b"):
        row = {"task_id": "t", "completion": "", "result": "passed", "passed": True}
        (two / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(UserError, match=r"2 inputs \(a.jsonl, b.jsonl"):
        read(two)


def test_unknown_format(tmp_path):
    with pytest.raises(UserError, match="unknown format 'xls'"):
        read(tmp_path, ReadOptions(format="xls"))


SEEDS = [p for p in DATA.rglob("*") if p.is_file() and "gz" not in p.suffix]


def check(path, options=None):
    with contextlib.suppress(UserError):
        for reading in read_all(path, options):
            assert isinstance(reading.counts, GroupCounts)


def test_what_the_fuzzer_found(tmp_path):
    """Inputs that each reached code no other did, kept from a coverage-guided run."""
    with zipfile.ZipFile(Path(__file__).parent / "fuzz_corpus.zip") as corpus:
        names = corpus.namelist()
        for name in names:
            (tmp_path / "input").write_bytes(corpus.read(name))
            check(tmp_path / "input")
            check(tmp_path / "input", ReadOptions(score="correct", group_size=2, threshold=0.5))
            check(tmp_path / "input", ReadOptions(group_by="none", repeats="drop"))
    assert len(names) > 100


@given(data=st.data())
@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
def test_damaged_files_never_raise_anything_but_a_user_error(tmp_path_factory, data):
    seed = data.draw(st.sampled_from(SEEDS))
    raw = bytearray(seed.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(raw) - 1))
        how = data.draw(st.sampled_from(["flip", "cut", "insert", "drop"]))
        if how == "flip":
            raw[place] ^= data.draw(st.integers(1, 255))
        elif how == "cut":
            del raw[max(place, 1) :]
        elif how == "insert":
            raw[place:place] = data.draw(st.binary(min_size=1, max_size=8))
        else:
            del raw[place : place + 8]
            raw = raw or bytearray(b"x")
    path = tmp_path_factory.mktemp("f") / f"input{seed.suffix}"
    path.write_bytes(raw)
    check(path, ReadOptions(score="correct") if "trl" in seed.parts else None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)
KEYS = {
    "human-eval": ["task_id", "completion", "result", "passed"],
    "evalplus": ["eval", "hash"],
    "bigcodebench": ["date", "eval"],
    "opencompass": ["details", "accuracy", "type"],
    "promptfoo": ["results", "evalId", "config"],
    "swe-bench": ["resolved_ids", "unresolved_ids", "error_ids", "empty_patch_ids"],
    "tau-bench": ["task_id", "trial", "reward", "info"],
    "areal": ["task_id", "sample_idx", "tail_version", "reward", "completion", "prompt"],
    "atropos": ["tokens", "masks", "scores"],
    "ms-swift": ["prompt", "completion", "advantages", "accuracy", "step"],
    "rllm": ["episode_id", "task_hash", "is_correct", "trajectories", "training_step"],
    "skyrl": ["input_prompt", "output_response", "score", "stop_reason", "data_source"],
    "tinker": ["iteration", "group_idx", "traj_idx", "total_reward"],
    "torchtitan": ["group_id", "rollout_id", "reward", "status", "is_validation", "step"],
    "inspect": ["eval", "version", "status", "samples"],
    "livecodebench": ["question_id", "graded_list"],
    "lm-eval": ["doc_id", "resps", "filtered_resps", "filter", "metrics", "pass@1"],
    "cruxeval": ["raw_scored_generations", "raw_generations", "pass_at_1"],
    "nemo-rl": ["content", "rewards", "idx"],
    "open-instruct": ["step", "prompt_idx", "sample_idx", "reward", "prompt_tokens"],
    "prime-rl": ["task", "group", "traces", "ok", "run", "env"],
    "verifiers": ["example_id", "reward", "is_completed", "error"],
    "verl": ["input", "output", "score", "step", "uid"],
    "grpolab": ["grpolab", "num_correct"],
    "counts": ["id", "num_correct", "num_samples", "step"],
    "table": ["id", "score", "sample", "group", "step", "model", "error", "subject"],
}


@pytest.mark.parametrize("name", KEYS)
@given(data=st.data())
@settings(max_examples=20, deadline=None, derandomize=True)
def test_records_of_the_right_keys_and_wrong_values(tmp_path_factory, name, data):
    record = st.fixed_dictionaries(dict.fromkeys(KEYS[name], JSON))
    rows = data.draw(st.lists(record, min_size=1, max_size=4))
    path = tmp_path_factory.mktemp("f") / "input.jsonl"
    shape = data.draw(st.sampled_from(["lines", "list", "one"]))
    if shape == "list":
        path.write_text(json.dumps(rows))
    elif shape == "one":
        path.write_text(json.dumps(rows[0]))
    else:
        path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    check(path, ReadOptions(group_size=2))
    check(path, ReadOptions(format=name, group_size=2))


def test_every_format_is_fuzzed():
    assert {format.name for format in FORMATS} == set(KEYS) | {"trl", "lighteval"}

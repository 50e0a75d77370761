"""Random tables of hostile columns: one line or counts, and the same in every packing."""

import json
import random

import pytest

from grpolab.errors import UserError
from grpolab.validate.readers import ReadOptions, read_all

NAMES = (
    "task_id", "id", "idx", "prompt", "question", "subject", "model", "checkpoint", "temperature",
    "seed", "sample", "trial", "epoch", "run", "step", "group_id", "correct", "passed", "score",
    "reward", "accuracy", "n", "n_correct", "num_samples", "error", "exception", "status",
    "completion", "response", "answer", "tokens", "note", "is_error", "scores", "rewards",
    "verdict", "filter", "split", "level", "worker", "name", "run_0", "run_1", "run_2", "k",
    "total", "a.b", "1", "2",
)  # fmt: skip
VALUES = {
    "int": lambda rng: rng.randrange(4),
    "bin": lambda rng: rng.randrange(2),
    "bool": lambda rng: rng.random() < 0.5,
    "str": lambda rng: rng.choice(["a", "b", "", "c d", "x,y", 'q"t', "né"]),
    "float": lambda rng: rng.choice([0.0, 1.0, 0.5, 0.25, 2.0]),
    "none": lambda rng: None,
    "word": lambda rng: rng.choice(["yes", "no", "pass", "fail", "n/a"]),
    "list": lambda rng: [rng.randrange(2) for _ in range(rng.randrange(4))],
    "big": lambda rng: 2**60 + rng.randrange(3),
    "object": lambda rng: {"correct": rng.randrange(2), "error": None},
}
OPTIONS = (
    {}, {}, {"threshold": 0.5}, {"group_by": "none"}, {"errors": "missing", "repeats": "drop"},
    {"problem": "task_id"}, {"score": "score"}, {"group_by": "model"}, {"format": "table"},
    {"format": "counts"}, {"num_correct": "score", "num_samples": "8"},
)  # fmt: skip


def random_rows(rng):
    names = rng.sample(NAMES, rng.randrange(1, 7))
    if rng.random() < 0.8:
        ids, scores = ("task_id", "id", "prompt"), ("correct", "passed", "score", "scores")
        names = list(dict.fromkeys([rng.choice(ids), rng.choice(scores), *names]))
    kinds = {n: rng.choice(list(VALUES)) for n in names}
    kinds |= {n: rng.choice(("bin", "bool")) for n in names
              if n in ("correct", "passed", "score") and rng.random() < 0.8}  # fmt: skip
    gaps = rng.random() < 0.3
    rows = [
        {n: None if gaps and rng.random() < 0.1 else VALUES[kinds[n]](rng) for n in names}
        for _ in range(rng.choice((1, 2, 5, 16, 40)))
    ]
    return rows * rng.choice((1, 1, 1, 2))


def outcome(path, options):
    """Counts of every input, or the type of the refusal, which is one line."""
    try:
        found = read_all(path, options)
    except UserError as err:
        return "refused in several lines" if "\n" in str(err) else "refused"
    return [
        (sorted(zip(r.counts.num_correct.tolist(), r.counts.group_size.tolist(), strict=True)),
         r.counts.provenance.num_missing)
        for r in found
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_packings_agree_on_random_tables(tmp_path, seed):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = random.Random(seed)
    read = 0
    for _ in range(60):
        rows, options = random_rows(rng), ReadOptions(**rng.choice(OPTIONS))
        (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (tmp_path / "t.json").write_text(json.dumps(rows))
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
        kinds = ("json", "parquet") if len(rows) == 1 else ("jsonl", "json", "parquet")
        found = {kind: outcome(tmp_path / f"t.{kind}", options) for kind in kinds}
        assert len({json.dumps(v) for v in found.values()}) == 1, (found, options, rows[:3])
        assert "refused in several lines" not in found.values()
        read += found["json"] != "refused"
    assert read > 5

"""Reading verdicts against a pandas groupby of the same file: CPU time and memory; not a test.

    python tests/benchmarks/bench_readers.py [ROWS]

Every number is from a process of its own. ROWS (default 10 million) is the size of the parquet and
csv files; JSON lines have a tenth, dumps of trainers (with texts) a hundredth. pandas must be
installed.
"""

import importlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SAMPLES = 100  # per problem


def write(folder: Path, rows: int) -> dict[str, Path]:
    """The files that are read: verdicts, one problem alone, and counts with many samples."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.csv as pc
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    problems = rows // SAMPLES
    rate = rng.beta(0.5, 1.5, problems)
    table = pa.table({
        "problem_id": np.repeat(np.arange(problems), SAMPLES),
        "sample": np.tile(np.arange(SAMPLES), problems),
        "correct": rng.random(rows) < np.repeat(rate, SAMPLES),
    })  # fmt: skip
    names = pa.array([f"task/{i}" for i in range(problems)])
    texts = table.set_column(0, "problem_id", names.take(table["problem_id"]))
    files = {
        "parquet": folder / "verdicts.parquet", "parquet, text ids": folder / "texts.parquet",
        "csv": folder / "verdicts.csv", "jsonl": folder / "verdicts.jsonl",
        "one problem": folder / "one.parquet", "counts": folder / "counts.csv",
    }  # fmt: skip
    pq.write_table(table, files["parquet"])
    pq.write_table(texts, files["parquet, text ids"])
    pc.write_csv(table, files["csv"])
    with files["jsonl"].open("w") as out:
        for row in table.slice(0, rows // 10).to_pylist():
            out.write(json.dumps(row) + "\n")
    one = min(rows, 3_000_000)
    alone = pa.table({"problem_id": np.zeros(one, np.int64), "sample": np.arange(one),
                      "correct": rng.random(one) < 0.3})  # fmt: skip
    pq.write_table(alone, files["one problem"])
    files |= trainers(folder, rows // 100)
    drawn = [f"p{i},{rng.binomial(10**6, rng.beta(0.5, 1.5))},1000000\n" for i in range(40)]
    files["counts"].write_text("problem_id,num_correct,num_samples\n" + "".join(drawn))
    return files


def trainers(folder: Path, rows: int) -> dict[str, Path]:
    """Dumps as trainers and lm-eval write them, groups of 8 with texts."""
    import numpy as np

    rng = np.random.default_rng(1)
    right, text = (rng.random(rows) < 0.3).tolist(), "x" * 400
    kinds = {
        "verl": lambda i: {
            "input": f"q {i // 8} {text}", "output": f"{i} {text}", "score": float(right[i]),
            "step": 1,
        },
        "open-instruct": lambda i: {
            "step": 1, "prompt_idx": i // 8, "sample_idx": i % 8, "reward": 10.0 * right[i],
            "prompt_tokens": list(range(i // 8, i // 8 + 60)), "response": text,
        },
        "NeMo-RL": lambda i: {"content": [[text]], "rewards": [float(right[i])], "idx": i},
        "lm-eval": lambda i: {
            "doc_id": i, "doc": {"question": text}, "resps": [[text]], "filtered_resps": [text],
            "filter": "none", "metrics": ["exact_match"], "exact_match": float(right[i]),
        },
        "prime-rl": lambda i: {
            "task": {"key": f"t{i // 8}", "data": {"prompt": text}}, "env": {"id": "math"},
            "group": {"id": f"g{i // 8}"}, "run": {"work": {"step": 1}}, "ok": True,
            "traces": [{
                "ok": True, "agent": {"trainable": True}, "messages": [{"content": text}],
                "rewards": {"correct": {"score": float(right[i]), "weight": 1.0}},
            }],
        },
    }  # fmt: skip
    files = {}
    for name, row in kinds.items():
        files[name] = folder / name / ("train_data_step1.jsonl" if name == "NeMo-RL" else "1.jsonl")
        files[name].parent.mkdir()
        with files[name].open("w") as out:
            out.writelines(json.dumps(row(i)) + "\n" for i in range(rows))
    return files


def ours(path: Path) -> int:
    """`grpolab.read`, all checks included."""
    import grpolab
    from grpolab.validate.readers import ReadOptions

    size = 8 if "NeMo-RL" in path.parts else None
    options = ReadOptions(group_size=size)
    return int(grpolab.read(path, options).counts.num_correct.sum())


def audited(path: Path) -> int:
    """`grpolab.audit` at g = 8 of what was read."""
    import grpolab

    reading = grpolab.read(path)
    return grpolab.audit(reading.counts, rng=0, group_sizes=[8]).num_prompts


def pandas(path: Path) -> int:
    """Successes and samples of every problem."""
    import pandas as pd

    if path.suffix == ".parquet":
        data = pd.read_parquet(path)
    elif path.suffix == ".csv":
        data = pd.read_csv(path)
    else:
        data = pd.read_json(path, lines=True)
    if "traces" in data:
        data["group"] = data["group"].map(lambda g: g["id"])
        data["score"] = data["traces"].map(lambda t: t[0]["rewards"]["correct"]["score"])
        return int(data.groupby("group")["score"].agg(["sum", "count"])["sum"].sum())
    if "rewards" in data:
        return int(
            data["rewards"].str[0].groupby(data["idx"] // 8).agg(["sum", "count"])["sum"].sum()
        )
    column = next(n for n in ("correct", "num_correct", "score", "reward", "exact_match")
                  if n in data)  # fmt: skip
    problem = next(n for n in ("problem_id", "input", "prompt_idx", "doc_id") if n in data)
    return int(data.groupby(problem)[column].agg(["sum", "count"])["sum"].sum())


WAYS = {"ours": ours, "pandas": pandas, "audit": audited}


def measure(way: str, path: Path) -> None:
    """CPU seconds without imports, and the peak of memory, as JSON on stdout."""
    import pyarrow.compute
    import pyarrow.csv
    import pyarrow.json
    import pyarrow.parquet  # noqa: F401

    importlib.import_module("pandas" if way == "pandas" else "grpolab.validate.readers")
    if way == "audit":
        importlib.import_module("grpolab.validate.audit")
    start, wall = time.process_time(), time.perf_counter()
    result = WAYS[way](path)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps([time.process_time() - start, time.perf_counter() - wall, memory, result]))


def main() -> None:
    if len(sys.argv) > 2:
        measure(sys.argv[1], Path(sys.argv[2]))
        return
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    with tempfile.TemporaryDirectory() as folder:
        files = write(Path(folder), rows)
        for name, path in files.items():
            cells = []
            for way in ("ours", "pandas", *(("audit",) if path.name in ("one.parquet",
                        "counts.csv") else ())):  # fmt: skip
                command = [sys.executable, __file__, way, str(path)]
                run = subprocess.run(command, capture_output=True, text=True, check=True)
                cpu, wall, memory, result = json.loads(run.stdout)
                cells.append(f"{way} {cpu:.2f} s CPU, {wall:.2f} s, {memory:.2f} GB [{result}]")
            print(f"{name:20}", "; ".join(cells), flush=True)


if __name__ == "__main__":
    main()

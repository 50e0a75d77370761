"""Run folders as trainers write them, with given verdicts: groups[step] = rows of 0, 1, None."""

from __future__ import annotations

import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SOME = [[0, 1, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 1, 0]]
NONE = [[0, 0, 0, 0]] * 4
DOWN = [[None] * 4] * 4


def lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def age(path, seconds):
    """Make a file look as if it had been written that long ago."""
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def grpolab(folder, groups):
    lines(folder / "run.json", [{"kind": "grpolab-train"}])
    lines(folder / "steps.jsonl", [grpolab_row(t, g) for t, g in groups.items()])


def grpolab_row(step, groups):
    seen = [[v for v in group if v is not None] for group in groups]
    return {
        "step": step, "num_correct": [sum(g) for g in seen], "group_size": [len(g) for g in seen],
        "prompt_id": list(range(len(seen))), "entropy": 0.4, "grad_norm": 1.0, "loss": 0.0,
        "frac_truncated": 0.0,
    }  # fmt: skip


def trl(folder, groups):
    for step, table in groups.items():
        trl_file(folder / "completions" / f"completions_{step:05d}.parquet", step, table)


def trl_file(path, step, table):
    rows = []
    for i, group in enumerate(table):
        scores = np.array([np.nan if v is None else v for v in group], float)
        centred = scores - (np.nanmean(scores) if np.isfinite(scores).any() else 0)
        rows += [
            {"step": step, "prompt": f"p{i}", "completion": f"{step} {i} {j}",
             "correct": None if v is None else float(v),
             "advantage": 0.0 if v is None else float(centred[j])}
            for j, v in enumerate(group)
        ]  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = pa.schema([("step", pa.int64()), ("prompt", pa.string()), ("completion", pa.string()),
                        ("correct", pa.float64()), ("advantage", pa.float64())])  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows, schema), path)


def trl_state(folder, rows):
    path = folder / f"checkpoint-{rows[-1]['step']}" / "trainer_state.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"log_history": rows}))


def verl(folder, groups, *, uid=True):
    for step, table in groups.items():
        lines(folder / "rollouts" / f"{step}.jsonl", verl_rows(step, table, uid=uid))


def verl_rows(step, table, *, uid=True):
    return [
        {"input": f"p{i}", "output": f"{j}", "score": v, "step": step,
         **({"uid": f"s{i}_{j}_0"} if uid else {})}
        for i, group in enumerate(table)
        for j, v in enumerate(group)
    ]  # fmt: skip


def prime(folder, groups, *, subset="all"):
    for step, table in groups.items():
        rows = [
            {"id": f"{i}-{j}", "task": {"key": f"t{i}"}, "group": {"id": f"g{step}-{i}"},
             "run": {"work": {"step": step}}, "ok": v is not None,
             "traces": [{"rewards": {"correct": {"score": v or 0.0, "weight": 1.0}}, "ok": True}]}
            for i, group in enumerate(table)
            for j, v in enumerate(group)
        ]  # fmt: skip
        lines(folder / f"rollouts/step_{step}/train/{subset}/traces.jsonl", rows)


WRITERS = {"grpolab": grpolab, "trl": trl, "verl": verl, "prime-rl": prime}

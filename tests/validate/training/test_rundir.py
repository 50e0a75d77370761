"""The folder of a training run: one line per step, whatever kills the process."""

import json
import math

import numpy as np
import pytest

from grpolab.errors import UserError
from grpolab.store import read_counts
from grpolab.validate.training.log import StepLog, StepRecord
from grpolab.validate.training.rundir import (
    GROUPS,
    RUN,
    STEPS,
    keep_last,
    numbered,
    open_run,
    read_run,
)

MANIFEST = {
    "trainer": "own", "model": "m", "seed": 3, "group_size": 4, "versions": {"torch": "2"},
    "config": {"lr": 0.1, "temperature": 0.7, "steps": 2}, "interventions": {},
}  # fmt: skip
NAMES = ["step", "num_correct", "group_size", "prompt_id", "mean_reward", "frac_zero_std",
         "entropy", "grad_norm", "loss", "kl", "clip_low", "clip_high", "frac_truncated",
         "num_missing"]  # fmt: skip


def record(step, *, loss=0.0, correct=(1, 0), size=(4, 3)):
    log = StepLog(step, 1 / 7, 0.5, 1.5, 0.2, loss, 0.0, 0.0, 0.0, 0.0, 1)
    return StepRecord(log, *(np.array(x) for x in (correct, size, (7, 9))))


def test_steps_are_written_one_line_each_and_read_back(tmp_path):
    run = open_run(tmp_path / "r", MANIFEST)
    for step in range(2):
        run.append(record(step, loss=math.nan if step else 0.5))
    lines = (run.path / STEPS).read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [list(row) for row in rows] == [NAMES, NAMES]
    assert rows[0]["num_correct"] == [1, 0]
    assert rows[1]["loss"] is None
    found = read_run(run.path)
    assert math.isnan(found.records[1].log.loss)
    assert found.counts().step.tolist() == [0, 0, 1, 1]
    assert json.loads((run.path / RUN).read_text())["kind"] == "grpolab-train"


def test_a_line_cut_in_two_is_no_step_and_a_broken_one_is_an_error(tmp_path):
    run = open_run(tmp_path / "r", MANIFEST)
    run.append(record(0))
    whole = (run.path / STEPS).read_text()
    for end in (1, 20, len(whole) - 2):
        (run.path / STEPS).write_text(whole + whole[:end])
        assert len(read_run(run.path).records) == 1
    (run.path / STEPS).write_text(whole[:20] + "\n" + whole)
    with pytest.raises(UserError, match=r"steps.jsonl:1: not "):
        read_run(run.path)
    (run.path / STEPS).write_text('{"step": 0, "num_correct": [1]}\n')
    with pytest.raises(UserError, match="step 0 is not complete"):
        read_run(run.path)


def test_rewinding_forgets_later_steps_and_a_cut_line(tmp_path):
    run = open_run(tmp_path / "r", MANIFEST)
    for step in range(4):
        run.append_eval(step, {"mean_reward": step / 10})
        run.append(record(step))
    with (run.path / STEPS).open("a") as file:
        file.write('{"step": 4, "num_')
    run.rewind(2)
    found = read_run(run.path)
    assert [r.log.step for r in found.records] == [0, 1]
    assert [step for step, _ in found.evals] == [0, 1]
    run.append(record(2))
    assert [r.log.step for r in read_run(run.path).records] == [0, 1, 2]


def test_the_end_is_a_table_that_knows_where_it_comes_from(tmp_path):
    run = open_run(tmp_path / "r", MANIFEST)
    run.append(record(0, correct=(1, 0), size=(4, 0)))
    counts = run.finish()
    assert read_counts(run.path / GROUPS) == counts
    assert (counts.num_correct.tolist(), counts.group_size.tolist()) == ([1], [4])
    source = counts.provenance
    assert (source.source, source.seed, source.num_missing) == ("m", 3, 1)
    assert source.sampling == {"temperature": 0.7, "trainer": "own"}


def test_a_folder_holds_one_run(tmp_path):
    run = open_run(tmp_path / "r", MANIFEST)
    other = MANIFEST | {"config": {**MANIFEST["config"], "lr": 0.2}}
    open_run(run.path, other)  # nothing had been done yet
    run.append(record(0))
    longer = other | {"config": {**other["config"], "steps": 9}, "versions": {"torch": "3"}}
    open_run(run.path, longer)
    with pytest.raises(UserError, match=r"another run: config.lr was 0.2, now 0.1; choose"):
        open_run(run.path, MANIFEST)
    with pytest.raises(UserError, match="not a training run of this command"):
        open_run(run.path, longer | {"kind": "grpolab-sft"})
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "thesis.tex").touch()
    with pytest.raises(UserError, match="not empty and not a training run"):
        open_run(tmp_path / "x", MANIFEST)


def test_only_runs_are_read(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_run(tmp_path)
    (tmp_path / RUN).write_text('{"kind": "grpolab-sft"}')
    with pytest.raises(UserError, match="not a training run"):
        read_run(tmp_path)


def test_the_newest_checkpoints_stay(tmp_path):
    for name in ("step-2", "step-10", "step-9", "step-9.bak", "step-8 (copy)"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "state").touch()
    (tmp_path / "step-11").mkdir()  # not whole
    found = numbered(tmp_path, "step", whole="state")
    assert [p.name for p in found] == ["step-2", "step-9", "step-10"]
    keep_last(found, keep=0)
    assert all(p.is_dir() for p in found)
    keep_last(found, keep=2)
    assert [p.is_dir() for p in found] == [False, True, True]

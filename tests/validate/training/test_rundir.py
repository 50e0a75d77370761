"""The folder of a training run: one line per step, whatever kills the process."""

import json
import math
import shutil

import numpy as np
import pytest

from grpolab.errors import UserError
from grpolab.files import SEAL, atomic_dir, promises_of, seal
from grpolab.store import read_counts
from grpolab.validate.training import rundir
from grpolab.validate.training.log import StepLog, StepRecord
from grpolab.validate.training.rundir import (
    EVALS,
    GROUPS,
    RUN,
    STEPS,
    good_checkpoint,
    keep_last,
    number,
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
         "num_missing", "num_tokens"]  # fmt: skip


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


def saved(run, step, *, name="step"):
    """A sealed checkpoint after ``step`` steps."""
    target = run.checkpoints / f"{name}-{step}"
    with atomic_dir(target) as folder:
        (folder / "weights").write_bytes(b"w" * 9)
        seal(folder, run.promises(step))
    return target


@pytest.fixture
def stopped(tmp_path):
    """Six steps with a checkpoint after two and after four."""
    run = open_run(tmp_path / "r", MANIFEST)
    for step in range(6):
        if step in (2, 4):
            saved(run, step)
        run.append_eval(step, {"mean_reward": step / 10})
        run.append(record(step))
    return run


@pytest.mark.parametrize(
    ("kept", "line"),
    [([0, 1, 4, 5], 3), ([0, 1, 2, 4, 5], 4), ([1, 2, 3, 4, 5], 1), ([0, 1, 1, 2, 3], 3),
     ([0, 2, 1, 3], 2), ([0, 1, 2], 4), ([], 1)],
)  # fmt: skip
@pytest.mark.parametrize("sealed", [True, False])
def test_a_run_goes_on_from_no_checkpoint_with_a_hole_before_it(stopped, kept, line, sealed):
    rows = (stopped.path / STEPS).read_bytes().splitlines(keepends=True)
    (stopped.path / STEPS).write_bytes(b"".join(rows[i] for i in kept))
    checkpoint = stopped.checkpoints / "step-4"
    if not sealed:  # as earlier versions left it
        (checkpoint / SEAL).unlink()
    before = (stopped.path / STEPS).read_bytes()
    told = rf"steps.jsonl:{line}: not step {line - 1}, which was there before"
    assert told in stopped.fault(checkpoint, 4)
    with pytest.raises(UserError, match=told):
        stopped.rewind(4, checkpoint)
    assert (stopped.path / STEPS).read_bytes() == before


@pytest.mark.parametrize("name", [STEPS, EVALS])
def test_a_bit_of_a_line_before_a_checkpoint_is_found_and_one_behind_it_does_not_matter(
    stopped, name
):
    path, checkpoint = stopped.path / name, stopped.checkpoints / "step-4"
    whole, told = path.read_bytes(), promises_of(checkpoint)[name]["bytes"]
    for place in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[place] ^= 1
        path.write_bytes(changed)
        assert bool(stopped.fault(checkpoint, 4)) == (place < told)
    stopped.rewind(4, checkpoint)
    assert path.read_bytes() == whole[:told]


def test_what_to_remove_to_go_on_is_said(stopped):
    def fault(folder):
        return stopped.fault(folder, number(folder))

    def good():
        return good_checkpoint(numbered(stopped.checkpoints, "step", whole="weights"), fault)

    assert good().name == "step-4"
    weights = stopped.checkpoints / "step-4" / "weights"
    weights.write_bytes(b"w" * 8 + b"v")
    with pytest.raises(UserError) as caught:
        good()
    last = stopped.checkpoints / "step-4"
    assert str(caught.value) == (
        f"{last}: weights has changed since it was written; remove {last} to go on from step-2"
    )
    rows = (stopped.path / STEPS).read_bytes().splitlines(keepends=True)
    (stopped.path / STEPS).write_bytes(b"".join(rows[1:]))
    with pytest.raises(UserError, match=rf"step-2 {last} to go on from the start"):
        good()
    for folder in stopped.checkpoints.iterdir():
        shutil.rmtree(folder)
    assert good() is None
    stopped.rewind(0)
    assert (stopped.path / STEPS).read_bytes() == (stopped.path / EVALS).read_bytes() == b""


def test_the_lines_are_on_disk_before_a_checkpoint_promises_them(stopped, monkeypatch):
    seen = []
    monkeypatch.setattr(rundir, "sync", lambda path: seen.append(path.name))
    assert stopped.promises(6)[STEPS]["bytes"] == (stopped.path / STEPS).stat().st_size
    assert seen == [STEPS, EVALS]


def test_a_finished_run_repairs_its_table_of_groups(stopped):
    counts = stopped.finish()
    whole = (stopped.path / GROUPS).read_bytes()
    (stopped.path / GROUPS).write_bytes(whole[:-9] + b"x" + whole[-8:])
    assert stopped.finish() == counts
    assert (stopped.path / GROUPS).read_bytes() == whole
    (stopped.path / GROUPS).unlink()
    stopped.finish()
    assert (stopped.path / GROUPS).read_bytes() == whole
    time = (stopped.path / GROUPS).stat().st_mtime_ns
    stopped.finish()
    assert (stopped.path / GROUPS).stat().st_mtime_ns == time


def test_a_run_is_whole_with_the_model_behind_its_last_step(stopped):
    assert not stopped.is_whole(steps=6)
    saved(stopped, 6).rename(stopped.final)
    assert stopped.is_whole(steps=6)
    assert stopped.is_whole(steps=3)
    assert not stopped.is_whole(steps=7)
    (stopped.final / "weights").write_bytes(b"v")
    assert not stopped.is_whole(steps=6)
    shutil.rmtree(stopped.final)
    saved(stopped, 5).rename(stopped.final)  # of a shorter run
    assert not stopped.is_whole(steps=6)
    (stopped.final / SEAL).unlink()  # an earlier version wrote the groups last
    assert not stopped.is_whole(steps=6)
    stopped.finish()
    assert stopped.is_whole(steps=6)


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


def test_steps_of_before_tokens_were_kept_are_read(tmp_path):
    run = open_run(tmp_path / "r", MANIFEST)
    run.append(record(0))
    row = json.loads((run.path / STEPS).read_text())
    del row["num_tokens"]
    (run.path / STEPS).write_text(json.dumps(row) + "\n")
    assert read_run(run.path).steps == [record(0).log]

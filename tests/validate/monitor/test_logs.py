"""Plain logs of runs: every kind of file says the same of the same run."""

import csv
import json
import math
import sqlite3

import pytest

from grpolab.errors import UserError
from grpolab.validate.monitor.follow import Follower, find_source
from grpolab.validate.monitor.logs import read_log

STEPS = range(1, 61)


def rows(share):
    """One row per step as a trainer logs it, with an evaluation now and then."""
    for step in STEPS:
        yield step, {"train/frac_reward_zero_std": share, "train/reward": 0.5, "train/entropy": 0.4}
        if step % 20 == 0:
            yield step, {"eval/reward": 0.4, "eval/frac_reward_zero_std": 0.0}


def write_jsonl(folder, share):
    path = folder / "metrics.jsonl"
    path.write_text("".join(json.dumps({"step": s, **row}) + "\n" for s, row in rows(share)))
    return path


def write_swift(folder, share):
    path = folder / "logging.jsonl"
    found = ({k.removeprefix("train/"): v for k, v in row.items()} | {"global_step/max_steps":
             f"{s}/60"} for s, row in rows(share))  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in found))
    return path


def write_csv(folder, share, *, run=""):
    names = sorted({key for _, row in rows(share) for key in row})
    path = folder / "export.csv"
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        prefix = f"{run} - " if run else ""
        extra = [f"{prefix}{n}__MIN" for n in names] if run else []
        out.writerow(["Step", *(prefix + n for n in names), *extra])
        for step, row in rows(share):
            values = [row.get(n, "") for n in names]
            out.writerow([step, *values, *([0.0] * len(extra))])
    return path


def write_wandb_csv(folder, share):
    return write_csv(folder, share, run="my run - 3")


def write_trackio(folder, share):
    path = folder / "project.db"
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE metrics (id INTEGER PRIMARY KEY, run_id TEXT, timestamp TEXT,"
                     " run_name TEXT, step INTEGER, metrics TEXT)")  # fmt: skip
        for run, value in (("old", 0.0), ("new", share)):
            for step, row in rows(value):
                row = {k: "NaN" if v != v else v for k, v in row.items()}
                base.execute("INSERT INTO metrics (run_id, timestamp, run_name, step, metrics)"
                             " VALUES ('', '', ?, ?, ?)", (run, step, json.dumps(row)))  # fmt: skip
    base.close()
    return path


def write_tensorboard(folder, share):
    pytest.importorskip("tensorboard")
    writer = pytest.importorskip("torch.utils.tensorboard").SummaryWriter(folder)
    for step, row in rows(share):
        for key, value in row.items():
            writer.add_scalar(key, value, step)
    writer.close()
    return next(folder.glob("events.out.tfevents*"))


WRITERS = [write_jsonl, write_swift, write_csv, write_wandb_csv, write_trackio, write_tensorboard]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("given", ["file", "folder"])
def test_every_kind_of_log(tmp_path, write, given):
    for share, verdict in ((1.0, "no-signal"), (0.5, "healthy")):
        folder = tmp_path / str(share)
        folder.mkdir()
        path = write(folder, share)
        source = find_source(path if given == "file" else folder, groups_per_step=16)
        found = Follower(source).look()
        assert found.monitor.verdict == verdict
        assert found.monitor.state.num_groups == 16 * len(STEPS)
        assert found.monitor.state.held_out_looks == 3
        assert found.history[0].entropy == pytest.approx(0.4)


def test_trackio_itself(tmp_path, monkeypatch):
    trackio = pytest.importorskip("trackio")
    monkeypatch.setattr("trackio.utils.TRACKIO_DIR", tmp_path)
    del trackio
    from trackio.sqlite_storage import SQLiteStorage

    monkeypatch.setattr("trackio.sqlite_storage.TRACKIO_DIR", tmp_path)
    for step, row in rows(1.0):
        SQLiteStorage.log(project="p", run="r", metrics=row, step=step)
    source = find_source(SQLiteStorage.get_project_db_path("p"), groups_per_step=16)
    assert Follower(source).look().monitor.verdict == "no-signal"


def test_what_cannot_be_read_is_refused_in_a_line(tmp_path):
    cases = {
        "two.csv": ("Step,a - train/x,b - train/x\n1,0,0\n", "columns of 2 runs"),
        "none.csv": ("a,b\n1,2\n", "no column holds the step"),
        "bytes.csv": (b"\xff\xfe\x00a", "not a table in text"),
        "text.db": ("not a database at all, but long enough to be one" * 30, "not a database"),
        "none.jsonl": ('{"a": 1}\n', "no column holds the step"),
        "notes.txt": ("", "not a log of a run"),
    }
    for name, (content, words) in cases.items():
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(UserError, match=words) as err:
            Follower(find_source(path)).look()
        assert "\n" not in str(err.value)


def test_several_logs_in_a_folder_are_a_question(tmp_path):
    write_jsonl(tmp_path, 1.0)
    (tmp_path / "losses.csv").write_text("Step,loss\n1,0.5\n")  # says nothing of the groups
    assert find_source(tmp_path) is not None
    write_swift(tmp_path, 1.0)
    with pytest.raises(UserError, match="several logs"):
        find_source(tmp_path)


def test_a_log_that_says_nothing_of_the_groups(tmp_path):
    path = tmp_path / "losses.csv"
    path.write_text("Step,loss,entropy\n1,0.5,nan\n2,0.4,\n")
    found = Follower(find_source(path)).look()
    assert found.monitor.verdict == "undecided"
    assert any("says nothing of the groups" in note for note in found.notes)


def test_numbers_in_texts_and_a_resumed_run(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("step,loss,name\n1,0.5,a\n2,NaN,b\n3,0.1,c\n2,-inf,d\n")
    found = read_log(path, {})
    assert list(found) == [1, 2]
    assert found[1] == {"loss": 0.5}
    assert found[2]["loss"] == -math.inf


def test_wandb_itself(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    for name, value in {"WANDB_MODE": "offline", "WANDB_SILENT": "true"}.items():
        monkeypatch.setenv(name, value)
    settings = wandb.Settings(x_disable_stats=True, console="off")
    run = wandb.init(project="p", dir=tmp_path, settings=settings)
    for step, row in rows(1.0):
        run.log({**row, "note": "x" * 40_000 if step == 7 else ""}, step=step)  # over a block
    run.finish()
    found = Follower(find_source(tmp_path, groups_per_step=16)).look()
    assert found.monitor.verdict == "no-signal"
    assert found.monitor.state.num_groups == 16 * len(STEPS)
    path = next(tmp_path.glob("wandb/offline-run-*/run-*.wandb"))
    path.write_bytes(path.read_bytes()[:-100])
    assert len(read_log(path, {})) >= len(STEPS) - 5
    path.write_bytes(b"something else")
    with pytest.raises(UserError, match="not a log of wandb"):
        read_log(path, {})


def test_two_event_files_of_a_resumed_run_are_one_log(tmp_path):
    pytest.importorskip("tensorboard")
    SummaryWriter = pytest.importorskip("torch.utils.tensorboard").SummaryWriter
    for part, steps, share in (("1", range(1, 41), 0.0), ("2", range(31, 61), 1.0)):
        writer = SummaryWriter(tmp_path / part)
        for step in steps:
            writer.add_scalar("train/frac_reward_zero_std", share, step)
        writer.close()
        (path,) = (tmp_path / part).glob("events*")
        path.rename(tmp_path / f"events.out.tfevents.{part}")
    found = Follower(find_source(tmp_path, groups_per_step=8)).look().monitor.state
    assert (found.num_groups, found.num_informative) == (8 * 60, 8 * 30)

"""The command: lines, exit status, JSON, page."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "validate" / "monitor"))
import run_files as make
from run_files import NONE, SOME

from grpolab.cli import app, main

QUICK = ["--min-signal", "0.2", "--patience", "5"]


def call(*words):
    return CliRunner().invoke(app, ["monitor", *map(str, words)])


def test_a_run_without_signal_ends_with_one(tmp_path):
    make.grpolab(tmp_path, dict.fromkeys(range(30), NONE))
    done = call(tmp_path, "--once", *QUICK)
    assert done.exit_code == 1
    assert done.stdout.splitlines()[-1].startswith("step 29: no signal: 0 of 40 groups")


def test_a_healthy_run_ends_with_zero(tmp_path):
    make.grpolab(tmp_path, dict.fromkeys(range(30), SOME))
    done = call(tmp_path, "--once")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "step 29: healthy: 20 of 40 groups (50%, 95% interval 34% to 66%) held different rewards in"
        " the last 10 steps; 25% were all wrong, 25% all right; an informative group takes 8"
        f" rollouts (evidence {31**-0.5:.3g}, threshold 100)"
    ]


def test_json_is_alone_on_stdout(tmp_path):
    make.grpolab(tmp_path, dict.fromkeys(range(30), NONE))
    done = call(tmp_path, "--once", "--json", *QUICK)
    found = json.loads(done.stdout)
    assert done.exit_code == 1
    assert (found["trainer"], found["verdict"], found["reason"]) == (
        "grpolab", "no-signal", "all wrong"
    )  # fmt: skip
    assert "no signal" in done.stderr


def test_page(tmp_path):
    make.grpolab(tmp_path, dict.fromkeys(range(30), NONE))
    page = tmp_path / "out.html"
    call(tmp_path, "--once", "--html", page, *QUICK)
    text = page.read_text()
    assert text.index("0 of 40 groups") < text.index("<svg")
    assert "evidence" in text
    assert "<script" not in text


def test_following_ends_when_signal_is_lost(tmp_path):
    make.grpolab(tmp_path, dict.fromkeys(range(5), SOME))

    def train():
        with (tmp_path / "steps.jsonl").open("a") as out:
            for step in range(5, 200):
                out.write(json.dumps(make.grpolab_row(step, NONE)) + "\n")
                out.flush()
                time.sleep(0.002)

    writer = threading.Thread(target=train)
    writer.start()
    done = call(tmp_path, "--interval", "0.1", *QUICK)
    writer.join()
    assert done.exit_code == 1
    assert any(": no signal: 0 of 40 groups" in line for line in done.stdout.splitlines())


def test_following_ends_when_nothing_happens(tmp_path):
    make.grpolab(tmp_path, dict.fromkeys(range(5), SOME))
    done = call(tmp_path, "--idle", "0.2")
    assert done.exit_code == 0
    assert [line.partition(": ")[2].split()[0] for line in done.stdout.splitlines()] == [
        "healthy:", "reward",
    ]  # fmt: skip
    done = call(tmp_path, "--interval", "0.1", "--idle", "0.2", "--every", "0")
    assert len(done.stdout.splitlines()) == 1


def test_a_run_that_does_not_exist_yet_is_waited_for(tmp_path):
    folder = tmp_path / "later"
    assert call(folder, "--once").exception.args[0].endswith("--wait waits for it")

    def begin():
        time.sleep(0.3)
        folder.mkdir()
        (folder / "config.yaml").write_text("a job script writes this first")
        time.sleep(0.3)
        make.grpolab(folder, dict.fromkeys(range(30), NONE))

    writer = threading.Thread(target=begin)
    writer.start()
    done = call(folder, "--wait", "--interval", "0.1", *QUICK)
    writer.join()
    assert done.exit_code == 1


def test_the_wait_for_a_run_ends_with_its_trainer(tmp_path):
    """A trainer that dies while it loads its model never writes a run."""
    over = subprocess.Popen(["true"])
    over.wait()
    for folder in (tmp_path, tmp_path / "never"):
        waits = folder, "--wait", "--interval", "0.1"
        gone = call(*waits, "--pid", over.pid).exception
        assert str(gone) == f"{folder}: process {over.pid} is gone and has written no run there"
        idle = call(*waits, "--idle", "0.2", "--pid", os.getpid()).exception
        assert str(idle) == f"{folder}: no run was written there in 0.2 seconds"
    make.grpolab(tmp_path, dict.fromkeys(range(5), SOME))
    assert call(tmp_path, "--wait", "--pid", over.pid).exit_code == 0  # what was written counts


def test_the_page_reloads_until_the_watch_ends(tmp_path):
    make.grpolab(tmp_path, dict.fromkeys(range(5), SOME))
    page, over, seen = tmp_path / "out.html", threading.Event(), []

    def look():
        while not over.wait(0.05):
            if page.exists():
                seen.append('http-equiv="refresh"' in page.read_text())

    reader = threading.Thread(target=look)
    reader.start()
    call(tmp_path, "--interval", "0.5", "--idle", "1", "--html", page)
    over.set()
    reader.join()
    assert seen[0]
    assert 'http-equiv="refresh"' not in page.read_text()
    assert "the watch has ended" in page.read_text()
    assert "is a folder" in str(call(tmp_path, "--once", "--html", tmp_path).exception)


def test_a_finished_run_ends_the_watch(tmp_path):
    make.grpolab(tmp_path, dict.fromkeys(range(5), SOME))
    page, watch = tmp_path / "out.html", ["--interval", "0.1"]
    done = call(tmp_path, *watch, "--steps", "5", "--html", page)
    assert done.exit_code == 0
    assert "the run has ended: step 4 is the last of 5" in done.stdout
    assert "the run has ended: step 4 is the last of 5" in page.read_text()
    assert 'http-equiv="refresh"' not in page.read_text()
    make.lines(tmp_path / "run.json", [{"kind": "grpolab-train", "config": {"steps": 5}}])
    assert json.loads(call(tmp_path, *watch, "--json").stdout)["planned_steps"] == 5
    over = subprocess.Popen(["true"])
    over.wait()
    make.lines(tmp_path / "run.json", [{"kind": "grpolab-train"}])
    assert f"process {over.pid} is gone" in call(tmp_path, *watch, "--pid", over.pid).stdout


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("log.jsonl", {"train_runtime": 3.5}),
        ("log.jsonl", {"progress/done_frac": 1.0}),
        ("log.jsonl", {"global_step/max_steps": "20/20"}),
        ("trainer_state.json", {}),
    ],
)
def test_logs_that_say_that_they_are_over(tmp_path, name, last):
    key = "step" if "global_step/max_steps" not in last else "global_step/max_steps"
    rows = [
        {key: t if key == "step" else f"{t}/20", "frac_reward_zero_std": 0.5, "reward": 0.5}
        for t in range(1, 21)
    ]
    path = tmp_path / name

    def write(rows):
        if name == "trainer_state.json":
            path.write_text(json.dumps({"max_steps": 20, "log_history": rows}))
        else:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    write(rows[:-1])
    assert "has ended" not in call(path, "--once").stdout
    write([*rows[:-1], rows[-1] | last])
    done = call(path, "--interval", "0.1")
    assert (done.exit_code, "the run has ended: " in done.stdout) == (0, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--once"], "the folder is empty"),
        (["--once", "--alpha", "2"], r"alpha must lie in (0, 1), got 2"),
    ],
)
def test_bad_input_is_one_line(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.setattr("sys.argv", ["grpolab", "monitor", str(tmp_path), *words])
    with pytest.raises(SystemExit) as stop:
        main()
    error = capsys.readouterr().err
    assert (stop.value.code, error.count("\n")) == (2, 1)
    assert message in error

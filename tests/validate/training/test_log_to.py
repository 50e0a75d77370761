"""Scalars of a run, read back from the files of the tools that wrote them."""

import dataclasses
import json
import os
import subprocess
import sys

import pytest

from grpolab.errors import UserError
from grpolab.validate.monitor.follow import Follower, find_source
from grpolab.validate.monitor.logs import read_log
from grpolab.validate.monitor.scalars import HELD_OUT
from grpolab.validate.training.config import GRPOConfig
from grpolab.validate.training.job import TrainJob, check_job, manifest, run_job
from grpolab.validate.training.log_to import LOG_TO, check_log_to
from grpolab.validate.training.rundir import open_run, read_run

pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("default")  # those of the tools
CONFIG = GRPOConfig(
    steps=4, prompts_per_step=4, group_size=4, lr=5e-3, warmup=2, eval_every=2, beta=0.1
)


def play(job, out, *, steps=4):
    part = dataclasses.replace(job, config=dataclasses.replace(job.config, steps=steps))
    check_job(part)
    run = open_run(out, manifest(part, task={"name": "words"}))
    run_job(part, run, progress=lambda share: None)
    return run


@pytest.fixture
def job(words, folders):
    return TrainJob(
        str(folders / "start"), "own", words, words.prompts()[:8], CONFIG, 1, save_every=2,
        held_out=words.prompts()[8:],
    )  # fmt: skip


def rows(path):
    return read_log(path, {})


def agree(logged, run):
    """Every step of the run is in the log, with the numbers of the run's own rows."""
    steps = read_run(run.path).steps
    for log in steps:
        row = logged[log.step + 1]
        assert row["reward"] == pytest.approx(log.mean_reward)
        assert row["frac_reward_zero_std"] == pytest.approx(log.frac_zero_std)
        assert row["entropy"] == pytest.approx(log.entropy)
        assert row["grad_norm"] == pytest.approx(log.grad_norm)
        assert row["kl"] == pytest.approx(log.kl)
    for step, found in read_run(run.path).evals:
        assert logged[step][HELD_OUT] == pytest.approx(found["mean_reward"])


def test_tensorboard_reads_what_was_written(job, tmp_path):
    pytest.importorskip("tensorboard")
    job = dataclasses.replace(job, log_to=("tensorboard",))
    play(job, tmp_path / "run", steps=2)
    run = play(job, tmp_path / "run")  # goes on
    logged = {}
    for path in sorted((run.path / "logs").rglob("events.out.tfevents.*")):
        for step, row in rows(path).items():
            logged.setdefault(step, {}).update(row)
    agree(logged, run)
    followed = Follower(find_source(run.path / "logs", groups_per_step=4)).look()
    assert [moment.step for moment in followed.history][-4:] == [1, 2, 3, 4]


def test_trainer_state_is_read_as_one_of_trl(job, tmp_path):
    job = dataclasses.replace(job, log_to=("trl",))
    play(job, tmp_path / "run", steps=2)
    run = play(job, tmp_path / "run")
    path = run.path / "logs" / "trl" / "trainer_state.json"
    history = json.loads(path.read_text())["log_history"]
    trained = {row["step"]: row for row in history if "loss" in row}
    assert sorted(trained) == [1, 2, 3, 4]
    for log in read_run(run.path).steps:
        assert trained[log.step + 1]["reward"] == pytest.approx(log.mean_reward)
    followed = Follower(find_source(run.path / "logs" / "trl", groups_per_step=4)).look()
    assert len(followed.history) == 4


@pytest.mark.slow  # trains by TRL
def test_the_own_loop_uses_names_of_trl(job, tmp_path):
    pytest.importorskip("trl")
    names = {}
    for trainer in ("own", "trl"):
        run = play(dataclasses.replace(job, trainer=trainer, log_to=("trl",)), tmp_path / trainer)
        path = run.path / "logs" / "trl" / "trainer_state.json"
        last = [row for row in json.loads(path.read_text())["log_history"] if "loss" in row][-1]
        names[trainer] = set(last)
    assert names["own"] <= names["trl"]
    assert {"reward", "reward_std", "frac_reward_zero_std", "entropy", "kl"} <= names["own"]


PLAY = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import dataclasses
import conftest
from test_log_to import CONFIG, play
from grpolab.validate.training.job import TrainJob
words = conftest.Words()
job = TrainJob({model!r}, "own", words, words.prompts()[:8], CONFIG, 1, log_to=({tool!r},),
               held_out=words.prompts()[8:])
play(job, Path({out!r}))
"""


@pytest.mark.slow  # trackio loads a web server: seven seconds
@pytest.mark.parametrize(("tool", "pattern"), [("wandb", "*.wandb"), ("trackio", "*.db")])
def test_tools_with_a_process_of_their_own(tool, pattern, folders, tmp_path):
    pytest.importorskip(tool)
    out = tmp_path / "run"
    code = PLAY.format(tests=os.path.dirname(__file__), model=str(folders / "start"), tool=tool,
                       out=str(out))  # fmt: skip
    known = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB", "TRACKIO"))}
    done = subprocess.run([sys.executable, "-c", code], env=known, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    path = next(iter((out / "logs").rglob(pattern)))
    logged = rows(path)
    steps = read_run(out).steps
    assert len(steps) == CONFIG.steps
    for log in steps:
        assert logged[log.step + 1]["reward"] == pytest.approx(log.mean_reward)
    followed = Follower(find_source(out / "logs", groups_per_step=4)).look()
    assert {moment.step for moment in followed.history} >= {1, 2, 3, 4}


def test_an_unknown_tool_and_a_missing_library(monkeypatch):
    with pytest.raises(UserError, match="--log-to must be one of trl, tensorboard"):
        check_log_to(["mlflow"])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    check_log_to(["trl"])
    for tool in LOG_TO[1:]:
        with pytest.raises(UserError, match=f"needs {tool}, which is not installed"):
            check_log_to([tool])

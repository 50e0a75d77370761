"""A signal ends a run after the step that is under way, and nothing is lost."""

import dataclasses
import signal
import threading

import pytest

from grpolab.errors import UserError
from grpolab.validate.training.config import GRPOConfig
from grpolab.validate.training.ending import Stopped, stop_requests
from grpolab.validate.training.job import TrainJob, is_finished, manifest, resume_step, run_job
from grpolab.validate.training.rundir import STEPS, claim_run, open_run

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("default")  # TRL's own
CONFIG = GRPOConfig(steps=5, prompts_per_step=4, group_size=4, lr=5e-3, inner_epochs=2)


@pytest.mark.parametrize(
    ("trainer", "signum"),
    [
        ("own", signal.SIGINT),
        pytest.param("trl", signal.SIGTERM, marks=pytest.mark.slow),  # trains three times by TRL
    ],
)
def test_a_run_is_saved_and_goes_on(trainer, signum, words, folders, tmp_path):
    job = TrainJob(
        str(folders / "start"), trainer, words, words.prompts(), CONFIG, 1, save_every=100
    )
    whole = open_run(tmp_path / "whole", manifest(job, task={"name": "words"}))
    run_job(job, whole, progress=lambda share: None)
    run = open_run(tmp_path / "r", manifest(job, task={"name": "words"}))
    assert resume_step(job, run) == 0

    def ask(share):
        if share == pytest.approx(2 / 5):  # seen at the end of the step after this
            signal.raise_signal(signum)

    before = signal.getsignal(signum)
    with pytest.raises(Stopped, match="the same command goes on") as caught:
        run_job(job, run, progress=ask)
    assert caught.value.signum == signum
    assert signal.getsignal(signum) is before
    assert resume_step(job, run) in (2, 3)
    assert len((run.path / STEPS).read_text().splitlines()) == resume_step(job, run)
    assert not is_finished(job, run)
    run_job(job, run, progress=lambda share: None)
    assert is_finished(job, run)
    assert (run.path / STEPS).read_text() == (whole.path / STEPS).read_text()


def test_a_second_signal_does_not_wait(capsys):
    with stop_requests() as asked:
        assert asked() == 0
        signal.raise_signal(signal.SIGTERM)
        assert asked() == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert "stopping after this step" in capsys.readouterr().err


def test_signals_of_threads_and_of_several_processes_are_left_alone(monkeypatch):
    handlers = []

    def look():
        with stop_requests() as asked:
            handlers.append(signal.getsignal(signal.SIGINT))
            assert asked() == 0

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    monkeypatch.setenv("WORLD_SIZE", "2")
    look()
    assert handlers == [signal.getsignal(signal.SIGINT)] * 2


def test_one_process_at_a_time(tmp_path):
    with claim_run(tmp_path / "r", {"a": 1}) as run:
        with (
            pytest.raises(UserError, match="another process is working in this folder"),
            claim_run(tmp_path / "r", {"a": 1}),
        ):
            raise AssertionError("claimed twice")
        with claim_run(tmp_path / "r", {"a": 2}, first=False) as same:
            assert same == run
        assert run.manifest["a"] == 1
    with claim_run(tmp_path / "r", {"a": 2}) as again:
        assert again.manifest["a"] == 2
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "thesis.tex").touch()
    with pytest.raises(UserError, match="not empty"), claim_run(tmp_path / "x", {}):
        raise AssertionError("claimed a folder of something else")
    assert [p.name for p in (tmp_path / "x").iterdir()] == ["thesis.tex"]


def test_a_longer_run_goes_on_where_the_shorter_ended(words, folders, tmp_path):
    short = dataclasses.replace(CONFIG, steps=2)
    job = TrainJob(str(folders / "start"), "own", words, words.prompts(), short, 1, save_every=100)
    run = open_run(tmp_path / "r", manifest(job, task={"name": "words"}))
    run_job(job, run, progress=lambda share: None)
    assert resume_step(job, run) == 2

"""The rollouts that a run keeps: those of its steps, for both trainers, judged and readable."""

import dataclasses

import numpy as np
import pytest

from grpolab.validate.readers import read
from grpolab.validate.rollouts.table import Rollouts
from grpolab.validate.training.config import GRPOConfig
from grpolab.validate.training.job import TrainJob, manifest, run_job
from grpolab.validate.training.rundir import ROLLOUTS, open_run, read_run

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("default")  # TRL's own
CONFIG = GRPOConfig(steps=3, prompts_per_step=4, group_size=4, lr=5e-3)


def play(job, out, *, steps=3, every=1):
    job = dataclasses.replace(job, config=dataclasses.replace(job.config, steps=steps))
    run = open_run(out, manifest(job, task={"name": "words"}))
    run = dataclasses.replace(run, rollouts_every=every)
    run_job(job, run, progress=lambda share: None)
    return run


def kept(run):
    return {path.stem: Rollouts.read(path) for path in sorted((run.path / ROLLOUTS).iterdir())}


@pytest.fixture
def job(words, folders):
    return TrainJob(str(folders / "start"), "own", words, words.prompts(), CONFIG, 1, save_every=2)


@pytest.mark.parametrize("trainer", ["own", pytest.param("trl", marks=pytest.mark.slow)])
def test_they_are_those_of_the_steps(trainer, job, words, tmp_path):
    run = play(dataclasses.replace(job, trainer=trainer), tmp_path / "run")
    tables = kept(run)
    assert list(tables) == ["step-000000", "step-000001", "step-000002"]
    prompts = {p.id: p for p in words.prompts()}
    for record, table in zip(read_run(run.path).records, tables.values(), strict=True):
        by_group = table.reward.reshape(4, 4)
        assert by_group.sum(axis=1).tolist() == record.num_correct.tolist()
        assert table.prompt_id[::4].tolist() == record.prompt_id.tolist()
        assert table.group.tolist() == np.repeat(np.arange(4), 4).tolist()
        for i, text, reward in zip(table.prompt_id, table.text, table.reward, strict=True):
            assert words.verify(prompts[int(i)], text) == bool(reward)
        assert table.num_tokens.max() <= words.max_new_tokens
        assert table.provenance.source == job.model
        if trainer == "own":
            mean = np.average(table.entropy, weights=table.num_tokens)
            assert record.log.entropy == pytest.approx(mean)
            assert record.log.frac_truncated == pytest.approx(table.truncated.mean())
            assert (table.logprob < 0).all()
        else:  # TRL takes a pad token in the last place, if one was drawn, for an end
            assert record.log.frac_truncated <= table.truncated.mean()
            assert np.isnan(table.logprob).all()


def test_prompts_drawn_twice_in_a_step_have_two_groups(job, tmp_path):
    config = dataclasses.replace(CONFIG, dynamic_sampling="filter", prompts_per_step=8)
    run = play(dataclasses.replace(job, config=config), tmp_path / "run", steps=2)
    for record, table in zip(read_run(run.path).records, kept(run).values(), strict=True):
        order = np.argsort(record.prompt_id, kind="stable")
        assert table.counts().num_correct.tolist() == record.num_correct[order].tolist()


def test_a_resumed_run_has_each_step_once(job, tmp_path):
    once = kept(play(job, tmp_path / "once"))
    run = play(job, tmp_path / "twice", steps=2)
    (run.path / ROLLOUTS / "step-000002.parquet").write_text("half")
    twice = kept(play(job, tmp_path / "twice"))
    assert list(once) == list(twice)
    for name, table in once.items():
        assert table.text.tolist() == twice[name].text.tolist()


def test_every_second_step_and_none(job, tmp_path):
    assert list(kept(play(job, tmp_path / "a", every=2))) == ["step-000000", "step-000002"]
    assert not (play(job, tmp_path / "b", every=0).path / ROLLOUTS).exists()


def test_an_audit_reads_them(job, tmp_path):
    run = play(job, tmp_path / "run")
    found = read(run.path / ROLLOUTS).counts
    assert found.group_size.tolist() == [4] * 12
    name = found.prompt_names
    correct = {
        (step, int(name[i])): k
        for step, i, k in zip(found.step, found.prompt_id, found.num_correct, strict=True)
    }
    for record in read_run(run.path).records:
        for i, k in zip(record.prompt_id, record.num_correct, strict=True):
            assert correct[record.log.step, i] == k

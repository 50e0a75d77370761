"""Runs of both trainers through one job: the same rows, resumed as if never stopped."""

import dataclasses
import json

import numpy as np
import pytest

from grpolab.errors import UserError
from grpolab.theory.advantage import RLOO
from grpolab.validate.models import load_model, save_model
from grpolab.validate.training import grpo
from grpolab.validate.training.config import GRPOConfig
from grpolab.validate.training.ending import BrokenRun
from grpolab.validate.training.grpo import pick_prompts
from grpolab.validate.training.job import TrainJob, check_job, is_finished, manifest, run_job
from grpolab.validate.training.rundir import STEPS, open_run, read_run
from grpolab.validate.training.trl_config import rows_per_step

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("default")  # TRL's own
CONFIG = GRPOConfig(steps=4, prompts_per_step=4, group_size=4, lr=5e-3, warmup=2)
BOTH = ("own", "trl")
TRAINERS = ("own", pytest.param("trl", marks=pytest.mark.slow))
"""TRL's own loop costs seconds; `test_both_trainers_write_the_same_rows` runs it by default."""


@pytest.fixture
def job(words, folders):
    return TrainJob(str(folders / "start"), "own", words, words.prompts(), CONFIG, 1, save_every=2)


def play(job, out, *, steps=(4,)):
    """The run after one process per entry of ``steps``, each of which ends there."""
    for end in steps:
        part = dataclasses.replace(job, config=dataclasses.replace(job.config, steps=end))
        check_job(part)
        run = open_run(out, manifest(part, task={"name": "words"}))
        run_job(part, run, progress=lambda share: None)
    assert is_finished(part, run)
    return run


def weights(folder):
    model, _ = load_model(folder)
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_stopped_run_goes_on_as_if_it_had_not_been(trainer, job, tmp_path):
    config = dataclasses.replace(CONFIG, inner_epochs=2, beta=0.1, weight_decay=0.1)
    job = dataclasses.replace(job, trainer=trainer, config=config, keep=1)
    once = play(job, tmp_path / "once")
    stopped = play(job, tmp_path / "twice", steps=(2,))
    with (stopped.path / STEPS).open("a") as file:  # killed a step and a half behind a checkpoint
        row = (once.path / STEPS).read_text().splitlines()[2]
        file.write(row + "\n" + row[:30])
    twice = play(job, tmp_path / "twice")
    assert (once.path / STEPS).read_text() == (twice.path / STEPS).read_text()
    assert torch.equal(weights(once.final), weights(twice.final))
    assert len(list(once.checkpoints.glob("*-*"))) == 1
    found = read_run(once.path)
    assert len(found.records) == 4
    assert any(log.grad_norm > 0 for log in found.steps)


def test_both_trainers_write_the_same_rows_about_the_same_prompts(job, tmp_path):
    rows = {}
    for trainer in BOTH:
        run = play(dataclasses.replace(job, trainer=trainer), tmp_path / trainer)
        rows[trainer] = [json.loads(x) for x in (run.path / STEPS).read_text().splitlines()]
    own, trl = rows["own"], rows["trl"]
    assert [list(row) for row in own] == [list(row) for row in trl]
    assert [row["prompt_id"] for row in own] == [row["prompt_id"] for row in trl]
    # one policy before the first update: entropies of two samples of it agree
    assert own[0]["entropy"] == pytest.approx(trl[0]["entropy"], rel=0.2)
    for row in own + trl:
        rate = sum(row["num_correct"]) / sum(row["group_size"])
        assert row["mean_reward"] == pytest.approx(rate)
        same = [k in (0, g) for k, g in zip(row["num_correct"], row["group_size"], strict=True)]
        assert row["frac_zero_std"] == pytest.approx(np.mean(same))


@pytest.mark.parametrize("trainer", TRAINERS)
def test_missing_verdicts_are_counted_and_not_wrong(trainer, job, flaky, tmp_path):
    job = dataclasses.replace(job, trainer=trainer, task=flaky)
    found = read_run(play(job, tmp_path / "r", steps=(4,)).path)
    for record in found.records:
        assert record.log.num_missing == 16 - record.group_size.sum()
    assert sum(log.num_missing for log in found.steps) > 0


@pytest.mark.parametrize("trainer", TRAINERS)
def test_small_batches_are_all_at_once(trainer, job, folders, tmp_path):
    """Same rollouts, gradients added up in four parts: the same first update."""
    acts = {"beta": 0.5, "entropy_coef": 0.1, "inner_epochs": 3} if trainer == "own" else {}
    config = dataclasses.replace(CONFIG, steps=1, **acts)
    job = dataclasses.replace(job, trainer=trainer, config=config, reference=str(folders / "other"))
    at_once = play(job, tmp_path / "a", steps=(1,))
    parts = play(dataclasses.replace(job, batch_rows=4), tmp_path / "b", steps=(1,))
    assert torch.allclose(weights(at_once.final), weights(parts.final), atol=1e-5)
    assert not torch.allclose(weights(at_once.final), weights(job.model), atol=1e-4)
    whole, cut = (read_run(run.path).steps[0] for run in (at_once, parts))
    for name in ("loss", "grad_norm", "kl", "clip_low", "clip_high"):
        assert getattr(cut, name) == pytest.approx(getattr(whole, name), rel=1e-4, abs=1e-6)


def test_an_adapter_is_trained_and_the_rest_is_not(job, tmp_path):
    pytest.importorskip("peft")
    for trainer in BOTH:
        lora = dataclasses.replace(job, trainer=trainer, lora_rank=2)
        run = play(lora, tmp_path / trainer, steps=(2, 4))
        assert (run.final / "adapter_config.json").is_file()
        assert not (run.final / "model.safetensors").exists()
        from safetensors.torch import load_file

        adapter = load_file(run.final / "adapter_model.safetensors")
        assert max(float(v.abs().max()) for k, v in adapter.items() if "lora_B" in k) > 0
        assert not any("lm_head" in name for name in adapter)


@pytest.mark.parametrize("trainer", TRAINERS)
def test_held_out_prompts_are_answered_on_the_way(trainer, job, words, tmp_path):
    config = dataclasses.replace(CONFIG, eval_every=2)
    job = dataclasses.replace(
        job, trainer=trainer, config=config, held_out=words.prompts()[:3], eval_samples=4
    )
    run = play(job, tmp_path / "r", steps=(2, 4))
    evals = read_run(run.path).evals
    assert [step for step, _ in evals] == [0, 2, 4]
    assert set(evals[0][1]["pass_at_k"]) == {"1", "4"}
    frozen = dataclasses.replace(job, config=dataclasses.replace(config, lr=0.0))
    (_, first), *rest = read_run(play(frozen, tmp_path / "frozen").path).evals
    assert all(found == first for _, found in rest)  # the same draws at every step
    plain = dataclasses.replace(job, held_out=())  # evaluation draws nothing from the run's stream
    again = play(plain, tmp_path / "plain")
    assert (run.path / STEPS).read_text() == (again.path / STEPS).read_text()


@pytest.fixture(scope="module")
def spoilt(folders, tmp_path_factory):
    """A reference model whose weights are no numbers."""
    folder = tmp_path_factory.mktemp("spoilt")
    model, tokenizer = load_model(folders / "other")
    with torch.no_grad():
        model.lm_head.weight.fill_(torch.nan)
    save_model(model, tokenizer, folder)
    return str(folder)


@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_loss_that_is_no_number_stops_the_run(trainer, job, spoilt, tmp_path):
    """The step is on record, nothing is saved behind it, and the checkpoint before it is named."""
    config = dataclasses.replace(CONFIG, beta=0.1)
    job = dataclasses.replace(job, trainer=trainer, config=config, save_every=1)
    bad = dataclasses.replace(job, reference=spoilt)
    with pytest.raises(BrokenRun, match=r"step 0: loss is nan; no checkpoint yet: start again"):
        play(bad, tmp_path / "early")
    run = play(job, tmp_path / "r", steps=(2,))
    before = read_run(run.path).steps
    with pytest.raises(BrokenRun, match=r"step 2: loss is nan; last good checkpoint: .*-2; go on"):
        run_job(bad, run, progress=lambda share: None)
    steps = read_run(run.path).steps
    assert steps[:2] == before
    assert np.isnan(steps[2].loss)
    assert {p.name.rpartition("-")[2] for p in run.checkpoints.glob("*-*")} == {"1", "2"}


@pytest.mark.parametrize("trainer", TRAINERS)
def test_spoilt_weights_are_not_saved(trainer, job, tmp_path, monkeypatch):
    """An update whose loss was a number, but the weights behind it are none."""
    step = torch.optim.AdamW.step

    def overflow(self, closure=None):
        out = step(self, closure)
        self.param_groups[0]["params"][0].data.fill_(torch.inf)
        return out

    monkeypatch.setattr(torch.optim.AdamW, "step", overflow)
    job = dataclasses.replace(job, trainer=trainer, save_every=1)
    with pytest.raises(BrokenRun, match="step 0: weights are no longer finite"):
        play(job, tmp_path / "r")
    assert not list((tmp_path / "r" / "checkpoints").glob("*-*"))
    with pytest.raises(BrokenRun, match="the policy's probabilities are no numbers"):
        play(dataclasses.replace(job, save_every=9), tmp_path / "late")


def test_a_full_memory_is_one_line_and_loses_nothing(job, tmp_path, monkeypatch):
    run = play(dataclasses.replace(job, config=CONFIG), tmp_path / "r", steps=(2,))
    calls = {
        "own": ("grpolab.validate.training.grpo.draw_groups", "lower --batch-rows"),
        "allocator": ("grpolab.validate.training.grpo.draw_groups", "out of memory"),
    }
    errors = {
        "own": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"),
        "allocator": RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator:"
                                  " can't allocate memory: you tried to allocate 9 bytes"),
    }  # fmt: skip
    for name, (target, words) in calls.items():

        def burst(*args, error=errors[name], **kw):
            raise error

        monkeypatch.setattr(grpo, target.rpartition(".")[2], burst)
        with pytest.raises(UserError, match=words) as caught:
            run_job(job, run, progress=lambda share: None)
        assert "step-2" in str(caught.value)
        assert "\n" not in str(caught.value)
    monkeypatch.undo()
    play(job, run.path)
    other = RuntimeError("shapes do not fit")
    monkeypatch.setattr(grpo, "draw_groups", lambda *a, **k: (_ for _ in ()).throw(other))
    with pytest.raises(RuntimeError, match="shapes"):
        play(job, tmp_path / "other")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trainer": "rllib"}, "own or trl"),
        ({"config": {"prompts_per_step": 13}}, "12 prompts are fewer"),
        ({"vllm_memory": 0.3}, "needs --trainer trl"),
        ({"trainer": "trl", "config": {"dynamic_sampling": "matched"}}, "dynamic_sampling"),
        ({"trainer": "trl", "config": {"rule": RLOO}}, "rloo"),
        ({"trainer": "trl", "config": {"decay_to": "start", "weight_decay": 1.0}}, "decay_to"),
        ({"trainer": "trl", "config": {"group_size": 1}}, "group_size=1"),
        ({"trainer": "trl", "config": {"beta": 0.1}, "lora_rank": 2, "reference": "x"}, "LoRA"),
        ({"trainer": "trl", "vllm_memory": 0.3}, "needs a GPU"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(job, change, message):
    config = dataclasses.replace(CONFIG, **change.pop("config", {}))
    with pytest.raises(UserError, match=message):
        check_job(dataclasses.replace(job, config=config, **change))


def test_the_own_loop_knows_one_process(job, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="2 were started: use --trainer trl"):
        check_job(job)


def test_a_reference_of_another_vocabulary_is_refused(job, tmp_path):
    from grpolab.validate.models import TinyConfig, build_model, save_model

    save_model(*build_model(("q",), TinyConfig(hidden=32, layers=1), seed=0), tmp_path / "small")
    config = dataclasses.replace(CONFIG, beta=0.1)
    for trainer in BOTH:
        wrong = dataclasses.replace(
            job, trainer=trainer, config=config, reference=str(tmp_path / "small")
        )
        with pytest.raises(UserError, match="its vocabulary of 5"):
            play(wrong, tmp_path / trainer)


@pytest.mark.parametrize("trainer", TRAINERS)
def test_schedule_and_decay_act_on_every_weight_as_they_are_defined(trainer, job, tmp_path):
    """Without a single reward a step is decay alone: weights times (1 - lr decay) per update."""

    class Hopeless(type(job.task)):
        def verify(self, prompt, completion):
            return False

    config = dataclasses.replace(
        CONFIG, lr=0.02, warmup=3, weight_decay=0.5, inner_epochs=2, skip_zero_advantage=False
    )
    run = play(
        dataclasses.replace(job, trainer=trainer, task=Hopeless(), config=config), tmp_path / "r"
    )
    rates = [0.02 * min(1, (step + 1) / 3) for step in range(4) for _ in range(2)]
    factor = np.prod([1 - rate * 0.5 for rate in rates])
    torch.testing.assert_close(weights(run.final), weights(job.model) * factor, rtol=1e-5, atol=0)


def test_rollouts_are_dealt_out_evenly():
    assert rows_per_step(CONFIG, batch_rows=0, processes=1) == (16, 1)
    assert rows_per_step(CONFIG, batch_rows=5, processes=2) == (4, 2)
    with pytest.raises(UserError, match="do not divide among 3 processes"):
        rows_per_step(CONFIG, batch_rows=0, processes=3)


def test_prompts_of_a_step_follow_from_seed_and_place_alone():
    rows = [pick_prompts(12, CONFIG, seed=5, batch=i).tolist() for i in range(20)]
    assert rows == [pick_prompts(12, CONFIG, seed=5, batch=i).tolist() for i in range(20)]
    assert all(len(set(row)) == 4 for row in rows)
    assert len({tuple(row) for row in rows}) > 15
    assert {i for row in rows for i in row} == set(range(12))
    assert rows[0] != pick_prompts(12, CONFIG, seed=6, batch=0).tolist()

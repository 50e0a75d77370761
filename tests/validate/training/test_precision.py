"""Mixed precision: weights stay float32, small updates are kept, and casts are never stale."""

import copy
import dataclasses

import numpy as np
import pytest

from grpolab.errors import UserError
from grpolab.validate.models import TinyConfig, build_model, load_model
from grpolab.validate.models.precision import compute_in, fixed_weights
from grpolab.validate.rollouts.hf import HFEngine
from grpolab.validate.rollouts.prompts import encode
from grpolab.validate.rollouts.table import SamplingLaw
from grpolab.validate.study.base import BaseConfig, cross_entropy, train_base
from grpolab.validate.study.tasks import make_task
from grpolab.validate.training.config import GRPOConfig
from grpolab.validate.training.job import TrainJob, check_job, manifest, run_job
from grpolab.validate.training.policy import load_policy
from grpolab.validate.training.rundir import open_run, read_run
from grpolab.validate.training.sft import KIND, SFTConfig, train_ladder
from grpolab.validate.training.sft_data import Example

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("default")  # those of trainers


@pytest.fixture(scope="module")
def tiny():
    task = make_task("countdown", seed=0)
    model, tokenizer = build_model(task.vocabulary, TinyConfig(hidden=32, layers=1), seed=0)
    return task, model.eval(), tokenizer


def flat(model):
    return torch.cat([p.detach().float().flatten() for p in model.parameters()])


@pytest.mark.slow
def test_updates_of_a_millionth_add_up_in_the_own_loop(words, folders, tmp_path):
    """100 steps at lr 1e-8: bfloat16 weights would not move at all, float32 ones do."""
    config = GRPOConfig(steps=100, prompts_per_step=4, group_size=4, lr=1e-8, warmup=0)
    job = TrainJob(str(folders / "start"), "own", words, words.prompts(), config, 1,
                   dtype="bfloat16", save_every=100)  # fmt: skip
    check_job(job)
    run = open_run(tmp_path / "run", manifest(job, task={"name": "words"}))
    run_job(job, run, progress=lambda share: None)
    assert {log.num_missing for log in read_run(run.path).steps} == {0}
    start, _ = load_model(folders / "start")
    final, _ = load_model(run.final)
    moved = (flat(final) - flat(start)).abs()
    small = flat(start).abs() < 0.05  # where float32 can hold such a step
    assert final.dtype == torch.float32
    assert float((moved[small] > 0).float().mean()) > 0.5
    assert float(moved.max()) < 3e-6
    stored = (flat(start).bfloat16() - (flat(start) + moved).bfloat16()).abs()
    assert float((stored > 0).float().mean()) < 0.05


@pytest.mark.slow  # as the one above: many steps
def test_updates_of_a_millionth_add_up_in_sft(tiny, tmp_path):
    _, model, tokenizer = tiny
    moving = copy.deepcopy(model)
    rows = [Example([1, 5 + i % 7, 9, 2], [-100, -100, 9, 2]) for i in range(32)]
    run = open_run(tmp_path / "ladder", {"kind": KIND})
    train_ladder(
        moving, tokenizer, run=run, train=rows, held_out=(), seed=0, dtype="bfloat16",
        config=SFTConfig(depths=(20,), unit="steps", batch_size=8, lr=5e-8),
    )  # fmt: skip
    final, _ = load_model(tmp_path / "ladder" / "depth-20")
    assert final.dtype == torch.float32
    moved = (flat(final) - flat(model)).abs()
    assert 0 < float(moved.max()) < 3e-6


def test_a_forward_pass_computes_in_bfloat16_with_the_weights_of_now(tiny):
    task, model, tokenizer = tiny
    half = compute_in(copy.deepcopy(model), "bfloat16")
    pairs = task.corpus(32, rng=np.random.default_rng(0))
    ids = tokenizer([p for p, _ in pairs], padding=True, return_tensors="pt")
    with torch.no_grad():
        assert half(**ids).logits.dtype == torch.bfloat16
        with fixed_weights(half):
            first = half(**ids).logits
            half.lm_head.weight.mul_(0.0)  # which a block of fixed weights does not see
            assert torch.equal(half(**ids).logits, first)
        assert float(half(**ids).logits.abs().max()) == 0.0
    assert not torch.is_autocast_enabled("cpu")
    with pytest.raises(ValueError, match="input_ids"):
        half(nonsense=1)
    assert not torch.is_autocast_enabled("cpu")


def test_greedy_answers_in_bfloat16_are_numbers_that_numpy_has(tiny):
    task, model, tokenizer = tiny
    half = compute_in(copy.deepcopy(model), "bfloat16")
    law = SamplingLaw(max_new_tokens=2, temperature=0.0)
    prompts = encode(tokenizer, task.prompts("eval")[:2])
    drawn = HFEngine.of(half, tokenizer).draw(prompts, num_samples=1, law=law, seed=0)
    assert drawn.logprob.tolist() == [[0.0] * drawn.tokens.shape[1]] * 2


@pytest.mark.slow
def test_training_in_bfloat16_learns_as_in_float32(tiny):
    """Casts that outlive an update leave the linear layers where they were."""
    task, model, tokenizer = tiny
    shown = task.corpus(64, rng=np.random.default_rng(1))
    loss = {}
    for dtype in ("float32", "bfloat16"):
        one = compute_in(copy.deepcopy(model), dtype)
        config = BaseConfig(steps=20, batch_size=64, lr=1e-2)
        train_base(one, tokenizer, task=task, config=config, seed=0)
        loss[dtype] = float(cross_entropy(one, tokenizer, shown).detach())
        assert one.dtype == torch.float32
    assert loss["bfloat16"] == pytest.approx(loss["float32"], abs=0.05)


def test_adapters_are_float32_on_a_base_that_may_be_smaller(folders):
    pytest.importorskip("peft")
    model, _ = load_policy(folders / "start", seed=0, lora_rank=2, dtype="bfloat16")
    kinds = {p.requires_grad: p.dtype for p in model.parameters()}
    assert kinds == {True: torch.float32, False: torch.bfloat16}


def test_float16_is_refused_for_training(words, folders):
    job = TrainJob(str(folders / "start"), "own", words, words.prompts(), GRPOConfig(), 1)
    for trainer in ("own", "trl"):
        with pytest.raises(UserError, match="float16 is for sampling"):
            check_job(dataclasses.replace(job, trainer=trainer, dtype="float16"))

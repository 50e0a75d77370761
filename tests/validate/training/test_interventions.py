"""Every intervention on GRPO does what its definition says, and a stopped run goes on unchanged."""

import copy
import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

from grpolab.theory.advantage import TRL
from grpolab.validate.models import TinyConfig, build_model
from grpolab.validate.rollouts.engine import NO_TOKEN, Draws
from grpolab.validate.rollouts.hf import HFEngine
from grpolab.validate.study.tasks import make_task
from grpolab.validate.tasks import Prompt, Task
from grpolab.validate.training.config import GRPOConfig
from grpolab.validate.training.grpo import Groups, GRPOLoop, train_grpo
from grpolab.validate.training.loss import (
    completion_logprobs,
    grpo_loss,
    logprobs_and_entropy,
    token_weights,
)

sys.path.insert(0, str(Path(__file__).parent))
from rollout_batches import Drawn, moved

torch = pytest.importorskip("torch")

CONFIG = GRPOConfig(steps=4, prompts_per_step=6, group_size=4, lr=1e-3, warmup=1, eval_every=9)


class Parity(Task):
    """Right if the first word is one of the first four: common, so that groups have spread."""

    name, classes = "parity", ("only",)
    max_new_tokens = 6

    def __init__(self):
        self._task = make_task("countdown", seed=0)
        self.vocabulary = self._task.vocabulary

    def prompts(self, split):
        return self._task.prompts(split)

    def verify(self, prompt, completion):
        return sum(map(ord, completion)) % 2 == 0


@pytest.fixture(scope="module")
def setup():
    task = Parity()
    model, tokenizer = build_model(task.vocabulary, TinyConfig(hidden=32, layers=1), seed=0)
    return task, model, tokenizer


def drawn(setup, config=CONFIG, seed=0):
    task, model, tokenizer = setup
    prompts = task.prompts("rl")[: config.prompts_per_step]
    engine = HFEngine.of(model, tokenizer)
    return Drawn.of(engine, task, prompts, config, seed)


def flat_grad(model):
    return torch.cat([p.grad.reshape(-1) for p in model.parameters()])


def test_kl_correction_makes_the_gradient_that_of_the_divergence():
    """Summed over all tokens with weight pi_old = pi: grad of corrected k3 is grad KL(pi||ref)."""
    rng = np.random.default_rng(1)
    ref = torch.tensor(np.log(rng.dirichlet(np.ones(5))))[None]
    grads = {}
    for corrected in (True, False):
        logits = torch.tensor(np.random.default_rng(0).normal(size=(1, 5)), requires_grad=True)
        logp = logits.log_softmax(-1)
        parts = grpo_loss(
            logp, old_logp=logp.detach(), ref_logp=ref, advantage=torch.zeros(1).double(),
            weight=logp.detach().exp(), share=logp.detach().exp(),
            config=dataclasses.replace(CONFIG, beta=1.0, kl_correction=corrected),
        )  # fmt: skip
        (grads[corrected],) = torch.autograd.grad(parts.loss, logits)
    logits = torch.tensor(np.random.default_rng(0).normal(size=(1, 5)), requires_grad=True)
    logp = logits.log_softmax(-1)
    (exact,) = torch.autograd.grad((logp.exp() * (logp - ref)).sum(), logits)
    torch.testing.assert_close(grads[True], exact, atol=1e-12, rtol=1e-9)
    assert (grads[False] - exact).abs().max() > 1e-2


def test_entropy_bonus_is_the_mean_token_entropy(setup):
    task, model, _ = setup
    config = dataclasses.replace(CONFIG, entropy_coef=0.3, max_grad_norm=1e9)
    silent = drawn(setup, config)
    silent.advantage = np.zeros_like(silent.advantage)
    one, two = copy.deepcopy(model), copy.deepcopy(model)
    optimiser = torch.optim.SGD(one.parameters(), lr=0.0)
    parts, _ = moved(one, optimiser, silent, config, task)
    logp, entropy = logprobs_and_entropy(two, silent.batch)
    torch.testing.assert_close(logp, completion_logprobs(two, silent.batch))
    mean = entropy[silent.batch.mask].mean()
    (-0.3 * mean).backward()
    torch.testing.assert_close(flat_grad(one), flat_grad(two), atol=1e-7, rtol=1e-5)
    assert float(parts.loss.detach()) == pytest.approx(-0.3 * float(mean.detach()), rel=1e-5)


@pytest.mark.parametrize("aggregation", ["sequence", "token", "constant"])
def test_copies_of_a_rollout_run_once_and_count_as_often_as_they_came(setup, aggregation):
    task, model, _ = setup
    config = dataclasses.replace(
        CONFIG, group_size=8, temperature=0.01, aggregation=aggregation, beta=0.1,
        entropy_coef=0.01, max_grad_norm=1e9,
    )  # fmt: skip
    draw = drawn(setup, config)
    rows = np.unique(draw.batch.tokens.numpy(), axis=0)
    assert len(rows) < 0.9 * len(draw.advantage)
    reference = copy.deepcopy(model)
    with torch.no_grad():
        reference.lm_head.weight.mul_(1.1)
    merged, whole = copy.deepcopy(model), copy.deepcopy(model)
    optimiser = torch.optim.SGD(merged.parameters(), lr=0.0)
    got, _ = moved(merged, optimiser, draw, config, task, reference=reference)
    logp, entropy = logprobs_and_entropy(whole, draw.batch, temperature=0.01)
    with torch.no_grad():
        anchor = completion_logprobs(reference, draw.batch, temperature=0.01)
    mask, length = draw.batch.mask, task.max_new_tokens
    parts = grpo_loss(
        logp, old_logp=logp.detach(), ref_logp=anchor, entropy=entropy, config=config,
        advantage=torch.tensor(draw.advantage, dtype=torch.float32),
        weight=token_weights(mask, aggregation, max_length=length),
        share=token_weights(mask, "token", max_length=length),
    )  # fmt: skip
    parts.loss.backward()
    torch.testing.assert_close(flat_grad(merged), flat_grad(whole), atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(got.loss, parts.loss, atol=1e-6, rtol=1e-5)


def test_temperature_scales_the_policy_inside_the_loss(setup):
    """The gradient at temperature T is that of a model whose logits are divided by T."""
    task, model, _ = setup
    config = dataclasses.replace(CONFIG, temperature=2.0, max_grad_norm=1e9)
    draw = drawn(setup, config)
    cooled = copy.deepcopy(model)
    with torch.no_grad():
        cooled.lm_head.weight.div_(2.0)
    grads = []
    for policy, temperature in ((copy.deepcopy(model), 2.0), (cooled, 1.0)):
        settings = dataclasses.replace(config, temperature=temperature)
        optimiser = torch.optim.SGD(policy.parameters(), lr=0.0)
        moved(policy, optimiser, draw, settings, task)
        inner = [p.grad for n, p in policy.named_parameters() if "lm_head" not in n]
        grads.append(torch.cat([g.reshape(-1) for g in inner]))
    torch.testing.assert_close(*grads, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("to", ["zero", "start"])
def test_weight_decay_pulls_where_it_says(setup, to):
    task, model, tokenizer = setup
    policy = copy.deepcopy(model)
    config = dataclasses.replace(CONFIG, weight_decay=100.0, lr=1e-3, decay_to=to)
    loop = GRPOLoop(policy, tokenizer, task=task, prompts=task.prompts("rl")[:40], config=config,
                    seed=0)  # fmt: skip
    start = [p.detach().clone() for p in policy.parameters()]
    with torch.no_grad():  # far from where it started
        for p in policy.parameters():
            p.add_(0.5)
    moved = [p.detach().clone() for p in policy.parameters()]
    loop.advance()
    for before, anchor, after in zip(moved, start, policy.parameters(), strict=True):
        wanted = before - 0.1 * (before if to == "zero" else before - anchor)
        assert (
            float((after.detach() - wanted).abs().max()) < 1.3e-3
        )  # one Adam step of rate 1e-3 at most


def test_joined_groups_pad_prompts_left_and_completions_right(setup):
    _, model, tokenizer = setup
    engine, pad = HFEngine.of(model, tokenizer), tokenizer.pad_token_id

    def piece(prompt, length, value, entropy):
        tokens = np.full((2, length), value)
        nats = np.full(tokens.shape, entropy)
        draws = Draws(tokens, -nats, nats, np.array([False, True]))
        asked = [Prompt(value, "x", "only")]
        return Groups(asked, [[value] * prompt], draws, ["a", "b"], np.array([[1.0, np.nan]]))

    whole = Groups.join([piece(3, 2, 5, 1.0), piece(1, 4, 7, 4.0)])
    batch, table = whole.batch(engine), whole.table()
    assert batch.prompt_ids.tolist() == [[5, 5, 5]] * 2 + [[pad, pad, 7]] * 2
    assert batch.prompt_mask.tolist() == [[1, 1, 1]] * 2 + [[0, 0, 1]] * 2
    assert batch.tokens.tolist() == [[5, 5, pad, pad]] * 2 + [[7] * 4] * 2
    assert batch.mask.sum(1).tolist() == [2, 2, 4, 4]
    assert (whole.draws.tokens[:2, 2:] == NO_TOKEN).all()
    assert table.token_entropy == pytest.approx((2 * 1.0 + 4 * 4.0) / 6)  # by token
    assert table.completion_entropy == pytest.approx(2.5)
    assert table.group.tolist() == [0, 0, 1, 1]
    assert (whole.num_correct.tolist(), whole.num_judged.tolist()) == ([1, 1], [1, 1])
    kept = whole.keep(np.array([False, True]))
    assert kept.batch(engine).tokens.tolist() == [[7] * 4] * 2
    assert kept.text == ["a", "b"]


def test_filtering_scales_the_update_and_matched_filtering_does_not(setup):
    """Zero-std groups add nothing: leaving them out divides the mean by the share kept, exactly."""
    task, model, _ = setup
    config = dataclasses.replace(
        CONFIG, prompts_per_step=24, group_size=2, aggregation="constant", max_grad_norm=1e9
    )
    draw = drawn(setup, config)
    some = draw.groups.keep(draw.groups.has_spread)
    kept = Drawn(HFEngine.of(model, setup[2]), some, config)
    share = len(some.prompts) / len(draw.groups.prompts)
    assert 0.2 < share < 0.8

    def gradient(which, scale):
        policy = copy.deepcopy(model)
        optimiser = torch.optim.SGD(policy.parameters(), lr=0.0)
        moved(policy, optimiser, which, config, task, scale=scale)
        return flat_grad(policy)

    everything = gradient(draw, 1.0)
    torch.testing.assert_close(gradient(kept, share), everything, atol=1e-7, rtol=1e-4)
    torch.testing.assert_close(gradient(kept, 1.0), everything / share, atol=1e-7, rtol=1e-4)


def test_dynamic_sampling_draws_until_enough_groups_have_spread(setup):
    task, model, tokenizer = setup
    base = dataclasses.replace(CONFIG, steps=2, group_size=2, rule=TRL)
    drawn_groups = {}
    for mode in ("off", "filter", "matched"):
        run = train_grpo(
            copy.deepcopy(model), tokenizer, task=task, prompts=task.prompts("rl")[:40],
            config=dataclasses.replace(base, dynamic_sampling=mode), seed=0,
        )  # fmt: skip
        drawn_groups[mode] = [len(r.num_correct) for r in run.records]
        first = run.records[0]
        if mode != "off":  # all groups are logged, those without spread too
            spread = (first.num_correct > 0) & (first.num_correct < first.group_size)
            assert spread.sum() >= base.prompts_per_step
            assert not spread.all()
    assert drawn_groups["off"] == [6, 6]
    assert drawn_groups["filter"][0] == drawn_groups["matched"][0] > 6
    few = dataclasses.replace(base, dynamic_sampling="filter", max_draws=1)
    run = train_grpo(copy.deepcopy(model), tokenizer, task=task, prompts=task.prompts("rl")[:40],
                     config=few, seed=0)  # fmt: skip
    assert [len(r.num_correct) for r in run.records] == [6, 6]


def test_a_step_without_any_spread_is_a_step(setup):
    """Dynamic sampling that finds no mixed group: nothing to learn from, the loop goes on."""
    task, model, tokenizer = setup

    class Rejects(Parity):
        def verify(self, prompt, completion):
            return False

    for mode in ("off", "filter", "matched"):
        config = dataclasses.replace(CONFIG, steps=2, dynamic_sampling=mode, max_draws=2)
        run = train_grpo(
            copy.deepcopy(model), tokenizer, task=Rejects(), prompts=task.prompts("rl")[:40],
            config=config, seed=0,
        )  # fmt: skip
        assert [log.frac_zero_std for log in run.steps] == [1.0, 1.0]
        assert [log.grad_norm for log in run.steps] == [0.0, 0.0]


def test_a_stopped_run_goes_on_as_if_nothing_had_happened(setup):
    task, model, tokenizer = setup
    config = dataclasses.replace(CONFIG, weight_decay=0.1, decay_to="start")
    prompts = task.prompts("rl")[:40]

    def loop(policy):
        return GRPOLoop(policy, tokenizer, task=task, prompts=prompts, config=config, seed=3)

    whole = copy.deepcopy(model)
    through = loop(whole)
    records = [through.advance() for _ in range(4)]
    half = copy.deepcopy(model)
    first = loop(half)
    for _ in range(2):
        first.advance()
    weights, state = copy.deepcopy(half.state_dict()), copy.deepcopy(first.state_dict())
    fresh = copy.deepcopy(model)
    fresh.load_state_dict(weights)
    second = loop(fresh)
    second.load_state_dict(state)
    again = [second.advance() for _ in range(2)]
    assert [r.log for r in again] == [r.log for r in records[2:]]
    for p, q in zip(whole.parameters(), fresh.parameters(), strict=True):
        assert torch.equal(p, q)


@pytest.mark.parametrize(
    "change",
    [{"dynamic_sampling": "yes"}, {"decay_to": "base"}, {"beta": -1.0}, {"max_draws": 0},
     {"aggregation": "mean"}, {"weight_decay": float("nan")}],
)  # fmt: skip
def test_bad_interventions_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        dataclasses.replace(CONFIG, **change)


def test_too_few_prompts_are_refused(setup):
    task, model, tokenizer = setup
    with pytest.raises(ValueError, match="prompts must hold at least"):
        train_grpo(model, tokenizer, task=task, prompts=task.prompts("rl")[:3], config=CONFIG,
                   seed=0)  # fmt: skip

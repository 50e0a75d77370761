"""GRPO by its definition: gradients, clipping, KL, what may be skipped; and the SFT ladder."""

import copy
import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

from grpolab.theory import DR_GRPO, GRPO, RLOO, SIGN, expected_std
from grpolab.theory.advantage import TRL
from grpolab.validate.models import TinyConfig, build_model
from grpolab.validate.rollouts.hf import HFEngine
from grpolab.validate.study.base import cross_entropy
from grpolab.validate.study.tasks import make_task
from grpolab.validate.tasks import Prompt, Task
from grpolab.validate.training.config import GRPOConfig
from grpolab.validate.training.grpo import draw_groups, train_grpo, update
from grpolab.validate.training.loss import (
    Batch,
    completion_logprobs,
    encode,
    grpo_loss,
    token_weights,
)

sys.path.insert(0, str(Path(__file__).parent))
from rollout_batches import Drawn, moved

torch = pytest.importorskip("torch")

CONFIG = GRPOConfig(steps=3, prompts_per_step=8, group_size=4, lr=1e-3, warmup=1, eval_every=2)


class OneWord(Task):
    """Right if the single word is ``a``: p is the model's chance of its first token."""

    name, classes, vocabulary = "one-word", ("only",), ("a", "b", "q")
    max_new_tokens = 1

    def prompts(self, split):
        return tuple(Prompt(i, "q", "only") for i in range(96))

    def verify(self, prompt, completion):
        return completion == "a"


@pytest.fixture(scope="module")
def setup():
    task = make_task("countdown", seed=0)
    model, tokenizer = build_model(task.vocabulary, TinyConfig(hidden=32, layers=1), seed=0)
    pairs = [
        (p.text, a)
        for p, a in zip(
            task.prompts("sft"),
            task.demonstrations(
                task.prompts("sft"), style="canonical", rng=np.random.default_rng(0)
            ),
            strict=True,
        )
    ]
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    rng = np.random.default_rng(0)
    for _ in range(150):
        shown = [pairs[i] for i in rng.choice(len(pairs), 64, replace=False)]
        optimiser.zero_grad()
        cross_entropy(model, tokenizer, shown).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    return task, model, tokenizer, pairs


def fresh(setup, config=CONFIG, seed=0):
    task, model, _, _ = setup
    model = copy.deepcopy(model)
    prompts = task.prompts("rl")[: config.prompts_per_step]
    return task, model, Drawn.of(HFEngine.of(model, setup[2]), task, prompts, config, seed)


def gradients(model):
    return torch.cat([p.grad.reshape(-1) for p in model.parameters()])


def stepped(setup, config, draw=None, reference=None, advantage=None):
    """One update on a common draw; the gradients before clipping matter, so clip far away."""
    task, model, own = fresh(setup, config)
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=0.0)
    config = dataclasses.replace(config, max_grad_norm=1e9)
    parts, norm = moved(
        model, optimiser, draw or own, config, task, reference=reference, advantage=advantage
    )
    return model, parts, norm


def by_hand(setup, draw, rule, aggregation):
    """-(sum of advantage x mean log-probability), from the raw rewards, in plain torch."""
    task, model, _, _ = setup
    model = copy.deepcopy(model)
    model.zero_grad()
    g = CONFIG.group_size
    logp = completion_logprobs(model, draw.batch)
    lengths = draw.batch.mask.sum(1)
    total = 0.0
    for m, correct in enumerate(draw.num_correct):
        rewards = torch.tensor(
            [draw.advantage[m * g + i] > draw.advantage[m * g : (m + 1) * g].mean()
             for i in range(g)]
        ).float()  # fmt: skip
        if rewards.sum() != correct:
            continue  # a zero-std group: all advantages are equal
        centred = rewards - rewards.mean()
        if rule is TRL:
            centred = centred / (rewards.std() + 1e-4)
        for i in range(g):
            row = m * g + i
            scale = {"sequence": 1 / lengths[row], "constant": 1 / task.max_new_tokens}[aggregation]
            total = total - centred[i] * logp[row].sum() * scale / len(logp)
    total.backward()
    return gradients(model)


@pytest.mark.parametrize(("rule", "aggregation"), [(TRL, "sequence"), (DR_GRPO, "constant")])
def test_gradient_is_that_of_the_definition(setup, rule, aggregation):
    config = dataclasses.replace(CONFIG, rule=rule, aggregation=aggregation)
    _, _, draw = fresh(setup, config)
    assert 0 < draw.num_correct.sum() < draw.num_correct.size * config.group_size
    model, _, norm = stepped(setup, config, draw)
    wanted = by_hand(setup, draw, rule, aggregation)
    torch.testing.assert_close(gradients(model), wanted, atol=1e-6, rtol=1e-4)
    assert norm == pytest.approx(float(wanted.norm()), rel=1e-4)


def test_skipping_zero_advantage_rows_is_exact(setup):
    results = []
    for skip in (True, False):
        config = dataclasses.replace(CONFIG, skip_zero_advantage=skip, inner_epochs=2)
        _, _, draw = fresh(setup, config)
        assert (draw.advantage == 0).any()
        results.append(stepped(setup, config, draw))
    (first, a, _), (second, b, _) = results
    torch.testing.assert_close(gradients(first), gradients(second), atol=1e-7, rtol=1e-5)
    torch.testing.assert_close(a.loss, b.loss, atol=1e-6, rtol=1e-5)
    for p, q in zip(first.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(p, q, atol=1e-6, rtol=1e-4)


def test_without_any_signal_momentum_still_moves_the_weights(setup):
    """All groups zero-std: the gradient is 0, Adam's memory is not; skipping must not stop it."""
    task, model, draw = fresh(setup)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
    moved(model, optimiser, draw, CONFIG, task)
    silent = np.zeros_like(draw.advantage)
    twin, twin_optimiser = copy.deepcopy(model), None
    twin_optimiser = torch.optim.AdamW(twin.parameters(), lr=1e-3, weight_decay=0.0)
    twin_optimiser.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    before = [p.detach().clone() for p in model.parameters()]
    moved(model, optimiser, draw, CONFIG, task, advantage=silent)
    whole = dataclasses.replace(CONFIG, skip_zero_advantage=False)
    moved(twin, twin_optimiser, draw, whole, task, advantage=silent)
    assert any(not torch.equal(p, q) for p, q in zip(before, model.parameters(), strict=True))
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p, q, atol=1e-7, rtol=1e-6)


def test_kl_acts_on_zero_std_groups_and_its_gradient_vanishes_at_the_reference(setup):
    config = dataclasses.replace(CONFIG, beta=0.5)
    _, _, draw = fresh(setup, config)
    silent = np.zeros_like(draw.advantage)
    same, parts, _ = stepped(
        setup, config, draw, advantage=silent, reference=copy.deepcopy(setup[1])
    )
    assert float(parts.kl) == pytest.approx(0.0, abs=1e-6)
    assert float(gradients(same).norm()) == pytest.approx(0.0, abs=1e-5)
    other = copy.deepcopy(setup[1])
    with torch.no_grad():
        other.lm_head.weight.mul_(1.5)
    moved, parts, _ = stepped(setup, config, draw, advantage=silent, reference=other)
    assert float(parts.kl) > 1e-3
    assert float(gradients(moved).norm()) > 1e-3
    task, model, tokenizer, _ = setup
    with pytest.raises(ValueError, match="needs a reference"):
        train_grpo(model, tokenizer, task=task, prompts=task.prompts("rl"), config=config, seed=0)


def test_k3_is_unbiased_for_the_kl_divergence():
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(6))
    logp, ref = torch.tensor(np.log(p))[None], torch.tensor(np.log(q))[None]
    parts = grpo_loss(
        logp, old_logp=logp, ref_logp=ref, advantage=torch.zeros(1).double(),
        weight=torch.tensor(p)[None], share=torch.tensor(p)[None],
        config=dataclasses.replace(CONFIG, beta=1.0),
    )  # fmt: skip
    assert float(parts.kl) == pytest.approx(float(np.sum(p * np.log(p / q))), rel=1e-12)


@pytest.mark.parametrize(
    ("ratio", "advantage", "slope"),
    [(1.0, 1.0, 1.0), (1.5, 1.0, 0.0), (1.5, -1.0, -1.5), (0.5, -1.0, 0.0), (0.5, 1.0, 0.5)],
)
def test_clipping_stops_the_gradient_only_where_it_should(ratio, advantage, slope):
    logp = torch.log(torch.tensor([[ratio]])).requires_grad_()
    parts = grpo_loss(
        logp, old_logp=torch.zeros(1, 1), ref_logp=None, advantage=torch.tensor([advantage]),
        weight=torch.ones(1, 1), share=torch.ones(1, 1),
        config=dataclasses.replace(CONFIG, clip_high=0.28),
    )  # fmt: skip
    parts.loss.backward()
    assert logp.grad.item() == pytest.approx(-slope)
    assert float(parts.clip_high) == float(ratio > 1.28 and advantage > 0)
    assert float(parts.clip_low) == float(ratio < 0.8 and advantage < 0)


def test_token_weights_sum_to_one_per_definition():
    mask = torch.tensor([[True, True, False], [True, False, False]])
    third = 1 / 3
    wanted = {"sequence": [[0.25, 0.25, 0], [0.5, 0, 0]],
              "token": [[third, third, 0], [third, 0, 0]],
              "constant": [[0.1, 0.1, 0], [0.1, 0, 0]]}  # fmt: skip
    for name, rows in wanted.items():
        torch.testing.assert_close(token_weights(mask, name, max_length=5), torch.tensor(rows))


@pytest.mark.parametrize("rule", [GRPO, DR_GRPO, RLOO, SIGN], ids=lambda r: r.name)
def test_mean_update_of_a_one_word_policy_is_the_formula(rule):
    """E[gradient in the logit of p] = w(p) p (1-p), with w of the rule: theory meets the loop."""
    task, g = OneWord(), 8
    model, tokenizer = build_model(task.vocabulary, TinyConfig(hidden=32, layers=1), seed=1)
    batch = encode(tokenizer, [("q", "a")])
    first = Batch(batch.prompt_ids, batch.prompt_mask, batch.tokens[:, :1], batch.mask[:, :1])
    with torch.no_grad():
        p = float(completion_logprobs(model, first).exp())
    config = dataclasses.replace(CONFIG, rule=rule, group_size=g, prompts_per_step=96)
    engine, samples = HFEngine.of(model, tokenizer), []
    for i in range(20):
        draw = Drawn.of(engine, task, task.prompts("rl"), config, seed=i)
        adv = draw.advantage.reshape(-1, g)
        correct = np.repeat(draw.num_correct[:, None], g, 1)
        reward = rewards_of(draw, tokenizer).reshape(-1, g)
        assert (reward.sum(1, keepdims=True) == correct).all()
        # d log pi / d logit of p is R - p
        samples += list((adv * (reward - p)).mean(1))
    samples = np.array(samples)
    wanted = {
        "grpo": float(expected_std(p, g)), "dr-grpo": p * (1 - p) * (g - 1) / g,
        "rloo": p * (1 - p), "sign": 2 * p * (1 - p),
    }[rule.name]  # fmt: skip
    error = samples.std(ddof=1) / len(samples) ** 0.5
    assert abs(samples.mean() - wanted) < 4 * error
    assert error < 0.2 * wanted


def rewards_of(draw, tokenizer):
    word = tokenizer.convert_tokens_to_ids("a")
    return (draw.batch.tokens[:, 0] == word).double().numpy()


def test_a_run_logs_every_group_and_is_reproducible(setup):
    task, model, tokenizer, _ = setup
    runs = []
    for _ in range(2):
        twin = copy.deepcopy(model)
        seen = []
        run = train_grpo(twin, tokenizer, task=task, prompts=task.prompts("rl")[:40], config=CONFIG,
                         seed=5, evaluate=lambda step, seen=seen: seen.append(step))  # fmt: skip
        runs.append((run, twin))
        assert seen == [0, 2, 3]
    (a, first), (b, second) = runs
    counts = a.counts()
    assert len(counts) == CONFIG.steps * CONFIG.prompts_per_step
    assert counts == b.counts()
    assert a.steps == b.steps
    assert [s.frac_zero_std for s in a.steps] == [
        counts.select(counts.step == i).frac_zero_std for i in range(CONFIG.steps)
    ]
    assert all(
        torch.equal(p, q) for p, q in zip(first.parameters(), second.parameters(), strict=True)
    )
    assert not all(
        torch.equal(p, q) for p, q in zip(first.parameters(), model.parameters(), strict=True)
    )


def test_grpo_raises_the_reward_of_a_policy_that_can_learn():
    task = OneWord()
    model, tokenizer = build_model(task.vocabulary, TinyConfig(hidden=32, layers=1), seed=1)
    config = GRPOConfig(steps=25, prompts_per_step=8, lr=1e-2, warmup=1)
    run = train_grpo(model, tokenizer, task=task, prompts=task.prompts("rl"), config=config, seed=0)
    assert run.steps[0].mean_reward < 0.4
    assert run.steps[-1].mean_reward > 0.9


@pytest.mark.parametrize("change", [{"steps": 0}, {"group_size": 0}, {"temperature": 0.0}])
def test_bad_configs_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        dataclasses.replace(CONFIG, **change)


def tabular_model(logits):
    """A policy that is a table of logits, a row per prompt, behind the interface of a model."""
    from types import SimpleNamespace

    class Table(torch.nn.Module):
        device = torch.device("cpu")

        def __init__(self):
            super().__init__()
            self.table = torch.nn.Parameter(torch.tensor(logits, dtype=torch.float64))

        def forward(self, input_ids, attention_mask, position_ids, logits_to_keep):
            rows = self.table[input_ids[:, 0]]
            return SimpleNamespace(logits=rows[:, None].expand(-1, logits_to_keep, -1))

    return Table()


@pytest.mark.parametrize("rule", [GRPO, DR_GRPO, TRL, SIGN], ids=lambda r: r.name)
@pytest.mark.parametrize(("beta", "epochs", "clip"), [(0.0, 1, 0.2), (0.0, 4, 0.05), (0.2, 2, 0.2)])
def test_one_update_is_the_simulated_tabular_step(rule, beta, epochs, clip):
    """Same logits, same draws: the loop of real models and the simulated softmax policy agree."""
    from grpolab.simulate import Options, simulate_softmax
    from grpolab.simulate import _kernels_softmax as kernels
    from grpolab.simulate._philox import stream_key

    start = np.array([[0.5, 0.0, -1.0, 0.3], [2.0, -1.0, 0.0, 1.0], [0.0, 0.1, 0.2, 0.3]])
    right = np.array([[True, True, False, False], [False, True, False, True], [True] + [False] * 3])
    anchor, g, rate, seed = start + 0.4 * right, 8, 0.3, 5
    options = Options(inner_epochs=epochs, clip_low=clip, clip_high=clip, kl=beta, kl_form="k3")
    played = simulate_softmax(
        start, right, base=np.zeros_like(start), reference=anchor, group_size=g, num_steps=1,
        learning_rate=rate, seed=seed, rule=rule, options=options,
    )  # fmt: skip
    log_pi = start - np.log(np.exp(start).sum(1, keepdims=True))
    drawn = np.empty((3, g), np.int64)
    zero, key = np.uint64(0), stream_key(seed, "softmax models")
    for row in range(3):
        kernels.draw_responses(
            log_pi[row], zero, zero, np.uint64(row), key.low, key.high, drawn[row]
        )
    reward = np.take_along_axis(right, drawn, 1)
    value = rule.advantages(reward.sum(1), g)
    advantage = np.where(reward, value.correct[:, None], value.wrong[:, None]).reshape(-1)
    assert (reward.sum(1) % g > 0).any()
    prompt = torch.arange(3)[:, None].repeat_interleave(g, 0)
    batch = Batch(prompt, torch.ones_like(prompt), torch.tensor(drawn.reshape(-1, 1)),
                  torch.ones(3 * g, 1, dtype=torch.bool))  # fmt: skip
    model = tabular_model(start)
    config = GRPOConfig(
        group_size=g, rule=rule, beta=beta, inner_epochs=epochs, clip_low=clip, clip_high=clip,
        max_grad_norm=1e9, kl_correction=False,
    )  # fmt: skip
    # the loss is a mean over prompts, the simulated one a sum: three prompts, three times the rate
    optimiser = torch.optim.SGD(model.parameters(), lr=3 * rate)
    update(model, optimiser, batch=batch, advantage=advantage, config=config, max_new_tokens=1,
           reference=tabular_model(anchor))  # fmt: skip
    gap = np.abs(played.state.logits[:, 0] - model.table.detach().numpy()).max()
    assert gap < 1e-6
    assert np.abs(model.table.detach().numpy() - start).max() > 1e-2


def test_a_missing_verdict_is_no_reward_of_zero(setup):
    """Rollouts without a verdict leave the group: smaller size, no advantage, no false zero."""
    _, model, tokenizer, _ = setup

    class Flaky(Task):
        name, max_new_tokens = "flaky", setup[0].max_new_tokens
        task = setup[0]

        def prompts(self, split):
            return self.task.prompts(split)

        def verify(self, prompt, completion):
            return None if completion.startswith("1") else self.task.verify(prompt, completion)

    task = Flaky()
    run = train_grpo(
        model, tokenizer, task=task, prompts=setup[0].prompts("rl")[:40],
        config=dataclasses.replace(CONFIG, lr=0.0, steps=2), seed=1,
    )  # fmt: skip
    counts = run.counts()
    assert counts.group_size.min() < CONFIG.group_size
    picked = setup[0].prompts("rl")[:8]
    groups = draw_groups(
        HFEngine.of(model, tokenizer), task=task, prompts=picked, config=CONFIG, seed=0
    )
    missing = np.array([text.startswith("1") for text in groups.text])
    assert missing.any()
    assert (groups.advantages(CONFIG.rule)[missing] == 0).all()
    assert groups.num_judged.tolist() == (~missing).reshape(-1, CONFIG.group_size).sum(1).tolist()

"""Rollouts: the sampled law is the recorded law, and the table counts what it holds."""

import dataclasses
import itertools

import numpy as np
import pytest
from scipy import stats

from grpolab.errors import UserError
from grpolab.validate.models import TinyConfig, build_model, save_model
from grpolab.validate.rollouts import (
    RolloutPlan,
    Rollouts,
    SamplingLaw,
    collect,
    text_hash,
)
from grpolab.validate.rollouts.engine import NO_TOKEN
from grpolab.validate.rollouts.hf import HFEngine
from grpolab.validate.rollouts.judge import judge
from grpolab.validate.rollouts.law import apply_law, invert
from grpolab.validate.rollouts.prompts import encode
from grpolab.validate.study.tasks import make_task
from grpolab.validate.tasks import Prompt
from grpolab.validate.training.loss import Batch, completion_logprobs

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def setup():
    task = make_task("coins", seed=0)
    model, tokenizer = build_model(task.vocabulary, TinyConfig(hidden=32, layers=1), seed=0)
    with torch.no_grad():  # an untrained model is close to uniform; make it opinionated
        model.lm_head.weight.mul_(20)
    return task, model.eval(), tokenizer


def draw(setup, law, *, num_samples=64, count=3, seed=0):
    task, model, tokenizer = setup
    ids = encode(tokenizer, task.prompts("eval")[:count])
    engine = HFEngine.of(model, tokenizer, batch_rows=num_samples * count)
    return ids, engine.draw(ids, num_samples=num_samples, law=law, seed=seed)


def as_batch(ids, draws, tokenizer):
    n = len(draws.tokens) // len(ids)
    rows = [one for one in ids for _ in range(n)]
    return Batch.of(rows, draws.tokens, tokenizer=tokenizer, device="cpu")


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
def test_recorded_logprobs_are_those_of_one_full_forward_pass(setup, temperature):
    law = SamplingLaw(max_new_tokens=8, temperature=temperature)
    ids, draws = draw(setup, law)
    batch = as_batch(ids, draws, setup[2])
    with torch.no_grad():
        again = completion_logprobs(setup[1], batch, temperature=temperature)
    np.testing.assert_allclose(draws.logprob, again.numpy(), atol=2e-5, rtol=1e-4)


def test_padding_of_other_prompts_changes_nothing(setup):
    task, model, tokenizer = setup
    texts = ["make 9 with 2 5", task.prompts("eval")[0].text + " 3 3"]
    texts[0] = " ".join(texts[1].split()[:3])
    ids = encode(tokenizer, [Prompt(i, text, "all") for i, text in enumerate(texts)])
    assert len(ids[0]) < len(ids[1])
    engine, law = HFEngine.of(model, tokenizer), SamplingLaw(max_new_tokens=1)
    both = engine.draw(ids, num_samples=1, law=law, seed=0)
    alone = engine.draw(ids[:1], num_samples=1, law=law, seed=0)
    np.testing.assert_allclose(both.entropy[:1], alone.entropy, atol=1e-5, rtol=1e-5)


def test_first_tokens_follow_the_law(setup):
    """Chi-square of first tokens against the model's own softmax, and its negative control."""
    law = SamplingLaw(max_new_tokens=1, temperature=1.3)
    ids, draws = draw(setup, law, num_samples=20_000, count=1)
    with torch.no_grad():
        logits = setup[1](input_ids=torch.tensor(ids)).logits[0, -1]
    seen = np.bincount(draws.tokens[:, 0], minlength=len(logits))

    def p_value(temperature):
        expected = torch.softmax(logits.double() / temperature, -1).numpy() * seen.sum()
        keep = expected >= 5
        cells = [*seen[keep], seen[~keep].sum()]
        wanted = [*expected[keep], expected[~keep].sum()]
        return stats.chisquare(cells, np.array(wanted) * sum(cells) / sum(wanted)).pvalue

    assert p_value(1.3) > 1e-3
    assert p_value(1.0) < 1e-6


def test_truncated_laws_stay_inside_and_are_renormalised():
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.15, 0.1]]))
    law = SamplingLaw(max_new_tokens=1, top_k=2)
    torch.testing.assert_close(apply_law(logits, law).exp(), torch.tensor([[2 / 3, 1 / 3, 0, 0]]))
    law = SamplingLaw(max_new_tokens=1, top_p=0.7)
    torch.testing.assert_close(apply_law(logits, law).exp(), torch.tensor([[2 / 3, 1 / 3, 0, 0]]))
    law = SamplingLaw(max_new_tokens=1, top_p=0.01)
    torch.testing.assert_close(apply_law(logits, law).exp(), torch.tensor([[1.0, 0, 0, 0]]))
    greedy = SamplingLaw(max_new_tokens=1, temperature=0)
    torch.testing.assert_close(apply_law(logits, greedy).exp(), torch.tensor([[1.0, 0, 0, 0]]))


def test_no_hidden_top_k(setup):
    law = SamplingLaw(max_new_tokens=1, temperature=50.0)
    _, draws = draw(setup, law, num_samples=5000, count=1)
    assert len(np.unique(draws.tokens)) > 50


def test_nothing_is_drawn_behind_the_end_token(setup):
    end = setup[2].eos_token_id
    _, draws = draw(setup, SamplingLaw(max_new_tokens=8, temperature=3.0), num_samples=500)
    drawn, ended = draws.tokens != NO_TOKEN, draws.tokens == end
    after = ended.cumsum(axis=1) - ended > 0
    assert after.any()
    assert not drawn[after].any()
    assert (draws.logprob[after] == 0).all()
    assert (drawn | after).all()
    assert (draws.truncated == ~ended.any(axis=1)).all()


def test_minus_logprob_estimates_the_sequence_entropy(setup):
    """The chain rule holds: summed token entropies and -log-probabilities have one mean."""
    _, draws = draw(setup, SamplingLaw(max_new_tokens=6), num_samples=4000, count=1)
    gap = -draws.logprob.sum(axis=1) - draws.entropy.sum(axis=1)
    assert abs(gap.mean()) < 4 * gap.std(ddof=1) / len(gap) ** 0.5


def test_rollout_is_reproducible_and_judged(setup):
    task, model, tokenizer = setup
    prompts = task.prompts("eval")[:5]
    law = SamplingLaw(max_new_tokens=task.max_new_tokens)
    engine = HFEngine.of(model, tokenizer, batch_rows=16)
    tables = [
        collect(engine, RolloutPlan(law, 8, 4, seed=s, rows_per_shard=16), task=task,
                prompts=prompts)
        for s in (1, 1, 2)
    ]  # fmt: skip
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(
        tables[0].columns.values(), tables[1].columns.values(), strict=True))  # fmt: skip
    assert not np.array_equal(tables[0].logprob, tables[2].logprob)
    counts = tables[0].counts()
    assert counts.group_size.tolist() == [4] * 10
    assert np.unique(counts.prompt_id).tolist() == sorted(p.id for p in prompts)
    assert counts.provenance.sampling["max_new_tokens"] == task.max_new_tokens


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_draws_do_not_depend_on_what_runs_beside_them(setup, temperature):
    """Prefixes that samples share run once; each sample is what it would be alone."""
    task, model, tokenizer = setup
    ids = encode(tokenizer, task.prompts("eval")[:6])
    law = SamplingLaw(max_new_tokens=7, temperature=temperature)
    draws = [
        HFEngine.of(model, tokenizer, batch_rows=rows).draw(ids, num_samples=20, law=law, seed=3)
        for rows in (20, 60, 120)
    ]
    for one in draws[1:]:
        assert np.array_equal(one.tokens, draws[0].tokens)
        np.testing.assert_allclose(one.logprob, draws[0].logprob, atol=2e-5)
        np.testing.assert_allclose(one.entropy, draws[0].entropy, atol=2e-5)
        assert np.array_equal(one.truncated, draws[0].truncated)
    fewer = HFEngine.of(model, tokenizer).draw(ids[:2], num_samples=5, law=law, seed=3)
    rows = np.concatenate([np.arange(5), 20 + np.arange(5)])
    width = fewer.tokens.shape[1]
    assert np.array_equal(fewer.tokens, draws[0].tokens[rows, :width])


def test_a_prefix_runs_once(setup):
    """The model sees as many rows as there are distinct beginnings, not as many as samples."""
    task, model, tokenizer = setup
    ids = encode(tokenizer, task.prompts("eval")[:3])
    rows = []
    hook = model.register_forward_hook(
        lambda module, args, kwargs, out: rows.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    try:
        law = SamplingLaw(max_new_tokens=4, temperature=0.3)
        draws = HFEngine.of(model, tokenizer, batch_rows=1500).draw(
            ids, num_samples=500, law=law, seed=0
        )
    finally:
        hook.remove()
    assert rows[0] == 3
    prompt = np.repeat(np.arange(3), 500)[:, None]
    for length, size in enumerate(rows[1:], start=1):
        begun = np.hstack([prompt, draws.tokens[:, :length]])
        begun = begun[draws.tokens[:, length] != NO_TOKEN]
        distinct = len(np.unique(begun, axis=0))
        assert distinct <= size <= distinct / 0.75


def test_inversion_never_picks_a_token_without_mass():
    logp = torch.log(torch.tensor([[0.0, 0.25, 0.0, 0.75, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0]]))
    node = torch.tensor([0, 1, 0, 0, 1, 0])
    chance = torch.tensor([0.0, 0.0, 0.2499, 0.2501, 1 - 2**-53, 1 - 2**-53], dtype=torch.float64)
    assert invert(logp, node, chance).tolist() == [1, 0, 1, 3, 0, 3]


def test_verdicts_go_to_their_own_prompts():
    task = make_task("countdown", seed=0)
    prompts = task.prompts("eval")[:4]
    answers = task.demonstrations(prompts, style="canonical", rng=np.random.default_rng(0))
    texts = list(itertools.chain.from_iterable((a, "1 + 1") for a in answers))
    assert judge(task, prompts, texts) == [True, False] * 4
    assert not any(judge(task, prompts, list(np.roll(answers, 1))))


def test_a_prompt_longer_than_the_context_is_refused(setup):
    with pytest.raises(ValueError, match="exceeds the model's context"):
        draw(setup, SamplingLaw(max_new_tokens=1000))


@pytest.mark.parametrize(
    "change", [{"max_new_tokens": 0}, {"temperature": -1.0}, {"top_p": 0.0}, {"top_k": -1}]
)
def test_bad_laws_are_refused(change):
    with pytest.raises(ValueError):
        dataclasses.replace(SamplingLaw(max_new_tokens=4), **change)


def table(reward, *, prompt_id, texts):
    n = len(reward)
    zeros = np.zeros(n)
    return Rollouts(
        prompt_id=np.array(prompt_id), group=np.zeros(n, np.int64), reward=np.array(reward, float),
        num_tokens=np.ones(n, np.int64), truncated=np.zeros(n, bool), entropy=zeros, logprob=zeros,
        text_hash=np.array([text_hash(t) for t in texts]),
    )  # fmt: skip


def test_missing_verdicts_are_no_observations():
    rows = table([1, np.nan, 0, np.nan], prompt_id=[0, 0, 0, 1], texts="abcd")
    counts = rows.counts()
    assert (counts.num_correct.tolist(), counts.group_size.tolist()) == ([1], [2])
    assert counts.provenance.num_missing == 2


def test_groups_can_be_cut_anew():
    rows = table([1, 0, 1, 1, 0], prompt_id=[3, 4, 3, 3, 4], texts="abcde")
    counts = rows.counts(2)
    assert counts.prompt_id.tolist() == [3, 4]
    assert counts.num_correct.tolist() == [2, 0]


def test_distinct_and_collisions_by_enumeration():
    rows = table([0] * 7, prompt_id=[0] * 4 + [1] * 3, texts="aabcxxx")
    pairs = [len(set(s)) for s in itertools.combinations("aabc", 2)]
    assert rows.distinct(2) == pytest.approx((np.mean(pairs) + 1) / 2)
    assert rows.collision_rate() == pytest.approx((1 / 6 + 1) / 2)
    with pytest.raises(
        ValueError, match=r"group_size must not exceed the samples of any prompt \(3\), got 4"
    ):
        rows.distinct(4)


def test_round_trip(tmp_path):
    rows = table([1, np.nan, 0], prompt_id=[0, 0, 1], texts="abc")
    rows.write(tmp_path / "r.parquet")
    again = Rollouts.read(tmp_path / "r.parquet")
    for name, column in rows.columns.items():
        np.testing.assert_array_equal(again.columns[name], column)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match="not a grpolab table"):
        Rollouts.read(tmp_path / "bad.parquet")


def test_weights_that_are_no_numbers_are_one_line(setup, tmp_path):
    _, _, tokenizer = setup
    model, _ = build_model(setup[0].vocabulary, TinyConfig(hidden=32, layers=1), seed=0)
    with torch.no_grad():
        model.lm_head.weight[3].fill_(torch.nan)
    save_model(model, tokenizer, tmp_path / "model")
    engine = HFEngine(tmp_path / "model")
    with pytest.raises(UserError, match="probabilities are no numbers"):
        engine.draw([[1, 5]], num_samples=2, law=SamplingLaw(max_new_tokens=2), seed=0)

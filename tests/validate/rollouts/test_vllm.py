"""vLLM gives the numbers that transformers gives; runs where vLLM is (docs/engines.md)."""

import json

import numpy as np
import pytest
from scipy import stats

from grpolab.validate.estimate.sampler import duplicate_test, position_test
from grpolab.validate.models import TinyConfig, build_model, save_model
from grpolab.validate.rollouts import RolloutPlan, SamplingLaw, prompt_seeds, stream
from grpolab.validate.rollouts.hf import HFEngine
from grpolab.validate.rollouts.law import score
from grpolab.validate.rollouts.prompts import encode
from grpolab.validate.rollouts.table import entropies
from grpolab.validate.rollouts.vllm import VLLMEngine
from grpolab.validate.study.tasks import make_task

pytest.importorskip("vllm")
torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("default")  # vLLM's own
LAWS = [
    SamplingLaw(max_new_tokens=8),
    SamplingLaw(max_new_tokens=8, temperature=0.6),
    SamplingLaw(max_new_tokens=8, top_k=3),
    SamplingLaw(max_new_tokens=8, top_p=0.8),
    SamplingLaw(max_new_tokens=8, temperature=1.5, top_k=20, top_p=0.9),
    SamplingLaw(max_new_tokens=8, temperature=0.0),
]


@pytest.fixture(scope="module")
def setup(tmp_path_factory):
    task = make_task("coins", seed=0)
    model, tokenizer = build_model(task.vocabulary, TinyConfig(hidden=64, layers=2), seed=0)
    with torch.no_grad():  # an untrained model is close to uniform; make it opinionated
        model.lm_head.weight.mul_(8)
    folder = tmp_path_factory.mktemp("model")
    save_model(model, tokenizer, folder)
    engine = VLLMEngine(folder)
    prompts = task.prompts("eval")[:6]
    return task, folder, model.eval(), engine, prompts, encode(engine.tokenizer, prompts)


def rows(draws):
    return [row[row >= 0].tolist() for row in draws.tokens]


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_log_probabilities_are_those_of_transformers(setup, law):
    _, _, model, engine, _, ids = setup
    draws = engine.draw(ids, num_samples=32, law=law, seed=0)
    again, _ = score(model, [x for x in ids for _ in range(32)], rows(draws), law=law)
    assert np.abs(again.numpy() - draws.logprob[:, : again.shape[1]]).max() < 3e-5
    assert draws.entropy is None


def test_first_tokens_by_chi_square(setup):
    """Against the softmax of transformers, with another temperature as the negative control."""
    _, _, model, engine, _, ids = setup
    law = SamplingLaw(max_new_tokens=1)
    draws = engine.draw(ids[:3], num_samples=4000, law=law, seed=1)
    for i, prompt in enumerate(ids[:3]):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([prompt])).logits[0, -1].double()
        seen = np.bincount(draws.tokens[4000 * i : 4000 * (i + 1), 0], minlength=len(logits))

        def p_value(temperature, logits=logits, seen=seen):
            expected = torch.softmax(logits / temperature, -1).numpy() * seen.sum()
            keep = expected >= 5
            cells = np.array([*seen[keep], seen[~keep].sum()])
            wanted = np.array([*expected[keep], expected[~keep].sum()])
            return stats.chisquare(cells, wanted * cells.sum() / wanted.sum()).pvalue

        assert p_value(1.0) > 1e-4
        assert p_value(1.3) < 1e-6


def test_probability_integral_transform_of_sequences(setup):
    """Tokens mapped through the conditional laws of transformers are independent uniforms."""
    _, _, model, engine, _, ids = setup
    law = SamplingLaw(max_new_tokens=5, temperature=0.8)
    draws = engine.draw(ids[:1], num_samples=1500, law=law, seed=2)
    rng = np.random.default_rng(0)
    found = rows(draws)
    full = torch.tensor([ids[0] + row + [0] * (5 - len(row)) for row in found])
    with torch.no_grad():
        logits = model(input_ids=full).logits[:, len(ids[0]) - 1 : -1]

    def uniforms(temperature):
        p = torch.softmax(logits.double() / temperature, -1).numpy()
        below = np.cumsum(p, axis=-1) - p
        return np.array(
            [
                below[r, t, token] + rng.random() * p[r, t, token]
                for r, row in enumerate(found)
                for t, token in enumerate(row)
            ]
        )

    assert stats.kstest(uniforms(0.8), "uniform").pvalue > 1e-4
    assert stats.kstest(uniforms(1.6), "uniform").pvalue < 1e-4
    other = HFEngine.of(model, engine.tokenizer).draw(ids[:1], num_samples=1500, law=law, seed=3)
    scores = [-d.logprob.sum(axis=1) for d in (draws, other)]
    assert stats.ks_2samp(*scores).pvalue > 1e-4


def test_entropies_agree(setup, tmp_path):
    """Surprisal under vLLM estimates the token entropy that transformers computes in full."""
    task, _, model, engine, prompts, _ = setup
    plan = RolloutPlan(SamplingLaw(max_new_tokens=6), num_samples=512, group_size=8, seed=0)
    ours = HFEngine.of(model, engine.tokenizer)
    tables = [
        stream(e, plan, task=task, prompts=prompts, out=tmp_path / name)
        for name, e in (("vllm", engine), ("hf", ours))
    ]
    left, right = (entropies(t) for t in tables)
    assert np.isnan(left.token_entropy)
    noise = np.std(tables[0].logprob + tables[1].entropy.mean() * tables[0].num_tokens)
    noise *= (2 / len(tables[0])) ** 0.5 / tables[0].num_tokens.mean()
    assert abs(left.token_surprisal - right.token_entropy) < 5 * noise
    assert right.token_entropy > 50 * noise


def test_one_seed_for_all_prompts_is_a_fault_that_the_tests_find(setup):
    """Fault and cure: the place of a sample predicts its reward when prompts share their noise."""
    _, _, _, engine, _, ids = setup
    law, n = SamplingLaw(max_new_tokens=1), 64
    many = [[*ids[i % len(ids)][:-1], 4 + i] for i in range(40)]  # prompts that all differ

    def p_value(seeds):
        draws = engine.draw_with(many, num_samples=n, law=law, seeds=seeds)
        right = (draws.tokens[:, 0] % 2 == 0).astype(float)  # any verifier of what was drawn
        return position_test(right.reshape(-1, n)).p_value

    assert p_value(np.full(len(many), 7)) < 1e-6
    assert p_value(prompt_seeds(7, np.arange(len(many)), num_samples=n)) > 1e-3


def test_neighbouring_seeds_share_all_but_one_sample(setup):
    _, _, _, engine, _, ids = setup
    law, n = SamplingLaw(max_new_tokens=8), 8

    def draw(seeds):
        same = [prompt for prompt in ids for _ in range(2)]  # each prompt in two requests
        draws = engine.draw_with(same, num_samples=n, law=law, seeds=np.asarray(seeds))
        keys = [tuple(r) for r in rows(draws)]
        texts = np.unique(np.array([hash(k) for k in keys]), return_inverse=True)[1]
        group = np.repeat(np.arange(len(ids)), 2 * n)
        shared = [len(set(keys[i : i + n]) & set(keys[i + n : i + 2 * n]))
                  for i in range(0, len(keys), 2 * n)]  # fmt: skip
        return shared, duplicate_test(texts, draws.logprob.sum(axis=1), group_id=group).p_value

    close = np.arange(2 * len(ids)) + 100 * np.repeat(np.arange(len(ids)), 2)
    shared, p_value = draw(close)
    assert min(shared) >= n - 1
    assert p_value < 1e-3
    _, p_value = draw(prompt_seeds(0, np.arange(2 * len(ids)), num_samples=n))
    assert p_value > 1e-3


def test_a_stopped_run_goes_on_to_the_same_files(setup, tmp_path):
    task, _, _, engine, prompts, _ = setup
    plan = RolloutPlan(SamplingLaw(max_new_tokens=8), num_samples=4, group_size=4, seed=5,
                       rows_per_shard=8)  # fmt: skip
    whole = stream(engine, plan, task=task, prompts=prompts, out=tmp_path / "a")
    stream(engine, plan, task=task, prompts=prompts, out=tmp_path / "b")
    (tmp_path / "b/samples/00001.parquet").unlink()
    (tmp_path / "b/verdicts/00001.parquet").unlink()
    again = stream(engine, plan, task=task, prompts=prompts, out=tmp_path / "b")
    for name, column in whole.columns.items():
        if name != "logprob":  # batches of another size round the last bits differently
            np.testing.assert_array_equal(again.columns[name], column)
    np.testing.assert_allclose(again.logprob, whole.logprob, atol=1e-4)


def test_lora_adapters_are_applied(setup, tmp_path):
    """An adapter on the attention gives the log-probabilities of the merged weights."""
    from safetensors.torch import save_file

    _, folder, model, _, _, ids = setup
    rng = torch.Generator().manual_seed(0)
    down = 0.3 * torch.randn(8, 64, generator=rng)
    up = 0.3 * torch.randn(64, 8, generator=rng)
    name = "base_model.model.model.layers.0.self_attn.q_proj"
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    save_file({f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up},
              adapter / "adapter_model.safetensors")  # fmt: skip
    (adapter / "adapter_config.json").write_text(json.dumps({
        "peft_type": "LORA", "r": 8, "lora_alpha": 8, "target_modules": ["q_proj"],
        "bias": "none", "task_type": "CAUSAL_LM", "base_model_name_or_path": str(folder),
    }))  # fmt: skip
    law = SamplingLaw(max_new_tokens=6)
    draws = VLLMEngine(folder, adapter=str(adapter)).draw(ids, num_samples=8, law=law, seed=0)
    asked = [x for x in ids for _ in range(8)]
    weight = model.model.layers[0].self_attn.q_proj.weight
    plain, _ = score(model, asked, rows(draws), law=law)
    with torch.no_grad():
        weight.add_(up @ down)
        merged, _ = score(model, asked, rows(draws), law=law)
        weight.sub_(up @ down)
    drawn = draws.logprob[:, : merged.shape[1]]
    assert np.abs(merged.numpy() - drawn).max() < 1e-4
    assert np.abs(plain.numpy() - drawn).max() > 1e-2

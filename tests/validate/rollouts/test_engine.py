"""The protocol and its transformers engine: prompts, seeds, end tokens, draws."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpolab.errors import UserError
from grpolab.validate.estimate.sampler import duplicate_test, position_test
from grpolab.validate.models import TinyConfig, build_model, save_model
from grpolab.validate.rollouts import SamplingLaw, prompt_seeds
from grpolab.validate.rollouts.engine import NO_TOKEN, end_tokens, texts
from grpolab.validate.rollouts.hf import HFEngine
from grpolab.validate.rollouts.law import score
from grpolab.validate.rollouts.make import EngineOptions, make_engine
from grpolab.validate.rollouts.plan import model_hash, state_hash
from grpolab.validate.rollouts.prompts import check_context, encode
from grpolab.validate.study.tasks import make_task
from grpolab.validate.tasks import Prompt

torch = pytest.importorskip("torch")
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] == 'user' and 'make' or 'with' }} {{ m['content'] }}"
    "{% endfor %}{% if add_generation_prompt %} done{% endif %}"
)


@pytest.fixture(scope="module")
def tiny():
    task = make_task("coins", seed=0)
    model, tokenizer = build_model(task.vocabulary, TinyConfig(hidden=32, layers=1), seed=0)
    with torch.no_grad():  # an untrained model is close to uniform; make it opinionated
        model.lm_head.weight.mul_(8)
    return task, model.eval(), tokenizer


@pytest.fixture(scope="module")
def saved(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    save_model(tiny[1], tiny[2], folder)
    return folder


@settings(deadline=None, derandomize=True)
@given(st.integers(0, 2**63), st.lists(st.integers(0, 10**6), unique=True), st.integers(1, 512))
def test_seed_ranges_of_prompts_never_overlap(seed, places, num_samples):
    seeds = np.sort(prompt_seeds(seed, places, num_samples=num_samples))
    assert np.all(np.diff(seeds) >= num_samples)
    assert np.all(seeds >= 0)


def test_request_seeds_of_runs_differ():
    ranges = [range(s, s + 64) for s in (int(prompt_seeds(i, 0, num_samples=64)) for i in range(9))]
    assert not any(set(a) & set(b) for a, b in itertools.combinations(ranges, 2))
    with pytest.raises(ValueError, match="num_samples must be >= 1"):
        prompt_seeds(0, [0], num_samples=0)


def test_prompts_as_text_and_as_conversation(tiny):
    _, _, tokenizer = tiny
    prompts = [Prompt(0, "make 9", ""), Prompt(1, "make 9 with 2", "")]
    plain = encode(tokenizer, prompts)
    assert tokenizer.convert_ids_to_tokens(plain[0]) == ["<bos>", "make", "9"]
    with pytest.raises(UserError, match="no chat template"):
        encode(tokenizer, prompts, chat=True)
    tokenizer.chat_template = TEMPLATE
    try:
        talk = encode(tokenizer, prompts, chat=True)
        assert encode(tokenizer, prompts) == plain
    finally:
        tokenizer.chat_template = None
    # the template writes the special tokens, here none
    assert tokenizer.convert_ids_to_tokens(talk[0]) == ["make", "make", "9", "done"]


def test_prompts_that_are_conversations_need_no_flag(tiny):
    _, _, tokenizer = tiny

    talk = Prompt(3, "9", "", (("system", "2"), ("user", "9")))
    with pytest.raises(UserError, match="no chat template"):
        encode(tokenizer, [talk])
    tokenizer.chat_template = TEMPLATE
    try:
        (ids,) = encode(tokenizer, [talk])
    finally:
        tokenizer.chat_template = None
    # this template puts no space between messages, so "2make" is one unknown word
    assert tokenizer.convert_ids_to_tokens(ids) == ["with", "<unk>", "9", "done"]


def test_empty_and_long_prompts_are_named(tiny):
    class NoStart:
        chat_template = None

        def __call__(self, texts, **_):
            return {"input_ids": [[1] * len(text.split()) for text in texts]}

    with pytest.raises(UserError, match=r"prompt 4 \(''\) is empty"):
        encode(NoStart(), [Prompt(3, "a", ""), Prompt(4, "", "")])
    prompts = [Prompt(0, "", ""), Prompt(1, "", "")]
    with pytest.raises(
        UserError, match=r"1 of 2 prompts do not fit the context of 8 .* prompt 1, "
    ):
        check_context([[1] * 4, [1] * 5], prompts, max_new_tokens=4, context=8)
    check_context([[1] * 4, [1] * 5], prompts, max_new_tokens=3, context=8)
    check_context([[1] * 400], prompts[:1], max_new_tokens=3, context=None)


def test_all_end_tokens_end_a_completion(tiny):
    _, model, tokenizer = tiny
    other = tokenizer.convert_tokens_to_ids("done")
    old = model.generation_config.eos_token_id
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, other]
    try:
        assert end_tokens(tokenizer, model.generation_config) == tuple(
            sorted((tokenizer.eos_token_id, other))
        )
        draws = HFEngine.of(model, tokenizer).draw(
            [[1, 5]], num_samples=800, law=SamplingLaw(6, temperature=3.0), seed=0
        )
    finally:
        model.generation_config.eos_token_id = old
    ended = [row[row != NO_TOKEN].tolist() for row in draws.tokens[~draws.truncated]]
    assert {row[-1] for row in ended} == {tokenizer.eos_token_id, other}
    assert all(other not in row[:-1] for row in ended)
    assert end_tokens(tokenizer, None) == (tokenizer.eos_token_id,)


def test_scores_of_a_full_pass_are_those_of_the_draw(tiny):
    task, model, tokenizer = tiny
    ids = encode(tokenizer, task.prompts("eval")[:4])
    for law in (SamplingLaw(8), SamplingLaw(8, temperature=0.7, top_k=9, top_p=0.9)):
        draws = HFEngine.of(model, tokenizer, batch_rows=8).draw(
            ids, num_samples=6, law=law, seed=0
        )
        rows = [row[row != NO_TOKEN].tolist() for row in draws.tokens]
        logprob, entropy = score(model, [x for x in ids for _ in range(6)], rows, law=law)
        np.testing.assert_allclose(logprob.numpy(), draws.logprob, atol=2e-5)
        np.testing.assert_allclose(entropy.numpy(), draws.entropy, atol=2e-5)


def test_special_tokens_and_padding_are_no_text(tiny):
    end = tiny[2].eos_token_id
    rows = np.array([[end, NO_TOKEN], [5, end], [5, 6]])
    assert texts(tiny[2], rows) == ["", "3", "3 4"]


def test_a_tokenizer_without_a_pad_token_is_served(tiny):
    task, model, tokenizer = tiny
    ids = encode(tokenizer, [task.prompts("eval")[0], Prompt(0, "make 9", "")])
    law = SamplingLaw(6)
    wanted = HFEngine.of(model, tokenizer).draw(ids, num_samples=5, law=law, seed=0)
    tokenizer.pad_token = None
    try:
        found = HFEngine.of(model, tokenizer).draw(ids, num_samples=5, law=law, seed=0)
    finally:
        tokenizer.pad_token = "<pad>"
    np.testing.assert_array_equal(found.tokens, wanted.tokens)


def test_bfloat16_is_near_float32(tiny, saved):
    task, model, tokenizer = tiny
    ids = encode(tokenizer, task.prompts("eval")[:4])
    law = SamplingLaw(6)
    engine = HFEngine(saved, dtype="bfloat16")
    draws = engine.draw(ids, num_samples=32, law=law, seed=0)
    assert engine.info.settings["dtype"] == "bfloat16"
    rows = [row[row != NO_TOKEN].tolist() for row in draws.tokens]
    exact, _ = score(model, [x for x in ids for _ in range(32)], rows, law=law)
    gap = np.abs(exact.numpy() - draws.logprob)
    assert 1e-5 < gap.max() < 0.5


def test_identity_follows_the_weights(tiny, saved):
    _, model, tokenizer = tiny
    first = HFEngine(saved).info
    assert first.model_hash.startswith("files:")
    assert first.tokenizer["pad_token_id"] == tokenizer.pad_token_id
    before, file_hash = state_hash(model), model_hash(saved)
    with torch.no_grad():
        model.lm_head.weight[0, 0] += 1
    assert state_hash(model) != before
    with torch.no_grad():
        model.lm_head.weight[0, 0] -= 1
    (saved / "config.json").write_text((saved / "config.json").read_text() + "\n")
    assert model_hash(saved) != file_hash


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("/no/such/folder", {}, "no such checkpoint folder"),
        (".", {}, "no config.json"),
        ("m", {"engine": "onnx"}, "unknown engine 'onnx'; known engines: hf, vllm"),
        ("m", {"dtype": "int8"}, "dtype must be one of float32"),
        ("m", {"adapter": "a"}, "a: not a LoRA adapter"),
        ("m", {"tensor_parallel": 2}, "needs --engine vllm"),
    ],
)
def test_bad_engines_are_one_line(model, options, message):
    with pytest.raises(UserError, match=message) as caught:
        _ = make_engine(model, EngineOptions(**options)).info
    assert "\n" not in str(caught.value)


def test_a_gpu_that_is_not_there_is_named(saved, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="torch sees no GPU"):
        _ = HFEngine(saved, device="cuda").context


def test_vllm_without_vllm_or_without_a_gpu(monkeypatch):
    from grpolab.validate.rollouts import vllm

    monkeypatch.setattr(vllm, "_version", lambda package: "1.0" if package == "vllm" else "")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="found no GPU"):
        vllm.check_platform()
    monkeypatch.setattr(vllm.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="vLLM, which is not installed"):
        vllm.VLLMEngine("m")


def test_shared_noise_is_found_and_spaced_seeds_cure_it(tiny):
    """One stream restarted for each prompt: its samples are no longer independent of the others."""
    _, model, tokenizer = tiny
    engine = HFEngine.of(model, tokenizer)
    ids, n = [[1, 4 + i] for i in range(40)], 48
    law = SamplingLaw(max_new_tokens=1)

    def p_value(places):
        drawn = [
            engine.draw([one], num_samples=n, law=law, seed=0, first=place).tokens[:, 0]
            for one, place in zip(ids, places, strict=True)
        ]
        right = np.stack(drawn) < 40  # a verifier under which equal noise gives equal verdicts
        return position_test(right.astype(float)).p_value

    assert p_value([0] * len(ids)) < 1e-6
    assert p_value(range(len(ids))) > 1e-3


def test_two_requests_of_one_prompt_with_one_seed_repeat_each_other(tiny):
    task, model, tokenizer = tiny
    engine = HFEngine.of(model, tokenizer)
    law = SamplingLaw(max_new_tokens=8)

    def p_value(places):
        tokens, logprob, group = [], [], []
        for g, one in enumerate(encode(tokenizer, task.prompts("eval")[:8])):
            for place in places:
                draws = engine.draw([one], num_samples=8, law=law, seed=g, first=place)
                tokens += [hash(tuple(row[row != NO_TOKEN].tolist())) for row in draws.tokens]
                logprob += draws.logprob.sum(axis=1).tolist()
                group += [g] * 8
        ids = np.unique(np.array(tokens), return_inverse=True)[1]
        return duplicate_test(ids, logprob, group_id=group).p_value

    assert p_value([0, 0]) < 1e-3
    assert p_value([0, 1]) > 1e-3


@pytest.mark.gpu
def test_a_gpu_gives_the_log_probabilities_of_the_cpu(tiny, saved):
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    task, model, tokenizer = tiny
    ids = encode(tokenizer, task.prompts("eval")[:4])
    draws = HFEngine(saved, device="cuda").draw(ids, num_samples=64, law=SamplingLaw(8), seed=0)
    rows = [row[row != NO_TOKEN].tolist() for row in draws.tokens]
    logprob, entropy = score(model, [x for x in ids for _ in range(64)], rows, law=SamplingLaw(8))
    np.testing.assert_allclose(logprob.numpy(), draws.logprob, atol=1e-3)
    np.testing.assert_allclose(entropy.numpy(), draws.entropy, atol=1e-3)


def test_auto_is_the_device_that_is_there(saved):
    from grpolab.validate.models.load import torch_device

    there = "cuda" if torch.cuda.is_available() else "cpu"
    assert (torch_device("auto"), torch_device("cpu")) == (there, "cpu")
    with pytest.raises(UserError, match=r"'cuda:99' was asked for, but torch sees"):
        torch_device("cuda:99")
    engine = HFEngine(saved, device="auto")
    assert engine.info.settings["device"] == there
    assert next(engine._loaded[0].parameters()).device.type == there

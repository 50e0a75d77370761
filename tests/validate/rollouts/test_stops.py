"""Stop texts, system messages and memory: what changes a draw, and what must not."""

import gc
from itertools import pairwise

import numpy as np
import pytest

from grpolab.errors import UserError
from grpolab.validate.models import TinyConfig, build_model, memory
from grpolab.validate.rollouts import SamplingLaw, hf
from grpolab.validate.rollouts.engine import NO_TOKEN, texts
from grpolab.validate.rollouts.hf import HFEngine
from grpolab.validate.rollouts.law import chunks, score
from grpolab.validate.rollouts.prompts import asked, encode
from grpolab.validate.study.tasks import make_task
from grpolab.validate.tasks import Prompt

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def tiny():
    task = make_task("coins", seed=0)
    model, tokenizer = build_model(task.vocabulary, TinyConfig(hidden=32, layers=1), seed=0)
    with torch.no_grad():
        model.lm_head.weight.mul_(20)
    return encode(tokenizer, task.prompts("eval")[:3]), model.eval(), tokenizer


@pytest.fixture(scope="module", autouse=True)
def nothing_old_to_look_through():
    """A batch that failed has its garbage collected: not among all that other files have loaded."""
    gc.freeze()


def draw(tiny, law, num_samples=20, **options):
    ids, model, tokenizer = tiny
    engine = HFEngine.of(model, tokenizer, **options)
    return engine.draw(ids, num_samples=num_samples, law=law, seed=0)


def test_a_stop_text_ends_a_completion_at_its_first_place(tiny):
    """Up to there the tokens are those that are drawn without one."""
    plain = draw(tiny, SamplingLaw(12))
    tokenizer = tiny[2]
    whole = texts(tokenizer, plain.tokens)
    words = [word for text in whole for word in text.split()]
    single = max(set(words), key=words.count)
    pairs = [a + " " + b for text in whole for a, b in pairwise(text.split())]
    for stop in ((single,), (pairs[0],), (single, pairs[3]), ("not there",)):
        law = SamplingLaw(12, stop=stop)
        found = draw(tiny, law)
        cut = texts(tokenizer, found.tokens, law)
        for row, text in enumerate(whole):
            held = [text.index(s) for s in stop if s in text]
            assert cut[row] == (text[: min(held)] if held else text)
            assert bool(found.truncated[row]) == (bool(plain.truncated[row]) and not held)
            size = int((found.tokens[row] != NO_TOKEN).sum())
            assert found.tokens[row, :size].tolist() == plain.tokens[row, :size].tolist()
            assert np.allclose(found.logprob[row, :size], plain.logprob[row, :size])
            if not held:
                assert size == int((plain.tokens[row] != NO_TOKEN).sum())
        assert any(s in text for s in stop for text in whole) == (stop != ("not there",))
    with pytest.raises(ValueError, match="no empty text"):
        SamplingLaw(4, stop=("",))


def test_a_law_without_stops_is_described_as_before():
    assert "stop" not in SamplingLaw(4).as_dict()
    assert SamplingLaw(4, stop=("a",)).as_dict()["stop"] == ["a"]


@pytest.mark.parametrize(
    ("fits", "error"),
    [(1, "cpu"), (2, "python"), (3, "cuda"), (5, "cuda"), (7, "cpu"), (16, "cuda")],
)
def test_a_batch_that_runs_out_of_memory_is_drawn_in_halves(tiny, monkeypatch, fits, error):
    """Whatever fits, and wherever a group is cut in two, the draws are the same."""
    law = SamplingLaw(6)
    plain, sizes = draw(tiny, law, num_samples=7), []
    whole = hf.sample_ids
    raised = {
        "cuda": torch.OutOfMemoryError("CUDA out of memory"),
        "cpu": RuntimeError(
            "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"
        ),
        "python": MemoryError(),
    }[error]

    def scarce(model, prompts, *, uniform, **options):
        rows = uniform.shape[0] * uniform.shape[1]
        if rows > fits:
            raise raised
        sizes.append(rows)
        return whole(model, prompts, uniform=uniform, **options)

    monkeypatch.setattr(hf, "sample_ids", scarce)
    heard = []
    ids, model, tokenizer = tiny
    found = HFEngine.of(model, tokenizer).draw(
        ids, num_samples=7, law=law, seed=0, watch=lambda *batch: heard.append(batch)
    )
    assert np.array_equal(found.tokens, plain.tokens)
    assert np.allclose(found.logprob, plain.logprob, atol=1e-5)
    assert max(sizes) <= fits
    assert sum(sizes) == 21
    assert sum(prompts for prompts, _ in heard) == 3
    assert sum(tokens for _, tokens in heard) == plain.num_tokens.sum()


def test_no_memory_for_one_and_other_errors_are_what_they_are(tiny, monkeypatch):
    def none(*args, **options):
        raise MemoryError

    monkeypatch.setattr(hf, "sample_ids", none)
    with pytest.raises(UserError, match="out of memory with one completion at once"):
        draw(tiny, SamplingLaw(4))

    def bug(*args, **options):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(hf, "sample_ids", bug)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        draw(tiny, SamplingLaw(4))


def test_rows_follow_free_memory_and_the_size_of_the_model(tiny, monkeypatch):
    _, model, _ = tiny
    config = model.config
    per_token = 2 * 4 * config.num_key_value_heads * config.head_dim * config.num_hidden_layers
    assert memory.bytes_per_token(model) == per_token
    assert memory.free_memory("cpu") > 0
    for free in (10**5, 10**6, 10**7, 10**12):
        monkeypatch.setattr(memory, "free_memory", lambda device, free=free: free)
        for length in (8, 64):
            rows = memory.rows_that_fit(model, length)
            needed = rows * length * per_token
            assert rows in (1, 1024) or 0.02 * free < needed < free
            assert rows <= 1024
    monkeypatch.setattr(memory, "free_memory", lambda device: None)
    assert memory.rows_that_fit(model, 8) == 1024


def test_an_address_space_limit_is_seen():
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_AS)
    assert memory._address_space_left() is None or before[0] != resource.RLIM_INFINITY
    try:
        resource.setrlimit(resource.RLIMIT_AS, (1 << 44, before[1]))
        left = memory._address_space_left()
        assert 0 < left < 1 << 44
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_the_law_in_pieces_is_the_law(tiny, monkeypatch):
    """A chunk of one row, of three and of all give the same draws."""
    from grpolab.validate.rollouts import law as laws

    law = SamplingLaw(6, temperature=0.8, top_k=7, top_p=0.9)
    plain = draw(tiny, law)
    rows = [row[row != NO_TOKEN].tolist() for row in plain.tokens]
    prompts = [one for one in tiny[0] for _ in range(20)]
    exact = score(tiny[1], prompts, rows, law=law)
    size = len(tiny[2])
    for rows_at_once in (1, 3):
        monkeypatch.setattr(laws, "_CHUNK", laws._PER_LOGIT * size * rows_at_once)
        assert [p.stop - p.start for p in chunks(4, size)] == (
            [1] * 4 if rows_at_once == 1 else [3, 1]
        )
        found = draw(tiny, law)
        assert np.array_equal(found.tokens, plain.tokens)
        assert np.allclose(found.logprob, plain.logprob, atol=1e-6)
        assert np.allclose(found.entropy, plain.entropy, atol=1e-6)
        again = score(tiny[1], prompts, rows, law=law)
        for one, other in zip(exact, again, strict=True):
            torch.testing.assert_close(one, other)


TEMPLATE = "{% for m in messages %}{{ m['role'] }} {{ m['content'] }} {% endfor %}"


def test_system_messages(tiny):
    prompts = [Prompt(0, "a", "all"), Prompt(1, "b", "all", (("user", "b"),))]
    found = asked(prompts, chat=True, system="be brief")
    assert [p.messages[0] for p in found] == [("system", "be brief")] * 2
    assert [p.messages[1][1] for p in found] == ["a", "b"]
    assert asked(prompts) == prompts
    with pytest.raises(UserError, match="--system needs conversations: give --chat"):
        asked(prompts[:1], system="x")
    with pytest.raises(UserError, match="prompt 0 has a system message of its own"):
        asked(found, system="x")
    tokenizer = build_model(["system", "user", "a", "be", "brief"], TinyConfig(32, 1), seed=0)[1]
    with pytest.raises(UserError, match="no chat template"):
        encode(tokenizer, found[:1])
    tokenizer.chat_template = TEMPLATE
    (ids,) = encode(tokenizer, found[:1])
    assert tokenizer.decode(ids) == "system be brief user a"
    tokenizer.chat_template = (
        "{% if messages[0]['role'] == 'system' %}{{ messages[1]['content'] }}{% endif %}"
    )
    with pytest.raises(UserError, match="leaves the system message out"):
        encode(tokenizer, found[:1])
    tokenizer.chat_template = "{{ raise_exception('System role not supported') }}"
    with pytest.raises(UserError, match=r"refuses a conversation .*System role not supported"):
        encode(tokenizer, found[:1])

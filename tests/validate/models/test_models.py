"""The tiny model is a standard one: what is saved, the Auto classes load."""

import json

import numpy as np
import pytest

from grpolab.errors import UserError
from grpolab.validate.models import TinyConfig, build_model, build_tokenizer, load_model, save_model
from grpolab.validate.study.tasks import TASKS, make_task

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("name", sorted(TASKS.keys() - {"spelling"}))
def test_saved_checkpoint_loads_with_auto_classes(tmp_path, name):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    task = make_task(name, seed=0)
    model, tokenizer = build_model(task.vocabulary, TinyConfig(), seed=1)
    save_model(model, tokenizer, tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    words = AutoTokenizer.from_pretrained(tmp_path)
    texts = [p.text for p in task.prompts("eval")[:20]]
    ids = tokenizer(texts, padding=True, return_tensors="pt")
    # AutoTokenizer swaps in another pre-tokenizer for some model types: the ids must be the same
    assert words(texts, padding=True)["input_ids"] == ids["input_ids"].tolist()
    with torch.no_grad():
        torch.testing.assert_close(again(**ids).logits, model.eval()(**ids).logits)
    answers = task.demonstrations(
        task.prompts("eval")[:20], style="random", rng=np.random.default_rng(0)
    )
    for answer in answers:
        coded = words(answer, add_special_tokens=False)["input_ids"]
        assert words.decode([*coded, words.eos_token_id], skip_special_tokens=True) == answer


def test_every_word_of_a_task_is_one_token():
    task = make_task("coins", seed=0)
    tokenizer = build_tokenizer(task.vocabulary)
    ids = [tokenizer(w, add_special_tokens=False)["input_ids"] for w in task.vocabulary]
    assert all(len(i) == 1 and i[0] != tokenizer.unk_token_id for i in ids)
    assert len({i[0] for i in ids}) == len(task.vocabulary)


def test_same_seed_same_weights():
    models = [
        build_model(["a", "b"], TinyConfig(hidden=32, layers=1), seed=s)[0] for s in (3, 3, 4)
    ]
    first, same, other = ([p.detach() for p in m.parameters()] for m in models)
    assert all(torch.equal(a, b) for a, b in zip(first, same, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_head_size_is_one_that_vllm_serves(tmp_path):
    model, tokenizer = build_model(["a"], TinyConfig(hidden=96, layers=1), seed=0)
    save_model(model, tokenizer, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["hidden_size"] // config["num_attention_heads"] == 32
    assert config["architectures"] == ["LlamaForCausalLM"]


@pytest.mark.parametrize(("hidden", "vocabulary"), [(40, ["a"]), (32, ["a", "a"]), (32, ["<eos>"])])
def test_bad_sizes_and_vocabularies_are_refused(hidden, vocabulary):
    with pytest.raises(ValueError, match=r"hidden|vocabulary"):
        build_model(vocabulary, TinyConfig(hidden=hidden), seed=0)


def test_broken_checkpoints_are_one_clear_error(tmp_path):
    with pytest.raises(UserError, match=r"no config\.json"):
        load_model(tmp_path)
    model, tokenizer = build_model(["a"], TinyConfig(hidden=32, layers=1), seed=0)
    save_model(model, tokenizer, tmp_path / "cut")
    weights = tmp_path / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(UserError, match="cannot load this checkpoint"):
        load_model(tmp_path / "cut")

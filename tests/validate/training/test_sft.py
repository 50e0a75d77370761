"""The SFT depth ladder: one trajectory, saved and measured on the way."""

import dataclasses
import json

import numpy as np
import pytest

from grpolab.errors import UserError
from grpolab.store import read_json
from grpolab.validate.models import TinyConfig, build_model, load_model, save_model
from grpolab.validate.study.tasks import make_task
from grpolab.validate.training.ending import BrokenRun
from grpolab.validate.training.loss import completion_logits, completion_logprobs, encode
from grpolab.validate.training.pear import pear_weights
from grpolab.validate.training.rundir import open_run
from grpolab.validate.training.sft import (
    KIND,
    LADDER,
    SFTConfig,
    _trainer,
    train_ladder,
)
from grpolab.validate.training.sft_data import example, held_out_nll, load_examples, split_off

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("default")  # those of the trainer
CONFIG = SFTConfig(depths=(1, 3), batch_size=16, lr=5e-3)


@pytest.fixture(scope="module")
def setup(tmp_path_factory):
    """A start, demonstrations as pairs, and the same as a file."""
    root = tmp_path_factory.mktemp("sft")
    task = make_task("coins", seed=0)
    prompts = task.prompts("sft")[:40]
    answers = task.demonstrations(prompts, style="random", rng=np.random.default_rng(0))
    pairs = [(prompt.text, answer) for prompt, answer in zip(prompts, answers, strict=True)]
    rows = [{"prompt": prompt, "completion": answer} for prompt, answer in pairs]
    (root / "demos.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    save_model(*build_model(task.vocabulary, TinyConfig(hidden=32, layers=1), seed=0), root / "m")
    return root, pairs


def climb(setup, out, config=CONFIG, *, depths=None, seed=0):
    root, _ = setup
    model, tokenizer = load_model(root / "m")
    examples = load_examples(root / "demos.jsonl", tokenizer, context=64)
    train, held = split_off(examples, 0.2, seed=0)
    if depths:
        config = dataclasses.replace(config, depths=depths)
    run = open_run(out, {"kind": KIND})
    return train_ladder(model, tokenizer, run=run, train=train, held_out=held, config=config,
                            seed=seed)  # fmt: skip


@pytest.fixture(scope="module")
def whole(setup, tmp_path_factory):
    """A ladder, and its folder."""
    out = tmp_path_factory.mktemp("whole")
    return climb(setup, out / "a"), out / "a"


def weights(folder):
    model, _ = load_model(folder)
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_a_ladder_is_one_trajectory_whose_depths_are_saved(setup, whole, tmp_path):
    ladder, folder = whole
    assert [row["depth"] for row in ladder["depths"]] == [0, 1, 3]
    assert [row["step"] for row in ladder["depths"]] == [0, 2, 6]
    assert [row["path"] for row in ladder["depths"]] == ["", "depth-1", "depth-3"]
    losses = [row["held_out_loss"] for row in ladder["depths"]]
    assert losses == sorted(losses, reverse=True)
    assert [line["step"] for line in ladder["curve"]] == list(range(1, 7))
    assert ladder == read_json(folder / LADDER)
    alone = climb(setup, tmp_path / "b", depths=(3,))
    assert torch.equal(weights(folder / "depth-3"), weights(tmp_path / "b" / "depth-3"))
    assert alone["depths"][-1]["held_out_loss"] == losses[-1]
    other = climb(setup, tmp_path / "c", depths=(3,), seed=1)
    assert other["depths"][-1]["held_out_loss"] != losses[-1]  # another order


def test_a_stopped_ladder_goes_on(setup, whole, tmp_path):
    ladder, folder = whole
    climb(setup, tmp_path / "b", depths=(1,))
    resumed = climb(setup, tmp_path / "b")
    assert resumed["depths"] == ladder["depths"]
    assert resumed["curve"] == ladder["curve"]
    assert torch.equal(weights(folder / "depth-3"), weights(tmp_path / "b" / "depth-3"))


def cross_entropy(model, tokenizer, pairs, smoothing=0.0):
    batch = encode(tokenizer, pairs)
    logits = completion_logits(model, batch)[:, :-1][batch.mask]
    return torch.nn.functional.cross_entropy(
        logits, batch.tokens[batch.mask], label_smoothing=smoothing
    )


def weighted(model, tokenizer, pairs):
    batch = encode(tokenizer, pairs)
    logp = completion_logprobs(model, batch)
    return -(pear_weights(logp, batch.mask) * logp).sum() / batch.mask.sum()


PLAIN_LOSSES = {
    "": cross_entropy,
    "smoothing": lambda model, tokenizer, pairs: cross_entropy(model, tokenizer, pairs, 0.2),
    "pear": weighted,
}


def gradient(setup, out, config):
    """Gradient of the ladder's training loss on one batch of 8."""
    root, _ = setup
    model, tokenizer = load_model(root / "m")
    examples = load_examples(root / "demos.jsonl", tokenizer, context=64)[:8]
    trainer = _trainer(model, tokenizer, run=open_run(out, {"kind": KIND}),
                       train=examples, config=config, seed=0, device="cpu", dtype="float32",
                       batch_rows=0)  # fmt: skip
    width = max(len(row.input_ids) for row in examples)
    rows = [row.input_ids + [0] * (width - len(row.input_ids)) for row in examples]
    labels = [row.labels + [-100] * (width - len(row.labels)) for row in examples]
    seen = [[1] * len(r.input_ids) + [0] * (width - len(r.input_ids)) for r in examples]
    inputs = {"input_ids": torch.tensor(rows), "attention_mask": torch.tensor(seen),
              "labels": torch.tensor(labels)}  # fmt: skip
    trainer.model.train()
    number = (inputs["labels"] != -100).sum()
    trainer.compute_loss(trainer.model, inputs, num_items_in_batch=number).backward()
    return torch.cat([p.grad.flatten() for p in trainer.model.parameters()])


def far(ours, theirs):
    return float((ours - theirs).abs().max() / ours.abs().max())


@pytest.mark.parametrize("loss", PLAIN_LOSSES)
def test_loss_and_gradient_are_those_of_the_plain_loop(setup, loss, tmp_path):
    """Mean over completion tokens on one batch; every other loss differs."""
    root, pairs = setup
    changes = {"smoothing": {"label_smoothing": 0.2}, "pear": {"pear": "token"}}
    config = dataclasses.replace(CONFIG, **changes.get(loss, {}))
    theirs = gradient(setup, tmp_path / "r", config)
    for name, plain in PLAIN_LOSSES.items():
        again, tokenizer = load_model(root / "m")
        plain(again, tokenizer, pairs[:8]).backward()
        ours = torch.cat([p.grad.flatten() for p in again.parameters()])
        assert (far(ours, theirs) < 1e-5) == (name == loss), (name, far(ours, theirs))


def test_data_that_the_model_wrote_itself_need_no_weights(setup, tmp_path):
    """With the model as the writer every ratio is 1: a whole sequence is weighted by 1."""
    itself = dataclasses.replace(CONFIG, pear="sequence", behaviour=str(setup[0] / "m"))
    plain = gradient(setup, tmp_path / "a", CONFIG)
    assert far(plain, gradient(setup, tmp_path / "b", itself)) < 1e-5
    by_rule = dataclasses.replace(CONFIG, pear="sequence")
    assert far(plain, gradient(setup, tmp_path / "c", by_rule)) > 0.1


def test_held_out_loss_is_the_negative_log_likelihood(setup):
    root, pairs = setup
    model, tokenizer = load_model(root / "m")
    examples = load_examples(root / "demos.jsonl", tokenizer, context=64)
    found = held_out_nll(model, examples, pad=tokenizer.pad_token_id, rows_per_batch=7)
    batch = encode(tokenizer, pairs)
    total = -float(completion_logprobs(model, batch).detach().sum())
    assert found.per_answer == pytest.approx(total / len(pairs), rel=1e-5)
    assert found.per_token == pytest.approx(total / float(batch.mask.sum()), rel=1e-5)
    tokens = int(encode(tokenizer, pairs).mask.sum())
    assert found.per_token == pytest.approx(found.per_answer * len(pairs) / tokens, rel=1e-6)


def test_an_adapter_ladder_saves_adapters(setup, tmp_path):
    pytest.importorskip("peft")
    ladder = climb(setup, tmp_path / "a", dataclasses.replace(CONFIG, lora_rank=2), depths=(2,))
    assert (tmp_path / "a" / "depth-2" / "adapter_config.json").is_file()
    assert ladder["depths"][1]["held_out_loss"] < ladder["depths"][0]["held_out_loss"]


def test_a_loss_that_is_no_number_stops_the_ladder(setup, tmp_path):
    root, _ = setup
    model, tokenizer = load_model(root / "m")
    with torch.no_grad():
        model.lm_head.weight.fill_(torch.nan)
    examples = load_examples(root / "demos.jsonl", tokenizer, context=64)
    run = open_run(tmp_path / "r", {"kind": KIND})
    with pytest.raises(BrokenRun, match="step 1: loss is nan"):
        train_ladder(model, tokenizer, run=run, train=examples, held_out=[], config=CONFIG,
                         seed=0)  # fmt: skip
    assert not list(run.path.glob("depth-*"))


TEMPLATE = (
    "{% for m in messages %}{{ m['role'] + ' ' + m['content'] + ' <eos> ' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant ' }}{% endif %}"
)


def test_conversations_are_trained_on_their_last_answer():
    words = ("user", "assistant", "hi", "you", "well")
    _, tokenizer = build_model(words, TinyConfig(hidden=32, layers=1), seed=0)
    with pytest.raises(ValueError, match="no chat template"):
        example({"messages": [{"role": "user", "content": "hi"}] * 2}, tokenizer)
    tokenizer.chat_template = TEMPLATE
    talk = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "you well"}]
    made = example({"messages": talk}, tokenizer)
    assert tokenizer.decode(made.input_ids) == "user hi <eos> assistant you well <eos>"
    assert tokenizer.decode([i for i in made.labels if i >= 0]) == "you well <eos>"
    assert example({"prompt": talk[:1], "completion": talk[1:]}, tokenizer) == made
    with pytest.raises(ValueError, match="must end with a message of the assistant"):
        example({"messages": [*talk, talk[0]]}, tokenizer)
    tokenizer.chat_template = "{{ messages | length }}" + TEMPLATE
    with pytest.raises(ValueError, match="writes a prompt differently"):
        example({"messages": talk}, tokenizer)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "a"}, "columns prompt and completion, or messages"),
        ({"prompt": "a", "completion": []}, "both be text or both"),
        ({"prompt": "1", "completion": "1 " * 80}, "the model's context is 64"),
    ],
)
def test_a_bad_row_is_named(setup, row, message, tmp_path):
    root, _ = setup
    _, tokenizer = load_model(root / "m")
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps({"prompt": "1", "completion": "2"}) + "\n" + json.dumps(row))
    with pytest.raises(UserError, match=message) as caught:
        load_examples(path, tokenizer, context=64)
    assert "row 1" in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [{"depths": ()}, {"depths": (1, 1)}, {"depths": (0,)}, {"unit": "days"}, {"batch_size": 0},
     {"label_smoothing": 1.0}, {"lr": -1.0}, {"pear": "word"}, {"behaviour": "x"},
     {"label_smoothing": 0.1, "pear": "token"}],
)  # fmt: skip
def test_bad_ladders_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        dataclasses.replace(CONFIG, **change)

"""A GGUF file becomes a checkpoint with the same logits; anything else is refused in a line."""

import hashlib
import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from grpolab.cli.model import model as command
from grpolab.errors import UserError
from grpolab.validate.models import gguf as ours
from grpolab.validate.models import load_model

torch = pytest.importorskip("torch")
gguf = pytest.importorskip("gguf")
HIDDEN, LAYERS, HEADS, WIDE = 32, 2, 2, 48


def byte_names():
    """The 256 tokens of a byte-level tokenizer, as GPT-2 writes them."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in plain]
    return {b: chr(b) for b in plain} | {b: chr(256 + i) for i, b in enumerate(rest)}


def write(path, *, architecture="llama"):
    """A tiny model with random weights, written by llama.cpp's own library."""
    rng = np.random.default_rng(0)
    tokens = [byte_names()[b] for b in range(256)] + ["<s>", "</s>", "12"]
    out = gguf.GGUFWriter(path, architecture)
    out.add_context_length(64)
    out.add_embedding_length(HIDDEN)
    out.add_block_count(LAYERS)
    out.add_feed_forward_length(WIDE)
    out.add_head_count(HEADS)
    out.add_head_count_kv(HEADS)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_rope_dimension_count(HIDDEN // HEADS)
    out.add_vocab_size(len(tokens))
    out.add_tokenizer_model("gpt2")
    out.add_token_list(tokens)
    out.add_token_types([1] * 256 + [3, 3, 1])
    out.add_token_merges(["1 2"])
    out.add_bos_token_id(256)
    out.add_eos_token_id(257)

    def weight(name, *shape):
        out.add_tensor(name, rng.normal(0, 0.3, shape).astype(np.float32))

    weight("token_embd.weight", len(tokens), HIDDEN)
    weight("output.weight", len(tokens), HIDDEN)
    weight("output_norm.weight", HIDDEN)
    for i in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            weight(f"blk.{i}.{name}.weight", HIDDEN, HIDDEN)
        weight(f"blk.{i}.ffn_gate.weight", WIDE, HIDDEN)
        weight(f"blk.{i}.ffn_up.weight", WIDE, HIDDEN)
        weight(f"blk.{i}.ffn_down.weight", HIDDEN, WIDE)
        weight(f"blk.{i}.attn_norm.weight", HIDDEN)
        weight(f"blk.{i}.ffn_norm.weight", HIDDEN)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def test_a_converted_file_is_a_checkpoint_that_can_be_trained(file, tmp_path):
    made = ours.convert(file, tmp_path / "model")
    assert made.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert made.architecture == "LlamaForCausalLM"
    model, tokenizer = load_model(tmp_path / "model")
    assert tokenizer("12 3").input_ids == [258, 32, 51]
    assert tokenizer.padding_side == "left"
    assert all(p.dtype == torch.float32 and p.requires_grad for p in model.parameters())
    stored = json.loads((tmp_path / "model" / "config.json").read_text())
    assert not {"quantization_config", "_name_or_path"} & set(stored)
    assert json.loads((tmp_path / "model" / ours.ORIGIN).read_text())["source"] == "tiny.gguf"


def test_the_command_says_what_it_made(file, tmp_path):
    app = typer.Typer()
    app.command()(command)
    told = CliRunner().invoke(app, [str(file), str(tmp_path / "model"), "--json"])
    assert told.exit_code == 0, told.output
    found = json.loads(told.stdout)
    assert found["origin"]["num_parameters"] == sum(
        p.numel() for p in load_model(tmp_path / "model")[0].parameters()
    )
    with pytest.raises(UserError, match="is there already"):
        ours.convert(file, tmp_path / "model")


def test_what_is_no_model_is_refused_and_leaves_nothing(file, tmp_path):
    text, cut = tmp_path / "a.txt", tmp_path / "cut.gguf"
    text.write_text("GGU is not enough")
    cut.write_bytes(file.read_bytes()[:5000])
    other = write(tmp_path / "other.gguf", architecture="nonesuch")
    for path, words in (
        (text, "not a GGUF file"),
        (cut, "cannot read it"),
        (other, "cannot read it"),
        (tmp_path / "none.gguf", "No such file.*smollm2"),
        (tmp_path, "Is a directory"),
    ):
        with pytest.raises(UserError, match=words) as err:
            ours.convert(path, tmp_path / "out")
        assert "\n" not in str(err.value)
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".*"))


def test_a_named_model_must_be_the_file_that_it_is_known_to_be(file, tmp_path, monkeypatch):
    monkeypatch.setattr(ours.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install"):
        ours.convert("smollm2", tmp_path / "out")
    monkeypatch.undo()
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    for known, words in (
        (ours.Wheel("m", file.name, "0" * 64, "12", "x"), "another or damaged file"),
        (ours.Wheel("m", file.name, digest, "12", "no such answer"), "reads the file differently"),
    ):
        monkeypatch.setitem(ours.WHEELS, "known", known)
        monkeypatch.setattr(ours, "_wheel_file", lambda name, wheel: file)
        with pytest.raises(UserError, match=words):
            ours.convert("known", tmp_path / "out")

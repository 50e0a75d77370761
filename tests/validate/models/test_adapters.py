"""A LoRA adapter is taken wherever a model is, and is one model with its base."""

import json
import shutil

import pytest

from grpolab.errors import UserError
from grpolab.validate.models import TinyConfig, build_model, load_model, save_model
from grpolab.validate.models.form import trained_in_chats
from grpolab.validate.models.load import saved_dtype
from grpolab.validate.rollouts.hf import HFEngine
from grpolab.validate.rollouts.plan import model_hash

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
WORDS = ["a", "b", "c", "d"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A base, an adapter on it, and the logits of both together."""
    root = tmp_path_factory.mktemp("models")
    model, tokenizer = build_model(WORDS, TinyConfig(hidden=32, layers=1), seed=0)
    save_model(model, tokenizer, root / "base")
    base, _ = load_model(root / "base")
    config = peft.LoraConfig(r=2, lora_alpha=4, target_modules="all-linear", task_type="CAUSAL_LM")
    both = peft.get_peft_model(base, config)
    with torch.no_grad():
        for name, weight in both.named_parameters():
            if "lora_B" in name:
                weight.normal_(generator=torch.Generator().manual_seed(1))
    both.save_pretrained(root / "adapter")
    tokenizer.save_pretrained(root / "adapter")
    ids = torch.tensor([[1, 4, 5]])
    return root, ids, both.eval()(ids).logits.detach()


def test_the_folder_of_an_adapter_is_a_model(folders):
    root, ids, logits = folders
    for loaded in (
        load_model(root / "adapter"), load_model(root / "base", adapter=root / "adapter"),
        HFEngine(root / "adapter")._loaded,
        HFEngine(root / "base", adapter=str(root / "adapter"))._loaded,
    ):  # fmt: skip
        torch.testing.assert_close(loaded[0](ids).logits, logits, atol=1e-5, rtol=1e-5)
        assert all(p.requires_grad for p in loaded[0].parameters())
    assert not torch.allclose(load_model(root / "base")[0](ids).logits, logits, atol=1e-3)


def test_its_hash_is_that_of_both(folders, tmp_path):
    root = folders[0]
    known = model_hash(root / "adapter")
    assert known != model_hash(root / "base")
    assert known == model_hash(root / "adapter")
    other = tmp_path / "base"
    model, tokenizer = build_model(WORDS, TinyConfig(hidden=32, layers=1), seed=1)
    save_model(model, tokenizer, other)
    moved = tmp_path / "adapter"
    shutil.copytree(root / "adapter", moved)
    config = json.loads((moved / "adapter_config.json").read_text())
    (moved / "adapter_config.json").write_text(
        json.dumps({**config, "base_model_name_or_path": str(other)})
    )
    assert model_hash(moved) != known
    plain = HFEngine(root / "base").info
    with_one = HFEngine(root / "base", adapter=str(root / "adapter")).info
    assert plain.settings != with_one.settings


def test_what_is_wrong_with_an_adapter_is_one_line(folders, tmp_path):
    root = folders[0]
    lost = tmp_path / "lost"
    shutil.copytree(root / "adapter", lost)
    config = json.loads((lost / "adapter_config.json").read_text())
    (lost / "adapter_config.json").write_text(
        json.dumps({**config, "base_model_name_or_path": "/not/here/any/more"})
    )
    with pytest.raises(UserError, match=r"trained on /not/here/any/more, which is not here"):
        load_model(lost)
    torch.testing.assert_close(
        load_model(root / "base", adapter=lost)[0](folders[1]).logits, folders[2]
    )
    model, tokenizer = build_model(WORDS, TinyConfig(hidden=64, layers=2), seed=1)
    save_model(model, tokenizer, tmp_path / "wide")
    with pytest.raises(UserError, match="adapter: cannot be merged") as caught:
        load_model(tmp_path / "wide", adapter=root / "adapter")
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="not a LoRA adapter"):
        load_model(root / "base", adapter=root / "base")


def test_auto_is_the_type_of_the_saved_weights(folders, tmp_path):
    root = folders[0]
    model, tokenizer = load_model(root / "base")
    save_model(model.to(torch.bfloat16), tokenizer, tmp_path / "half")
    assert saved_dtype(tmp_path / "half", "auto") == "bfloat16"
    assert saved_dtype(root / "adapter", "auto") == saved_dtype(root / "base", "auto") == "float32"
    assert saved_dtype(tmp_path / "half", "float32") == "float32"
    assert load_model(tmp_path / "half", dtype="auto")[0].dtype == torch.bfloat16
    assert HFEngine(tmp_path / "half", dtype="auto").info.settings["dtype"] == "bfloat16"


def test_a_gguf_file_is_no_checkpoint_but_can_become_one(tmp_path):
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    with pytest.raises(UserError, match=r"grpolab model .*m\.gguf OUT"):
        load_model(tmp_path / "m.gguf")


@pytest.mark.parametrize(
    ("manifest", "inside", "chats"),
    [
        ({"kind": "grpolab-sft", "conversations": True}, "depth-1", True),
        ({"kind": "grpolab-sft"}, "depth-1", False),
        ({"kind": "grpolab-train", "task": {"chat": True}}, "final", True),
        ({"kind": "grpolab-train", "task": {"chat": False}}, "checkpoints/step-3", False),
        ({"kind": "other"}, "final", None),
        ({}, "final", None),
    ],
)
def test_a_run_says_how_its_models_were_asked(tmp_path, manifest, inside, chats):
    (tmp_path / inside).mkdir(parents=True)
    assert trained_in_chats(tmp_path / inside) is None
    (tmp_path / "run.json").write_text(json.dumps(manifest))
    assert trained_in_chats(tmp_path / inside) is chats
    assert trained_in_chats("owner/name") is None

"""Load and save checkpoints: a folder or a Hugging Face id, by the Auto classes."""

from __future__ import annotations

import difflib
import logging
import os
import warnings
from pathlib import Path
from typing import Any

from grpolab.errors import UserError, first_line, require


def quiet_transformers() -> None:
    """No weight-loading bars or advice on stderr: the commands have their own progress."""
    from transformers.utils import logging as theirs

    theirs.set_verbosity_error()
    theirs.disable_progress_bar()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its retries: the error says it


def torch_device(name: str) -> str:
    """The device that torch is to use: cpu, cuda or cuda:N; ``auto`` is cuda if there is a GPU.

    UserError where torch does not see the device.
    """
    require("torch", extra="train")
    if name == "cpu":
        return name
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"device {name!r} was asked for, but torch sees no GPU: use --device cpu")
    number = name.removeprefix("cuda:")
    if number.isdigit() and int(number) >= torch.cuda.device_count():
        raise UserError(
            f"device {name!r} was asked for, but torch sees {torch.cuda.device_count()} GPU(s)"
        )
    return name


def load_model(
    path: str | Path, *, device: str = "cpu", dtype: str = "float32", adapter: str | Path = ""
) -> tuple[Any, Any]:
    """Load (model in eval mode, tokenizer padding on the left); UserError when it cannot be.

    ``device`` as in `torch_device`. ``path`` may be the folder of a LoRA adapter, which is merged
    into the model that it was trained on; ``adapter`` is one to merge into ``path``. A tokenizer
    without a pad token gets its end token for one, as is customary.
    """
    place = torch_device(device)
    require("torch", extra="train")
    require("transformers", extra="train")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    quiet_transformers()
    name = os.fspath(path)
    check_checkpoint(name)
    if is_adapter(path):
        name, adapter = base_of(path), path
        check_checkpoint(name)
    try:
        tokenizer = AutoTokenizer.from_pretrained(_tokenizer_of(path), padding_side="left")
        kind = getattr(torch, saved_dtype(name, dtype))
        model = AutoModelForCausalLM.from_pretrained(name, dtype=kind)
    except UserError:
        raise
    except Exception as err:  # the loaders raise anything, from OSError to safetensors' own
        raise missing(name, err) from err
    if adapter:
        model = _merged(model, adapter)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model.to(place).eval(), _with_end(tokenizer, name)


def saved_dtype(name: str | Path, dtype: str) -> str:
    """The type of weights that is meant: for "auto" that of the checkpoint, float32 if unknown."""
    if dtype != "auto":
        return dtype
    from transformers import AutoConfig

    name = base_of(name) if is_adapter(name) else os.fspath(name)
    try:
        found = AutoConfig.from_pretrained(name).get_text_config().dtype
    except Exception as err:  # as the loaders of weights
        raise missing(name, err) from err
    return str(found or "float32").removeprefix("torch.")


_ADAPTER = "adapter_config.json"


def is_adapter(path: str | Path) -> bool:
    """Whether a folder holds a LoRA adapter and no model."""
    folder = Path(path)
    return (folder / _ADAPTER).is_file() and not (folder / "config.json").is_file()


def check_adapter(path: str | Path) -> None:
    """UserError for what is no folder of a LoRA adapter."""
    if not (Path(path) / _ADAPTER).is_file():
        raise UserError(f"{os.fspath(path)}: not a LoRA adapter (no {_ADAPTER})")


def base_of(path: str | Path) -> str:
    """The model that an adapter was trained on; UserError where its folder does not say."""
    from grpolab.store import read_json

    check_adapter(path)
    place = Path(path) / _ADAPTER
    found = read_json(place)
    base = found.get("base_model_name_or_path") if isinstance(found, dict) else None
    if not base:
        raise UserError(f"{place}: does not name the model that the adapter was trained on")
    if not Path(base).exists() and (base.startswith((".", "/")) or len(Path(base).parts) > 2):
        raise UserError(
            f"{place}: the adapter was trained on {base}, which is not here: merge it by"
            f" grpolab model merge {os.fspath(path)} OUT --base MODEL"
        )
    return str(base)


def _tokenizer_of(path: str | Path) -> str:
    """Where the tokenizer is: an adapter's folder need not have one."""
    if is_adapter(path) and not any(Path(path).glob("tokenizer*")):
        return base_of(path)
    return os.fspath(path)


def _merged(model: Any, adapter: str | Path) -> Any:
    """The model with the adapter added to its weights; UserError where they do not fit."""
    require("peft", extra="train")
    import peft

    folder = Path(adapter)
    check_adapter(folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it warns of is looked at below
            both = peft.PeftModel.from_pretrained(model, os.fspath(folder))
            lost = peft.load_peft_weights(os.fspath(folder)).keys() ^ (
                peft.get_peft_model_state_dict(both).keys()
            )
            found = both.merge_and_unload()
    except Exception as err:  # shapes, unknown kinds, broken files
        raise UserError(f"{adapter}: cannot be merged into this model ({first_line(err)})") from err
    if lost:
        raise UserError(
            f"{adapter}: its weights are not for the layers of this model, {min(lost)} for one"
        )
    return found.requires_grad_(True)  # peft froze the base


def check_checkpoint(name: str) -> None:
    """UserError for what can only be a folder (a hub id has one slash) and is no checkpoint."""
    path = Path(name)
    if path.suffix == ".gguf" and path.is_file():
        raise UserError(f"{name}: a GGUF file; make a checkpoint of it: grpolab model {name} OUT")
    if not path.exists() and (name.startswith((".", "/")) or len(path.parts) > 2):
        raise UserError(f"{name}: no such checkpoint folder")
    if path.exists() and not (path / "config.json").is_file() and not is_adapter(path):
        raise UserError(f"{name}: not a checkpoint (no config.json); give a folder or a hub id")


def missing(name: str, err: Exception) -> UserError:
    """What to say of a checkpoint that cannot be loaded; a near name may have been meant."""
    path = Path(name)
    if path.exists() or not path.parent.is_dir():
        return UserError(f"{name}: cannot load this checkpoint ({first_line(err)})")
    near = difflib.get_close_matches(path.name, [p.name for p in path.parent.iterdir()], n=1)
    hint = f"; {path.parent / near[0]} is here" if near else ""
    return UserError(f"{name}: no such folder{hint}, and not found on the hub ({first_line(err)})")


def load_tokenizer(name: str) -> Any:
    """Load the tokenizer of a checkpoint without its weights; UserError when there is none."""
    require("transformers", extra="train")
    from transformers import AutoTokenizer

    quiet_transformers()
    try:
        tokenizer = AutoTokenizer.from_pretrained(_tokenizer_of(name), padding_side="left")
    except UserError:
        raise
    except Exception as err:  # the loaders raise anything
        raise UserError(f"{name}: cannot load a tokenizer ({first_line(err)})") from err
    return _with_end(tokenizer, name)


def _with_end(tokenizer: Any, name: str) -> Any:
    if tokenizer.eos_token_id is None:
        raise UserError(f"{name}: the tokenizer has no end token, so no completion could end")
    return tokenizer


def save_model(model: Any, tokenizer: Any, path: Path) -> None:
    """Write a checkpoint that the Auto classes load."""
    quiet_transformers()
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)

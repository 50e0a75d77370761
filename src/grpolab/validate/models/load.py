"""Load and save checkpoints: a folder or a Hugging Face id, by the Auto classes."""

from __future__ import annotations

import difflib
import logging
import os
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


def load_model(path: str | Path, *, device: str = "cpu", dtype: str = "float32") -> tuple[Any, Any]:
    """Load (model in eval mode, tokenizer padding on the left); UserError when it cannot be.

    ``device`` as in `torch_device`. A tokenizer without a pad token gets its end token for one, as
    is customary.
    """
    place = torch_device(device)
    require("torch", extra="train")
    require("transformers", extra="train")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    quiet_transformers()
    name = os.fspath(path)
    check_checkpoint(name)
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, padding_side="left")
        model = AutoModelForCausalLM.from_pretrained(name, dtype=getattr(torch, dtype))
    except Exception as err:  # the loaders raise anything, from OSError to safetensors' own
        raise missing(name, err) from err
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model.to(place).eval(), _with_end(tokenizer, name)


def check_checkpoint(name: str) -> None:
    """UserError for what can only be a folder (a hub id has one slash) and is no checkpoint."""
    path = Path(name)
    if not path.exists() and (name.startswith((".", "/")) or len(path.parts) > 2):
        raise UserError(f"{name}: no such checkpoint folder")
    if path.exists() and not (path / "config.json").is_file():
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
        tokenizer = AutoTokenizer.from_pretrained(name, padding_side="left")
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

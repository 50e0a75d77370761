"""Load and save checkpoints: a folder or a Hugging Face id, by the Auto classes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from grpolab.errors import UserError, require


def quiet_transformers() -> None:
    """No weight-loading bars or advice on stderr: the commands have their own progress."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def load_model(path: str | Path, *, device: str = "cpu", dtype: str = "float32") -> tuple[Any, Any]:
    """Load (model in eval mode, tokenizer padding on the left); UserError when it cannot be.

    A tokenizer without a pad token gets its end token for one, as is customary.
    """
    require("torch", extra="train")
    require("transformers", extra="train")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    quiet_transformers()
    name = os.fspath(path)
    looks_local = name.startswith((".", "/")) or Path(name).exists()
    if looks_local and not (Path(name) / "config.json").is_file():
        raise UserError(f"{name}: not a checkpoint (no config.json); give a folder or a hub id")
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, padding_side="left")
        model = AutoModelForCausalLM.from_pretrained(name, dtype=getattr(torch, dtype))
    except Exception as err:  # the loaders raise anything, from OSError to safetensors' own
        raise UserError(f"{name}: cannot load this checkpoint ({_first_line(err)})") from err
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model.to(device).eval(), _with_end(tokenizer, name)


def load_tokenizer(name: str) -> Any:
    """Load the tokenizer of a checkpoint without its weights; UserError when there is none."""
    require("transformers", extra="train")
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(name, padding_side="left")
    except Exception as err:  # the loaders raise anything
        raise UserError(f"{name}: cannot load a tokenizer ({_first_line(err)})") from err
    return _with_end(tokenizer, name)


def _first_line(err: Exception) -> str:
    """Say what a loader complained of, in one line."""
    text = str(err).strip()
    return text.splitlines()[0] if text else type(err).__name__


def _with_end(tokenizer: Any, name: str) -> Any:
    if tokenizer.eos_token_id is None:
        raise UserError(f"{name}: the tokenizer has no end token, so no completion could end")
    return tokenizer


def save_model(model: Any, tokenizer: Any, path: Path) -> None:
    """Write a checkpoint that the Auto classes load."""
    quiet_transformers()
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)

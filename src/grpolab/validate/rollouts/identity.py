"""Which model was it: hashes of weights and tokenizer, so that a manifest cannot mix two runs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from grpolab.validate.models.load import check_checkpoint, missing

_PARTS = (".safetensors", ".bin", ".json", ".model", ".jinja", ".txt")
_BLOCK = 1 << 22


def hash_files(paths: Iterable[Path]) -> str:
    """Hash names and contents of files, in the order of their names."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(paths, key=lambda p: p.name):
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()


def model_hash(name: str | Path) -> str:
    """Identify a checkpoint: ``files:`` + a hash of its folder, or ``commit:`` + the hub's commit.

    UserError when there is no such folder and no such model on the hub or in its cache.
    """
    folder = Path(name)
    check_checkpoint(os.fspath(name))
    if folder.is_dir():
        files = [p for p in folder.iterdir() if p.is_file() and p.suffix in _PARTS]
        return f"files:{hash_files(files)}"
    from transformers.utils import cached_file

    try:
        config = Path(str(cached_file(os.fspath(name), "config.json")))
    except Exception as err:  # not found, no network, no access: the hub client has many
        raise missing(os.fspath(name), err) from err
    return f"commit:{config.parent.name}"


def state_hash(model: Any) -> str:
    """Hash of a model in memory: ``state:`` + names, types and values of its parameters."""
    import torch

    digest = hashlib.blake2b(digest_size=16)
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name}\0{value.dtype}\0{tuple(value.shape)}\0".encode())
        plain = value.detach().cpu().contiguous()
        digest.update(plain.flatten().view(torch.uint8).numpy().tobytes())
    return f"state:{digest.hexdigest()}"


def describe_tokenizer(tokenizer: Any) -> dict[str, Any]:
    """Class, size, special ids and a hash of the vocabulary and the chat template."""
    digest = hashlib.blake2b(digest_size=16)
    for word, index in sorted(tokenizer.get_vocab().items()):
        digest.update(f"{index}\0{word}\0".encode("utf-8", "surrogatepass"))
    digest.update(repr(getattr(tokenizer, "chat_template", None)).encode("utf-8", "surrogatepass"))
    return {
        "class": type(tokenizer).__name__,
        "size": len(tokenizer),
        "hash": digest.hexdigest(),
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }

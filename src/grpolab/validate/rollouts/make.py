"""Engines by name, with the options that the command line has for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from grpolab.errors import UserError, require
from grpolab.validate.rollouts.engine import Engine

ENGINES = ("hf", "vllm")


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How to run a model; what an engine has no use for is refused, not passed over."""

    engine: str = "hf"
    device: str = "cpu"
    dtype: str = "float32"
    batch_rows: int = 0
    adapter: str = ""
    tensor_parallel: int = 1
    max_model_len: int | None = None
    gpu_memory: float = 0.9


def make_engine(model: str, options: EngineOptions, *, run: Path | None = None) -> Engine:
    """Make the engine; UserError for an unknown one, and for options that it has not.

    ``run`` is a folder that an earlier process may have begun (see `known_tokenizer`).
    """
    if options.engine == "hf":
        if options.tensor_parallel != 1:
            raise UserError(
                "--tensor-parallel needs --engine vllm; with hf use --device auto for several GPUs"
            )
        for module in ("torch", "transformers", *(["peft"] if options.adapter else [])):
            require(module, extra="train")
        from grpolab.validate.rollouts.hf import HFEngine

        return HFEngine(
            model, device=options.device, dtype=options.dtype, batch_rows=options.batch_rows,
            adapter=options.adapter, run=run,
        )  # fmt: skip
    if options.engine == "vllm":
        from grpolab.validate.models.load import base_of, is_adapter, saved_dtype
        from grpolab.validate.rollouts.vllm import VLLMEngine

        adapter = options.adapter
        if is_adapter(model):
            if adapter:
                raise UserError(f"{model}: an adapter already, so --adapter cannot be given")
            model, adapter = base_of(model), model
        return VLLMEngine(
            model, dtype=saved_dtype(model, options.dtype), adapter=adapter,
            tensor_parallel=options.tensor_parallel, max_model_len=options.max_model_len,
            gpu_memory=options.gpu_memory,
        )  # fmt: skip
    raise UserError(f"unknown engine {options.engine!r}; known engines: {', '.join(ENGINES)}")

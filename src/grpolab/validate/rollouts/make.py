"""Engines by name, with the options that the command line has for them."""

from __future__ import annotations

from dataclasses import dataclass

from grpolab.errors import UserError, require
from grpolab.validate.rollouts.engine import Engine

ENGINES = ("hf", "vllm")


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How to run a model; what an engine has no use for is refused, not passed over."""

    engine: str = "hf"
    device: str = "cpu"
    dtype: str = "float32"
    batch_rows: int = 1024
    adapter: str = ""
    tensor_parallel: int = 1
    max_model_len: int | None = None
    gpu_memory: float = 0.9


def make_engine(model: str, options: EngineOptions) -> Engine:
    """Make the engine; UserError for an unknown one, and for options that it has not."""
    if options.engine == "hf":
        if options.adapter or options.tensor_parallel != 1:
            raise UserError(
                "--adapter and --tensor-parallel need --engine vllm; with hf merge the adapter into"
                " the model, and use --device auto for several GPUs"
            )
        for module in ("torch", "transformers"):
            require(module, extra="train")
        from grpolab.validate.rollouts.hf import HFEngine

        return HFEngine(
            model, device=options.device, dtype=options.dtype, batch_rows=options.batch_rows
        )
    if options.engine == "vllm":
        from grpolab.validate.rollouts.vllm import VLLMEngine

        return VLLMEngine(
            model, dtype=options.dtype, adapter=options.adapter,
            tensor_parallel=options.tensor_parallel, max_model_len=options.max_model_len,
            gpu_memory=options.gpu_memory,
        )  # fmt: skip
    raise UserError(f"unknown engine {options.engine!r}; known engines: {', '.join(ENGINES)}")

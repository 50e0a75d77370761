"""The model to train: all its weights or a LoRA adapter, from the start or from a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from grpolab.errors import require
from grpolab.streams import stream_seed
from grpolab.validate.models.load import load_model
from grpolab.validate.models.precision import compute_in
from grpolab.validate.training.ending import reading


def lora_config(rank: int) -> Any:
    """LoRA of that rank on every linear layer but the head: W + B A, scale 1, no dropout."""
    require("peft", extra="train")
    from peft import LoraConfig

    return LoraConfig(
        r=rank, lora_alpha=rank, lora_dropout=0.0, target_modules="all-linear",
        task_type="CAUSAL_LM",
    )  # fmt: skip


def new_adapter(base: Any, rank: int, *, seed: int) -> Any:
    """A model with a fresh adapter on it, of which alone the weights are trained."""
    config = lora_config(rank)
    import peft
    import torch

    torch.manual_seed(stream_seed(seed, "adapter"))
    return peft.get_peft_model(base, config)


def load_policy(
    model: str | Path,
    *,
    seed: int,
    lora_rank: int = 0,
    checkpoint: Path | None = None,
    device: str = "cpu",
    dtype: str = "float32",
) -> tuple[Any, Any]:
    """Model and tokenizer; with a rank the base stays frozen and an adapter is put on it.

    ``checkpoint`` is what an earlier part of the run saved: a model, or an adapter. ``seed`` draws
    the adapter's first weights. What is trained is float32 and computes in ``dtype``; the frozen
    base of an adapter is stored in ``dtype``. UserError when something cannot be loaded.
    """
    if not lora_rank:
        with reading(checkpoint):
            whole, tokenizer = load_model(checkpoint or model, device=device)
        return compute_in(whole, dtype), tokenizer
    require("peft", extra="train")
    import peft

    base, tokenizer = load_model(model, device=device, dtype=dtype)
    if checkpoint is not None:
        with reading(checkpoint):
            adapted = peft.PeftModel.from_pretrained(base, checkpoint, is_trainable=True)
    else:
        adapted = new_adapter(base, lora_rank, seed=seed)
    return compute_in(adapted, dtype), tokenizer

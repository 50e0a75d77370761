"""The transformers engine behind the protocol: any Hugging Face causal LM, by folder or hub id."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from grpolab.errors import UserError, require
from grpolab.validate.models.load import load_tokenizer, torch_device
from grpolab.validate.rollouts import hf
from grpolab.validate.rollouts.engine import NO_TOKEN, Draws, EngineInfo, end_tokens, hashed_seed
from grpolab.validate.rollouts.plan import describe_tokenizer, model_hash, state_hash
from grpolab.validate.rollouts.table import SamplingLaw

DTYPES = ("float32", "bfloat16", "float16")


class HFEngine:
    """Batched sampling with a KV cache; weights are loaded at the first draw.

    ``device`` is a torch device, or "auto": the GPU if there is one, and the layers spread by
    accelerate if there are several.
    ``batch_rows`` completions run together; draws depend on it, because a batch shares one stream
    of random numbers, so it is part of the manifest.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        device: str = "cpu",
        dtype: str = "float32",
        batch_rows: int = 1024,
    ) -> None:
        if dtype not in DTYPES:
            raise UserError(f"dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
        if batch_rows < 1:
            raise ValueError(f"batch_rows must be >= 1, got {batch_rows}")
        self._name = str(model)
        self._device = device
        self._dtype = dtype
        self._batch_rows = batch_rows
        self._hash = ""

    @classmethod
    def of(cls, model: Any, tokenizer: Any, *, batch_rows: int = 1024) -> HFEngine:
        """An engine on a model that is already in memory."""
        name = getattr(model.config, "name_or_path", "") or "in memory"
        dtype = str(model.dtype).removeprefix("torch.")
        engine = cls(name, device=str(model.device), dtype=dtype, batch_rows=batch_rows)
        engine._loaded = (model.eval(), tokenizer)
        engine._hash = state_hash(model)
        return engine

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        import torch

        from grpolab.validate.models import load_model

        place = torch_device(self._device)
        spread = self._device == "auto" and torch.cuda.device_count() > 1
        if spread:
            require("accelerate", extra="train")
        model, tokenizer = load_model(
            self._name, device="cpu" if spread else place, dtype=self._dtype
        )
        return (_spread(model) if spread else model), tokenizer

    @cached_property
    def info(self) -> EngineInfo:
        """Model, versions and settings for the manifest."""
        if not self._hash:
            self._hash = model_hash(self._name)
        return EngineInfo(
            name="transformers",
            model=self._name,
            model_hash=self._hash,
            tokenizer=describe_tokenizer(self.tokenizer),
            settings={
                "device": torch_device(self._device).partition(":")[0],
                "dtype": self._dtype,
                "batch_rows": self._batch_rows,
            },
            versions={p: importlib.metadata.version(p) for p in ("torch", "transformers")},
        )

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer, loaded without the weights."""
        if "_loaded" in self.__dict__:
            return self._loaded[1]
        return load_tokenizer(self._name)

    @property
    def context(self) -> int | None:
        """The model's number of positions."""
        limit = getattr(self._loaded[0].config, "max_position_embeddings", None)
        return None if limit is None else int(limit)

    def draw(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        num_samples: int,
        law: SamplingLaw,
        seed: int,
        first: int = 0,
    ) -> Draws:
        """Draw completions; see `Engine.draw`. UserError when the device runs out of memory."""
        import torch

        model, tokenizer = self._loaded
        ends = end_tokens(tokenizer, getattr(model, "generation_config", None))
        pad = ends[0] if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        generator = torch.Generator(device=model.device)
        generator.manual_seed(hashed_seed(seed, first))
        per_batch = max(1, self._batch_rows // num_samples)
        parts = []
        for start in range(0, len(prompts), per_batch):
            try:
                sampled = hf.sample_ids(
                    model, prompts[start : start + per_batch], num_samples=num_samples, law=law,
                    generator=generator, pad=pad, ends=ends,
                )  # fmt: skip
            except torch.OutOfMemoryError as err:
                raise UserError(
                    f"out of memory with {per_batch * num_samples} completions at once: lower"
                    " --batch-rows (finished shards are kept)"
                ) from err
            parts.append(_draws(sampled, ends))
        return _join(parts)


def _spread(model: Any) -> Any:
    """Give each GPU some layers."""
    from accelerate import (  # type: ignore[import-untyped]
        dispatch_model,
        infer_auto_device_map,
    )

    places = infer_auto_device_map(model, no_split_module_classes=model._no_split_modules)
    return dispatch_model(model, device_map=places)


def _draws(sampled: hf.Sampled, ends: Sequence[int]) -> Draws:
    mask = sampled.mask.cpu().numpy()
    tokens = np.where(mask, sampled.tokens.cpu().numpy(), NO_TOKEN)
    last = tokens[np.arange(len(tokens)), mask.sum(axis=1) - 1]
    return Draws(
        tokens=tokens,
        logprob=sampled.logprob.double().cpu().numpy(),
        entropy=sampled.entropy.double().cpu().numpy(),
        truncated=~np.isin(last, list(ends)),
    )


def _join(parts: Sequence[Draws]) -> Draws:
    width = max(part.tokens.shape[1] for part in parts)

    def wide(array: Any, fill: float) -> Any:
        return np.pad(array, ((0, 0), (0, width - array.shape[1])), constant_values=fill)

    return Draws(
        tokens=np.concatenate([wide(p.tokens, NO_TOKEN) for p in parts]),
        logprob=np.concatenate([wide(p.logprob, 0.0) for p in parts]),
        entropy=np.concatenate([wide(p.entropy, 0.0) for p in parts if p.entropy is not None]),
        truncated=np.concatenate([p.truncated for p in parts]),
    )

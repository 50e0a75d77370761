"""The transformers engine: batched sampling with a KV cache and exact log-probabilities.

The loop is written out instead of calling ``generate`` because the numbers that matter here, the
log-probability of each drawn token and the entropy of the law it was drawn from, are by-products of
drawing it, and because ``generate`` truncates to the 50 likeliest tokens unless told otherwise.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from grpolab.errors import UserError, require
from grpolab.streams import generator
from grpolab.validate.models.load import check_adapter, load_tokenizer, saved_dtype, torch_device
from grpolab.validate.models.memory import exhausted, rows_that_fit
from grpolab.validate.rollouts.decode import sample_ids
from grpolab.validate.rollouts.engine import Draws, EngineInfo, Watch, end_tokens, join_draws
from grpolab.validate.rollouts.law import BrokenLaw
from grpolab.validate.rollouts.plan import (
    adapter_hash,
    describe_tokenizer,
    known_tokenizer,
    model_hash,
    state_hash,
)
from grpolab.validate.rollouts.table import SamplingLaw

DTYPES = ("float32", "bfloat16", "float16", "auto")


class HFEngine:
    """Batched sampling with a KV cache; weights are loaded at the first draw.

    ``device`` is a torch device, or "auto": the GPU if there is one, and the layers spread by
    accelerate if there are several.
    ``batch_rows`` completions run together, 0: as many as memory is measured to hold. It changes
    memory and speed: every sample has random numbers of its own, so draws do not depend on it but
    for ties within the rounding of float arithmetic. ``adapter`` is the folder of a LoRA adapter,
    ``dtype`` "auto" that of the saved weights, ``run`` as in `known_tokenizer`.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        device: str = "cpu",
        dtype: str = "float32",
        batch_rows: int = 0,
        adapter: str = "",
        run: Path | None = None,
    ) -> None:
        if dtype not in DTYPES:
            raise UserError(f"dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
        if batch_rows < 0:
            raise ValueError(f"batch_rows must be >= 0, got {batch_rows}")
        self._name = str(model)
        self._device = device
        if adapter:
            check_adapter(adapter)
        self._adapter, self._run = adapter, run
        self._asked_dtype = dtype
        self._batch_rows = batch_rows
        self._borrowed = False

    @classmethod
    def of(cls, model: Any, tokenizer: Any, *, batch_rows: int = 0) -> HFEngine:
        """An engine on a model that is already in memory, and whose weights may change."""
        name = getattr(model.config, "name_or_path", "") or "in memory"
        dtype = str(model.dtype).removeprefix("torch.")
        engine = cls(name, device=str(model.device), dtype=dtype, batch_rows=batch_rows)
        engine._loaded = (model.eval(), tokenizer)
        engine._borrowed = True
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
            self._name, device="cpu" if spread else place, dtype=self._dtype, adapter=self._adapter
        )
        return (_spread(model) if spread else model), tokenizer

    @cached_property
    def _dtype(self) -> str:
        return saved_dtype(self._name, self._asked_dtype)

    @cached_property
    def info(self) -> EngineInfo:
        """Model, versions and settings for the manifest."""
        known = state_hash(self._loaded[0]) if self._borrowed else model_hash(self._name)
        versions = {p: importlib.metadata.version(p) for p in ("torch", "transformers")}
        tokenizer = known_tokenizer(self._run, model_hash=known, versions=versions)
        return EngineInfo(
            name="transformers",
            model=self._name,
            model_hash=known,
            tokenizer=tokenizer or describe_tokenizer(self.tokenizer),
            settings={
                "device": torch_device(self._device).partition(":")[0],
                "dtype": self._dtype,
                "batch_rows": self._batch_rows,
                **({"adapter": adapter_hash(self._adapter)} if self._adapter else {}),
            },
            versions=versions,
        )

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer, loaded without the weights."""
        if "_loaded" in self.__dict__:
            return self._loaded[1]
        return load_tokenizer(self._name)

    @property
    def device(self) -> Any:
        """The device of the weights."""
        return self._loaded[0].device

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
        watch: Watch | None = None,
    ) -> Draws:
        """Draw completions; see `Engine.draw`. UserError where not even one fits in memory.

        A batch that runs out of memory is drawn again in halves, and so are those behind it.
        """
        model, tokenizer = self._loaded
        ends = end_tokens(tokenizer, getattr(model, "generation_config", None))
        pad = ends[0] if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        rows = self._batch_rows or rows_that_fit(model, max(map(len, prompts)) + law.max_new_tokens)

        def some(block: _Block) -> Draws:
            places = range(block.prompts.start, block.prompts.stop)
            shape = num_samples, law.max_new_tokens
            uniform = [
                generator(seed, "draws", first + i).random(shape)[block.samples] for i in places
            ]
            return sample_ids(
                model, prompts[block.prompts], law=law, uniform=np.stack(uniform), pad=pad,
                ends=ends, tokenizer=tokenizer,
            )  # fmt: skip

        parts = []
        left = [_Block(slice(0, len(prompts)), slice(0, num_samples))]
        while left:
            block = left.pop()
            if block.rows > rows and block.rows > 1:
                left += reversed(block.split(rows))
                continue
            try:
                drawn = some(block)
            except BrokenLaw as err:
                if self._borrowed:
                    raise
                raise UserError(
                    f"{self._name}: the model's probabilities are no numbers; its weights may hold"
                    " NaN or infinities"
                ) from err
            except (RuntimeError, MemoryError) as err:
                if not exhausted(err):
                    raise
                if block.rows == 1:
                    raise UserError(
                        "out of memory with one completion at once: lower --max-new-tokens, or take"
                        " a machine with more (finished shards are kept)"
                    ) from err
                rows = block.rows // 2
                drawn = None
            if drawn is None:  # outside of the handler, whose traceback holds on to the batch
                left.append(block)
                _give_back(model)
                continue
            parts.append(drawn)
            if watch is not None:
                size = block.prompts.stop - block.prompts.start
                watch(size * (block.samples.stop == num_samples), int(drawn.num_tokens.sum()))
        return join_draws(parts)


class _Block(NamedTuple):
    """Some samples of some prompts, drawn at once: all samples, or those of one prompt."""

    prompts: slice
    samples: slice

    @property
    def rows(self) -> int:
        """Completions in it."""
        each = self.samples.stop - self.samples.start
        return int((self.prompts.stop - self.prompts.start) * each)

    def split(self, rows: int) -> list[_Block]:
        """Blocks of at most ``rows`` completions: whole prompts, else samples of one.

        >>> [b.rows for b in _Block(slice(0, 5), slice(0, 8)).split(16)]
        [16, 16, 8]
        >>> [b.samples for b in _Block(slice(3, 4), slice(0, 8)).split(5)]
        [slice(0, 5, None), slice(5, 8, None)]
        """
        start, stop = self.prompts.start, self.prompts.stop
        if stop - start == 1:
            low, high = self.samples.start, self.samples.stop
            return [
                self._replace(samples=slice(i, min(i + rows, high))) for i in range(low, high, rows)
            ]
        size = max(1, rows // (self.samples.stop - self.samples.start))
        return [
            self._replace(prompts=slice(i, min(i + size, stop))) for i in range(start, stop, size)
        ]


def _give_back(model: Any) -> None:
    """Free what a batch that failed has left behind."""
    import gc

    import torch

    gc.collect()
    if model.device.type == "cuda":
        torch.cuda.empty_cache()


def _spread(model: Any) -> Any:
    """Give each GPU some layers."""
    from accelerate import (  # type: ignore[import-untyped]
        dispatch_model,
        infer_auto_device_map,
    )

    places = infer_auto_device_map(model, no_split_module_classes=model._no_split_modules)
    return dispatch_model(model, device_map=places)

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
from typing import TYPE_CHECKING, Any

import numpy as np

from grpolab.errors import UserError, require
from grpolab.streams import generator
from grpolab.theory.groups import FloatArray
from grpolab.validate.models.load import load_tokenizer, torch_device
from grpolab.validate.models.tokens import pad_left
from grpolab.validate.rollouts.engine import (
    NO_TOKEN,
    Draws,
    EngineInfo,
    end_tokens,
    join_draws,
)
from grpolab.validate.rollouts.plan import describe_tokenizer, model_hash, state_hash
from grpolab.validate.rollouts.table import SamplingLaw

if TYPE_CHECKING:
    import torch

DTYPES = ("float32", "bfloat16", "float16")
_SPARSE = 0.75
"""Share of the cache's rows that must be in use, else the others are dropped."""


class BrokenLaw(RuntimeError):
    """The next-token law of a model holds NaN; the words are those of torch's own sampler."""

    def __init__(self) -> None:
        super().__init__("probability tensor contains nan or inf")


class HFEngine:
    """Batched sampling with a KV cache; weights are loaded at the first draw.

    ``device`` is a torch device, or "auto": the GPU if there is one, and the layers spread by
    accelerate if there are several.
    ``batch_rows`` completions run together; it changes memory and speed. Every sample has random
    numbers of its own, so draws do not depend on it but for the last digits of float arithmetic,
    for which it is part of the manifest.
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
        self._borrowed = False

    @classmethod
    def of(cls, model: Any, tokenizer: Any, *, batch_rows: int = 1024) -> HFEngine:
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
            self._name, device="cpu" if spread else place, dtype=self._dtype
        )
        return (_spread(model) if spread else model), tokenizer

    @cached_property
    def info(self) -> EngineInfo:
        """Model, versions and settings for the manifest."""
        known = state_hash(self._loaded[0]) if self._borrowed else model_hash(self._name)
        return EngineInfo(
            name="transformers",
            model=self._name,
            model_hash=known,
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
    ) -> Draws:
        """Draw completions; see `Engine.draw`. UserError when the device runs out of memory."""
        import torch

        model, tokenizer = self._loaded
        ends = end_tokens(tokenizer, getattr(model, "generation_config", None))
        pad = ends[0] if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        per_batch = max(1, self._batch_rows // num_samples)
        parts = []
        for start in range(0, len(prompts), per_batch):
            try:
                chosen = prompts[start : start + per_batch]
                shape = num_samples, law.max_new_tokens
                uniform = [
                    generator(seed, "draws", first + start + i).random(shape)
                    for i in range(len(chosen))
                ]
                drawn = sample_ids(
                    model, chosen, law=law, uniform=np.stack(uniform), pad=pad, ends=ends
                )
            except torch.OutOfMemoryError as err:
                if self._borrowed:  # whoever trains this model knows better what to lower
                    raise
                raise UserError(
                    f"out of memory with {per_batch * num_samples} completions at once: lower"
                    " --batch-rows (finished shards are kept)"
                ) from err
            except BrokenLaw as err:
                if self._borrowed:
                    raise
                raise UserError(
                    f"{self._name}: the model's probabilities are no numbers; its weights may hold"
                    " NaN or infinities"
                ) from err
            parts.append(drawn)
        return join_draws(parts)


def _spread(model: Any) -> Any:
    """Give each GPU some layers."""
    from accelerate import (  # type: ignore[import-untyped]
        dispatch_model,
        infer_auto_device_map,
    )

    places = infer_auto_device_map(model, no_split_module_classes=model._no_split_modules)
    return dispatch_model(model, device_map=places)


def apply_law(logits: torch.Tensor, law: SamplingLaw) -> torch.Tensor:
    """Log-probabilities [N, V] of the law: temperature, then top-k, then top-p, renormalised."""
    import torch

    if law.temperature == 0:
        best = logits.argmax(dim=-1, keepdim=True)
        return torch.full_like(logits, -torch.inf, dtype=torch.float32).scatter_(-1, best, 0.0)
    logp = torch.log_softmax(logits.float() / law.temperature, dim=-1)
    if 0 < law.top_k < logp.shape[-1]:
        floor = logp.topk(law.top_k, dim=-1).values[..., -1:]
        logp = logp.masked_fill(logp < floor, -torch.inf)
    if law.top_p < 1:
        ordered, index = logp.softmax(dim=-1).sort(dim=-1, descending=True)
        # a token stays while the mass before it is below top_p, so the first one always stays
        drop = ordered.cumsum(dim=-1) - ordered >= law.top_p
        logp = logp.masked_fill(drop.scatter(-1, index, drop), -torch.inf)
    return logp if law.top_k == 0 and law.top_p == 1 else torch.log_softmax(logp, dim=-1)


def _entropy(logp: torch.Tensor) -> torch.Tensor:
    weighted = logp.exp() * logp
    return -weighted.nan_to_num(nan=0.0).sum(dim=-1)


def sample_ids(
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    law: SamplingLaw,
    uniform: FloatArray,
    pad: int,
    ends: Sequence[int],
) -> Draws:
    """Draw completions by inversion: ``uniform`` [P, n, max_new_tokens] picks n per prompt.

    A completion ends with any token of ``ends``. ValueError where prompt and budget exceed the
    model's context.
    """
    import torch

    limit = getattr(model.config, "max_position_embeddings", None)
    length = max(map(len, prompts))
    if limit is not None and length + law.max_new_tokens > limit:
        raise ValueError(
            f"prompt of {length} tokens + max_new_tokens={law.max_new_tokens} exceeds the model's"
            f" context of {limit}"
        )
    ids, mask = pad_left(prompts, pad=pad, device=model.device)
    with torch.inference_mode():
        position = (mask.cumsum(dim=1) - 1).clamp(min=0)
        out = model(
            input_ids=ids, attention_mask=mask, position_ids=position,
            use_cache=True, logits_to_keep=1,
        )  # fmt: skip
        tree = _Tree(model, out.past_key_values, mask, position[:, -1:], pad)
        return _decode(tree, out.logits[:, -1], law, uniform, tuple(ends))


class _Tree:
    """The distinct beginnings of the completions, one row of the KV cache each.

    Completions of a prompt that have drawn the same tokens so far have the same next law, so one
    forward pass serves all of them: prompts run once, and rows part when their tokens do.
    """

    def __init__(self, model: Any, cache: Any, seen: Any, place: Any, pad: int) -> None:
        self._model, self._cache, self._pad = model, cache, pad
        self._seen, self._place = seen, place

    def grow(self, parent: torch.Tensor, token: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits [N, V] behind one token after each parent, and the row of each; parents sorted."""
        import torch

        size = len(self._seen)
        row = torch.arange(len(parent), device=parent.device)
        if len(parent) > _SPARSE * size and bool((parent.diff() > 0).all()):
            # nothing parts and few are gone: moving the whole cache would cost more than they do
            row, kept = parent, token
            token = torch.full((size,), self._pad, device=kept.device)
            token[row] = kept
        else:
            self._cache.batch_select_indices(parent)
            self._seen, self._place = self._seen[parent], self._place[parent]
        self._seen = torch.cat([self._seen, self._seen.new_ones(len(self._seen), 1)], dim=1)
        self._place = self._place + 1
        out = self._model(
            input_ids=token[:, None], attention_mask=self._seen, position_ids=self._place,
            past_key_values=self._cache, use_cache=True,
        )  # fmt: skip
        return out.logits[:, -1], row


def _decode(
    tree: _Tree, logits: torch.Tensor, law: SamplingLaw, uniform: FloatArray, ends: tuple[int, ...]
) -> Draws:
    """Token by token until every row has ended or the budget is spent."""
    import torch

    device, (size, each, budget) = logits.device, uniform.shape
    tokens = np.full((size * each, budget), NO_TOKEN, dtype=np.int64)
    logprob, entropy = np.zeros(tokens.shape), np.zeros(tokens.shape)
    chance = torch.as_tensor(uniform.reshape(-1, budget), device=device)
    last = torch.tensor(ends, device=device)
    alive = torch.arange(size * each, device=device)  # rows that have not ended
    node = alive // each  # the row of ``logits`` that each of them stands at
    for step in range(budget):
        logp = apply_law(logits, law)
        token = _invert(logp, node, chance[alive, step])
        rows = alive.cpu().numpy()
        tokens[rows, step] = token.cpu().numpy()
        logprob[rows, step] = logp[node, token].cpu().numpy()
        entropy[rows, step] = _entropy(logp)[node].cpu().numpy()
        goes_on = ~torch.isin(token, last)
        alive = alive[goes_on]
        if step + 1 == budget or not len(alive):
            break
        key = node[goes_on] * logp.shape[1] + token[goes_on]
        beginnings, place = key.unique(return_inverse=True)
        logits, row = tree.grow(beginnings // logp.shape[1], beginnings % logp.shape[1])
        node = row[place]
    used = step + 1
    return Draws(
        tokens=tokens[:, :used],
        logprob=logprob[:, :used],
        entropy=entropy[:, :used],
        truncated=np.isin(np.arange(len(tokens)), alive.cpu().numpy()),
    )


def _invert(logp: torch.Tensor, node: torch.Tensor, chance: torch.Tensor) -> torch.Tensor:
    """The token at which the distribution function of law ``node[r]`` passes ``chance[r]``.

    ``logp`` [N, V], the others [R]. The sums are in float64: a rounded float32 sum over a large
    vocabulary would lose its rare tokens.
    """
    import torch

    mass = logp.double().exp().cumsum(dim=1)
    if not bool(torch.isfinite(mass[:, -1]).all()):
        raise BrokenLaw
    order = node.argsort(stable=True)
    count = torch.bincount(node, minlength=len(logp))
    column = torch.arange(len(node), device=node.device) - (count.cumsum(0) - count)[node[order]]
    asked = torch.zeros(len(logp), int(count.max()), dtype=torch.float64, device=node.device)
    asked[node[order], column] = chance[order]
    whole = mass[:, -1:]
    below = torch.nextafter(whole, torch.zeros_like(whole))  # a product may round up to the whole
    found = torch.searchsorted(mass, torch.minimum(asked * whole, below), right=True)
    token = torch.empty_like(node)
    token[order] = found[node[order], column]
    return token


def score(
    model: Any,
    prompts: Sequence[Sequence[int]],
    completions: Sequence[Sequence[int]],
    *,
    law: SamplingLaw,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probability and entropy [R, L] of given tokens under the law, by one forward pass.

    Row r scores ``completions[r]`` after ``prompts[r]``; 0 behind its end. This is how draws of
    another engine are held against this one.
    """
    import torch

    length = max(map(len, completions))
    rows = [[*p, *c] for p, c in zip(prompts, completions, strict=True)]
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=model.device)
    seen = torch.tensor([[1] * len(r) + [0] * (width - len(r)) for r in rows], device=model.device)
    logprob = torch.zeros(len(rows), length, device=model.device)
    entropy = torch.zeros_like(logprob)
    with torch.inference_mode():
        logits = model(input_ids=ids, attention_mask=seen).logits
        for r, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
            start, size = len(prompt), len(completion)
            law_logp = apply_law(logits[r, start - 1 : start - 1 + size], law)
            picked = law_logp.gather(1, ids[r, start : start + size, None])[:, 0]
            logprob[r, :size], entropy[r, :size] = picked, _entropy(law_logp)
    return logprob, entropy

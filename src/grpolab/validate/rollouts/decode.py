"""Token by token: completions as branches of a tree, each distinct beginning once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from grpolab.theory.groups import FloatArray, IntArray
from grpolab.validate.models.tokens import pad_left
from grpolab.validate.rollouts.engine import NO_TOKEN, Draws
from grpolab.validate.rollouts.law import apply_law, chunks, entropy_of, invert
from grpolab.validate.rollouts.table import SamplingLaw

if TYPE_CHECKING:
    import torch

_SPARSE = 0.75
"""Share of the cache's rows that must be in use, else the others are dropped."""
_MARGIN = 8
"""Tokens before the longest stop text that are decoded with it: some tokens have no text."""


def sample_ids(
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    law: SamplingLaw,
    uniform: FloatArray,
    pad: int,
    ends: Sequence[int],
    tokenizer: Any = None,
) -> Draws:
    """Draw completions by inversion: ``uniform`` [P, n, max_new_tokens] picks n per prompt.

    A completion ends with any token of ``ends``, and with the one that completes a text of
    ``law.stop``, which ``tokenizer`` finds. ValueError where prompt and budget exceed the
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
        ended = _stops(tokenizer, law.stop) if law.stop else None
        return _decode(tree, out.logits[:, -1], law, uniform, tuple(ends), ended)


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


Ended = Callable[[IntArray], npt.NDArray[np.bool_]]


def _stops(tokenizer: Any, stop: Sequence[str]) -> Ended:
    """Which rows of tokens [R, L], drawn so far, hold a stop text near their end."""
    window = max(len(text.encode()) for text in stop) + _MARGIN

    def ended(tokens: IntArray) -> npt.NDArray[np.bool_]:
        rows, index = np.unique(tokens[:, -window:], axis=0, return_inverse=True)
        shown = tokenizer.batch_decode(
            [row[row != NO_TOKEN].tolist() for row in rows], skip_special_tokens=True
        )
        found = np.array([any(text in one for text in stop) for one in shown])
        return np.asarray(found[index.reshape(-1)])

    return ended


def _decode(
    tree: _Tree,
    logits: torch.Tensor,
    law: SamplingLaw,
    uniform: FloatArray,
    ends: tuple[int, ...],
    ended: Ended | None,
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
        token, picked, spread = _pick(logits, node, chance[alive, step], law)
        rows = alive.cpu().numpy()
        tokens[rows, step] = token.cpu().numpy()
        logprob[rows, step] = picked.cpu().numpy()
        entropy[rows, step] = spread.cpu().numpy()
        goes_on = ~torch.isin(token, last)
        if ended is not None:
            stopped = ended(tokens[rows, : step + 1])
            goes_on &= ~torch.as_tensor(stopped, device=device)
        alive = alive[goes_on]
        if step + 1 == budget or not len(alive):
            break
        key = node[goes_on] * logits.shape[1] + token[goes_on]
        beginnings, place = key.unique(return_inverse=True)
        width = logits.shape[1]
        logits = logits.new_empty(0)  # the old ones go before the next come
        logits, row = tree.grow(beginnings // width, beginnings % width)
        node = row[place]
    used = step + 1
    return Draws(
        tokens=tokens[:, :used],
        logprob=logprob[:, :used],
        entropy=entropy[:, :used],
        truncated=np.isin(np.arange(len(tokens)), alive.cpu().numpy()),
    )


def _pick(
    logits: torch.Tensor, node: torch.Tensor, chance: torch.Tensor, law: SamplingLaw
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Token [R], its log-probability and the entropy of the law that it was drawn from.

    ``logits`` [N, V]; row r stands at ``node[r]`` of them. The rows of a few nodes at a time.
    """
    import torch

    token = torch.empty_like(node)
    picked = torch.empty(len(node), dtype=torch.float32, device=node.device)
    spread = torch.empty_like(picked)
    order = node.argsort(stable=True)
    for part in chunks(len(logits), logits.shape[1]):
        edge = torch.searchsorted(node[order], torch.tensor([part.start, part.stop]).to(node))
        mine = order[int(edge[0]) : int(edge[1])]
        if not len(mine):
            continue
        at = node[mine] - part.start
        logp = apply_law(logits[part], law)
        token[mine] = invert(logp, at, chance[mine])
        picked[mine] = logp[at, token[mine]].float()
        spread[mine] = entropy_of(logp)[at].float()
    return token, picked, spread

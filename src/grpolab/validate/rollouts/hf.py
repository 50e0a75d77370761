"""The transformers engine: batched sampling with a KV cache and exact log-probabilities.

The loop is written out instead of calling ``generate`` because the numbers that matter here, the
log-probability of each drawn token and the entropy of the law it was drawn from, are by-products of
drawing it, and because ``generate`` truncates to the 50 likeliest tokens unless told otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from grpolab.theory.groups import Provenance
from grpolab.validate.models.tokens import pad_left, token_ids
from grpolab.validate.rollouts.engine import end_tokens
from grpolab.validate.rollouts.judge import judge as judge
from grpolab.validate.rollouts.table import Rollouts, SamplingLaw, text_hash

if TYPE_CHECKING:
    import torch

    from grpolab.validate.tasks import Prompt, Task


class Sampled(NamedTuple):
    """Completions of a batch of prompts, row-major in (prompt, sample)."""

    prompt_ids: torch.Tensor  # [B, P], left-padded
    prompt_mask: torch.Tensor  # [B, P]
    tokens: torch.Tensor  # [B * n, L], the end token included, padded behind it
    mask: torch.Tensor  # [B * n, L], true where a token was drawn
    logprob: torch.Tensor  # [B * n, L], under the sampling law
    entropy: torch.Tensor  # [B * n, L], nats, of the sampling law
    ended: torch.Tensor  # [B * n], false where the budget cut it off


def apply_law(logits: torch.Tensor, law: SamplingLaw) -> torch.Tensor:
    """Log-probabilities [N, V] of the law: temperature, then top-k, then top-p, renormalised."""
    import torch

    if law.temperature == 0:
        best = logits.argmax(dim=-1, keepdim=True)
        return torch.full_like(logits, -torch.inf).scatter_(-1, best, 0.0)
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


def sample(
    model: Any,
    tokenizer: Any,
    *,
    prompts: Sequence[str],
    num_samples: int,
    law: SamplingLaw,
    generator: torch.Generator,
) -> Sampled:
    """Draw ``num_samples`` completions per prompt text; see `sample_ids`."""
    return sample_ids(
        model, token_ids(tokenizer, prompts), num_samples=num_samples, law=law, generator=generator,
        pad=tokenizer.pad_token_id,
        ends=end_tokens(tokenizer, getattr(model, "generation_config", None)),
    )  # fmt: skip


def sample_ids(
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    num_samples: int,
    law: SamplingLaw,
    generator: torch.Generator,
    pad: int,
    ends: Sequence[int],
) -> Sampled:
    """Draw ``num_samples`` completions per prompt; a prompt runs once, its cache is repeated.

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
        cache = out.past_key_values
        cache.batch_repeat_interleave(num_samples)
        logits = out.logits[:, -1].repeat_interleave(num_samples, dim=0)
        seen = mask.repeat_interleave(num_samples, dim=0)
        place = position[:, -1:].repeat_interleave(num_samples, dim=0)
        drawn = _decode(model, logits, cache, seen, place, law, generator, pad, tuple(ends))
    tokens, real = drawn[0], drawn[1]
    last = torch.tensor(tuple(ends), device=tokens.device)
    return Sampled(ids, mask, *drawn, (torch.isin(tokens, last) & real).any(dim=1))


def _decode(
    model: Any,
    logits: torch.Tensor,
    cache: Any,
    seen: torch.Tensor,
    place: torch.Tensor,
    law: SamplingLaw,
    generator: torch.Generator,
    pad: int,
    ends: tuple[int, ...],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Token by token until every row has ended or the budget is spent."""
    import torch

    last = torch.tensor(ends, device=logits.device)
    alive = torch.ones(len(logits), dtype=torch.bool, device=logits.device)
    columns: list[tuple[torch.Tensor, ...]] = []
    for step in range(law.max_new_tokens):
        logp = apply_law(logits, law)
        token = torch.multinomial(logp.exp(), 1, generator=generator)
        drawn = token[:, 0].masked_fill(~alive, pad)
        picked = logp.gather(1, token)[:, 0]
        columns.append((drawn, alive, picked * alive, _entropy(logp) * alive))
        alive = alive & ~torch.isin(token[:, 0], last)
        if step + 1 == law.max_new_tokens or not bool(alive.any()):
            break
        seen = torch.cat([seen, seen.new_ones(len(seen), 1)], dim=1)
        place = place + 1
        logits = model(
            input_ids=token, attention_mask=seen, position_ids=place,
            past_key_values=cache, use_cache=True,
        ).logits[:, -1]  # fmt: skip
    tokens, mask, logprob, entropy = (torch.stack(c, dim=1) for c in zip(*columns, strict=True))
    return tokens, mask, logprob, entropy


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


def completion_texts(tokenizer: Any, sampled: Sampled) -> list[str]:
    """Texts without special tokens; equal rows are decoded once."""
    rows, index = np.unique(sampled.tokens.cpu().numpy(), axis=0, return_inverse=True)
    texts = tokenizer.batch_decode(rows, skip_special_tokens=True)
    return [texts[i] for i in index.reshape(-1)]


def _batches(prompts: Sequence[Prompt], per_batch: int) -> Iterator[Sequence[Prompt]]:
    for i in range(0, len(prompts), per_batch):
        yield prompts[i : i + per_batch]


def rollout(
    model: Any,
    tokenizer: Any,
    *,
    task: Task,
    prompts: Sequence[Prompt],
    num_samples: int,
    group_size: int,
    law: SamplingLaw,
    seed: int,
    rows_per_batch: int = 2048,
    progress: Callable[[float], None] = lambda share: None,
) -> Rollouts:
    """Sample ``num_samples`` per prompt in groups of ``group_size`` at one law, and judge them."""
    import torch

    generator = torch.Generator(device=model.device).manual_seed(seed)
    per_batch = max(1, rows_per_batch // num_samples)
    parts: list[dict[str, np.ndarray[Any, Any]]] = []
    done = 0
    for chunk in _batches(prompts, per_batch):
        sampled = sample(
            model, tokenizer, prompts=[p.text for p in chunk], num_samples=num_samples,
            law=law, generator=generator,
        )  # fmt: skip
        texts = completion_texts(tokenizer, sampled)
        parts.append(rollout_columns(task, chunk, sampled, texts, group_size=group_size))
        done += len(chunk)
        progress(done / len(prompts))
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    source = getattr(model.config, "name_or_path", "") or "in memory"
    return Rollouts(
        **columns,
        provenance=Provenance(
            source=source,
            sampling={**law.as_dict(), "engine": "transformers"},
            seed=seed,
            versions={"torch": torch.__version__},
        ),
    )


def rollout_columns(
    task: Task, prompts: Sequence[Prompt], sampled: Sampled, texts: Sequence[str], *,
    group_size: int,
) -> dict[str, np.ndarray[Any, Any]]:  # fmt: skip
    """Judge completions, and put down what `Rollouts` keeps of them."""
    n = len(texts) // len(prompts)
    mask = sampled.mask
    tokens = mask.sum(dim=1)
    known = {text: text_hash(text) for text in set(texts)}
    return {
        "prompt_id": np.repeat([p.id for p in prompts], n),
        "group": np.tile(np.arange(n) // group_size, len(prompts)),
        "reward": np.array(judge(task, prompts, texts), dtype=np.float64),
        "num_tokens": tokens.cpu().numpy().astype(np.int64),
        "truncated": (~sampled.ended).cpu().numpy(),
        "entropy": (sampled.entropy.sum(dim=1) / tokens).cpu().numpy().astype(np.float64),
        "logprob": sampled.logprob.sum(dim=1).cpu().numpy().astype(np.float64),
        "text_hash": np.array([known[t] for t in texts], dtype=np.int64),
    }

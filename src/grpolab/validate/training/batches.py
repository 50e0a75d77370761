"""Token batches for training: prompts padded on the left, completions on the right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from grpolab.validate.models.tokens import pad_left, token_ids

if TYPE_CHECKING:
    import torch

Pair = tuple[str, str]


class Batch(NamedTuple):
    """Prompts and completions side by side, and which tokens are real."""

    prompt_ids: torch.Tensor  # [N, P]
    prompt_mask: torch.Tensor  # [N, P]
    tokens: torch.Tensor  # [N, L]
    mask: torch.Tensor  # [N, L]


def encode(tokenizer: Any, pairs: Sequence[Pair], *, device: Any = "cpu") -> Batch:
    """Tokenise (prompt, completion) pairs; each completion gets the end token."""
    import torch

    answers = token_ids(tokenizer, [c for _, c in pairs], special=False)
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    size = torch.tensor([len(row) + 1 for row in answers])
    width = int(size.max())
    tokens = torch.tensor([[*row, end] + [pad] * (width - 1 - len(row)) for row in answers])
    prompts, seen = pad_left(token_ids(tokenizer, [p for p, _ in pairs]), pad=pad)
    parts = prompts, seen, tokens, torch.arange(width) < size[:, None]
    return Batch(*(part.to(device) for part in parts))


def completion_logits(model: Any, batch: Batch) -> torch.Tensor:
    """Logits [N, L, V] that predict each completion token."""
    import torch

    full = torch.cat([batch.prompt_ids, batch.tokens], dim=1)
    seen = torch.cat([batch.prompt_mask, batch.mask.to(batch.prompt_mask.dtype)], dim=1)
    position = (seen.cumsum(dim=1) - 1).clamp(min=0)
    length = batch.tokens.shape[1]
    out = model(
        input_ids=full, attention_mask=seen, position_ids=position, logits_to_keep=length + 1
    )
    logits: torch.Tensor = out.logits[:, :-1]
    return logits


def completion_logprobs(model: Any, batch: Batch, *, temperature: float = 1.0) -> torch.Tensor:
    """Log-probabilities [N, L] of the completion tokens; 0 where there is none."""
    return _picked(completion_logits(model, batch).float() / temperature, batch)


def logprobs_and_entropy(
    model: Any, batch: Batch, *, temperature: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probability of each completion token and entropy of its law, both [N, L], in nats."""
    logits = completion_logits(model, batch).float() / temperature
    logp = logits.log_softmax(dim=-1)
    return _picked(logits, batch), -(logp.exp() * logp).sum(dim=-1)


def _picked(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    import torch

    picked = logits.gather(-1, batch.tokens[..., None])[..., 0] - logits.logsumexp(dim=-1)
    return torch.where(batch.mask, picked, torch.zeros_like(picked))

"""Batches of tokens, their log-probabilities, and the GRPO surrogate as a function of both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from grpolab.theory.groups import FloatArray, IntArray
from grpolab.validate.models.tokens import pad_left, token_ids
from grpolab.validate.rollouts.engine import NO_TOKEN
from grpolab.validate.training.by_pieces import by_pieces
from grpolab.validate.training.config import Aggregation, GRPOConfig

if TYPE_CHECKING:
    import torch


class LossParts(NamedTuple):
    """The loss to minimise, and what is logged beside it."""

    loss: torch.Tensor
    kl: torch.Tensor
    clip_low: torch.Tensor  # share of tokens cut at the lower bound
    clip_high: torch.Tensor  # share of tokens cut at the upper bound


def token_weights(mask: torch.Tensor, aggregation: Aggregation, *, max_length: int) -> torch.Tensor:
    """Weight [N, L] of each token's term; the sum over tokens of weight x term is the loss.

    ``sequence``: mean over each completion, then over completions (GRPO, arXiv 2402.03300).
    ``token``: mean over all tokens (DAPO, arXiv 2503.14476). ``constant``: sum over tokens divided
    by completions x ``max_length`` (Dr. GRPO, arXiv 2503.20783).
    """
    real = mask.float()
    rows = len(mask)
    if aggregation == "sequence":
        return real / (real.sum(dim=1, keepdim=True).clamp(min=1) * rows)
    if aggregation == "token":
        return real / real.sum().clamp(min=1)
    return real / (rows * max_length)


def grpo_loss(
    logp: torch.Tensor,
    *,
    old_logp: torch.Tensor,
    advantage: torch.Tensor,
    weight: torch.Tensor,
    share: torch.Tensor,
    config: GRPOConfig,
    ref_logp: torch.Tensor | None = None,
    entropy: torch.Tensor | None = None,
) -> LossParts:
    """-sum weight * min(r A, clip(r, 1 - low, 1 + high) A) + beta * KL - entropy_coef * H.

    r = exp(logp - old_logp) per token. KL = sum weight * k3, k3 = exp(d) - d - 1 with
    d = ref_logp - logp (an unbiased, non-negative estimate), times r under ``kl_correction``.
    ``share`` is each token's share of all tokens: H = sum share * entropy, and the shares cut by
    the clip are sums of it. Shapes [N, L]; advantage [N].
    """
    import torch

    low, high = 1 - config.clip_low, 1 + config.clip_high
    ratio = (logp - old_logp).exp()
    signed = advantage[:, None]
    surrogate = torch.minimum(ratio * signed, ratio.clamp(low, high) * signed)
    loss = -(weight * surrogate).sum()
    kl = logp.new_zeros(())
    if ref_logp is not None:
        gap = ref_logp - logp
        k3 = gap.exp() - gap - 1
        kl = (weight * (k3 * ratio if config.kl_correction else k3)).sum()
        loss = loss + config.beta * kl
    if entropy is not None:
        loss = loss - config.entropy_coef * (share * entropy).sum()
    with torch.no_grad():
        cut_low = (share * ((ratio < low) & (signed < 0))).sum()
        cut_high = (share * ((ratio > high) & (signed > 0))).sum()
    return LossParts(loss, kl.detach(), cut_low, cut_high)


TextPair = tuple[str, str]


class Batch(NamedTuple):
    """Prompts and completions side by side, and which tokens are real."""

    prompt_ids: torch.Tensor  # [N, P]
    prompt_mask: torch.Tensor  # [N, P]
    tokens: torch.Tensor  # [N, L]
    mask: torch.Tensor  # [N, L]

    @classmethod
    def of(
        cls, prompts: Sequence[Sequence[int]], tokens: IntArray, *, tokenizer: Any, device: Any
    ) -> Batch:
        """From token ids of N prompts and drawn tokens [N, L], `NO_TOKEN` behind their end."""
        import torch

        pad = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        ids, seen = pad_left(prompts, pad=pad, device=device)
        real = tokens != NO_TOKEN
        drawn = torch.as_tensor(np.where(real, tokens, pad), device=device)
        return cls(ids, seen, drawn, torch.as_tensor(real, device=device))


def encode(tokenizer: Any, pairs: Sequence[TextPair], *, device: Any = "cpu") -> Batch:
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
    """Logits [N, L + 1, V] that predict each completion token, and what would come behind them."""
    import torch

    full = torch.cat([batch.prompt_ids, batch.tokens], dim=1)
    seen = torch.cat([batch.prompt_mask, batch.mask.to(batch.prompt_mask.dtype)], dim=1)
    position = (seen.cumsum(dim=1) - 1).clamp(min=0)
    length = batch.tokens.shape[1]
    logits: torch.Tensor = model(
        input_ids=full, attention_mask=seen, position_ids=position, logits_to_keep=length + 1
    ).logits
    return logits


def completion_logprobs(model: Any, batch: Batch, *, temperature: float = 1.0) -> torch.Tensor:
    """Log-probabilities [N, L] of the completion tokens; 0 where there is none."""

    def picked(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        return _picked(logits.float() / temperature, tokens)

    logp = by_pieces(picked, completion_logits(model, batch), batch.tokens)
    return _where(batch.mask, logp)


def logprobs_and_entropy(
    model: Any, batch: Batch, *, temperature: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probability of each completion token and entropy of its law, both [N, L], in nats."""
    import torch

    def both(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        logits = logits.float() / temperature
        logp = logits.log_softmax(dim=-1)
        return torch.stack([_picked(logits, tokens), -(logp.exp() * logp).sum(dim=-1)], dim=-1)

    logp, entropy = by_pieces(both, completion_logits(model, batch), batch.tokens).unbind(dim=-1)
    return _where(batch.mask, logp), entropy


def _picked(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    return logits.gather(-1, tokens[..., None])[..., 0] - logits.logsumexp(dim=-1)


def _where(mask: torch.Tensor, logp: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.where(mask, logp, torch.zeros_like(logp))


class Terms(NamedTuple):
    """Rows [N] of a batch, and for each token its weight in the loss and its share of all."""

    batch: Batch
    advantage: torch.Tensor
    weight: torch.Tensor
    share: torch.Tensor

    def pieces(self, rows: int) -> Iterator[Terms]:
        """At most ``rows`` at a time, 0 for all; nothing where there is no row."""
        size = rows or len(self.advantage)
        for start in range(0, len(self.advantage), size or 1):
            part = slice(start, start + size)
            yield Terms(Batch(*(t[part] for t in self.batch)), *(t[part] for t in self[1:]))


def loss_terms(
    batch: Batch, advantage: FloatArray, config: GRPOConfig, max_new_tokens: int
) -> Terms:
    """The rows that need a forward pass: each distinct one once, with the weight of its copies.

    A row whose advantage is 0 is left out where no KL or entropy term acts on it. Both are exact:
    the gradient is the sum over rows, and copies of a row have equal terms.
    """
    import torch

    mask = batch.mask
    weight = token_weights(mask, config.aggregation, max_length=max_new_tokens)
    share = token_weights(mask, "token", max_length=max_new_tokens)
    group = np.arange(len(advantage)) // config.group_size
    key = [group[:, None], advantage.view(np.int64)[:, None], batch.tokens.cpu().numpy()]
    _, first, copies = np.unique(np.hstack(key), axis=0, return_index=True, return_counts=True)
    if config.skip_zero_advantage and config.only_advantages_act:
        acts = advantage[first] != 0
        first, copies = first[acts], copies[acts]
    rows = torch.as_tensor(first, device=mask.device)
    times = torch.as_tensor(copies, device=mask.device)[:, None]
    value = torch.as_tensor(advantage, dtype=weight.dtype, device=mask.device)
    kept = Batch(*(part[rows] for part in batch))
    return Terms(kept, value[rows], weight[rows] * times, share[rows] * times)


def policy_logprobs(
    model: Any, batch: Batch, config: GRPOConfig
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Log-probabilities, and entropies where they act."""
    if config.entropy_coef == 0:
        return completion_logprobs(model, batch, temperature=config.temperature), None
    return logprobs_and_entropy(model, batch, temperature=config.temperature)


def reference_logprobs(reference: Any, batch: Batch, config: GRPOConfig) -> torch.Tensor | None:
    """Log-probabilities under the reference model, where the KL term acts."""
    import torch

    if config.beta == 0:
        return None
    with torch.no_grad():
        return completion_logprobs(reference, batch, temperature=config.temperature)

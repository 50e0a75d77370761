"""The GRPO surrogate as a pure function of tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import torch

Aggregation = Literal["sequence", "token", "constant"]


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
    ref_logp: torch.Tensor | None,
    advantage: torch.Tensor,
    weight: torch.Tensor,
    clip_low: float,
    clip_high: float,
    beta: float,
) -> LossParts:
    """-sum weight * min(r A, clip(r, 1 - low, 1 + high) A) + beta sum weight * k3(ref, policy).

    r = exp(logp - old_logp) per token, k3 = exp(d) - d - 1 with d = ref_logp - logp (an unbiased,
    non-negative estimate of the KL divergence to the reference). Shapes [N, L]; advantage [N].
    """
    import torch

    ratio = (logp - old_logp).exp()
    signed = advantage[:, None]
    clipped = ratio.clamp(1 - clip_low, 1 + clip_high)
    surrogate = torch.minimum(ratio * signed, clipped * signed)
    loss = -(weight * surrogate).sum()
    kl = logp.new_zeros(())
    if ref_logp is not None:
        gap = ref_logp - logp
        kl = (weight * (gap.exp() - gap - 1)).sum()
        loss = loss + beta * kl
    with torch.no_grad():
        real = weight > 0
        tokens = real.sum().clamp(min=1)
        low = (real & (ratio < 1 - clip_low) & (signed < 0)).sum() / tokens
        high = (real & (ratio > 1 + clip_high) & (signed > 0)).sum() / tokens
    return LossParts(loss, kl.detach(), low, high)

"""The GRPO surrogate as a pure function of tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

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

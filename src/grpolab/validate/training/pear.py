"""PEAR: supervised losses reweighted by how likely the model itself is to go on as the data do.

arXiv 2602.01058 (Zhang et al., "Good SFT Optimizes for SFT, Better SFT Prepares for Reinforcement
Learning"). The weights and their constants follow accounts of its Algorithm 1 and sections 3.2-3.7;
the abstract was read at the source, the sections were not. The order (log-ratios clipped first, the
finished weight last) is that of these accounts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from grpolab.validate.training.by_pieces import IGNORED

if TYPE_CHECKING:
    import torch

PearLevel = Literal["token", "block", "sequence"]


@dataclass(frozen=True, slots=True)
class PearConfig:
    """How far a weight looks and how far it may go.

    ``level`` token weighs each token by the tokens behind it, block by the blocks (of
    ``block_size`` tokens) behind its own, sequence by the whole completion. ``discount`` is the
    paper's gamma; ``clip_ratio`` bounds the log-ratio of one token, ``clip_weight`` the log of a
    finished weight.
    """

    level: PearLevel = "token"
    block_size: int = 4
    discount: float = 0.999
    clip_ratio: tuple[float, float] = (-0.08, 0.3)
    clip_weight: tuple[float, float] = (-10.0, 5.0)

    def __post_init__(self) -> None:
        if self.level not in get_args(PearLevel):
            known = ", ".join(get_args(PearLevel))
            raise ValueError(f"level must be one of {known}, got {self.level!r}")
        if self.block_size < 1:
            raise ValueError(f"block_size must be >= 1, got {self.block_size}")
        if not 0 < self.discount <= 1:
            raise ValueError(f"discount must lie in (0, 1], got {self.discount}")
        for name in ("clip_ratio", "clip_weight"):
            low, high = getattr(self, name)
            if not low <= high:
                raise ValueError(f"{name} must be (low, high), got {getattr(self, name)}")


def pear_weights(
    logp: torch.Tensor,
    mask: torch.Tensor,
    *,
    behaviour: torch.Tensor | None = None,
    config: PearConfig | None = None,
) -> torch.Tensor:
    """Weight [N, L] of each token's loss, detached; 0 where there is no token.

    With d_t = clip(log pi(y_t) - log behaviour(y_t)) and T tokens, log weight_t is
    ``(T - t) log(gamma) + sum_{j > t} d_j`` by token, ``sum_j d_j`` by sequence, and by block
    ``(T - e) log(gamma) + sum_{j > e} d_j`` with e the last token of t's block; all clipped once
    more. So blocks of 1 are tokens, and one block is the plain loss.

    ``logp`` and ``behaviour`` [N, L] are log-probabilities (nats) under the model and under what
    wrote the data, and ``mask`` [N, L] says which are tokens: in each row all up to some column.
    Without ``behaviour`` the data count as written by rule, every word certain (log 1 = 0); then no
    weight exceeds 1. arXiv 2602.01058, section 3.

    >>> import torch
    >>> logp = torch.log(torch.tensor([[0.5, 0.99, 0.95]]))
    >>> config = PearConfig(discount=1.0)
    >>> pear_weights(logp, torch.ones(1, 3, dtype=torch.bool), config=config)
    tensor([[0.9405, 0.9500, 1.0000]])
    """
    import torch

    config = config or PearConfig()
    if mask.dtype != torch.bool or mask.shape != logp.shape:
        raise ValueError(f"mask must be bool {list(logp.shape)}, got {mask.dtype} {mask.shape}")
    if bool((mask[:, 1:] & ~mask[:, :-1]).any()):
        raise ValueError("mask must be true up to some column of each row and false behind it")
    ratio = logp.detach() if behaviour is None else (logp - behaviour).detach()
    ratio = torch.where(mask, ratio.clamp(*config.clip_ratio), torch.zeros_like(ratio))
    total = ratio.sum(dim=1, keepdim=True)
    if config.level == "sequence":
        log_weight = total.expand_as(ratio)
    else:
        size = config.block_size if config.level == "block" else 1
        column = torch.arange(logp.shape[1], device=logp.device)
        length = mask.sum(dim=1, keepdim=True)
        last = torch.minimum((column // size + 1) * size, length)  # 1-based, of the block
        seen = ratio.cumsum(dim=1).gather(1, (last - 1).clamp(min=0))
        log_weight = (length - last).to(ratio.dtype) * math.log(config.discount) + total - seen
    weight = log_weight.clamp(*config.clip_weight).exp()
    return torch.where(mask, weight, torch.zeros_like(weight))


def pear_loss(
    logp: torch.Tensor,
    target: torch.Tensor,
    *,
    config: PearConfig,
    behaviour: torch.Tensor | None = None,
) -> torch.Tensor:
    """``-sum(weight * logp)`` with the weights of `pear_weights`; all shapes [N, L].

    The answer of a row may begin anywhere; ``behaviour`` is its log-probability under what wrote
    it, None for data written by rule.
    """
    import torch

    mask = target != IGNORED
    front = torch.argsort((~mask).long(), dim=1, stable=True)  # answers moved to the left
    ours = logp.gather(1, front)
    theirs = None if behaviour is None else behaviour.gather(1, front)
    weight = pear_weights(ours, mask.gather(1, front), behaviour=theirs, config=config)
    return -(weight * ours).sum()

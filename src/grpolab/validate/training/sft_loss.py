"""The supervised loss of a batch, summed over the tokens of its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grpolab.validate.training.pear import PearConfig, pear_weights
from grpolab.validate.training.sft_data import IGNORED

if TYPE_CHECKING:
    import torch


def answer_logprobs(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Log-probabilities [N, L] of the target tokens under logits [N, L, V]; 0 where ignored."""
    from torch.nn.functional import cross_entropy

    flat = cross_entropy(
        logits.float().flatten(0, 1), target.flatten(), ignore_index=IGNORED, reduction="none"
    )
    return -flat.view_as(target)


def smoothed_loss(
    logits: torch.Tensor, target: torch.Tensor, *, label_smoothing: float
) -> torch.Tensor:
    """Cross-entropy against (1 - s) of the right token and s spread over the vocabulary."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(
        logits.float().flatten(0, 1), target.flatten(), ignore_index=IGNORED, reduction="sum",
        label_smoothing=label_smoothing,
    )  # fmt: skip


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

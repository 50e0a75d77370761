"""How much a network can still learn, by measures of the literature on loss of plasticity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grpolab.validate.models.tokens import pad_left

if TYPE_CHECKING:
    import torch

DORMANT = 0.1
"""A unit is dormant if its mean absolute activation is at most this share of its layer's mean."""


@dataclass(frozen=True, slots=True)
class Plasticity:
    """``dormant``: share of dormant units over all layers; ``effective_rank``: of the last layer.

    ``effective_rank`` lies between 1 and the smaller of the number of prompts and the hidden size.
    """

    dormant: float
    effective_rank: float


def plasticity(
    model: Any, prompts: Sequence[Sequence[int]], *, pad: int, rows: int = 256
) -> Plasticity:
    """Measure a causal LM on token ids of prompts; weights and modes stay as they are.

    A unit is an input of the last linear map of a block's feed-forward part, the one that leads
    from the intermediate size back to the hidden size. With a_j its mean absolute value over all
    tokens, unit j of a layer is dormant if a_j <= DORMANT x mean of a over the layer (Sokar et al.,
    arXiv 2302.12902, equation 1). The effective rank is exp(-sum s_i log s_i) of the singular
    values, scaled to sum 1, of the matrix of last hidden states at the last token of each prompt
    (Roy and Vetterli 2007; Kumar et al., arXiv 2010.14498, use another threshold on the same
    values). ValueError without prompts, or where no such linear map is found.
    """
    import torch

    if not prompts:
        raise ValueError("prompts must hold at least one prompt")
    units = _down_projections(model)
    if not units:
        raise ValueError("model has no linear map from its intermediate to its hidden size")
    totals: list[torch.Tensor | float] = [0.0] * len(units)
    mask = torch.zeros(0)
    last = []

    def counter(place: int) -> Any:
        def count(module: Any, inputs: Any) -> None:
            seen = mask[..., None].to(inputs[0].dtype)
            totals[place] = totals[place] + (inputs[0].abs() * seen).float().sum(dim=(0, 1))

        return count

    handles = [unit.register_forward_pre_hook(counter(i)) for i, unit in enumerate(units)]
    try:
        with torch.inference_mode():
            for start in range(0, len(prompts), rows):
                ids, mask = pad_left(prompts[start : start + rows], pad=pad, device=model.device)
                out = model(
                    input_ids=ids, attention_mask=mask, output_hidden_states=True,
                    position_ids=(mask.cumsum(dim=1) - 1).clamp(min=0), logits_to_keep=1,
                )  # fmt: skip
                last.append(out.hidden_states[-1][:, -1].float())
    finally:
        for handle in handles:
            handle.remove()
    size = torch.cat([torch.as_tensor(total) for total in totals])
    level = torch.cat([torch.full_like(t, float(t.mean())) for t in map(torch.as_tensor, totals)])
    return Plasticity(float((size <= DORMANT * level).float().mean()), _rank(torch.cat(last)))


def _down_projections(model: Any) -> list[Any]:
    """Linear maps from the intermediate size to the hidden size, in order."""
    import torch

    wide, hidden = model.config.intermediate_size, model.config.hidden_size
    shape = (wide, hidden)
    return [
        module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
        and (module.in_features, module.out_features) == shape
        and (wide != hidden or name.rpartition(".")[2] in ("down_proj", "dense_4h_to_h"))
    ]


def _rank(matrix: torch.Tensor) -> float:
    import torch

    values = torch.linalg.svdvals(matrix)
    share = values / values.sum()
    return float(torch.exp(torch.special.entr(share).sum()))

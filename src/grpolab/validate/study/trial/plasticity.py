"""Signs of lost plasticity in a transformer: dormant units and the rank of its last layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from grpolab.theory.groups import FloatArray
from grpolab.validate.rollouts.prompts import encode
from grpolab.validate.tasks import Prompt

DORMANT = 0.025
"""A unit is dormant whose mean activation is at most this share of its layer's mean."""


class Plasticity(NamedTuple):
    """``dormant``: share of MLP units; ``rank``: effective rank of the last hidden layer."""

    dormant: float
    rank: float


def plasticity(model: Any, tokenizer: Any, prompts: Sequence[Prompt]) -> Plasticity:
    """Both measures at the last token of each prompt, for a model of the Llama kind.

    Dormant: mean over prompts of |activation| at most `DORMANT` times the layer's mean (Sokar et
    al. 2023, arXiv 2302.12902; the threshold is theirs). Rank: `effective_rank` of the hidden
    states that the head reads.
    """
    import torch

    seen: list[FloatArray] = []

    def keep(module: Any, inputs: tuple[Any, ...]) -> None:
        seen.append(inputs[0][:, -1].abs().mean(dim=0).double().numpy())

    hooks = [
        layer.mlp.down_proj.register_forward_pre_hook(keep) for layer in model.model.layers
    ]  # fmt: skip
    ids = encode(tokenizer, prompts)
    width = max(map(len, ids))
    pad = tokenizer.pad_token_id
    rows = torch.tensor([[pad] * (width - len(row)) + list(row) for row in ids])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in ids])
    try:
        with torch.inference_mode():
            hidden = model.model(input_ids=rows, attention_mask=mask).last_hidden_state[:, -1]
    finally:
        for hook in hooks:
            hook.remove()
    asleep = [units <= DORMANT * units.mean() for units in seen]
    return Plasticity(
        dormant=float(np.mean(np.concatenate(asleep))),
        rank=effective_rank(hidden.double().numpy()),
    )


def effective_rank(matrix: FloatArray) -> float:
    """``exp(-sum q log q)``, q the singular values divided by their sum (Roy and Vetterli 2007).

    >>> round(effective_rank(np.eye(3)), 6), round(effective_rank(np.ones((3, 3))), 6)
    (3.0, 1.0)
    """
    values = np.linalg.svd(matrix, compute_uv=False)
    if not values.sum() > 0:
        return 0.0
    q = values / values.sum()
    q = q[q > 0]
    return float(np.exp(-np.sum(q * np.log(q))))

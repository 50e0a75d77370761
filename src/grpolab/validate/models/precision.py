"""Mixed precision: float32 weights, forward passes in bfloat16.

An optimiser's update of 1e-6 is below the spacing of bfloat16 numbers near most weights, so weights
stored in bfloat16 would not move. The weights stay float32 here, and each forward pass casts them.
"""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from typing import Any

from grpolab.errors import UserError

TRAINED_IN = ("float32", "bfloat16")
"""Types in which a model can be trained; gradients in float16 would need a scaler."""
_NAME = "computes_in"


def check_trainable(dtype: str) -> None:
    """UserError for a type in which no model is trained."""
    if dtype not in TRAINED_IN:
        raise UserError(
            f"--dtype {dtype} is for sampling: train in {' or '.join(TRAINED_IN)} (weights stay"
            " float32 in both)"
        )


def compute_in(model: Any, dtype: str) -> Any:
    """Let every forward pass of a model compute in ``dtype``; its weights stay as they are.

    The casts of the weights live as long as one forward pass: torch keeps them to the end of the
    outermost autocast, so one that were open during an update would go on with the old weights.
    """
    if dtype == "float32":
        return model
    setattr(model, _NAME, dtype)
    opened: list[AbstractContextManager[Any]] = []

    def enter(module: Any, arguments: Any) -> None:
        context = _autocast(module, dtype)
        context.__enter__()
        opened.append(context)

    def leave(module: Any, arguments: Any, output: Any) -> None:
        opened.pop().__exit__(None, None, None)

    model.register_forward_pre_hook(enter)
    model.register_forward_hook(leave, always_call=True)
    return model


def fixed_weights(model: Any) -> AbstractContextManager[Any]:
    """A block in which the weights do not change: they are cast once and not in each pass.

    Nothing in the block may be differentiated.
    """
    dtype = getattr(model, _NAME, "float32")
    return contextlib.nullcontext() if dtype == "float32" else _autocast(model, dtype)


def _autocast(model: Any, dtype: str) -> Any:
    import torch

    return torch.autocast(model.device.type, dtype=getattr(torch, dtype))

"""Functions of logits, a piece at a time: no copy of all logits, in either direction."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from grpolab.validate.rollouts.law import chunks

if TYPE_CHECKING:
    import torch

IGNORED = -100
"""The target of a token without a loss; that of torch and transformers."""

PerToken = Callable[..., "torch.Tensor"]
"""Of logits [n, l, V] and further tensors [n, l]: values [n, l, ...], each of its own token."""


def by_pieces(f: PerToken, logits: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
    """``f`` of logits [N, L, V] and others [N, L], and its gradient with respect to the logits.

    Small logits go through ``f`` as they are. Of larger ones ``f`` sees some rows, or some tokens
    of a row, at a time, and once more in the backward pass: beside the logits and their gradient
    only a piece is in memory. Logits may have more tokens than the others; those behind are not
    read, and have gradient 0.

    >>> import torch
    >>> by_pieces(lambda logits: logits.logsumexp(-1), torch.zeros(1, 2, 8))
    tensor([[2.0794, 2.0794]])
    """
    width = others[0].shape[1] if others else logits.shape[1]
    pieces = list(_pieces(len(logits), width, logits.shape[2]))
    if len(pieces) <= 1:
        return f(logits[:, :width], *others)
    found: torch.Tensor = _function().apply(f, pieces, logits, *others)
    return found


def token_losses(
    logits: torch.Tensor, target: torch.Tensor, *, label_smoothing: float = 0.0
) -> torch.Tensor:
    """Cross-entropy [N, L] of each target token in nats, 0 where the target is `IGNORED`.

    Label smoothing s: (1 - s) of the right token and s spread over the vocabulary.

    >>> import torch
    >>> token_losses(torch.zeros(1, 2, 8), torch.tensor([[3, IGNORED]]))
    tensor([[2.0794, 0.0000]])
    """
    from torch.nn.functional import cross_entropy

    def per_token(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        flat = cross_entropy(
            logits.float().flatten(0, 1), target.flatten(), ignore_index=IGNORED, reduction="none",
            label_smoothing=label_smoothing,
        )  # fmt: skip
        return flat.view_as(target)

    return by_pieces(per_token, logits, target)


Piece = tuple[slice, slice]


def _pieces(rows: int, width: int, vocabulary: int) -> Iterator[Piece]:
    """Whole rows where a row is small, else parts of one row."""
    for some in chunks(rows, max(width, 1) * vocabulary):
        if some.stop - some.start > 1:
            yield some, slice(0, width)
        else:
            yield from ((some, part) for part in chunks(width, vocabulary))


@functools.cache
def _function() -> Any:
    import torch

    class ByPieces(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, f: PerToken, pieces: list[Piece], logits: Any, *others: Any) -> Any:
            ctx.f, ctx.pieces = f, pieces
            ctx.save_for_backward(logits, *others)
            whole = None
            for at in pieces:
                part = f(logits[at], *(other[at] for other in others))
                if whole is None:
                    width = pieces[-1][1].stop
                    whole = part.new_empty((len(logits), width, *part.shape[2:]))
                whole[at] = part
            return whole

        @staticmethod
        def backward(ctx: Any, *upstream: Any) -> Any:
            logits, *others = ctx.saved_tensors
            gradient = torch.empty_like(logits)
            gradient[:, ctx.pieces[-1][1].stop :] = 0
            for at in ctx.pieces:
                leaf = logits[at].detach().requires_grad_()
                with torch.enable_grad():
                    value = ctx.f(leaf, *(other[at] for other in others))
                (gradient[at],) = torch.autograd.grad(value, leaf, upstream[0][at])
            return None, None, gradient, *(None for _ in others)

    return ByPieces

"""Texts as token ids, remembered, and rows of ids as one tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    import torch

_MOST = 1 << 17  # texts that are remembered per tokenizer
_known: WeakKeyDictionary[Any, dict[tuple[bool, str], list[int]]] = WeakKeyDictionary()


def token_ids(tokenizer: Any, texts: Sequence[str], *, special: bool = True) -> list[list[int]]:
    """Ids of every text, with or without the special tokens around it.

    Training asks for the same texts again and again, so they are remembered; a tokenizer must not
    be changed after its first use here. The lists are shared: copy before writing into one.
    """
    known = _known.setdefault(tokenizer, {})
    if len(known) > _MOST:
        known.clear()
    new = list(dict.fromkeys(text for text in texts if (special, text) not in known))
    if new:
        found = tokenizer(new, add_special_tokens=special, return_attention_mask=False)
        known.update(zip(((special, text) for text in new), found["input_ids"], strict=True))
    return [known[special, text] for text in texts]


def pad_left(
    rows: Sequence[Sequence[int]], *, pad: int, device: Any = "cpu"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask [B, P]: the last token of every row in the last column."""
    import torch

    length = max(map(len, rows), default=0)
    ids = [[pad] * (length - len(row)) + list(row) for row in rows]
    mask = [[0] * (length - len(row)) + [1] * len(row) for row in rows]
    shape = len(rows), length  # said, for there may be no row at all
    return (
        torch.tensor(ids, dtype=torch.long, device=device).reshape(shape),
        torch.tensor(mask, dtype=torch.long, device=device).reshape(shape),
    )

"""Supervised training: a base model on a broad corpus, and the SFT depth ladder on top of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from grpolab.validate.training.loss import Pair, completion_logits, completion_logprobs, encode
from grpolab.validate.training.pear import pear_weights, weighted_nll

if TYPE_CHECKING:
    import torch

    from grpolab.validate.tasks import Task

Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class BaseConfig:
    """Pre-training on the task's corpus: Adam, cosine decay to zero."""

    steps: int = 2500
    batch_size: int = 256
    lr: float = 2e-3


@dataclass(frozen=True, slots=True)
class SFTConfig:
    """The ladder: one trajectory at a constant rate, a checkpoint at each depth (in steps).

    ``loss`` "pear" weighs the tokens of the cross-entropy as arXiv 2602.01058 does (see `pear`).
    """

    depths: tuple[int, ...] = (8, 32, 128, 512, 2048)
    batch_size: int = 64
    lr: float = 5e-4
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    loss: Literal["cross-entropy", "pear"] = "cross-entropy"

    def __post_init__(self) -> None:
        if self.loss not in ("cross-entropy", "pear"):
            raise ValueError(f"loss must be cross-entropy or pear, got {self.loss!r}")
        if self.loss == "pear" and self.label_smoothing > 0:
            raise ValueError(f"label_smoothing must be 0 with pear, got {self.label_smoothing}")


def cross_entropy(
    model: Any, tokenizer: Any, pairs: Sequence[Pair], *, label_smoothing: float = 0.0
) -> torch.Tensor:
    """Mean over completion tokens of -log pi(token), in nats."""
    import torch

    batch = encode(tokenizer, pairs, device=model.device)
    logits = completion_logits(model, batch)
    return torch.nn.functional.cross_entropy(
        logits[batch.mask].float(), batch.tokens[batch.mask], label_smoothing=label_smoothing
    )


def pear_loss(model: Any, tokenizer: Any, pairs: Sequence[Pair]) -> torch.Tensor:
    """-sum(weight * log pi(token)) / number of tokens, with the weights of `pear_weights`."""
    batch = encode(tokenizer, pairs, device=model.device)
    logp = completion_logprobs(model, batch)
    return weighted_nll(logp, batch.mask, pear_weights(logp, batch.mask))


def sequence_nll(
    model: Any, tokenizer: Any, pairs: Sequence[Pair], *, rows_per_batch: int = 1024
) -> float:
    """Mean over pairs of -log pi(completion | prompt), in nats per completion."""
    import torch

    total = 0.0
    with torch.inference_mode():
        for i in range(0, len(pairs), rows_per_batch):
            batch = encode(tokenizer, pairs[i : i + rows_per_batch], device=model.device)
            total -= float(completion_logprobs(model, batch).sum())
    return total / len(pairs)


def train_base(
    model: Any,
    tokenizer: Any,
    *,
    task: Task,
    config: BaseConfig,
    seed: int,
    progress: Progress = lambda share: None,
) -> None:
    """Pre-train in place on fresh draws of the task's corpus."""
    import torch

    rng = np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: 0.5 * (1 + math.cos(math.pi * min(step / config.steps, 1.0)))
    )
    model.train()
    for step in range(config.steps):
        loss = cross_entropy(model, tokenizer, task.corpus(config.batch_size, rng=rng))
        _update(model, optimiser, loss)
        schedule.step()
        progress((step + 1) / config.steps)
    model.eval()


def train_ladder(
    model: Any,
    tokenizer: Any,
    *,
    pairs: Sequence[Pair],
    config: SFTConfig,
    seed: int,
    reached: Callable[[int], None],
    progress: Progress = lambda share: None,
) -> None:
    """Fine-tune in place on demonstrations; ``reached(depth)`` is called at every depth in turn."""
    import torch

    optimiser = torch.optim.AdamW(
        model.parameters(), lr=config.lr, weight_decay=config.weight_decay
    )
    batches = _epochs(pairs, config.batch_size, np.random.default_rng(seed))
    depths = sorted(config.depths)
    for step, chunk in zip(range(1, depths[-1] + 1), batches, strict=False):
        model.train()
        if config.loss == "pear":
            loss = pear_loss(model, tokenizer, chunk)
        else:
            loss = cross_entropy(model, tokenizer, chunk, label_smoothing=config.label_smoothing)
        _update(model, optimiser, loss)
        progress(step / depths[-1])
        if step in depths:
            model.eval()
            reached(step)


def _update(model: Any, optimiser: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    import torch

    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()


def _epochs(
    pairs: Sequence[Pair], batch_size: int, rng: np.random.Generator
) -> Iterable[list[Pair]]:
    """Endless epochs in fresh random orders; a last short batch is left out."""
    size = min(batch_size, len(pairs))
    while True:
        order = rng.permutation(len(pairs))
        for i in range(0, len(pairs) - size + 1, size):
            yield [pairs[j] for j in order[i : i + size]]

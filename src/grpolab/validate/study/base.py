"""Pre-training: a base model from scratch on the corpus of a task, before any SFT."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grpolab.streams import generator
from grpolab.validate.study.tasks.problems import StudyTask
from grpolab.validate.training.loss import TextPair, completion_logprobs, encode

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class BaseConfig:
    """Adam on fresh draws of the task's corpus, with a cosine decay of the rate to zero."""

    steps: int = 2500
    batch_size: int = 256
    lr: float = 2e-3


def cross_entropy(model: Any, tokenizer: Any, pairs: Sequence[TextPair]) -> torch.Tensor:
    """Mean over completion tokens of -log pi(token), in nats."""
    batch = encode(tokenizer, pairs, device=model.device)
    return -completion_logprobs(model, batch).sum() / batch.mask.sum()


def train_base(
    model: Any,
    tokenizer: Any,
    *,
    task: StudyTask,
    config: BaseConfig,
    seed: int,
    progress: Callable[[float], None] = lambda share: None,
) -> None:
    """Train a fresh model in place."""
    import torch

    rng = generator(seed, "corpus")
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: 0.5 * (1 + math.cos(math.pi * min(step / config.steps, 1.0)))
    )
    model.train()
    for step in range(config.steps):
        loss = cross_entropy(model, tokenizer, task.corpus(config.batch_size, rng=rng))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        progress((step + 1) / config.steps)
    model.eval()

"""The rollouts of one GRPO step: sampled, judged, and given their advantages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from grpolab.theory.groups import FloatArray, IntArray
from grpolab.validate.rollouts.hf import completion_texts, rollout_columns, sample
from grpolab.validate.rollouts.table import Rollouts, SamplingLaw
from grpolab.validate.training.config import GRPOConfig
from grpolab.validate.training.loss import Batch

if TYPE_CHECKING:
    import torch

    from grpolab.validate.tasks import Prompt, Task

BoolArray = npt.NDArray[np.bool_]


class Draw(NamedTuple):
    """Groups of rollouts, one group per prompt."""

    batch: Batch  # [M * g, ...]
    num_correct: IntArray  # [M]
    group_size: IntArray  # [M], rollouts with a verdict
    advantage: FloatArray  # [M * g]
    entropy: float
    frac_truncated: float
    rollouts: Rollouts | None = None  # [M * g], as they were judged

    @property
    def has_spread(self) -> BoolArray:
        """Which groups [M] hold both rewards."""
        return np.asarray((self.num_correct > 0) & (self.num_correct < self.group_size))

    def keep(self, groups: BoolArray) -> Draw:
        """The same draw with some of its groups."""
        import torch

        g = len(self.advantage) // len(self.num_correct)
        rows = np.flatnonzero(np.repeat(groups, g))
        index = torch.as_tensor(rows, device=self.batch.tokens.device)
        return self._replace(
            batch=Batch(*(part[index] for part in self.batch)),
            num_correct=self.num_correct[groups],
            group_size=self.group_size[groups],
            advantage=self.advantage[rows],
            rollouts=None if self.rollouts is None else self.rollouts.select(rows),
        )


def draw_groups(
    model: Any,
    tokenizer: Any,
    *,
    task: Task,
    prompts: Sequence[Prompt],
    config: GRPOConfig,
    rng: torch.Generator,
) -> Draw:
    """Sample one group per prompt, judge it and look up the advantages.

    A rollout without a verdict counts in no group statistic and gets advantage 0.
    """
    g = config.group_size
    law = SamplingLaw(max_new_tokens=task.max_new_tokens, temperature=config.temperature)
    sampled = sample(
        model, tokenizer, prompts=[p.text for p in prompts], num_samples=g, law=law, generator=rng
    )
    texts = completion_texts(tokenizer, sampled)
    columns = rollout_columns(task, prompts, sampled, texts, group_size=g)
    columns["group"] = np.repeat(np.arange(len(prompts)), g)
    rollouts = Rollouts(**columns, text=np.array(texts, dtype=object))  # type: ignore[arg-type]
    reward = rollouts.reward.reshape(-1, g)
    seen = ~np.isnan(reward)
    num_correct = np.nansum(reward, axis=1).astype(np.int64)
    size = seen.sum(axis=1)
    value = config.rule.advantages(num_correct, np.maximum(size, 1))
    advantage = np.where(reward == 1, value.correct[:, None], value.wrong[:, None])
    advantage = np.where(seen, advantage, 0.0).reshape(-1)
    batch = Batch(
        sampled.prompt_ids.repeat_interleave(g, dim=0),
        sampled.prompt_mask.repeat_interleave(g, dim=0),
        sampled.tokens.clone(),  # out of inference mode
        sampled.mask.clone(),
    )
    entropy = float(sampled.entropy.sum() / sampled.mask.sum())
    cut = 1.0 - float(sampled.ended.float().mean())
    return Draw(batch, num_correct, size, advantage, entropy, cut, rollouts)


def merge(draws: Sequence[Draw], *, pad: int) -> Draw:
    """Several draws as one: shorter prompts padded on the left, shorter completions on the right.

    Entropy and truncation are means weighted by rollouts.
    """
    import torch

    if len(draws) == 1:
        return draws[0]

    def stack(part: str, *, left: bool, fill: int) -> torch.Tensor:
        pieces = [getattr(draw.batch, part) for draw in draws]
        width = max(piece.shape[1] for piece in pieces)
        widths = [width - piece.shape[1] for piece in pieces]
        pads = [(w, 0) if left else (0, w) for w in widths]
        padded = [
            torch.nn.functional.pad(piece, gap, value=fill)
            for piece, gap in zip(pieces, pads, strict=True)
        ]
        return torch.cat(padded)

    weight = [len(draw.advantage) for draw in draws]
    return Draw(
        Batch(
            stack("prompt_ids", left=True, fill=pad),
            stack("prompt_mask", left=True, fill=0),
            stack("tokens", left=False, fill=pad),
            stack("mask", left=False, fill=0),
        ),
        np.concatenate([draw.num_correct for draw in draws]),
        np.concatenate([draw.group_size for draw in draws]),
        np.concatenate([draw.advantage for draw in draws]),
        float(np.average([draw.entropy for draw in draws], weights=weight)),
        float(np.average([draw.frac_truncated for draw in draws], weights=weight)),
        _joined([draw.rollouts for draw in draws if draw.rollouts is not None]),
    )


def _joined(tables: Sequence[Rollouts]) -> Rollouts | None:
    """Several tables as one, their groups numbered through."""
    if not tables:
        return None
    columns = {
        name: np.concatenate([table.columns[name] for table in tables])
        for name in tables[0].columns
    }
    before = np.cumsum([0, *(table.group.max() + 1 for table in tables[:-1])])
    columns["group"] += np.repeat(before, [len(table) for table in tables])
    return Rollouts(**columns)

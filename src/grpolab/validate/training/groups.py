"""Groups of rollouts: which prompts a step asks, how they are drawn and judged, advantages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from grpolab.streams import generator, stream_seed
from grpolab.theory.advantage import TwoValued
from grpolab.theory.groups import FloatArray, IntArray, equal_rewards
from grpolab.validate.rollouts.collect import describe, rollouts
from grpolab.validate.rollouts.engine import Draws, Engine, join_draws, texts
from grpolab.validate.rollouts.judge import judge
from grpolab.validate.rollouts.prompts import encode
from grpolab.validate.rollouts.table import Rollouts
from grpolab.validate.training.config import GRPOConfig, least_group
from grpolab.validate.training.loss import Batch

if TYPE_CHECKING:
    from grpolab.validate.tasks import Prompt, Task

BoolArray = npt.NDArray[np.bool_]


def pick_prompts(num_prompts: int, config: GRPOConfig, *, seed: int, batch: int) -> IntArray:
    """Places of the prompts of batch number ``batch``, [prompts_per_step], without repeats."""
    order = generator(seed, "prompts", batch)
    return np.asarray(order.choice(num_prompts, config.prompts_per_step, replace=False))


class Groups(NamedTuple):
    """M groups of g rollouts, one group per prompt, as they were drawn and judged."""

    prompts: Sequence[Prompt]  # M
    ids: Sequence[Sequence[int]]  # token ids of the M prompts
    draws: Draws  # [M * g, ...]
    text: Sequence[str]  # M * g
    reward: FloatArray  # [M, g], NaN without a verdict

    @property
    def num_correct(self) -> IntArray:
        """Right rollouts of each group, [M]."""
        return np.asarray(np.nansum(self.reward, axis=1), dtype=np.int64)

    @property
    def num_judged(self) -> IntArray:
        """Rollouts with a verdict, [M]: the group's size in all statistics."""
        return np.asarray((~np.isnan(self.reward)).sum(axis=1))

    @property
    def has_spread(self) -> BoolArray:
        """Which groups [M] hold both rewards."""
        return np.asarray(~equal_rewards(self.reward))

    def advantages(self, rule: TwoValued) -> FloatArray:
        """Advantage of every rollout, [M * g]; 0 without a verdict.

        Also 0 in a group with fewer verdicts than a rule of subsets of k needs.
        """
        least = least_group(rule)
        value = rule.advantages(self.num_correct, np.maximum(self.num_judged, least))
        found = np.where(self.reward == 1, value.correct[:, None], value.wrong[:, None])
        known = ~np.isnan(self.reward) & (self.num_judged >= least)[:, None]
        return np.where(known, found, 0.0).reshape(-1)

    def batch(self, engine: Engine) -> Batch:
        """Prompts and completions as padded tensors on the engine's device."""
        g = self.reward.shape[1]
        rows = [ids for ids in self.ids for _ in range(g)]
        return Batch.of(rows, self.draws.tokens, tokenizer=engine.tokenizer, device=engine.device)

    def table(self) -> Rollouts:
        """The rollouts with their texts; group i is the i-th prompt's."""
        size, g = self.reward.shape
        columns = describe([p.id for p in self.prompts], self.draws)
        columns["sample"] = np.arange(size * g)
        return rollouts(columns, self.text, self.reward.ravel(), group_size=g, keep_text=True)

    def keep(self, groups: BoolArray) -> Groups:
        """Some of the groups."""
        rows = np.repeat(groups, self.reward.shape[1])
        places = np.flatnonzero(groups).tolist()
        return Groups(
            [self.prompts[i] for i in places],
            [self.ids[i] for i in places],
            self.draws.select(rows),
            [self.text[i] for i in np.flatnonzero(rows)],
            self.reward[groups],
        )

    @classmethod
    def join(cls, parts: Sequence[Groups]) -> Groups:
        """Several batches as one."""
        return cls(
            [prompt for part in parts for prompt in part.prompts],
            [ids for part in parts for ids in part.ids],
            join_draws([part.draws for part in parts]),
            [text for part in parts for text in part.text],
            np.concatenate([part.reward for part in parts]),
        )


def draw_groups(
    engine: Engine,
    *,
    task: Task,
    prompts: Sequence[Prompt],
    config: GRPOConfig,
    seed: int,
    first: int = 0,
) -> Groups:
    """Sample one group per prompt and judge it; ``first`` is the place of the first prompt."""
    g = config.group_size
    ids = encode(engine.tokenizer, prompts)
    draws = engine.draw(
        ids, num_samples=g, law=config.law(task), seed=stream_seed(seed, "rollouts"), first=first
    )
    text = texts(engine.tokenizer, draws.tokens, config.law(task))
    verdicts = judge(task, prompts, text)
    return Groups(prompts, ids, draws, text, np.array(verdicts, dtype=np.float64).reshape(-1, g))

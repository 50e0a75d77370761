"""What a GRPO run leaves behind: every group of every step, one row per step, evaluations."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from grpolab.figures.words import number, percent
from grpolab.theory.groups import GroupCounts, IntArray, equal_rewards
from grpolab.validate.rollouts.table import Rollouts


class StepLog(NamedTuple):
    """One training step; means are over all groups drawn, kept or not."""

    step: int
    mean_reward: float
    frac_zero_std: float
    entropy: float  # mean token entropy of the sampled completions, nats
    grad_norm: float
    loss: float
    kl: float
    clip_low: float
    clip_high: float
    frac_truncated: float
    num_missing: int  # rollouts without a verdict
    num_tokens: int = 0  # of all completions; 0 in runs of before it was kept

    @property
    def words(self) -> str:
        """The step as progress shows it.

        >>> StepLog(2, 0.359, 0.69, 0, 0, 0, 0, 0, 0, 0, 0).words
        'step 3, reward 0.359, 69% zero-std'
        """
        return (
            f"step {self.step + 1}, reward {number(self.mean_reward)},"
            f" {percent(self.frac_zero_std)} zero-std"
        )


class StepRecord(NamedTuple):
    """One training step and all its groups, shape [M] each."""

    log: StepLog
    num_correct: IntArray
    group_size: IntArray  # rollouts with a verdict
    prompt_id: IntArray
    rollouts: Rollouts | None = None  # all of the step, where they are kept

    @staticmethod
    def reward_stats(num_correct: IntArray, group_size: IntArray) -> tuple[float, float]:
        """Mean reward and share of zero-std groups; NaN where there is no verdict.

        >>> StepRecord.reward_stats(np.array([0, 1]), np.array([2, 2]))
        (0.25, 0.5)
        """
        seen = group_size > 0
        if not seen.any():
            return math.nan, math.nan
        least_and_most = np.stack([num_correct == group_size, num_correct > 0], axis=1)
        same = equal_rewards(least_and_most)  # of 0 and 1
        return float(num_correct.sum() / group_size.sum()), float(same[seen].mean())


@dataclass(slots=True)
class GRPORun:
    """All steps of a run, and what ``evaluate`` returned at which step."""

    records: list[StepRecord] = field(default_factory=list)
    evals: list[tuple[int, Any]] = field(default_factory=list)

    @property
    def steps(self) -> list[StepLog]:
        """One row per step."""
        return [record.log for record in self.records]

    def counts(self) -> GroupCounts:
        """All groups in order; ``step`` is the step that sampled them.

        A group's size is its number of verdicts; groups without any are left out.
        """
        size = np.concatenate([r.group_size for r in self.records])
        seen = size > 0
        step = np.repeat(
            [r.log.step for r in self.records], [len(r.num_correct) for r in self.records]
        )
        return GroupCounts(
            np.concatenate([r.num_correct for r in self.records])[seen],
            size[seen],
            prompt_id=np.concatenate([r.prompt_id for r in self.records])[seen],
            step=step[seen],
        )

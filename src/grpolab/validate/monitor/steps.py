"""What the monitor sees of one training step: its groups, and a few numbers of the trainer."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class GroupTally(NamedTuple):
    """Groups of one step. A group counts when at least two of its rollouts have a verdict.

    ``num_all_wrong`` is NaN where only the share of zero-std groups is known. ``num_unseen``
    groups have too few verdicts: they are no observation.
    """

    num_groups: float
    num_informative: float
    num_all_wrong: float = math.nan
    num_unseen: float = 0.0


class StepMetrics(NamedTuple):
    """Numbers that the trainer logged; None where it logged nothing, NaN where it logged NaN."""

    entropy: float | None = None
    frac_truncated: float | None = None
    loss: float | None = None
    grad_norm: float | None = None


class StepView(NamedTuple):
    """One training step: its number, its groups if they are known, its metrics."""

    step: int
    groups: GroupTally | None = None
    metrics: StepMetrics = StepMetrics()


def tally(num_correct: npt.ArrayLike, num_verdicts: npt.ArrayLike) -> GroupTally:
    """Count the groups of one step from successes and verdicts per group, shape [M] each.

    >>> tally([0, 2, 4, 1], [4, 4, 4, 1])
    GroupTally(num_groups=3.0, num_informative=1.0, num_all_wrong=1.0, num_unseen=1.0)
    """
    correct, seen = np.asarray(num_correct), np.asarray(num_verdicts)
    counts = seen >= 2
    mixed = counts & (correct > 0) & (correct < seen)
    wrong = counts & (correct == 0)
    return GroupTally(*(float(part.sum()) for part in (counts, mixed, wrong, ~counts)))


def tally_share(frac_zero_std: float, num_groups: float) -> GroupTally:
    """Count the groups of a step of which only the zero-std share is known.

    >>> tally_share(0.75, 8).num_informative
    2.0
    """
    return GroupTally(num_groups, num_groups * (1 - frac_zero_std))


def tally_rewards(rewards: npt.ArrayLike, *, group_size: int) -> GroupTally:
    """Count groups from 0/1 rewards in order, group after group; NaN is no verdict.

    >>> tally_rewards([1, 0, float("nan"), 0], group_size=2).num_unseen
    1.0
    """
    table = np.asarray(rewards, dtype=np.float64).reshape(-1, group_size)
    seen = ~np.isnan(table)
    return tally(np.where(seen, table, 0.0).sum(axis=1), seen.sum(axis=1))

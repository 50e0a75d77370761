"""What the monitor is told, and what it remembers: two small dataclasses, plain JSON types."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

_LARGEST_FLOOR = 0.99
ROW = 8
"""Numbers in a row of `MonitorState.recent`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorConfig:
    """When the monitor speaks.

    ``min_signal`` and ``alpha`` define the test (see `SignalTest`): the hypothesis is that at least
    this share of the groups of every step is informative, or, where ``min_groups`` is above 0, at
    least so many groups of every step. The verdict ``no-signal`` also needs ``patience`` training
    steps since the first group that counted, and fewer informative groups than the hypothesis says
    in the last ``patience`` of them taken together. ``blind_after`` steps in a row
    without any verdict raise ``blind``. Metrics are compared over ``window`` logged rows: entropy
    has collapsed below ``collapse_ratio`` of the run's first rows and below ``collapse_entropy``
    nats, exploded above ``explosion_ratio`` of them and above ``explosion_entropy``. ``truncated``
    is the share of cut-off completions, ``not_finite`` the number of rows in a row with a NaN or
    infinite loss or gradient norm, from which on they are reported. ``steps`` is the planned length
    of the run, which the forecast of its outcome needs; 0: no forecast.
    """

    min_signal: float = 0.01
    alpha: float = 0.01
    min_groups: float = 0.0
    patience: int = 20
    blind_after: int = 20
    window: int = 10
    collapse_ratio: float = 0.25
    collapse_entropy: float = 0.05
    explosion_ratio: float = 2.0
    explosion_entropy: float = 1.0
    truncated: float = 0.25
    not_finite: int = 3
    steps: int = 0

    def __post_init__(self) -> None:
        for name in ("min_signal", "alpha", "collapse_ratio", "truncated"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in (0, 1), got {getattr(self, name)}")
        for name in ("patience", "blind_after", "window", "not_finite"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.steps < 0:
            raise ValueError(f"steps must be >= 0, got {self.steps}")
        if not 0 <= self.min_groups < math.inf:
            raise ValueError(f"min_groups must be a number >= 0, got {self.min_groups}")
        if not self.explosion_ratio > 1:
            raise ValueError(f"explosion_ratio must be > 1, got {self.explosion_ratio}")

    def floor(self, num_groups: float) -> float:
        """The smallest share of informative groups that the hypothesis allows a step.

        Below 1: a step of fewer groups than ``min_groups`` cannot have so many informative ones,
        and a smaller share is a weaker hypothesis, so that its rejection stays right.

        >>> MonitorConfig(min_groups=2).floor(16), MonitorConfig().floor(16)
        (0.125, 0.01)
        """
        if not self.min_groups:
            return self.min_signal
        return min(self.min_groups / num_groups, _LARGEST_FLOOR)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


@dataclass(slots=True)
class MonitorState:
    """Everything that a monitor needs to go on after a restart; JSON types only.

    ``recent`` holds [step, groups, informative, all wrong, rollouts, right ones, informative at
    least, at most] of the last steps with groups, None where it is not known (the last two: where
    the third is a count); ``pooled`` holds [step, informative, as many as the
    hypothesis says] of those within ``patience`` steps of the last;
    ``paper_entropy`` the entropies at the first rows from step 10 and from step 150 on.
    """

    last_group_step: int = -1
    last_metric_step: int = -1
    first_step: int = -1  # with a group that counted
    test_steps: int = 0
    wealth: list[float] = field(default_factory=list)
    recent: list[list[float | None]] = field(default_factory=list)
    pooled: list[list[float]] = field(default_factory=list)
    num_groups: float = 0.0
    num_informative: float = 0.0
    num_unseen: float = 0.0
    blind_steps: int = 0
    early_entropy: list[float] = field(default_factory=list)
    recent_entropy: list[float] = field(default_factory=list)
    paper_entropy: list[float] = field(default_factory=list)
    recent_truncated: list[float] = field(default_factory=list)
    not_finite_rows: int = 0
    held_out: list[list[float]] = field(default_factory=list)  # score, training reward before it
    held_out_looks: int = 0
    rewards: list[float] = field(default_factory=list)  # since the last evaluation
    apart_since: int = -1  # step at which the held-out score had fallen
    jump_step: int = -1  # since which all rollouts have one verdict, overnight
    jump_right: bool = False  # and whether it is "right"
    jump_share: float = 0.0  # of groups that held the other verdict just before
    first_rejection: int = -1  # step
    begin: int = -1  # step at which the course begins
    course: list[list[float]] = field(default_factory=list)  # blocks of `futility`
    raised: dict[str, int] = field(default_factory=dict)  # alarms that stand, since which step

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> MonitorState:
        """The state that `as_dict` wrote; keys of other versions are passed over."""
        known = {f.name for f in fields(cls)}
        state = cls(**{key: value for key, value in values.items() if key in known})
        state.recent = [[*row, None, None][:ROW] for row in state.recent]
        return state


class GroupTally(NamedTuple):
    """Groups of one step. A group counts when at least two of its rollouts have a verdict.

    ``num_all_wrong`` is NaN where only the share of zero-std groups is known. ``num_unseen``
    groups have too few verdicts: they are no observation. ``num_rollouts`` and ``num_correct`` are
    those of the groups that count; NaN where they are not known. ``num_not_finite`` groups have a
    NaN or infinite advantage: nothing can be learned from them.

    ``num_low`` is NaN where ``num_informative`` is a count. Else ``num_informative`` is the most
    that there can be, and ``num_low`` to ``num_high`` groups are informative if all rewards are 0
    or 1.
    """

    num_groups: float
    num_informative: float
    num_all_wrong: float = math.nan
    num_unseen: float = 0.0
    num_rollouts: float = math.nan
    num_correct: float = math.nan
    num_not_finite: float = 0.0
    num_low: float = math.nan
    num_high: float = math.nan


class StepMetrics(NamedTuple):
    """Numbers that the trainer logged; None where it logged nothing, NaN where it logged NaN."""

    entropy: float | None = None
    frac_truncated: float | None = None
    loss: float | None = None
    grad_norm: float | None = None
    reward: float | None = None  # mean over the rollouts of training
    held_out: float | None = None  # score on prompts that are not trained on


class StepView(NamedTuple):
    """One training step: its number, its groups if they are known, its metrics.

    Parameters
    ----------
    step : int
        Number of the step.
    groups : GroupTally, optional
        Its groups, from `tally`.
    metrics : StepMetrics
        What the trainer logged.

    Examples
    --------
    >>> StepView(3, tally([0, 2], [4, 4])).groups.num_informative
    1.0
    """

    step: int
    groups: GroupTally | None = None
    metrics: StepMetrics = StepMetrics()


def tally(num_correct: npt.ArrayLike, num_verdicts: npt.ArrayLike) -> GroupTally:
    """Count the groups of one step.

    Parameters
    ----------
    num_correct : array_like
        Successes per group, shape [M].
    num_verdicts : array_like
        Rollouts with a verdict per group, shape [M]; groups with fewer than two are unseen.

    Returns
    -------
    GroupTally
        Numbers of groups, of informative ones, of all-wrong ones and of unseen ones; rollouts of
        the groups that count, and how many of them are right.

    Raises
    ------
    ValueError
        Shapes that do not broadcast.

    Examples
    --------
    >>> tally([0, 2, 4, 1], [4, 4, 4, 1])
    GroupTally(num_groups=3.0, num_informative=1.0, num_all_wrong=1.0, num_unseen=1.0,
               num_rollouts=12.0, num_correct=6.0, num_not_finite=0.0, num_low=nan, num_high=nan)
    """
    correct, seen = np.broadcast_arrays(num_correct, num_verdicts)
    counts = seen >= 2
    mixed = counts & (correct > 0) & (correct < seen)
    wrong = counts & (correct == 0)
    parts = counts, mixed, wrong, ~counts, counts * seen, counts * correct
    return GroupTally(*(float(part.sum()) for part in parts))


def tally_share(frac_zero_std: float, num_groups: float) -> GroupTally:
    """Count the groups of a step of which only the zero-std share is known.

    >>> tally_share(0.75, 8).num_informative
    2.0
    """
    return GroupTally(num_groups, num_groups * (1 - frac_zero_std))


def tally_range(num_groups: float, *, low: float = 0.0, high: float = 1.0) -> GroupTally:
    """Groups of which it is only known that some are informative, at most all of them.

    ``low`` and ``high`` bound the share of informative groups if all rewards are 0 or 1.

    >>> tally_range(8, low=0.5).num_low
    4.0
    """
    return GroupTally(num_groups, num_groups, num_low=low * num_groups, num_high=high * num_groups)


def tally_rewards(rewards: npt.ArrayLike, *, group_size: int) -> GroupTally:
    """Count groups from 0/1 rewards in order, group after group; NaN is no verdict.

    >>> tally_rewards([1, 0, float("nan"), 0], group_size=2).num_unseen
    1.0
    """
    table = np.asarray(rewards, dtype=np.float64).reshape(-1, group_size)
    seen = ~np.isnan(table)
    return tally(np.where(seen, table, 0.0).sum(axis=1), seen.sum(axis=1))

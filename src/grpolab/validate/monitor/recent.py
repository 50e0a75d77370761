"""The last steps of a run as one sample of groups: how many were informative, and how sure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from grpolab.validate.estimate.bootstrap import exact_interval


class Recent:
    """Counts over the rows of `MonitorState.recent`; NaN where a number is not known.

    >>> some = Recent([[1, 16, 4, 12, 128, 9, None, None]])
    >>> some.groups, some.informative, some.rollouts_per_informative
    (16, 4, 32.0)
    """

    def __init__(self, rows: Sequence[Sequence[float | None]]) -> None:
        self.rows = rows

    def _sum(self, column: int) -> float:
        """Sum of a column, NaN where one number is not known."""
        return sum(math.nan if row[column] is None else row[column] or 0.0 for row in self.rows)

    @property
    def groups(self) -> float:
        """Groups with verdicts."""
        return self._sum(1)

    @property
    def informative(self) -> float:
        """Groups with different rewards; where they are not counted, the most that there can be."""
        return self._sum(2)

    @property
    def all_wrong(self) -> float:
        """Groups that are all wrong."""
        return self._sum(3)

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Informative groups, at least and at most, if all rewards are 0 or 1.

        None where they are counted. Else `informative` is the most that there can be, whatever the
        rewards are.
        """
        if all(row[6] is None for row in self.rows):
            return None
        low, high = (
            sum((row[2] if row[i] is None else row[i]) or 0.0 for row in self.rows) for i in (6, 7)
        )
        return low, high

    @property
    def interval(self) -> tuple[float, float] | None:
        """95% interval of the chance that a group is informative.

        None where there is no group, or where informative ones are not counted.
        """
        if not self.groups or self.bounds is not None:
            return None
        return exact_interval(self.informative, self.groups)

    @property
    def rollouts_per_informative(self) -> float:
        """Rollouts for each informative group."""
        return self._sum(4) / self.informative if self.informative else math.nan

    @property
    def pass_rate(self) -> float:
        """Share of right rollouts."""
        return self._sum(5) / self._sum(4) if self._sum(4) else math.nan

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        low, high = self.bounds or (None, None)
        return {
            "steps": len(self.rows),
            "groups": self.groups,
            "informative": self.informative,
            "informative_is": "counted" if low is None else "at most",
            "interval_of_share": None if self.interval is None else list(self.interval),
            "if_rewards_are_0_or_1": None if low is None else {"at_least": low, "at_most": high},
            "all_wrong": known(self.all_wrong),
            "pass_rate": known(self.pass_rate),
            "rollouts_per_informative": known(self.rollouts_per_informative),
        }


def known(value: float) -> float | None:
    """None for NaN, as JSON has it.

    >>> known(float("nan")), known(0.5)
    (None, 0.5)
    """
    return None if math.isnan(value) else value

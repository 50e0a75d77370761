"""What a caller may say about a file, and what reading it gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from grpolab.theory.groups import GroupCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """How to read a file; None leaves the choice to the format.

    ``score`` names the column, reward function, metric or scorer that holds the verdict;
    ``threshold`` makes scores binary (correct where score > threshold); ``group_size`` is needed
    where a format does not record it; ``filter`` picks a filter of lm-eval; ``filtered`` overrides
    whether the file was written after dynamic sampling.
    """

    format: str = "auto"
    problem: str | None = None
    score: str | None = None
    group: str | None = None
    step: str | None = None
    threshold: float | None = None
    group_size: int | None = None
    filter: str | None = None
    filtered: bool | None = None


class Reading(NamedTuple):
    """The table, the format it was read as, and what was left out or assumed on the way."""

    counts: GroupCounts
    format: str
    notes: tuple[str, ...]

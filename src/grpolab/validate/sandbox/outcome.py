"""What running a program can come to, and the record of one run."""

from __future__ import annotations

import enum
import math
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple


class Outcome(enum.StrEnum):
    """Verdict on one program; only SANDBOX_ERROR is no verdict, and no program can bring it about.

    >>> Outcome.PASS.reward, Outcome.OOM.reward, Outcome.SANDBOX_ERROR.reward
    (1.0, 0.0, nan)
    """

    PASS = "pass"
    WRONG = "wrong"
    EXCEPTION = "exception"
    TIMEOUT = "timeout"
    OOM = "oom"
    SANDBOX_ERROR = "sandbox_error"

    @property
    def reward(self) -> float:
        """1 for PASS, NaN for SANDBOX_ERROR, else 0."""
        if self is Outcome.SANDBOX_ERROR:
            return math.nan
        return float(self is Outcome.PASS)

    @property
    def verdict(self) -> bool | None:
        """The reward as True, False or, without one, None."""
        return None if self is Outcome.SANDBOX_ERROR else self is Outcome.PASS


class Result(NamedTuple):
    """One run: its outcome, why, the level of isolation, what the program used, and how often.

    ``output`` is what it printed, where that was asked for and it ended well.
    """

    outcome: Outcome
    level: str
    detail: str = ""
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    peak_bytes: int = 0
    tries: int = 1
    output: str = ""


def count_outcomes(results: Iterable[Result]) -> dict[str, int]:
    """Number of runs per outcome, every outcome present.

    >>> count_outcomes([Result(Outcome.PASS, "bubblewrap")])["pass"]
    1
    """
    seen = Counter(result.outcome for result in results)
    return {str(outcome): seen[outcome] for outcome in Outcome}

"""What groups of a planned size will hold beside their zero-std share, and by which model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from grpolab.theory.groups import FloatArray, GroupCounts
from grpolab.theory.pass_at_k import expected_pass_at_k
from grpolab.theory.zero_std import prob_zero_std
from grpolab.validate.estimate import cells
from grpolab.validate.forecast.beyond import ASSUMES, Beyond, falling
from grpolab.validate.forecast.law import LawOfP, Method, fit_law
from grpolab.validate.forecast.predict import first_groups
from grpolab.validate.forecast.profile import law_interval
from grpolab.validate.forecast.zero_std import natural_method

_LARGEST_STD = 0.5  # of a group of rewards 0 and 1


@dataclass(frozen=True, slots=True)
class FirstGroups:
    """Interval of the zero-std share that the first ``num_groups`` groups of a run will show."""

    num_groups: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Outlook:
    """Shares and signal of groups of one size, each with its interval.

    ``signal`` is the mean over prompts of E[sigma]. ``pass_at`` is pass@g where the samples do not
    reach g, else None: there it is among the measured ones. ``first`` is None unless asked for.
    """

    method: Method
    all_wrong: Beyond
    all_right: Beyond
    signal: Beyond
    pass_at: Beyond | None
    first: FirstGroups | None

    @property
    def assumes(self) -> str:
        """What the numbers rest on, in words."""
        return ASSUMES[self.method]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        first = self.first
        return {
            "assumes": self.assumes,
            "all_wrong_interval": [self.all_wrong.low, self.all_wrong.high],
            "all_right_interval": [self.all_right.low, self.all_right.high],
            "signal": self.signal.value,
            "signal_interval": [self.signal.low, self.signal.high],
            "first_groups": None if first is None else
            {"num_groups": first.num_groups, "low": first.low, "high": first.high},
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Limits:
    """What counts leave open that no model of p could narrow, such as one sample per prompt.

    Ends, whatever the law of p, of the zero-std share and of pass@g.
    """

    zero_std: tuple[float, float]
    pass_at: tuple[float, float]


def limits(counts: GroupCounts, group_size: int, *, level: float) -> Limits:
    """95% limits of a group size from the mean alone: no prompt needs two samples.

    The share is least where all prompts have one success rate, and 1 where each is always or never
    solved. With one prompt all is open.
    """
    data = cells.unfiltered(counts)
    found = []
    for statistic in (
        lambda p: prob_zero_std(p, group_size), lambda p: expected_pass_at_k(p, group_size)
    ):  # fmt: skip
        low, high = law_interval(data, statistic, level=level)
        found.append((float(low), float(high)))
    return Limits(*found)


def look_ahead(
    counts: GroupCounts,
    group_size: int,
    *,
    num_groups: int | None = None,
    method: Method | None = None,
    rng: int,
    level: float,
    num_resamples: int,
) -> Outlook:
    """Everything that groups of ``group_size`` will hold; ``num_groups`` of a run, or None.

    ``method`` is the law of p, by default that of `natural_method`.
    """
    g, method = group_size, method or natural_method(counts, group_size)
    first = None
    if num_groups is not None:
        ends = first_groups(
            counts, g, num_groups=num_groups, rng=rng, level=level, num_resamples=num_resamples
        )
        first = FirstGroups(num_groups, *ends)
    options: dict[str, Any] = {"rng": rng, "level": level, "num_resamples": num_resamples}
    half = _LARGEST_STD
    if method != "smoothed mixture":
        law = fit_law(counts, method)

        def mean_of(statistic: Callable[[LawOfP], FloatArray]) -> Beyond:
            low, high = law.interval(statistic, **options)
            return Beyond(float(statistic(law)), low, high)

        wrong, right = mean_of(lambda one: one.all_wrong(g)), mean_of(lambda one: one.all_right(g))
        std, solved = mean_of(lambda one: one.expected_std(g) / half), None
    else:
        wrong = falling(counts, lambda law, n: law.all_wrong(n), g, **options)
        right = falling(counts, lambda law, n: law.all_right(n), g, **options)
        flat = falling(counts, lambda law, n: 1.0 - law.expected_std(n) / half, g, **options)
        std, solved = _rest(flat), _rest(wrong)
    signal = Beyond(*(half * value for value in std))
    return Outlook(method, wrong, right, signal, solved, first)


def _rest(found: Beyond) -> Beyond:
    """What is left of 1."""
    return Beyond(1.0 - found.value, 1.0 - found.high, 1.0 - found.low)

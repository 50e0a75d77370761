"""Starts compared by short runs, paired over prompts and RL seeds, looked at after every seed.

A *round* is one RL seed: a short run from every start that can still win, on the same prompts in
the same order. After each round the differences of all pairs get an interval, and all intervals of
all rounds hold at once, so that one may stop, or add another seed, whenever one likes.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from grpolab.theory.groups import FloatArray
from grpolab.validate.estimate.bootstrap import check_level, half_width
from grpolab.validate.estimate.crossed import RL_NOISE, crossed_mean

MARGIN = 0.022
"""Final scores of one ladder that differ by less are called equal (``docs/preregistration.md``)."""


def look_level(look: int, *, level: float = 0.95) -> float:
    """Level of the intervals after round ``look`` >= 1: 1 - (1 - level) / (look (look + 1)).

    The errors that are spent, alpha/2, alpha/6, alpha/12, ..., sum to alpha = 1 - level over any
    number of rounds, by the union bound.

    >>> [round(look_level(look), 4) for look in (1, 2, 3)]
    [0.975, 0.9917, 0.9958]
    """
    if look < 1:
        raise ValueError(f"look must be >= 1, got {look}")
    return 1.0 - (1.0 - check_level(level)) / (look * (look + 1))


class StartPair(NamedTuple):
    """How much better the first start ends than the second, after the ``rounds`` both have.

    ``low`` to ``high`` holds for all pairs and all rounds at once.
    """

    first: str
    second: str
    rounds: int
    difference: float
    low: float
    high: float
    margin: float

    @property
    def verdict(self) -> str:
        """``better``, ``equal`` (both ways within the margin), ``no worse``, ``cannot tell``."""
        if self.low > 0:
            return "better"
        if -self.margin <= self.low and self.high <= self.margin:
            return "equal"
        return "no worse" if self.low >= -self.margin else "cannot tell"

    @property
    def turned(self) -> StartPair:
        """The same pair the other way round."""
        return StartPair(
            self.second, self.first, self.rounds, -self.difference, -self.high, -self.low,
            self.margin,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the rounds so far say: ``means`` by start, and every pair of the leader."""

    labels: tuple[str, ...]
    means: tuple[float, ...]
    leader: str
    pairs: tuple[StartPair, ...]

    @property
    def loss(self) -> float:
        """What the choice of the leader gives away at most, at the level of the intervals."""
        return max([0.0, *(-pair.low for pair in self.pairs)])

    @property
    def open_pairs(self) -> tuple[StartPair, ...]:
        """Pairs whose other start can still be better by more than the margin."""
        return tuple(pair for pair in self.pairs if -pair.low > pair.margin)

    @property
    def settled(self) -> bool:
        """Whether no other start is better by more than the margin."""
        return not self.open_pairs

    @property
    def active(self) -> tuple[str, ...]:
        """The starts that a further round is for; none where the choice is settled."""
        behind = [pair.second for pair in self.open_pairs]
        return (self.leader, *behind) if behind else ()

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "choice": self.leader,
            "settled": self.settled,
            "loss_at_most": self.loss,
            "scores": dict(zip(self.labels, self.means, strict=True)),
            "pairs": [{**pair._asdict(), "verdict": pair.verdict} for pair in self.pairs],
        }


def compare_starts(
    labels: Sequence[str],
    scores: Sequence[FloatArray],
    *,
    level: float = 0.95,
    margin: float = MARGIN,
    rl_noise: float = RL_NOISE,
) -> Comparison:
    """The leader of several starts and how sure that is.

    ``scores`` holds one array [R, P] per start: the score of prompt p after the short run with seed
    r; starts may have different R, the first ones are compared. After r rounds a pair has a t
    interval of level `look_level` (r), Bonferroni over the K (K - 1) / 2 pairs, and its interval is
    what those of all rounds so far have in common. With chance ``level`` they hold for all pairs
    after every round: no start is called better that is not, whenever one stops (a confidence
    sequence by the union bound). This takes prompts and seeds as random draws, and ``rl_noise`` as
    about right (see `crossed_mean`).

    ValueError for no starts, tables over different prompts, or a margin of 0 or less.

    >>> import numpy as np
    >>> early = np.array([[0.9, 0.7, 0.8, 0.9, 0.6, 0.9, 0.8, 0.9, 0.7, 0.8]])
    >>> found = compare_starts(["early", "late"], [early, early - 0.5])
    >>> found.leader, found.settled, round(found.pairs[0].low, 2)
    ('early', True, 0.44)
    """
    if not labels or len(labels) != len(scores):
        raise ValueError("labels and scores must be as many, at least one")
    if len({table.shape[1:] for table in scores}) > 1:
        raise ValueError("scores must be over the same prompts")
    if not margin > 0:
        raise ValueError(f"margin must be > 0, got {margin}")
    pairs = {}
    several = len(labels) * (len(labels) - 1) // 2
    for i, j in itertools.combinations(range(len(labels)), 2):
        found = _pair((labels[i], scores[i]), (labels[j], scores[j]), several, level, margin,
                      rl_noise)  # fmt: skip
        pairs[i, j], pairs[j, i] = found, found.turned
    means = [float(table.mean()) for table in scores]
    ahead = [sum(pairs[i, j].difference > 0 for j in range(len(labels)) if j != i)
             for i in range(len(labels))]  # fmt: skip
    best = max(range(len(labels)), key=lambda i: (ahead[i], means[i], -i))
    others = [pairs[best, j] for j in range(len(labels)) if j != best]
    return Comparison(tuple(labels), tuple(means), labels[best], tuple(others))


def _pair(
    one: tuple[str, FloatArray],
    other: tuple[str, FloatArray],
    several: int,
    level: float,
    margin: float,
    rl_noise: float,
) -> StartPair:
    rounds = min(len(one[1]), len(other[1]))
    if rounds < 1:
        raise ValueError("every start must have at least one round")
    differences = one[1][:rounds] - other[1][:rounds]
    looks = [
        _interval(
            differences[:look], alpha=(1.0 - look_level(look, level=level)) / several,
            rl_noise=rl_noise,
        )
        for look in range(1, rounds + 1)
    ]  # fmt: skip
    low, high = max(ends[0] for ends in looks), min(ends[1] for ends in looks)
    if low > high:  # rounds that contradict each other: the last has seen most
        low, high = looks[-1]
    return StartPair(one[0], other[0], rounds, float(differences.mean()), low, high, margin)


def _interval(differences: FloatArray, *, alpha: float, rl_noise: float) -> tuple[float, float]:
    """The interval of one look, which misses with chance ``alpha``."""
    gap = crossed_mean(differences, rl_noise=rl_noise)
    half = half_width(gap.stderr, free=gap.free, level=1.0 - alpha)
    if 2.0 ** (1 - max(gap.differ, 1)) > alpha:  # too few prompts differ to know their spread
        half = max(half, 1.0 - alpha ** (1.0 / differences.shape[1]))
    return gap.value - half, gap.value + half

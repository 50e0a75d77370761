"""Is a run worth going on? The chance that its score ends above its start by `MARGIN`.

A run may have a signal in every step and gain nothing, so this looks at what the steps so far did.
The planned steps are cut into `BLOCKS` blocks. At the end of a block, from the blocks so far:

    P(final score - first score > MARGIN) = expit(b . x)

with x = 1, ten times the gain so far, and log(0.003 + share of informative groups now). "Now" is
the mean over the last `RECENT` blocks with data, the gain is that since the first `START`. The
score is that of held-out prompts once two evaluations are there, else the share of right rollouts
in training. b and its covariance (clustered by design) are frozen: they were chosen on finished
runs by `grpolab.validate.study.monitor_trials.futility`, before any run that it is judged on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import expit, logit

from grpolab.theory.groups import FloatArray
from grpolab.validate.monitor.state import GroupTally, StepMetrics

MARGIN = 0.03
"""Least gain that counts: 1.7 standard errors of the gain of the median old run."""
BLOCKS, FIRST, START, RECENT = 40, 4, 2, 4
"""Blocks of a run, blocks before the first forecast, blocks of the start, blocks of "now"."""
LIMIT = 0.3
"""A run is called futile where its chance lies below."""
_Z = 1.959964
TRIAL = (
    (0.0, 0.1, 0, 0), (0.1, 0.3, 1, 7), (0.3, 0.5, 0, 9), (0.5, 0.7, 1, 7), (0.7, 0.9, 18, 42),
    (0.9, 1.0, 390, 455),
)  # fmt: skip
"""Chances after 40% of the steps on the runs of the trial: from, to, runs that gained, runs."""
Column = Literal["rollouts", "right", "groups", "informative", "score", "scores"]
COLUMNS: tuple[Column, ...] = Column.__args__  # type: ignore[attr-defined]
"""Sums that a block holds, after its number."""


class Rule(NamedTuple):
    """Coefficients of `features` and their covariance."""

    coefficients: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]


class Chance(NamedTuple):
    """The chance of a gain above `MARGIN`, its 95% interval, and what it rests on.

    ``done`` is the share of the planned steps, ``gain`` the gain so far in the ``score``.
    """

    chance: float
    low: float
    high: float
    done: float
    gain: float
    score: Literal["held-out", "training"]

    @property
    def trial(self) -> tuple[float, float, int, int]:
        """The row of `TRIAL` for this chance: how often one like it came true.

        >>> Chance(0.95, 0.9, 0.99, 0.4, 0.1, "training").trial
        (0.9, 1.0, 390, 455)
        """
        return next(row for row in TRIAL if self.chance < row[1] or row[1] == 1.0)

    @property
    def futile(self) -> bool:
        """Whether the chance is below `LIMIT`."""
        return self.chance < LIMIT


def add_groups(course: list[list[float]], block: int, groups: GroupTally) -> None:
    """Add the groups of a step to its block; groups that were not counted add nothing."""
    if groups.num_groups > 0 and math.isnan(groups.num_low):
        row = _row(course, block)
        _add(row, "groups", groups.num_groups)
        _add(row, "informative", groups.num_informative)
        if not math.isnan(groups.num_correct):
            _add(row, "rollouts", groups.num_rollouts)
            _add(row, "right", groups.num_correct)


def add_metrics(
    course: list[list[float]], block: int, metrics: StepMetrics, *, counted: bool
) -> None:
    """Add what was logged; the mean reward only where right rollouts are not ``counted``."""
    row = _row(course, block)
    sums: tuple[tuple[float | None, Column, Column], ...] = (
        (metrics.held_out, "score", "scores"),
        (None if counted else metrics.reward, "right", "rollouts"),
    )
    for value, total, number in sums:
        if value is not None and math.isfinite(value):
            _add(row, total, value)
            _add(row, number, 1.0)


def _row(course: list[list[float]], block: int) -> list[float]:
    if not course or course[-1][0] < block:
        course.append([float(block), *(0.0 for _ in COLUMNS)])
    return course[-1]


def _add(row: list[float], column: Column, value: float) -> None:
    row[1 + COLUMNS.index(column)] += value


class Features(NamedTuple):
    """What `forecast` looks at."""

    x: FloatArray  # as in the module's formula
    gain: float
    score: Literal["held-out", "training"]


def features(course: Sequence[Sequence[float]]) -> Features | str:
    """The features of the blocks so far, or in words why there are none."""
    blocks = np.array(course, dtype=float).reshape(-1, 1 + len(COLUMNS))
    if not len(blocks) or blocks[0, 0] >= START:
        return "the start of the run was not seen"

    def mean(total: Column, number: Column, part: slice) -> float:
        many = blocks[:, 1 + COLUMNS.index(number)]
        rows = np.flatnonzero(many > 0)[part]
        weight = float(many[rows].sum())
        return float(blocks[rows, 1 + COLUMNS.index(total)].sum()) / weight if weight else math.nan

    start, now = slice(START), slice(-RECENT, None)
    first, last = mean("right", "rollouts", start), mean("right", "rollouts", now)
    score: Literal["held-out", "training"] = "training"
    if np.count_nonzero(blocks[:, 1 + COLUMNS.index("scores")]) >= 2:
        first, last = mean("score", "scores", slice(1)), mean("score", "scores", slice(-1, None))
        score = "held-out"
    if math.isnan(first) or math.isnan(last):
        return "no rewards are known"
    if not (0 <= first <= 1 and 0 <= last <= 1):
        return "scores lie outside 0 to 1"
    informative = mean("informative", "groups", now)
    if math.isnan(informative):
        return "the informative groups are not counted"
    x = [1.0, 10 * (last - first), math.log(informative + 0.003)]
    return Features(np.array(x), last - first, score)


def forecast(
    course: Sequence[Sequence[float]], done: float, rule: Rule | None = None
) -> Chance | str:
    """The chance of a gain above `MARGIN` at the planned end, or in words why there is none.

    >>> rows = [[float(b), 640.0, 0.0, 80.0, 0.0, 0.0, 0.0] for b in range(12)]
    >>> found = forecast(rows, 0.3)  # no reward in 30% of the steps
    >>> found.futile, found.score
    (True, 'training')
    """
    if done < FIRST / BLOCKS:
        return f"asked from {FIRST / BLOCKS:.0%} of the planned steps on"
    found = features(course)
    if isinstance(found, str):
        return found
    rule = rule or FROZEN
    middle = float(found.x @ np.array(rule.coefficients))
    half = _Z * math.sqrt(float(found.x @ np.array(rule.covariance) @ found.x))
    chance, low, high = (float(expit(middle + d)) for d in (0.0, -half, half))
    return Chance(chance, low, high, done, found.gain, found.score)


def fit(
    x: FloatArray, gained: FloatArray, designs: Sequence[str], runs: Sequence[str], *, ridge: float
) -> Rule:
    """Logistic regression with a ridge penalty on all but the constant, every run of weight 1.

    ``x`` [N, 3] are `features` of N moments of runs, ``gained`` [N] 0 or 1. The covariance is the
    sandwich estimate with ``designs`` as clusters and the correction D / (D - 1).
    """
    name, place, count = np.unique(np.array(runs), return_inverse=True, return_counts=True)
    weight = 1.0 / count[place]
    penalty = np.diag([0.0, *[ridge] * (x.shape[1] - 1)])
    b = np.zeros(x.shape[1])
    b[0] = logit(float(weight @ gained) / len(name))
    for _ in range(100):
        p = expit(x @ b)
        slope = x.T @ (weight * (gained - p)) - penalty @ b
        bread = (x * (weight * p * (1 - p))[:, None]).T @ x + penalty
        change = np.linalg.solve(bread, slope)
        b += change / max(1.0, float(np.abs(change).max()))
        if np.abs(change).max() < 1e-10:
            break
    pulls = x * (weight * (gained - expit(x @ b)))[:, None]
    _, cluster = np.unique(np.array(designs), return_inverse=True)
    sums = np.zeros((cluster.max() + 1, x.shape[1]))
    np.add.at(sums, cluster, pulls)
    inverse = np.linalg.inv(bread)
    covariance = inverse @ (sums.T @ sums) @ inverse * len(sums) / (len(sums) - 1)
    return Rule(tuple(b.tolist()), tuple(tuple(row) for row in covariance.tolist()))


CHOSEN_ON = "36c0e23d6ebd7dde436886d3e87f1594c207f3a8c61bf2d8e1047255290639f6"
"""Digest of the runs that the rule was chosen on."""
FROZEN = Rule(
    (4.398, 1.7604, 1.1319),
    (
        (0.52798, -0.29687, 0.16403),
        (-0.29687, 1.1763, -0.037139),
        (0.16403, -0.037139, 0.054947),
    ),
)

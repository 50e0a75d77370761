"""How high RL ends from a start, from how it ended from other starts: wide, and out of task.

The numbers are in ``levels.json``, which ``python -m grpolab.validate.study.redo docs/results``
makes from the committed counts of finished designs. For each rule of `forecast_outcome`, with x the
score of a start and y what RL made of it:

- level: y = a + b x, every design of weight 1. The error is the root mean square, over designs, of
  the errors of lines fitted without all designs of the same task; the interval is
  ``t(.975, T - 1) sqrt(1 + 1/T + (x - m)^2 / V) error`` on each side, T tasks, with m and V the
  mean and the variance of x. What is not known of x itself is added.
- best start: y - mean of the ladder = w (x - mean) + e. The slope w and the spread of e are those
  of a design drawn at random, each by its own least squares: where RL takes every start to the top,
  w is near 0, whatever x says. x has its errors over prompts (t, P - 1 free for P prompts).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from grpolab.store import read_json
from grpolab.streams import generator
from grpolab.theory.groups import FloatArray
from grpolab.validate.estimate.bootstrap import shared, t_quantile, top_share

FILE = Path(__file__).with_name("levels.json")
STEPS_BEYOND = 2.0
"""Factor by which the RL budget may lie outside those of the designs."""
CLAIMS = {
    "A": "pass@2", "B": "pass@k at the budget's k", "D": "the transport for pass@10",
    "F": "a probe of 50 steps",
}  # fmt: skip
"""Claims of the trial that something chooses better than pass@1 before RL."""
FEWEST_TASKS = 3
"""Tasks from which on errors out of task say how wide a level is."""
_DRAWS = 4000


class RuleLevels(NamedTuple):
    """What the designs say of one rule and the outcome pass@``k``; see the module.

    ``slopes`` and ``spreads`` are those inside the ladders of each design.
    """

    rule: str
    k: int
    intercept: float
    slope: float
    mean: float
    variance: float
    error: float
    slopes: tuple[float, ...]
    spreads: tuple[float, ...]


class Levels(NamedTuple):
    """The file: its rules and what they rest on; ``steps`` are the least and the most RL steps."""

    designs: tuple[str, ...]
    tasks: tuple[str, ...]
    of_trial: int
    trial_size: int
    verdicts: Mapping[str, str]
    steps: tuple[int, int]
    rules: tuple[RuleLevels, ...]

    @property
    def basis(self) -> str:
        """What a level rests on, in words."""
        return (
            f"{len(self.designs)} designs on {len(self.tasks)} tasks ({self.of_trial} of"
            f" {self.trial_size} of the trial), {self.steps[0]} to {self.steps[1]} RL steps"
        )

    @property
    def trial(self) -> str:
        """Whether the trial has confirmed that a rule chooses a better start than pass@1."""
        if not self.verdicts:
            return (
                "No trial has confirmed yet that a rule chooses a better start than pass@1"
                f" ({self.of_trial} of {self.trial_size} designs are in: docs/preregistration.md)."
            )
        rules: dict[str, list[str]] = {}
        for claim, name in CLAIMS.items():
            rules.setdefault(self.verdicts[claim], []).append(name)
        parts = [f"{word} for {' and '.join(names)}" for word, names in sorted(rules.items())]
        return (
            "A trial (docs/preregistration.md) tested which rules choose a better start than"
            f" pass@1: {'; '.join(parts)}."
        )

    def covers(self, steps: int) -> bool:
        """Whether a budget is of the kind that the designs had."""
        low, high = self.steps
        return low / STEPS_BEYOND <= steps <= high * STEPS_BEYOND


class Level(NamedTuple):
    """Forecast of an outcome with its 95% interval, and on how many designs and tasks it rests."""

    value: float
    low: float
    high: float
    designs: int
    tasks: int


@cache
def levels() -> Levels:
    """What is shipped."""
    return parse(read_json(FILE))


def parse(found: Mapping[str, Any]) -> Levels:
    """The content of the file."""
    rules = tuple(
        RuleLevels(**{**r, **{key: tuple(r[key]) for key in ("slopes", "spreads")}})
        for r in found["rules"]
    )
    lists = {key: tuple(found[key]) for key in ("designs", "tasks", "steps")}
    return Levels(**{**found, **lists, "rules": rules})


def _rule(rule: str, k: int, known: Levels) -> RuleLevels | None:
    return next((r for r in known.rules if (r.rule, r.k) == (rule, k)), None)


def level(
    rule: str, k: int, *, steps: int, score: float, stderr: float, known: Levels | None = None
) -> Level | None:
    """The outcome of a start with this score, and None where the designs say nothing of it.

    None for an outcome pass@k or a budget of RL that no design had. ``stderr`` is that of the score
    over prompts, NaN for one prompt.
    """
    known, stderr = known or levels(), 0.5 if math.isnan(stderr) else stderr
    found, tasks = _rule(rule, k, known), len(known.tasks)
    if found is None or tasks < FEWEST_TASKS or not known.covers(steps):
        return None
    value = found.intercept + found.slope * score
    far = (score - found.mean) ** 2 / found.variance
    error = math.hypot(found.error * math.sqrt(1 + 1 / tasks + far), found.slope * stderr)
    half = t_quantile(0.95, tasks - 1) * error
    middle, low, high = (min(max(v, 0.0), 1.0) for v in (value, value - half, value + half))
    return Level(middle, low, high, len(known.designs), tasks)


def best_start(
    rule: str, k: int, *, steps: int, values: FloatArray, known: Levels | None = None
) -> FloatArray | None:
    """The chance of every start [K] that it ends highest, from its scores by prompt [K, P].

    None where `level` is None. Prompts are the same for all starts, so that their errors are
    paired. Starts with the same scores have the same chance.
    """
    known = known or levels()
    found = _rule(rule, k, known)
    if found is None or not known.covers(steps):
        return None
    count, prompts = values.shape
    if count == 1:
        return np.ones(1)
    rng = generator(0, "best start")
    design = rng.integers(len(found.slopes), size=_DRAWS)
    slope, spread = (np.array(values)[design] for values in (found.slopes, found.spreads))
    noise = np.atleast_2d(np.cov(values)) / prompts if prompts > 1 else np.eye(count) / 4
    error = rng.multivariate_normal(np.zeros(count), noise, size=_DRAWS, method="svd")
    free = max(prompts - 1, 1)  # the errors were estimated from as many prompts
    score = values.mean(axis=1) + error * np.sqrt(free / rng.chisquare(free, (_DRAWS, 1)))
    y = slope[:, None] * score + spread[:, None] * rng.standard_normal((_DRAWS, count))
    return shared(top_share(y).mean(axis=0), values)

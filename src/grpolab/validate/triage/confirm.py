"""Tests of the sampler on rollouts, and a second sample before anything is said of them.

Where an engine is at hand, an alarm of the first sample is a reason to draw another one, not to
distrust the numbers: the second sample is independent of the first, and so are chance alarms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from grpolab import streams
from grpolab.theory.groups import FloatArray
from grpolab.validate.audit.alarms import alarm_sentence
from grpolab.validate.estimate.faults import (
    FALSE_ALARMS,
    Alarm,
    Evidence,
    alarms_of,
    sample_evidence,
)
from grpolab.validate.estimate.independence import PairContrast, pair_contrast
from grpolab.validate.estimate.sampler import duplicate_test, trend_test
from grpolab.validate.rollouts.table import Rollouts

FIRST, SECOND = 0.02, 0.05
"""Levels of the first sample (over all checkpoints and tests) and of the second (over the alarms of
a checkpoint): one clean command in 1,000 ends with an alarm that stands."""


class Suspicion(NamedTuple):
    """An alarm on one checkpoint; ``second_p`` is what its test says of a second sample.

    ``second_p`` is NaN where there was no second sample.
    """

    label: str
    alarm: Alarm
    second_p: float
    stands: bool

    @property
    def test(self) -> str:
        """Name of the test."""
        return self.alarm.test

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "checkpoint": self.label,
            "test": self.test,
            "p_value": self.alarm.p_value,
            "p_value_second_sample": self.second_p,
            "said": alarm_sentence(self.alarm),
        }


def rollout_evidence(
    table: Rollouts, contrast: PairContrast | None = None, *, rng: np.random.Generator | int
) -> dict[str, Evidence]:
    """All tests that rollouts with log-probabilities can carry.

    Copies are judged by the log-probabilities (``duplicates``), which is exact, and by texts only
    where a log-probability is NaN.
    """
    rng = streams.generator(rng, "sampler")
    if contrast is None:
        contrast = pair_contrast(table.counts(), rng=rng)
    found = sample_evidence(table.samples(), rng=rng)
    known = not np.isnan(table.logprob).any()  # an eval file has verdicts and no tokens
    if known:
        found.pop("copies", None)
    if not math.isnan(contrast.p_value):
        found["groups"] = contrast
    if known:
        trend = trend_test(_by_place(table))
        if not math.isnan(trend.p_value):
            found["likelihood"] = trend
    if known and np.unique(table.prompt_id, return_counts=True)[1].min() >= 2:
        ids = table.text_hash if table.token_hash is None else table.token_hash
        found["duplicates"] = duplicate_test(
            ids, np.minimum(table.logprob, 0.0), group_id=table.prompt_id
        )
    return found


def _by_place(table: Rollouts) -> FloatArray:
    """Log-probabilities of the samples of every prompt in their order, [P, n]; NaN for none."""
    order = np.argsort(table.prompt_id, kind="stable")
    times = np.unique(table.prompt_id, return_counts=True)[1]
    found = np.full((len(times), int(times.max())), np.nan)
    found[np.arange(found.shape[1]) < times[:, None]] = table.logprob[order]
    return found


def suspect(
    tests: Mapping[str, Mapping[str, Evidence]],
    again: Callable[[str], Rollouts] | None = None,
    *,
    rng: np.random.Generator | int,
) -> list[Suspicion]:
    """Alarms of all checkpoints; with ``again`` those stand that a second sample confirms.

    ``again`` draws a second table of the checkpoint with this label, by another seed.
    """
    generator = streams.generator(rng, "confirm")
    level = FALSE_ALARMS if again is None else FIRST
    found = []
    for label, alarms in zip(tests, alarms_of(list(tests.values()), level=level), strict=True):
        if again is None or not alarms:
            found += [Suspicion(label, alarm, math.nan, stands=True) for alarm in alarms]
            continue
        second = rollout_evidence(again(label), rng=generator)
        named = {a.test: second[a.test] for a in alarms if a.test in second}
        (confirmed,) = alarms_of([named], level=SECOND)
        stands = {alarm.test for alarm in confirmed}
        found += [
            Suspicion(label, a, named[a.test].p_value if a.test in named else math.nan,
                      a.test in stands)
            for a in alarms
        ]  # fmt: skip
    return found

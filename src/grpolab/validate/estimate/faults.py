"""All tests of a sampler on one input, and which of them raise an alarm.

A command makes many tests, and each has its chance alarms. They share one level: of a thousand
commands on clean data at most one raises any alarm (Holm over all tests and inputs).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from grpolab import streams
from grpolab.theory.groups import GroupCounts
from grpolab.theory.samples import SampleRows, sample_rows  # noqa: F401
from grpolab.validate.estimate.contrasts import holm
from grpolab.validate.estimate.copies import Copies, copies_test
from grpolab.validate.estimate.independence import PairContrast
from grpolab.validate.estimate.order import NeighbourTest, OrderTest, neighbour_test, order_test
from grpolab.validate.estimate.sampler import PositionTest, SeedTest, TrendTest, position_test
from grpolab.validate.estimate.selection import (
    Selection,
    Stopping,
    selection_test,
    stopping_test,
)
from grpolab.validate.estimate.sequences import (
    EvennessTest,
    SequenceTest,
    evenness_test,
    sequence_test,
)

FALSE_ALARMS = 1e-3
"""Chance of any alarm of a whole command on clean data."""

Evidence = (
    PairContrast
    | SeedTest
    | PositionTest
    | TrendTest
    | OrderTest
    | NeighbourTest
    | SequenceTest
    | EvennessTest
    | Selection
    | Stopping
    | Copies
)


_SHIFTS = {"shifts", "verdict shifts"}
_SIMPLER = {"neighbours", "beginnings", "texts", "positions", "order"}


class Alarm(NamedTuple):
    """A test that rejects: its name, its result, and the p-value corrected for all tests made."""

    test: str
    evidence: Evidence
    p_value: float


def sample_evidence(rows: SampleRows, *, rng: np.random.Generator | int) -> dict[str, Evidence]:
    """Tests of order, of coincidences between requests, of places and of copies; NaN left out.

    >>> prompt = np.arange(6) // 3
    >>> rows = sample_rows(prompt=prompt, reward=np.array([0.0, 1, 0, 1, 0, 0]))
    >>> sorted(sample_evidence(rows, rng=0))
    ['order', 'positions']
    """
    generator = streams.generator(rng, "samples")
    found: dict[str, Evidence] = {}
    rewards, texts, starts = rows.rewards, rows.texts, rows.beginnings
    whole = rewards[(rewards >= 0).all(axis=1)]
    if whole.shape[1] >= 2 and len(whole) >= max(2, len(rewards) / 2):
        found["positions"] = position_test(whole, rng=generator)
    found["order"] = order_test(rewards, rng=generator)
    found["verdict shifts"] = sequence_test(rewards, rng=generator)
    if texts is not None:
        found["texts"] = order_test(texts, rng=generator)
    if starts is not None:
        found["beginnings"] = order_test(starts, rng=generator)
        found["neighbours"] = neighbour_test(starts, rng=generator)
        found["shifts"] = sequence_test(starts, rng=generator)
        found["evenness"] = evenness_test(starts, rng=generator)
    copies = copies_test(rows)
    if copies is not None:
        found["copies"] = copies
    return {name: test for name, test in found.items() if not math.isnan(test.p_value)}


def count_evidence(counts: GroupCounts, rows: SampleRows | None = None) -> dict[str, Evidence]:
    """Tests whether samples were kept, or went on being drawn, by their outcome.

    >>> sorted(count_evidence(GroupCounts([1, 2, 3], 4)))
    ['selection']
    """
    if counts.provenance.filtered:
        return {}
    found = {"selection": selection_test(counts), "stopping": stopping_test(counts, rows)}
    return {name: test for name, test in found.items() if test is not None}


def alarms(tests: Mapping[str, Evidence], *, level: float = FALSE_ALARMS) -> list[Alarm]:
    """The tests that Holm rejects at ``level``, the surest first.

    >>> alarms({"positions": PositionTest(40.0, 1e-9, np.zeros(2))})[0].test
    'positions'
    """
    (found,) = alarms_of([tests], level=level)
    return found


def alarms_of(
    inputs: Sequence[Mapping[str, Evidence]], *, level: float = FALSE_ALARMS
) -> list[list[Alarm]]:
    """The alarms of every input, corrected for all tests of all of them.

    Shifts of any size are named only where no test found a simpler order: that one says more.
    """
    keys = [(i, name) for i, tests in enumerate(inputs) for name in tests]
    adjusted = holm([inputs[i][name].p_value for i, name in keys])
    found: list[list[Alarm]] = [[] for _ in inputs]
    for (i, name), p_value in zip(keys, adjusted, strict=True):
        if p_value < level:
            found[i].append(Alarm(name, inputs[i][name], p_value))
    for i, some in enumerate(found):
        simpler = {alarm.test for alarm in some} & _SIMPLER
        found[i] = [a for a in some if not (simpler and a.test in _SHIFTS)]
    return [sorted(some, key=lambda a: a.evidence.p_value) for some in found]

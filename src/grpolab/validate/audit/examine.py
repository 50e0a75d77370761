"""Before anything is estimated: are the samples all that were drawn, and draws of their own?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from grpolab.theory.groups import GroupCounts
from grpolab.theory.samples import SampleRows, SampleTable, rows_of
from grpolab.validate.audit.questions import questions
from grpolab.validate.estimate.copies import LONG, Copies, without_copies
from grpolab.validate.estimate.faults import (
    Alarm,
    Evidence,
    alarms,
    count_evidence,
    sample_evidence,
)
from grpolab.validate.estimate.independence import PairContrast
from grpolab.validate.estimate.selection import Selection

_FEW_OF = 4  # samples of a group from which few distinct ones mean something


class Examined(NamedTuple):
    """What the tests of one input found, and the counts that can be estimated from.

    ``counts`` have one sample for all copies of a draw, and are marked filtered where the zero-std
    groups were left out. ``refused``: no forecast from these counts would be right. ``stopped``:
    the number of samples depends on their outcome, which only likelihoods forgive. ``distinct`` is
    the mean number of distinct completions of a group and of its samples, None without texts;
    ``notes`` are what no test decides, see `questions`.
    """

    counts: GroupCounts
    alarms: tuple[Alarm, ...]
    refused: bool
    stopped: bool
    distinct: tuple[float, float] | None
    notes: tuple[str, ...] = ()


def examine(
    counts: GroupCounts,
    samples: SampleTable | None,
    contrast: PairContrast,
    *,
    rng: np.random.Generator,
    level: float,
) -> Examined:
    """All tests of one input at a family-wise ``level``, and what follows from their alarms."""
    if level <= 0:
        return Examined(counts, (), refused=False, stopped=False, distinct=None)
    rows = None if samples is None else rows_of(samples)
    tests: dict[str, Evidence] = dict(count_evidence(counts, rows))
    if not math.isnan(contrast.p_value):
        tests["groups"] = contrast
    if rows is not None and len(rows.reward):
        tests |= sample_evidence(rows, rng=rng)
    found = tuple(alarms(tests, level=level))
    copies = tests.get("copies")
    distinct = (copies.distinct, copies.group_size) if isinstance(copies, Copies) else None
    by_name = {alarm.test: alarm.evidence for alarm in found}
    if rows is not None and isinstance(copied := by_name.get("copies"), Copies):
        counts = without_copies(counts, rows, copied)
        found = tuple(alarms(_of_draws(tests, counts), level=level))
        by_name = {alarm.test: alarm.evidence for alarm in found}
    selected = by_name.get("selection")
    refused = isinstance(selected, Selection) and selected.kind != "mixed only"
    if isinstance(selected, Selection) and not refused:
        origin = replace(counts.provenance, filtered=True)
        counts = GroupCounts(
            counts.num_correct, counts.group_size, prompt_id=counts.prompt_id, step=counts.step,
            prompt_names=counts.prompt_names, provenance=origin,
        )  # fmt: skip
    notes = [] if rows is None or samples is None else questions(rows, samples.starts)
    if rows is not None and "copies" not in by_name:
        notes += _few_texts(rows, distinct)
    return Examined(counts, found, refused, "stopping" in by_name, distinct, tuple(notes))


def _of_draws(tests: Mapping[str, Evidence], counts: GroupCounts) -> dict[str, Evidence]:
    """The tests with those of the counts made anew: copies make counts too even."""
    kept = {name: test for name, test in tests.items() if name not in ("selection", "stopping")}
    return kept | count_evidence(counts)


def _few_texts(rows: SampleRows, distinct: tuple[float, float] | None) -> list[str]:
    """A sentence where long completions are few in a group: perhaps draws that share a seed."""
    if distinct is None or rows.length is None or distinct[1] < _FEW_OF:
        return []
    if distinct[0] > distinct[1] / 2 or float(np.median(rows.length)) < LONG:
        return []
    return [
        f"{distinct[0]:.1f} distinct completions of {distinct[1]:.0f} per group, long as they are:"
        " if samples share seeds or a cached prefix, a group holds as many draws as distinct"
        " completions, and the numbers below are too sure (a low temperature looks the same)"
    ]


def as_dict(alarm: Alarm, said: str) -> Mapping[str, object]:
    """Plain JSON types."""
    evidence = {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in alarm.evidence._asdict().items()
    }
    return {"test": alarm.test, "p_adjusted": alarm.p_value, "said": said, "evidence": evidence}

"""Two checkpoints side by side: what differs, by how much, and whether the data can tell."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from grpolab.theory.groups import FloatArray, GroupCounts, IntArray, PromptTotals
from grpolab.validate.audit.summary import Audit
from grpolab.validate.estimate.contrasts import (
    EQUAL_WITHIN,
    Gap,
    contrasts,
    paired_gap,
    unpaired_gap,
)
from grpolab.validate.forecast.law import LawOfP, prompt_laws
from grpolab.validate.forecast.zero_std import natural_method


@dataclass(frozen=True, slots=True)
class Difference:
    """How two inputs differ in one number: first minus second, with its interval.

    The interval, ``decided`` (one has more) and ``equal`` (the difference is below ``margin``) hold
    for all differences of a comparison at once; the p-values are Holm-adjusted. ``prompts_needed``
    prompts would settle it either way with chance 0.8; NaN where it is settled.
    """

    first: str
    second: str
    quantity: str
    difference: float
    low: float
    high: float
    paired: bool
    num_prompts: int
    p_value: float
    p_equal: float
    decided: bool
    equal: bool
    margin: float
    prompts_needed: float

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {name: getattr(self, name) for name in self.__slots__}


def compare(first: Audit, second: Audit, *, level: float = 0.95) -> list[Difference]:
    """`compare_all` of two inputs."""
    return compare_all([first, second], level=level)


def compare_all(
    audits: Sequence[Audit], *, level: float = 0.95, margin: float = EQUAL_WITHIN
) -> list[Difference]:
    """Differences in pass@1 and in the mixed share at the group sizes that most prompts allow.

    Prompts with one name in both inputs are paired, which takes their difficulty out of the noise;
    without common names the inputs are treated as independent samples. A prompt without enough
    verdicts is left out. t-tests over prompts, corrected for the number of all differences: inputs
    that are equal in all of them get a winner with chance at most ``1 - level``.
    """
    keys, gaps = [], []
    for first, second in itertools.combinations(audits, 2):
        for name, paired, gap in _gaps(first, second, margin):
            keys.append((first.label, second.label, name, paired))
            gaps.append(gap)
    found = []
    for (one, other, name, paired), gap, c in zip(
        keys, gaps, contrasts(gaps, level=level, margin=margin), strict=True
    ):
        found.append(
            Difference(one, other, name, c.difference, max(c.low, -1.0), min(c.high, 1.0), paired,
                       gap.num_prompts,
                       c.p_value, c.p_equal, c.decided, c.equal, margin, c.prompts_needed)
        )  # fmt: skip
    return found


def _gaps(first: Audit, second: Audit, margin: float) -> list[tuple[str, bool, Gap]]:
    """Name, whether prompts are paired, and the gap of every quantity of two inputs."""
    counts = (first.counts, second.counts)
    if not (first.is_comparable and second.is_comparable):
        return []
    rows = _common(*counts)
    totals = [c.by_prompt() for c in counts]
    found = []
    for name, need, of in _quantities(first, second):
        enough = [t.num_samples >= need for t in totals]
        if rows is not None:
            both = enough[0][rows[0]] & enough[1][rows[1]]
            a, b = (of(_laws(t, at[both])) for t, at in zip(totals, rows, strict=True))
        else:
            a, b = (of(_laws(t, np.flatnonzero(e))) for t, e in zip(totals, enough, strict=True))
        if min(len(a), len(b)) == 0:
            continue
        gap = (
            unpaired_gap(a, b, margin=margin) if rows is None else paired_gap(a - b, margin=margin)
        )
        found.append((name, rows is not None, gap))
    return found


def _laws(totals: PromptTotals, rows: IntArray) -> LawOfP:
    """What some prompts' own verdicts say of each."""
    kept = GroupCounts(totals.num_correct[rows], totals.num_samples[rows])
    return prompt_laws(kept)


def _quantities(
    first: Audit, second: Audit
) -> list[tuple[str, int, Callable[[LawOfP], FloatArray]]]:
    """Name, samples that a prompt needs, and what to compare."""
    found: list[tuple[str, int, Callable[[LawOfP], FloatArray]]] = [
        ("pass@1", 1, lambda law: law.mean)
    ]
    for g in sorted(first.plans.keys() & second.plans.keys()):
        if all(natural_method(a.counts, g) == "thinning" for a in (first, second)):
            found.append((f"mixed groups at g={g}", g, operator.methodcaller("mixed", g)))
    return found


def _common(first: GroupCounts, second: GroupCounts) -> tuple[IntArray, IntArray] | None:
    """Rows (in order of prompt id) of the prompts that both tables name, or None."""
    places = []
    for counts in (first, second):
        ids = counts.by_prompt().prompt_id.tolist()
        names = [counts.prompt_names.get(i) for i in ids]
        places.append({name: row for row, name in enumerate(names) if name is not None})
    both = [name for name in places[0] if name in places[1]]
    if len(both) < max(2, min(len(p) for p in places) // 2):
        return None
    left, right = (np.array([place[name] for name in both]) for place in places)
    return left, right

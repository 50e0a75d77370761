"""Two checkpoints side by side: what differs, by how much, and whether the data can tell."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from grpolab.theory.groups import FloatArray, GroupCounts, IntArray, PromptTotals
from grpolab.validate.audit.summary import Audit
from grpolab.validate.estimate import bootstrap
from grpolab.validate.forecast.law import LawOfP, prompt_laws
from grpolab.validate.forecast.zero_std import natural_method


@dataclass(frozen=True, slots=True)
class Difference:
    """How two inputs differ in one number: first minus second, with its interval."""

    first: str
    second: str
    quantity: str
    difference: float
    low: float
    high: float
    paired: bool
    num_prompts: int

    @property
    def decided(self) -> bool:
        """True when the interval does not hold zero."""
        return self.low > 0 or self.high < 0

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        names = ("first", "second", "quantity", "difference", "low", "high", "paired")
        values = {name: getattr(self, name) for name in names}
        return {**values, "num_prompts": self.num_prompts, "decided": self.decided}


def compare(first: Audit, second: Audit, *, level: float = 0.95) -> list[Difference]:
    """Differences in pass@1 and in the mixed share at the group sizes that most prompts allow.

    Prompts with one name in both inputs are paired, which takes their difficulty out of the noise;
    without common names the inputs are treated as independent samples. A prompt without enough
    verdicts is left out. t-intervals over prompts, for independent samples combined by the method
    of variance estimates recovery (Zou & Donner 2008), and widened where few prompts carry the
    difference (`bootstrap.floored`).
    """
    counts = (first.counts, second.counts)
    if any(c.provenance.filtered for c in counts):
        return []
    rows = _common(*counts)
    totals = [c.by_prompt() for c in counts]
    found = []
    for name, need, of in _quantities(first, second):
        enough = [t.num_samples >= need for t in totals]
        if rows is not None:
            both = enough[0][rows[0]] & enough[1][rows[1]]
            a, b = (of(_laws(t, at[both])) for t, at in zip(totals, rows, strict=True))
            mean, ends, prompts = _paired(a - b, level)
        else:
            a, b = (of(_laws(t, np.flatnonzero(e))) for t, e in zip(totals, enough, strict=True))
            mean, ends, prompts = _apart(a, b, level)
        if prompts > 0:
            pair = (first.label, second.label, name)
            found.append(Difference(*pair, mean, *ends, rows is not None, prompts))
    return found


def _laws(totals: PromptTotals, rows: IntArray) -> LawOfP:
    """What some prompts' own verdicts say of each."""
    kept = GroupCounts(totals.num_correct[rows], totals.num_samples[rows])
    return prompt_laws(kept)


def _paired(gap: FloatArray, level: float) -> tuple[float, tuple[float, float], int]:
    if len(gap) == 0:
        return math.nan, (math.nan, math.nan), 0
    ends = _interval(gap, level, bounds=(-1.0, 1.0), zero=(0.0, 0.0))
    return float(gap.mean()), ends, len(gap)


def _apart(a: FloatArray, b: FloatArray, level: float) -> tuple[float, tuple[float, float], int]:
    if min(len(a), len(b)) == 0:
        return math.nan, (math.nan, math.nan), 0
    (low_a, high_a), (low_b, high_b) = (_interval(v, level) for v in (a, b))
    mean = float(a.mean() - b.mean())
    below = math.hypot(a.mean() - low_a, high_b - b.mean())
    above = math.hypot(high_a - a.mean(), b.mean() - low_b)
    return mean, (max(mean - below, -1.0), min(mean + above, 1.0)), min(len(a), len(b))


def _interval(
    values: FloatArray,
    level: float,
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
    zero: tuple[float, float] | None = None,
) -> tuple[float, float]:
    """A t interval of a mean over prompts, which few prompts cannot make too short."""
    half = bootstrap.half_width(bootstrap.mean_stderr(values), free=len(values) - 1, level=level)
    mean = float(values.mean())
    return bootstrap.floored(
        (mean - half, mean + half), values, np.ones(len(values)), rng=0, bounds=bounds, zero=zero,
        level=level,
    )  # fmt: skip


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

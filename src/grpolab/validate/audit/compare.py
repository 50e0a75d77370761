"""Two checkpoints side by side: what differs, by how much, and whether the data can tell."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from grpolab.theory.groups import FloatArray, GroupCounts
from grpolab.validate.audit.summary import Audit
from grpolab.validate.estimate import bootstrap
from grpolab.validate.forecast.law import prompt_laws


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
    """Differences in pass@1 and in the mixed share at every group size both have samples for.

    Prompts with one name in both inputs are paired, which takes their difficulty out of the noise;
    without common names the inputs are treated as independent samples. t-intervals over prompts.
    """
    if first.counts.provenance.filtered or second.counts.provenance.filtered:
        return []
    rows = _common(first.counts, second.counts)
    found = []
    for name, values in _quantities(first, second):
        a, b = (f(c) for f, c in zip(values, (first.counts, second.counts), strict=True))
        if rows is not None:
            gap = a[rows[0]] - b[rows[1]]
            mean, stderr, free = float(gap.mean()), bootstrap.mean_stderr(gap), len(gap) - 1
        else:
            mean = float(a.mean() - b.mean())
            stderr = math.hypot(bootstrap.mean_stderr(a), bootstrap.mean_stderr(b))
            free = min(len(a), len(b)) - 1
        half = bootstrap.half_width(stderr, free=free, level=level)
        low, high = mean - half, mean + half
        pair = (first.label, second.label, name)
        found.append(Difference(*pair, mean, low, high, rows is not None, free + 1))
    return found


def _quantities(first: Audit, second: Audit) -> list[tuple[str, tuple[Any, Any]]]:
    def rate(counts: GroupCounts) -> FloatArray:
        return counts.by_prompt().rate

    least = min(int(a.counts.by_prompt().num_samples.min()) for a in (first, second))
    found: list[tuple[str, tuple[Any, Any]]] = [("pass@1", (rate, rate))]
    for g in sorted(first.plans.keys() & second.plans.keys()):
        if g <= least:

            def mixed(counts: GroupCounts, g: int = g) -> FloatArray:
                return prompt_laws(counts).mixed(g)

            found.append((f"mixed groups at g={g}", (mixed, mixed)))
    return found


def _common(first: GroupCounts, second: GroupCounts) -> tuple[list[int], list[int]] | None:
    """Rows (in order of prompt id) of the prompts that both tables name, or None."""
    places = []
    for counts in (first, second):
        ids = counts.by_prompt().prompt_id.tolist()
        names = [counts.prompt_names.get(i) for i in ids]
        places.append({name: row for row, name in enumerate(names) if name is not None})
    both = [name for name in places[0] if name in places[1]]
    if len(both) < max(2, min(len(p) for p in places) // 2):
        return None
    return [places[0][n] for n in both], [places[1][n] for n in both]

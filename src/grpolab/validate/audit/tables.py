"""The tables of an audit, and the facts that they rest on, for the terminal and the page alike."""

from __future__ import annotations

import math
from collections.abc import Sequence

from grpolab.figures import words
from grpolab.figures.tables import Column, Table
from grpolab.validate.audit.compare import Difference
from grpolab.validate.audit.plan import Threshold
from grpolab.validate.audit.summary import Audit
from grpolab.validate.forecast.beyond import ASSUMES


def facts(audit: Audit) -> list[str]:
    """What the other numbers rest on: size and origin, pass@k, and the correlation."""
    said = [
        f"{words.counted(audit.num_prompts, 'prompt')},"
        f" {words.counted(audit.num_samples, 'sample')} ({audit.origin})"
    ]
    if audit.distinct is not None:
        distinct, size = audit.distinct
        said.append(f"{distinct:.1f} distinct completions of {size:.1f} per group")
    if audit.pass_at_k:
        scores = [
            f"pass@{k} {words.number(v.value)} ({words.interval(v.low, v.high)})"
            for k, v in audit.pass_at_k.items()
        ]
        said.append(", ".join(scores))
    for k, found in audit.outlook.items():
        if found.pass_at is not None:
            span = words.interval(found.pass_at.low, found.pass_at.high)
            said.append(
                f"pass@{k} {words.number(found.pass_at.value)} ({span}, {found.method}, beyond the"
                " samples)"
            )
    if audit.icc is not None:
        icc = audit.icc
        span = words.interval(icc.low, icc.high)
        said.append(f"ICC {words.number(icc.estimate)} ({span}, {icc.method})")
    return said


def plans(audit: Audit) -> Table:
    """One row per planned size; model, first groups and upper p* where there is one to tell."""
    ahead = audit.outlook
    models = {ahead[g].method for g in audit.plans} - {"thinning"}
    runs = {o.first.num_groups for o in ahead.values() if o.first is not None}
    both = any(mean_may_exceed(audit, plan.threshold.upper) for plan in audit.plans.values())
    rows = [
        [
            g, p.zero_std, words.interval(p.low, p.high),
            *(words.interval(first.low, first.high) for first in [ahead[g].first] if first),
            *(p.method for _ in models), p.all_wrong, p.all_right, p.iid_mean_p,
            plan.critical_p, *([plan.threshold.upper.value] * both), 1000 * plan.frac_mixed / g,
        ]
        for g, plan in audit.plans.items()
        for p in [plan.prediction]
    ]  # fmt: skip
    upper = ["upper p*"] if both else []
    columns: list[Column | str] = [
        "g", "zero std", "95%", *(f"of {n} groups" for n in runs),
        *(Column("by", words=True) for _ in models),
        "all wrong", "all right", "from mean p", "p*", *upper,
        Column("mixed / 1000", words.count),
    ]  # fmt: skip
    above = "; upper p*: the same on the side of success" if both else ""
    caption = (
        "p*: mean success rate at which half of the groups have zero standard deviation at the"
        f" measured correlation{above}; a dash: more than half are at every mean. mixed / 1000:"
        " mixed groups per 1000 rollouts."
    )
    caption += "".join(f" {method}: {ASSUMES[method]}." for method in sorted(models))
    caption += "".join(
        f" of {n} groups: in 95% of runs the first {n} groups show a share within it, if each is on"
        " a prompt drawn like the counted ones."
        for n in runs
    )
    return Table(columns, rows, caption, title="Groups without a signal")


def cover(audit: Audit) -> Table | None:
    """Cover@tau along the table, its simultaneous band below; None where it is not known."""
    found = audit.cover
    if found is None:
        return None
    heads: list[Column | str] = ["p >=", *(f"{tau:g}" for tau in found.tau)]
    shares = ["prompts", *map(words.percent, found.value)]
    band = ["95%", *map(words.percent_interval, found.low, found.high)]
    caption = (
        "The band holds at every tau at once, for any law of p that agrees with the counts; a dash:"
        " none does."
    )
    return Table(heads, [shares, band], caption, title="Cover@tau: prompts by success rate")


def gaps(differences: Sequence[Difference]) -> Table:
    """Every difference of two inputs with its interval and what it settles."""
    rows = [
        [
            f"{d.first} minus {d.second}", d.quantity, 100 * d.difference,
            words.interval(100 * d.low, 100 * d.high, digits=1), words.count(d.num_prompts),
            _settled(d),
        ]
        for d in differences
    ]  # fmt: skip
    columns: list[Column | str] = [
        "inputs", Column("quantity", words=True), Column("points", _signed), "95%", "prompts",
        Column("verdict", words=True),
    ]  # fmt: skip
    caption = (
        "Percentage points. The intervals and verdicts hold for all rows at once with 95%: inputs"
        " that are equal in all of them get a winner in at most 5% of comparisons."
    )
    return Table(columns, rows, caption, title="Differences")


def _signed(value: object) -> str:
    return f"{value:+.1f}" if isinstance(value, float) else words.number(value)


def _settled(d: Difference) -> str:
    more = d.first if d.difference > 0 else d.second
    equal = f"equal within {100 * d.margin:.0f} points" if d.equal else ""
    above = f"{more} is above" if d.decided else ""
    return " and ".join(part for part in (above, equal) if part) or "cannot tell"


def mean_may_exceed(audit: Audit, upper: Threshold) -> bool:
    """Does the interval of the mean reach the interval of an upper p*?"""
    mean = audit.pass_at_k.get(1)
    least = upper.value if math.isnan(upper.low) else upper.low
    return mean is not None and mean.high > least


def _pass_at(audit: Audit, k: int) -> float | None:
    """pass@k as measured, or as forecast beyond the samples."""
    ahead = audit.outlook[k].pass_at
    if k in audit.pass_at_k:
        return audit.pass_at_k[k].value
    return None if ahead is None else ahead.value


def side_by_side(audits: Sequence[Audit]) -> Table:
    """The inputs beneath each other at every planned size; no row where none can say."""
    sizes = sorted({g for a in audits for g in a.plans})
    rows = [
        [
            a.label, g, a.num_prompts, a.pass_at_k[1].value,
            _pass_at(a, g),
            None if a.icc is None else a.icc.estimate,
            a.plans[g].prediction.zero_std, a.outlook[g].signal.value,
        ]
        for g in sizes
        for a in audits
        if g in a.plans
    ]  # fmt: skip
    columns = ("input", "g", "prompts", "pass@1", "pass@g", "ICC", "zero std", "signal")
    caption = (
        "signal: mean over prompts of the expected standard deviation of a group's rewards. A dash:"
        " the file has too few samples per prompt to say."
    )
    return Table(columns, rows, caption, title="Side by side")

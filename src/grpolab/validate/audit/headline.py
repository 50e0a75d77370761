"""The first sentences of the page of an audit: what a reader takes away without reading on."""

from __future__ import annotations

from collections.abc import Sequence

from grpolab.figures.words import counted, percent, percent_interval
from grpolab.validate.audit.advice import advise
from grpolab.validate.audit.advice_pairs import advise_comparison
from grpolab.validate.audit.alarms import alarm_sentence
from grpolab.validate.audit.compare import Difference
from grpolab.validate.audit.summary import Audit

_NAMED = 4  # so many inputs are named with their share, of more the best and the worst
_USUAL = 8  # the group size that most trainers start from


def headline(audits: Sequence[Audit], differences: Sequence[Difference]) -> list[str]:
    """About three sentences, alarms first; all that they say is among the findings, too."""
    if len(audits) == 1:
        return _one(audits[0])
    alarms = [
        f"{audit.label}: {alarm_sentence(alarm)}" for audit in audits for alarm in audit.alarms
    ]
    shares = _shares(audits)
    several = len(audits) > 2
    said = _tally(differences) if several else advise_comparison(differences)[:2]
    return [*alarms, *([shares] if shares else []), *said]


def usual_size(audit: Audit) -> int:
    """The planned group size that is nearest to 8."""
    return min(audit.plans, key=lambda g: (abs(g - _USUAL), g))


def _one(audit: Audit) -> list[str]:
    if not audit.plans or audit.refused:
        return advise(audit)[:3]
    g = usual_size(audit)
    p = audit.plans[g].prediction
    never, some, always = audit.solved
    return [
        *map(alarm_sentence, audit.alarms),
        f"**{percent(1 - p.zero_std)} of the groups of {g}"
        f" ({percent_interval(1 - p.high, 1 - p.low)}) will carry a signal**: they hold right and"
        " wrong completions.",
        f"The other groups teach GRPO nothing: {percent(p.all_wrong)} are all wrong and"
        f" {percent(p.all_right)} all right.",
        f"Of {counted(audit.num_prompts, 'prompt')}, {never:,} were never solved, {always:,}"
        f" always, and {some:,} sometimes.",
    ]


def _shares(audits: Sequence[Audit]) -> str:
    """One group size that all inputs plan, with the share of each."""
    planned = [audit for audit in audits if audit.plans]
    common = set.intersection(*(set(audit.plans) for audit in planned)) if planned else set()
    if not common:
        return ""
    g = min(common, key=lambda size: (abs(size - _USUAL), size))
    said = f"Groups of {g} that will carry a signal"
    if len(planned) <= _NAMED:
        return f"{said}: {', '.join(_share(audit, g) for audit in planned)}."
    ranked = sorted(planned, key=lambda audit: audit.plans[g].prediction.zero_std)
    return (
        f"{said}: most in {_share(ranked[0], g)}, fewest in {_share(ranked[-1], g)}, of"
        f" {len(planned)} inputs."
    )


def _share(audit: Audit, g: int) -> str:
    p = audit.plans[g].prediction
    span = percent_interval(1 - p.high, 1 - p.low)
    return f"{audit.label} {percent(1 - p.zero_std)} ({span})"


def _tally(differences: Sequence[Difference]) -> list[str]:
    """For each quantity, how many pairs of inputs differ; not one pair that happens to be first."""
    said = []
    for quantity in dict.fromkeys(d.quantity for d in differences):
        pairs = [d for d in differences if d.quantity == quantity]
        decided = sum(d.decided for d in pairs)
        equal = sum(d.equal and not d.decided for d in pairs)
        said.append(
            f"{quantity}: of {counted(len(pairs), 'pair')} of inputs, {decided} differ, {equal} are"
            f" equal within {100 * pairs[0].margin:.0f} points, and {len(pairs) - decided - equal}"
            " cannot be told apart yet."
        )
    return said[:2]

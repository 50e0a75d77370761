"""Advice in plain words, each with the numbers behind it, and never more than the data carry."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from grpolab.figures.words import count, p_value, percent, percent_interval, round_up
from grpolab.validate.audit.compare import Difference
from grpolab.validate.audit.outlook import FirstGroups
from grpolab.validate.audit.summary import Audit, GroupPlan

_WIDE = 0.10  # an interval wider than this leaves planning open
_MANY_MORE = 1.5  # times the present prompts, from which on a number of prompts is worth saying


def advise(audit: Audit) -> list[str]:
    """Sentences about one input, most important first."""
    if audit.truncated is not None or audit.counts.provenance.filtered:
        return _filtered(audit)
    if not audit.plans:
        return [
            "Cannot tell how many groups would carry a signal: every prompt has one sample. Draw at"
            " least as many samples per prompt as the largest group you plan."
        ]
    sentences = [_signal(plan) for plan in audit.plans.values()]
    sentences += [_first(g, o.first) for g, o in audit.outlook.items() if o.first is not None]
    sentences += [_group_size(audit), *_prompts(audit), _dynamic_sampling(audit)]
    sentences += [*_more_data(audit), *_sampler(audit)]
    return sentences


def _range(plan: GroupPlan) -> str:
    return percent_interval(plan.prediction.low, plan.prediction.high)


def _signal(plan: GroupPlan) -> str:
    p = plan.prediction
    how = "" if p.method == "thinning" else f", extrapolated by a {p.method}"
    return (
        f"g={p.group_size}: {percent(p.zero_std)} of the groups ({_range(plan)}{how}) will have"
        f" identical rewards and no signal: {percent(p.all_wrong)} all wrong,"
        f" {percent(p.all_right)} all right. The mean success rate alone would have promised"
        f" {percent(p.iid_mean_p)}."
    )


def _first(group_size: int, first: FirstGroups) -> str:
    return (
        f"The first {first.num_groups} groups of {group_size} of a run will show"
        f" {percent_interval(first.low, first.high)} without a signal in 95% of the cases, on"
        " prompts drawn like those counted here and before the policy moves."
    )


def _group_size(audit: Audit) -> str:
    plans = list(audit.plans.values())
    cheapest = max(plans, key=lambda p: p.frac_mixed / p.prediction.group_size)
    fullest = max(plans, key=lambda p: p.frac_mixed)
    per = {p.prediction.group_size: 1000 * p.frac_mixed / p.prediction.group_size for p in plans}
    if fullest.frac_mixed == 0:
        return "No mixed group was seen or is forecast at any planned size."
    g_cheap, g_full = cheapest.prediction.group_size, fullest.prediction.group_size
    if g_cheap == g_full:
        return f"1000 rollouts in groups of {g_cheap} hold {per[g_cheap]:.0f} mixed groups."
    return (
        f"At equal rollouts smaller groups always give more mixed groups, here {per[g_cheap]:.0f}"
        f" per 1000 rollouts at g={g_cheap} against {per[g_full]:.0f} at g={g_full}, where"
        f" {percent(fullest.frac_mixed)} of the groups are mixed. Choose larger groups to"
        " reduce gradient noise. They do not give more informative groups per rollout."
    )


def _prompts(audit: Audit) -> list[str]:
    never, some, always = audit.solved
    total = audit.num_prompts
    samples = audit.num_samples / total
    found = [
        f"{some} of {total} prompts were both solved and failed in about {samples:.0f} samples;"
        f" {never} were never solved and {always} always."
    ]
    if max(never, always) > 0.2 * total:
        wrong, bound = never >= always, min(3.0 / samples, 1.0)
        solved, change, every = (
            ("never", "easier", "wrong") if wrong else ("always", "harder", "right")
        )
        limit = f"high as {bound:.2g}" if wrong else f"low as {1 - bound:.2g}"
        found.append(
            f"The prompts {solved} solved ({percent(max(never, always) / total)}) carry next to no"
            f" signal at any planned g; more {change} prompts would help. A prompt that is {every}"
            f" in all {samples:.0f} samples can still have a success rate as {limit}."
        )
    return found


def _dynamic_sampling(audit: Audit) -> str:
    parts = []
    for g, plan in audit.plans.items():
        factor = 1.0 / plan.frac_mixed if plan.frac_mixed > 0 else math.inf
        parts.append(f"{factor:.1f} at g={g}" if factor < 1000 else f"more than 1000 at g={g}")
    return (
        "Dynamic sampling would have to draw this many groups per mixed group: "
        + ", ".join(parts)
        + ". It leaves the direction of the expected update as it is and scales the step by the"
        " same factor."
    )


def _more_data(audit: Audit) -> list[str]:
    found = []
    for g, plan in audit.plans.items():
        p = plan.prediction
        if p.method != "thinning":
            found.append(_beyond(plan, audit.outlook[g].assumes))
        elif g > 2 and p.low < 0.5 < p.high:  # at g = 2 it is half or more for every p
            # half-widths shrink like 1 / sqrt(prompts)
            distance = max(abs(p.zero_std - 0.5), 0.02)
            needed = audit.num_prompts * ((p.high - p.low) / 2 / distance) ** 2
            found.append(
                f"Cannot tell whether more than half of the groups at g={g} are without a signal"
                f" ({_range(plan)}); about {count(round_up(needed))} prompts would tell, if the"
                f" share is {percent(0.5 + math.copysign(distance, p.zero_std - 0.5))}."
            )
        elif p.high - p.low > _WIDE:
            found.append(_width(plan, audit.num_prompts))
    return found


def _beyond(plan: GroupPlan, assumes: str) -> str:
    """What a share beyond the samples rests on; more prompts do not narrow all of its interval."""
    g = plan.prediction.group_size
    return (
        f"g={g} exceeds the samples of some prompts. Its share ({_range(plan)}) is that of"
        f" {assumes}; the mean and the correlation alone allow {percent(plan.bound_low)} to"
        f" {percent(plan.bound_high)}. Draw {g} samples per prompt to narrow it: more prompts alone"
        " leave open what few samples cannot tell."
    )


def _width(plan: GroupPlan, num_prompts: int) -> str:
    """How wide the interval is, and how many prompts would narrow it, if that is many more."""
    p = plan.prediction
    said = f"The interval at g={p.group_size} is ±{100 * (p.high - p.low) / 2:.1f} points"
    needed = num_prompts * ((p.high - p.low) / _WIDE) ** 2
    if needed < _MANY_MORE * num_prompts:
        return f"{said}."
    return f"{said}; about {count(round_up(needed))} prompts would make it ±{50 * _WIDE:.0f}."


def _sampler(audit: Audit) -> list[str]:
    test = audit.independence
    if not test.identifiable:
        return [f"Cannot tell whether rollouts of a prompt are independent draws: {test.reason}."]
    if test.p_value < 0.01:
        return [
            f"Rollouts of a group are not independent given the prompt (correlation {test.rho:.3f},"
            f" p={p_value(test.p_value)}): look for seeds shared inside a group, grader outages or"
            " a policy that changed inside a group before trusting any other number here."
        ]
    return [
        "No sign that rollouts of a group depend on each other beyond the prompt (correlation"
        f" {test.rho:.3f} with standard error {test.stderr:.3f}, p={p_value(test.p_value)})."
    ]


def _filtered(audit: Audit) -> list[str]:
    fit = audit.truncated
    if fit is None:
        return ["Cannot tell how many groups were without a signal: only mixed groups were kept."]
    return [
        f"Only mixed groups were kept. If p follows a beta, {percent(1 - fit.frac_kept)} of the"
        " groups that were drawn had no signal"
        f" ({percent_interval(1 - fit.kept_high, 1 - fit.kept_low)}), the mean success rate was"
        f" {fit.mean:.2f} and the correlation {fit.rho:.2f}. A dump from before the filter would"
        " tell without the beta."
    ]


def advise_comparison(differences: Sequence[Difference]) -> list[str]:
    """Which input has more, or how many prompts would tell; group sizes that agree in one line."""
    found = []
    for _, alike in itertools.groupby(differences, key=_verdict):
        several = list(alike)
        found += [_lead(several)] if several[0].decided else [_undecided(d) for d in several]
    return found


def _verdict(d: Difference) -> tuple[object, ...]:
    """What differences must share to be told in one sentence."""
    what = d.quantity.partition("g=")[0]
    return d.first, d.second, what, d.decided, d.difference > 0, d.paired, d.num_prompts


def _basis(d: Difference) -> str:
    return f"paired over {d.num_prompts} prompts" if d.paired else "different prompts"


def _lead(alike: Sequence[Difference]) -> str:
    d = alike[0]
    more, less = (d.first, d.second) if d.difference > 0 else (d.second, d.first)
    spans = [sorted((100 * abs(e.low), 100 * abs(e.high))) for e in alike]
    points = ", ".join(f"{near:.1f} to {far:.1f}" for near, far in spans)
    sizes = "".join(f", {e.quantity.partition('g=')[2]}" for e in alike[1:])
    return f"{d.quantity}{sizes}: {more} is above {less} ({points} points, {_basis(d)})."


def _undecided(d: Difference) -> str:
    half = (d.high - d.low) / 2
    if half == 0:
        return f"{d.quantity}: {d.first} and {d.second} do not differ ({_basis(d)})."
    distance = max(abs(d.difference), 0.01)
    needed = d.num_prompts * (half / distance) ** 2
    span = f"{100 * d.low:+.1f} to {100 * d.high:+.1f} points, {_basis(d)}"
    return (
        f"{d.quantity}: cannot tell {d.first} and {d.second} apart ({span}); if the difference is"
        f" {100 * distance:.1f} points, about {count(round_up(needed))} prompts would tell."
    )

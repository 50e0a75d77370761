"""Advice in plain words, each with the numbers behind it, and never more than the data carry."""

from __future__ import annotations

import itertools
import math

import numpy as np

from grpolab.figures.words import count, interval, p_value, percent, percent_interval, round_up
from grpolab.theory.zero_std import prob_zero_std
from grpolab.validate.audit.alarms import alarm_sentence
from grpolab.validate.audit.graded import lead
from grpolab.validate.audit.left_out import every_group_is_mixed
from grpolab.validate.audit.outlook import FirstGroups
from grpolab.validate.audit.plan import GroupPlan, Threshold
from grpolab.validate.audit.summary import Audit
from grpolab.validate.audit.tables import mean_may_exceed
from grpolab.validate.audit.unsolved import one_sided_mixed
from grpolab.validate.forecast.beyond import ASSUMES
from grpolab.validate.forecast.posterior import Posterior, fit_posterior

_WIDE = 0.10  # an interval wider than this leaves planning open
_AS_WIDE = 0.8  # of the band, from which on an interval beyond the samples says little more
_LITTLE = 0.2  # mixed groups of prompts that other prompts would better replace
_TELL_HALF = 6  # prompts that can exclude one half where all are alike: 0.025^(1/6) > 1/2
_MANY_MORE = 1.5  # times the present prompts, from which on a number of prompts is worth saying


def advise(audit: Audit) -> list[str]:
    """Sentences about one input, most important first."""
    return [*map(alarm_sentence, audit.alarms), *_advise(audit)]


def _advise(audit: Audit) -> list[str]:
    if audit.refused:
        return []
    if audit.truncated is not None or audit.counts.provenance.filtered:
        return _filtered(audit)
    if not audit.plans:
        return [*_limits(audit), _why_not(audit)]
    sides = {g: plan.prediction.zero_std for g, plan in audit.plans.items()}
    sentences = every_group_is_mixed(audit.counts, audit.beta_binomial)
    sentences += lead(audit.equal_scores, sides)
    sentences += [
        _signal(plan, audit.num_prompts)
        for g, plan in audit.plans.items()
        if g not in audit.equal_scores
    ]
    sentences += [_first(g, o.first) for g, o in audit.outlook.items() if o.first is not None]
    sentences += [*_no_law(audit), *_contradiction(audit), *_thresholds(audit)]
    sentences.append(_group_size(audit))
    sentences += [*_prompts(audit), _dynamic_sampling(audit), *_more_data(audit), *_sampler(audit)]
    return sentences


def _why_not(audit: Audit) -> str:
    """What keeps a forecast from being made, and what more samples would give."""
    if audit.num_prompts == 1:
        return (
            "Cannot tell how many groups would carry a signal: one prompt says nothing of others,"
            " and it has fewer samples than the planned groups. Count more prompts."
        )
    return (
        "Cannot tell more of the groups, because every prompt has one sample: it does not show how"
        " much prompts differ. A second sample of each prompt gives the ICC and a forecast at every"
        " g; as many samples as a group has give its share without a model of p."
    )


def _limits(audit: Audit) -> list[str]:
    """What holds for any law of p where no forecast can be made."""
    mean = audit.pass_at_k[1]
    found = [
        f"g={g}: between {percent(one.zero_std[0])} and {percent(one.zero_std[1])} of the groups"
        " will have identical rewards and no signal, and"
        f" pass@{g} lies between {percent(one.pass_at[0])} and {percent(one.pass_at[1])}."
        for g, one in audit.limits.items()
        if not one.zero_std == one.pass_at == (0.0, 1.0)
    ]
    if found:
        found.append(
            "These are limits for any law of p, from the mean success rate of"
            f" {percent(mean.value)} ({percent_interval(mean.low, mean.high)}): groups are mixed"
            " most often where all prompts have that rate, and never where each prompt is always"
            " or never solved."
        )
    return found


def _range(plan: GroupPlan) -> str:
    return percent_interval(plan.prediction.low, plan.prediction.high)


def _signal(plan: GroupPlan, num_prompts: int) -> str:
    p = plan.prediction
    how = ""
    if p.method != "thinning":
        how = f", extrapolated by a {p.method}"
    elif p.num_fitted:
        how = f", {p.num_fitted} of {num_prompts} prompts by a fitted beta"
    share, alone = percent(p.zero_std), percent(p.iid_mean_p)
    promised = "says the same" if alone == share else f"would have promised {alone}"
    return (
        f"g={p.group_size}: {share} of the groups ({_range(plan)}{how}) will have identical"
        f" rewards and no signal: {percent(p.all_wrong)} all wrong, {percent(p.all_right)} all"
        f" right. The mean success rate alone {promised}."
    )


def _first(group_size: int, first: FirstGroups) -> str:
    return (
        f"The first {first.num_groups} groups of {group_size} of a run will show"
        f" {percent_interval(first.low, first.high)} without a signal in 95% of the cases, on"
        " prompts drawn like those counted here and before the policy moves."
    )


def _no_law(audit: Audit) -> list[str]:
    """Counts that no law of p explains, though every number beyond the samples rests on one."""
    if audit.cover is None or not np.isnan(audit.cover.low).any():
        return []
    sizes = audit.counts.by_prompt().num_samples
    cause = (
        "prompts with more samples are easier or harder than the others, or samples of a prompt are"
        " no independent draws"
        if int(sizes.min()) < int(sizes.max())
        else "samples of a prompt are no independent draws of one policy"
    )
    return [
        f"No law of p explains these counts: {cause}. Shares beyond the samples, and thresholds"
        " p*, take one for granted; do not rely on them."
    ]


def _contradiction(audit: Audit) -> list[str]:
    """Larger groups cannot have zero std more often; a fit beside thinning can say that they do."""
    found = []
    for small, large in itertools.pairwise(audit.plans.values()):
        p, q = small.prediction, large.prediction
        if q.zero_std > p.zero_std + 1e-9:
            found.append(
                f"The share at g={q.group_size} cannot be above that at g={p.group_size}: the"
                f" {q.method} fit is too high for these prompts, and {percent(p.zero_std)} is a"
                " ceiling."
            )
    return found


def _thresholds(audit: Audit) -> list[str]:
    """p* of every planned size, and whether the shares agree with the side that the mean is on."""
    mean = audit.pass_at_k.get(1)
    if audit.icc is None or mean is None:
        return []
    parts, other = [], []
    for g, plan in audit.plans.items():
        star, p = plan.threshold, plan.prediction
        parts.append(f"{_threshold(audit, star)} at g={g}")
        fine = star.value < mean.value < star.upper.value
        if g > 2 and ((p.low > 0.5 and fine) or (p.high < 0.5 and not fine)):
            other.append(f"g={g}")
    said = (
        "If success rates follow a beta law with the ICC measured here, most groups are without a"
        f" signal {'; '.join(parts)}. The mean is {mean.value:.3f}"
        f" ({interval(mean.low, mean.high)})."
    )
    if other:
        said += (
            f" The share at {', '.join(other)} says otherwise, and it needs no p*: p follows no"
            " beta here."
        )
    return [said]


def _threshold(audit: Audit, star: Threshold) -> str:
    """Below p*, with its interval, and above the upper one where the mean may be."""
    if math.isnan(star.value):
        least = "" if math.isnan(star.low) else f" (p* {star.low:.3f} at the low end of the ICC)"
        return f"at every mean{least}"
    parts = [("below a mean of p* =", star)]
    if mean_may_exceed(audit, star.upper):
        parts.append(("and above", star.upper))
    return " ".join(
        f"{where} {t.value:.3f} ({_end(t.low)} to {_end(t.high)})" for where, t in parts
    )


def _end(value: float) -> str:
    """An end of the interval of p*, beyond which no mean may escape."""
    return "none" if math.isnan(value) else f"{value:.3f}"


def _group_size(audit: Audit) -> str:
    plans = list(audit.plans.values())
    cheapest = max(plans, key=lambda p: p.frac_mixed / p.prediction.group_size)
    fullest = max(plans, key=lambda p: p.frac_mixed)
    per = {p.prediction.group_size: 1000 * p.frac_mixed / p.prediction.group_size for p in plans}
    if fullest.frac_mixed == 0:
        most = ", ".join(
            f"{percent(1 - p.prediction.low)} at g={p.prediction.group_size}" for p in plans
        )
        return f"No mixed group was seen. At most so many are mixed, with 95%: {most}."
    g_cheap, g_full = cheapest.prediction.group_size, fullest.prediction.group_size
    if g_cheap == g_full:
        return f"1000 rollouts in groups of {g_cheap} hold {per[g_cheap]:.0f} mixed groups."
    if f"{per[g_cheap]:.0f}" == f"{per[g_full]:.0f}":
        return (
            f"1000 rollouts hold about {per[g_full]:.0f} mixed groups at g={g_cheap} and at"
            f" g={g_full} alike."
        )
    return (
        f"At equal rollouts smaller groups give more mixed groups, here {per[g_cheap]:.0f}"
        f" per 1000 rollouts at g={g_cheap} against {per[g_full]:.0f} at g={g_full}, where"
        f" {percent(fullest.frac_mixed)} of the groups are mixed. Choose larger groups to"
        " reduce gradient noise. They do not give more informative groups per rollout."
    )


def _prompts(audit: Audit) -> list[str]:
    never, some, always = audit.solved
    total = audit.num_prompts
    sizes = audit.counts.by_prompt().num_samples
    least, most = int(sizes.min()), int(sizes.max())
    samples = f"{most}" if least == most else f"{least} to {most}"
    found = [
        f"{some} of {total} prompts were both solved and failed in {samples} samples;"
        f" {never} {'was' if never == 1 else 'were'} never solved and {always} always."
    ]
    many = [(n, wrong) for n, wrong in ((never, True), (always, False)) if n > 0.2 * total]
    posterior = _posterior(audit) if many else None
    return found + [_one_sided(audit, posterior, count, wrong=wrong) for count, wrong in many]


def _posterior(audit: Audit) -> Posterior | None:
    """What the counts say of single prompts; None for one prompt alone, or one sample each."""
    try:
        return fit_posterior(audit.counts, rng=0)
    except ValueError:
        return None


def _one_sided(audit: Audit, posterior: Posterior | None, number: int, *, wrong: bool) -> str:
    """What groups of prompts that were always failed, or always solved, will hold."""
    solved, change = ("never", "Easier") if wrong else ("always", "Harder")
    totals = audit.counts.by_prompt()
    same = totals.num_correct == (0 if wrong else totals.num_samples)
    samples = int(np.median(totals.num_samples[same]))
    reach = 1.0 - 0.05 ** (1.0 / samples)  # 95% bound of the rate of one prompt
    all_of = "its one sample" if samples == 1 else f"all {samples} samples"
    limit = f"high as {reach:.2g}" if wrong else f"low as {1 - reach:.2g}"
    g = max(audit.plans)
    said = f"The prompts {solved} solved ({percent(number / audit.num_prompts)}) "
    if posterior is None:
        mixed = 0.0
        said += "need not stay without a signal: one"
    else:
        plan = audit.plans[g]
        mixed, low, high = one_sided_mixed(posterior, plan.prediction, same, totals.num_samples)
        said += (
            f"will have {percent(mixed)} mixed groups at g={g} on average"
            f" ({percent_interval(low, high)}), by a law of p fitted to all prompts. One"
        )
    said += (
        f" of them that was {'failed' if wrong else 'solved'} in {all_of} can still"
        f" have a success rate as {limit}, where {percent(float(1 - prob_zero_std(reach, g)))} of"
        " its groups are mixed."
    )
    return f"{said} {change} prompts would help." if mixed < _LITTLE else said


def _dynamic_sampling(audit: Audit) -> str:
    parts = []
    for g, plan in audit.plans.items():
        p = plan.prediction
        least, middle, most = (_draws_per_mixed(share) for share in (p.low, p.zero_std, p.high))
        parts.append(f"{middle} ({least} to {most}) at g={g}")
    return (
        "Dynamic sampling would have to draw this many groups per mixed group: "
        + ", ".join(parts)
        + ". Where equal rewards give zero advantages, and the loss has no other term, it leaves"
        " the direction of the expected update as it is and scales the step by the same factor."
    )


def _draws_per_mixed(zero_std: float) -> str:
    """1 / (1 - share); "any number" where no group is mixed."""
    factor = 1.0 / (1.0 - zero_std) if zero_std < 1 else math.inf
    if math.isinf(factor):
        return "any number"
    return f"{factor:.1f}" if factor < 1000 else "more than 1000"


def _more_data(audit: Audit) -> list[str]:
    found = []
    for g, plan in audit.plans.items():
        p = plan.prediction
        if p.method != "thinning":
            found.append(_beyond(plan, int(audit.counts.by_prompt().num_samples.max())))
        elif g > 2 and p.low < 0.5 < p.high:  # at g = 2 it is half or more for every p
            found.append(_half(plan, audit.num_prompts))
        elif p.high - p.low > _WIDE:
            found.append(_width(plan, audit.num_prompts))
    return found


def _beyond(plan: GroupPlan, samples: int) -> str:
    """What a share beyond the samples rests on; more prompts do not narrow all of its interval."""
    p = plan.prediction
    g, width = p.group_size, p.high - p.low
    which = "some prompts" if samples >= g else "every prompt"
    said = (
        f"g={g} exceeds the samples of {which}. Its share ({_range(plan)}) is that of"
        f" {ASSUMES[p.method]}; this mean, taken for exact, and a correlation within its interval"
        f" alone allow {percent_interval(plan.bound_low, plan.bound_high)}. "
    )
    if p.method == "smoothed mixture" and width > _AS_WIDE * (plan.bound_high - plan.bound_low):
        said += (
            "The interval is about as wide as that, or wider: so few samples, or prompts, tell"
            " hardly more than mean and correlation, and no narrower one would hold for every law"
            " of p. "
        )
    return (
        f"{said}Draw {g} samples per prompt to narrow it: more prompts alone leave open what few"
        " samples cannot tell."
    )


def _half(plan: GroupPlan, num_prompts: int) -> str:
    """Whether more than half of the groups are without a signal is open; what would settle it."""
    p = plan.prediction
    g = p.group_size
    reach = p.zero_std - p.low if p.zero_std >= 0.5 else p.high - p.zero_std
    distance = max(abs(p.zero_std - 0.5), 0.02)  # what reach shrinks below with more prompts
    if reach <= distance:
        return f"About half of the groups at g={g} are without a signal ({_range(plan)})."
    open_yet = f"Cannot tell whether more than half of the groups at g={g} are without a signal"
    if num_prompts == 1:
        return f"{open_yet}: one prompt says nothing of others."
    needed = num_prompts * (reach / distance) ** 2  # reach shrinks like 1 / sqrt(prompts)
    needed = max(needed, _TELL_HALF)
    return (
        f"{open_yet} ({_range(plan)}); about {count(round_up(needed))} prompts would tell, if the"
        f" share is {percent(0.5 + math.copysign(distance, p.zero_std - 0.5))}."
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
    if any(alarm.test == "groups" for alarm in audit.alarms):
        return []
    if math.isnan(test.rho):
        size = f"p={p_value(test.p_value)}"
    else:
        error = "" if math.isnan(test.stderr) else f" with standard error {test.stderr:.3f}"
        size = f"correlation {test.rho:.3f}{error}, p={p_value(test.p_value)}"
    if test.p_value < 0.01:
        look = (
            "samples drawn without replacement, in antithetic pairs, or groups that were chosen for"
            " holding both rewards"
            if test.rho < 0
            else "seeds shared inside a group, grader outages or a policy that changed inside a"
            " group"
        )
        return [
            f"Rewards of a group may be correlated beyond the prompt ({size}): as much as that is"
            f" seen by chance in one of {count(1 / test.p_value)} tests, and no alarm. Fresh"
            f" samples would tell; if it stays, look for {look}."
        ]
    if test.p_value < 0.05:
        return [
            f"A weak sign that rollouts of a group depend on each other beyond the prompt ({size});"
            " chance alone gives one like it in every twentieth file."
        ]
    return [f"No sign that rollouts of a group depend on each other beyond the prompt ({size})."]


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

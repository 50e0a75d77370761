"""What an alarm of a sampler test means in words: what was seen, and what is likely to cause it."""

from __future__ import annotations

from grpolab.figures.words import p_value, percent
from grpolab.validate.estimate.copies import Copies
from grpolab.validate.estimate.faults import Alarm
from grpolab.validate.estimate.independence import PairContrast
from grpolab.validate.estimate.order import NeighbourTest, OrderTest
from grpolab.validate.estimate.sampler import PositionTest, SeedTest, TrendTest
from grpolab.validate.estimate.selection import Selection, Stopping
from grpolab.validate.estimate.sequences import EvennessTest, SequenceTest

_SORTED = 0.8
"""Rank correlation of place and likelihood from which on samples were sorted by it."""


_ORDERED = {"texts": "completions", "beginnings": "first tokens of completions"}
"""Tests of order by what they compare; the others compare rewards."""


def alarm_sentence(alarm: Alarm) -> str:
    """One alarm: what the samples show, the p-value over all tests of the command, the causes."""
    seen, causes = _seen(alarm)
    return f"{seen} (p={p_value(alarm.p_value)} over all tests). {causes}"


def _seen(alarm: Alarm) -> tuple[str, str]:
    found = alarm.evidence
    match found:
        case PairContrast():
            return _groups(found)
        case SeedTest():
            return _duplicates(found)
        case PositionTest():
            return _positions(found)
        case TrendTest():
            return _trend(found)
        case OrderTest():
            return _order(found, _ORDERED.get(alarm.test, "rewards"))
        case NeighbourTest():
            return _neighbours(found)
        case SequenceTest():
            return _shifts(found, verdicts=alarm.test == "verdict shifts")
        case EvennessTest():
            return _even(found)
        case Selection():
            return _selection(found)
        case Stopping():
            return _stopping(found)
        case Copies():
            return _copies(found)


def _groups(found: PairContrast) -> tuple[str, str]:
    seen = f"Rewards inside a group are correlated beyond the prompt (correlation {found.rho:+.3f})"
    if found.rho < 0:
        return seen, "Likely: duplicates were removed, or samples were shared out by outcome."
    return seen, (
        "Likely: a seed or cache that the samples of a group share, an outage of the grader or of"
        " the engine that hit whole groups, a policy that changed between groups, or samples that"
        " were stored sorted by likelihood."
    )


def _duplicates(found: SeedTest) -> tuple[str, str]:
    more = found.duplicate_rate > found.predicted
    seen = (
        f"Of the pairs of completions of a prompt {found.duplicate_rate:.4f} are equal, where their"
        f" log-probabilities predict {found.predicted:.4f}"
    )
    if more:
        return seen, (
            "Likely: several samples with one seed, a cache of completions, or log-probabilities of"
            " a higher temperature (or without top-p and top-k) than was sampled."
        )
    return seen, (
        "Likely: log-probabilities of a lower temperature than was sampled, or duplicates that were"
        " removed."
    )


def _positions(found: PositionTest) -> tuple[str, str]:
    share = found.frac_correct
    odd = int(abs(share - share.mean()).argmax())
    others = (share.sum() - share[odd]) / (len(share) - 1)
    seen = (
        f"The place of a sample in its request predicts its reward ({percent(float(share[odd]))}"
        f" right at place {odd}, {percent(float(others))} elsewhere)"
    )
    first = "sample 0 is greedy, or " if odd == 0 else ""
    if len(share) == 2:
        first = "the best and the worst sample of each group were kept, in this order, or "
    return seen, (
        f"Likely: {first}one seed for the samples at the same place of all requests, samples stored"
        " sorted, or later samples that ran into a limit or an outage."
    )


def _trend(found: TrendTest) -> tuple[str, str]:
    less = "less" if found.correlation < 0 else "more"
    seen = (
        f"Later samples of a request are {less} likely than earlier ones (rank correlation of"
        f" place and log-probability {found.correlation:+.2f} over {found.num_prompts} prompts)"
    )
    if abs(found.correlation) > _SORTED:
        cause = (
            "samples stored sorted by likelihood (some engines return them so). Do not take the"
            " first samples for all"
        )
    else:
        cause = "a temperature or a policy that changed while the samples were drawn"
    return seen, f"Likely: {cause}."


def _order(found: OrderTest, what: str) -> tuple[str, str]:
    where = {
        "near": "neighbouring places", "far": "neighbouring places",
        "first": "place 0 and the others",
        "distance": f"places {found.size} apart",
        "every": f"places a multiple of {found.size} apart",
        "block": f"blocks of {found.size} places",
    }[found.pattern]  # fmt: skip
    seen = (
        f"Of the pairs of {what} at {where} {percent(found.agreement)} are equal, where"
        f" {percent(found.expected)} would be in random order"
    )
    if found.agreement < found.expected and found.pattern != "near":
        return seen, (
            "Likely: duplicates were removed, or samples of several policies or temperatures are"
            " stored in turn."
        )
    causes = {
        "near": "samples stored sorted by likelihood (some engines return them so), or a policy or"
        " grader that changed while they were drawn. Do not take the first samples for all",
        "first": "sample 0 is greedy and not drawn like the others",
        "block": f"one seed or one cached prefix for each {found.size} samples",
        "distance": f"seeds that repeat after {found.size} samples",
        "every": f"seeds that repeat after {found.size} samples",
    }  # fmt: skip
    return seen, f"Likely: {causes.get(found.pattern, causes['near'])}."


def _neighbours(found: NeighbourTest) -> tuple[str, str]:
    if found.lag == 0:
        where = "samples at the same place of all requests"
        causes = (
            "one seed for all requests, samples stored sorted by likelihood, a place that is"
            " sampled greedily, or an instruction of its own for each place"
        )
    elif found.lag > 1:
        where = f"samples of requests {found.lag} apart"
        causes = "workers that start from the same seed"
    elif found.shift == 0:
        where = "samples at the same place of neighbouring requests"
        causes = "one seed for neighbouring requests"
    else:
        where = f"sample i of a request and sample i{found.shift:+d} of the next"
        causes = (
            "seeds of neighbouring requests overlap (seed + prompt + sample, or a step smaller than"
            " the number of samples)"
        )
    seen = (
        f"{where[0].upper()}{where[1:]} begin alike in {found.agreement:.1%} of the cases, where"
        f" {found.expected:.1%} are chance"
    )
    return seen, f"Likely: {causes}. The prompts are not independent then: intervals are too short."


def _shifts(found: SequenceTest, *, verdicts: bool) -> tuple[str, str]:
    how = "have equal verdicts" if verdicts else "begin alike"
    there = f"sample i{found.shift:+d}" if found.shift else "sample i"
    if found.every:
        where = f"Sample i of a request and {there} of the one {found.second - found.first} later"
    else:
        where = (
            "Requests are alike at a shift of their own for each pair: sample i of request"
            f" {found.first} in the file and {there} of request {found.second}"
        )
    seen = (
        f"{where} {how} in {percent(found.agreement)} of the cases, where"
        f" {percent(found.expected)} are chance"
    )
    return seen, (
        "Likely: seeds that requests share (a counter that starts again, seeds by order of"
        " arrival, random seeds from a small range), or samples at some places that are drawn or"
        " judged in another way. The prompts are not independent then: intervals are too short."
    )


def _even(found: EvennessTest) -> tuple[str, str]:
    what = "first token" if found.tokens == 1 else f"beginning of {found.tokens} tokens"
    seen = (
        f"A {what} that {percent(found.share)} of the samples have comes more equally often in all"
        f" requests than independent draws allow (variance over requests {found.ratio:.2f} of the"
        " least that they have)"
    )
    return seen, (
        "Likely: the same seeds for all requests, in another order for each, or an instruction of"
        " its own for each sample. The prompts are not independent then: intervals are too short."
    )


def _selection(found: Selection) -> tuple[str, str]:
    g = found.group_size
    if found.kind == "mixed only":
        return (
            f"No group of {g} is all wrong or all right, where the other groups imply at least"
            f" {found.missing:.0f}",
            "Only mixed groups were kept (dynamic sampling?), and the numbers below take that into"
            " account.",
        )
    if found.kind == "extremes":
        return (
            "More groups of two hold one success and one failure than any independent draws give",
            "Likely: the file keeps the best and the worst rollout of each group. The zero-std"
            " share cannot be told from it: record all rollouts.",
        )
    if found.kind in ("no all-wrong", "no all-right"):
        side = "all wrong" if found.kind == "no all-wrong" else "all right"
        return (
            f"No group of {g} is {side}, where the other groups imply at least {found.missing:.0f}",
            f"Likely: groups that are {side} were left out. The zero-std share cannot be told from"
            " this file.",
        )
    return (
        f"Counts of groups of {g} are more even than those of independent draws can be",
        "Likely: groups were selected, or samples kept, by their outcome (a band of success rates,"
        " the best and the worst of more). The zero-std share cannot be told from this file.",
    )


def _stopping(found: Stopping) -> tuple[str, str]:
    what = "success" if found.on_success else "failure"
    return (
        f"{found.ends} of {found.num_prompts} prompts with fewer samples than others end with their"
        f" {what}, {found.expected:.0f} would by chance",
        f"Sampling seems to stop at the first {what}: means of verdicts per prompt are biased then."
        " The numbers below come from a beta-binomial likelihood, which stopping does not bias.",
    )


def _copies(found: Copies) -> tuple[str, str]:
    if found.size == 0:
        return (
            f"All completions of a group are the same text in {found.num_groups} of"
            f" {found.out_of} groups that can tell ({found.distinct:.1f} distinct of"
            f" {found.group_size:.0f} per group)",
            "They are one sample, not several (one seed for all, a cached completion, greedy"
            " decoding?), and count as one below.",
        )
    return (
        f"Completions of a group come in {found.size} copies in {found.num_groups} of"
        f" {found.out_of} groups ({found.distinct:.1f} distinct of {found.group_size:.0f} per"
        " group)",
        f"Each {found.size} are one sample (a seed or a cached prefix that they share?), and count"
        " as one below.",
    )

"""What a triage says in sentences, and what it cannot say."""

from __future__ import annotations

import math

from grpolab.figures.words import (
    chance,
    count,
    counted,
    estimate,
    p_value,
    percent,
    percent_interval,
    round_up,
)
from grpolab.validate.audit.alarms import alarm_sentence
from grpolab.validate.forecast.levels import levels
from grpolab.validate.triage.confirm import Suspicion
from grpolab.validate.triage.pairs import CheckpointPair
from grpolab.validate.triage.ranking import TAU_H, Checkpoint, Triage

_TRUNCATED = 0.05  # from here on truncation is worth a sentence
_ALONE = 0.95  # chance of a lead that would be enough if there were one pair only
_OTHERS = 3  # pairs without the first checkpoint that each get a sentence


def advise_triage(found: Triage) -> list[str]:
    """Sentences, most important first."""
    sentences = [_suspect(suspicion) for suspicion in found.suspicions]
    sentences.append(_best(found))
    sentences += _pairs(found)
    sentences += [_same(*pair) for pair in found.same_completions]
    sentences += _rule_of_thumb(found)
    sentences += _outcomes(found)
    sentences += _entropy(found)
    sentences += [_truncation(c) for c in found.checkpoints if c.frac_truncated >= _TRUNCATED]
    sentences += [_missing(c) for c in found.checkpoints if c.num_missing]
    sentences.append(
        "The ranking is of the signal at the first RL step. It is no forecast of the score after"
        " RL: how much a checkpoint can still gain depends on what it can ever sample, for which"
        f" look at pass@{found.group_size} and the prompts never solved."
    )
    return sentences


def _suspect(one: Suspicion) -> str:
    said = alarm_sentence(one.alarm)
    if not one.stands:
        return (
            f"{one.label}: a test of the sampler raised an alarm (`{one.test}`,"
            f" p={p_value(one.alarm.p_value)}) that a second, independent sample did not confirm"
            f" (p={p_value(one.second_p)}): a chance alarm."
        )
    again = ""
    if not math.isnan(one.second_p):
        again = f" A second, independent sample shows it, too (p={p_value(one.second_p)})."
    return f"**Do not trust the numbers of {one.label}**: {said}{again}"


def _best(found: Triage) -> str:
    best, g = found.checkpoints[0], found.group_size
    if best.signal.value == 0:
        most = max(1 - c.audit.plans[g].prediction.low for c in found.checkpoints)
        return (
            f"No checkpoint has a mixed group in these samples: no signal at g={g} was seen. The"
            f" prompts leave open that up to {percent(most)} of the groups are mixed."
        )
    plan = best.audit.plans[g].prediction
    share = f"{percent(1 - plan.zero_std)} ({percent_interval(1 - plan.high, 1 - plan.low)})"
    size = f"mean reward std {estimate(best.signal[:3])}, {share} of the groups are mixed"
    if len(found.checkpoints) == 1:
        return f"**{best.label}** at g={g}: {size}."
    equal = [c.label for c in found.checkpoints if math.isclose(c.signal.value, best.signal.value)]
    if len(equal) > 1:
        names = f"{', '.join(equal[:-1])} and {equal[-1]}"
        return f"**{names}** have the same signal at g={g}, and none has more: {size}."
    lead = f"**{best.label}** has the most signal at g={g}: {size}"
    open_ = [p for p in found.pairs if p.first == best.label and not p.decided]
    surely = f" It is the best with chance {chance(best.signal.prob_best)}"
    if not open_:
        return f"{lead}, more than every other checkpoint.{surely}."
    return f"{lead} as measured.{surely}; see below for what is not settled."


def _pairs(found: Triage) -> list[str]:
    """Pairs without a clear winner: those of the first checkpoint, and in short the others."""
    told = [p for p in found.pairs if p.equal or not p.decided]
    first = found.checkpoints[0].label
    others = [p for p in told if p.first != first]
    if len(others) <= _OTHERS:
        return [_pair(p, found) for p in told]
    equal = sum(p.equal for p in others)
    return [
        *(_pair(p, found) for p in told if p.first == first),
        f"Of the {sum(p.first != first for p in found.pairs)} pairs without {first},"
        f" {len(others) - equal} cannot be told apart yet and {equal} are equal within"
        f" {found.margin:g}: see the table of pairs.",
    ]


def _same(first: str, second: str) -> str:
    return (
        f"**{first} and {second} have the same completions**, one for one: is it one checkpoint, or"
        " one folder of rollouts, read twice? Their comparison says nothing of two policies."
    )


def _pair(pair: CheckpointPair, found: Triage) -> str:
    """A pair that has no winner, or one by next to nothing."""
    said = f"(difference {pair.difference:+.3f}, {pair.low:+.3f} to {pair.high:+.3f})"
    if pair.decided:
        return (
            f"{pair.first} has more signal than {pair.second}, but by less than {found.margin:g}"
            f" {said}: as good as equal. Other things should decide."
        )
    if pair.equal:
        return (
            f"Equal within {found.margin:g}: {pair.first} and {pair.second} {said}. Other things"
            " should decide."
        )
    text = (
        f"Cannot tell yet: {pair.first} against {pair.second} {said}, {chance(pair.prob_more)} that"
        f" {pair.first} has more"
    )
    if pair.prob_more >= _ALONE and len(found.pairs) > 1:
        text += (
            f" (taken alone it would; one of {len(found.pairs)} pairs shows such a lead by chance"
            " too often)"
        )
    more = pair.prompts_needed - found.num_prompts
    if math.isfinite(more):
        text += (
            f". About {count(round_up(max(more, 1)))} more prompts (now {found.num_prompts}) would"
            f" show who has more, or that they are equal within {found.margin:g}"
        )
        if math.isinf(pair.samples_needed):
            text += "; more samples of the same prompts would not"
        elif not math.isnan(pair.samples_needed):
            more = pair.samples_needed - found.samples_per_prompt
            text += f"; or so would {count(round_up(max(more, 1)))} more samples of each prompt"
    return f"{text}."


def _rule_of_thumb(found: Triage) -> list[str]:
    """Whether the usual choice, the best pass@1, is another one."""
    scored = [c for c in found.checkpoints if 1 in c.audit.pass_at_k]
    if len(scored) < 2:
        return []
    usual = max(scored, key=lambda c: c.audit.pass_at_k[1].value)
    best = found.checkpoints[0]
    if math.isclose(usual.signal.value, best.signal.value):
        return []
    score = usual.audit.pass_at_k[1]
    pair = {(p.first, p.second): p for p in found.pairs}[best.label, usual.label]
    apart = "" if pair.decided else f", not told apart from that of {best.label}"
    return [
        f"Pass@1 alone would pick {usual.label}: pass@1"
        f" {estimate((score.value, score.low, score.high))}, signal {estimate(usual.signal[:3])},"
        f" rank {1 + found.checkpoints.index(usual)} of {len(found.checkpoints)}{apart}."
    ]


def _outcomes(found: Triage) -> list[str]:
    """Who leads under the rules for the outcome, and what the trial of the rules says."""
    if len(found.checkpoints) < 2 or not found.outcomes:
        return []
    named = [f"{rule.name} names {rule.leader}" for rule in found.outcomes if not rule.tied]
    tied = ", ".join(rule.name for rule in found.outcomes if rule.tied)
    said = "No rule names the best start for the outcome of RL"
    if named:
        said = f"Rules for the outcome of RL: {', '.join(named)}"
    if tied:
        said += f"; {tied} cannot tell the highest checkpoint from another"
    return [
        f"{said}. `grpolab probe` runs the best few for some steps and compares what came out.",
        levels().trial,
    ]


def _entropy(found: Triage) -> list[str]:
    low = [c.label for c in found.checkpoints if c.entropy < TAU_H]
    if not low:
        return []
    law = found.sampling
    plain = law.get("temperature") == 1 and law.get("top_p") == 1 and law.get("top_k") == 0
    limit = "" if plain else ", and this law is not plain sampling at temperature 1"
    name = "entropy" if found.entropy_name == "token H" else "surprisal"
    return [
        f"Token {name} below {TAU_H} nats: {', '.join(low)}. The threshold was calibrated on one"
        f" model family (arXiv 2606.18487){limit}: read it as a hint, the measured signal as the"
        " evidence."
    ]


def _truncation(c: Checkpoint) -> str:
    return (
        f"{c.label}: {percent(c.frac_truncated)} of the completions were cut off before their end;"
        " their verdicts measure the token budget, not the model. Raise --max-new-tokens."
    )


def _missing(c: Checkpoint) -> str:
    return (
        f"{c.label}: of the prompts that are compared {counted(c.num_missing, 'completion')} had no"
        " verdict; these count as unobserved, not as wrong."
    )

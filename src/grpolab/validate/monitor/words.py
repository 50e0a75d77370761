"""Verdict and alarms in sentences: what was seen, how sure it is, what to look at first."""

from __future__ import annotations

import math
from functools import partial

from grpolab.figures.words import chance, percent, percent_interval, significant
from grpolab.validate.estimate.bootstrap import wilson_interval
from grpolab.validate.monitor.futility import MARGIN, Chance
from grpolab.validate.monitor.monitor import PAPER_DROP, PAPER_STEPS, Alarm, SignalMonitor

_short = partial(significant, digits=3)
_OUTWARD = (math.floor, math.ceil)  # bounds are rounded so that they stay bounds
_CAUSES = {
    "all wrong": "almost all of the others are all wrong: the prompts are too hard for this policy,"
    " or the grader rejects everything (read a few completions)",
    "all right": "almost all of the others are all right: these prompts are solved and have nothing"
    " left to teach",
    "both": "the others are all wrong or all right: every prompt is either solved or out of reach",
    "unknown": "what was read does not tell all wrong from all right",
}


def describe(monitor: SignalMonitor) -> str:
    """One sentence on the verdict, with its evidence."""
    state, config = monitor.state, monitor.config
    seen = _seen(monitor)
    evidence = f"evidence {_short(monitor.evidence)}, threshold {_short(1 / config.alpha)}"
    match monitor.verdict:
        case "no-signal":
            return (
                f"no signal: {seen}, and {_CAUSES[monitor.reason]}. Fewer than"
                f" {floor(monitor)} are informative ({evidence}: wrong for"
                f" at most {_short(config.alpha)} of the runs)"
            )
        case "blind":
            return (
                f"blind: no group had two verdicts in the last {state.blind_steps} steps; is the"
                f" grader down? The test waits ({evidence})"
            )
        case "not-finite":
            return (
                f"not finite: loss, gradient norm or advantages are NaN or infinite in the last"
                f" {state.not_finite_rows} steps, so nothing is learned; {seen}"
            )
        case "healthy" | "weak" as verdict:
            return f"{verdict}: {seen}{_split(monitor)} ({evidence}{_waits(monitor)})"
    if not state.recent:
        return "undecided: no group with verdicts was seen yet"
    return f"undecided: {seen}{_split(monitor)} ({evidence}{_waits(monitor)})"


def _waits(monitor: SignalMonitor) -> str:
    """What a verdict still waits for where the evidence has passed its threshold."""
    if monitor.evidence < 1 / monitor.config.alpha:
        return ""
    if monitor.waits:
        return f", passed; the verdict waits for {_more(monitor.waits)} (`--patience`)"
    return (
        f", passed; {floor(monitor)} or more are informative in the last"
        f" {monitor.config.patience} steps together: no verdict yet"
    )


def _more(steps: int) -> str:
    return f"{steps} more step{'' if steps == 1 else 's'}"


def _seen(monitor: SignalMonitor) -> str:
    """How many of the last groups were informative, as a share, and per step where that is many."""
    recent = monitor.recent
    steps = len(recent.rows)
    if not steps:
        return "no group with verdicts was seen yet"
    groups, informative, bounds = recent.groups, recent.informative, recent.bounds
    first, last = (int(monitor.state.recent[i][0] or 0) for i in (0, -1))
    span = "the last step" if steps == 1 else f"the last {steps} steps"
    if last - first + 1 > steps:  # a row of a log may stand for several
        span = f"steps {first} to {last}"
    if bounds is not None and informative:
        return f"{_bounds(bounds, groups, informative, span)}"
    share = percent(informative / groups)
    if recent.interval is not None:
        share = f"{share}, 95% interval {percent_interval(*recent.interval)}"
    held = f"held different rewards in {span}"
    said = f"{_short(informative)} of {_short(groups)} groups ({share}) {held}"
    few = informative < 0.05 * groups and informative >= steps > 1
    return f"{said}, {_short(informative / steps)} a step" if few else said


def _bounds(bounds: tuple[float, float], groups: float, most: float, span: str) -> str:
    """Between which shares the informative groups lie, where they are not counted.

    >>> _bounds((52.4, 79.2), 80, 80, "the last 10 steps")  # doctest: +NORMALIZE_WHITESPACE
    'at least 65% and at most 99% of 80 groups held different rewards in the last 10 steps if all
     rewards are 0 or 1, and at most 100% otherwise'
    """
    low, high = (
        percent(step(100 * bound / groups) / 100)
        for step, bound in zip(_OUTWARD, bounds, strict=True)
    )
    held = f"of {_short(groups)} groups held different rewards in {span}"
    if not bounds[0]:
        return f"at most {percent(most / groups)} {held}"
    return (
        f"at least {low} and at most {high} {held} if all rewards are 0 or 1,"
        f" and at most {percent(most / groups)} otherwise"
    )


def _split(monitor: SignalMonitor) -> str:
    """What the other groups are, and what an informative one costs, as far as that is known."""
    recent = monitor.recent
    groups, informative, wrong = recent.groups, recent.informative, recent.all_wrong
    parts = []
    if wrong == wrong and groups > informative:
        right = percent(1 - (wrong + informative) / groups)
        parts.append(f"{percent(wrong / groups)} were all wrong, {right} all right")
    cost = recent.rollouts_per_informative
    if cost == cost:
        parts.append(f"an informative group takes {_short(cost)} rollouts")
    return "".join(f"; {part}" for part in parts)


def floor(monitor: SignalMonitor) -> str:
    """The least that the hypothesis allows: a share of the groups, or so many a step."""
    config = monitor.config
    if config.min_groups:
        return f"{_short(config.min_groups)} groups a step"
    return f"{_percent_of(config.min_signal)} of the groups"


def _percent_of(share: float) -> str:
    """A limit as it was set: 1%, 0.5%.

    >>> _percent_of(0.01), _percent_of(0.005)
    ('1%', '0.5%')
    """
    return f"{100 * share:g}%"


def explain(alarm: Alarm, monitor: SignalMonitor) -> str:
    """One line on an alarm that was raised or is over."""
    if alarm.over:
        return f"step {alarm.step}: {alarm.name} is over; {describe(monitor)}"
    return f"step {alarm.step}: {_alarm(alarm.name, monitor)}"


def standing(monitor: SignalMonitor) -> list[str]:
    """What the alarms that stand mean, those left out that the verdict itself says.

    >>> standing(SignalMonitor())
    []
    """
    said = {"no-signal", "low-signal", "blind", "futile", "not-finite"}
    return [_alarm(name, monitor) for name in monitor.state.raised if name not in said]


def _alarm(name: str, monitor: SignalMonitor) -> str:
    state = monitor.state
    if name in ("no-signal", "blind"):
        return describe(monitor)
    if name == "low-signal":
        return (
            f"low signal: {_seen(monitor)}{_split(monitor)}; if it goes on, the verdict will be"
            f" no signal (evidence {_short(monitor.evidence)}, threshold"
            f" {_short(1 / monitor.config.alpha)})"
        )
    if name == "futile":
        return outlook(monitor)
    if name == "held-out-fall":
        return (
            "held-out score falls while the training reward rises: the policy may be learning what"
            " the reward rewards and not the task; look at completions with a high reward"
        )
    if name == "truncation":
        share = sum(state.recent_truncated) / len(state.recent_truncated)
        return (
            f"truncation: {percent(share)} of the completions are cut off before their end; their"
            " verdicts measure the token budget"
        )
    if name == "reward-jump":
        lost, all_now = ("wrong", "right") if state.jump_right else ("right", "wrong")
        return (
            f"reward jump: from step {state.jump_step} on every rollout is {all_now}, and in the"
            f" steps before {percent(state.jump_share)} of the groups held a {lost} one. A policy"
            " does not change so much in a step: look at the grader first"
        )
    if name == "not-finite":
        return (
            "not finite: loss, gradient norm or advantages are NaN or infinite in"
            f" {state.not_finite_rows} steps in a row"
        )
    early = sum(state.early_entropy) / len(state.early_entropy)
    now = sum(state.recent_entropy) / len(state.recent_entropy)
    what = "collapse" if name == "entropy-collapse" else "explosion"
    return (
        f"entropy {what}: {_short(now)} nats per token, {_short(early)} in the first rows of the"
        " run"
    )


def outlook(monitor: SignalMonitor) -> str:
    """The chance that the score ends above its start, with its interval, or why there is none."""
    found = monitor.outlook
    if isinstance(found, str):
        return f"outlook: not known ({found})"
    word = "futile" if found.futile else "outlook"
    return (
        f"{word}: the chance that the {found.score} score ends more than {MARGIN:g} above its start"
        f" is {chance(found.chance)} ({chance(found.low)} to {chance(found.high)}) by runs before"
        f" the trial, {_came_true(found)}; now {found.gain:+.3f} after {percent(found.done)} of"
        f" {monitor.config.steps} steps"
    )


def _came_true(found: Chance) -> str:
    """How often a chance like this one came true in the trial, with its 95% interval (Wilson)."""
    low, high, gained, runs = found.trial
    if not runs:
        return "no run of which had a chance like it"
    span = f"chances from {percent(low)} to {percent(high)}"
    interval = percent_interval(*wilson_interval(gained, runs))
    return f"in which {span} came true in {gained} of {runs} runs ({interval})"


def paper_rule(monitor: SignalMonitor) -> str:
    """What the entropy rule of arXiv 2606.18487 says; it is shown, not acted on."""
    drop = monitor.paper_drop
    span = f"between steps {PAPER_STEPS[0]} and {PAPER_STEPS[1]}"
    if drop != drop:
        return f"entropy rule (arXiv 2606.18487): needs the entropy {span}"
    verdict = "flags the run" if drop > PAPER_DROP else "does not flag the run"
    return (
        f"entropy rule (arXiv 2606.18487): relative drop {drop:+.2f} {span}, limit {PAPER_DROP},"
        f" {verdict}"
    )

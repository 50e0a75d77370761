"""Verdict and alarms in sentences: what was seen, how sure it is, what to look at first."""

from __future__ import annotations

from functools import partial

from grpolab.figures.words import percent, significant
from grpolab.validate.monitor.monitor import PAPER_DROP, PAPER_STEPS, Alarm, SignalMonitor

_short = partial(significant, digits=3)
_CAUSES = {
    "all wrong": "almost all of the others are all wrong: the prompts are too hard for this policy,"
    " or the grader rejects everything (read a few completions)",
    "all right": "almost all of the others are all right: these prompts are solved and have nothing"
    " left to teach",
    "both": "the others are all wrong or all right: every prompt is either solved or out of reach",
    "unknown": "the log does not tell all wrong from all right",
}


def describe(monitor: SignalMonitor) -> str:
    """One sentence on the verdict, with its evidence."""
    state, config = monitor.state, monitor.config
    groups, informative, _ = monitor.recent_totals
    span = "step" if len(state.recent) == 1 else f"{len(state.recent)} steps"
    seen = f"{_short(informative)} of {_short(groups)} groups had both outcomes in the last {span}"
    evidence = f"evidence {_short(monitor.evidence)}, threshold {_short(1 / config.alpha)}"
    match monitor.verdict:
        case "no-signal":
            return (
                f"no signal: {seen}, and {_CAUSES[monitor.reason]}. Fewer than"
                f" {_short(config.min_signal)} of the groups are informative ({evidence}: wrong for"
                f" at most {_short(config.alpha)} of the runs)"
            )
        case "blind":
            return (
                f"blind: no group had two verdicts in the last {state.blind_steps} steps; is the"
                f" grader down? The test waits ({evidence})"
            )
        case "healthy":
            return f"healthy: {seen} ({evidence})"
    if not state.recent:
        return "undecided: no group with verdicts was seen yet"
    return f"undecided: {seen} ({evidence})"


def explain(alarm: Alarm, monitor: SignalMonitor) -> str:
    """One line on an alarm that was raised or is over."""
    if alarm.over:
        return f"step {alarm.step}: {alarm.name} is over; {describe(monitor)}"
    return f"step {alarm.step}: {_alarm(alarm.name, monitor)}"


def _alarm(name: str, monitor: SignalMonitor) -> str:
    state = monitor.state
    if name in ("no-signal", "blind"):
        return describe(monitor)
    if name == "truncation":
        share = sum(state.recent_truncated) / len(state.recent_truncated)
        return (
            f"truncation: {percent(share)} of the completions are cut off before their end; their"
            " verdicts speak of the token budget"
        )
    if name == "not-finite":
        return f"not finite: loss or gradient norm is NaN or infinite in {state.not_finite_rows}" \
            " rows of the log in a row"  # fmt: skip
    early = sum(state.early_entropy) / len(state.early_entropy)
    now = sum(state.recent_entropy) / len(state.recent_entropy)
    what = "collapse" if name == "entropy-collapse" else "explosion"
    return (
        f"entropy {what}: {_short(now)} nats per token, {_short(early)} in the first rows of the"
        " run"
    )


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

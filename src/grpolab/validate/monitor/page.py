"""The page of a monitored run: findings first, then the share, the evidence and the entropy."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from grpolab.figures import monitor as figures
from grpolab.figures import page
from grpolab.figures.tables import Column, Table
from grpolab.validate.monitor.follow import Followed
from grpolab.validate.monitor.words import describe, floor, outlook, paper_rule, standing

_SHOWN = 30  # rows of the table of alarms


def write_run(path: Path, found: Followed, *, name: str, reload: int = 0) -> None:
    """Write one self-contained HTML file, which reloads itself while the run is being watched."""
    monitor, config = found.monitor, found.monitor.config
    said = describe(monitor)
    verdict, colon, why = said.partition(":")
    findings = [f"**{_capital(verdict)}{colon}**{why}."]
    if monitor.state.first_rejection >= 0 and monitor.verdict != "no-signal":
        findings.append(
            f"The evidence passed its threshold at step {monitor.state.first_rejection}; the signal"
            " has come back since."
        )
    findings += [f"{_capital(line)}." for line in standing(monitor)]
    if config.steps:
        findings += [f"{_capital(outlook(monitor))}; shown, not acted on."]
    findings += [f"{_capital(paper_rule(monitor))}; shown, not acted on."]
    findings += [f"Note: {note}." for note in found.notes]
    parts = [page.takeaways(findings)]
    if found.history:
        parts.append(_figures(found))
    if found.alarms:
        parts.append(_alarms(found))
    parts.append(
        page.details(
            "What is tested",
            page.paragraph(
                "A group is informative when its verdicts differ. Hypothesis: at every step, given"
                f" all before it, at least {floor(monitor)} are informative. The evidence"
                " is a supermartingale under it, so it reaches"
                f" {1 / config.alpha:g} in at most {config.alpha:g} of the runs for which that is"
                " true, however often one looks. Groups with fewer than two verdicts, missing keys"
                " and repeated steps are no evidence."
            ),
        )
    )
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    lead = (
        f"{found.trainer} run, {len(found.history)} steps read, {_groups(found)}; written {now},"
        f" {f'reloads every {reload} seconds' if reload else _over(found)}"
    )
    page.write_page(path, title=f"Monitor: {name}", lead=lead, parts=parts, reload=reload)


def _capital(said: str) -> str:
    """With a capital letter in front; names inside keep theirs."""
    return said[:1].upper() + said[1:]


def _over(found: Followed) -> str:
    return f"the run has ended: {found.ended}" if found.ended else "the watch has ended"


def _groups(found: Followed) -> str:
    state = found.monitor.state
    unseen = f", {state.num_unseen:.0f} without" if state.num_unseen else ""
    return f"{state.num_groups:.0f} groups with verdicts{unseen}"


def _figures(found: Followed) -> str:
    history, config = found.history, found.monitor.config
    entropy = [m.entropy for m in history]
    stop = found.monitor.state.first_rejection
    draw = partial(
        figures.draw_run,
        steps=[m.step for m in history],
        num_informative=[m.num_informative for m in history],
        num_groups=[m.num_groups for m in history],
        evidence=[m.evidence for m in history],
        entropy=entropy,
        min_signal=config.min_signal,
        threshold=1 / config.alpha,
        stop=stop if stop >= 0 else None,
        num_low=[m.num_low for m in history],
    )
    share = "Share of groups whose verdicts differ"
    if any(m.num_low is not None for m in history):
        share += " (the most that it can be, and the least if all rewards are 0 or 1)"
    caption = (
        f"{share}; evidence that it is below its limit; token entropy where the trainer logs it."
    )
    tall = 6.6 if any(h is not None for h in entropy) else 4.6
    return page.figure(draw, caption=caption, alt=caption, size=(9.5, tall))


def _alarms(found: Followed) -> str:
    rows = [
        [alarm.step, alarm.name, "over" if alarm.over else "raised"]
        for alarm in found.alarms[-_SHOWN:]
    ]
    columns = ("step", Column("alarm", words=True), Column("", words=True))
    return page.details(f"Alarms, the last {len(rows)}", Table(columns, rows).html())

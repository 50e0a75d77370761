"""What a probe says: sentences, tables, and one page."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from grpolab.figures import page, words
from grpolab.figures.tables import Column, Table
from grpolab.validate.forecast.levels import levels
from grpolab.validate.probe.compare import StartPair
from grpolab.validate.probe.probe import Probe


def sentences(found: Probe) -> list[str]:
    """The choice, its error, its cost, and what it does not say."""
    choice = found.comparison
    score = dict(zip(choice.labels, choice.means, strict=True))[choice.leader]
    lead = (
        f"**{choice.leader}**: {found.outcome} {words.number(score)} on"
        f" {found.scored.num_prompts} held-out prompts after {found.step} steps, mean of"
        f" {words.counted(len(found.runs[choice.leader]), 'seed')}"
    )
    if choice.settled:
        sure = f"no other start is better by more than {choice.pairs[0].margin:g}"
        lines = [f"Start from {lead}; {sure} ({words.percent(found.level)} for all together)."]
    else:
        rivals = ", ".join(pair.second for pair in choice.open_pairs)
        lines = [
            f"Cannot tell yet which start is best. Ahead is {lead}; {rivals} can still be better,"
            f" by at most {words.number(choice.loss)} ({words.percent(found.level)} for all"
            " together)."
        ]
    lines.append(_cost(found))
    tied = [r.label for r in found.ranking if r.tied]
    if tied:
        lines.append(
            f"Left out by the ranking though its prompts do not show that they are behind:"
            f" {', '.join(tied)}. --top {sum(r.kept for r in found.ranking) + len(tied)} would"
            " include them."
        )
    if found.scored.left_out:
        lines.append(
            f"{found.scored.left_out} held-out prompts are left out: fewer than {found.k} verdicts"
            " in some run."
        )
    lines += [f"{note}." for note in found.notes]
    lines.append(
        f"This is the order after {found.step} steps, and need not be that after the whole run."
        f" {_of_the_trial(found.k)}"
    )
    return lines


def _of_the_trial(k: int) -> str:
    """What the trial says of probes for an outcome."""
    known = levels().verdicts
    if not known:
        return "No trial has confirmed a probe yet (docs/preregistration.md)."
    if k > 1:
        return (
            f"Claim E of the trial (docs/preregistration.md) is {known['E']}: pass@8 before RL"
            " chooses as well for the final pass@10 as a probe of 50 steps."
        )
    small = " The gain is below the margin that counts as a difference there."
    return (
        f"Claim F of the trial (docs/preregistration.md) is {known['F']}: a probe of 50 steps"
        " chooses better for the final pass@1 than pass@1 before RL."
        f"{small if known['F'] == 'confirmed' else ''}"
    )


def _cost(found: Probe) -> str:
    cost = found.cost
    parts = [(cost.ranking, "ranking"), (cost.trained, "training"), (cost.answered, "evaluation")]
    said = ", ".join(f"{words.count(n)} {name}" for n, name in parts if n)
    text = f"Cost: {words.count(cost.total)} rollouts ({said})"
    if cost.most > cost.total:
        text += (
            f", {words.percent(1 - cost.total / cost.most)} less than all"
            f" {found.planned} seeds of all starts"
        )
    return f"{text}."


def tables(found: Probe) -> list[Table]:
    """Ranking by the law, short runs, pairs of the leader."""
    ranking = [_ranking(found)] if found.ranking else []
    return [*ranking, _starts(found), _pairs(found)]


def _ranking(found: Probe) -> Table:
    rule = found.ranking[0].score.rule
    rows = [
        [
            r.label, r.score.estimate,
            "runs" if r.kept else "left out, tied" if r.tied else "left out",
        ]
        for r in found.ranking
    ]  # fmt: skip
    caption = (
        "Mean over held-out prompts before RL, in brackets its 95% interval over prompts. `tied`:"
        " the paired difference to the last start that was taken has p >= .05."
    )
    columns = ("checkpoint", Column(rule, words.estimate), Column("next", words=True))
    return Table(columns, rows, caption, title=f"Checkpoints by {rule}, the highest first")


def _starts(found: Probe) -> Table:
    rows = []
    for label, group in found.runs.items():
        after, before = found.scored.after[label], found.scored.before[label]
        start = float(before.mean()) if before.size else math.nan
        end = float(after.mean())
        spread = float(after.mean(axis=1).std(ddof=1)) if len(after) > 1 else math.nan
        seeds = " ".join(str(run.seed) for run in group)
        rows.append([label, seeds, start, end, end - start, spread])
    rows.sort(key=lambda row: -float(str(row[3])))
    caption = (
        f"{found.outcome} on {found.scored.num_prompts} held-out prompts before the first step and"
        f" after {found.step} steps, mean over seeds. `between seeds`: standard deviation of the"
        f" score; {found.rl_noise:g} is assumed beside it."
    )
    columns = ("checkpoint", Column("seeds", words=True), "before", "after", "gain",
               "between seeds")  # fmt: skip
    return Table(columns, rows, caption, title="Short runs")


def _pairs(found: Probe) -> Table:
    def row(pair: StartPair) -> list[object]:
        return [f"{pair.first} over {pair.second}", pair.rounds, pair[3:6], pair.verdict]

    caption = (
        "Differences paired over prompts and seeds. In brackets intervals that hold for all pairs"
        f" and after every seed at once with {words.percent(found.level)}: one may stop, or add a"
        " seed, at any time. `equal`, `no worse`: within the margin both ways, or on the side that"
        " matters."
    )
    columns = ("pair", "seeds", Column("difference", words.estimate), Column("verdict", words=True))
    return Table(columns, [row(p) for p in found.comparison.pairs], caption,
                 title="Is the first better?")  # fmt: skip


def write_probe(path: Path, found: Probe) -> None:
    """Write the page."""
    page.write_page(
        path,
        title=f"Which start is best after {found.step} steps?",
        lead=f"{len(found.runs)} starts, {words.counted(found.rounds, 'seed')},"
        f" {found.scored.num_prompts} held-out prompts; outcome {found.outcome}.",
        parts=[
            page.takeaways(sentences(found)),
            _figure(found),
            page.section("Numbers", *map(page.folded, tables(found))),
        ],
    )


def _figure(found: Probe) -> str:
    caption = (
        f"Left: {found.outcome} of each start on the held-out prompts, before RL (open) and after"
        f" {found.step} steps (filled). Right: how much {found.comparison.leader} is ahead of every"
        " other start after them, with intervals that hold for all pairs at once."
    )
    return page.figure(
        lambda axes: _draw(axes, found), caption=caption, alt="scores of the starts, and leads",
        size=(11.0, 1.3 + 0.42 * len(found.runs)), panels=2,
    )  # fmt: skip


def _draw(axes: Any, found: Probe) -> None:
    from grpolab.figures import style

    left, right = axes
    labels = sorted(found.runs, key=lambda label: float(found.scored.after[label].mean()))
    for i, label in enumerate(labels):
        before, after = found.scored.before[label], found.scored.after[label]
        ends = [float(one.mean()) if one.size else math.nan for one in (before, after)]
        left.plot(ends, [i, i], color=style.BLUE, lw=1)
        left.plot(ends[0], i, "o", color=style.BLUE, mfc="none", ms=6)
        left.plot(ends[1], i, "o", color=style.BLUE, ms=6)
    for pair in found.comparison.pairs:
        i = labels.index(pair.second)
        right.plot([pair.low, pair.high], [i, i], color=style.BLUE, lw=2)
        right.plot(pair.difference, i, "o", color=style.BLUE, ms=5)
    right.axvline(0, color="black", ls=":", lw=1)
    left.set(xlabel=found.outcome)
    right.set(xlabel=f"lead in {found.outcome}")
    for ax, names in ((left, style.short_names(labels)), (right, [""] * len(labels))):
        ax.set_yticks(range(len(labels)), names, parse_math=False)
        ax.set_ylim(-0.6, len(labels) - 0.4)

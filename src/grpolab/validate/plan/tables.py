"""A plan and a selection as tables, once for the terminal and for JSON."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from grpolab.figures.tables import Column, Table
from grpolab.figures.words import count, number, percent, percent_interval
from grpolab.theory.allocation import mixed_table
from grpolab.validate.forecast.posterior import Posterior
from grpolab.validate.plan.plans import Row
from grpolab.validate.plan.select import Selection, Share

_SHOWN = 40  # kinds of prompts that are listed


def _sizes(row: Row) -> str:
    low, high = (f"{end:.0f}" for end in (row.least, row.most))
    return low if low == high else f"{low} to {high}"


def _whole(ends: tuple[float, float]) -> str:
    return f"{count(ends[0])} to {count(ends[1])}"


def rules(rows: Sequence[Row]) -> Table:
    """One row per rule."""
    columns: list[Column | str] = [
        "rule", "prompts", Column("rollouts each", words=True), Column("rollouts", count),
        Column("mixed groups", lambda v: number(v, digits=1)), Column("a run shows", words=True),
        Column("per 1000", lambda v: number(v, digits=1)),
    ]  # fmt: skip
    lines = [
        [
            row.rule, row.num_prompts, _sizes(row), row.spent, row.mixed,
            _whole((row.low, row.high)),
            1000.0 * row.mixed / row.spent if row.spent else 0.0,
        ]
        for row in rows
    ]  # fmt: skip
    caption = (
        "a run shows: 95% interval, for rates known as far as the counts tell. per 1000: mixed"
        " groups per 1000 rollouts. dynamic sampling and Reinforce-Ada look at the outcomes before"
        " they go on; their rollouts are expected ones."
    )
    return Table(columns, lines, caption, title="The same rollouts by several rules")


def kinds(found: Posterior, row: Row) -> Table:
    """What prompts with equal counts get; a range where a tie was broken by order."""
    data = found.cells
    top = int(row.most)
    mixed = found.weight @ mixed_table(found.support, max(top, 3))
    mean = found.weight @ found.support
    lines = []
    for u in range(len(data.num_samples)):
        given = row.rollouts[found.cell == u]
        low, high = int(given.min()), int(given.max())
        chance = float(mixed[u, given.astype(np.int64)].mean())
        lines.append(
            [
                f"{data.num_correct[u]} of {data.num_samples[u]}", len(given), float(mean[u]),
                f"{low}" if low == high else f"{low} to {high}", chance,
            ]
        )  # fmt: skip
    columns: list[Column | str] = [
        "correct",
        "prompts",
        "p",
        Column("rollouts", words=True),
        Column("mixed", percent),
    ]
    caption = "p: posterior mean. mixed: chance that a group of this size is mixed."
    if len(lines) > _SHOWN:
        caption += f" The first {_SHOWN} of {len(lines)} kinds of counts; --json has every prompt."
    return Table(columns, lines[:_SHOWN], caption, title="Rollouts per prompt")


def shares(found: Selection) -> Table:
    """All prompts, those that stay, and what a filter on c/n would do."""

    def line(name: str, kept: int, share: Share | None, said: float | None) -> list[object]:
        ends = "-" if share is None else percent_interval(share.low, share.high)
        return [name, kept, None if share is None else share.value, ends, said]

    lines = [
        line("all", len(found.keep), found.before, None),
        line("selected", int(found.keep.sum()), found.after, None),
        line("c/n in the band", int(found.by_rate.sum()), found.naive, found.promised),
    ]
    columns: list[Column | str] = [
        "prompts", "number", Column("mixed", percent), Column("a run shows", words=True),
        Column("c/n promises", percent),
    ]  # fmt: skip
    caption = (
        "mixed: expected share of mixed groups, one group per prompt. a run shows: its 95%"
        " interval. c/n promises: what the share would be if c/n were the success rates."
    )
    return Table(columns, lines, caption, title="Before and after the selection")

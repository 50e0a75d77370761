"""Does RL exceed its start? pass@64 and Cover@tau before and after, by run and by prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from grpolab.figures.tables import Column, Table
from grpolab.figures.words import estimate, number, p_value
from grpolab.streams import generator
from grpolab.theory.groups import FloatArray
from grpolab.theory.pass_at_k import pass_at_k
from grpolab.validate.estimate.bootstrap import half_width, mean_stderr
from grpolab.validate.study.explore.courses import Courses
from grpolab.validate.study.trial.measures import over_designs

K = 64
TAUS = (0.1, 0.5)
BINS = (0.0, 1e-9, 0.05, 0.2, 0.5, 0.95, 1.0 + 1e-9)
"""Edges of p before RL."""
_SPLITS = 10


class Change(NamedTuple):
    """A run's mean change over held-out prompts, and whether it is beyond chance (95%, paired)."""

    value: float
    falls: bool
    rises: bool


def change(before: FloatArray, after: FloatArray) -> Change:
    """After minus before by prompt, [P] each."""
    difference = np.asarray(after - before, dtype=np.float64)
    mean = float(difference.mean())
    half = half_width(mean_stderr(difference), free=len(difference) - 1)
    return Change(mean, mean + half < 0, mean - half > 0)


def by_design(designs: Sequence[Courses]) -> list[dict[str, Any]]:
    """One row per design: of its runs, how many fall in pass@64 and how all scores change."""
    rows = []
    for one in designs:
        before, after = (
            pass_at_k(n, c, K)
            for n, c in ((one.samples, one.before), (one.end_samples, one.end))
        )  # fmt: skip
        found = [change(before[place[:2]], after[place]) for place in np.ndindex(one.end.shape[:3])]
        rate, end = one.rate[:, :, None], one.end_rate
        rows.append(
            {
                "design": one.name, "runs": len(found),
                "lower": sum(c.value < 0 for c in found),
                "falls": sum(c.falls for c in found), "rises": sum(c.rises for c in found),
                "before": float(before.mean()),
                "pass@64": float(np.mean([c.value for c in found])),
                "pass@1": float((end - rate).mean()),
                **{
                    f"cover@{tau:g}": float(((end >= tau) * 1.0 - (rate >= tau)).mean())
                    for tau in TAUS
                },
                "deepest": _of_start(one, before, after, -1),
                "shallowest": _of_start(one, before, after, 0),
            }
        )  # fmt: skip
    return rows


def _of_start(one: Courses, before: FloatArray, after: FloatArray, place: int) -> float:
    return float((after[:, place] - before[:, place, None]).mean())


def by_prompt(designs: Sequence[Courses]) -> list[dict[str, Any]]:
    """Where pass@64 is lost and won: prompts by their rate before RL.

    Bins are chosen on one random half of the samples before RL and the change is measured from the
    other, so that a rate that was low by chance is not taken for a gain. With samples n the
    score is pass@(n/2) of the half and of all after, at most pass@64. ``share`` is that of prompts,
    ``part`` what a bin adds to the mean change of all prompts.
    """
    names, rows = [one.name for one in designs], []
    sums = {name: np.zeros((len(BINS) - 1, 4)) for name in names}
    for one in designs:
        half = one.samples // 2
        k = min(K, half)
        rng = generator(0, "halves", one.name)
        after = pass_at_k(one.end_samples, one.end, k)
        for _ in range(_SPLITS):
            first = rng.hypergeometric(one.before, one.samples - one.before, half)
            place = np.digitize(first / half, BINS) - 1
            second = one.before - first
            base = pass_at_k(one.samples - half, second, k)
            for b in range(len(BINS) - 1):
                inside = (place == b)[:, :, None] & np.ones(one.end.shape, bool)
                if not inside.any():
                    continue
                gain = (after - base[:, :, None])[inside]
                rise = (one.end_rate - (second / (one.samples - half))[:, :, None])[inside]
                share = inside.mean() / _SPLITS
                sums[one.name][b] += [share, gain.mean() * share, rise.mean() * share, 0]
    for b in range(len(BINS) - 1):
        mine = np.array([sums[name][b] for name in names])
        rows.append(
            {
                "from": BINS[b], "to": BINS[b + 1], "share": over_designs(mine[:, 0]),
                "part": over_designs(mine[:, 1]), "part_of_1": over_designs(mine[:, 2]),
            }
        )  # fmt: skip
    return rows


def by_class(designs: Sequence[Courses]) -> list[dict[str, Any]]:
    """SFT from the shallowest to the deepest start, and RL from each, by class of prompts.

    Designs whose SFT shows the first class alone and that ask both. The change is that of pass@1.
    """
    rows = []
    for one in designs:
        if not one.narrow or not 0 < one.second.mean() < 1:
            continue
        row: dict[str, Any] = {"design": one.name}
        for name, chosen in (("shown", one.second == 0), ("other", one.second == 1)):
            rate = np.where(chosen[:, None], one.rate, np.nan)
            end = np.where(chosen[:, None, None], one.end_rate, np.nan)
            row[f"sft_{name}"] = float(np.nanmean(rate[:, -1] - rate[:, 0]))
            row[f"rl_{name}"] = float(np.nanmean(end - rate[:, :, None]))
        rows.append(row)
    return rows


def design_table(rows: Sequence[dict[str, Any]]) -> Table:
    """Runs by design."""
    keys = (
        "runs",
        "lower",
        "falls",
        "rises",
        "before",
        "pass@64",
        "shallowest",
        "deepest",
        "pass@1",
    )
    signed = [
        Column(name, _signed)
        for name in (
            "pass@64",
            "from shallowest",
            "from deepest",
            "pass@1",
            "Cover@0.1",
            "Cover@0.5",
        )
    ]
    return Table(
        [Column("design", words=True), "runs", "lower", "lower beyond chance",
         "higher beyond chance",
            "pass@64 before", *signed],
        [(r["design"], *(r[k] for k in keys), r["cover@0.1"], r["cover@0.5"]) for r in rows],
    )  # fmt: skip


def prompt_table(rows: Sequence[dict[str, Any]]) -> Table:
    """Prompts by their rate before RL."""
    return Table(
        [Column("p before", words=True), Column("share", estimate),
         Column("adds to pass@64", estimate), Column("adds to pass@1", estimate)],
        [
            (_bin(r["from"], r["to"]), r["share"], r["part"], r["part_of_1"]) for r in rows
        ],
    )  # fmt: skip


def class_table(rows: Sequence[dict[str, Any]]) -> Table:
    """What SFT and RL do to the class that SFT shows and to the other one."""
    return Table(
        [Column("design", words=True), Column("deep SFT: class shown", _signed),
         Column("deep SFT: other class", _signed), Column("RL: class shown", _signed),
         Column("RL: other class", _signed)],
        [(r["design"], r["sft_shown"], r["sft_other"], r["rl_shown"], r["rl_other"]) for r in rows],
    )  # fmt: skip


def said(rows: Sequence[dict[str, Any]], bins: Sequence[dict[str, Any]]) -> str:
    """How many runs end below their start in pass@64, and where they lose."""
    runs, falls, rises, lower = (
        sum(r[k] for r in rows) for k in ("runs", "falls", "rises", "lower")
    )
    mean = over_designs(np.array([r["pass@64"] for r in rows]))
    lost = min(bins, key=lambda b: b["part"][0])
    where = [r["design"] for r in rows if r["falls"] > r["runs"] / 2]
    names = f" (most runs of {' and of '.join(where)})" if where else ""
    loss = ""
    if lost["part"][2] < 0:
        loss = (
            f" What is lost is lost on prompts with p {_bin(lost['from'], lost['to'])} before RL"
            f" ({estimate(tuple(lost['part']))} of the mean)."
        )
    never = bins[0]
    level, gain = ([r[key] for r in rows] for key in ("before", "pass@64"))
    room = ""
    known = min(len(set(level)), len(set(gain))) > 2
    if known and (order := stats.spearmanr(level, gain)).pvalue < 0.05:
        room = (
            " Designs change the less, or fall, the higher pass@64 was before RL: Spearman"
            f" {number(float(order.statistic))} over designs, p = {p_value(float(order.pvalue))}."
        )
    return (
        f"Of {runs} runs in {len(rows)} designs, {lower} end with a lower pass@64 than their start,"
        f" {falls} of them beyond chance{names}, and {rises} with a higher one beyond chance. The"
        f" mean change is {estimate(mean)} over designs.{loss} Prompts that half of the"
        f" samples before RL never solve add {estimate(tuple(never['part']))}.{room}"
    )


def _bin(low: float, high: float) -> str:
    if high < 1e-6:
        return "0"
    if high > 1:
        return f"from {low:g}"
    return f"{'above 0' if low < 1e-6 else f'{low:g}'} to {high:g}"


def _signed(value: Any) -> str:
    return number(None) if value is None else f"{value:+.3f}"

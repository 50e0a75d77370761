"""Held-out loss as predictor, by what the held-out set is made of: class and difficulty."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from grpolab.figures.tables import Column, Table
from grpolab.figures.words import estimate, number
from grpolab.theory.groups import FloatArray
from grpolab.validate.study.explore.courses import Courses
from grpolab.validate.study.explore.reach import outcomes_at
from grpolab.validate.study.trial.measures import over_designs, rank_correlation, regret

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Share of prompts of the second class, which narrow SFT does not show."""
THIRDS = ("easiest third", "middle third", "hardest third")
CANONICAL, ANY = "one canonical answer", "any right answer"


def losses(one: Courses) -> Iterator[tuple[str, str, FloatArray]]:
    """(loss, set, loss of every start [S, D]) of every composition that a design has.

    The loss on a canonical answer is that of the study, by class. That on any right answer is
    -log((c + 1/2)/(n + 1)) by prompt; difficulty is the mean rate over the starts of the ladder.
    """
    if not np.isnan(one.nll).any() and 0 < one.second.mean() < 1:
        for share in SHARES:
            name = f"{share:.0%} of the second class"
            yield CANONICAL, name, (1 - share) * one.nll[..., 0] + share * one.nll[..., 1]
    loss = -np.log((one.before + 0.5) / (one.samples + 1))
    yield ANY, "all prompts", loss.mean(axis=-1)
    order = np.argsort(-one.rate.mean(axis=1), axis=-1, kind="stable")
    ranked = np.take_along_axis(loss, order[:, None], axis=-1)
    size = ranked.shape[-1] // 3
    for i, name in enumerate(THIRDS):
        part = ranked[..., i * size : (i + 1) * size if i < 2 else None]
        yield ANY, name, part.mean(axis=-1)


_BASE = {CANONICAL: "50% of the second class", ANY: "all prompts"}


def compare(designs: Sequence[Courses]) -> list[dict[str, Any]]:
    """One row per loss and set: what choosing by it costs, and how its order agrees with the base.

    ``agree`` is Spearman's correlation with the order by the even mix (or all prompts), ``other``
    the share of ladders in which another start is chosen.
    """
    found = [{(kind, name): v for kind, name, v in losses(one)} for one in designs]
    rows = []
    for kind, name in dict.fromkeys(key for row in found for key in row):
        mine = [
            (one, row[kind, name], row[kind, _BASE[kind]])
            for one, row in zip(designs, found, strict=True)
            if (kind, name) in row
        ]
        row: dict[str, Any] = {"loss": kind, "set": name, "designs": len(mine)}
        for k in (1, 10):
            y = [outcomes_at(one, k) for one, _, _ in mine]
            x = [
                np.broadcast_to(-v[..., None], o.shape)
                for (_, v, _), o in zip(mine, y, strict=True)
            ]
            row[f"regret_{k}"] = over_designs(
                np.array([regret(a, b) for a, b in zip(x, y, strict=True)])
            )
            row[f"spearman_{k}"] = over_designs(
                np.array([rank_correlation(a, b) for a, b in zip(x, y, strict=True)])
            )
        row["agree"] = over_designs(
            np.array([rank_correlation(v[..., None], base[..., None]) for _, v, base in mine])
        )
        row["other"] = over_designs(
            np.array([np.mean(v.argmin(axis=1) != base.argmin(axis=1)) for _, v, base in mine])
        )
        rows.append(row)
    return rows


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """All compositions."""
    return Table(
        [
            Column("loss on", words=True), Column("held-out set", words=True), "designs",
            *(Column(name, estimate) for name in (
                "regret, pass@1", "Spearman, pass@1", "regret, pass@10", "Spearman, pass@10",
                "same order", "other choice")),
        ],
        [
            (r["loss"], r["set"], r["designs"], r["regret_1"], r["spearman_1"], r["regret_10"],
             r["spearman_10"], r["agree"], r["other"])
            for r in rows
        ],
    )  # fmt: skip


def said(rows: Sequence[dict[str, Any]]) -> str:
    """How far the order depends on the set."""
    lines = []
    for kind, base in _BASE.items():
        mine = [r for r in rows if r["loss"] == kind and r["set"] != base]
        if not mine:
            continue
        least = min(mine, key=lambda r: r["agree"][0])
        ends = [r["regret_1"][0] for r in rows if r["loss"] == kind]
        lines.append(
            f"- Loss on {kind}: the order of the starts agrees least with that on the base set"
            f" ({base}) for {least['set']}: Spearman {estimate(tuple(least['agree']))}, and another"
            f" start is chosen in {estimate(tuple(least['other']))} of the ladders. Over the sets"
            f" the regret in final pass@1 lies between {number(min(ends))} and {number(max(ends))}."
        )
    return "\n".join(lines)

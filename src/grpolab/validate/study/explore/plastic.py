"""Does lost plasticity explain what a deep start loses? Measures beside depth, over designs.

Inside ladders, final score = a x score before RL + b x log2(1 + SFT steps) + c x measure: b without
the measure is what a doubling of the SFT steps costs at equal score before RL, and b with it what
is left once starts of an equal measure are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from grpolab.figures.tables import Column, Table
from grpolab.figures.words import estimate
from grpolab.theory.groups import FloatArray
from grpolab.validate.estimate.bootstrap import percentile_interval
from grpolab.validate.study.trial.counts import DesignCounts
from grpolab.validate.study.trial.measures import (
    Estimate,
    over_designs,
    rank_correlation,
    resampled,
)
from grpolab.validate.study.trial.scores import outcome_scores, predictor_scores, signal

MEASURES = ("dormant", "rank", "grad-norm", "greedy - sampled")
RIVALS = ("informative groups", "entropy", "pass@8")
"""What else falls with depth: measured in the same way, for comparison."""
OUTCOMES = {"final pass@1": "pass@1", "final pass@10": "pass@8"}
"""Outcomes, and the score before RL that is held equal."""


def measures(counts: DesignCounts) -> dict[str, FloatArray]:
    """Every measure of a design's starts, means over RL seeds, [S, D]."""
    scores = predictor_scores(counts)
    named = {name: scores[name].mean(axis=-1) for name in ("dormant", "rank", "grad-norm",
             "entropy", "pass@8", "pass@1", "greedy")}  # fmt: skip
    return {
        **named,
        "greedy - sampled": named["greedy"] - named["pass@1"],
        "informative groups": signal(counts),
    }


def explain(designs: Sequence[DesignCounts]) -> list[dict[str, Any]]:
    """One row per outcome and measure; the first of an outcome is that without a measure.

    ``depth`` is b, ``change`` how much nearer to 0 (positive) or farther the measure brings it.
    Empty for fewer than two designs.
    """
    if len(designs) < 2:
        return []
    known = [measures(one) for one in designs]
    ends = [outcome_scores(one) for one in designs]
    steps = [
        np.broadcast_to(np.log2(1.0 + np.array(one.design.depths)), one.before.shape[:2])
        for one in designs
    ]
    rows = []
    for outcome, held in OUTCOMES.items():
        y = [end[outcome].mean(axis=-1) for end in ends]
        base = [[found[held], depth] for found, depth in zip(known, steps, strict=True)]
        plain = _slopes(base, y)
        rows.append({"outcome": outcome, "measure": "", "depth": _interval(plain)})
        for name in (*MEASURES, *(r for r in RIVALS if r != held)):
            x = [found[name] for found in known]
            more = [[*b, v] for b, v in zip(base, x, strict=True)]
            slopes = _slopes(more, y)
            gain = [v - found[held] for v, found in zip(y, known, strict=True)]
            rows.append(
                {
                    "outcome": outcome, "measure": name, "depth": _interval(slopes),
                    "change": _interval(np.abs(plain) - np.abs(slopes)),
                    "with_depth": _ranks(x, steps), "with_gain": _ranks(x, gain),
                }
            )  # fmt: skip
    return rows


def _ranks(x: Sequence[FloatArray], y: Sequence[FloatArray]) -> Estimate:
    """Spearman inside ladders, over designs."""
    return over_designs(
        np.array([rank_correlation(a[..., None], b[..., None]) for a, b in zip(x, y, strict=True)])
    )


def _slopes(x: Sequence[Sequence[FloatArray]], y: Sequence[FloatArray]) -> FloatArray:
    """The coefficient of the second regressor on all designs, then on every resample, [1 + B].

    All values are centred in their ladder, a measure is in units of its spread in the design, and
    every design has weight 1.
    """
    cross, target = [], []
    for regressors, end in zip(x, y, strict=True):
        columns = np.stack([_unit(v, i) for i, v in enumerate(regressors)], axis=-1)
        flat, centred = columns.reshape(-1, columns.shape[-1]), _centred(end).ravel()
        cross.append(flat.T @ flat / len(flat))
        target.append(flat.T @ centred / len(flat))
    weight = np.vstack([np.ones(len(x)), resampled(len(x))])
    left = np.einsum("bg,gij->bij", weight, np.array(cross))
    right = weight @ np.array(target)
    left = left + 1e-12 * np.eye(left.shape[-1])
    return np.asarray(np.linalg.solve(left, right[..., None])[:, 1, 0])


def _centred(values: FloatArray) -> FloatArray:
    return np.asarray(values - values.mean(axis=1, keepdims=True))


def _unit(values: FloatArray, place: int) -> FloatArray:
    centred = _centred(values)
    spread = float(centred.std())
    return centred / spread if place > 1 and spread > 0 else centred


def _interval(draws: FloatArray) -> Estimate:
    low, high = percentile_interval(draws[1:], level=0.95, num_clusters=len(draws))
    return Estimate(float(draws[0]), low, high)


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """What a doubling of the SFT steps costs, without and with each measure."""
    return Table(
        [
            "outcome", Column("held equal", words=True), Column("per doubling of depth", _estimate),
            Column("nearer to 0 by", _estimate), Column("Spearman with depth", _estimate),
            Column("with the gain", _estimate),
        ],
        [
            (
                r["outcome"], r["measure"] or "score before RL", r["depth"], r.get("change"),
                r.get("with_depth"), r.get("with_gain"),
            )
            for r in rows
        ],
    )  # fmt: skip


def said(rows: Sequence[dict[str, Any]]) -> str:
    """Whether a measure of plasticity takes depth's place, in sentences."""
    lines = []
    for outcome in dict.fromkeys(r["outcome"] for r in rows):
        plain, *others = (r for r in rows if r["outcome"] == outcome)
        low, high = plain["depth"][1:]
        verdict = (
            "deep starts end lower" if high < 0 else "deep starts end higher" if low > 0
            else "depth makes no difference beyond chance"
        )  # fmt: skip
        taken = [r["measure"] for r in others if r["change"][1] > 0]
        mine, rivals = (
            [name for name in taken if name in group] or ["none"] for group in (MEASURES, RIVALS)
        )
        lines.append(
            f"- {outcome}: at an equal score before RL {verdict}"
            f" ({estimate(tuple(plain['depth']))} per doubling of the SFT steps). Measures of"
            f" plasticity that account for a part of it beyond chance: {', '.join(mine)}; of what"
            f" else falls with depth: {', '.join(rivals)}."
        )
    return "\n".join(lines)


def _estimate(value: Any) -> str:
    return "-" if value is None else estimate(tuple(value))

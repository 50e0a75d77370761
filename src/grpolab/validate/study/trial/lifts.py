"""The budget law design by design, and what RL made of starts with a low success rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from grpolab.theory.groups import FloatArray
from grpolab.validate.estimate.bootstrap import percentile_interval
from grpolab.validate.forecast.outcome import budget_k, pass_at_any
from grpolab.validate.study.trial.counts import DesignCounts
from grpolab.validate.study.trial.measures import Estimate, rank_correlation, resampled
from grpolab.validate.study.trial.protocol import Protocol
from grpolab.validate.study.trial.scores import reached, signal


class BudgetRow(NamedTuple):
    """The k whose pass@k before RL best ranks pass@1 after some steps of a design.

    ``correlation`` is Spearman's at ``best``, ``by_law`` at the law's ``law``; the best is the
    least of equals.
    """

    design: str
    steps: int
    best: float
    law: float
    correlation: float
    by_law: float


def best_ks(protocol: Protocol, counts: DesignCounts) -> list[BudgetRow]:
    """One row per step at which held-out prompts were asked after RL had begun."""
    grid = [float(k) for k in protocol.words["budget_law"]["grid"]]
    rows = []
    for steps, outcome in reached(counts).items():

        def ranked(k: float, outcome: FloatArray = outcome) -> float:
            before = pass_at_any(counts.samples, counts.before, min(k, counts.samples))
            score = np.broadcast_to(before.mean(axis=-1)[..., None], outcome.shape)
            return rank_correlation(score, outcome)

        values = [round(ranked(k), 9) for k in grid]
        best, law = int(np.argmax(values)), budget_k(steps)
        rows.append(
            BudgetRow(counts.design.name, steps, grid[best], law, values[best], ranked(law))
        )
    return rows


def slope(rows: Sequence[BudgetRow]) -> Estimate:
    """Common slope of the best k on log2 of the steps, within designs, and its interval."""
    names = list(dict.fromkeys(row.design for row in rows))
    top, bottom = np.zeros(len(names)), np.zeros(len(names))
    for i, name in enumerate(names):
        mine = [row for row in rows if row.design == name]
        x = np.log2([row.steps for row in mine])
        y = np.array([row.best for row in mine])
        top[i] = np.sum((x - x.mean()) * (y - y.mean()))
        bottom[i] = np.sum((x - x.mean()) ** 2)
    value = float(top.sum() / bottom.sum()) if bottom.sum() > 0 else np.nan
    if len(names) < 2:
        return Estimate(value, -np.inf, np.inf)
    weight = resampled(len(names))
    draws = (weight @ top) / np.maximum(weight @ bottom, 1e-12)
    return Estimate(value, *percentile_interval(draws, level=0.95, num_clusters=len(names)))


class LowStart(NamedTuple):
    """A start whose mean p before RL is below p*(8), and its gains in pass@1 by RL seed.

    ``signal`` is the expected share of groups with both rewards; ``first_share`` that of prompts of
    the first class; ``lifts`` and ``stalls`` by the protocol, neither where the gain is between.
    """

    design: str
    sft: int
    depth: int
    first_share: float
    mean_p: float
    entropy: float
    low_entropy: bool
    signal: float
    measured_variance: bool
    gains: tuple[float, ...]
    final: float
    lifts: bool
    stalls: bool


def low_starts(protocol: Protocol, counts: DesignCounts) -> list[LowStart]:
    """All starts of a design with a mean p below p*(8)."""
    fixed, mixed = protocol.words["low_p"], signal(counts)
    before = (counts.before / counts.samples).mean(axis=-1)
    after = (counts.end / counts.samples).mean(axis=-1)
    found = []
    for s, d in np.argwhere(before < fixed["p_star"]).tolist():
        gains = after[s, d] - before[s, d]
        entropy = float(counts.measures["entropy"][s, d])
        found.append(
            LowStart(
                counts.design.name, s, counts.design.depths[d], counts.design.first_share,
                float(before[s, d]), entropy, entropy < fixed["low_entropy"],
                float(mixed[s, d]), bool(mixed[s, d] >= fixed["measured_variance_from"]),
                tuple(gains.tolist()), float(after[s, d].mean()),
                bool((gains >= fixed["lifts_from"]).all()),
                bool((gains < fixed["stalls_below"]).all()),
            )
        )  # fmt: skip
    return found


def lift_difference(rows: Sequence[LowStart]) -> Estimate:
    """Share that lifts with a measured variance minus without, and its interval over designs."""
    names = list(dict.fromkeys(row.design for row in rows))
    lifted, size = np.zeros((2, len(names))), np.zeros((2, len(names)))
    for row in rows:
        side, place = int(row.measured_variance), names.index(row.design)
        lifted[side, place] += row.lifts
        size[side, place] += 1
    if (size.sum(axis=1) == 0).any() or len(names) < 2:
        return Estimate(np.nan, -np.inf, np.inf)
    share = lifted.sum(axis=1) / size.sum(axis=1)
    weight = resampled(len(names))
    below = [weight @ size[side] for side in (0, 1)]
    both = (below[0] > 0) & (below[1] > 0)
    draws = [(weight @ lifted[side])[both] / below[side][both] for side in (0, 1)]
    return Estimate(
        float(share[1] - share[0]),
        *percentile_interval(draws[1] - draws[0], level=0.95, num_clusters=len(names)),
    )

"""The rules for the outcome of RL on the samples of a triage: scores, and who surely leads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from grpolab.figures.words import number
from grpolab.theory.groups import GroupCounts
from grpolab.validate.estimate.contrasts import paired_gap
from grpolab.validate.forecast.levels import best_start
from grpolab.validate.forecast.outcome import (
    MEANT_FOR,
    OutcomeForecast,
    budget_k,
    forecast_outcome,
    outcome_scores,
    samples_needed,
)
from grpolab.validate.forecast.pass_at_k import PassAtK

FOR_OUTCOME = {1: "pass@1", 10: "transport pass@10"}
"""Names of the rules that forecast the level, by the k of the outcome pass@k."""
SURE = 0.95
"""Chance from which on a start is called the best."""
STEPS = 100
"""RL steps planned where nobody says."""


@dataclass(frozen=True, slots=True)
class OutcomeRule:
    """One rule: the ``scores`` of all checkpoints, the highest, and who may be as high.

    ``tied`` are checkpoints whose paired difference to the ``leader`` may be 0. ``k`` is that of
    the outcome pass@k, ``best`` the chance of every checkpoint that it ends highest, by
    `forecast.levels.best_start`; None where the finished designs say nothing of the budget.
    """

    name: str
    scores: tuple[OutcomeForecast, ...]
    leader: str
    tied: tuple[str, ...]
    k: int
    best: tuple[float, ...] | None

    @property
    def verdict(self) -> str:
        """The leader, or "cannot tell"."""
        return "cannot tell" if self.tied else self.leader

    @property
    def likeliest(self) -> int | None:
        """Place of the start that ends highest with a chance of `SURE`, None where none does."""
        if self.best is None or max(self.best) < SURE:
            return None
        return self.best.index(max(self.best))

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "name": self.name,
            "k": self.k,
            "scores": [score.as_dict() for score in self.scores],
            "prob_best": None if self.best is None else list(self.best),
            "highest": self.leader,
            "tied": list(self.tied),
            "verdict": self.verdict,
        }


def outcome_rules(
    counts: Mapping[str, GroupCounts],
    *,
    steps: int,
    level: float = 0.95,
    known: Mapping[str, Mapping[int, PassAtK]] | None = None,
) -> tuple[OutcomeRule, ...]:
    """pass@1, pass@2 and pass@k at the budget's k; for pass@10 the transport and pass@8.

    Counts are over the same prompts. The leader of a rule is compared with every other checkpoint
    by the paired t-test of `paired_gap`, Bonferroni over those. A rule that needs more samples than
    some prompt has is left out. ``known`` holds pass@k of every checkpoint as shown elsewhere,
    whose intervals are taken over: one number has one interval. ValueError for steps < 1.

    >>> counts = {"a": GroupCounts([4] * 30, 4), "b": GroupCounts([0] * 30, 4)}
    >>> [(rule.name, rule.verdict) for rule in outcome_rules(counts, steps=100)][:2]
    [('pass@1', 'a'), ('pass@2', 'a')]
    """
    fewest = min(int(c.by_prompt().num_samples.min()) for c in counts.values())
    return tuple(
        _rule(counts, rule, k, steps=steps, level=level, known=known or {})
        for rule, k in MEANT_FOR
        if samples_needed(rule, steps=steps) <= fewest
    )


def _rule(
    counts: Mapping[str, GroupCounts],
    rule: str,
    k: int,
    *,
    steps: int,
    level: float,
    known: Mapping[str, Mapping[int, PassAtK]],
) -> OutcomeRule:
    values = {label: outcome_scores(c, steps=steps, rule=rule, k=k) for label, c in counts.items()}
    scores = tuple(
        _shown(forecast_outcome(c, steps=steps, rule=rule, k=k), known.get(label, {}))
        for label, c in counts.items()
    )
    leader = max(values, key=lambda label: float(values[label].mean()))
    others = [label for label in values if label != leader]
    alpha = (1.0 - level) / max(len(others), 1)
    tied = tuple(o for o in others if paired_gap(values[leader] - values[o]).p_value >= alpha)
    name = {
        "pass@k(budget)": f"pass@{number(budget_k(steps))} ({steps} steps)",
        "transport": f"transport pass@{k}",
        "pass@8": f"pass@8 for pass@{k}",
    }.get(rule, rule)
    chances = best_start(rule, k, steps=steps, values=np.stack(list(values.values())))
    best = None if chances is None else tuple(chances.tolist())
    return OutcomeRule(name, scores, leader, tied, k, best)


def _shown(score: OutcomeForecast, known: Mapping[int, PassAtK]) -> OutcomeForecast:
    """The score with the interval that the same pass@k has elsewhere."""
    same = known.get({"pass@1": 1, "pass@2": 2}.get(score.rule, 0))
    return score if same is None else score._replace(low=same.low, high=same.high)

"""The probe: rank starts by a law, run the best few for a short while, and choose."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from scipy import stats

from grpolab.theory.groups import GroupCounts
from grpolab.validate.estimate.contrasts import paired_gap
from grpolab.validate.estimate.crossed import RL_NOISE, residual_variance
from grpolab.validate.forecast.outcome import OutcomeForecast, forecast_outcome, outcome_scores
from grpolab.validate.probe.compare import (
    MARGIN,
    Comparison,
    compare_starts,
)
from grpolab.validate.probe.runs import Scored, ShortRun, score_runs

OUTCOMES: Mapping[str, int] = {"pass@1": 1, "pass@10": 10}
"""Outcomes of a probe, and their k."""


class Ranked(NamedTuple):
    """A start under the law; ``kept``: it gets short runs. ``gap`` is to the last one kept.

    ``tied``: it was left out, and its prompts do not show that it is behind the last one kept.
    """

    label: str
    score: OutcomeForecast
    kept: bool
    tied: bool


@dataclass(frozen=True, slots=True)
class Cost:
    """Rollouts of a probe: for the ranking, trained on, and answered on held-out prompts."""

    ranking: int
    trained: int
    answered: int
    most: int  # what all rounds of all kept starts take; 0 where they were there before

    @property
    def total(self) -> int:
        """All of them."""
        return self.ranking + self.trained + self.answered


@dataclass(frozen=True, slots=True)
class Probe:
    """A choice between starts, and what it rests on."""

    outcome: str
    step: int
    level: float
    rl_noise: float
    ranking: tuple[Ranked, ...]
    runs: Mapping[str, tuple[ShortRun, ...]]
    scored: Scored
    comparison: Comparison
    rounds: int
    planned: int
    cost: Cost
    notes: tuple[str, ...] = ()

    @property
    def k(self) -> int:
        """The k of the outcome."""
        return OUTCOMES[self.outcome]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "outcome": self.outcome,
            "steps": self.step,
            "level": self.level,
            "rl_noise": self.rl_noise,
            **self.comparison.as_dict(),
            "rounds": self.rounds,
            "rounds_planned": self.planned,
            "num_prompts": self.scored.num_prompts,
            "ranking": [
                {"checkpoint": r.label, **r.score.as_dict(), "kept": r.kept, "tied": r.tied}
                for r in self.ranking
            ],
            "runs": [
                {"checkpoint": label, "run": run.path, "seed": run.seed, "score": float(after)}
                for label, group in self.runs.items()
                for run, after in zip(
                    group, self.scored.after[label].mean(axis=1), strict=True
                )
            ],
            "rollouts": {
                "ranking": self.cost.ranking, "trained": self.cost.trained,
                "answered": self.cost.answered, "total": self.cost.total, "most": self.cost.most,
            },
            "notes": list(self.notes),
        }  # fmt: skip


def rank_starts(
    counts: Mapping[str, GroupCounts], *, rule: str, steps: int, k: int, top: int
) -> tuple[Ranked, ...]:
    """Starts by `forecast_outcome`, the highest first; the first ``top`` are kept.

    Counts are over the same prompts, in the same order; of equal starts the one given first leads.

    >>> counts = {"a": GroupCounts([0, 2, 4], 4), "b": GroupCounts([0, 1, 4], 4)}
    >>> [(r.label, r.kept) for r in rank_starts(counts, rule="pass@2", steps=50, k=1, top=1)]
    [('a', True), ('b', False)]
    """
    values = {label: outcome_scores(c, steps=steps, rule=rule, k=k) for label, c in counts.items()}
    order = sorted(values, key=lambda label: -float(values[label].mean()))
    last = values[order[min(top, len(order)) - 1]]
    found = []
    for place, label in enumerate(order):
        score = forecast_outcome(counts[label], steps=steps, rule=rule, k=k)
        kept = place < top
        tied = not kept and not paired_gap(last - values[label]).p_value < 0.05
        found.append(Ranked(label, score, kept, tied))
    return tuple(found)


def run_rounds(
    labels: Sequence[str],
    short_run: Callable[[str, int], ShortRun],
    *,
    step: int,
    k: int,
    rounds: int,
    level: float = 0.95,
    margin: float = MARGIN,
    rl_noise: float = RL_NOISE,
    report: Callable[[int, Comparison], None] = lambda done, found: None,
) -> tuple[dict[str, tuple[ShortRun, ...]], Scored, Comparison, int]:
    """Short runs round by round until no other start can be better by more than the margin.

    ``short_run(label, r)`` trains the start with the r-th seed, r = 0, 1, ..., or finds the run.
    Starts that fell behind get no further run, unless a later leader brings them back. Returns the
    runs, their scores, the last comparison and the number of rounds.
    """
    runs: dict[str, list[ShortRun]] = {label: [] for label in labels}
    active: Sequence[str] = labels
    for done in range(1, rounds + 1):
        for label in active:
            runs[label] += [short_run(label, r) for r in range(len(runs[label]), done)]
        scored = score_runs(runs, step=step, k=k)
        found = compare_starts(
            labels, [scored.after[label] for label in labels], level=level, margin=margin,
            rl_noise=rl_noise,
        )  # fmt: skip
        report(done, found)
        if found.settled:
            break
        active = found.active
    return {label: tuple(group) for label, group in runs.items()}, scored, found, done


def probe_of(
    runs: Mapping[str, Sequence[ShortRun]],
    scored: Scored,
    comparison: Comparison,
    *,
    outcome: str,
    step: int,
    rl_noise: float,
    planned: int,
    level: float = 0.95,
    ranking: tuple[Ranked, ...] = (),
    ranked_by: int = 0,
    max_runs: int = 0,
    notes: Sequence[str] = (),
) -> Probe:
    """Everything put together; ``ranked_by`` rollouts went into the ranking."""
    flat = [run for group in runs.values() for run in group]
    trained = sum(run.trained[step] for run in flat)
    answered = sum(run.answered for run in flat)
    per_run = (trained + answered) / len(flat)
    most = ranked_by + round(per_run * max_runs) if max_runs else 0
    rounds = max(len(group) for group in runs.values())
    return Probe(
        outcome, step, level, rl_noise, ranking, {k: tuple(v) for k, v in runs.items()}, scored,
        comparison, rounds, planned or rounds, Cost(ranked_by, trained, answered, most),
        (*notes, *_noise_note(scored, comparison, rl_noise)),
    )  # fmt: skip


def probe_runs(
    runs: Mapping[str, Sequence[ShortRun]],
    *,
    outcome: str,
    step: int,
    level: float = 0.95,
    margin: float = MARGIN,
    rl_noise: float = RL_NOISE,
) -> Probe:
    """A choice from short runs that exist, by start; paired by seed where the seeds are the same.

    All starts are compared on the seeds that all have; where they share none, in the order of the
    seeds. ValueError for fewer than 2 starts.
    """
    if len(runs) < 2:
        raise ValueError(f"there must be runs of at least 2 starts, got {len(runs)}")
    paired, notes = _paired(runs)
    k = OUTCOMES[outcome]
    scored = score_runs(paired, step=step, k=k)
    found = compare_starts(
        list(paired), list(scored.after.values()), level=level, margin=margin, rl_noise=rl_noise
    )
    return probe_of(
        paired, scored, found, outcome=outcome, step=step, level=level, rl_noise=rl_noise,
        planned=0, notes=notes,
    )  # fmt: skip


def _paired(
    runs: Mapping[str, Sequence[ShortRun]],
) -> tuple[dict[str, list[ShortRun]], list[str]]:
    by_seed = {label: {run.seed: run for run in group} for label, group in runs.items()}
    shared = sorted(set.intersection(*(set(found) for found in by_seed.values())))
    if shared:
        left = sum(len(found) - len(shared) for found in by_seed.values())
        note = [f"{left} runs have a seed that not every start has, and are left out"] * bool(left)
        return {label: [f[seed] for seed in shared] for label, f in by_seed.items()}, note
    few = min(len(found) for found in by_seed.values())
    kept = {label: [f[s] for s in sorted(f)][:few] for label, f in by_seed.items()}
    note = [
        "no seed is shared by all starts: runs are paired in the order of their seeds, and what a"
        " shared seed would take away stays in the differences"
    ]
    left = sum(len(found) - few for found in by_seed.values())
    return kept, note + [f"{left} runs are left out: the starts have unequal numbers"] * bool(left)


def _noise_note(scored: Scored, comparison: Comparison, rl_noise: float) -> list[str]:
    """Whether the seeds show more RL noise than was assumed, by a test at 5%."""
    first = scored.after[comparison.leader]
    sums, free = 0.0, 0
    for pair in comparison.pairs:
        values = first[: pair.rounds] - scored.after[pair.second][: pair.rounds]
        if pair.rounds > 1 and values.any():
            error = residual_variance(values) / values.shape[1]
            sums += (
                (pair.rounds - 1)
                * values.mean(axis=1).var(ddof=1)
                / max(2 * rl_noise**2 + error, 1e-18)
            )
            free += pair.rounds - 1
    several = max(len(comparison.pairs), 1)  # pairs share the leader: counted as one
    if not free or stats.chi2.sf(sums / several, free / several) > 0.05:
        return []
    return [
        f"the seeds differ by more than an RL noise of {rl_noise:g} explains: the intervals are too"
        " narrow; give a larger --rl-noise, or more --seeds"
    ]

"""Which checkpoint gives GRPO more to learn from: same prompts, same law, and what is uncertain.

The signal of a checkpoint is the mean over prompts of E[sigma], the standard deviation of the
rewards of a group of g: 0 for a zero-std group, and otherwise half the mean absolute advantage of
std-normalised GRPO. It is estimated without bias from n >= g samples per prompt.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from grpolab import streams
from grpolab.frames import Frame
from grpolab.theory.groups import FloatArray, IntArray
from grpolab.validate.audit.compare import Difference, compare_all
from grpolab.validate.audit.summary import Audit, audit
from grpolab.validate.estimate import bootstrap
from grpolab.validate.estimate.best import best_chances
from grpolab.validate.estimate.contrasts import EQUAL_WITHIN
from grpolab.validate.estimate.faults import Evidence
from grpolab.validate.rollouts.stream import named_counts
from grpolab.validate.rollouts.table import Entropies, Rollouts, entropies
from grpolab.validate.triage.confirm import Suspicion, rollout_evidence, suspect
from grpolab.validate.triage.outcome import STEPS, OutcomeRule, outcome_rules
from grpolab.validate.triage.pairs import MAX_SIGNAL, CheckpointPair, compare_pairs, signals

TAU_H = 0.18
"""Token entropy in nats under which arXiv 2606.18487 flags a checkpoint; one model family."""


class Signal(NamedTuple):
    """Expected signal of a planned group, its interval, and the chance of being the highest.

    ``prob_best`` is shrunk (see `grpolab.validate.estimate.best`), so that it equals the hit rate.
    """

    value: float
    low: float
    high: float
    prob_best: float


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the rollouts of one checkpoint say; ``tests`` of the sampler as far as the data go."""

    label: str
    audit: Audit
    entropies: Entropies
    signal: Signal
    frac_truncated: float
    num_missing: int
    tests: Mapping[str, Evidence]

    @property
    def entropy(self) -> float:
        """Mean token entropy, or its estimate from log-probabilities where there is no other."""
        token = self.entropies.token_entropy
        return self.entropies.token_surprisal if math.isnan(token) else token

    def as_dict(self, group_size: int) -> dict[str, Any]:
        """Plain JSON types."""
        scores, plan = self.audit.pass_at_k, self.audit.plans.get(group_size)
        return {
            "label": self.label,
            "num_prompts": self.audit.num_prompts,
            "num_samples": self.audit.num_samples,
            "num_missing": self.num_missing,
            "frac_truncated": self.frac_truncated,
            "pass_at_1": scores[1]._asdict() if 1 in scores else None,
            "pass_at_g": scores[group_size]._asdict() if group_size in scores else None,
            "signal": self.signal._asdict(),
            "zero_std": None if plan is None else plan.as_dict(),
            "icc": None if self.audit.icc is None else self.audit.icc._asdict(),
            "entropies": self.entropies._asdict(),
            "tau_h": TAU_H,
            "below_tau_h": bool(self.entropy < TAU_H),
            "sampler_p_values": {name: test.p_value for name, test in self.tests.items()},
            "warnings": list(self.audit.warnings),
        }


@dataclass(frozen=True, slots=True, repr=False)
class Triage(Frame):
    """Checkpoints from most signal to least, and how sure the order is."""

    group_size: int
    checkpoints: tuple[Checkpoint, ...]
    pairs: tuple[CheckpointPair, ...]
    differences: tuple[Difference, ...]
    sampling: Mapping[str, Any]
    num_prompts: int
    samples_per_prompt: int
    margin: float
    suspicions: tuple[Suspicion, ...] = ()
    outcomes: tuple[OutcomeRule, ...] = ()
    same_completions: tuple[tuple[str, str], ...] = ()

    @property
    def samples(self) -> str:
        """Samples of each prompt, in words: from fewest to most where they differ."""
        most = max(int(c.audit.counts.by_prompt().num_samples.max()) for c in self.checkpoints)
        least = self.samples_per_prompt
        return f"{least}" if least == most else f"{least} to {most}"

    @property
    def columns(self) -> Mapping[str, list[Any]]:
        """One row per checkpoint, in the order of the ranking."""
        plans = [c.audit.plans.get(self.group_size) for c in self.checkpoints]
        return {
            "checkpoint": [c.label for c in self.checkpoints],
            "signal": [c.signal.value for c in self.checkpoints],
            "signal_low": [c.signal.low for c in self.checkpoints],
            "signal_high": [c.signal.high for c in self.checkpoints],
            "prob_best": [c.signal.prob_best for c in self.checkpoints],
            "pass_at_1": [c.audit.counts.mean_reward for c in self.checkpoints],
            "zero_std": [math.nan if p is None else p.prediction.zero_std for p in plans],
            "entropy": [c.entropy for c in self.checkpoints],
        }

    @property
    def headline(self) -> str:
        """The ranking, and what it rests on."""
        order = " > ".join(f"{c.label} {c.signal.value:.3g}" for c in self.checkpoints)
        return (
            f"signal at g={self.group_size}: {order}; {self.num_prompts} prompts,"
            f" {self.samples} samples each"
        )

    @property
    def entropy_name(self) -> str:
        """What `Checkpoint.entropy` holds here: the token entropy, or its estimate."""
        known = [not math.isnan(c.entropies.token_entropy) for c in self.checkpoints]
        return "token H" if all(known) else "surprisal"

    @property
    def suspects(self) -> list[Suspicion]:
        """Alarms of sampler tests that stand: on clean rollouts one triage in 1,000 has any."""
        return [one for one in self.suspicions if one.stands]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "group_size": self.group_size,
            "num_prompts": self.num_prompts,
            "samples_per_prompt": self.samples_per_prompt,
            "equal_within": self.margin,
            "sampling": dict(self.sampling),
            "ranking": [c.label for c in self.checkpoints],
            "checkpoints": [c.as_dict(self.group_size) for c in self.checkpoints],
            "pairs": [pair._asdict() for pair in self.pairs],
            "outcomes": [one.as_dict() for one in self.outcomes],
            "comparison": [d.as_dict() for d in self.differences],
            "suspects": [one.as_dict() for one in self.suspects],
            "same_completions": [list(pair) for pair in self.same_completions],
            "not_confirmed": [one.as_dict() for one in self.suspicions if not one.stands],
        }


def triage(
    runs: Mapping[str, Rollouts],
    *,
    task: str,
    group_size: int,
    rng: np.random.Generator | int,
    level: float = 0.95,
    num_resamples: int = 2000,
    margin: float = EQUAL_WITHIN,
    again: Callable[[str], Rollouts] | None = None,
    steps: int = STEPS,
) -> Triage:
    """Rank checkpoints by the signal that groups of ``group_size`` will carry.

    Prompts without ``group_size`` verdicts in every run are left out everywhere.

    Parameters
    ----------
    runs : mapping of str to Rollouts
        One table per checkpoint, over the same prompts at the same sampling law.
    task : str
        Name of the task, for the record.
    group_size : int
        Planned rollouts per group, >= 2.
    rng : Generator or int
        Generator, or seed, of the bootstrap.
    level : float
        Confidence level of the intervals, in (0, 1).
    num_resamples : int
        Resamples of the prompts.
    margin : float
        Signals that differ by less are called equal.
    again : callable, optional
        Draws a second, independent table of the checkpoint with this label. With it an alarm of a
        sampler test stands only if the second table confirms it.
    steps : int
        RL steps planned, for the rule pass@k(budget) of `forecast_outcome`.

    Returns
    -------
    Triage
        Checkpoints with the largest signal first, and how surely each pair is ordered.

    Raises
    ------
    ValueError
        A group size below 2, steps below 1, a margin of 0 or less, tables that differ in prompts or
        law, or fewer than 2 prompts left.

    Examples
    --------
    >>> def rollouts(rewards):  # two prompts with four completions each
    ...     rows = len(rewards)
    ...     return Rollouts(
    ...         prompt_id=np.arange(rows) // 4, group=np.zeros(rows, np.int64),
    ...         reward=np.array(rewards, float), num_tokens=np.ones(rows, np.int64),
    ...         truncated=np.zeros(rows, bool), entropy=np.full(rows, 0.5),
    ...         logprob=np.full(rows, -1.0), text_hash=np.arange(rows),
    ...     )
    >>> runs = {"early": rollouts([0, 1, 0, 1, 0, 0, 1, 0]), "late": rollouts([1] * 7 + [0])}
    >>> found = triage(runs, task="sums", group_size=4, rng=0, num_resamples=100)
    >>> [(one.label, round(one.signal.value, 3)) for one in found.checkpoints]
    [('early', 0.467), ('late', 0.217)]
    """
    if group_size < 2:
        raise ValueError(f"group_size must be >= 2, got {group_size}")
    if not runs:
        raise ValueError("runs must hold at least one table")
    law = _common_law(runs)
    kept = _enough(runs, group_size)
    generator = streams.generator(rng, "triage")
    tables = {label: table.select(np.isin(table.prompt_id, kept)) for label, table in runs.items()}
    counts = {label: named_counts(table, task=task) for label, table in tables.items()}
    values = np.stack([signals(c, group_size) for c in counts.values()])
    boot = _resample_means(values, num_resamples=num_resamples, rng=generator)
    chances = best_chances(values, rng=generator)
    seed = int(generator.integers(2**63))  # the same resamples: equal counts get equal intervals
    found = []
    for row, (label, table) in enumerate(tables.items()):
        signal = _interval(
            values[row], boot[:, row], float(chances.best[row]), level=level, rng=seed
        )
        notes = _notes(runs[label], len(kept))
        one = audit(counts[label], rng=seed, label=label, group_sizes=[group_size],
                    level=level, notes=notes, alarm_level=0.0)  # fmt: skip
        tests = rollout_evidence(table, one.independence, rng=seed)
        found.append(_checkpoint(one, table, signal, tests))
    order = sorted(range(len(found)), key=lambda i: -found[i].signal.value)
    samples = int(min(c.by_prompt().num_samples.min() for c in counts.values()))
    pairs = compare_pairs(
        counts, values, order, chances.more, group_size=group_size, samples=samples, level=level,
        margin=margin,
    )  # fmt: skip
    ranked = [found[i] for i in order]
    differences = compare_all([c.audit for c in ranked], level=level, margin=margin)
    suspicions = suspect({c.label: c.tests for c in ranked}, again, rng=generator)
    return Triage(
        group_size, tuple(ranked), tuple(pairs), tuple(differences), law, len(kept), samples,
        margin, tuple(suspicions),
        outcome_rules(
            {c.label: counts[c.label] for c in ranked}, steps=steps, level=level,
            known={c.label: c.audit.pass_at_k for c in ranked},
        ),
        _same_completions(tables),
    )  # fmt: skip


def _common_law(runs: Mapping[str, Rollouts]) -> Mapping[str, Any]:
    laws = {label: dict(table.provenance.sampling) for label, table in runs.items()}
    first = next(iter(laws))
    for label, law in laws.items():
        if law != laws[first]:
            raise ValueError(
                f"runs must share one sampling law: {first} {laws[first]}, {label} {law}"
            )
    return laws[first]


def _enough(runs: Mapping[str, Rollouts], group_size: int) -> IntArray:
    """Prompts with ``group_size`` verdicts in every run."""
    asked = [np.unique(table.prompt_id) for table in runs.values()]
    if any(not np.array_equal(asked[0], other) for other in asked[1:]):
        raise ValueError("runs must be over the same prompts")
    kept = asked[0]
    for table in runs.values():
        ids, times = np.unique(table.prompt_id[~np.isnan(table.reward)], return_counts=True)
        kept = np.intersect1d(kept, ids[times >= group_size])
    if len(kept) < 2:
        raise ValueError(
            f"runs must have at least 2 prompts with group_size={group_size} verdicts each,"
            f" got {len(kept)} of {len(asked[0])}"
        )
    return kept


def _same_completions(tables: Mapping[str, Rollouts]) -> tuple[tuple[str, str], ...]:
    """Checkpoints whose completions and verdicts are the same, one for one."""
    return tuple(
        (a, b)
        for (a, one), (b, other) in itertools.combinations(tables.items(), 2)
        if np.array_equal(one.text_hash, other.text_hash)
        and np.array_equal(one.reward, other.reward, equal_nan=True)
    )


def _resample_means(
    values: FloatArray, *, num_resamples: int, rng: np.random.Generator
) -> FloatArray:
    """Means [B, K] over resampled prompts, the same prompts for every checkpoint."""
    size = values.shape[1]
    weight = bootstrap.draw_weights(np.ones(size), num_resamples=num_resamples, rng=rng)
    return np.asarray(weight @ values.T / size)


def _interval(
    values: FloatArray, boot: FloatArray, best: float, *, level: float, rng: int
) -> Signal:
    """Signals lie in [0, 1/2]; where few prompts carry the mean the interval has a floor."""
    ends = bootstrap.percentile_interval(boot, level=level, num_clusters=len(values))
    low, high = bootstrap.floored(
        ends, values, np.ones(len(values)), rng=rng, bounds=(0.0, MAX_SIGNAL), level=level
    )
    return Signal(float(values.mean()), low, high, best)


def _checkpoint(
    one: Audit, table: Rollouts, signal: Signal, tests: Mapping[str, Evidence]
) -> Checkpoint:
    return Checkpoint(
        label=one.label,
        audit=one,
        entropies=entropies(table),
        signal=signal,
        frac_truncated=float(table.truncated.mean()),
        num_missing=int(np.isnan(table.reward).sum()),
        tests=tests,
    )


def _notes(table: Rollouts, kept: int) -> list[str]:
    total = len(np.unique(table.prompt_id))
    missing = int(np.isnan(table.reward).sum())
    notes = []
    if kept < total:
        notes.append(f"{total - kept} of {total} prompts left out: too few verdicts in some run")
    if missing:
        notes.append(f"{missing} of {len(table)} completions have no verdict")
    return notes

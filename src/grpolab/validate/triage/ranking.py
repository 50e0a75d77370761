"""Which checkpoint gives GRPO more to learn from: same prompts, same law, and what is uncertain.

The signal of a checkpoint is the mean over prompts of E[sigma], the standard deviation of the
rewards of a group of g: 0 for a zero-std group, and otherwise half the mean absolute advantage of
std-normalised GRPO. It is estimated without bias from n >= g samples per prompt.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from grpolab import streams
from grpolab.theory.groups import FloatArray, GroupCounts, IntArray
from grpolab.theory.pass_at_k import thin_std
from grpolab.validate.audit.compare import Difference, compare
from grpolab.validate.audit.summary import Audit, audit
from grpolab.validate.estimate import bootstrap
from grpolab.validate.estimate.independence import PairContrast, pair_contrast
from grpolab.validate.estimate.sampler import PositionTest, SeedTest, duplicate_test, position_test
from grpolab.validate.forecast.law import prompt_laws
from grpolab.validate.rollouts.stream import named_counts
from grpolab.validate.rollouts.table import Entropies, Rollouts, entropies

TAU_H = 0.18
"""Token entropy in nats under which arXiv 2606.18487 flags a checkpoint; one model family."""
_SMALLEST = 0.005  # differences of signal below this (1% of its maximum 1/2) are not worth chasing
_SUSPICIOUS, _MANY = 0.02, 20_000  # permutations below this p-value
_CHANCE = 0.8  # with which the recommended number of prompts or samples would settle a pair


class Signal(NamedTuple):
    """Expected signal of a planned group, its interval, and the chance of being the highest."""

    value: float
    low: float
    high: float
    prob_best: float


class CheckpointPair(NamedTuple):
    """Two checkpoints: does the first have more signal than the second?

    ``prob_more`` is the share of bootstrap resamples of the prompts in which it has (ties half).
    ``prompts_needed`` at the present samples per prompt, or ``samples_needed`` per prompt at the
    present prompts (inf where no number would do), settle the pair with chance 0.8 if the true
    difference is the one measured; both NaN where it is settled or too small to be worth it.
    """

    first: str
    second: str
    difference: float
    prob_more: float
    decided: bool
    prompts_needed: float
    samples_needed: float

    @property
    def equal(self) -> bool:
        """Not settled, and a difference (below 0.005) that would not be worth settling."""
        return not self.decided and abs(self.difference) < _SMALLEST


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the rollouts of one checkpoint say; tests are None where the data cannot carry them."""

    label: str
    audit: Audit
    entropies: Entropies
    signal: Signal
    frac_truncated: float
    num_missing: int
    groups: PairContrast
    duplicates: SeedTest | None
    positions: PositionTest | None

    @property
    def entropy(self) -> float:
        """Mean token entropy, or its estimate from log-probabilities where there is no other."""
        token = self.entropies.token_entropy
        return self.entropies.token_surprisal if math.isnan(token) else token

    @property
    def p_values(self) -> dict[str, float]:
        """The tests of the sampler that could be made."""
        found = {"groups": self.groups.p_value}
        found["duplicates"] = math.nan if self.duplicates is None else self.duplicates.p_value
        found["positions"] = math.nan if self.positions is None else self.positions.p_value
        return {name: p for name, p in found.items() if not math.isnan(p)}

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
            "sampler_p_values": self.p_values,
            "warnings": list(self.audit.warnings),
        }


@dataclass(frozen=True, slots=True)
class Triage:
    """Checkpoints from most signal to least, and how sure the order is."""

    group_size: int
    checkpoints: tuple[Checkpoint, ...]
    pairs: tuple[CheckpointPair, ...]
    differences: tuple[Difference, ...]
    sampling: Mapping[str, Any]
    num_prompts: int
    samples_per_prompt: int

    @property
    def entropy_name(self) -> str:
        """What `Checkpoint.entropy` holds here: the token entropy, or its estimate."""
        known = [not math.isnan(c.entropies.token_entropy) for c in self.checkpoints]
        return "token H" if all(known) else "surprisal"

    @property
    def suspects(self) -> list[tuple[str, str, float]]:
        """(checkpoint, test, p-value) of sampler tests that reject at 0.01 over all of them."""
        tests = [(c.label, name, p) for c in self.checkpoints for name, p in c.p_values.items()]
        return [test for test in tests if test[2] < 0.01 / len(tests)]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "group_size": self.group_size,
            "num_prompts": self.num_prompts,
            "samples_per_prompt": self.samples_per_prompt,
            "sampling": dict(self.sampling),
            "ranking": [c.label for c in self.checkpoints],
            "checkpoints": [c.as_dict(self.group_size) for c in self.checkpoints],
            "pairs": [pair._asdict() for pair in self.pairs],
            "comparison": [d.as_dict() for d in self.differences],
            "suspects": [list(s) for s in self.suspects],
        }


def triage(
    runs: Mapping[str, Rollouts],
    *,
    task: str,
    group_size: int,
    rng: np.random.Generator | int,
    level: float = 0.95,
    num_resamples: int = 2000,
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

    Returns
    -------
    Triage
        Checkpoints with the largest signal first, and how surely each pair is ordered.

    Raises
    ------
    ValueError
        A group size below 2, tables that differ in prompts or law, or fewer than 2 prompts left.

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
    values = np.stack([_signal(c, group_size) for c in counts.values()])
    boot = _resample_means(values, num_resamples=num_resamples, rng=generator)
    best = bootstrap.top_share(boot).mean(axis=0)
    found = []
    for row, (label, table) in enumerate(tables.items()):
        low, high = bootstrap.percentile_interval(boot[:, row], level=level, num_clusters=len(kept))
        signal = Signal(float(values[row].mean()), max(low, 0.0), high, float(best[row]))
        notes = _notes(runs[label], len(kept))
        one = audit(counts[label], rng=generator, label=label, group_sizes=[group_size],
                    level=level, notes=notes)  # fmt: skip
        found.append(_checkpoint(one, table, signal, _contrast(one, generator)))
    order = sorted(range(len(found)), key=lambda i: -found[i].signal.value)
    noise = np.stack([_sampling_variance(c, group_size) for c in counts.values()])
    samples = int(min(c.by_prompt().num_samples.min() for c in counts.values()))
    pairs = [
        _pair(found[a].label, found[b].label, values[a] - values[b], boot[:, a] - boot[:, b],
              noise[a] + noise[b], samples=samples, level=level)
        for a, b in itertools.combinations(order, 2)
    ]  # fmt: skip
    ranked = [found[i] for i in order]
    differences = [
        d for a, b in itertools.combinations(ranked, 2)
        for d in compare(a.audit, b.audit, level=level)
    ]  # fmt: skip
    return Triage(
        group_size, tuple(ranked), tuple(pairs), tuple(differences), law, len(kept), samples
    )


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


def _signal(counts: GroupCounts, group_size: int) -> FloatArray:
    """E[sigma] of every prompt, shape [P]."""
    return prompt_laws(counts).expected_std(group_size)


def _sampling_variance(counts: GroupCounts, group_size: int) -> FloatArray:
    """Variance [P] of `_signal` from the choice of samples, by the jackknife over samples.

    Leaving out one of c right or n - c wrong samples gives one of two values, so that all n
    leave-one-out estimates need two evaluations. Too large rather than too small (by a quarter at
    n = 2 g). NaN where n = group_size: none can be left out.
    """
    totals = counts.by_prompt()
    n, c = totals.num_samples, totals.num_correct
    less = np.maximum(n - 1, 1)
    without_right = thin_std(less, np.clip(c - 1, 0, less), group_size)
    without_wrong = thin_std(less, np.minimum(c, less), group_size)
    mean = (c * without_right + (n - c) * without_wrong) / n
    squares = c * (without_right - mean) ** 2 + (n - c) * (without_wrong - mean) ** 2
    return np.asarray((n - 1) / n * squares)


def _resample_means(
    values: FloatArray, *, num_resamples: int, rng: np.random.Generator
) -> FloatArray:
    """Means [B, K] over resampled prompts, the same prompts for every checkpoint."""
    size = values.shape[1]
    weight = bootstrap.draw_weights(np.ones(size), num_resamples=num_resamples, rng=rng)
    return np.asarray(weight @ values.T / size)


def _contrast(one: Audit, rng: np.random.Generator) -> PairContrast:
    """The test of the audit, with more permutations where their number limits the p-value."""
    first = one.independence
    if not first.p_value < _SUSPICIOUS:
        return first
    return pair_contrast(one.counts, rng=rng, num_permutations=_MANY)


def _checkpoint(one: Audit, table: Rollouts, signal: Signal, groups: PairContrast) -> Checkpoint:
    ids = table.text_hash if table.token_hash is None else table.token_hash
    several = np.unique(table.prompt_id, return_counts=True)[1].min() >= 2
    matrix = table.reward_matrix()
    whole = matrix[~np.isnan(matrix).any(axis=1)]
    return Checkpoint(
        label=one.label,
        audit=one,
        entropies=entropies(table),
        signal=signal,
        frac_truncated=float(table.truncated.mean()),
        num_missing=int(np.isnan(table.reward).sum()),
        groups=groups,
        duplicates=duplicate_test(ids, np.minimum(table.logprob, 0.0), group_id=table.prompt_id)
        if several
        else None,
        positions=position_test(whole) if whole.shape[1] >= 2 and len(whole) else None,
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


def _pair(
    first: str,
    second: str,
    gap: FloatArray,
    boot: FloatArray,
    noise: FloatArray,
    *,
    samples: int,
    level: float,
) -> CheckpointPair:
    more = float(np.mean(boot > 1e-12) + np.mean(np.abs(boot) <= 1e-12) / 2)
    tail = (1.0 - level) / 2.0
    difference = float(gap.mean())
    if not tail < more < 1 - tail:
        return CheckpointPair(first, second, difference, more, True, math.nan, math.nan)
    if abs(difference) < _SMALLEST:
        return CheckpointPair(first, second, difference, more, False, math.nan, math.nan)
    reach = abs(difference) / (special.ndtri(1.0 - tail) + special.ndtri(_CHANCE))
    total = float(np.var(gap, ddof=1))
    inside = min(float(np.mean(noise)), total)  # NaN where n = g: then only prompts are known
    between = total - inside
    room = len(gap) * reach**2 - between
    more_samples = samples * inside / room if room > 0 else math.inf
    if math.isnan(inside):
        more_samples = math.nan
    return CheckpointPair(first, second, difference, more, False, total / reach**2, more_samples)

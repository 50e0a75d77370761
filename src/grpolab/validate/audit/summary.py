"""What success counts on disk say about a GRPO run that has not been started yet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import methodcaller
from typing import Any

import numpy as np

from grpolab import streams
from grpolab.figures.words import counted, p_value, percent, percent_interval
from grpolab.frames import Frame
from grpolab.theory.groups import GroupCounts
from grpolab.validate.audit import examine as examination
from grpolab.validate.audit.alarms import alarm_sentence
from grpolab.validate.audit.graded import equal_shares
from grpolab.validate.audit.outlook import Limits, Outlook, limits, look_ahead
from grpolab.validate.audit.plan import GroupPlan, make_plan
from grpolab.validate.estimate.betabin import BetaBinomialFit, fit_beta_binomial
from grpolab.validate.estimate.faults import FALSE_ALARMS, Alarm
from grpolab.validate.estimate.icc import FEW_PROMPTS, IccInterval, icc_interval
from grpolab.validate.estimate.independence import PairContrast, pair_contrast
from grpolab.validate.estimate.missing import Missingness, missingness
from grpolab.validate.estimate.mixture import Mixture, fit_mixture
from grpolab.validate.estimate.truncated import TruncatedFit, fit_truncated
from grpolab.validate.forecast.cover import Cover, cover_curve
from grpolab.validate.forecast.law import fit_law
from grpolab.validate.forecast.pass_at_k import PassAtK, estimate_pass_at_k
from grpolab.validate.readers.format import Reading, Samples

GROUP_SIZES = (4, 8, 16)
ALARM_LEVEL = FALSE_ALARMS
"""Chance of any alarm of a command on clean samples, over all its inputs."""
_RECENT = 200  # groups: enough to estimate from, few enough to be of one policy, nearly
_SHOWN = 100  # names of prompts that are listed
_LEVEL = 0.01  # of the test whether verdicts are missing by success


@dataclass(frozen=True, slots=True, repr=False)
class Audit(Frame):
    """Everything that one table of counts says; fields are None where it cannot say.

    ``solved``: prompts never solved, sometimes and always. ``equal_scores``: share of groups with
    equal scores by group size, where a threshold made them binary. ``limits``: of group sizes
    without a plan. ``alarms``: tests of the samples that reject; the forecast is ``refused`` where
    nothing can correct a selection. ``distinct``: of a group, how many texts differ, and its size.
    """

    label: str
    counts: GroupCounts
    format: str
    solved: tuple[int, int, int]
    pass_at_k: dict[int, PassAtK]
    icc: IccInterval | None
    beta_binomial: BetaBinomialFit | None
    mixture: Mixture | None
    plans: dict[int, GroupPlan]
    independence: PairContrast
    truncated: TruncatedFit | None
    warnings: tuple[str, ...]
    equal_scores: Mapping[int, float] = field(default_factory=dict)
    missing: Missingness | None = None
    alarms: tuple[Alarm, ...] = ()
    refused: bool = False
    distinct: tuple[float, float] | None = None
    outlook: Mapping[int, Outlook] = field(default_factory=dict)
    cover: Cover | None = None
    limits: Mapping[int, Limits] = field(default_factory=dict)

    @property
    def columns(self) -> Mapping[str, list[Any]]:
        """One row per planned group size, with the keys of ``grpolab audit --json``."""
        rows = [{"group_size": g, **plan.as_dict()} for g, plan in self.plans.items()]
        return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}

    @property
    def headline(self) -> str:
        """Prompts, samples, and the forecast for the planned group sizes."""
        shares = (
            f"; zero-std groups at g={g}: {percent(p.prediction.zero_std)}"
            f" ({percent_interval(p.prediction.low, p.prediction.high)})"
            for g, p in self.plans.items()
        )
        name = f"{self.label}, " if self.label else ""
        return f"{name}{self.num_prompts} prompts, {self.num_samples} samples{''.join(shares)}"

    @property
    def origin(self) -> str:
        """The format, and what in it was taken for the verdict."""
        name = self.counts.provenance.verdict
        return f"{self.format}: {name}" if self.format and name else self.format or name

    @property
    def is_comparable(self) -> bool:
        """Whether rates per prompt are unbiased: nothing selected, nothing stopped by outcome."""
        stopped = any(alarm.test == "stopping" for alarm in self.alarms)
        return not (self.counts.provenance.filtered or self.refused or stopped)

    @property
    def num_prompts(self) -> int:
        """Prompts with at least one verdict."""
        return len(np.unique(self.counts.prompt_id))

    @property
    def num_samples(self) -> int:
        """Verdicts in the table."""
        return int(self.counts.group_size.sum())

    def as_dict(self) -> dict[str, Any]:
        """The keys of ``grpolab audit --json`` for one input; advice is added by the caller."""
        never, some, always = self.solved
        totals = self.counts.by_prompt()
        unsolved = totals.prompt_id[totals.num_correct == 0].tolist()
        names = [self.counts.prompt_names.get(i, str(i)) for i in unsolved[:_SHOWN]]
        return {
            "label": self.label,
            "source": self.counts.provenance.source,
            "format": self.format,
            "verdict": self.counts.provenance.verdict,
            "filtered": self.counts.provenance.filtered,
            "num_prompts": self.num_prompts,
            "num_groups": len(self.counts),
            "num_samples": self.num_samples,
            "mean_reward": self.counts.mean_reward,
            "prompts": {
                "never_solved": never,
                "sometimes_solved": some,
                "always_solved": always,
                "never_solved_names": names,
            },
            "pass_at_k": {k: v.value for k, v in self.pass_at_k.items()},
            "pass_at_k_interval": {k: [v.low, v.high] for k, v in self.pass_at_k.items()},
            "icc": None if self.icc is None else self.icc._asdict(),
            "beta_binomial": None if self.beta_binomial is None else self.beta_binomial._asdict(),
            "pass_at_k_beyond": {
                g: {**o.pass_at._asdict(), "method": o.method, "assumes": o.assumes}
                for g, o in self.outlook.items()
                if o.pass_at is not None
            },
            "zero_std": {
                g: {
                    **plan.as_dict(),
                    **(self.outlook[g].as_dict() if g in self.outlook else {}),
                }
                for g, plan in self.plans.items()
            },
            "cover": None if self.cover is None else self.cover.as_dict(),
            "limits": {
                g: {"zero_std": list(one.zero_std), "pass_at_g": list(one.pass_at)}
                for g, one in self.limits.items()
            },
            "equal_scores": dict(self.equal_scores),
            "independence": self.independence._asdict(),
            "missing": None if self.missing is None else self.missing._asdict(),
            "truncated": None if self.truncated is None else self.truncated._asdict(),
            "alarms": [examination.as_dict(a, alarm_sentence(a)) for a in self.alarms],
            "refused": self.refused,
            "distinct_per_group": None if self.distinct is None else list(self.distinct),
            "warnings": list(self.warnings),
        }


def audit(
    counts: GroupCounts | Reading,
    *,
    rng: np.random.Generator | int = 0,
    label: str = "",
    format: str = "",
    group_sizes: Sequence[int] = GROUP_SIZES,
    num_groups: int | None = None,
    level: float = 0.95,
    num_resamples: int = 1000,
    notes: Sequence[str] = (),
    samples: Samples | None = None,
    alarm_level: float = ALARM_LEVEL,
) -> Audit:
    """Estimate everything that the counts identify, and warn about the rest.

    Of rollouts over many steps of training the last ones count. A table that cannot answer a
    question gets None there, and a warning that says why.

    Parameters
    ----------
    counts : GroupCounts or Reading
        Successes per group, or what `read` returns, with its samples and notes.
    rng : Generator or int
        Generator, or seed, of the bootstrap.
    label : str
        Name of the table in reports.
    format : str
        Format of the file that the table was read from.
    group_sizes : sequence of int
        Planned group sizes, >= 2.
    num_groups : int, optional
        Groups of a run whose zero-std share is to be predicted, see `forecast.predict`.
    level : float
        Confidence level of the intervals, in (0, 1).
    num_resamples : int
        Resamples of the bootstrap.
    notes : sequence of str
        Warnings to put before those of the audit.
    samples : Samples, optional
        The rows behind the counts in the order of the file: with graded scores, order and copies.
    alarm_level : float
        Chance of any alarm on clean samples; 0 makes no tests.

    Returns
    -------
    Audit
        Estimates, one plan per group size, and warnings.

    Raises
    ------
    ValueError
        Group sizes below 2; counts that are something else, such as a path.

    Examples
    --------
    >>> audit(GroupCounts([0, 1, 4, 2], 4), group_sizes=[2]).solved
    (1, 2, 1)
    """
    if isinstance(counts, Reading):
        notes, samples = [*counts.notes, *notes], samples or counts.samples
        label, format, counts = label or counts.label, format or counts.format, counts.counts
    if not isinstance(counts, GroupCounts):
        raise ValueError(f"counts must come from read, or be GroupCounts; got {type(counts)}")
    sizes = sorted(set(group_sizes))
    if not sizes or sizes[0] < 2:
        raise ValueError(f"group_sizes must be >= 2, got {list(group_sizes)}")
    generator = streams.generator(rng, "audit")
    contrast = pair_contrast(counts, rng=generator)
    examined = examination.examine(counts, samples, contrast, rng=generator, level=alarm_level)
    counts, span = latest(examined.counts)
    totals = counts.by_prompt()
    never = int(np.sum(totals.num_correct == 0))
    always = int(np.sum(totals.num_correct == totals.num_samples))
    solved = (never, len(totals.prompt_id) - never - always, always)
    warnings = [*notes, *examined.notes, *_warnings(counts), *span]
    common: dict[str, Any] = {
        "label": label, "counts": counts, "format": format, "solved": solved,
        "alarms": examined.alarms, "refused": examined.refused, "distinct": examined.distinct,
    }  # fmt: skip
    if counts.provenance.filtered or examined.refused:
        fit = None if examined.refused else _truncated(counts, generator, warnings)
        return Audit(
            **common, pass_at_k={}, icc=None, beta_binomial=None, mixture=None, plans={},
            independence=contrast, truncated=fit, warnings=tuple(warnings),
        )  # fmt: skip
    draw = int(generator.integers(2**32))
    options: dict[str, Any] = {"rng": draw, "level": level, "num_resamples": num_resamples}
    if examined.stopped:
        said = "no interval of the first groups: samples that stop by their outcome do not tell it"
        warnings += [said] * (num_groups is not None)
        return _stopped(counts, sizes, common, contrast, warnings, **options)
    most = int(np.sort(totals.num_samples)[(len(totals.num_samples) - 1) // 2])
    scores = {k: estimate_pass_at_k(counts, k, **options) for k in _powers(most, sizes)}
    gone = missingness(counts, rng=draw)
    warnings += _missing(gone, int(totals.num_samples.min()))
    identified = len(totals.prompt_id) >= 2 and int(totals.num_samples.max()) >= 2
    varied = 0 < float(counts.num_correct.sum()) < float(counts.group_size.sum())
    correlation = icc_interval(counts, **options) if identified and varied else None
    if correlation is not None:
        warnings += _missed_kinds(len(totals.prompt_id))
    fit_beta = fit_beta_binomial(counts) if identified else None
    plans = {
        g: make_plan(counts, g, correlation, **options) for g in sizes if identified or g <= most
    }
    outlook = {g: look_ahead(counts, g, num_groups=num_groups, **options) for g in plans}
    return Audit(
        **common, pass_at_k=scores, icc=correlation, beta_binomial=fit_beta,
        mixture=fit_mixture(counts, tolerance=1e-4) if identified else None, plans=plans,
        independence=contrast, truncated=None, warnings=tuple(warnings), missing=gone,
        equal_scores=equal_shares(samples, sizes), outlook=outlook,
        cover=cover_curve(counts, level=level) if identified else None,
        limits={g: limits(counts, g, level=level) for g in sizes if g not in plans},
    )  # fmt: skip


def _stopped(
    counts: GroupCounts,
    sizes: Sequence[int],
    common: dict[str, Any],
    contrast: PairContrast,
    warnings: Sequence[str],
    **options: Any,
) -> Audit:
    """Where sampling stops by outcome: the likelihood is that of fixed n, means and moments not."""
    law = fit_law(counts, "beta-binomial")
    scores = {}
    for k in (1, *sizes):
        low, high = law.interval(methodcaller("pass_at", k), **options)
        scores[k] = PassAtK(k, float(law.pass_at(k)), low, high, math.nan, math.nan)
    icc = icc_interval(counts, method="beta-binomial", interval="profile", **options)
    plans = {g: make_plan(counts, g, icc, method="beta-binomial", **options) for g in sizes}
    ahead = {g: look_ahead(counts, g, method="beta-binomial", **options) for g in sizes}
    return Audit(
        **common, pass_at_k=scores, icc=icc, beta_binomial=fit_beta_binomial(counts), mixture=None,
        plans=plans, independence=contrast, truncated=None, warnings=tuple(warnings), outlook=ahead,
    )  # fmt: skip


def _powers(most: int, sizes: Sequence[int]) -> list[int]:
    """1, 2, 4, ... and the planned sizes, as far as most prompts have that many samples."""
    powers = {2**i for i in range(most.bit_length())}
    return sorted(k for k in powers | set(sizes) if k <= most)


def _missed_kinds(prompts: int) -> list[str]:
    """What the interval of the ICC cannot know where prompts are few (`verify icc-interval`)."""
    if prompts > FEW_PROMPTS:
        return []
    share = 1.0 - 0.05 ** (1.0 / prompts)
    return [
        f"{prompts} prompts show none of a kind that makes up {percent(share)} of all in one of 20"
        " samples; where such prompts are far easier or far harder than all that were seen, the ICC"
        " and p* lie outside of their intervals"
    ]


def _missing(gone: Missingness | None, least: int) -> list[str]:
    """What unequal numbers of verdicts do to the numbers."""
    if gone is None:
        return []
    total = gone.num_short + gone.num_full
    found = [
        f"{gone.num_short} of {total} prompts with fewer than {gone.full_size} verdicts (down to"
        f" {least}): in groups larger than that their share is what a model fitted to all prompts"
        " says"
    ]
    if gone.p_value < _LEVEL:
        found.append(
            f"prompts with fewer verdicts have another success rate ({gone.rate_short:.2f} against"
            f" {gone.rate_full:.2f}, p={p_value(gone.p_value)}): verdicts are missing by success,"
            " and all numbers here are of the verdicts that are left"
        )
    return found


def _truncated(
    counts: GroupCounts, rng: np.random.Generator, warnings: list[str]
) -> TruncatedFit | None:
    warnings.append(
        "the dump was written after dynamic sampling: pass@k, ICC and zero-std shares computed from"
        " it would describe mixed groups only and are not reported"
    )
    mixed = ~(counts.all_wrong | counts.all_right)
    if not mixed.all():
        warnings.append(f"{int((~mixed).sum())} groups without spread were left out of the fit")
    try:
        return fit_truncated(counts.select(mixed), rng=rng)
    except ValueError as err:
        warnings.append(f"no correction for the filter: {err}")
        return None


def _warnings(counts: GroupCounts) -> list[str]:
    totals = counts.by_prompt()
    found = []
    if int(totals.num_samples.max()) == 1:
        found.append(
            "one sample per prompt: pass@1 is all that it identifies; the ICC and the zero-std"
            " share of any group need at least 2 samples per prompt"
        )
    if len(totals.prompt_id) < 30:
        few = counted(len(totals.prompt_id), "prompt")
        found.append(f"only {few}: intervals are wide and approximate")
    rates = np.unique(totals.rate)
    if len(totals.prompt_id) > 1 and len(rates) == 1:
        found.append(
            f"every prompt has the success rate {rates[0]:.2g}: intervals rest on the number of"
            " prompts alone"
        )
    return found


def latest(counts: GroupCounts) -> tuple[GroupCounts, list[str]]:
    """The groups of the last steps, which tell most of the next ones; and what was left out.

    The last tenth of the groups, at least 200, by whole steps; all of a dump of mixed groups.
    """
    steps, place = np.unique(counts.step, return_inverse=True)
    if len(steps) < 2 or counts.provenance.filtered:
        return counts, []
    behind = len(counts) - np.cumsum(np.bincount(place)) + np.bincount(place)  # from a step on
    first = int(np.flatnonzero(behind >= min(max(_RECENT, len(counts) / 10), len(counts)))[-1])
    recent = counts.select(place >= first)
    whole = f"the rollouts span steps {steps[0]} to {steps[-1]}"
    now = (
        f"numbers are those of steps {steps[first]} to {steps[-1]}"
        if first
        else "the policy changed while they were drawn, and prompts are pooled over it"
    )
    return recent, [
        f"{whole}; {now}. Groups as drawn, without a signal: {percent(counts.frac_zero_std)}"
        + (f", of these steps {percent(recent.frac_zero_std)}" if first else "")
    ]

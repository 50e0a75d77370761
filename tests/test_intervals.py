"""Every interval of the package: none is of zero width, and none leaves its own number out.

The list is read from the source, so that a new interval has to be added here, with how it is made
from counts or with the reason why it has no floor of its own.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from grpolab.theory.groups import GroupCounts
from grpolab.validate.audit.compare import compare_all
from grpolab.validate.audit.outlook import look_ahead
from grpolab.validate.audit.summary import Audit, audit
from grpolab.validate.estimate.bootstrap import (
    exact_interval,
    floored,
    share_interval,
    wilson_interval,
)
from grpolab.validate.estimate.contrasts import contrasts, paired_gap, unpaired_gap
from grpolab.validate.estimate.icc import INTERVALS, icc_interval
from grpolab.validate.estimate.truncated import fit_truncated
from grpolab.validate.forecast.beyond import beyond, capped, falling
from grpolab.validate.forecast.cover import cover_curve
from grpolab.validate.forecast.interval import coverage_by_step, forecast_interval
from grpolab.validate.forecast.law import METHODS, fit_law
from grpolab.validate.forecast.outcome import RULES, forecast_outcome
from grpolab.validate.forecast.pass_at_k import estimate_pass_at_k, extrapolate_pass_at_k
from grpolab.validate.forecast.population import forecast_population
from grpolab.validate.forecast.posterior import fit_posterior
from grpolab.validate.forecast.predict import first_groups, share_prediction
from grpolab.validate.forecast.profile import law_interval
from grpolab.validate.forecast.zero_std import predict_zero_std
from grpolab.validate.monitor.futility import forecast
from grpolab.validate.plan.plans import make_rows
from grpolab.validate.plan.select import select
from grpolab.validate.rollouts.table import Rollouts
from grpolab.validate.study.summary import interval as lead_of
from grpolab.validate.triage.ranking import triage
from grpolab.validate.verify.power import _rate

SOURCE = Path(__file__).parents[1] / "src" / "grpolab"
PAIRS = ("tuple[float, float]", "tuple[FloatArray, FloatArray]")

Spans = Iterator[tuple[float | None, float, float]]
"""Number (None where there is none), low and high."""

EDGES = {
    "all wrong": ([0] * 30, 8),
    "all right": ([8] * 30, 8),
    "one prompt": ([3], 8),
    "one prompt, all wrong": ([0], 8),
    "one prompt, all right": ([8], 8),
    "two prompts": ([3, 5], 8),
    "two prompts, alike": ([3, 3], 8),
    "two prompts, one of each": ([0, 8], 8),
    "two prompts, all wrong": ([0, 0], 8),
    "each never or always": ([0] * 20 + [8] * 20, 8),
    "one success in 30 prompts": ([0] * 29 + [1], 8),
    "one failure in 30 prompts": ([8] * 29 + [7], 8),
    "one prompt of 30 solved": ([0] * 29 + [8], 8),
    "all alike": ([3] * 40, 8),
    "all alike, many samples": ([20] * 50, 64),
    "three samples": ([0, 0, 1, 3], 3),
    "one sample": ([0, 1] * 15, 1),
    "one sample, all right": ([1] * 30, 1),
    "short and long": ([2, 0, 5, 1, 1], [2, 8, 8, 1, 3]),
}  # fmt: skip


def _icc(counts: GroupCounts) -> Spans:
    for kind in INTERVALS:
        found = icc_interval(counts, rng=0, interval=kind, num_resamples=50)
        yield found.estimate, found.low, found.high


def _zero_std(counts: GroupCounts) -> Spans:
    for method in METHODS:
        for g in (2, 32):
            if g > 2 and method == "thinning":
                continue
            found = predict_zero_std(counts, g, rng=0, method=method, num_resamples=20)
            yield found.zero_std, found.low, found.high


def _law(counts: GroupCounts) -> Spans:
    for method in METHODS:
        law = fit_law(counts, method)
        for statistic in (lambda one: one.mean, lambda one: one.expected_std(2)):
            low, high = law.interval(statistic, rng=0, num_resamples=20)
            yield float(statistic(law)), low, high


def _pass_at(counts: GroupCounts) -> Spans:
    for k in (1, 2, 8):
        found = estimate_pass_at_k(counts, k, rng=0, num_resamples=20)
        yield found.value, found.low, found.high


def _extrapolated(counts: GroupCounts) -> Spans:
    found = extrapolate_pass_at_k(counts, 32)
    yield found.value, found.low, found.high


def _beyond(counts: GroupCounts) -> Spans:
    yield beyond(counts, lambda p: np.asarray(p**16))
    for share in (lambda law, g: law.all_wrong(g), lambda law, g: law.zero_std(g)):
        yield falling(counts, share, 16, rng=0, num_resamples=100)
        low, high = capped(counts, share, (0.2, 0.4), rng=0, num_resamples=100)
        yield None, low, high


def _cover(counts: GroupCounts) -> Spans:
    found = cover_curve(counts, [0.1, 0.5])
    for value, low, high in zip(found.value, found.low, found.high, strict=True):
        if not math.isnan(low):  # no law of p agrees with counts that are all alike
            yield value, low, high


def _population(counts: GroupCounts) -> Spans:
    found = forecast_population(counts, [0, 5], group_size=8, learning_rate=0.1, rng=0)
    yield from zip(found.zero_std, found.low, found.high, strict=True)


def _outcome(counts: GroupCounts) -> Spans:
    for rule in RULES:
        found = forecast_outcome(counts, steps=50, rule=rule)
        yield found.value, found.low, found.high
        if (level := found.outcome) is not None:
            yield level.value, level.low, level.high


def _filtered(counts: GroupCounts) -> Spans:
    found = fit_truncated(counts, rng=0, num_resamples=5)
    yield found.frac_kept, found.kept_low, found.kept_high


def _rates(counts: GroupCounts) -> Spans:
    """Functions of values and weights: those of the rates."""
    rates, weight = counts.by_prompt().rate, np.ones(len(counts))
    mean = float(rates.mean())
    groups = float(len(rates))
    for mixed in (0.0, groups * (1 - counts.frac_zero_std), groups):
        yield mixed / groups, *exact_interval(mixed, groups)
        yield mixed / groups, *wilson_interval(mixed, groups)
    yield mean, *floored((mean, mean), rates, weight, rng=0)
    yield mean, *share_interval(np.full(9, mean), value=mean, level=0.95, num_clusters=len(rates))


def _audit(counts: GroupCounts) -> Audit:
    return _audit_of(tuple(counts.num_correct), tuple(counts.group_size))


@lru_cache(maxsize=1)  # two of the rows ask, one soon after the other
def _audit_of(correct: tuple[int, ...], size: tuple[int, ...]) -> Audit:
    return audit(GroupCounts(correct, size), rng=0, group_sizes=[2, 16], num_resamples=20)


def _differences(counts: GroupCounts) -> Spans:
    rates = counts.by_prompt().rate
    one = lead_of((rates - rates).tolist())
    yield one.difference, one.low, one.high
    if len(rates) > 1:
        for gap in (paired_gap(rates - rates), unpaired_gap(rates, rates)):
            (found,) = contrasts([gap])
            yield found.difference, found.low, found.high
    audits = [replace(_audit(counts), label=label) for label in "ab"]
    for difference in compare_all(audits):
        yield difference.difference, difference.low, difference.high


def _plans(counts: GroupCounts) -> Spans:
    for plan in _audit(counts).plans.values():
        p = plan.prediction
        yield p.zero_std, p.low, p.high
        yield p.zero_std, plan.bound_low, plan.bound_high


def _outlook(counts: GroupCounts) -> Spans:
    options = {"num_groups": None, "rng": 0, "level": 0.95, "num_resamples": 20}
    for g in (2, 16):
        found = look_ahead(counts, g, **options)
        yield from (found.all_wrong, found.all_right, found.signal)


def _windows(counts: GroupCounts) -> Spans:
    inside = np.zeros((len(counts), 1))
    (row,) = coverage_by_step(inside, mean=inside, low=inside, high=inside, windows=[(0, 1)])
    yield row.coverage, row.low, row.high


def _triage(counts: GroupCounts) -> Spans:
    size = int(counts.group_size.min())
    if size < 2 or len(counts) < 2:
        return
    reward = np.concatenate([np.arange(size) < c for c in counts.num_correct]).astype(float)
    rows = len(reward)
    table = Rollouts(
        prompt_id=np.arange(rows) // size, group=np.zeros(rows, np.int64), reward=reward,
        num_tokens=np.ones(rows, np.int64), truncated=np.zeros(rows, bool),
        entropy=np.full(rows, 0.5), logprob=np.full(rows, -1.0), text_hash=np.arange(rows),
    )  # fmt: skip
    found = triage({"a": table, "b": table}, task="t", group_size=2, rng=0, num_resamples=20)
    for one in found.checkpoints:
        yield one.signal.value, one.signal.low, one.signal.high
    for pair in found.pairs:
        yield pair.difference, pair.low, pair.high


def _chance(counts: GroupCounts) -> Spans:
    right, total = float(counts.num_correct.sum()), float(counts.group_size.sum())
    mixed = float(len(counts) * (1 - counts.frac_zero_std))
    row = [total, right, float(len(counts)), mixed, 0.0, 0.0]
    found = forecast([[float(b), *row] for b in range(12)], 0.3)
    assert not isinstance(found, str)
    yield found.chance, found.low, found.high


def _rejected(counts: GroupCounts) -> Spans:
    found = _rate([float(c > 0) for c in counts.num_correct], 0.05)
    yield found["rate"], found["low"], found["high"]


def _any_law(counts: GroupCounts) -> Spans:
    from grpolab.validate.estimate import cells

    data = cells.unfiltered(counts)
    low, high = law_interval(data, lambda p: np.asarray(p**4))
    yield None, float(low), float(high)


def _whole(counts: GroupCounts) -> Spans:
    """Predictions of whole numbers, which may be certain to be one number."""
    from grpolab.validate.estimate import cells

    for groups in (1, 64):
        for quantity in ("zero_std", "all_wrong", "all_right"):
            found = forecast_interval(
                counts, group_size=2, num_groups=groups, rng=0, quantity=quantity, num_draws=20
            )
            nearest = round(found.mean * groups) / groups
            yield nearest, found.low, found.high
        for g in (2, 16):
            yield None, *first_groups(counts, g, num_groups=groups, rng=0)
        data = cells.unfiltered(counts)
        low, high = share_prediction(data, lambda p: np.asarray(p**4), num_groups=groups)
        yield None, float(low), float(high)
    posterior = fit_posterior(counts, rng=0)
    kept = select(posterior, band=(0.1, 0.9), group_size=8, rng=0)
    for share in (kept.before, kept.after, kept.naive):
        if share is not None:
            yield None, share.low, share.high
    for row in make_rows(posterior, 256, group_size=8, rng=0):
        yield None, row.low, row.high


MADE: dict[Callable[[GroupCounts], Spans], tuple[str, ...]] = {
    _icc: ("validate.estimate.icc.IccInterval",),
    _zero_std: ("validate.forecast.zero_std.ZeroStdPrediction",),
    _law: ("validate.forecast.law.interval()",),
    _pass_at: ("validate.forecast.pass_at_k.PassAtK",),
    _extrapolated: ("validate.forecast.pass_at_k.Extrapolation",),
    _beyond: ("validate.forecast.beyond.Beyond", "validate.forecast.beyond.capped()"),
    _any_law: ("validate.forecast.profile.law_interval()", "validate.forecast.profile.ends()"),
    _cover: ("validate.forecast.cover.Cover",),
    _population: ("validate.forecast.population.Population",),
    _outcome: ("validate.forecast.outcome.OutcomeForecast", "validate.forecast.levels.Level"),
    _filtered: ("validate.estimate.truncated.TruncatedFit",),
    _rates: (
        "validate.estimate.bootstrap.exact_interval()",
        "validate.estimate.bootstrap.exact_intervals()",
        "validate.estimate.bootstrap.wilson_interval()", "validate.estimate.bootstrap.floored()",
        "validate.estimate.bootstrap.share_interval()",
    ),
    _differences: (
        "validate.audit.compare.Difference", "validate.estimate.contrasts.Contrast",
        "validate.study.results.Lead",
    ),
    _plans: ("validate.audit.plan.GroupPlan",),
    _outlook: (),
    _windows: ("validate.forecast.interval.WindowCoverage",),
    _triage: ("validate.triage.ranking.Signal", "validate.triage.pairs.CheckpointPair"),
    _chance: ("validate.monitor.futility.Chance",),
    _rejected: ("validate.verify.power.Rate",),
    _whole: (
        "validate.forecast.interval.ForecastInterval", "validate.forecast.predict.first_groups()",
        "validate.forecast.predict.share_prediction()", "validate.forecast.predict.predicted()",
        "validate.forecast.posterior.predict()", "validate.audit.outlook.FirstGroups",
        "validate.plan.select.Share", "validate.plan.plans.Row",
    ),
}  # fmt: skip

NO_FLOOR = {
    "cli._train_options.LossOptions": "clip range",
    "simulate._kernels_options.Plan": "clip range",
    "simulate._philox.Key": "halves of a key",
    "simulate.options.Options": "clip range",
    "validate.study.record.Steps": "clip range",
    "validate.study.results.ArmRow": "clip range",
    "validate.training.config.GRPOConfig": "clip range",
    "validate.training.log.StepLog": "clip range",
    "validate.training.loss.LossParts": "clip range",
    "validate.training.log.reward_stats()": "mean and spread",
    "theory._check.count_of()": "two numbers",
    "validate.audit.page.sides_size()": "width and height",
    "theory._numeric.unit_rule()": "nodes and weights",
    "theory.drift.logit_pulls()": "two pulls",
    "theory.bounds.Band": "limits at given moments, a number where they say all",
    "validate.study.independence.IndependenceRow": "limits at given moments; its ICC is _icc",
    "validate.monitor.evidence.std_bounds()": "limits of a logged number",
    "validate.monitor.state.GroupTally": "limits of a logged number",
    "validate.audit.plan.Threshold": "p* over the interval of the ICC; nan: most are zero-std",
    "simulate.pstar.CriticalPEstimate": "ends of a search by simulation",
    "validate.study.record.Threshold": "ends of a search by simulation",
    "validate.estimate.icc._Spread": "a part of IccInterval",
    "validate.estimate.bootstrap.percentile_interval()": "raw; its callers add the floor",
    "validate.probe.compare.StartPair": "floor by prompts, tests/validate/probe/test_compare.py",
    "validate.study.shootout.within.RankRow": "of ranks: one order of few checkpoints has none",
    "validate.study.trial.claims.Verdict": "fixed by docs/preregistration.md",
    "validate.study.trial.claims.intervals()": "fixed by docs/preregistration.md",
    "validate.study.trial.measures.Estimate": "fixed by docs/preregistration.md",
    "validate.study.trial.measures.line()": "intercept and slope, no interval",
    "validate.study.trial.measures.one_sided()": "fixed by docs/preregistration.md",
    "figures.trial.Cost": "fixed by docs/preregistration.md",
}  # fmt: skip


def intervals_of(source: Path) -> set[str]:
    """Classes with a field ``low`` and one ``high``, and public functions that return a pair."""
    found = set()
    for path in source.rglob("*.py"):
        module = ".".join(path.relative_to(source).with_suffix("").parts)
        if ".sandbox." in module:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                fields = {
                    item.target.id
                    for item in node.body
                    if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
                }
                ends = [name for name in fields if name.split("_")[-1] == "low"]
                if any(name.replace("low", "high") in fields for name in ends):
                    found.add(f"{module}.{node.name}")
            elif (
                isinstance(node, ast.FunctionDef)
                and node.returns is not None
                and not node.name.startswith("_")
                and ast.unparse(node.returns) in PAIRS
            ):
                found.add(f"{module}.{node.name}()")
    return found


def test_every_interval_of_the_source_is_on_the_list():
    listed = {name for names in MADE.values() for name in names} | set(NO_FLOOR)
    assert intervals_of(SOURCE) == listed


def test_the_list_sees_new_classes_and_functions(tmp_path):
    text = (
        "class A:\n    top_low: float\n    top_high: float\n\n\ndef b() -> tuple[float, float]: ..."
    )
    (tmp_path / "new.py").write_text(text)
    assert intervals_of(tmp_path) == {"new.A", "new.b()"}


@pytest.mark.parametrize("edge", EDGES)
def test_it_has_a_floor(edge, each):
    counts = GroupCounts(*EDGES[edge])
    each(check_floor, ((make, counts) for make in MADE))


def check_floor(make, counts):
    spans = make(counts)
    while True:
        try:
            value, low, high = next(spans)
        except StopIteration:
            return
        except ValueError:  # these counts say nothing of it, in words
            return
        assert low < high or (make is _whole and low == high), (low, high)
        assert math.isfinite(high - low)
        assert value is None or low - 1e-9 <= value <= high + 1e-9, (value, low, high)

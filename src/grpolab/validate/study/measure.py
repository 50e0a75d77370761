"""What is measured on each checkpoint, before RL, during its first steps and after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from grpolab.theory import GroupCounts, expected_variance, pass_at_k, prob_zero_std
from grpolab.theory.groups import FloatArray
from grpolab.validate.estimate.icc import icc
from grpolab.validate.forecast.law import Method, fit_law
from grpolab.validate.forecast.zero_std import natural_method
from grpolab.validate.study.families import REGIMES, Family
from grpolab.validate.study.peak import corrected_peak
from grpolab.validate.study.record import EARLY_STEPS, Ladder, Record, Run, RunKey, Samples
from grpolab.validate.study.rows import (
    FORECASTS,
    QUANTITIES,
    Checkpoint,
    Early,
    Forecast,
    Gap,
    Measured,
    Peak,
    Quantity,
    RLOutcome,
    Row,
    Signal,
    TrainingPrompts,
    Window,
)

PASS_KS = (1, 10, 64, 256)
WINDOWS = ((0, 10), (10, 50), (50, EARLY_STEPS))


def predict(counts: GroupCounts, group_size: int) -> dict[str, Any]:
    """Forecasts for groups of ``group_size`` from counts of other samples of the same prompts.

    (a) the formulas at the mean p, (b) the beta-binomial of maximum likelihood, whose correlation
    is ``icc``, (c) thinning; each by `law.fit_law`.
    """
    names: tuple[Method, ...] = ("mean-p", "beta-binomial", "thinning")
    laws = {name: fit_law(counts, name) for name in names}
    found: dict[str, Any] = {
        name: {
            "zero_std": float(law.zero_std(group_size)),
            "variance": float(law.expected_variance(group_size)),
        }
        for name, law in laws.items()
    }
    thinned = laws["thinning"]
    found["thinning"]["all_wrong"] = float(thinned.all_wrong(group_size))
    found["thinning"]["all_right"] = float(thinned.all_right(group_size))
    return {
        "mean_p": float(thinned.mean), "icc": float(laws["beta-binomial"].icc), **found
    }  # fmt: skip


def observe(counts: GroupCounts) -> Signal:
    """Shares of zero-std groups and the within-group variance, as counted."""
    return Signal(
        zero_std=counts.frac_zero_std,
        all_wrong=counts.frac_all_wrong,
        all_right=counts.frac_all_right,
        variance=float(counts.variance().mean()),
    )


def pass_rates(counts: GroupCounts) -> dict[str, float]:
    """Mean pass@k over prompts for every k of `PASS_KS` that most prompts have the samples for."""
    law = fit_law(counts, "thinning")
    ks = [k for k in PASS_KS if natural_method(counts, k) == "thinning"]
    return {f"pass_at_{k}": float(law.pass_at(k)) for k in ks}


def _pass_at(counts: GroupCounts, k: int) -> float:
    return float(fit_law(counts, "thinning").pass_at(k))


def _extrapolated(few: GroupCounts) -> float:
    """pass@64 from a few samples of each prompt, by a beta-binomial's tail."""
    return float(fit_law(few, "beta-binomial").pass_at(64))


def rows(record: Record) -> list[Row]:
    """One row per plain run, or per learning rate of a tuning run, in the order of the plan."""
    config = record.config
    return [
        _row(record, family, seed, depth, arm.name)
        for seed in config.seeds
        for family in config.parsed
        for depth in config.depths
        for arm in config.arms
        if arm.question in ("plain", "tune")
    ]


def _row(record: Record, family: Family, seed: int, depth: int, arm: str) -> Row:
    key = RunKey(family.task, family.regime, seed, depth, arm)
    run = record.runs[key]
    return Row(
        family=family.name,
        task=family.task,
        regime=family.regime,
        seed=seed,
        depth=depth,
        lr=run.settings.lr,
        before=checkpoint(record, key),
        after=outcome(run, seed=seed),
        early=early(record, key),
    )


def checkpoint(record: Record, key: RunKey) -> Checkpoint:
    """One checkpoint before RL: on all prompts that a family asks, and by prompt class."""
    asked, start = _asked(record, key), key.start
    before, size = record.before[start], record.config.grpo.group_size
    nll = record.nll[Ladder(start.task, start.data, "plain", start.seed)][start.depth]

    def of(classes: Sequence[str]) -> Measured:
        mean_nll = float(np.mean([nll[label] for label in classes]))
        sampled, greedy = before.eval.of(classes), before.greedy.of(classes)
        return measure(sampled, greedy, group_size=size, nll=mean_nll)

    return Checkpoint(
        measured=of(asked),
        by_class={label: of([label]) for label in asked},
        train=TrainingPrompts(**on_training_prompts(before.train.of(asked).counts(), size)),
        held_out_nll_sft_class=nll[record.classes[key.task][0]],
        plasticity=record.plasticity.get(start),
    )


def _asked(record: Record, key: RunKey) -> tuple[str, ...]:
    """The prompt classes that the RL of a family trains on and that its evaluation asks."""
    return record.classes[key.task][: REGIMES[key.regime].rl_classes]


def measure(sampled: Samples, greedy: Samples, *, group_size: int, nll: float) -> Measured:
    """Everything that is measured on the rollouts of one checkpoint before RL.

    Forecasts come from the first half of each prompt's samples, counts from the second.
    """
    first, second = sampled.halves()
    counts = sampled.counts()
    return Measured(
        pass_rates=pass_rates(counts),
        pass_at_g=_pass_at(counts, group_size),
        pass_at_64_extrapolated=_extrapolated(sampled.counts(slice(1))),
        greedy=greedy.counts().mean_reward,
        token_entropy=sampled.mean_token_entropy(),
        completion_entropy=sampled.over_completions(sampled.completion_entropy),
        sequence_entropy=-sampled.over_completions(sampled.logprob),
        distinct=float(sampled.distinct.mean()),
        collision_rate=float(sampled.collision_rate.mean()),
        frac_truncated=float(sampled.num_truncated.sum() / sampled.num_completions.sum()),
        icc=icc(counts),
        held_out_nll=nll,
        observed=observe(second),
        predicted=_forecasts(first, group_size),
        variance_by_icc=_variance_by_icc(first, group_size),
    )


def _variance_by_icc(counts: GroupCounts, group_size: int) -> float:
    """``m (1 - m) (1 - ICC) (g - 1) / g`` at the mean rate m over prompts."""
    mean = float(counts.by_prompt().rate.mean())
    rho = float(np.clip(icc(counts), 0.0, 1.0))
    return float(expected_variance(mean, group_size, rho=rho))


def _forecasts(counts: GroupCounts, group_size: int) -> dict[str, Forecast]:
    found = predict(counts, group_size)
    return {n: Forecast(found[n]["zero_std"], found[n]["variance"]) for n in FORECASTS}


def on_training_prompts(counts: GroupCounts, group_size: int) -> dict[str, float]:
    """Mean p, E[sigma] of a planned group, share informative, and share of prompts ever solved."""
    totals = counts.by_prompt()
    law = fit_law(counts, "thinning")
    return {
        "pass_at_1": float(law.mean),
        "signal": float(law.expected_std(group_size)),
        "informative": float(law.mixed(group_size)),
        "support": float(np.mean(totals.num_correct > 0)),
        "num_samples": float(totals.num_samples.min()),
    }


def outcome(run: Run, *, seed: int) -> RLOutcome:
    """What RL made of a checkpoint: peak over the schedule, and the end in full.

    The peak is over evaluations of ``quick_samples`` per prompt and includes step 0. Its corrected
    form chooses and scores on different prompts; ``final`` is no maximum at all.
    """
    end = run.eval.counts()
    return RLOutcome(
        peak=peaks(run.evals, seed=seed),
        final=pass_rates(end),
        final_token_entropy=run.eval.mean_token_entropy(),
        train_pass_at_1=run.train.counts().mean_reward,
        by_class={
            str(label): pass_rates(run.eval.of([label]).counts())
            for label in np.unique(run.eval.label.astype(str))
        },
        mean_grad_norm=float(run.steps.grad_norm.mean()),
        first_grad_norm=float(run.steps.grad_norm[0]),
    )


def peaks(evals: GroupCounts, *, seed: int) -> dict[str, Peak]:
    """pass@k at the start and at the best evaluation of a run, by metric name."""
    steps = np.unique(evals.step)
    correct, size = (v.reshape(len(steps), -1) for v in (evals.num_correct, evals.group_size))
    found = {}
    for k in (k for k in PASS_KS if k <= size.min()):
        best = corrected_peak(correct, size, k=k, rng=seed, steps=steps)
        found[f"pass_at_{k}"] = Peak(
            start=float(np.mean(pass_at_k(size[0], correct[0], k))),
            highest=best.naive,
            step=best.step,
            corrected=best.corrected,
        )
    return found


def early(record: Record, key: RunKey) -> Early:
    """The first RL steps of a run, and what was forecast of them before it."""
    size, groups = record.config.grpo.group_size, record.runs[key].groups
    train = record.before[key.start].train.of(_asked(record, key)).counts()
    forecast = _forecasts(train, size)
    count = np.bincount(groups.step)

    def per_step(values: Any) -> FloatArray:
        return np.asarray(np.bincount(groups.step, weights=values) / count)

    mean = per_step(groups.num_correct / groups.group_size)
    measured: dict[Quantity, FloatArray] = {
        "zero_std": per_step(groups.all_wrong | groups.all_right),
        "variance": per_step(groups.variance()),
    }
    formula: dict[Quantity, FloatArray] = {
        "zero_std": np.asarray(prob_zero_std(mean, size)),
        "variance": np.asarray(expected_variance(mean, size)),
    }
    cuts = [(low, min(high, len(count))) for low, high in WINDOWS if low < len(count)]
    return Early(
        measured={name: tuple(values.tolist()) for name, values in measured.items()},
        formula={name: tuple(values.tolist()) for name, values in formula.items()},
        forecast=forecast,
        windows=tuple(
            Window(
                low, high,
                *(_gap(measured[q][low:high], formula[q][low:high], forecast, q)
                  for q in QUANTITIES),
            )
            for low, high in [*cuts, (0, len(count))]
        ),
    )  # fmt: skip


def _gap(
    measured: FloatArray,
    formula: FloatArray,
    forecast: Mapping[str, Forecast],
    quantity: Quantity,
) -> Gap:
    """The mean over some steps, and forecast minus measured of each forecast of it."""
    seen = float(measured.mean())
    guesses = {name: found.of(quantity) for name, found in forecast.items()}
    guesses["mean-p"] = float(formula.mean())
    return Gap(seen, {name: guesses[name] - seen for name in FORECASTS})

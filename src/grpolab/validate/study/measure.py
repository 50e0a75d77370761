"""What is measured on each checkpoint, before RL, during its first steps and after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from grpolab.store import read_counts, read_json
from grpolab.theory import GroupCounts, expected_variance, prob_zero_std
from grpolab.validate.estimate.icc import icc
from grpolab.validate.forecast.law import Method, fit_law
from grpolab.validate.rollouts.table import Rollouts
from grpolab.validate.study.config import StudyConfig
from grpolab.validate.study.families import REGIMES, Family
from grpolab.validate.study.jobs import RESULT, ladder_key, pre_key, rl_key
from grpolab.validate.study.peak import corrected_peak
from grpolab.validate.study.tasks import StudyTask, make_task

EARLY_STEPS = 100
PASS_KS = (1, 10, 64, 256)
WINDOWS = ((0, 10), (10, 50), (50, 100))


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


def observe(counts: GroupCounts) -> dict[str, float]:
    """Shares of zero-std groups and the within-group variance, as counted."""
    return {
        "zero_std": counts.frac_zero_std,
        "all_wrong": counts.frac_all_wrong,
        "all_right": counts.frac_all_right,
        "variance": float(counts.variance().mean()),
    }


def halves(table: Rollouts) -> tuple[GroupCounts, GroupCounts]:
    """Groups of the first and of the second half of each prompt's samples: independent draws."""
    counts = table.counts()
    groups = int(np.bincount(np.unique(counts.prompt_id, return_inverse=True)[1]).max())
    first = np.tile(np.arange(groups) < (groups + 1) // 2, len(counts) // groups)
    return counts.select(first), counts.select(~first)


def pass_rates(table: Rollouts) -> dict[str, float]:
    """Mean pass@k over prompts for every k of `PASS_KS` that all prompts have the samples for."""
    counts = table.counts()
    law = fit_law(counts, "thinning")
    ks = [k for k in PASS_KS if k <= counts.by_prompt().num_samples.min()]
    return {f"pass_at_{k}": float(law.pass_at(k)) for k in ks}


def _pass_at(table: Rollouts, k: int) -> float:
    return float(fit_law(table.counts(), "thinning").pass_at(k))


def _extrapolated(table: Rollouts, group_size: int) -> float:
    """pass@64 from the first ``group_size`` samples of each prompt, by a beta-binomial's tail."""
    few = table.select(table.group == 0).counts()
    return float(fit_law(few, "beta-binomial").pass_at(64))


def _labels(task: StudyTask, table: Rollouts) -> np.ndarray[Any, Any]:
    label = {p.id: p.label for split in ("eval", "rl") for p in task.prompts(split)}
    return np.array([label[i] for i in table.prompt_id.tolist()])


def measure(table: Rollouts, greedy: Rollouts, *, group_size: int, nll: float) -> dict[str, Any]:
    """Everything that is measured on the rollouts of one checkpoint before RL.

    Forecasts come from the first half of each prompt's samples, counts from the second.
    """
    first, second = halves(table)
    return {
        **pass_rates(table),
        "pass_at_g": _pass_at(table, group_size),
        "pass_at_64_extrapolated": _extrapolated(table, group_size),
        "greedy": float(greedy.reward.mean()),
        "token_entropy": float(table.entropy.mean()),
        "sequence_entropy": float(-table.logprob.mean()),
        "distinct": table.distinct(group_size),
        "collision_rate": table.collision_rate(),
        "frac_truncated": float(table.truncated.mean()),
        "icc": icc(table.counts()),
        "held_out_nll": nll,
        "observed": observe(second),
        "predicted": predict(first, group_size),
    }


def checkpoint(
    config: StudyConfig, *, root: Path, task: StudyTask, family: Family, seed: int, depth: int
) -> dict[str, Any]:
    """One checkpoint before RL: on all prompts that a family asks, and by prompt class."""
    folder = root / pre_key(family.task, family.data, seed, depth)
    asked = task.classes[: REGIMES[family.regime].rl_classes]
    ladder = root / ladder_key(family.task, family.data, seed)
    nll = read_json(ladder / RESULT)["held_out_nll"][str(depth)]
    tables = [Rollouts.read(folder / f"{name}.parquet") for name in ("eval", "greedy")]

    def of(classes: Sequence[str]) -> dict[str, Any]:
        sampled, greedy = (_of_classes(task, table, classes) for table in tables)
        mean_nll = float(np.mean([nll[label] for label in classes]))
        return measure(sampled, greedy, group_size=config.grpo.group_size, nll=mean_nll)

    by_class = {label: of([label]) for label in asked}
    train = _of_classes(task, Rollouts.read(folder / "train.parquet"), asked)
    return {
        **of(asked),
        "held_out_nll_sft_class": nll[task.classes[0]],
        "train": on_training_prompts(train.counts(), config.grpo.group_size),
        "by_class": by_class,
    }


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


def _of_classes(task: StudyTask, table: Rollouts, classes: Sequence[str]) -> Rollouts:
    return table.select(np.isin(_labels(task, table), classes))


def outcome(
    *, root: Path, task: StudyTask, family: Family, seed: int, depth: int, arm: str
) -> dict[str, Any]:
    """What RL made of a checkpoint: peak over the schedule, and the end in full.

    The peak is over evaluations of ``quick_samples`` per prompt and includes step 0; ``peak_after``
    leaves step 0 out. Both carry the noise of a maximum; ``final`` does not.
    """
    folder = root / rl_key(family, seed, depth, arm)
    result = read_json(folder / RESULT)
    table = Rollouts.read(folder / "eval.parquet")
    evals = result["evals"]
    peaks = {}
    names = [f"pass_at_{k}" for k in PASS_KS if f"pass_at_{k}" in evals[0]]
    for name in names:
        series = [row[name] for row in evals]
        peaks[name] = {
            "start": series[0],
            "peak": max(series),
            "peak_after": max(series[1:]),
            "peak_step": evals[int(np.argmax(series))]["step"],
        }
    labels = _labels(task, table)
    return {
        "peak": peaks,
        "corrected_peak": corrected_peaks(folder, seed=seed),
        "final": pass_rates(table),
        "final_token_entropy": float(table.entropy.mean()),
        "train_pass_at_1": float(Rollouts.read(folder / "train.parquet").reward.mean()),
        "by_class": {
            label: pass_rates(table.select(labels == label)) for label in np.unique(labels).tolist()
        },
        "curve": [{k: row[k] for k in ("step", *names)} for row in evals],
        "mean_grad_norm": float(np.mean([row["grad_norm"] for row in result["steps"]])),
    }


def corrected_peaks(folder: Path, *, seed: int) -> dict[str, float]:
    """pass@k at the best evaluation of a run, free of the winner's curse."""
    table = read_counts(folder / "evals.parquet")
    steps = np.unique(table.step)
    order = np.lexsort((table.prompt_id, table.step))
    correct = table.num_correct[order].reshape(len(steps), -1)
    samples = int(table.group_size.min())
    return {
        f"pass_at_{k}": corrected_peak(correct, samples, k=k, rng=seed, steps=steps).corrected
        for k in PASS_KS
        if k <= samples
    }


def early(
    config: StudyConfig,
    *,
    root: Path,
    task: StudyTask,
    family: Family,
    seed: int,
    depth: int,
    arm: str,
) -> dict[str, Any]:
    """The first RL steps: zero-std share and variance per step, and three forecasts of them.

    (a) is the formula at the batch's own mean reward of that step, the most favourable reading of
    it; (b) and (c) are made once, before RL, from rollouts on training prompts.
    """
    table = Rollouts.read(root / pre_key(family.task, family.data, seed, depth) / "train.parquet")
    asked = task.classes[: REGIMES[family.regime].rl_classes]
    g = config.grpo.group_size
    forecast = predict(_of_classes(task, table, asked).counts(), g)
    groups = read_counts(root / rl_key(family, seed, depth, arm) / "groups.parquet")
    steps = min(EARLY_STEPS, config.grpo.steps)
    shape = (config.grpo.steps, config.grpo.prompts_per_step)
    k = groups.num_correct.reshape(shape)[:steps]
    mean = k.mean(axis=1) / g
    measured = {
        "zero_std": ((k == 0) | (k == g)).mean(axis=1),
        "variance": (k * (g - k) / g**2).mean(axis=1),
    }
    formula = {"zero_std": prob_zero_std(mean, g), "variance": expected_variance(mean, g)}
    windows = [
        _window(low, min(high, steps), measured, formula, forecast)
        for low, high in WINDOWS
        if low < steps
    ]
    return {
        "steps": steps,
        "measured": {name: values.tolist() for name, values in measured.items()},
        "mean-p": {name: values.tolist() for name, values in formula.items()},
        "forecast": forecast,
        "windows": [*windows, _window(0, steps, measured, formula, forecast)],
    }


def _window(
    low: int,
    high: int,
    measured: Mapping[str, Any],
    formula: Mapping[str, Any],
    forecast: Mapping[str, Any],
) -> dict[str, Any]:
    """Means over the steps low..high-1, and the error of each forecast of the mean."""
    out: dict[str, Any] = {"from": low, "to": high}
    for name in ("zero_std", "variance"):
        seen = float(measured[name][low:high].mean())
        guesses = {
            "mean-p": float(formula[name][low:high].mean()),
            "beta-binomial": forecast["beta-binomial"][name],
            "thinning": forecast["thinning"][name],
        }
        out[name] = {"measured": seen, **{k: v - seen for k, v in guesses.items()}}
    return out


def collect(config: StudyConfig, *, root: Path) -> list[dict[str, Any]]:
    """One row per (family, seed, depth) of the plain runs, or per learning rate of a tuning run."""
    rows = []
    for seed in config.seeds:
        for family in config.parsed:
            task = make_task(family.task, seed=seed)
            for depth in config.sft.depths:
                at: dict[str, Any] = {"family": family, "seed": seed, "depth": depth}
                before = checkpoint(config, root=root, task=task, **at)
                for arm in config.arms:
                    if arm.question not in ("plain", "tune"):
                        continue
                    after = outcome(root=root, task=task, **at, arm=arm.name)
                    first = early(config, root=root, task=task, **at, arm=arm.name)
                    rows.append(
                        {
                            "family": family.name, "task": family.task, "regime": family.regime,
                            "seed": seed, "depth": depth, "lr": config.grpo_of(arm).lr,
                            "pre": before, "post": after, "early": first,
                        }
                    )  # fmt: skip
    return rows

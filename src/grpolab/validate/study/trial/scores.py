"""Predictors and outcomes of a design, from its counts alone; the formulas are the protocol's."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from grpolab.theory.groups import FloatArray, IntArray
from grpolab.theory.pass_at_k import pass_at_k, thin_zero_std
from grpolab.validate.forecast.outcome import (
    NOISE_AT_K,
    SHIFT,
    SHIFT_AT_K,
    budget_k,
    pass_at_any,
    transport,
)
from grpolab.validate.study.peak import corrected_peak
from grpolab.validate.study.trial.counts import DesignCounts

PROBES = (25, 50, 100)


def predictor_scores(counts: DesignCounts) -> dict[str, FloatArray]:
    """Every predictor that a design has, [S, D, R]; before RL the same for all R RL seeds.

    A probe of s steps is there where the budget is above s.
    """
    n, c, design = counts.samples, counts.before, counts.design
    rate = c / n

    def start(values: FloatArray) -> FloatArray:
        return np.asarray(np.broadcast_to(values[..., None], counts.end.shape[:3]))

    def at(k: float) -> FloatArray:
        return np.asarray(pass_at_any(n, c, k).mean(axis=-1))

    depth = np.broadcast_to(np.array(design.depths, dtype=np.float64), c.shape[:2])
    found = {
        "pass@1": at(1),
        "greedy": counts.greedy.mean(axis=-1),
        "pass@2": at(2),
        "pass@g": at(design.group_size),
        "pass@8": at(8),
        "pass@64": at(n),
        "pass@k(budget)": at(budget_k(design.steps)),
        "cover@0.1": np.mean(rate >= 0.1, axis=-1),
        "cover@0.5": np.mean(rate >= 0.5, axis=-1),
        "transport@1": transport(n, c, k=1, shift=SHIFT).mean(axis=-1),
        "transport@10": transport(n, c, k=10, shift=SHIFT_AT_K, noise=NOISE_AT_K).mean(axis=-1),
        **counts.measures,
        "depth": depth,
        "grad-norm": counts.grad_norm.mean(axis=-1),
    }
    scores = {name: start(values) for name, values in found.items()}
    for steps in PROBES:
        if steps < design.steps and steps in counts.curve:
            scores[f"probe-{steps}"] = (counts.curve[steps] / counts.curve_samples).mean(axis=-1)
    if "probe-50" in scores:
        k = budget_k(design.steps - 50)
        later = pass_at_any(counts.curve_samples, counts.curve[50], k)
        scores["probe-50+law"] = later.mean(axis=-1)
    return scores


def outcome_scores(counts: DesignCounts) -> dict[str, FloatArray]:
    """Every outcome of the protocol, [S, D, R]."""
    n = counts.samples
    return {
        **{f"final pass@{k}": _mean_pass(counts.end, n, min(k, n)) for k in (1, 10, 64)},
        "peak pass@1": _peaks(counts),
    }


def _mean_pass(correct: IntArray, n: int, k: int) -> FloatArray:
    return np.asarray(pass_at_k(n, correct, k).mean(axis=-1))


def _peaks(counts: DesignCounts) -> FloatArray:
    steps = sorted(counts.curve)
    size = np.array([*(counts.curve_samples for _ in steps), counts.samples])[:, None]
    found = np.empty(counts.end.shape[:3])
    for place in np.ndindex(found.shape):
        rows = np.stack([*(counts.curve[step][place] for step in steps), counts.end[place]])
        found[place] = corrected_peak(rows, size, k=1, rng=0).corrected
    return found


def reached(counts: DesignCounts) -> Mapping[int, FloatArray]:
    """pass@1 on held-out prompts after every step at which they were asked, [S, D, R]."""
    curve = {s: (c / counts.curve_samples).mean(axis=-1) for s, c in counts.curve.items() if s}
    return {**curve, counts.design.steps: (counts.end / counts.samples).mean(axis=-1)}


def signal(counts: DesignCounts) -> FloatArray:
    """Expected share of groups with both rewards before RL, by thinning, [S, D]."""
    zero = thin_zero_std(counts.samples, counts.before, counts.design.group_size)
    return np.asarray(1.0 - zero.mean(axis=-1))

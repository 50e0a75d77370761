"""Checks of what is done with a budget of rollouts."""

from __future__ import annotations

import math

import numpy as np

from grpolab import theory
from grpolab.theory.groups import FloatArray
from grpolab.validate.verify.registry import REGISTRY, Check, Evidence, Size, add_both

_SAMPLES = 4  # verdicts per prompt that a plan is made from
_GRID = np.sin((np.arange(200) + 0.5) / 200 * np.pi / 2) ** 2


@REGISTRY.register(
    "allocation",
    claim="a rollout to whom it helps most is the best allocation; sum of E[1 - p^n - q^n | c]",
    wrong="equal rollouts; 1 - p^n - q^n at p = c/n",
)
def _allocation(size: Size) -> Evidence:
    evidence = Evidence([], [])
    _optimal(size, evidence)
    prompts = max(2000, min(size.groups // 20, 40_000))
    for a, b in ((0.3, 0.7), (2.0, 2.0)):
        rng = np.random.default_rng(size.cell_seed("allocation", a, b))
        law = _GRID ** (a - 0.5) * (1.0 - _GRID) ** (b - 0.5)  # even steps in arcsine
        law /= law.sum()
        p = rng.choice(_GRID, prompts, p=law)
        c = rng.binomial(_SAMPLES, p)
        both = law * theory.count_pmf(_GRID, _SAMPLES).T  # [n + 1, G]
        posterior = both / both.sum(axis=1, keepdims=True)
        expected = (posterior @ theory.mixed_table(_GRID, 64))[c]
        number = theory.allocate(expected, 8 * prompts)
        chance = expected[np.arange(prompts), number]
        k = rng.binomial(number, p)
        seen = float(np.sum((k > 0) & (k < number)))
        error = math.sqrt(float(np.sum(chance * (1.0 - chance))))
        plugged = theory.mixed_table(c / _SAMPLES, 64)[np.arange(prompts), number]
        name = f"Beta({a:g}, {b:g}), {_SAMPLES} samples"
        add_both(evidence, name, seen, float(chance.sum()), float(plugged.sum()), error)
    return evidence


def _optimal(size: Size, evidence: Evidence) -> None:
    """Small budgets, for which the best of all allocations is known."""
    for cell in range(8):
        rng = np.random.default_rng(size.cell_seed("optimal", cell))
        table = theory.mixed_table(rng.beta(0.5, 0.5, 5), 12)
        budget = int(rng.integers(12, 40))
        number = theory.allocate(table, budget)
        each = np.minimum(budget // 5 + (np.arange(5) < budget % 5), 12)
        best, equal = _best(table, budget), float(table[np.arange(5), each].sum())
        value = float(table[np.arange(5), number].sum())
        for predicted, into in ((best, evidence.checks), (equal, evidence.controls)):
            into.append(
                Check.from_z(
                    f"5 prompts, {budget} rollouts",
                    observed=value,
                    predicted=predicted,
                    stderr=1e-12,  # rounding of a sum
                    reference="derived here",
                )
            )


def _best(table: FloatArray, budget: int) -> float:
    """The largest sum over all allocations, prompt by prompt."""
    best = np.zeros(budget + 1)
    for row in table:
        tried = [np.concatenate([np.zeros(n), best[: budget + 1 - n] + v]) for n, v in
                 enumerate(row) if n <= budget]  # fmt: skip
        best = np.max(tried, axis=0)
    return float(best[budget])

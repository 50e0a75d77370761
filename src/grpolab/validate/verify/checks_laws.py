"""Checks of laws of p from data, graded rewards, and what rules give right and wrong rollouts."""

from __future__ import annotations

import math

import numpy as np

from grpolab import theory
from grpolab.simulate import simulate_bernoulli
from grpolab.validate.forecast.population import population_path
from grpolab.validate.verify.registry import REGISTRY, Evidence, Size, add_both, add_counts

_MODEL_ERROR = 0.01  # of the mean field, which leaves out the noise of groups
_STEPS = (0, 100, 199)


@REGISTRY.register(
    "graded",
    claim="zero std: sum_v P(R = v)^g; E[sigma] over compositions; E[sigma^2] = Var(R) (g-1)/g",
    wrong="correctness alone, as if the other component of the reward were constant",
)
def _graded(size: Size) -> Evidence:
    evidence = Evidence([], [])
    for p, other, weight in ((0.05, 0.1, 0.5), (0.4, 0.9, 0.2), (0.3, 0.5, 1.0)):
        binary = theory.reward_law([0.0, 1.0], [1.0 - p, p])
        law = theory.sum_of_components(binary, theory.reward_law([0.0, weight], [1 - other, other]))
        groups = min(size.groups, 1_000_000)
        for g in (2, 6):
            rng = np.random.default_rng(size.cell_seed(p, other, g))
            right, tidy = (rng.random((groups, g)) < chance for chance in (p, other))
            reward = right + weight * tidy
            same = np.ptp(reward, axis=1) <= 1e-12
            spread = np.where(same, 0.0, reward.var(axis=1))
            name = f"p={p} other={other} g={g}"
            chance = theory.graded_zero_std(law, g)
            plain = theory.graded_zero_std(binary, g)
            add_counts(evidence, name, int(same.sum()), groups, chance, plain)
            for what, values, of in (
                ("variance", spread, theory.graded_variance),
                ("std", np.sqrt(spread), theory.graded_std),
            ):
                error = float(values.std()) / math.sqrt(groups)
                seen, expected, plain = float(values.mean()), of(law, g), of(binary, g)
                add_both(evidence, f"{what} {name}", seen, expected, plain, error)
    return evidence


@REGISTRY.register(
    "gradient-mass",
    claim="E[K A+]/g and -E[(g-K) A-]/g of every rule; the drift is q right + p wrong",
    wrong="equal masses, as of rules whose advantages sum to zero",
)
def _gradient_mass(size: Size) -> Evidence:
    evidence = Evidence([], [])
    groups, g = min(size.groups, 2_000_000), 8
    for name, rule in {**theory.VARIANTS, "maxrl": theory.MAXRL, "sign": theory.SIGN}.items():
        for p in (0.1, 0.5):
            rng = np.random.default_rng(size.cell_seed(name, p))
            k = rng.binomial(g, p, groups)
            right, wrong = rule.advantages(k, g)
            taken = -np.where(k < g, (g - k) * wrong, 0.0) / g
            given = np.where(k > 0, k * right, 0.0) / g
            mass = theory.gradient_mass(rule, p, group_size=g)
            error = float((taken - given).std()) / math.sqrt(groups)
            seen = float(taken.mean() - given.mean())
            expected = float(mass.wrong - mass.right)
            add_both(evidence, f"{name} p={p}", seen, expected, 0.0, error)
    return evidence


@REGISTRY.register(
    "population",
    claim="every prompt through its mean field: share of zero-std groups at steps 0, 100 and 199",
    wrong="the mean of p through the mean field",
)
def _population(size: Size) -> Evidence:
    evidence = Evidence([], [])
    chains, g, rate = max(20_000, size.chains // 4), 8, 0.05
    for name, law in (
        ("two kinds", theory.RateLaw([0.02, 0.5], [0.6, 0.4])),
        ("five kinds", theory.RateLaw([0.0, 0.03, 0.2, 0.6, 0.97])),
    ):
        drawn = np.random.default_rng(size.cell_seed(name, "rates"))
        p0 = law.sample(chains, rng=drawn)
        inner = p0[(p0 > 0) & (p0 < 1)]
        run = simulate_bernoulli(
            inner,
            group_size=g,
            learning_rate=rate,
            num_steps=_STEPS[-1] + 1,
            seed=size.cell_seed(name, "run"),
        )
        dead = 1.0 - len(inner) / chains  # prompts that never move
        ahead = population_path(law, _STEPS, group_size=g, learning_rate=rate)
        alone = theory.RateLaw([float(law.mean)])
        plain = population_path(alone, _STEPS, group_size=g, learning_rate=rate)
        for i, step in enumerate(_STEPS):
            seen = dead + (1.0 - dead) * float(run.frac_zero_std[step])
            error = math.hypot(0.5 / math.sqrt(chains), _MODEL_ERROR)
            expected, wrong = float(ahead.zero_std[i]), float(plain.zero_std[i])
            add_both(evidence, f"{name} step {step}", seen, expected, wrong, error)
    return evidence

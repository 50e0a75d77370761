"""Checks of the formulas for one group: simulated tallies against theory."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from grpolab import theory
from grpolab.simulate import draw_groups, draw_members, tally_groups
from grpolab.theory.groups import FloatArray, IntArray
from grpolab.theory.model import Model
from grpolab.validate.verify.registry import REGISTRY, Check, Evidence, Size, add_both, add_counts

_CELLS = [(p, g) for p in (0.01, 0.083, 0.3, 0.5, 0.9) for g in (2, 4, 8, 16)]
_CORRELATED = ((0.151, 0.2, 8), (0.5, 0.05, 4), (0.3, 0.6, 16))
_ELSEWHERE = (0.3, 0.5, 0.7)  # means where a family is checked that has no law at one of the above


class Cell(NamedTuple):
    """A family at one mean, correlation and group size."""

    name: str
    at: type[Model]
    mean: float
    rho: float
    group_size: int

    @property
    def law(self) -> Model:
        """The model."""
        return self.at(mean=self.mean, rho=self.rho)

    @property
    def label(self) -> str:
        """What reports call it."""
        return f"{self.name} m={self.mean} rho={self.rho} g={self.group_size}"


def cells(size: Size) -> list[Cell]:
    """Every family at every cell; at another mean where it has no law at that of the cell."""
    found = []
    for name, at in size.models.items():
        here = []
        for mean, rho, g in _CORRELATED:
            means = [m for m in (mean, *_ELSEWHERE) if np.all(at(mean=m, rho=rho).has_law)]
            here += [Cell(name, at, means[0], rho, g)] if means else []
        if not here:
            raise ValueError(f"model {name} has no law at any cell of {_CORRELATED}")
        found += here
    return found


@REGISTRY.register(
    "zero-std", claim="P(zero std) = p^g + (1-p)^g", wrong="(1-p)^g, all-right groups left out"
)
def _zero_std(size: Size) -> Evidence:
    evidence = Evidence([], [])
    for p, g in _CELLS:
        tally = _iid(size, p, g)
        right, wrong = theory.prob_zero_std(p, g), theory.prob_all_wrong(p, g)
        _count(evidence, f"p={p} g={g}", int(tally[0] + tally[-1]), tally, right, wrong)
    return evidence


@REGISTRY.register(
    "all-wrong", claim="P(K = 0) = (1-p)^g", wrong="exp(-g p), the Poisson approximation"
)
def _all_wrong(size: Size) -> Evidence:
    evidence = Evidence([], [])
    for p, g in _CELLS:
        tally = _iid(size, p, g)
        right = theory.prob_all_wrong(p, g)
        _count(evidence, f"p={p} g={g}", int(tally[0]), tally, right, math.exp(-g * p))
    return evidence


@REGISTRY.register(
    "variance", claim="E[K(g-K)/g^2] = p(1-p)(g-1)/g", wrong="p(1-p), the factor (g-1)/g left out"
)
def _variance(size: Size) -> Evidence:
    evidence = Evidence([], [])
    for p, g in _CELLS:
        law, right = theory.count_pmf(p, g), theory.expected_variance(p, g)
        _mean(evidence, f"p={p} g={g}", _iid(size, p, g), _spread(g), law, right, p * (1 - p))
    return evidence


@REGISTRY.register(
    "std", claim="E[sigma] = p(1-p) w_g(p)", wrong="sqrt(p(1-p)), the limit of large groups"
)
def _std(size: Size) -> Evidence:
    evidence = Evidence([], [])
    for p, g in _CELLS:
        law, right = theory.count_pmf(p, g), theory.expected_std(p, g)
        values = np.sqrt(_spread(g))
        wrong = math.sqrt(p * (1 - p))
        _mean(evidence, f"p={p} g={g}", _iid(size, p, g), values, law, right, wrong)
    return evidence


@REGISTRY.register("rate-given-mixed", claim="E[K/g | mixed] = (p - p^g)/(1 - d_g(p))", wrong="p")
def _rate_given_mixed(size: Size) -> Evidence:
    evidence = Evidence([], [])
    for p, g in _CELLS:
        if g == 2:  # a mixed pair has K = 1
            continue
        tally = _iid(size, p, g)[1:-1]
        law = theory.count_pmf(p, g)[1:-1]
        values = np.arange(1, g) / g
        right = theory.expected_rate_given_mixed(p, g)
        _mean(evidence, f"p={p} g={g}", tally, values, law / law.sum(), right, p)
    return evidence


@REGISTRY.register(
    "correlated-zero-std",
    claim="P(zero std) of each correlated model",
    wrong="the binomial with the same mean",
)
def _correlated(size: Size) -> Evidence:
    evidence = Evidence([], [])
    for cell in cells(size):
        g = cell.group_size
        tally = _correlated_tally(size, cell)
        right, wrong = cell.law.prob_zero_std(g), theory.prob_zero_std(cell.mean, g)
        _count(evidence, cell.label, int(tally[0] + tally[-1]), tally, right, wrong)
    return evidence


@REGISTRY.register(
    "correlated-variance",
    claim="E[K(g-K)/g^2] = m(1-m)(1-rho)(g-1)/g for every model",
    wrong="m(1-m)(g-1)/g, rho left out",
)
def _correlated_variance(size: Size) -> Evidence:
    evidence = Evidence([], [])
    for cell in cells(size):
        g = cell.group_size
        tally = _correlated_tally(size, cell)
        right = theory.expected_variance(cell.mean, g, rho=cell.rho)
        wrong = theory.expected_variance(cell.mean, g)
        _mean(evidence, cell.label, tally, _spread(g), cell.law.pmf(g), right, wrong)
    return evidence


@REGISTRY.register(
    "structured",
    claim="P(K = k) for shared prefixes, a finite pool and antithetic pairs",
    wrong="the binomial with the same mean",
)
def _structured(size: Size) -> Evidence:
    evidence = Evidence([], [])
    models: list[Any] = [
        theory.SharedPrefix(mean=0.3, branch_rho=0.4, branches=2),
        theory.WithoutReplacement(pool=12, num_correct=5),
        theory.Antithetic(mean=0.2),
    ]
    for model in models:
        g = 8
        tally = _play(size, model, g, type(model).__name__)
        right, wrong = model.pmf(g), theory.count_pmf(model.mean, g)
        for k in range(g + 1):
            label = f"{type(model).__name__} K={k}"
            _count(evidence, label, int(tally[k]), tally, right[k], wrong[k])
    return evidence


@REGISTRY.register(
    "unequal-p",
    claim="members with chances p_i: P(zero std) = prod p_i + prod q_i, and the variance",
    wrong="the binomial at the mean of the p_i",
)
def _unequal(size: Size) -> Evidence:
    evidence = Evidence([], [])
    for p in ((0.05, 0.6), (0.1, 0.1, 0.4, 0.9), tuple(np.linspace(0.02, 0.5, 8))):
        g, mean = len(p), float(np.mean(p))
        reward = draw_members(p, num_groups=size.groups, seed=size.cell_seed(*p))
        tally = np.bincount(reward.sum(axis=1), minlength=g + 1)
        label = f"g={g} mean={mean:.2g}"
        right, wrong = theory.unequal_zero_std(p), theory.prob_zero_std(mean, g)
        _count(evidence, label, int(tally[0] + tally[-1]), tally, right, wrong)
        spread, flat = theory.unequal_variance(p), theory.expected_variance(mean, g)
        law = theory.unequal_count_pmf(p)
        _mean(evidence, f"variance {label}", tally, _spread(g), law, spread, flat)
    return evidence


@REGISTRY.register(
    "rare-modes",
    claim="a mixed group without a mode of chance tau: (1-tau)^g - (1-p)^g - (p-tau)^g",
    wrong="(1-tau)^g P(mixed), the two events taken for independent",
)
def _rare_modes(size: Size) -> Evidence:
    evidence = Evidence([], [])
    for p, mode in ((0.3, 0.05), (0.1, 0.01), (0.8, 0.3)):
        for g in (4, 8, 32):
            rng = np.random.default_rng(size.cell_seed(p, mode, g))
            drawn = rng.multinomial(g, [mode, p - mode, 1 - p], size=min(size.groups, 2_000_000))
            correct = g - drawn[:, 2]
            missed = (drawn[:, 0] == 0) & (correct > 0) & (correct < g)
            tally = np.array([int(np.sum(~missed)), int(np.sum(missed))])
            right = theory.prob_mode_missed(p, mode, g)
            wrong = theory.prob_mixed(p, g) * (1 - mode) ** g
            _count(evidence, f"p={p} tau={mode} g={g}", int(tally[1]), tally, right, wrong)
    return evidence


@REGISTRY.register(
    "cover",
    claim="P(K > j) is the mean of Cover@tau under Beta(j+1, g-j), for sampled prompts",
    wrong="the mean under Beta(g-j, j+1), right and wrong exchanged",
)
def _cover(size: Size) -> Evidence:
    evidence = Evidence([], [])
    g, cells = 8, 20_000
    tau = np.arange(1, cells + 1) / cells
    for name in ("beta-binomial", "probit", "shock"):
        law = theory.MODELS[name](mean=0.2, rho=0.3)
        tally = _play(size, law, g, name)
        curve = law.cover(tau - 0.5 / cells)
        above = theory.count_survival(tau, curve, group_size=g)
        mirrored = theory.count_survival(tau, 1.0 - curve[::-1], group_size=g)
        for j in range(0, g, 2):
            successes = int(tally[j + 1 :].sum())
            _count(evidence, f"{name} K>{j}", successes, tally, above[j], mirrored[j])
    return evidence


@REGISTRY.register(
    "thinning",
    claim="E[(C(c,g) + C(n-c,g))/C(n,g)] = P(zero std) at g < n, for any law of c",
    wrong="(c/n)^g + (1-c/n)^g, the plug-in",
)
def _thinning(size: Size) -> Evidence:
    evidence = Evidence([], [])
    for model, n in ((theory.BetaBinomial(mean=0.151, rho=0.2), 16), (0.2, 16)):
        for g in (4, 8):
            label = f"{type(model).__name__} n={n} g={g}"
            tally = _play(size, model, n, label)
            law = theory.count_pmf(model, n) if isinstance(model, float) else model.pmf(n)
            target = (
                theory.prob_zero_std(model, g)
                if isinstance(model, float)
                else model.prob_zero_std(g)
            )
            c = np.arange(n + 1)
            thinned = theory.thin_zero_std(n, c, g)
            plug_in = theory.prob_zero_std(c / n, g)
            _against(evidence, label, tally, thinned, plug_in, law, target)
    return evidence


@REGISTRY.register(
    "pass-at-k",
    claim="E[1 - C(n-c,k)/C(n,k)] = 1 - (1-p)^k",
    wrong="1 - (1-c/n)^k, the plug-in",
)
def _pass_at_k(size: Size) -> Evidence:
    evidence = Evidence([], [])
    n = 20
    for p, k in ((0.05, 10), (0.3, 5), (0.01, 20)):
        tally = _iid(size, p, n)
        c = np.arange(n + 1)
        right, plug_in = theory.pass_at_k(n, c, k), 1 - (1 - c / n) ** k
        target = theory.expected_pass_at_k(p, k)
        law = theory.count_pmf(p, n)
        _against(evidence, f"p={p} n={n} k={k}", tally, right, plug_in, law, target)
    return evidence


@REGISTRY.register(
    "prompt-spread",
    claim="groups of one prompt: cov(K_1/g, K_2/g) = rho m(1-m) over prompts, 0 given the prompt",
    wrong="0 over prompts: groups of one prompt as if of different prompts",
)
def _prompt_spread(size: Size) -> Evidence:
    evidence = Evidence([], [])
    mean, rho, g = 0.3, 0.2, 8
    prompts = max(1000, size.groups // 2)
    counts = draw_groups(
        theory.BetaBinomial(mean=mean, rho=rho),
        group_size=g,
        num_groups=2 * prompts,
        groups_per_prompt=2,
        seed=size.cell_seed("prompt-spread"),
    )
    first, second = (counts.num_correct.reshape(-1, 2) / g - mean).T
    product = first * second
    error = float(product.std() / math.sqrt(prompts))
    shared = rho * mean * (1 - mean)
    add_both(evidence, f"m={mean} rho={rho} g={g}", float(product.mean()), shared, 0.0, error)
    return evidence


def _iid(size: Size, p: float, group_size: int) -> IntArray:
    """Tally of independent groups."""
    return _play(size, p, group_size, p)


def _correlated_tally(size: Size, cell: Cell) -> IntArray:
    return _play(size, cell.law, cell.group_size, cell.name, cell.mean, cell.rho)


def _play(size: Size, model: Any, group_size: int, *cell: object) -> IntArray:
    seed = size.cell_seed(*cell, group_size)
    return tally_groups(model, group_size=group_size, num_groups=size.groups, seed=seed)


def _spread(group_size: int) -> FloatArray:
    """K(g-K)/g^2 for K = 0..g."""
    k = np.arange(group_size + 1)
    spread: FloatArray = k * (group_size - k) / group_size**2
    return spread


def _count(
    evidence: Evidence, name: str, successes: int, tally: IntArray, right: Any, wrong: Any
) -> None:
    """Tests of a share of groups; a chance that rounding takes above 1 is 1."""
    chances = min(1.0, float(right)), min(1.0, float(wrong))
    add_counts(evidence, name, successes, int(tally.sum()), *chances)


def _mean(
    evidence: Evidence,
    name: str,
    tally: IntArray,
    values: FloatArray,
    law: FloatArray,
    right: Any,
    wrong: Any,
) -> None:
    """z-tests of the mean of values[K]; the standard error follows from the law of K."""
    observed, error = _summary(tally, values, law)
    add_both(evidence, name, observed, float(right), float(wrong), error)


def _against(
    evidence: Evidence,
    name: str,
    tally: IntArray,
    right: FloatArray,
    wrong: FloatArray,
    law: FloatArray,
    target: Any,
) -> None:
    """z-tests of two estimators, both functions of K, against one target."""
    for values, into in ((right, evidence.checks), (wrong, evidence.controls)):
        observed, error = _summary(tally, values, law)
        into.append(
            Check.from_z(
                name,
                observed=observed,
                predicted=float(target),
                stderr=error,
                reference="derived here",
            )
        )


def _summary(tally: IntArray, values: FloatArray, law: FloatArray) -> tuple[float, float]:
    """Mean of values[K] over the simulated groups, and its standard error under the law of K."""
    number = int(tally.sum())
    centre = float(law @ values)
    variance = float(law @ (values - centre) ** 2)
    return float(tally @ values) / number, math.sqrt(variance / number)

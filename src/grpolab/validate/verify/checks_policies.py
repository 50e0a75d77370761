"""Checks of the formulas for policies with many responses: simulated tables against theory."""

from __future__ import annotations

import math

import numpy as np

from grpolab import theory
from grpolab.simulate import (
    Options,
    SoftmaxTrajectory,
    simulate_bernoulli,
    simulate_prefix,
    simulate_softmax,
)
from grpolab.simulate.softmax import softmax
from grpolab.theory.groups import FloatArray
from grpolab.validate.verify.registry import REGISTRY, Check, Evidence, Size, add_both, add_counts

_LOGITS = np.array([0.5, 0.0, -1.0, 0.3, 1.2])
_RIGHT = np.array([True, True, False, False, False])
# two tokens: success has chance 0.1 after token 0 and 0.9 after token 1
_TOKENS = np.log([[0.5, 0.5], [0.1, 0.9], [0.1, 0.9]])
_RIGHT_TOKENS = np.array([True, False, False, True])


@REGISTRY.register(
    "softmax-step",
    claim="E[d theta_y] = eta w(p) pi_y (1{y correct} - p)",
    wrong="w = 1, the weight of RLOO, for GRPO",
)
def _softmax_step(size: Size) -> Evidence:
    evidence = Evidence([], [])
    rate = 0.3
    run = _play(size, "softmax-step", rate=rate)
    moved = run.state.logits[:, 0] - _LOGITS
    chance = softmax(_LOGITS)
    p = float(chance[_RIGHT].sum())
    right = rate * theory.expected_logit_step(theory.GRPO, chance, correct=_RIGHT, group_size=8)
    unweighted = rate * chance * (_RIGHT - p)
    for y in range(len(_LOGITS)):
        error = float(moved[:, y].std()) / math.sqrt(len(moved))
        seen = float(moved[:, y].mean())
        add_both(evidence, f"response {y}", seen, float(right[y]), float(unweighted[y]), error)
    return evidence


@REGISTRY.register(
    "duplicates",
    claim="P(two rollouts equal) = sum_y pi_y^2, and they leave K binomial",
    wrong="1/V, as if the responses were equally likely",
)
def _duplicates(size: Size) -> Evidence:
    evidence = Evidence([], [])
    run = _play(size, "duplicates", rate=0.0)
    chance = softmax(_LOGITS)
    square, cube = float(chance @ chance), float(chance @ chance**2)
    pairs = 28
    # variance of the share of equal pairs: pairs that share a rollout are correlated
    variance = (square * (1 - square) + 12 * (cube - square**2)) / pairs
    error = math.sqrt(variance / size.chains)
    seen = float(run.frac_equal_pairs[0])
    add_both(evidence, "g=8", seen, square, 1 / len(chance), error)
    p = float(chance[_RIGHT].sum())
    d = float(theory.prob_zero_std(p, 8))
    error = math.sqrt(d * (1 - d) / size.chains)
    wrong = d + (1 - d) * square**7  # all eight equal, counted once more
    add_both(evidence, "zero std g=8", float(run.frac_zero_std[0]), d, wrong, error)
    return evidence


@REGISTRY.register(
    "mode-collapse",
    claim="Dirichlet-process policies: groups are beta-binomial with rho = 1/(1 + alpha)",
    wrong="the binomial with the same mean, entropy left out",
)
def _mode_collapse(size: Size) -> Evidence:
    evidence = Evidence([], [])
    mean = 0.2
    for alpha in (0.5, 4.0):
        rng = np.random.default_rng(size.cell_seed("mode-collapse", alpha))
        policies = min(max(2000, size.chains // 8), 1 << 15)
        chance = _stick_breaking(alpha, policies, rng)
        right = rng.random(chance.shape) < mean
        run = simulate_softmax(
            np.log(np.maximum(chance, 1e-300))[:, None], right[:, None], group_size=8,
            learning_rate=0.0, num_steps=1, seed=size.cell_seed("groups", alpha),
        )  # fmt: skip
        law = theory.BetaBinomial(mean=mean, rho=float(theory.rho_from_concentration(alpha)))
        chances = float(law.prob_zero_std(8)), float(theory.prob_zero_std(mean, 8))
        same = round(float(run.frac_zero_std[0]) * policies)
        add_counts(evidence, f"zero std alpha={alpha}", same, policies, *chances)
        error = float(theory.entropy(chance).std()) / math.sqrt(policies)
        expected = float(theory.expected_entropy(alpha))
        seen = float(run.mean_entropy[0])
        add_both(evidence, f"entropy alpha={alpha}", seen, expected, math.log(1 + alpha), error)
    return evidence


@REGISTRY.register(
    "monotone",
    claim="a logit per response, advantages that sum to zero, on policy: no group lowers p",
    wrong="the same with ten inner epochs of PPO, or with a logit per prefix of tokens",
)
def _monotone(size: Size) -> Evidence:
    evidence = Evidence([], [])
    logits, right = np.linspace(-1, 1, 20), np.arange(20) % 2 == 0
    for options, into in (
        (Options(), evidence.checks),
        (Options(optimiser="adam"), evidence.checks),
        (Options(inner_epochs=10), evidence.controls),
    ):
        run = simulate_softmax(
            logits, right, group_size=4, learning_rate=1.0, num_steps=10, snapshot_every=1,
            options=options, num_models=min(2000, size.chains),
            seed=size.cell_seed(options.optimiser, options.inner_epochs),
        )  # fmt: skip
        falls = float(np.diff(run.snapshot_p, axis=0).min())
        into.append(
            Check.from_z(
                f"{options.optimiser}, {options.inner_epochs} epochs",
                observed=min(0.0, falls),
                predicted=0.0,
                stderr=1e-12,  # rounding of p
                reference="derived here",
            )
        )
    tokens = simulate_prefix(
        _TOKENS, _RIGHT_TOKENS, group_size=4, learning_rate=1.0, num_steps=10, snapshot_every=1,
        num_models=min(2000, size.chains), seed=size.cell_seed("prefix"),
    )  # fmt: skip
    falls = float(np.diff(tokens.snapshot_p, axis=0).min())
    evidence.controls.append(
        Check.from_z(
            "logits per prefix",
            observed=min(0.0, falls),
            predicted=0.0,
            stderr=1e-12,
            reference="derived here",
        )
    )
    return evidence


@REGISTRY.register(
    "expected-gain",
    claim="E[dp] = eta w(p) |grad p|^2 to first order, for a policy over tokens, too",
    wrong="eta p(1-p) w(p), one logit for all of the policy, times its slope p(1-p)",
)
def _expected_gain(size: Size) -> Evidence:
    evidence = Evidence([], [])
    rate = 1e-3
    p = float(theory.success_rate(theory.response_probs(_TOKENS), _RIGHT_TOKENS))
    square = float(np.sum(theory.success_gradient(_TOKENS, correct=_RIGHT_TOKENS) ** 2))
    for rule in (theory.GRPO, theory.RLOO, theory.MAXRL):
        for g in (2, 8):
            run = simulate_prefix(
                _TOKENS, _RIGHT_TOKENS, group_size=g, learning_rate=rate, rule=rule, num_steps=1,
                num_models=min(4 * size.chains, 1 << 18), seed=size.cell_seed(rule.name, g),
            )  # fmt: skip
            moves = run.state.p - p
            update = float(theory.expected_update(rule, p, group_size=g))
            error = math.hypot(float(moves.std()) / math.sqrt(len(moves)), rate**2)  # second order
            right, wrong = rate * update * square, rate * update * (p * (1 - p)) ** 2
            add_both(evidence, f"{rule.name} g={g}", float(moves.mean()), right, wrong, error)
    return evidence


@REGISTRY.register(
    "trap",
    claim="a push `load` balances the drift at p_c, p q w(p_c) = load",
    wrong="p_c falls like 1/g, as p* does",
)
def _trap(size: Size) -> Evidence:
    evidence = Evidence([], [])
    load = 0.02
    for rule in (theory.GRPO, theory.DR_GRPO):
        base = float(theory.interference_threshold(rule, load, group_size=4))
        for g in (8, 64):
            exact = float(theory.interference_threshold(rule, load, group_size=g))
            for p, into in ((exact, evidence.checks), (base * 4 / g, evidence.controls)):
                run = simulate_bernoulli(
                    p, group_size=g, learning_rate=1.0, rule=rule, num_steps=1,
                    num_chains=4 * size.chains, options=Options(pressure=-load),
                    seed=size.cell_seed(rule.name, g, p),
                )  # fmt: skip
                moved = float(np.mean(run.state.logit)) - math.log(p / (1 - p))
                variance = float(theory.one_step(rule, p, group_size=g).variance)
                into.append(
                    Check.from_z(
                        f"{rule.name} g={g}",
                        observed=moved,
                        predicted=0.0,
                        stderr=math.sqrt(variance / run.num_chains),
                        reference="derived here",
                    )
                )
    return evidence


def _play(size: Size, cell: str, *, rate: float) -> SoftmaxTrajectory:
    return simulate_softmax(
        _LOGITS, _RIGHT, group_size=8, learning_rate=rate, num_steps=1,
        num_models=size.chains, seed=size.cell_seed(cell),
    )  # fmt: skip


def _stick_breaking(alpha: float, policies: int, rng: np.random.Generator) -> FloatArray:
    """Weights of Dirichlet-process draws, [policies, sticks]; less than 1e-12 is left over."""
    sticks = math.ceil(math.log(1e-12) / math.log(alpha / (1 + alpha))) + 10
    cut = rng.beta(1.0, alpha, (policies, sticks))
    left = np.cumprod(1 - cut, axis=1)
    weights = cut.copy()
    weights[:, 1:] *= left[:, :-1]
    total: FloatArray = weights / weights.sum(axis=1, keepdims=True)
    return total

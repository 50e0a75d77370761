"""Every argument of every public function, given what it is not: an error that names it, no number.

One valid call of each; each argument in turn is replaced. What a test of one function would find is
here found for all of them, those of tomorrow included: a name without a call here fails.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from grpolab import theory

LAW = theory.BetaBinomial(mean=0.3, rho=0.2)
POLICY, MARK = [0.2, 0.3, 0.5], [True, False, False]
PREFIXES, ENDS = [[0.0, 0.0]] * 3, [True, False, False, True]
GRADED = theory.reward_law([0, 1], [0.5, 0.5])
RULE = {"rule": theory.GRPO}
P_AND_G = {"p": 0.3, "group_size": 8}
GRADER = {"true_positive": 0.9, "false_positive": 0.1}
COUNTS = {"num_samples": 10, "num_correct": 3}
CURVE = {"tau": [0.5, 1.0], "cover": [1.0, 0.2]}
MODE = {"p": 0.3, "mode": 0.1}
CHAIN = {"group_size": 4, "learning_rate": 0.1}

CALLS: dict[str, dict[str, Any]] = {
    "adam_rare_gain": {"beta1": 0.9, "beta2": 0.999},
    "allocate": {"value": [[0, 0, 0.5, 0.75]] * 2, "budget": 5, "least": 0},
    "arcsine_weight": {"p": 0.3},
    "batch_std": {"law": LAW, "group_size": 8},
    "best_group_size": {"law": LAW, "sizes": [2, 4], "criterion": "mixed"},
    "chain_law": RULE | CHAIN | {"p0": 0.3, "steps": 3, "prune": 0.0},
    "collision_rho": {"weights": POLICY},
    "concentration_from_entropy": {"entropy": 1.0},
    "contrast_coefficient": RULE | {"num_correct": 3, "group_size": 8},
    "count_pmf": P_AND_G,
    "count_survival": CURVE | {"group_size": 4},
    "cover_kernel": {"tau": 0.3, "values": [0.0, 1.0, 1.0]},
    "critical_p": {"group_size": 8, "rho": 0.1, "model": "copy", "event": "identical", "frac": 0.5},
    "critical_p_band": {"group_size": 4, "rho": 0.0, "frac": 0.5},
    "critical_p_upper": {"group_size": 8, "rho": 0.1, "model": "copy", "frac": 0.5},
    "critical_rho": {"group_size": 8, "model": "copy", "frac": 0.5},
    "cut_drift": RULE | P_AND_G | {"cut_right": 0.2, "cut_wrong": 0.3, "masked": True},
    "decay_equilibria": RULE | {"group_size": 8, "weight_decay": 0.1, "p_prior": 0.01},
    "dynamic_sampling": {"batch_size": 64, "prob_zero_std": 0.5},
    "entropy": {"policy": POLICY},
    "entropy_drift": {"policy": POLICY, "step": [1.0, 0.0, 0.0]},
    "entropy_fit": {"entropy": [1.0, 2, 3, 4], "reward": [1.0, 0.9, 0.8, 0.7]},
    "entropy_from_rho": {"rho": 0.5},
    "escape_time": RULE | {"p0": 0.02, "stop": 0.5} | CHAIN,
    "escape_time_small_p": {"p0": 0.01, "scaled": True} | CHAIN,
    "expected_distinct": {"alpha": 2.0, "group_size": 8},
    "expected_drift": RULE | P_AND_G,
    "expected_entropy": {"alpha": 2.0},
    "expected_from_cover": CURVE | {"values": [0.0, 1.0, 1.0]},
    "expected_gain": RULE | P_AND_G | {"squared_gradient": 0.1},
    "expected_groups_until_mixed": P_AND_G,
    "expected_hitting_time": RULE | CHAIN | {"p0": 0.3, "stop": 0.5, "bins": 50},
    "expected_logit_step": RULE | {"policy": POLICY, "correct": MARK, "group_size": 4},
    "expected_objective": RULE | P_AND_G,
    "expected_pass_at_k": {"p": 0.3, "k": 8},
    "expected_rate_given_mixed": P_AND_G,
    "expected_rollouts_until_mixed": {"p": 0.3},
    "expected_squared_advantage": P_AND_G | {"ddof": 0},
    "expected_std": P_AND_G | {"ddof": 0},
    "expected_update": RULE | P_AND_G,
    "expected_variance": P_AND_G | {"rho": 0.1, "ddof": 0},
    "flow": {"logit": 0.0, "time": 1.0, "rule": "grpo", "natural": False},
    "gain_of_one_more": {"p": 0.3, "num_rollouts": 4},
    "graded_std": {"law": GRADED, "group_size": 4},
    "graded_variance": {"law": GRADED, "group_size": 4},
    "graded_zero_std": {"law": GRADED, "group_size": 4},
    "gradient_mass": RULE | P_AND_G,
    "group_size_for": {"frac_mixed": 0.5, "mean": 0.3, "rho": 0.1, "model": "copy", "largest": 99},
    "group_update": RULE
    | {"logits": [0.0, 1, 2], "correct": MARK, "responses": [0, 1], "learning_rate": 0.1},
    "hitting_time_small_p": RULE | CHAIN | {"p0": 0.001},
    "interference_threshold": RULE | {"load": 0.02, "group_size": 8},
    "k3_fixed_point": RULE | {"p_ref": 0.01, "beta": 1.0, "group_size": 8},
    "kl_fixed_points": RULE | {"p_ref": 0.01, "beta": 1.0, "group_size": 8},
    "kl_fixed_points_limit": {"p_ref": 0.01, "beta": 1.0, "eps": 1e-6},
    "kl_gain_ceiling": RULE | {"group_size": 8, "beta": 1.0},
    "kl_step": RULE | P_AND_G | {"p_ref": 0.01, "beta": 1.0, "mirror": False},
    "mixed_table": {"p": 0.3, "most": 8},
    "mode_share_of_signal": MODE | {"group_size": 8},
    "most_missed_group_size": MODE,
    "never_falls": RULE | {"group_size": 8},
    "noisy_drift": RULE | P_AND_G | GRADER,
    "one_step": RULE | P_AND_G,
    "pass_at_k": COUNTS | {"k": 4},
    "pass_at_k_tail": {"a": 1.0, "b": 1.0, "k": 100},
    "pass_at_k_variance": {"law": LAW, "num_samples": 10, "k": 4},
    "prefix_update": RULE
    | {"logits": PREFIXES, "correct": ENDS, "responses": [0, 2], "learning_rate": 0.1},
    "prob_all_right": P_AND_G,
    "prob_all_wrong": P_AND_G,
    "prob_mixed": P_AND_G,
    "prob_mode_missed": MODE | {"group_size": 8},
    "prob_mode_seen": MODE | {"group_size": 8},
    "prob_zero_std": P_AND_G,
    "response_probs": {"logits": PREFIXES},
    "reward_law": {"value": [0.0, 1.0], "prob": [0.5, 0.5]},
    "rho_from_concentration": {"alpha": 2.0},
    "rho_from_entropy": {"entropy": 1.0},
    "sandwich": {"mean": 0.3, "group_size": 8, "rho": 0.1},
    "seen_rate": {"p": 0.3} | GRADER,
    "seen_rho": {"mean": 0.3, "rho": 0.2} | GRADER,
    "signal_per_rollout": {"law": LAW, "group_size": 8, "criterion": "mixed"},
    "snr": P_AND_G,
    "stale_drift": RULE | {"p": 0.3, "behaviour": [0.2, 0.3], "importance": True},
    "step_noise": RULE | P_AND_G | GRADER,
    "success_gradient": {"logits": PREFIXES, "correct": ENDS},
    "success_rate": {"policy": POLICY, "correct": MARK},
    "thin_all_right": COUNTS | {"group_size": 4},
    "thin_all_wrong": COUNTS | {"group_size": 4},
    "thin_pq": COUNTS,
    "thin_std": COUNTS | {"group_size": 4},
    "thin_zero_std": COUNTS | {"group_size": 4},
    "tilt": {"policy": POLICY, "correct": MARK, "gain": 1.0},
    "true_rate": {"seen": 0.3} | GRADER,
    "unequal_count_pmf": {"p": [0.3, 0.4]},
    "unequal_variance": {"p": [0.3, 0.4]},
    "unequal_zero_std": {"p": [0.3, 0.4]},
    "unique_beta": RULE | {"group_size": 8},
    "update_weight": P_AND_G | {"ddof": 0},
    "variance_of_variance": P_AND_G | {"ddof": 0},
    "zero_std_band": {"group_size": 4, "mean": 0.3, "rho": 0.1, "kind": "mixture"},
    "zero_std_band_from_counts": {
        "group_size": 4, "count_pmf": [0.25, 0.5, 0.25], "tolerance": 1e-7
    },
    **{name: {"mean": 0.3, "rho": 0.2} for name in (
        "BetaBinomial", "CopyAll", "CommonSource", "FailureShock", "OneFactorProbit")},
    "SharedPrefix": {"mean": 0.3, "branch_rho": 0.1, "branches": 2},
    "WithoutReplacement": {"pool": 8, "num_correct": 3},
    "Antithetic": {"mean": 0.3},
    "RateLaw": {"rate": [0.1, 0.2], "weight": [0.5, 0.5]},
    "Asymmetric": RULE | {"positive": 1.0, "negative": 0.5},
    "Focal": RULE | {"gamma": 1.0},
    "ZeroVariance": RULE | {"right": 0.1, "wrong": 0.1},
    "BatchStd": {"std": 0.4},
    "PassAtKGradient": {"k": 4, "centred": False},
    "PassAtKTraining": {"k": 4},
    "AdvantageRule": {"name": "x", "baseline": "mean", "scale": "std", "ddof": 0, "eps": 0.0},
}  # fmt: skip
RESULTS = {"Advantages", "DynamicSampling", "EntropyFit", "GradientMass", "RewardLaw"}
ELSEWHERE = {"GroupCounts", "Provenance", "TwoValued", "rule_of", "sum_of_components"}
PAIRS = [(name, argument) for name, call in CALLS.items() for argument in call]
NEVER: dict[str, Any] = {
    "nan": float("nan"), "minus infinity": -np.inf, "complex": 1j, "nan in a list": [0.3, np.nan],
    "a word": "abc", "number as text": "0.3", "bytes": b"1", "a set": {1}, "an object": object(),
    "a date": np.datetime64("2020-01-01"), "a type": float, "uneven rows": [[0.3, 0.2], [0]],
    "a masked value": np.ma.masked_array([0.3, 0.2], mask=[False, True]),
}  # fmt: skip
FINE = {  # what is no mistake there
    ("AdvantageRule", "name"): {"a word", "number as text"},
    ("tilt", "gain"): {"minus infinity"},
}


def call(name: str, /, **more: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return getattr(theory, name)(**(CALLS[name] | more))


def test_every_public_function_has_a_call_here() -> None:
    names = {name for name in theory.__all__ if callable(getattr(theory, name))}
    assert names - RESULTS - ELSEWHERE == set(CALLS)
    for name, arguments in CALLS.items():
        known = set(inspect.signature(getattr(theory, name)).parameters)
        assert known - set(arguments) <= {"moments"}, name
        call(name)


def test_what_an_argument_is_not_is_an_error_that_names_it(each: Callable[..., None]) -> None:
    each(check_refusal, PAIRS)


def check_refusal(name: str, argument: str) -> None:
    for kind, bad in NEVER.items():
        if kind in FINE.get((name, argument), ()):
            continue
        with pytest.raises(ValueError) as caught:
            call(name, **{argument: bad})
        assert argument in str(caught.value), (kind, str(caught.value))


def test_sizes_beyond_memory_and_numbers_at_the_ends_of_a_double(each: Callable[..., None]) -> None:
    """A value or an error that names the argument: no MemoryError and no warning."""
    each(check_ends, PAIRS)


def check_ends(name: str, argument: str) -> None:
    if name == "chain_law" and argument == "steps":
        return  # as many as asked for, until there are too many states
    for number in (10**9, 10**30, 5e-324, 1e308):
        message = refusal(name, **{argument: number})
        assert message is None or argument in message or "group_size" in message, message


def refusal(name: str, /, **more: Any) -> str | None:
    try:
        call(name, **more)
    except ValueError as error:
        return str(error)
    return None


def same(one: Any, two: Any) -> bool:
    if isinstance(one, tuple):
        return all(same(a, b) for a, b in zip(one, two, strict=True))
    if isinstance(one, float | np.ndarray | np.number):
        a, b = np.asarray(one), np.asarray(two)
        return (
            a.dtype == b.dtype
            and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
            and (
                a.dtype.kind != "f" or np.array_equal(np.signbit(a[a == 0]), np.signbit(b[b == 0]))
            )
        )
    return bool(one == two)


def test_zero_has_no_sign_and_a_number_no_type(each: Callable[..., None]) -> None:
    """-0 is 0; integers, float32, lists, columns of a table: the value counts."""
    each(check_sameness, PAIRS)


def check_sameness(name: str, argument: str) -> None:
    value = CALLS[name][argument]
    message = refusal(name, **{argument: 0.0})
    assert (refusal(name, **{argument: -0.0}) is None) == (message is None)
    if message is None:
        assert same(call(name, **{argument: -0.0}), call(name, **{argument: 0.0}))
    number = isinstance(value, int | float) and not isinstance(value, bool)
    rows = isinstance(value, list) and not isinstance(np.ravel(value)[0], np.bool_)
    if not number and not rows:
        return
    array = np.asarray(value, dtype=np.float64)
    twice = np.stack([array, array], axis=-1)[..., 0][()]  # not contiguous
    single = np.float32(array)
    plain = call(name, **{argument: np.float64(single)[()]})
    assert same(call(name, **{argument: single}), plain)
    assert same(call(name, **{argument: twice}), call(name, **{argument: value}))


def test_names_of_rules_are_rules() -> None:
    for name, rule in theory.PRESETS.items():
        assert theory.expected_drift(name, 0.3, group_size=8) == theory.expected_drift(
            rule, 0.3, group_size=8
        )
    assert theory.Asymmetric("rloo") == theory.Asymmetric(theory.RLOO)
    with pytest.raises(ValueError, match="rule must be one of grpo, dr-grpo"):
        theory.expected_drift("gpro", 0.3, group_size=8)
    with pytest.raises(ValueError, match="rule must be one of"):
        theory.expected_drift(theory.AdvantageRule, 0.3, group_size=8)  # the class, not a rule


def test_counts_beyond_exact_doubles_are_refused() -> None:
    """At 1e30 samples n - 3 is n, and a share of 2 came out."""
    with pytest.raises(ValueError, match=r"num_samples must be at most 2\^53, got 1e\+30"):
        theory.thin_zero_std(10**30, 3, 4)

"""What every public function promises: plain numbers for numbers, errors that name the argument."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from grpolab import theory
from grpolab.theory import GRPO, AdvantageRule

POLICY, MARK = [0.5, 0.25, 0.25], [True, False, False]
TABLE = np.zeros((3, 2))
LAW = theory.BetaBinomial(mean=0.3, rho=0.2)
CALLS: dict[str, Any] = {
    "adam_rare_gain": lambda: theory.adam_rare_gain(),
    "arcsine_weight": lambda: theory.arcsine_weight(0.3),
    "best_group_size": lambda: theory.best_group_size(LAW, [2, 4]),
    "collision_rho": lambda: theory.collision_rho(POLICY),
    "concentration_from_entropy": lambda: theory.concentration_from_entropy(1.0),
    "contrast_coefficient": lambda: theory.contrast_coefficient(GRPO, 4, group_size=8),
    "critical_p": lambda: theory.critical_p(8),
    "critical_p_band": lambda: theory.critical_p_band(8, rho=0.1),
    "critical_p_upper": lambda: theory.critical_p_upper(8),
    "critical_rho": lambda: theory.critical_rho(8),
    "dynamic_sampling": lambda: theory.dynamic_sampling(64, prob_zero_std=0.5),
    "entropy": lambda: theory.entropy(POLICY),
    "entropy_drift": lambda: theory.entropy_drift(POLICY, [1.0, 0.0, 0.0]),
    "entropy_from_rho": lambda: theory.entropy_from_rho(0.5),
    "escape_time": lambda: theory.escape_time(GRPO, 0.1, 0.5, group_size=8, learning_rate=0.1),
    "escape_time_small_p": lambda: theory.escape_time_small_p(0.1, group_size=8, learning_rate=0.1),
    "expected_drift": lambda: theory.expected_drift(GRPO, 0.1, group_size=8),
    "expected_distinct": lambda: theory.expected_distinct(1.0, 8),
    "expected_entropy": lambda: theory.expected_entropy(1.0),
    "expected_gain": lambda: theory.expected_gain(GRPO, 0.1, squared_gradient=1.0, group_size=8),
    "expected_groups_until_mixed": lambda: theory.expected_groups_until_mixed(0.1, 8),
    "expected_hitting_time": lambda: theory.expected_hitting_time(
        GRPO, 0.1, stop=0.5, group_size=8, learning_rate=0.1
    ),
    "expected_objective": lambda: theory.expected_objective(GRPO, 0.1, group_size=8),
    "expected_pass_at_k": lambda: theory.expected_pass_at_k(0.1, 8),
    "expected_rate_given_mixed": lambda: theory.expected_rate_given_mixed(0.1, 8),
    "expected_rollouts_until_mixed": lambda: theory.expected_rollouts_until_mixed(0.1),
    "expected_squared_advantage": lambda: theory.expected_squared_advantage(0.1, 8),
    "expected_std": lambda: theory.expected_std(0.1, 8),
    "expected_update": lambda: theory.expected_update(GRPO, 0.1, group_size=8),
    "expected_variance": lambda: theory.expected_variance(0.1, 8),
    "flow": lambda: theory.flow(0.0, 1.0),
    "group_size_for": lambda: theory.group_size_for(0.5, mean=0.1),
    "hitting_time_small_p": lambda: theory.hitting_time_small_p(
        GRPO, 0.1, group_size=8, learning_rate=0.1
    ),
    "interference_threshold": lambda: theory.interference_threshold(GRPO, 0.02, group_size=8),
    "k3_fixed_point": lambda: theory.k3_fixed_point(GRPO, 0.1, beta=1.0, group_size=8),
    "kl_gain_ceiling": lambda: theory.kl_gain_ceiling(8, beta=1.0),
    "kl_step": lambda: theory.kl_step(GRPO, 0.1, p_ref=0.1, beta=1.0, group_size=8),
    "noisy_drift": lambda: theory.noisy_drift(GRPO, 0.1, group_size=8),
    "cut_drift": lambda: theory.cut_drift(GRPO, 0.1, group_size=8, cut_right=0.2),
    "pass_at_k": lambda: theory.pass_at_k(8, 2, 4),
    "pass_at_k_tail": lambda: theory.pass_at_k_tail(1.0, 1.0, k=8),
    "pass_at_k_variance": lambda: theory.pass_at_k_variance(LAW, num_samples=8, k=4),
    "prob_all_right": lambda: theory.prob_all_right(0.1, 8),
    "prob_all_wrong": lambda: theory.prob_all_wrong(0.1, 8),
    "prob_mixed": lambda: theory.prob_mixed(0.1, 8),
    "prob_zero_std": lambda: theory.prob_zero_std(0.1, 8),
    "rho_from_concentration": lambda: theory.rho_from_concentration(1.0),
    "rho_from_entropy": lambda: theory.rho_from_entropy(1.0),
    "sandwich": lambda: theory.sandwich(0.1, 8),
    "signal_per_rollout": lambda: theory.signal_per_rollout(LAW, 8),
    "snr": lambda: theory.snr(0.1, 8),
    "success_rate": lambda: theory.success_rate(POLICY, MARK),
    "thin_all_right": lambda: theory.thin_all_right(8, 2, 4),
    "thin_all_wrong": lambda: theory.thin_all_wrong(8, 2, 4),
    "thin_pq": lambda: theory.thin_pq(8, 2),
    "thin_std": lambda: theory.thin_std(8, 2, 4),
    "thin_zero_std": lambda: theory.thin_zero_std(8, 2, 4),
    "batch_std": lambda: theory.batch_std(LAW, 8),
    "entropy_fit": lambda: theory.entropy_fit([0.1, 0.2, 0.3, 0.4], [0.9, 0.8, 0.75, 0.6]),
    "gain_of_one_more": lambda: theory.gain_of_one_more(0.3, 2),
    "graded_std": lambda: theory.graded_std(theory.reward_law([0, 1], [0.5, 0.5]), 4),
    "graded_variance": lambda: theory.graded_variance(theory.reward_law([0, 1], [0.5, 0.5]), 4),
    "graded_zero_std": lambda: theory.graded_zero_std(theory.reward_law([0, 1], [0.5, 0.5]), 4),
    "gradient_mass": lambda: theory.gradient_mass(GRPO, 0.3, group_size=8),
    "cover_kernel": lambda: theory.cover_kernel(0.5, values=[0, 1, 1]),
    "expected_from_cover": lambda: theory.expected_from_cover([1.0], [0.5], values=[0, 1, 1]),
    "seen_rate": lambda: theory.seen_rate(0.3, false_positive=0.1),
    "seen_rho": lambda: theory.seen_rho(0.3, 0.2, false_positive=0.1),
    "true_rate": lambda: theory.true_rate(0.3, false_positive=0.1),
    "step_noise": lambda: theory.step_noise(GRPO, 0.3, group_size=8),
    "cover": lambda: LAW.cover(0.5),
    "stale_drift": lambda: theory.stale_drift(GRPO, 0.3, behaviour=[0.5, 0.5], importance=True),
    "unequal_variance": lambda: theory.unequal_variance([0.1, 0.5]),
    "unequal_zero_std": lambda: theory.unequal_zero_std([0.1, 0.5]),
    "prob_mode_missed": lambda: theory.prob_mode_missed(0.3, 0.1, 8),
    "prob_mode_seen": lambda: theory.prob_mode_seen(0.3, 0.1, 8),
    "mode_share_of_signal": lambda: theory.mode_share_of_signal(0.3, 0.1, 8),
    "most_missed_group_size": lambda: theory.most_missed_group_size(0.3, 0.1),
    "unique_beta": lambda: theory.unique_beta(GRPO, group_size=8),
    "update_weight": lambda: theory.update_weight(0.1, 8),
    "variance_of_variance": lambda: theory.variance_of_variance(0.1, 8),
    "zero_std_band": lambda: theory.zero_std_band(8, mean=0.3, rho=0.1),
    "zero_std_band_from_counts": lambda: theory.zero_std_band_from_counts(
        2, count_pmf=[0.25, 0.5, 0.25]
    ),
    "advantages": lambda: GRPO.advantages(2, 8),
    "one_step moments": lambda: theory.one_step(GRPO, 0.3, group_size=8)[2:],
    **{
        f"{name}.{part}": lambda at=at, part=part: getattr(at(mean=0.3, rho=0.2), part)
        for name, at in theory.MODELS.items()
        for part in ("mean", "rho")
    },
    **{
        f"{name}.{part}": lambda at=at, part=part: getattr(at(mean=0.3, rho=0.2), part)(8)
        for name, at in theory.MODELS.items()
        for part in ("prob_all_wrong", "prob_all_right", "prob_zero_std", "prob_some_right")
    },
    "shock": lambda: theory.FailureShock(mean=0.3, rho=0.2).shock,
    "share": lambda: theory.CommonSource(mean=0.3, rho=0.2).share,
    "latent": lambda: theory.OneFactorProbit(mean=0.3, rho=0.2).latent,
    "a": lambda: LAW.a,
    **{
        f"{type(law).__name__}.{part}": lambda law=law, part=part: getattr(law, part)(4)
        for law in (
            theory.Antithetic(mean=0.3),
            theory.SharedPrefix(mean=0.3, branch_rho=0.1, branches=2),
            theory.WithoutReplacement(pool=8, num_correct=2),
        )
        for part in ("prob_all_wrong", "prob_all_right", "prob_zero_std")
    },
    **{
        f"{type(rule).__name__}": lambda rule=rule: rule.advantages(2, 8)
        for rule in (theory.PassAtKGradient(2), theory.PassAtKTraining(2))
    },
}


@pytest.mark.parametrize("name", CALLS)
def test_numbers_give_numbers(name):
    """An array without axes is no number: it cannot be hashed and prints as array(0.3)."""
    value = CALLS[name]()
    for part in value if isinstance(value, tuple) else (value,):
        assert isinstance(part, float | np.float64), (name, type(part), part)


def test_every_scalar_function_is_in_the_list():
    shown = {name.split(".")[0].split(" ")[0] for name in CALLS}
    arrays = {"chain_law", "count_pmf", "decay_equilibria", "expected_logit_step", "group_update",
              "kl_fixed_points", "kl_fixed_points_limit", "never_falls", "one_step",
              "prefix_update", "response_probs", "success_gradient", "tilt",
              "unequal_count_pmf", "count_survival", "allocate", "mixed_table", "reward_law",
              "rule_of", "sum_of_components"}  # fmt: skip
    functions = {n for n in theory.__all__ if callable(getattr(theory, n)) and n[0].islower()}
    assert functions - shown - arrays == set()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: AdvantageRule("x", baseline="median"), "baseline must be one of mean, leave-one"),
        (lambda: AdvantageRule("x", scale="mad"), "scale must be one of none, std"),
        (lambda: AdvantageRule("x", ddof=2), r"ddof must lie in \[0, 1\]"),
        (lambda: AdvantageRule("x", ddof=0.5), "ddof must be a whole number"),
        (lambda: AdvantageRule("x", eps=-1e-6), "eps must lie in"),
        (lambda: AdvantageRule("x", eps=float("nan")), "eps must lie in"),
        (lambda: GRPO.advantages(float("nan"), 8), "num_correct must lie in"),
        (lambda: GRPO.advantages([1, float("nan")], 8), "num_correct must lie in"),
        (lambda: GRPO.advantages(2, float("nan")), "num_correct must lie in"),
        (lambda: GRPO.advantages(2.5, 8), "must be whole numbers"),
        (lambda: GRPO.advantages(2, 8.5), "must be whole numbers"),
        (lambda: GRPO.advantages("two", 8), "num_correct must be a number"),
        (lambda: theory.GroupCounts([float("nan"), 1], 8), "num_correct must hold whole numbers"),
        (lambda: theory.pass_at_k(8, float("nan"), 2), "num_correct must be a whole number"),
        (lambda: theory.thin_zero_std(8.5, 2, 4), "num_samples must be a whole number"),
        (lambda: theory.tilt(POLICY, [1, 0, 0], gain=1.0), "correct must be 3 booleans"),
        (lambda: theory.tilt(POLICY, [0.9, 0.1, 0.2], gain=1.0), "correct must be 3 booleans"),
        (lambda: theory.tilt(POLICY, [True, False], gain=1.0), "correct must be 3 booleans"),
        (lambda: theory.tilt(POLICY, ["a", "b", "c"], gain=1.0), "correct must be 3 booleans"),
        (lambda: theory.tilt([0.5, 0.2], MARK[:2], gain=1.0), "policy must sum to 1, got 0.7"),
        (lambda: theory.tilt(POLICY, MARK, gain=float("nan")), "gain must lie in"),
        (lambda: theory.tilt(POLICY, MARK, gain=[1.0, 2.0]), "gain must be a single number"),
        (lambda: theory.success_rate(POLICY, [1, 0, 0]), "correct must be 3 booleans"),
        (
            lambda: theory.group_update(
                GRPO, [0.0, 0.0], correct=[True, False], responses=[0.5], learning_rate=1.0
            ),
            "responses must be indices",
        ),
        (
            lambda: theory.prefix_update(
                GRPO, TABLE, correct=[True, False], responses=[0], learning_rate=1.0
            ),
            "correct must be 4 booleans",
        ),
        (lambda: theory.response_probs(np.zeros((4, 2))), r"logits must be \[\(V\^L - 1\)"),
        (
            lambda: theory.escape_time(GRPO, 0.1, 0.5, group_size=8, learning_rate=[0.1, 0.2]),
            r"learning_rate must be a single number, got shape \[2\]",
        ),
        (
            lambda: theory.chain_law(GRPO, [0.1, 0.2], group_size=4, learning_rate=1.0, steps=1),
            "p0 must be a single number",
        ),
        (
            lambda: theory.chain_law(GRPO, 0.1, group_size=4.5, learning_rate=1.0, steps=1),
            "group_size must be a whole number",
        ),
        (
            lambda: theory.kl_fixed_points(GRPO, [0.1, 0.2], beta=1.0, group_size=8),
            "p_ref must be a single number",
        ),
        (lambda: theory.zero_std_band(8, mean=[0.1, 0.2], rho=0.1), "mean must be a single"),
        (lambda: theory.critical_p_band(8, rho=[0.1, 0.2]), "rho must be a single number"),
        (lambda: theory.critical_p_band(8, rho=float("nan")), "rho must lie in"),
        (lambda: theory.Antithetic(mean=[0.1, 0.2]), "mean must be a single number"),
        (lambda: theory.SharedPrefix(mean=0.1, branch_rho=0.1, branches=2.5), "branches must be"),
        (lambda: theory.WithoutReplacement(pool=[8, 9], num_correct=1), "pool must be a single"),
        (lambda: theory.WithoutReplacement(pool=8, num_correct=9), "num_correct must lie in"),
        (lambda: theory.PassAtKGradient(2.5), "k must be a whole number"),
        (lambda: theory.PassAtKGradient([2, 3]), "k must be a single whole number"),
        (lambda: theory.critical_p(8, model=theory.GroupCounts), "model must be a subclass"),
    ],
)  # fmt: skip
def test_what_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_chain_with_too_many_states_is_refused(monkeypatch):
    monkeypatch.setattr("grpolab.theory.escape._MOST_CELLS", 3_000)
    with pytest.raises(ValueError, match=r"steps must be at most \d+ here, got 200: the chain"):
        theory.chain_law(GRPO, 0.3, group_size=16, learning_rate=0.1, steps=200)
    pruned = theory.chain_law(GRPO, 0.3, group_size=16, learning_rate=0.1, steps=4, prune=1e-3)
    assert 0 < pruned.lost < 0.5


def test_whole_numbers_may_be_floats():
    assert theory.SharedPrefix(mean=0.5, branch_rho=0.5, branches=2.0).pmf(4.0).sum() == (
        pytest.approx(1.0)
    )
    assert theory.WithoutReplacement(pool=8.0, num_correct=4.0).pmf(4).shape == (5,)
    assert theory.PassAtKGradient(2.0) == theory.PassAtKGradient(2)
    assert theory.tilt(POLICY, np.array(MARK), gain=-np.inf)[0] == 0.0


def test_a_drift_that_turns_has_no_escape_time():
    class Turns:
        def advantages(self, num_correct, group_size):
            rate = np.asarray(num_correct) / group_size
            return theory.Advantages(0.5 - rate, 0 * rate)

    with pytest.raises(ValueError, match="drift of one sign"):
        theory.escape_time(Turns(), 0.1, 0.9, group_size=8, learning_rate=0.1)


class Constant:
    """A rule of one's own that returns numbers and not arrays, and nan where nothing is weighed."""

    def advantages(self, num_correct, group_size):
        with np.errstate(all="ignore"):
            right = np.asarray(num_correct) * 0.0 + 1.0
        return theory.Advantages(np.where(np.asarray(num_correct) > 0, right, np.nan), -0.5)


def test_rules_of_ones_own_go_everywhere():
    rule = Constant()
    assert theory.expected_update(rule, 0.3, group_size=8) == pytest.approx(1.5)
    assert theory.expected_objective(rule, 0.5, group_size=8) == pytest.approx(0.75)
    assert theory.one_step(rule, 0.3, group_size=8).mean == pytest.approx(1.5 * 0.21)
    assert theory.kl_gain_ceiling(8, beta=1.0, rule=rule) == pytest.approx(1.5)
    assert theory.never_falls(rule, group_size=8)
    assert theory.expected_hitting_time(
        rule, 0.3, stop=0.5, group_size=8, learning_rate=0.1
    ) == pytest.approx(theory.escape_time(rule, 0.3, 0.5, group_size=8, learning_rate=0.1), rel=0.1)


def test_laws_are_equal_where_all_their_numbers_are():
    assert theory.CopyAll(mean=0.3, rho=0.2) == theory.CopyAll(mean=0.3, rho=0.2)
    assert theory.CopyAll(mean=0.3, rho=0.2) != theory.CopyAll(mean=0.3, rho=0.1)
    assert theory.CopyAll(mean=0.3, rho=0.2) != theory.CommonSource(mean=0.3, rho=0.2)
    assert theory.Antithetic(mean=0.3) == theory.Antithetic(mean=0.3)


@pytest.mark.parametrize("name", ["beta-binomial", "copy", "common-source", "shock", "probit"])
def test_sampled_rates_have_the_moments(name):
    law = theory.MODELS[name](mean=0.3, rho=0.2)
    p = law.sample(40_000, rng=np.random.default_rng(0))
    assert p.mean() == pytest.approx(0.3, abs=4 * np.sqrt(0.042 / 40_000))
    assert p.var() == pytest.approx(0.2 * 0.21, rel=0.05)

"""One argument order and one name per notion, in all public functions of theory and simulate."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from grpolab import simulate, theory
from grpolab.theory import rules

KEYWORD, POSITIONAL = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
OTHER_NAMES = {
    "share": "frac", "fraction": "frac", "proportion": "frac",
    "start": "p0", "p_start": "p0", "initial_p": "p0", "target": "stop", "goal": "stop",
    "prob": "p", "chance": "p", "success_rate": "p", "average": "mean",
    "ref_p": "p_ref", "reference_p": "p_ref", "prior": "p_prior", "prior_p": "p_prior",
    "g": "group_size", "size": "group_size", "n": "num_samples", "samples": "num_samples",
    "c": "num_correct", "correct_count": "num_correct", "icc": "rho", "correlation": "rho",
    "lr": "learning_rate", "eta": "learning_rate", "rate_of_learning": "learning_rate",
    "steps_total": "num_steps", "decay": "weight_decay", "lambda_": "weight_decay",
    "tpr": "true_positive", "fpr": "false_positive", "advantage": "rule", "preset": "rule",
    "random_state": "seed", "distribution": "law", "confidence": "level", "n_jobs": "threads",
}  # fmt: skip
"""What a notion might be called, and what it is called here."""
MEANT = {("reward_law", "prob"), ("RewardLaw", "prob")}
"""Chances of several values are no success rate."""


def public() -> dict[str, Callable[..., Any]]:
    found = {}
    for module in (theory, simulate):
        for name in module.__all__:
            value = getattr(module, name)
            if callable(value) and value not in (theory.TwoValued, simulate.KLForm):
                found[name] = value
    return found


SIGNATURES = {name: inspect.signature(value) for name, value in public().items()}


def second_names(signatures: Mapping[str, inspect.Signature]) -> set[tuple[str, str]]:
    """Arguments whose notion goes by another name."""
    return {(n, p) for n, s in signatures.items() for p in s.parameters if p in OTHER_NAMES}


def clashes(signatures: Mapping[str, inspect.Signature]) -> list[str]:
    """Pairs of arguments that have a place in two functions, in two orders."""
    seen: dict[tuple[str, str], str] = {}
    found = []
    for name, signature in signatures.items():
        places = [p.name for p in signature.parameters.values() if p.kind is POSITIONAL]
        for before, after in combinations(places, 2):
            if (after, before) in seen:
                found.append(f"{after}, {before} in {seen[after, before]}, not in {name}")
            seen[before, after] = name
    return found


def test_a_notion_has_one_name_and_arguments_one_order() -> None:
    assert second_names(SIGNATURES) - MEANT == set()
    assert clashes(SIGNATURES) == []


def test_a_rule_comes_first_or_by_name_and_then_a_group_size_has_no_place() -> None:
    for name, signature in SIGNATURES.items():
        rule, size = (signature.parameters.get(n) for n in ("rule", "group_size"))
        if rule is not None and rule.kind is POSITIONAL and not inspect.isclass(public()[name]):
            assert next(iter(signature.parameters)) == "rule", name
            assert size is None or size.kind is KEYWORD, name


def test_guards_can_fail() -> None:
    def one(p: float, group_size: int) -> None: ...
    def other(group_size: int, p: float, share: float) -> None: ...

    both = {f.__name__: inspect.signature(f) for f in (one, other)}
    assert clashes(both) == ["p, group_size in one, not in other"]
    assert second_names(both) == {("other", "share")}


@pytest.mark.parametrize("name", [n.replace(":K", ":2") for n in rules.RULE_NAMES])
def test_a_name_is_the_rule_wherever_one_is_taken(name: str) -> None:
    rule = theory.rule_of(name)
    for call in (
        lambda r: theory.expected_update(r, [0.1, 0.6], group_size=4),
        lambda r: theory.step_noise(r, 0.3, group_size=4).variance,
        lambda r: theory.Focal(r).advantages(2, 4).correct,
    ):
        np.testing.assert_array_equal(call(name), call(rule))
    assert rules.rule_named(name) == rule


LAWS: dict[str, Callable[[float], Any]] = {
    **{name: lambda m, of=of: of(mean=m, rho=0.2) for name, of in theory.MODELS.items()},
    "rates": lambda m: theory.RateLaw([m, 0.9]),
    "rewards": lambda m: theory.reward_law([0, 0.5, 1], [m, 0.2, 0.8 - m]),
    "prefix": lambda m: theory.SharedPrefix(mean=m, branch_rho=0.2, branches=2),
    "antithetic": lambda m: theory.Antithetic(mean=m),
    "pool": lambda m: theory.WithoutReplacement(pool=10, num_correct=round(10 * m)),
}


@pytest.mark.parametrize("name", LAWS)
def test_laws_are_equal_where_they_are_the_same_law(name: str) -> None:
    one, again, other = LAWS[name](0.3), LAWS[name](0.3), LAWS[name](0.4)
    assert bool(one == again)
    assert bool(one != other)
    assert one != 0.3
    if hasattr(one, "sample"):
        drawn = [one.sample(50, rng=np.random.default_rng(0)) for _ in range(2)]
        np.testing.assert_array_equal(*drawn)
        assert drawn[0].shape == (50,)


def test_a_law_of_rewards_samples_its_chances() -> None:
    law = theory.reward_law([0, 0.5, 1], [0.3, 0.2, 0.5])
    drawn = law.sample(20_000, rng=np.random.default_rng(1))
    shares = [float(np.mean(drawn == value)) for value in law.value]
    assert shares == pytest.approx(law.prob.tolist(), abs=0.02)

"""Escape times against the exact chain; the trap's scaling with g against that of p*."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, logit

from grpolab import theory
from grpolab.simulate import Options, derive_trap, log_slope, simulate_bernoulli, simulate_escape
from grpolab.simulate.options import KLForm


@pytest.mark.parametrize("rule", [theory.GRPO, theory.DR_GRPO])
@pytest.mark.parametrize(("p0", "stop"), [(0.083, 0.5), (0.4, 0.41), (0.5, 0.4)])
def test_escape_time_is_exact(rule: Any, p0: float, stop: float, scale: float) -> None:
    chains = int(10_000 * scale)
    found = simulate_escape(
        p0, stop=stop, rule=rule, group_size=8, learning_rate=0.3, num_chains=chains, seed=1
    )
    # a few chains may all leave in one step, and then show no spread
    assert abs(found.mean - found.exact) <= 4 * max(found.stderr, 1 / chains)


def test_escape_in_pieces_is_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean field falls short of the slowest chains, so the run is continued."""
    from grpolab.simulate import experiments as dynamics

    kw: Any = {"group_size": 4, "learning_rate": 0.5, "num_chains": 50, "seed": 2}
    whole = simulate_escape(0.1, **kw)
    monkeypatch.setattr(dynamics, "escape_time", lambda *a, **k: 3.0)
    assert simulate_escape(0.1, **kw).mean == whole.mean


def test_a_rule_that_can_fall_has_no_exact_time() -> None:
    """Only its exact time is missing; the run and the mean field are there."""
    found = simulate_escape(
        0.2, rule=theory.PassAtKGradient(2), group_size=4, learning_rate=0.1, num_chains=200, seed=0
    )
    assert math.isnan(found.exact)
    assert found.mean == pytest.approx(found.mean_field, rel=0.1)


@pytest.mark.parametrize("rule", ["maxrl", "nemo-rl", "sign"])
def test_rules_whose_advantages_do_not_sum_to_zero(rule: str, scale: float) -> None:
    number = max(100, int(500 * scale))
    found = simulate_escape(
        0.2, rule=rule, group_size=8, learning_rate=0.1, num_chains=number, seed=0
    )
    assert abs(found.mean - found.exact) < 5 * found.stderr


def test_a_rule_that_lowers_p_is_refused() -> None:
    class Wrong:
        def advantages(self, num_correct: Any, group_size: Any) -> theory.Advantages:
            return theory.Advantages(-1.0 + 0 * np.asarray(num_correct), np.float64(1.0))

    with pytest.raises(ValueError, match="rule must raise p on average"):
        simulate_escape(0.2, rule=Wrong(), group_size=8, learning_rate=0.1, num_chains=10, seed=0)


def test_giving_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from grpolab.simulate import experiments as dynamics

    monkeypatch.setattr(dynamics, "_PATIENCE", 1)
    monkeypatch.setattr(dynamics, "escape_time", lambda *a, **k: 1.0)
    with pytest.raises(RuntimeError, match="did not reach"):
        simulate_escape(0.01, group_size=4, learning_rate=0.1, num_chains=10, seed=0)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("rule", [theory.GRPO, theory.DR_GRPO])
def test_trap(rule: Any) -> None:
    found = derive_trap(
        8, load=0.1, rule=rule, learning_rate=0.1, num_steps=500, num_chains=400, seed=3,
        level=0.999,
    )  # fmt: skip
    exact = float(theory.interference_threshold(rule, 0.1, group_size=8))
    assert found.estimate == pytest.approx(exact, rel=0.03)
    assert found.low < exact < found.high


@pytest.mark.slow
def test_trap_and_threshold_scale_differently() -> None:
    sizes = (4, 8, 16, 64)
    slopes = {}
    for rule in (theory.GRPO, theory.DR_GRPO):
        found = [
            derive_trap(g, load=0.02, rule=rule, num_chains=512, seed=1).estimate for g in sizes
        ]
        exact = theory.interference_threshold(rule, 0.02, group_size=sizes)
        slopes[rule.name] = log_slope(sizes, found)
        assert slopes[rule.name] == pytest.approx(log_slope(sizes, exact), abs=0.02)
    assert slopes["grpo"] == pytest.approx(-0.5, abs=0.03)
    assert slopes["dr-grpo"] == pytest.approx(0.0, abs=0.12)
    assert log_slope(sizes, theory.critical_p(sizes)) < -0.85


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="load must be > 0"):
        derive_trap(8, load=0.0, num_chains=100, seed=0)
    with pytest.raises(ValueError, match="num_groups and num_chains"):
        derive_trap(8, load=0.1, num_chains=10, seed=0)


@pytest.mark.usefixtures("compiled")
def test_only_the_reverse_kl_keeps_hard_prompts_under_the_ceiling() -> None:
    """Played: k2 rests where the optimum is, k3 where its own balance is, k1 nowhere."""
    where = {}
    forms: tuple[KLForm, ...] = ("k1", "k2", "k3")
    for form in forms:
        run = simulate_bernoulli(
            0.01, group_size=8, learning_rate=0.02, num_steps=12_000, num_chains=400, seed=0,
            options=Options(kl=1.0, kl_form=form),
        )  # fmt: skip
        where[form] = float(run.mean_p[-1])
    optimum = theory.kl_fixed_points(theory.GRPO, 0.01, beta=1.0, group_size=8).p[0]
    balance = theory.k3_fixed_point(theory.GRPO, 0.01, beta=1.0, group_size=8)
    assert where["k2"] == pytest.approx(optimum, rel=0.05)
    assert where["k3"] == pytest.approx(balance, rel=0.02)
    assert where["k1"] > 0.95
    limit = expit(logit(0.01) + theory.kl_gain_ceiling(8, beta=1.0))
    assert where["k2"] < limit < where["k3"]

"""The experiments as functions of plain parameters: one call is one point of a sweep."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from grpolab.simulate.bernoulli import simulate_bernoulli
from grpolab.simulate.dynamics import derive_trap, simulate_escape
from grpolab.simulate.ladder import LadderConfig, run_ladder
from grpolab.simulate.pstar import derive_critical_p, derive_critical_p_from_waiting
from grpolab.theory.advantage import PRESETS, AdvantageRule
from grpolab.theory.critical import critical_p
from grpolab.theory.drift import expected_drift
from grpolab.theory.traps import interference_threshold

_SHOWN = 41  # points of a trajectory in a result


def pstar_experiment(
    *,
    group_size: int,
    rho: float = 0.0,
    model: str = "beta-binomial",
    event: str = "identical",
    num_groups: int = 1 << 17,
    seed: int,
) -> dict[str, Any]:
    """p* from simulated groups and, for independent rewards, from the wait of training runs."""
    chosen: Any = {"rho": rho, "model": model, "event": event}
    groups = derive_critical_p(group_size, **chosen, num_groups=num_groups, seed=seed)
    result: dict[str, Any] = {
        "theory": float(critical_p(group_size, **chosen)),
        "estimate": groups.estimate,
        "low": groups.low,
        "high": groups.high,
        "waiting": None,
    }
    if rho == 0.0 and event == "identical":
        chains = max(1000, num_groups // 4)
        waiting = derive_critical_p_from_waiting(group_size, num_chains=chains, seed=seed)
        result["waiting"] = waiting._asdict()
    return result


def trajectory_experiment(
    *,
    rule: str = "grpo",
    p0: float = 0.083,
    group_size: int = 8,
    learning_rate: float = 0.1,
    num_steps: int = 200,
    num_chains: int = 1 << 14,
    seed: int,
) -> dict[str, Any]:
    """Mean p and the share of zero-std groups over time, beside the mean-field path."""
    run = simulate_bernoulli(
        p0, group_size=group_size, learning_rate=learning_rate, rule=_rule(rule),
        num_steps=num_steps, num_chains=num_chains, seed=seed,
    )  # fmt: skip
    shown = np.unique(np.linspace(0, num_steps, _SHOWN).astype(np.int64))
    logit, smooth = np.log(p0 / (1 - p0)), [p0]
    for _ in range(num_steps):
        move = expected_drift(_rule(rule), smooth[-1], group_size=group_size)
        logit += learning_rate * float(move)
        smooth.append(float(1 / (1 + np.exp(-logit))))
    return {
        "step": shown,
        "mean_p": run.mean_p[shown],
        "stderr_p": run.stderr_p[shown],
        "mean_field": np.array(smooth)[shown],
        "frac_zero_std": np.append(run.frac_zero_std, np.nan)[shown],
    }


def escape_experiment(
    *,
    rule: str = "grpo",
    p0: float = 0.083,
    group_size: int = 8,
    learning_rate: float = 0.1,
    num_chains: int = 1 << 14,
    seed: int,
) -> dict[str, Any]:
    """Mean steps to p = 1/2, played, exact and by the mean field."""
    return simulate_escape(
        p0, rule=_rule(rule), group_size=group_size, learning_rate=learning_rate,
        num_chains=num_chains, seed=seed,
    )._asdict()  # fmt: skip


def trap_experiment(
    *,
    rule: str = "grpo",
    group_size: int = 8,
    load: float = 0.02,
    learning_rate: float = 0.2,
    num_steps: int = 2000,
    num_chains: int = 2048,
    seed: int,
) -> dict[str, Any]:
    """The unstable point under a push against the prompt, simulated and exact, beside p*."""
    found = derive_trap(
        group_size, load=load, rule=_rule(rule), learning_rate=learning_rate,
        num_steps=num_steps, num_chains=num_chains, seed=seed,
    )  # fmt: skip
    exact = interference_threshold(_rule(rule), load, group_size=group_size)
    return {
        "estimate": found.estimate,
        "low": found.low,
        "high": found.high,
        "theory": float(exact),
        "p_star": float(critical_p(group_size)),
    }


def ladder_experiment(*, seed: int, **options: Any) -> dict[str, Any]:
    """One ladder: what each depth shows, where GRPO takes it, and whether the ranking turns."""
    if "depths" in options:
        options["depths"] = tuple(options["depths"])
    ladder = run_ladder(LadderConfig(**options), seed=seed)
    columns = ("entropy", "pass_at_1", "pass_at_k", "outcome", "outcome_at_k")
    return {
        "depths": list(ladder.depths),
        **{name: getattr(ladder, name).mean(axis=1) for name in columns},
        "frac_zero_std": ladder.frac_zero_std,
        "tau": float(ladder.tau.mean()),
        "tau_per_repeat": ladder.tau,
        "inversion": ladder.inversion,
        "inverted": ladder.inverted,
    }


EXPERIMENTS: Mapping[str, Callable[..., dict[str, Any]]] = MappingProxyType(
    {
        "pstar": pstar_experiment,
        "trajectory": trajectory_experiment,
        "escape": escape_experiment,
        "trap": trap_experiment,
        "ladder": ladder_experiment,
    }
)
"""Experiments by the name that the command line uses."""


def _rule(name: str) -> AdvantageRule:
    if name not in PRESETS:
        raise ValueError(f"rule must be one of {sorted(PRESETS)}, got {name}")
    return PRESETS[name]

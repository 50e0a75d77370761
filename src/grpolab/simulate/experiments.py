"""The experiments as functions of plain parameters: one call is one point of a sweep."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from grpolab.errors import named
from grpolab.simulate.bernoulli import simulate_bernoulli
from grpolab.simulate.events import can_jump, simulate_first_passage
from grpolab.simulate.ladder import LadderConfig, run_ladder
from grpolab.simulate.options import Options
from grpolab.simulate.pstar import (
    CriticalPEstimate,
    check_numbers,
    derive_critical_p,
    derive_critical_p_from_waiting,
    invert_crossing,
    share_target,
)
from grpolab.streams import stream_seed
from grpolab.theory import _check
from grpolab.theory.advantage import GRPO, Rule, TwoValued
from grpolab.theory.critical import critical_p
from grpolab.theory.dependence import MODELS
from grpolab.theory.drift import noisy_drift
from grpolab.theory.escape import escape_time, expected_hitting_time, never_falls
from grpolab.theory.groups import FloatArray
from grpolab.theory.noise import cut_drift
from grpolab.theory.rules import advantage_table, rule_named
from grpolab.theory.signal import count_pmf
from grpolab.theory.traps import interference_threshold
from grpolab.theory.unequal import stale_drift

_LONG = 20_000  # mean-field steps from which chains jump
_PATIENCE = 40  # mean-field escape times after which a run is given up


class EscapeTime(NamedTuple):
    """Steps from p0 until p reaches ``stop``: simulated, exact, and by the mean field."""

    p0: float
    stop: float
    mean: float
    stderr: float
    exact: float
    mean_field: float


def simulate_escape(
    p0: float,
    *,
    stop: float = 0.5,
    rule: Rule = GRPO,
    group_size: int,
    learning_rate: float,
    num_chains: int,
    seed: int,
) -> EscapeTime:
    """Mean number of updates until p >= stop, from chains that all get there.

    Where that takes more than 20 000 steps, chains jump from one mixed group to the next
    (`simulate_first_passage`). ``exact`` is nan for rules that can lower p (`never_falls`). Raises
    ValueError where the mean field does not lead from p0 to stop, and RuntimeError if a chain takes
    40 times its time.

    >>> found = simulate_escape(0.083, group_size=8, learning_rate=0.1, num_chains=4000, seed=0)
    >>> round(found.mean, 1), round(found.exact, 1), round(found.mean_field, 1)
    (75.4, 75.4, 74.2)
    """
    num_chains = _check.one_whole("num_chains", num_chains)
    exact = math.nan
    if never_falls(rule, group_size=group_size):
        exact = expected_hitting_time(
            rule, p0, stop=stop, group_size=group_size, learning_rate=learning_rate
        )
    smooth = float(escape_time(rule, p0, stop, group_size=group_size, learning_rate=learning_rate))
    if smooth < 0 < math.log(stop / (1 - stop)) - math.log(p0 / (1 - p0)):
        raise ValueError(f"rule must raise p on average, and it lowers p between {p0} and {stop}")
    if smooth > _LONG and can_jump(rule, group_size):
        times = simulate_first_passage(
            p0, stop=stop, rule=rule, group_size=group_size, learning_rate=learning_rate,
            num_chains=num_chains, seed=stream_seed(seed, "escape"),
        ).step  # fmt: skip
        error = float(times.std()) / math.sqrt(num_chains)
        return EscapeTime(p0, stop, float(times.mean()), error, exact, smooth)
    steps = max(1, math.ceil(smooth))
    times = np.full(num_chains, -1)
    start: object = p0
    stream = stream_seed(seed, "escape")
    for _ in range(_PATIENCE):
        run = simulate_bernoulli(
            start, group_size=group_size, learning_rate=learning_rate, rule=rule,  # type: ignore[arg-type]
            num_steps=steps, num_chains=num_chains, seed=stream, escape_p=stop,
        )  # fmt: skip
        times = np.where(times < 0, run.escape_step, times)
        if np.all(times >= 0):
            error = float(times.std()) / math.sqrt(num_chains)
            return EscapeTime(p0, stop, float(times.mean()), error, exact, smooth)
        start = run.state
    raise RuntimeError(f"{int(np.sum(times < 0))} chains did not reach {stop}")


def derive_trap(
    group_size: int,
    *,
    load: float,
    rule: Rule = GRPO,
    learning_rate: float = 0.2,
    num_steps: int = 2000,
    num_chains: int = 2048,
    seed: int,
    level: float = 0.95,
) -> CriticalPEstimate:
    """The p_c from which half the chains fall under a constant push ``-load`` on the logit.

    ``load`` is the drift that other prompts project on this one. For small learning rates p_c is
    the unstable point ``p q w(p) = load``. Raises ValueError for bad input.

    >>> found = derive_trap(
    ...     8, load=0.1, learning_rate=0.3, num_steps=300, num_chains=1000, seed=0)
    >>> round(found.estimate, 3), found.low < 0.0417 < found.high
    (0.042, True)
    """
    check_numbers(num_chains, level)
    if not load > 0:
        raise ValueError(f"load must be > 0, got {load}")
    stream = stream_seed(seed, "trap")

    def fallen(p: float, chains: int) -> float:
        run = simulate_bernoulli(
            p, group_size=group_size, learning_rate=learning_rate, rule=rule,
            num_steps=num_steps, num_chains=chains, seed=stream, options=Options(pressure=-load),
        )  # fmt: skip
        return float(np.sum(run.state.p < p))

    return invert_crossing(fallen, share_target(0.5, number=num_chains, level=level), level)


def log_slope(group_sizes: Sequence[int], values: Sequence[float]) -> float:
    """Least-squares slope of log(value) on log(g - 1), the contrast between thresholds.

    -1/2 for the trap with std scaling, near 0 without, near -1 for p*.

    >>> round(log_slope([2, 5, 10], [1.0, 0.5, 1 / 3]), 6)
    -0.5
    """
    x = np.log(np.asarray(group_sizes, dtype=np.float64) - 1.0)
    slope, _ = np.polyfit(x, np.log(values), 1)
    return float(slope)


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
    chosen: Any = {"rho": rho, "model": named("model", model, MODELS), "event": event}
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
    staleness: int = 0,
    importance: bool = True,
    replay: float = 0.0,
    true_positive: float = 1.0,
    false_positive: float = 0.0,
    cut_right: float = 0.0,
    cut_wrong: float = 0.0,
    mask_cut: bool = False,
    seed: int,
) -> dict[str, Any]:
    """Mean p and the share of zero-std groups over time, beside the mean-field path.

    The options are those of `Options`; there is no mean field, nan, under replay, and for stale
    groups, graders that err and budgets of tokens together.
    """
    options = Options(
        staleness=staleness, importance=importance, replay=replay, true_positive=true_positive,
        false_positive=false_positive, cut_right=cut_right, cut_wrong=cut_wrong, mask_cut=mask_cut,
    )  # fmt: skip
    run = simulate_bernoulli(
        p0, group_size=group_size, learning_rate=learning_rate, rule=rule_named(rule),
        options=options, num_steps=num_steps, num_chains=num_chains,
        seed=stream_seed(seed, "trajectory"),
    )  # fmt: skip
    shown = np.unique(np.linspace(0, num_steps, _SHOWN).astype(np.int64))
    logit, smooth = np.log(p0 / (1 - p0)), [p0]
    for step in range(num_steps):
        older = smooth[max(step - staleness, 0)]
        move = _mean_move(rule_named(rule), smooth[-1], older, group_size, options)
        logit += learning_rate * move
        smooth.append(float(1 / (1 + np.exp(-logit))))
    return {
        "step": shown,
        "mean_p": run.mean_p[shown],
        "stderr_p": run.stderr_p[shown],
        "mean_field": np.array(smooth)[shown],
        "frac_zero_std": np.append(run.frac_zero_std, np.nan)[shown],
    }


def _mean_move(rule: TwoValued, p: float, older: float, group_size: int, by: Options) -> float:
    """Mean-field drift of z at p, where groups are drawn at the chance ``older``."""
    errs = (by.true_positive, by.false_positive) != (1.0, 0.0)
    cuts = by.cut_right > 0 or by.cut_wrong > 0
    if by.replay or (by.staleness > 0) + errs + cuts > 1:
        return float("nan")
    if cuts:
        drift = cut_drift(
            rule, p, group_size=group_size, cut_right=by.cut_right, cut_wrong=by.cut_wrong,
            masked=by.mask_cut,
        )  # fmt: skip
        return float(drift)
    if by.staleness and not by.importance:
        return float(stale_drift(rule, p, behaviour=[older] * group_size, importance=False))
    if by.staleness:
        k, law = np.arange(group_size + 1), count_pmf(older, group_size)
        right, wrong = advantage_table(rule, group_size)
        up = _clipped(right, p / older, by)
        down = _clipped(wrong, (1 - p) / (1 - older), by)
        return float(law @ (k * up * (1 - p) - (group_size - k) * down * p)) / group_size
    return float(
        noisy_drift(
            rule, p, group_size=group_size, true_positive=by.true_positive,
            false_positive=by.false_positive,
        )
    )  # fmt: skip


def _clipped(advantage: FloatArray, ratio: float, by: Options) -> FloatArray:
    """Weights of the scores under PPO's clip."""
    far = (ratio > 1 + by.clip_high) & (advantage > 0) | (ratio < 1 - by.clip_low) & (advantage < 0)
    return np.where(far, 0.0, advantage * ratio)


def escape_experiment(
    *,
    rule: str = "grpo",
    p0: float = 0.083,
    group_size: int = 8,
    learning_rate: float = 0.1,
    num_chains: int = 1 << 14,
    seed: int,
) -> dict[str, Any]:
    """Mean steps to p = 1/2, simulated, exact and by the mean field."""
    return simulate_escape(
        p0, rule=rule_named(rule), group_size=group_size, learning_rate=learning_rate,
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
        group_size, load=load, rule=rule_named(rule), learning_rate=learning_rate,
        num_steps=num_steps, num_chains=num_chains, seed=seed,
    )  # fmt: skip
    exact = interference_threshold(rule_named(rule), load, group_size=group_size)
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

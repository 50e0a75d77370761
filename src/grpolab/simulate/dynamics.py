"""Experiments with training runs: escape times, and where p stops rising and starts to fall.

p* is no bifurcation: the drift is smooth through it. A push against the prompt makes one, the
unstable point p_c, and it moves with the group size in another way (derived here).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from grpolab.simulate._crossing import (
    CriticalPEstimate,
    check_numbers,
    invert_crossing,
    share_target,
)
from grpolab.simulate.bernoulli import simulate_bernoulli
from grpolab.simulate.options import Options
from grpolab.theory.advantage import GRPO
from grpolab.theory.chain import expected_hitting_time
from grpolab.theory.drift import escape_time
from grpolab.theory.objective import TwoValued

_PATIENCE = 40  # mean-field escape times after which a run is given up


class EscapeTime(NamedTuple):
    """Steps from p0 until p reaches ``stop``: played, exact, and by the mean field."""

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
    rule: TwoValued = GRPO,
    group_size: int,
    learning_rate: float,
    num_chains: int,
    seed: int,
) -> EscapeTime:
    """Mean number of updates until p >= stop, from chains that all get there.

    For rules whose advantages sum to zero, so that the exact time exists. Raises ValueError for
    other rules and RuntimeError if a chain takes 40 times the mean-field time.

    >>> found = simulate_escape(0.083, group_size=8, learning_rate=0.1, num_chains=4000, seed=0)
    >>> round(found.mean, 1), round(found.exact, 1), round(found.mean_field, 1)
    (75.4, 75.4, 74.2)
    """
    exact = expected_hitting_time(
        rule, p0, stop=stop, group_size=group_size, learning_rate=learning_rate
    )
    smooth = float(escape_time(rule, p0, stop, group_size=group_size, learning_rate=learning_rate))
    steps = max(1, math.ceil(smooth))
    times = np.full(num_chains, -1)
    start: object = p0
    for _ in range(_PATIENCE):
        run = simulate_bernoulli(
            start, group_size=group_size, learning_rate=learning_rate, rule=rule,  # type: ignore[arg-type]
            num_steps=steps, num_chains=num_chains, seed=seed, escape_p=stop,
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
    rule: TwoValued = GRPO,
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

    def fallen(p: float, chains: int) -> float:
        run = simulate_bernoulli(
            p, group_size=group_size, learning_rate=learning_rate, rule=rule,
            num_steps=num_steps, num_chains=chains, seed=seed, options=Options(pressure=-load),
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

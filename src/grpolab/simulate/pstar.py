"""p* from simulated groups: an estimate and an interval that use no formula for the share.

The share of groups without a signal falls as the mean m rises from 0, and p* is where it crosses
the wanted share. It is the place where a training run waits two steps, on average, for its first
update, and nothing else happens there.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import stats

from grpolab.simulate._crossing import (
    CriticalPEstimate,
    Target,
    check_numbers,
    invert_crossing,
    share_target,
)
from grpolab.simulate.bernoulli import simulate_bernoulli
from grpolab.simulate.draw import tally_groups
from grpolab.theory.advantage import GRPO
from grpolab.theory.dependence import MODELS
from grpolab.theory.objective import TwoValued

Event = Literal["identical", "all-wrong"]
_LONGEST_WAIT = 64  # steps; at p* a chain waits longer once in 2**64


def derive_critical_p(
    group_size: int,
    *,
    rho: float = 0.0,
    model: str = "beta-binomial",
    event: Event = "identical",
    frac: float = 0.5,
    num_groups: int = 1 << 17,
    seed: int,
    level: float = 0.95,
) -> CriticalPEstimate:
    """The smallest mean at which at most ``frac`` of simulated groups show the event.

    Plays ``num_groups`` groups of the dependence model at each mean it tries. Where the share
    only touches ``frac`` (g = 2, rho = 0) the estimate is where it is least. Raises ValueError
    for bad input.

    >>> found = derive_critical_p(8, num_groups=20_000, seed=1)
    >>> found.low < 0.083 < found.high, round(found.estimate, 3)
    (True, 0.084)
    """
    check_numbers(num_groups, level)
    if model not in MODELS:
        raise ValueError(f"model must be one of {sorted(MODELS)}, got {model}")
    if event not in ("identical", "all-wrong"):
        raise ValueError(f"event must be identical or all-wrong, got {event}")
    if group_size < 2 and event == "identical":
        raise ValueError(f"group_size must be >= 2: rewards of one are alike, got {group_size}")
    if not 0 < frac < 1:
        raise ValueError(f"frac must lie in (0, 1), got {frac}")

    def silent_groups(mean: float, groups: int) -> float:
        law = MODELS[model](mean=mean, rho=rho)
        tally = tally_groups(law, group_size=group_size, num_groups=groups, seed=seed)
        return float(tally[0] + tally[-1] if event == "identical" else tally[0])

    target = share_target(frac, number=num_groups, level=level)
    return invert_crossing(silent_groups, target, level)


def derive_critical_p_from_waiting(
    group_size: int,
    *,
    rule: TwoValued = GRPO,
    learning_rate: float = 0.1,
    num_chains: int = 1 << 15,
    seed: int,
    level: float = 0.95,
) -> CriticalPEstimate:
    """The smallest p from which a training run waits at most 2 steps, on average, to move.

    Plays the training dynamics and times the first change of each chain's policy; the interval
    inverts the negative binomial law of the summed waits. Raises ValueError for bad input.

    >>> found = derive_critical_p_from_waiting(8, num_chains=20_000, seed=1)
    >>> found.low < 0.083 < found.high, round(found.estimate, 3)
    (True, 0.082)
    """
    check_numbers(num_chains, level)

    def total_wait(p: float, chains: int) -> float:
        run = simulate_bernoulli(
            p, group_size=group_size, learning_rate=learning_rate, rule=rule,
            num_steps=_LONGEST_WAIT, num_chains=chains, seed=seed, escape_p=0.5,
        )  # fmt: skip
        return float(np.where(run.first_move < 0, _LONGEST_WAIT, run.first_move).sum())

    tail = (1 - level) / 2
    least, most = num_chains + stats.nbinom.ppf([tail, 1 - tail], num_chains, 0.5)
    target = Target(2.0, least, most, num_chains, np.sqrt(2.0))
    return invert_crossing(total_wait, target, level)

"""A run in phases: schedules of group sizes and rates, curricula, and budgets of rollouts.

Each phase is a run of `simulate_bernoulli` that goes on where the one before ended, with settings
of its own. In a phase some prompts may rest, which keeps them where they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from grpolab.simulate.bernoulli import simulate_bernoulli
from grpolab.simulate.options import Options
from grpolab.simulate.trajectory import ChainState
from grpolab.streams import stream_seed
from grpolab.theory import _check
from grpolab.theory.advantage import GRPO, Rule
from grpolab.theory.groups import FloatArray

Chooses = Callable[[FloatArray], npt.NDArray[np.bool_]]
"""Which prompts train, from the success rates [C] at the start of a phase."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """Some steps with one group size, rate and rule; ``trains`` picks the prompts, None all."""

    num_steps: int
    group_size: int
    learning_rate: float
    rule: Rule = GRPO
    options: Options | None = None
    trains: Chooses | None = None


class PhasedRun(NamedTuple):
    """Means over all prompts at the ends of F phases, and what each phase cost.

    ``frac_zero_std`` is that of the groups drawn in a phase, nan where none was; the last phase is
    cut where the budget of rollouts ends, and those after it take no step.
    """

    step: FloatArray  # [F + 1]
    mean_p: FloatArray  # [F + 1]
    rollouts: FloatArray  # [F + 1], spent so far, per prompt
    frac_zero_std: FloatArray  # [F]
    p: FloatArray  # [C], at the end


def simulate_phases(
    p0: npt.ArrayLike,
    phases: Sequence[Phase],
    *,
    seed: int,
    num_chains: int = 1,
    rollouts_per_prompt: float = np.inf,
    threads: int | None = None,
) -> PhasedRun:
    """Run phase after phase; ``rollouts_per_prompt`` is a budget on average over prompts.

    Groups that dynamic sampling draws again come on top of it, replayed ones cost nothing. p0 and
    num_chains are those of `simulate_bernoulli`. Memories (of momentum, stale policies, replayed
    groups) start anew in each phase. ValueError for bad input, and for a choice that is no mask
    [C].

    >>> ramp = [Phase(num_steps=50, group_size=g, learning_rate=0.1) for g in (4, 8, 16)]
    >>> run = simulate_phases(0.1, ramp, seed=0, num_chains=2000)
    >>> run.rollouts.tolist(), bool(np.all(np.diff(run.mean_p) > 0))
    ([0.0, 200.0, 600.0, 1400.0], True)
    """
    if not isinstance(phases, list | tuple) or not phases or not _all_phases(phases):
        raise ValueError(f"phases must be a list of at least one Phase, got {phases!r}")
    copies = _check.one_whole("num_chains", num_chains)
    budget = _check.single(
        "rollouts_per_prompt", _check.within("rollouts_per_prompt", rollouts_per_prompt, 0, np.inf)
    )
    start = np.repeat(_check.within("p0", p0, 0.0, 1.0, ends="none").ravel(), copies)
    odds = start / (1.0 - start)
    step, spent, shares = [0.0], [0.0], []
    means = [float(start.mean())]
    for i, phase in enumerate(phases):
        p = odds / (1.0 + odds)
        active = np.ones(len(p), np.bool_) if phase.trains is None else phase.trains(p)
        chosen = _check.mask("trains", active, p.shape)
        weight = float(chosen.mean()) * phase.group_size
        left = budget - spent[-1]
        steps = int(phase.num_steps if weight == 0 else min(phase.num_steps, left // weight))
        drawn, share = 0.0, np.nan
        if chosen.any() and steps:
            none = np.zeros(0)
            state = ChainState(0, odds[chosen], none, none)
            run = simulate_bernoulli(
                _fresh(state, phase.options), group_size=phase.group_size, num_steps=steps,
                learning_rate=phase.learning_rate, rule=phase.rule, options=phase.options,
                seed=stream_seed(seed, "phase", i), threads=threads,
            )  # fmt: skip
            odds = odds.copy()
            odds[chosen] = run.state.odds
            groups = run.mean_groups_drawn
            drawn = float(groups.sum()) * weight
            share = float(np.nansum(groups * run.frac_zero_std) / groups.sum())
        step.append(step[-1] + steps)
        spent.append(spent[-1] + drawn)
        shares.append(share)
        means.append(float(np.mean(odds / (1.0 + odds))))
    return PhasedRun(
        np.array(step), np.array(means), np.array(spent), np.array(shares), odds / (1.0 + odds)
    )


def _all_phases(phases: Sequence[object]) -> bool:
    return all(isinstance(phase, Phase) for phase in phases)


def _fresh(state: ChainState, options: Options | None) -> ChainState:
    """The state with memories of zeros where the optimiser has any."""
    if options is None or options.optimiser == "sgd":
        return state
    zeros = np.zeros(len(state.odds))
    return replace(state, velocity=zeros, square=zeros.copy())

"""First passages of hard prompts: from one mixed group to the next, whatever the wait.

A chain on a prompt with p = 1e-9 waits 1e8 steps for its first update. Groups without a signal move
nothing under a rule whose advantages sum to zero, so the wait is drawn at once (geometric) and the
group that ends it given that it is mixed: the same law, at a cost that does not depend on p.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from grpolab.simulate._kernels_events import event_chains
from grpolab.simulate._philox import stream_key
from grpolab.simulate._threads import map_chunks
from grpolab.simulate.bernoulli import group_moves
from grpolab.simulate.settings import Settings, inside
from grpolab.theory import _check
from grpolab.theory.advantage import GRPO, Rule
from grpolab.theory.groups import FloatArray, IntArray

_CHUNK = 1 << 12


class FirstPassage(NamedTuple):
    """Steps until p >= stop, inf where they were not enough, and the mixed groups among them."""

    step: FloatArray  # [C], whole numbers up to 2^53, rounded beyond
    num_updates: IntArray  # [C]
    odds: FloatArray  # [C], where the chains are then


def can_jump(rule: Rule, group_size: int) -> bool:
    """Whether groups without a signal move nothing under a rule and all others raise p.

    >>> from grpolab.theory.advantage import MAXRL
    >>> can_jump(GRPO, 8), can_jump(MAXRL, 8)
    (True, False)
    """
    moves = group_moves(rule, group_size)
    still = moves.right[0] == moves.right[-1] == 0.0
    return bool(group_size > 1 and moves.centred and still and np.all(moves.right[1:-1] > 0))


def simulate_first_passage(
    p0: float,
    *,
    stop: float,
    group_size: int,
    learning_rate: float,
    num_chains: int,
    seed: int,
    rule: Rule = GRPO,
    max_steps: float = math.inf,
    threads: int | None = None,
) -> FirstPassage:
    """Steps of chains from p0 until p >= stop; p0 = 1e-9 takes no longer than p0 = 1e-2.

    Exact in law, up to the 53 bits of a uniform. The rule must have advantages that sum to zero and
    never lower p; group_size in 2..1024, p0 and stop in (0, 1). Raises ValueError otherwise.

    >>> found = simulate_first_passage(
    ...     1e-9, stop=0.5, group_size=8, learning_rate=1.0, num_chains=4000, seed=0)
    >>> round(float(found.step.mean()) / 4.439e8, 1), bool(found.num_updates.max() < 100)
    (1.0, True)
    """
    asked = Settings(
        group_size=group_size, learning_rate=learning_rate, num_steps=0, seed=seed, rule=rule,
        number=num_chains, number_name="num_chains", threads=threads,
    )  # fmt: skip
    start, goal = inside("p0", p0), inside("stop", stop)
    chains = asked.number
    g = _check.one_whole("group_size", asked.group_size, least=2)
    longest = _check.single("max_steps", _check.within("max_steps", max_steps, 0.0, np.inf))
    moves = group_moves(rule, g)
    if not can_jump(rule, g):
        raise ValueError("rule must have advantages that sum to zero and raise p in mixed groups")
    _check.positive("learning_rate", learning_rate)
    factor = np.exp(learning_rate * moves.right)
    key = stream_key(seed, "first passages")
    odds = np.full(chains, start / (1.0 - start))
    step, updates = np.empty(chains), np.empty(chains, np.int64)

    def work(low: int, high: int) -> None:
        event_chains(
            odds[low:high], np.uint64(low), key.low, key.high, factor, goal / (1.0 - goal), longest,
            step[low:high], updates[low:high],
        )  # fmt: skip

    map_chunks(work, chains, chunk=_CHUNK, threads=threads)
    return FirstPassage(step, updates, odds)

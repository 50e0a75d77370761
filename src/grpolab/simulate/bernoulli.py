"""GRPO on Bernoulli policies p = sigmoid(z): many independent chains, any advantage rule.

One chain is one prompt. Each step draws a group of g rewards and moves the logit along
``(1/g) sum_i A_i d log pi(R_i)/dz``; for a rule whose advantages sum to zero that is
``K A(1)/g``, a function of K alone (derived here; for GRPO with ddof 0 it is the group's standard
deviation).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from grpolab.simulate import _kernels
from grpolab.simulate._kernels_options import option_chains
from grpolab.simulate._philox import stream_key
from grpolab.simulate._threads import available_cores, map_chunks
from grpolab.simulate.options import Options
from grpolab.simulate.settings import Settings, inside
from grpolab.simulate.trajectory import (
    NUM_SUMS,
    ChainState,
    Moments,
    Part,
    Sums,
    Trajectory,
    block_sizes,
)
from grpolab.theory import _check
from grpolab.theory.advantage import GRPO, Rule
from grpolab.theory.drift import logit_pulls
from grpolab.theory.groups import FloatArray
from grpolab.theory.rules import advantage_table

_LARGEST_CHUNK = 64 * _kernels.BLOCK
_SUM_BYTES = 1 << 22  # memory for the sums that chunks have in flight
Advance = Callable[[int, int, int, int], Part]


class Moves(NamedTuple):
    """Logit gradient of a group with K correct: ``right[K] (1-p) - wrong[K] p``."""

    right: FloatArray  # [g + 1]
    wrong: FloatArray  # [g + 1]

    @property
    def centred(self) -> bool:
        """True if advantages sum to zero, so that the gradient does not depend on p."""
        gap = np.abs(self.right + self.wrong)
        return bool(np.all(gap <= 1e-12 * np.maximum(np.abs(self.right), 1.0)))


def group_moves(rule: Rule, group_size: int) -> Moves:
    """``K A(1)/g`` and ``(g-K) A(0)/g`` for K = 0..g.

    >>> group_moves(GRPO, 2).right.tolist()
    [0.0, 0.5, 0.0]
    """
    return Moves(*logit_pulls(rule, group_size))


def simulate_bernoulli(
    p0: npt.ArrayLike | ChainState,
    *,
    group_size: int,
    learning_rate: float,
    num_steps: int,
    seed: int,
    rule: Rule = GRPO,
    options: Options | None = None,
    num_chains: int = 1,
    first_chain: int = 0,
    escape_p: float | None = None,
    snapshot_every: int = 0,
    threads: int | None = None,
) -> Trajectory:
    """Simulate GRPO for num_steps steps on chains that start at p0.

    Memory grows with chains + steps, and with snapshots if ``snapshot_every`` > 0. The result does
    not depend on ``threads``.

    Parameters
    ----------
    p0 : float, array_like or ChainState
        Success rate in (0, 1), an array [P] of them (num_chains chains each, prompt by prompt), or
        the state of an earlier run, which is then continued: the two parts together equal one long
        run bit for bit.
    group_size : int
        Rollouts per group, in 1..1024.
    learning_rate : float
        Step of the logit per unit gradient.
    num_steps : int
        Updates, >= 0.
    seed : int
        In [0, 2**64).
    rule : Rule
        Advantages of correct and wrong rollouts.
    options : Options, optional
        Optimiser, KL penalty, clipping, verifier noise, dynamic sampling, staleness, replay,
        budgets of tokens.
    num_chains : int
        Chains per start.
    first_chain : int
        Number of the first chain, so that one of them can be simulated again alone.
    escape_p : float, optional
        Ask for the times at which chains first moved and first reached this p.
    snapshot_every : int
        Keep p of every chain each so many steps; 0: never.
    threads : int, optional
        Threads; all cores if left out.

    Returns
    -------
    Trajectory
        Means over chains per step, and the state after the last one.

    Raises
    ------
    ValueError
        An argument outside of its range.

    Examples
    --------
    >>> run = simulate_bernoulli(
    ...     0.083, group_size=8, learning_rate=0.1, num_steps=50, seed=0, num_chains=2000)
    >>> [round(float(p), 3) for p in run.mean_p[[0, -1]]]
    [0.083, 0.256]
    """
    asked = Settings(
        group_size=group_size, learning_rate=learning_rate, num_steps=num_steps, seed=seed,
        rule=rule, options=options, number=num_chains, number_name="num_chains",
        snapshot_every=snapshot_every, threads=threads,
    )  # fmt: skip
    first = _check.one_whole("first_chain", first_chain, least=0)
    goal = None if escape_p is None else inside("escape_p", escape_p)
    state = _start(p0, asked.number, asked.extra)
    asked.extra.require_start(continued=state.step > 0)
    run = _Run(state, goal, first)
    moves = group_moves(asked.rule, asked.group_size)
    if asked.extra.plain and moves.centred:
        advance = _plain(run, moves.right + asked.extra.pressure, asked)
    else:
        advance = _with_options(run, _reference(p0, state, asked.extra), asked)
    return _in_segments(run, advance, asked)


class _Run:
    """The arrays that kernels write in place, copied from the state that the caller keeps."""

    def __init__(self, state: ChainState, escape_p: float | None, first: int) -> None:
        self.first = first
        self.start = state.step
        self.odds = state.odds.copy()
        self.velocity = state.velocity.copy()
        self.square = state.square.copy()
        length = 0 if escape_p is None else len(self.odds)
        self.threshold = np.inf if escape_p is None else escape_p / (1.0 - escape_p)
        self.moved = np.full(length, _kernels.NEVER)
        self.above = np.full(length, _kernels.NEVER)
        self.above[self.odds[:length] >= self.threshold] = state.step

    def state(self, step: int) -> ChainState:
        return ChainState(step, self.odds.copy(), self.velocity.copy(), self.square.copy())


def _plain(run: _Run, gradient: FloatArray, asked: Settings) -> Advance:
    """Chains whose logit gradient [g + 1] depends on K alone."""
    factor = np.exp(asked.learning_rate * gradient)
    group_size = asked.group_size
    ratio = np.zeros(-(-group_size // _kernels.UNROLL) * _kernels.UNROLL)
    k = np.arange(group_size)
    ratio[:group_size] = (group_size - k) / (k + 1.0)
    key = stream_key(asked.seed, "bernoulli chains")

    def advance(low: int, high: int, start: int, stop: int) -> Part:
        sums, moments = _empty(high - low, stop - start)
        _kernels.plain_chains(
            run.odds[low:high], np.uint64(run.first + low), key.low, key.high,
            np.uint64(start), ratio, factor, sums, moments,
            run.threshold, run.moved[low:high], run.above[low:high],
        )  # fmt: skip
        sums[:, 3] = high - low
        return sums, moments

    return advance


def _with_options(run: _Run, reference: FloatArray, asked: Settings) -> Advance:
    advantage = advantage_table(asked.rule, asked.group_size)
    options = asked.extra
    plan = options.plan(asked.group_size, asked.learning_rate)
    key = stream_key(asked.seed, "bernoulli chains")
    history = np.repeat(run.odds[:, None], options.staleness, axis=1)
    remembered = len(run.odds) if options.replay else 0
    kept_odds, kept = np.zeros(remembered), np.zeros((remembered, 4), np.int64)

    def advance(low: int, high: int, start: int, stop: int) -> Part:
        sums, moments = _empty(high - low, stop - start)
        option_chains(
            run.odds[low:high], run.velocity[low:high], run.square[low:high], history[low:high],
            kept_odds[low:high], kept[low:high], reference[low:high],
            np.uint64(run.first + low), key.low, key.high, np.uint64(start),
            advantage.correct, advantage.wrong, plan, sums, moments,
            run.threshold, run.moved[low:high], run.above[low:high],
        )  # fmt: skip
        return sums, moments

    return advance


def _empty(chains: int, steps: int) -> Part:
    """Room for what a kernel adds up."""
    blocks = -(-chains // _kernels.BLOCK)
    return np.zeros((steps, NUM_SUMS), np.int64), np.zeros((blocks, steps, 3))


def _in_segments(run: _Run, advance: Advance, asked: Settings) -> Trajectory:
    """Run in segments, so that the sums of all chunks and the snapshots stay in bounds."""
    num_steps, snapshot_every, threads = asked.num_steps, asked.snapshot_every, asked.threads
    chains = len(run.odds)
    share = -(-chains // (threads or available_cores()))
    blocks = min(-(-share // _kernels.BLOCK), max(1, _LARGEST_CHUNK // _kernels.BLOCK))
    chunk = blocks * _kernels.BLOCK
    sizes = block_sizes(chains, _kernels.BLOCK)
    longest = max(2, _SUM_BYTES // (8 * (NUM_SUMS * -(-chains // chunk) + 6 * len(sizes))))
    end = run.start + num_steps
    sums, moments = Sums(num_steps), Moments(num_steps, sizes)
    steps, shots = [], []
    now = run.start
    while now < end:
        stop = min(end, now + longest)
        if snapshot_every:
            stop = min(stop, now - now % snapshot_every + snapshot_every)
        segment = partial(_segment, advance, now, stop)
        parts = map_chunks(segment, chains, chunk=chunk, threads=threads)
        sums.add(now - run.start, [counts for counts, _ in parts])
        moments.add(now - run.start, [sums_of_p for _, sums_of_p in parts])
        now = stop
        if snapshot_every and now % snapshot_every == 0:
            steps.append(now)
            shots.append(run.odds / (1.0 + run.odds))
    return _trajectory(run, sums, moments, asked.group_size, end, steps, shots)


def _segment(advance: Advance, start: int, stop: int, low: int, high: int) -> Part:
    return advance(low, high, start, stop)


def _trajectory(
    run: _Run,
    sums: Sums,
    moments: Moments,
    group_size: int,
    end: int,
    steps: list[int],
    shots: list[FloatArray],
) -> Trajectory:
    chains = len(run.odds)
    p = run.odds / (1.0 + run.odds)
    drawn = sums.column(3)
    all_wrong, all_right, variance = sums.shares(group_size)
    return Trajectory(
        group_size=group_size,
        num_chains=chains,
        mean_p=moments.mean(p),
        std_p=moments.std(p),
        frac_all_wrong=all_wrong,
        frac_all_right=all_right,
        mean_variance=variance,
        mean_groups_drawn=drawn / chains,
        state=run.state(end),
        first_move=np.where(run.moved == _kernels.NEVER, -1, run.moved),
        escape_step=np.where(run.above == _kernels.NEVER, -1, run.above),
        snapshot_step=np.array(steps, np.int64),
        snapshot_p=np.array(shots).reshape(len(shots), chains),
    )


def _start(p0: npt.ArrayLike | ChainState, num_chains: int, options: Options) -> ChainState:
    if isinstance(p0, ChainState):
        needs = len(p0.odds) if options.optimiser != "sgd" else 0
        if len(p0.velocity) < needs:
            raise ValueError(f"p0: the state holds no memory of the optimiser {options.optimiser}")
        return p0
    p = np.atleast_1d(_check.numbers("p0", p0))
    if p.ndim != 1 or p.size == 0 or not np.all((p > 0) & (p < 1)):
        raise ValueError(f"p0 must be a number or an array [P] inside (0, 1), got {p0}")
    odds = np.repeat(p / (1.0 - p), num_chains)
    memory = len(odds) if options.optimiser != "sgd" else 0
    return ChainState(0, odds, np.zeros(memory), np.zeros(memory))


def _reference(p0: npt.ArrayLike | ChainState, state: ChainState, options: Options) -> FloatArray:
    """Odds of the KL reference, shape [C]."""
    if options.p_ref is not None:
        return np.full(len(state.odds), options.p_ref / (1.0 - options.p_ref))
    if options.kl > 0 and isinstance(p0, ChainState):
        raise ValueError("p_ref must be given when a run with KL is continued")
    return state.odds.copy()

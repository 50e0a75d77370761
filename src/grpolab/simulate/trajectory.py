"""Trajectory: what a simulated training run shows, step by step, averaged over chains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from grpolab.simulate._kernels import FIXED
from grpolab.theory.groups import FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class ChainState:
    """Where chains stand after ``step`` steps; handed back to the simulator it continues the run.

    The odds p/(1-p) are the state and not p, because p rounds to 1 where the odds do not.
    """

    step: int
    odds: FloatArray  # [C]
    velocity: FloatArray  # [C], or [0] for plain gradient steps
    square: FloatArray  # [C], or [0] without Adam

    @property
    def p(self) -> FloatArray:
        """Success chances, shape [C]."""
        return self.odds / (1.0 + self.odds)

    @property
    def logit(self) -> FloatArray:
        """Logits of the success chances, shape [C]."""
        return np.log(self.odds)


@dataclass(frozen=True, slots=True, eq=False)
class Trajectory:
    """Means over C chains at each of T steps; group statistics are those of the groups drawn.

    ``mean_p[t]`` and ``std_p[t]`` are taken before step t, so they have one entry more than the
    group statistics. ``first_move`` and ``escape_step`` [C] count the steps until the chance first
    changed and until it reached ``escape_p``; -1 where that did not happen, [0] if not asked for.
    """

    group_size: int
    num_chains: int
    mean_p: FloatArray  # [T + 1]
    std_p: FloatArray  # [T + 1], spread over chains
    frac_all_wrong: FloatArray  # [T]
    frac_all_right: FloatArray  # [T]
    mean_variance: FloatArray  # [T], within-group variance K(g-K)/g^2
    mean_groups_drawn: FloatArray  # [T], more than 1 only with dynamic sampling
    state: ChainState
    first_move: IntArray  # [C] or [0]
    escape_step: IntArray  # [C] or [0]
    snapshot_step: IntArray  # [S]
    snapshot_p: FloatArray  # [S, C]

    @property
    def frac_zero_std(self) -> FloatArray:
        """Share of groups whose rewards are all equal, shape [T]."""
        both = self.frac_all_wrong + self.frac_all_right
        return np.minimum(both, 1.0) if self.group_size > 1 else np.ones_like(both)

    @property
    def step(self) -> IntArray:
        """Steps taken before each entry of ``mean_p``, shape [T + 1]."""
        return self.state.step - np.arange(len(self.mean_p))[::-1]

    @property
    def stderr_p(self) -> FloatArray:
        """Standard error of ``mean_p``, shape [T + 1]."""
        error: FloatArray = self.std_p / np.sqrt(max(self.num_chains - 1, 1))
        return error


NUM_SUMS = 6  # p, p^2, all wrong, all right, K(g-K), groups drawn
_SPLIT = np.int64(1 << 20)


class Sums:
    """Integer sums over chains for T steps, in two parts so that no total overflows.

    Integers make a sum independent of its order, hence of threads and chunks.
    """

    def __init__(self, num_steps: int, columns: int = NUM_SUMS) -> None:
        self._high = np.zeros((num_steps, columns), np.int64)
        self._low = np.zeros((num_steps, columns), np.int64)

    def add(self, first: int, parts: Sequence[IntArray]) -> None:
        """Add the sums [t, columns] of chunks to the steps from ``first`` on."""
        for part in parts:
            rows = slice(first, first + len(part))
            self._high[rows] += part // _SPLIT
            self._low[rows] += part % _SPLIT

    def column(self, index: int) -> FloatArray:
        """One of the sums, shape [T]."""
        high, low = self._high[:, index], self._low[:, index]
        return high.astype(np.float64) * float(_SPLIT) + low.astype(np.float64)

    def moments(self, odds: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and spread of p before each step and at the end, shape [T + 1] each."""
        p = odds / (1.0 + odds)
        mean: FloatArray = np.append(self.column(0) / FIXED / len(p), p.mean())
        square: FloatArray = np.append(self.column(1) / FIXED / len(p), (p * p).mean())
        return mean, np.sqrt(np.maximum(square - mean * mean, 0.0))

"""Trajectory: what a simulated training run shows, step by step, averaged over chains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from grpolab.frames import Frame
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


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Trajectory(Frame):
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
    def columns(self) -> Mapping[str, FloatArray | IntArray]:
        """One row per entry of ``mean_p``; groups are drawn after all but the last, NaN there."""
        groups = {
            "frac_all_wrong": self.frac_all_wrong, "frac_all_right": self.frac_all_right,
            "mean_variance": self.mean_variance, "mean_groups_drawn": self.mean_groups_drawn,
        }  # fmt: skip
        return {
            "step": self.step, "mean_p": self.mean_p, "stderr_p": self.stderr_p,
            **{name: np.append(column, np.nan) for name, column in groups.items()},
        }  # fmt: skip

    @property
    def headline(self) -> str:
        """Chains, steps, and where the mean of p began and ended."""
        return (
            f"{self.num_chains} chains, {len(self.mean_p) - 1} steps of groups of"
            f" {self.group_size}, mean p {self.mean_p[0]:.3g} to {self.mean_p[-1]:.3g}"
        )

    @property
    def step(self) -> IntArray:
        """Steps taken before each entry of ``mean_p``, shape [T + 1]."""
        return self.state.step - np.arange(len(self.mean_p))[::-1]

    @property
    def stderr_p(self) -> FloatArray:
        """Standard error of ``mean_p``, shape [T + 1]."""
        error: FloatArray = self.std_p / np.sqrt(max(self.num_chains - 1, 1))
        return error


Part = tuple[IntArray, FloatArray]  # counts [t, columns], moments [blocks, t, columns]
NUM_SUMS = 4  # groups all wrong, all right, K(g-K), groups drawn
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

    def shares(self, group_size: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """All wrong, all right, and mean variance of the groups drawn; nan where none was."""
        with np.errstate(invalid="ignore"):
            wrong, right, spread = (self.column(i) / self.column(3) for i in range(3))
        return wrong, right, spread / group_size**2


class Moments:
    """Mean and spread of p before each of T steps, from the sums of blocks of chains.

    A block holds [shift, sum of differences from it, sum of their squares], then plain sums. Blocks
    are the same for any number of threads, and are added up in their order.
    """

    def __init__(self, num_steps: int, sizes: IntArray, columns: int = 3) -> None:
        self._sizes = sizes.astype(np.float64)  # [B], chances per block
        self._rows = np.zeros((num_steps, columns - 1))  # mean, variance, means of plain sums

    def add(self, first: int, parts: Sequence[FloatArray]) -> None:
        """Take the sums [B_i, t, columns] of the blocks of chunks, for the steps from ``first``."""
        table = np.concatenate(parts).transpose(2, 1, 0).copy()  # [columns, t, B]
        shift, total, square = table[:3]
        size, number = self._sizes, self._sizes.sum()
        mean = shift + total / size
        inner = np.maximum(square - total * total / size, 0.0)
        centre = np.sum(size * mean, axis=-1) / number
        between = np.sum(size * (mean - centre[:, None]) ** 2, axis=-1)
        rows = self._rows[first : first + len(centre)]
        rows[:, 0] = centre
        rows[:, 1] = (np.sum(inner, axis=-1) + between) / number
        rows[:, 2:] = (np.sum(table[3:], axis=-1) / number).T

    def mean(self, last: FloatArray) -> FloatArray:
        """Mean before each step, and that of the last chances, shape [T + 1]."""
        return np.append(self._rows[:, 0], last.mean())

    def std(self, last: FloatArray) -> FloatArray:
        """Standard deviation before each step, and that of the last chances, shape [T + 1]."""
        return np.append(np.sqrt(self._rows[:, 1]), last.std())

    def plain(self, column: int, last: FloatArray) -> FloatArray:
        """Mean of a plain sum before each step, and that of the last values, shape [T + 1]."""
        return np.append(self._rows[:, column - 1], last.mean())


def block_sizes(number: int, block: int) -> IntArray:
    """Members of each block of ``number``.

    >>> block_sizes(5, 2).tolist()
    [2, 2, 1]
    """
    return np.diff(np.minimum(np.arange(-(-number // block) + 1) * block, number))

"""The loop that tables over responses and over tokens share: memory, segments, sums, snapshots."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from grpolab.simulate import _kernels_softmax as kernels
from grpolab.simulate._threads import available_cores, map_chunks
from grpolab.simulate.options import Options
from grpolab.simulate.settings import Settings
from grpolab.simulate.trajectory import Moments, Part, Sums, block_sizes
from grpolab.theory.groups import FloatArray, IntArray
from grpolab.theory.tabular import entropy

_SUM_BYTES = 1 << 22
_MOST_BLOCKS = 256  # of models whose sums are kept apart
_PARALLEL_WORK = 1 << 16  # response-steps below which one thread is faster
Kernel = Callable[[slice, int, IntArray, FloatArray, int], None]
"""Advance some models from a step on: writes sums [t, COLUMNS] and moments [blocks, t, MOMENTS]."""


class Memory(NamedTuple):
    """What a run remembers besides its weights; without rows where it need not."""

    history: FloatArray  # [S, staleness, ..., V], older weights
    kept: IntArray  # [S, ..., 4, g], the last mixed group of each prompt
    kept_log: FloatArray  # [S, ..., V], the policy that drew it, nan for none


def memory(
    weights: FloatArray, options: Options, groups: tuple[int, ...], policies: tuple[int, ...]
) -> Memory:
    """Memory of a run from these weights on; ``groups`` and ``policies`` are shapes per model."""
    models = len(weights) if options.replay else 0
    return Memory(
        np.repeat(weights[:, None], options.staleness, axis=1),
        np.zeros((models, *groups), np.int64),
        np.full((models, *policies), np.nan),
    )


class Ran(NamedTuple):
    """Sums and moments of all steps, and p at the snapshots."""

    sums: Sums
    moments: Moments
    shots: list[tuple[int, FloatArray]]


def means(ran: Ran, p: FloatArray, chance: FloatArray, group_size: int) -> dict[str, Any]:
    """What both trajectories hold: the fields of means, shares and snapshots, by their names.

    p: success chances at the end, one per prompt; chance [..., V]: those of responses.
    """
    sums, moments, shots = ran
    all_wrong, all_right, variance = sums.shares(group_size)
    return {
        "group_size": group_size,
        "mean_p": moments.mean(p),
        "std_p": moments.std(p),
        "mean_entropy": moments.plain(3, entropy(chance)),
        "frac_all_wrong": all_wrong,
        "frac_all_right": all_right,
        "mean_variance": variance,
        "mean_groups_drawn": sums.column(3) / p.size,
        "snapshot_step": np.array([step for step, _ in shots], np.int64),
        "snapshot_p": np.array([shot for _, shot in shots]).reshape(len(shots), *p.shape),
    }


def run_models(
    asked: Settings,
    kernel: Kernel,
    *,
    start: int,
    models: int,
    prompts: int,
    work: int,
    p_now: Callable[[], FloatArray],
) -> Ran:
    """Run ``kernel`` over all models and steps, ``work`` responses a step; p_now() is p by then."""
    block = -(-models // _MOST_BLOCKS)
    sizes = prompts * block_sizes(models, block)
    workers = asked.threads or available_cores()
    if work * asked.num_steps < _PARALLEL_WORK:
        workers = 1

    def advance(first: int, stop: int, low: int, high: int) -> Part:
        sums = np.zeros((stop - first, kernels.COLUMNS), np.int64)
        moments = np.zeros((-(-(high - low) // block), stop - first, kernels.MOMENTS))
        kernel(slice(low, high), first, sums, moments, block)
        return sums, moments

    sums = Sums(asked.num_steps, kernels.COLUMNS)
    moments = Moments(asked.num_steps, sizes, kernels.MOMENTS)
    shots: list[tuple[int, FloatArray]] = []
    chunk = -(-models // (workers * block)) * block
    every, end = asked.snapshot_every, start + asked.num_steps
    for first, stop in _segments(start, end, every, workers + len(sizes)):
        parts = map_chunks(partial(advance, first, stop), models, chunk=chunk, threads=workers)
        sums.add(first - start, [counts for counts, _ in parts])
        moments.add(first - start, [sums_of_p for _, sums_of_p in parts])
        if every and stop % every == 0:
            shots.append((stop, p_now()))
    return Ran(sums, moments, shots)


def _segments(start: int, end: int, every: int, chunks: int) -> list[tuple[int, int]]:
    """Steps that are run at once: up to a snapshot, and within the memory for sums."""
    longest = max(1, _SUM_BYTES // (8 * kernels.COLUMNS * chunks))
    cuts = [start]
    while cuts[-1] < end:
        now = cuts[-1]
        following = now - now % every + every if every else end
        cuts.append(min(end, now + longest, following))
    return list(pairwise(cuts))

"""How to spend a budget of rollouts on prompts: one more rollout where it helps most.

The chance that n rollouts of a prompt are mixed is 1 - p^n - q^n. One more adds p^n q + q^n p,
which falls with n, also as a mean over what p may be. A sum of such terms is largest where every
rollout went to the prompt that gained most by it. One exception: a single rollout is worth nothing,
so a prompt has none, or two and more.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from grpolab.theory import _check
from grpolab.theory.groups import FloatArray, IntArray
from grpolab.theory.zero_std import prob_mixed


def gain_of_one_more(p: npt.ArrayLike, num_rollouts: npt.ArrayLike) -> FloatArray:
    """``p^n q + q^n p``: what one more than n >= 1 rollouts adds to the chance of a mixed group.

    Never rises with n, so that a sum over prompts is concave. p in [0, 1]; ValueError outside.
    Derived here.

    >>> gain_of_one_more(0.5, [1, 2, 3]).tolist()
    [0.5, 0.25, 0.125]
    """
    chance = _check.probability("p", p)
    n = _check.whole("num_rollouts", num_rollouts)
    rest = 1.0 - chance
    return _check.result(chance**n * rest + rest**n * chance)


def mixed_table(p: npt.ArrayLike, most: int) -> FloatArray:
    """``1 - p^n - q^n`` for n = 0..most, shape [..., most + 1]; 0 at n = 0 and 1.

    >>> mixed_table(0.5, 3).tolist()
    [0.0, 0.0, 0.5, 0.75]
    """
    chance = _check.probability("p", p)[..., None]
    n = np.arange(_check.summed("most", _check.one_whole("most", most)) + 1)
    return np.where(n < 2, 0.0, prob_mixed(chance, np.maximum(n, 1)))


def allocate(value: npt.ArrayLike, budget: int, *, least: int = 0) -> IntArray:
    """Rollouts [P] per prompt with the largest sum of ``value[i, n_i]`` among all that cost budget.

    value [P, N + 1] holds what n = 0..N rollouts of a prompt are worth. From ``least`` rollouts on,
    which every prompt gets, its rows must be concave; with least = 0 they are those of mixed groups
    (`mixed_table` or its means): 0 at n <= 1 and concave from 2 on, with value[3] - value[2] =
    value[2]/2. Ties go to the first prompt. Less than the budget is spent where N or least leave no
    choice. ValueError for least = 1, and for a budget below P least. Optimal, as one more rollout
    never gains more than the one before; equal to the best of all allocations in a test.

    >>> allocate(mixed_table([0.5, 0.1], 6), 8).tolist()
    [4, 4]
    """
    table = _check.within("value", value, -np.inf, np.inf, ends="none")
    if table.ndim != 2 or table.shape[1] < 4:
        raise ValueError(f"value must have shape [P, N + 1] with N >= 3, got {list(table.shape)}")
    total = _check.one_whole("budget", budget, least=0)
    start = _check.one_whole("least", least, least=0, most=table.shape[1] - 1)
    if start == 1:
        raise ValueError("least must be 0, or 2 and more: one rollout makes no group")
    if total < start * len(table):
        raise ValueError(f"budget must be >= {start * len(table)}, {start} per prompt, got {total}")
    gains = np.diff(table[:, start:], axis=1)
    if start == 0:
        gains[:, :2] = table[:, 2:3] / 2.0  # a pair is bought whole
    gains = np.minimum.accumulate(gains, axis=1)  # equal gains stay equal after rounding
    spent = min(total - start * len(table), gains.size)
    order = np.argsort(-gains, axis=None, kind="stable")[:spent]
    taken = np.bincount(order // gains.shape[1], minlength=len(table))
    found: IntArray = (start + taken).astype(np.int64)
    return _without_singles(table, found) if start == 0 else found


def _without_singles(table: FloatArray, number: IntArray) -> IntArray:
    """The best allocation of as many rollouts where the last pair was cut in two."""
    alone = np.flatnonzero(number == 1)
    if not len(alone):
        return number
    (one,) = alone
    prompts = np.arange(len(table))
    now = table[prompts, number]
    after = table[prompts, np.minimum(number + 1, table.shape[1] - 1)]
    before = table[prompts, np.maximum(number - 1, 0)]
    pairs = number == 2
    options = [  # (change of the value, rollouts of the one, another prompt, its change)
        (0.0, 0, one, 0),
        _option(after - now, pairs | (number > 2), 0.0, 0, 1),
        _option(before - now, number > 2, table[one, 2], 2, -1),
        _option(-now, pairs, table[one, 3], 3, -2),
    ]
    _, rollouts, other, change = max(options, key=lambda option: option[0])
    number = number.copy()
    number[other] += change
    number[one] = rollouts
    return number


def _option(
    change: FloatArray, allowed: npt.NDArray[np.bool_], own: float, rollouts: int, other: int
) -> tuple[float, int, int, int]:
    """The best exchange with another prompt among those that are allowed."""
    scored = np.where(allowed, change, -np.inf)
    best = int(np.argmax(scored))
    return own + float(scored[best]), rollouts, best, other

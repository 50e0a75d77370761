"""The exact Markov chain of a one-parameter policy under group updates, state by state."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import expit

from grpolab.theory import _check
from grpolab.theory._pmf import binomial_pmf
from grpolab.theory.drift import one_step
from grpolab.theory.groups import FloatArray
from grpolab.theory.objective import TwoValued

_SAME = 1e-9  # logits closer than this, relative to the learning rate, are one state


class ChainLaw(NamedTuple):
    """Law of z after some updates; ``lost`` is the probability of the states that were pruned."""

    logit: FloatArray  # [S], rising
    prob: FloatArray  # [S]
    lost: float

    @property
    def mean_p(self) -> float:
        """E[p], lost states left out."""
        return float(self.prob @ expit(self.logit))


def chain_law(
    rule: TwoValued,
    p0: float,
    *,
    group_size: int,
    learning_rate: float,
    steps: int,
    prune: float = 0.0,
) -> ChainLaw:
    """Exact law of z = logit p after ``steps`` updates of one group each.

    The changes of a sum-zero rule depend on K alone, so paths that saw the same changes in another
    order meet in one state: at most C(steps + h, h) of them with h = floor(g/2), and for Dr. GRPO
    and RLOO, whose changes are multiples of eta/g^2, a lattice of order steps g^2/4. Other rules
    are exact too, without that bound. ``prune`` drops states below that probability and reports
    what was lost. Raises ValueError for p0 outside (0, 1). Derived here.

    >>> from grpolab.theory.advantage import GRPO
    >>> law = chain_law(GRPO, 0.5, group_size=2, learning_rate=1.0, steps=2)
    >>> law.logit.tolist(), law.prob.round(4).tolist()
    ([0.0, 0.5, 1.0], [0.25, 0.515, 0.235])
    """
    start = float(_check.within("p0", p0, 0.0, 1.0, ends="none"))
    rate = float(_check.positive("learning_rate", learning_rate))
    count = _check.one_whole("steps", steps, least=0)
    floor = float(_check.within("prune", prune, 0.0, 1.0, ends="low"))
    logit, prob, lost = np.array([np.log(start) - np.log1p(-start)]), np.ones(1), 0.0
    for _ in range(count):
        logit, prob = _advance(rule, logit, prob, group_size, rate)
        keep = prob > floor
        lost += float(prob[~keep].sum())
        logit, prob = logit[keep], prob[keep]
    return ChainLaw(logit, prob, lost)


def _advance(
    rule: TwoValued, logit: FloatArray, prob: FloatArray, group_size: int, rate: float
) -> tuple[FloatArray, FloatArray]:
    """One update of every state, equal states merged."""
    step = one_step(rule, expit(logit), group_size=group_size)
    ahead = (logit[:, None] + rate * step.change).ravel()
    mass = (prob[:, None] * step.prob).ravel()
    order = np.argsort(ahead, kind="stable")
    ahead, mass = ahead[order], mass[order]
    first = np.concatenate([[True], np.diff(ahead) > _SAME * rate])
    group = np.cumsum(first) - 1
    merged = np.asarray(np.bincount(group, weights=mass), dtype=np.float64)
    return ahead[first], merged


def expected_hitting_time(
    rule: TwoValued,
    p0: float,
    *,
    stop: float,
    group_size: int,
    learning_rate: float,
    bins: int = 400,
) -> float:
    """Mean number of updates until p >= stop: first-step equations on a grid of z.

    For rules that never lower z the mean time solves ``T(z) (1 - P(no change)) = 1 + sum_k P(k)
    T(z + eta change_k)`` from the top down; T between the ``bins`` grid points per unit of z is
    linear, the only approximation. Raises ValueError for a rule that can lower z. Derived here.

    >>> from grpolab.theory.advantage import GRPO
    >>> round(expected_hitting_time(GRPO, 0.5, stop=0.6, group_size=2, learning_rate=1.0), 6)
    2.0
    """
    start = float(_check.within("p0", p0, 0.0, 1.0, ends="none"))
    goal = float(_check.within("stop", stop, 0.0, 1.0, ends="none"))
    rate = float(_check.positive("learning_rate", learning_rate))
    g = _check.one_whole("group_size", group_size, least=2)
    low, high = (float(np.log(p) - np.log1p(-p)) for p in (start, goal))
    if low >= high:
        return 0.0
    count = max(2, int(np.ceil((high - low) * _check.one_whole("bins", bins))))
    grid = np.linspace(low, high, count + 1)[:-1]
    change = one_step(rule, 0.5, group_size=g).change
    prob = binomial_pmf(expit(grid), g)
    if np.any(change < 0) or np.any(one_step(rule, 0.25, group_size=g).change - change > 1e-12):
        raise ValueError("rule must have advantages that sum to zero, so that z never falls")
    time = np.zeros(count + 1)  # the last is the goal
    for i in range(count - 1, -1, -1):
        time[i] = _first_step(time, i, prob[i], rate * change * (count / (high - low)))
    return float(time[0])


def _first_step(time: FloatArray, i: int, prob: FloatArray, cells: FloatArray) -> float:
    """T at grid point i from the values above it; ``cells`` is the change in grid steps."""
    place = np.minimum(i + cells, len(time) - 1)
    base = np.minimum(place.astype(np.int64), len(time) - 2)
    part = place - base
    # the value at i itself is unknown: its weights go to the left side
    own = np.where(base == i, 1.0 - part, 0.0)
    rest = np.where(base == i, 0.0, (1.0 - part) * time[base]) + part * time[base + 1]
    return float((1.0 + prob @ rest) / (1.0 - prob @ own))

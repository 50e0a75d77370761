"""How long a prompt takes: escape times of the mean field and of the exact chain, and its law."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from grpolab.theory import _check
from grpolab.theory._numeric import binomial_pmf_at, log_odds, logit_of, unit_rule
from grpolab.theory.advantage import Rule
from grpolab.theory.drift import logit_pulls
from grpolab.theory.groups import FloatArray
from grpolab.theory.objective import expected_update


def escape_time(
    rule: Rule,
    p0: npt.ArrayLike,
    stop: npt.ArrayLike,
    *,
    group_size: int,
    learning_rate: float,
) -> FloatArray:
    """``T = int_{z0}^{z1} dz/(eta p q w(p))``: mean-field updates from p = p0 to p = stop.

    The mean time of the exact chain, `expected_hitting_time`, is longer: by about half an update
    of overshoot (all that is left of T near the end, where it may be most of it), and on hard
    prompts by the factor of `hitting_time_small_p`, 1.02 at a learning rate of 0.1 and 1.17 at 1
    (GRPO, g = 8). p0 and stop in (0, 1) broadcast; p0 > stop gives a negative time. Raises
    ValueError where the drift vanishes or turns between them. Derived here.

    >>> from grpolab.theory.advantage import GRPO
    >>> escape_time(GRPO, 0.02, 0.5, group_size=8, learning_rate=0.1).round(1).item()
    237.5
    """
    low = log_odds(_check.within("p0", p0, 0.0, 1.0, ends="none"))
    high = log_odds(_check.within("stop", stop, 0.0, 1.0, ends="none"))
    rate = _check.single("learning_rate", _check.positive("learning_rate", learning_rate))
    g = _check.one_whole("group_size", group_size)
    low, high = np.broadcast_arrays(low, high)
    span = high - low
    panels = max(1, int(np.ceil(np.abs(span).max(initial=0.0))))
    nodes, weights = unit_rule(16)
    share = ((np.arange(panels)[:, None] + nodes) / panels).ravel()
    mass = np.tile(weights / panels, panels)
    z = low[..., None] + span[..., None] * share
    drift = expit(z) * expit(-z) * expected_update(rule, expit(z), group_size=g)
    if not (np.all(drift > 0) or np.all(drift < 0)):
        raise ValueError("rule must have a drift of one sign between p0 and stop: T is infinite")
    with np.errstate(over="ignore"):
        return _check.result(span * ((1.0 / drift) @ mass) / rate)


def escape_time_small_p(
    p0: npt.ArrayLike, *, group_size: npt.ArrayLike, learning_rate: float, scaled: bool = True
) -> FloatArray:
    """``1/(eta sqrt(g-1) p0)`` with std scaling, ``g/((g-1) eta p0)`` without: leading order.

    The limit of the mean field, `escape_time`, for p0 -> 0 at fixed g. The chain has another one,
    `hitting_time_small_p`, which this is for eta -> 0. Derived here.

    >>> escape_time_small_p(0.001, group_size=5, learning_rate=0.1).item()
    5000.0
    """
    start = _check.within("p0", p0, 0.0, 1.0, ends="none")
    g = _check.whole("group_size", group_size, least=2)
    rate = _check.single("learning_rate", _check.positive("learning_rate", learning_rate))
    slope = np.sqrt(g - 1.0) if _check.flag("scaled", scaled) else (g - 1.0) / g
    with np.errstate(divide="ignore", over="ignore"):
        return _check.result(1.0 / (rate * slope * start))


def hitting_time_small_p(
    rule: Rule, p0: npt.ArrayLike, *, group_size: int, learning_rate: float
) -> FloatArray:
    """``1/(g p0 (1 - exp(-eta A+(1)/g)))``: mean updates of the chain to any fixed p, p0 -> 0.

    On a hard prompt a group holds one correct rollout with chance g p or none, so z waits 1/(g p)
    updates and jumps by eta A+(1)/g; the waits of all jumps are a geometric series. Groups without
    a correct rollout must not move z at p -> 0: ValueError where the rule's A-(0) is not 0, or
    A+(1) not > 0. p0 in (0, 1) broadcasts. Derived here.

    >>> from grpolab.theory.advantage import GRPO
    >>> hitting_time_small_p(GRPO, 1e-6, group_size=8, learning_rate=1.0).round(-2).item()
    443900.0
    """
    start = _check.within("p0", p0, 0.0, 1.0, ends="none")
    g = _check.one_whole("group_size", group_size)
    rate = _check.single("learning_rate", _check.positive("learning_rate", learning_rate))
    up, down = logit_pulls(rule, g)
    if down[0] != 0 or not up[1] > 0:
        raise ValueError("rule must have A-(0) = 0 and A+(1) > 0: else other groups move z first")
    with np.errstate(divide="ignore", over="ignore"):
        return _check.result(1.0 / (g * start * -np.expm1(-rate * up[1])))


_LARGEST_RATE = 1e100  # a logit stays finite for as many steps as there are
_SAME = 1e-9  # logits closer than this, relative to the learning rate, are one state
_MOST_CELLS = 20_000_000  # states times groups of one update that are held at once


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
    rule: Rule,
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
    what was lost. Raises ValueError for p0 outside (0, 1), and where the states times g + 1 exceed
    2e7. Derived here.

    >>> from grpolab.theory.advantage import GRPO
    >>> law = chain_law(GRPO, 0.5, group_size=2, learning_rate=1.0, steps=2)
    >>> law.logit.tolist(), law.prob.round(4).tolist()
    ([0.0, 0.5, 1.0], [0.25, 0.515, 0.235])
    """
    start = _check.single("p0", _check.within("p0", p0, 0.0, 1.0, ends="none"))
    rate = _check.single("learning_rate", _check.positive("learning_rate", learning_rate))
    g = _check.one_whole("group_size", group_size)
    count = _check.one_whole("steps", steps, least=0)
    if not rate < _LARGEST_RATE:
        raise ValueError(f"learning_rate must lie below {_LARGEST_RATE:g}, got {rate:g}")
    floor = _check.single("prune", _check.within("prune", prune, 0.0, 1.0, ends="low"))
    up, down = logit_pulls(rule, g)
    logit, prob, lost = np.array([logit_of(start)]), np.ones(1), 0.0
    for step in range(count):
        if len(logit) * (g + 1) > _MOST_CELLS:
            raise ValueError(
                f"steps must be at most {step} here, got {count}: the chain has {len(logit)} states"
                f" by then; prune > 0 drops unlikely ones"
            )
        logit, prob = _advance(up, down, logit, prob, rate)
        keep = prob > floor
        lost += float(prob[~keep].sum())
        logit, prob = logit[keep], prob[keep]
    return ChainLaw(logit, prob, lost)


def _advance(
    up: FloatArray, down: FloatArray, logit: FloatArray, prob: FloatArray, rate: float
) -> tuple[FloatArray, FloatArray]:
    """One update of every state, equal states merged."""
    ahead = (logit[:, None] + rate * _changes(up, down, logit)).ravel()
    mass = (prob[:, None] * binomial_pmf_at(logit, len(up) - 1)).ravel()
    order = np.argsort(ahead, kind="stable")
    ahead, mass = ahead[order], mass[order]
    first = np.concatenate([[True], np.diff(ahead) > _SAME * rate])
    group = np.cumsum(first) - 1
    merged = np.asarray(np.bincount(group, weights=mass), dtype=np.float64)
    return ahead[first], merged


def _changes(up: FloatArray, down: FloatArray, logit: FloatArray) -> FloatArray:
    """Change of z per unit learning rate by every K, [S, g + 1]; exactly up - 0 for centred rules.

    up q - down p = up - (up + down) p, and up + down vanishes for advantages that sum to zero.
    """
    total = up + down
    total = np.where(np.abs(total) <= 1e-14 * np.abs(up), 0.0, total)
    q, p = expit(-logit)[:, None], expit(logit)[:, None]
    return np.where(total == 0.0, up, up * q - down * p)


def expected_hitting_time(
    rule: Rule,
    p0: float,
    *,
    stop: float,
    group_size: int,
    learning_rate: float,
    bins: int = 400,
) -> float:
    """Mean number of updates until p >= stop: first-step equations on a grid of z.

    For rules that never lower z (`never_falls`) the mean time solves ``T(z) P(z moves) = 1 + sum_k
    P(k) T(z + eta change_k)`` from the top down; T between the ``bins`` grid points per unit of z
    is linear, the only approximation. Raises ValueError for a rule that can lower z. Derived here.

    >>> from grpolab.theory.advantage import GRPO
    >>> round(expected_hitting_time(GRPO, 0.5, stop=0.6, group_size=2, learning_rate=1.0), 6)
    2.0
    """
    start = _check.single("p0", _check.within("p0", p0, 0.0, 1.0, ends="none"))
    goal = _check.single("stop", _check.within("stop", stop, 0.0, 1.0, ends="none"))
    rate = _check.single("learning_rate", _check.positive("learning_rate", learning_rate))
    g = _check.one_whole("group_size", group_size)
    if not never_falls(rule, group_size=g):
        raise ValueError("rule must not lower z: it needs A+ >= 0 and A- <= 0 in every group")
    low, high = (logit_of(p) for p in (start, goal))
    if low >= high:
        return 0.0
    count = max(2, int(np.ceil((high - low) * _check.one_whole("bins", bins))))
    if count * (g + 1) > _MOST_CELLS:
        raise ValueError(
            f"bins must be at most {int(_MOST_CELLS / (g + 1) / (high - low))} here, got {bins}"
        )
    grid = np.linspace(low, high, count + 1)[:-1]
    up, down = logit_pulls(rule, g)
    prob = binomial_pmf_at(grid, g)
    with np.errstate(over="ignore"):
        cells = rate * _changes(up, down, grid) * (count / (high - low))
    if not np.all(np.any((prob > 0) & (cells > 0), axis=1)):
        return float("inf")  # somewhere no group moves z
    time = np.zeros(count + 1)  # the last is the goal
    with np.errstate(
        over="ignore", invalid="ignore"
    ):  # a time beyond the largest double is infinite
        for i in range(count - 1, -1, -1):
            time[i] = _first_step(time, i, prob[i], cells[i])
    return float("inf") if np.isnan(time[0]) else float(time[0])  # beyond the largest double


def never_falls(rule: Rule, *, group_size: int) -> bool:
    """Whether no group can lower z = logit p: A+ >= 0 and A- <= 0 wherever they count.

    True of every preset, since no rule lowers the chance of a correct rollout.

    >>> from grpolab.theory.advantage import MAXRL
    >>> from grpolab.theory.subsets import PassAtKGradient
    >>> never_falls(MAXRL, group_size=8), never_falls(PassAtKGradient(4), group_size=8)
    (True, False)
    """
    up, down = logit_pulls(rule, _check.one_whole("group_size", group_size))
    return bool(np.all(up >= 0) and np.all(down <= 0))


def _first_step(time: FloatArray, i: int, prob: FloatArray, cells: FloatArray) -> float:
    """T at grid point i from the values above it; ``cells`` is the change in grid steps."""
    place = np.minimum(i + cells, len(time) - 1)
    base = np.minimum(place.astype(np.int64), len(time) - 2)
    part = place - base
    # the value at i itself is unknown: its weights go to the left side, added up and not
    # subtracted from 1, as on a hard prompt almost no group leaves i
    leaves = np.where(base == i, part, 1.0)
    rest = np.where(base == i, 0.0, (1.0 - part) * time[base]) + part * time[base + 1]
    return float((1.0 + prob @ rest) / (prob @ leaves))

"""Dynamics of a one-parameter policy p = sigmoid(z): one step, the mean field, escape times.

One update from one group moves z by eta (1/g) sum_i A_i (R_i - p). For rules whose advantages sum
to zero that is eta K A+/g >= 0 whatever was drawn; so with such a rule a vanishing variance can
stop p from rising but cannot make it fall.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit, wrightomega

from grpolab.theory import _check
from grpolab.theory._numeric import binomial_pmf, find_root, log_odds, unit_rule
from grpolab.theory.groups import FloatArray
from grpolab.theory.objective import TwoValued, expected_update

Flow = Literal["grpo", "rloo", "maxrl"]


class OneStep(NamedTuple):
    """Law of one update of z per unit learning rate; K = 0..g along the last axis."""

    change: FloatArray  # [..., g + 1]
    prob: FloatArray  # [..., g + 1]
    mean: FloatArray  # [...]
    variance: FloatArray  # [...]


def one_step(rule: TwoValued, p: npt.ArrayLike, *, group_size: int) -> OneStep:
    """``dz/eta = [K A+ (1-p) - (g-K) A- p]/g`` with K ~ Bin(g, p): exact law, mean and variance.

    For std-normalised GRPO the change is sigma(K), with mean m_g(p) and variance pq(g-1)/g - m_g^2.
    p in [0, 1], one group_size >= 1; ValueError outside. Derived here.

    >>> from grpolab.theory.advantage import GRPO
    >>> one_step(GRPO, 0.5, group_size=2).change.tolist()
    [0.0, 0.5, 0.0]
    """
    chance = _check.probability("p", p)
    g = _check.one_whole("group_size", group_size)
    k = np.arange(g + 1, dtype=np.float64)
    right, wrong = rule.advantages(k, g)
    each = chance[..., None]
    change = (k * right * (1.0 - each) - (g - k) * wrong * each) / g
    prob = binomial_pmf(chance.ravel(), g).reshape(*chance.shape, g + 1)
    mean = np.sum(prob * change, axis=-1)
    variance = np.sum(prob * (change - mean[..., None]) ** 2, axis=-1)
    return OneStep(change, prob, mean, variance)


def expected_drift(rule: TwoValued, p: npt.ArrayLike, *, group_size: npt.ArrayLike) -> FloatArray:
    """``E[dz]/eta = p q w(p)``: mean-field drift of z; m_g(p) for GRPO, pq(g-1)/g for Dr. GRPO.

    Derived here.

    >>> from grpolab.theory.advantage import DR_GRPO
    >>> expected_drift(DR_GRPO, 0.5, group_size=8).item()
    0.21875
    """
    chance = _check.probability("p", p)
    return chance * (1.0 - chance) * expected_update(rule, chance, group_size=group_size)


def noisy_drift(
    rule: TwoValued,
    p: npt.ArrayLike,
    *,
    group_size: npt.ArrayLike,
    true_positive: float = 1.0,
    false_positive: float = 0.0,
) -> FloatArray:
    """``E[dz]/eta = J p q w(r)``: the grader passes right with TPR and wrong with FPR.

    J = TPR - FPR (Youden) and r = FPR + J p is the observed mean reward. Negative for J < 0: an
    inverted grader is a force that makes p fall. Derived here (cf. arXiv 2601.04411).

    >>> from grpolab.theory.advantage import RLOO
    >>> noisy_drift(RLOO, 0.5, group_size=8, true_positive=0.75, false_positive=0.25).item()
    0.125
    """
    chance = _check.probability("p", p)
    high = float(_check.probability("true_positive", true_positive))
    low = float(_check.probability("false_positive", false_positive))
    youden = high - low
    seen = np.clip(low + youden * chance, 0.0, 1.0)
    return youden * chance * (1.0 - chance) * expected_update(rule, seen, group_size=group_size)


def flow(
    logit: npt.ArrayLike, time: npt.ArrayLike, *, rule: Flow = "grpo", natural: bool = False
) -> FloatArray:
    """Closed-form z after ``time`` = eta t in the limit g -> infinity, from z = ``logit``.

    Vanilla gradient, dz/dt = w pq: ``sinh(z/2) = sinh(z0/2) + time/4`` (grpo), ``sinh z + z =
    sinh z0 + z0 + time/2`` (rloo, Dr. GRPO), ``e^z + z = e^z0 + z0 + time`` (maxrl). Natural
    gradient, dz/dt = w: ``arcsin sqrt p = arcsin sqrt p0 + time/2`` (grpo: p = 1 in finite time, z
    infinite from there on), ``z = z0 + time`` (rloo), ``1 - p = (1 - p0) exp(-time)`` (maxrl).
    Finite logits, time >= 0, broadcast. Derived here.

    >>> flow(0.0, 4.0, rule="rloo", natural=True).item()
    4.0
    >>> flow(0.0, 4.0).round(6).item()
    1.762747
    """
    _check.choice("rule", rule, ("grpo", "rloo", "maxrl"))
    start = _check.within("logit", logit, -np.inf, np.inf, ends="none")
    start, t = np.broadcast_arrays(start, _check.within("time", time, 0.0, np.inf, ends="low"))
    match (rule, natural):
        case ("grpo", False):
            return 2.0 * np.arcsinh(np.sinh(start / 2.0) + t / 4.0)
        case ("grpo", True):
            angle = np.arctan(np.exp(start / 2.0)) + t / 2.0  # arcsin sqrt p
            with np.errstate(divide="ignore"):
                return _check.result(
                    2.0 * np.log(np.where(angle < np.pi / 2, np.tan(angle), np.inf))
                )
        case ("rloo", True):
            return _check.result(start + t)
        case ("rloo", False):
            return _rloo_flow(start, t)
        case (_, False):
            return _check.result(np.log(np.real(wrightomega(np.exp(start) + start + t))))
        case _:
            return _check.result(np.log(np.expm1(np.logaddexp(0.0, start) + t)))


def _rloo_flow(start: FloatArray, time: FloatArray) -> FloatArray:
    """The z with sinh z + z = sinh z0 + z0 + time/2."""
    goal = np.sinh(start) + start + time / 2.0
    # the left side rises at least twice as fast as z, and its two terms have one sign
    top = np.minimum(start + time / 4.0, np.maximum(np.arcsinh(goal), 0.0))
    margin = 1e-12 * (1.0 + np.abs(start) + np.abs(top))
    return find_root(lambda z: np.sinh(z) + z - goal, start - margin, top + margin)


def escape_time(
    rule: TwoValued,
    start: npt.ArrayLike,
    stop: npt.ArrayLike,
    *,
    group_size: int,
    learning_rate: float,
) -> FloatArray:
    """``T = int_{z0}^{z1} dz/(eta p q w(p))``: mean-field updates from p = start to p = stop.

    Within a few per cent of the mean hitting time of the exact chain for learning rates up to 0.1.
    start and stop in (0, 1) broadcast; start > stop gives a negative time. The drift must not
    vanish between them. Derived here.

    >>> from grpolab.theory.advantage import GRPO
    >>> escape_time(GRPO, 0.02, 0.5, group_size=8, learning_rate=0.1).round(1).item()
    237.5
    """
    low = log_odds(_check.within("start", start, 0.0, 1.0, ends="none"))
    high = log_odds(_check.within("stop", stop, 0.0, 1.0, ends="none"))
    rate = float(_check.positive("learning_rate", learning_rate))
    low, high = np.broadcast_arrays(low, high)
    span = high - low
    panels = max(1, int(np.ceil(np.abs(span).max(initial=0.0))))
    nodes, weights = unit_rule(16)
    share = ((np.arange(panels)[:, None] + nodes) / panels).ravel()
    mass = np.tile(weights / panels, panels)
    p = expit(low[..., None] + span[..., None] * share)
    total: FloatArray = span * ((1.0 / expected_drift(rule, p, group_size=group_size)) @ mass)
    return total / rate


def escape_time_small_p(
    start: npt.ArrayLike, *, group_size: npt.ArrayLike, learning_rate: float, scaled: bool = True
) -> FloatArray:
    """``1/(eta sqrt(g-1) p0)`` with std scaling, ``g/((g-1) eta p0)`` without: leading order.

    Exact in the limit p0 -> 0 at fixed g, where the time to leave the neighbourhood of 0 dominates.
    Derived here.

    >>> escape_time_small_p(0.001, group_size=5, learning_rate=0.1).item()
    5000.0
    """
    p0 = _check.within("start", start, 0.0, 1.0, ends="none")
    g = _check.whole("group_size", group_size, least=2)
    rate = float(_check.positive("learning_rate", learning_rate))
    slope = np.sqrt(g - 1.0) if scaled else (g - 1.0) / g
    return 1.0 / (rate * slope * p0)


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

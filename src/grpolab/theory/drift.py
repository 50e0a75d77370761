"""Dynamics of a one-parameter policy p = sigmoid(z): one step and the mean field.

One update from one group moves z by eta (1/g) sum_i A_i (R_i - p). For rules whose advantages sum
to zero that is eta K A+/g >= 0 whatever was drawn: this policy, and a table over whole responses
(tabular.py), cannot fall. Of a policy with shared parameters, one of tokens included, only the
expectation says so: eta w(p) |grad p|^2 to first order (autoregressive.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import wrightomega

from grpolab.theory import _check
from grpolab.theory._numeric import binomial_pmf, find_root
from grpolab.theory.advantage import Rule
from grpolab.theory.groups import FloatArray
from grpolab.theory.objective import expected_update
from grpolab.theory.rules import advantage_table

Flow = Literal["grpo", "rloo", "maxrl"]


class OneStep(NamedTuple):
    """Law of one update of z per unit learning rate; K = 0..g along the last axis."""

    change: FloatArray  # [..., g + 1]
    prob: FloatArray  # [..., g + 1]
    mean: FloatArray  # [...]
    variance: FloatArray  # [...]


def one_step(rule: Rule, p: npt.ArrayLike, *, group_size: int) -> OneStep:
    """``dz/eta = [K A+ (1-p) - (g-K) A- p]/g`` with K ~ Bin(g, p): exact law, mean and variance.

    For std-normalised GRPO the change is sigma(K), with mean m_g(p) and variance pq(g-1)/g - m_g^2.
    p in [0, 1], one group_size >= 1; ValueError outside. Derived here.

    >>> from grpolab.theory.advantage import GRPO
    >>> one_step(GRPO, 0.5, group_size=2).change.tolist()
    [0.0, 0.5, 0.0]
    """
    chance = _check.probability("p", p)
    g = _check.one_whole("group_size", group_size)
    up, down = logit_pulls(rule, g)
    each = chance[..., None]
    change = up * (1.0 - each) - down * each
    prob = binomial_pmf(chance.ravel(), g).reshape(*chance.shape, g + 1)
    mean = np.sum(prob * change, axis=-1)
    variance = np.sum(prob * (change - mean[..., None]) ** 2, axis=-1)
    return OneStep(change, prob, _check.result(mean), _check.result(variance))


def logit_pulls(rule: Rule, group_size: int) -> tuple[FloatArray, FloatArray]:
    """``K A+/g`` and ``(g-K) A-/g``, [g + 1] each: a group moves z by eta (up q - down p)."""
    right, wrong = advantage_table(rule, group_size)
    k = np.arange(group_size + 1, dtype=np.float64)
    return k * right / group_size, (group_size - k) * wrong / group_size


def expected_drift(rule: Rule, p: npt.ArrayLike, *, group_size: npt.ArrayLike) -> FloatArray:
    """``E[dz]/eta = p q w(p)``: mean-field drift of z; m_g(p) for GRPO, pq(g-1)/g for Dr. GRPO.

    Derived here.

    >>> from grpolab.theory.advantage import DR_GRPO
    >>> expected_drift(DR_GRPO, 0.5, group_size=8).item()
    0.21875
    """
    chance = _check.probability("p", p)
    update = expected_update(rule, chance, group_size=group_size)
    return _check.result(chance * (1.0 - chance) * update)


def noisy_drift(
    rule: Rule,
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
    high = _check.single("true_positive", _check.probability("true_positive", true_positive))
    low = _check.single("false_positive", _check.probability("false_positive", false_positive))
    youden = high - low
    seen = np.clip(low + youden * chance, 0.0, 1.0)
    update = expected_update(rule, seen, group_size=group_size)
    return _check.result(youden * chance * (1.0 - chance) * update)


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
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        moved = _FLOWS[rule, _check.flag("natural", natural)](start, t)
    return _check.result(np.where(t == 0.0, start, moved))


_FAR = 700.0  # logits beyond which exp overflows


def _grpo_flow(start: FloatArray, time: FloatArray) -> FloatArray:
    """2 arsinh(sinh(z0/2) + time/4); where sinh overflows no double adds to it."""
    near = np.clip(start, -2.0 * _FAR, 2.0 * _FAR)
    moved = 2.0 * np.arcsinh(np.sinh(near / 2.0) + time / 4.0)
    return np.where(near == start, moved, start)


def _grpo_natural_flow(start: FloatArray, time: FloatArray) -> FloatArray:
    """Through the angle arcsin sqrt p, or what is missing of it to pi/2: whichever is small."""
    angle = np.arctan(np.exp(start / 2.0)) + time / 2.0
    rest = np.arctan(np.exp(-start / 2.0)) - time / 2.0
    upper = np.where(rest > 0.0, -2.0 * np.log(np.tan(rest)), np.inf)
    return np.where(angle < np.pi / 4.0, 2.0 * np.log(np.tan(angle)), upper)


def _rloo_flow(start: FloatArray, time: FloatArray) -> FloatArray:
    """The z with sinh z + z = sinh z0 + z0 + time/2; where sinh overflows z does not move."""
    near = np.clip(start, -_FAR, _FAR)
    goal = np.sinh(near) + near + time / 2.0
    # the left side rises at least twice as fast as z, and its two terms have one sign
    top = np.minimum(near + time / 4.0, np.maximum(np.arcsinh(goal), 0.0))
    margin = 1e-12 * (1.0 + np.abs(near) + np.abs(top))
    moved = find_root(lambda z: np.sinh(z) + z - goal, near - margin, top + margin)
    return np.where(near == start, moved, start)


def _maxrl_flow(start: FloatArray, time: FloatArray) -> FloatArray:
    """Log of Wright's omega; log omega(x) = x - omega(x) where omega underflows."""
    x = np.exp(np.minimum(start, _FAR)) + start + time
    omega = np.real(wrightomega(x))
    moved = np.where(x < 1.0, x - omega, np.log(omega))
    return np.where(start < _FAR, moved, start + np.log1p(time * np.exp(-start)))


def _maxrl_natural_flow(start: FloatArray, time: FloatArray) -> FloatArray:
    """log(e^x - 1) of x = -log(1 - p)."""
    x = np.logaddexp(0.0, start) + time
    return _check.result(x + np.log(-np.expm1(-x)))


_FLOWS: dict[tuple[str, bool], Callable[[FloatArray, FloatArray], FloatArray]] = {
    ("grpo", False): _grpo_flow,
    ("grpo", True): _grpo_natural_flow,
    ("rloo", False): _rloo_flow,
    ("rloo", True): lambda start, time: start + time,
    ("maxrl", False): _maxrl_flow,
    ("maxrl", True): _maxrl_natural_flow,
}

"""Fixed points of KL-regularised training on one prompt, with their stability.

The optimum against a reference keeps the reference's shares inside the correct and inside the wrong
responses and moves only the odds: ``logit p = logit p_ref + w(p)/beta``. Iterated (p_n from
w(p_{n-1})), it is the recursion of arXiv 2503.06639, there with w = 1/sqrt(pq + eps), that is g ->
infinity. At finite g the weight is bounded, and so is the gain: `kl_gain_ceiling`.

This is the exact reverse KL(policy || reference). Of the sampled penalties used as a loss, k2, and
k3 times the importance ratio, have its gradient in expectation. k3 alone has that of the forward
KL, whose fixed point is another one (`k3_fixed_point`); k1 alone has none and does not hold the
policy at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from grpolab.theory import _check
from grpolab.theory._numeric import all_roots, binomial_mean, find_root, log_odds, logit_of
from grpolab.theory.advantage import GRPO, Rule
from grpolab.theory.groups import FloatArray
from grpolab.theory.objective import expected_update, pulls

Weight = Callable[[FloatArray], FloatArray]


class FixedPoints(NamedTuple):
    """Fixed points in rising order; ``slope`` is that of the recursion in the logit."""

    p: FloatArray  # [F]
    slope: FloatArray  # [F]
    stable: npt.NDArray[np.bool_]  # [F], |slope| < 1


def kl_fixed_points(rule: Rule, p_ref: float, *, beta: float, group_size: int) -> FixedPoints:
    """The p with ``logit p = logit p_ref + w(p)/beta``, w the exact finite-g weight of the rule.

    ``slope = p q w'(p)/beta``. Found from sign changes on a grid of 8001 logits that holds the
    turning points in between, so that close pairs are seen, too; that there are no others is not
    proved, except for beta above `unique_beta`, where there is one. p_ref in (0, 1), beta > 0;
    ValueError outside. Derived here.

    >>> from grpolab.theory.advantage import GRPO
    >>> kl_fixed_points(GRPO, 0.01, beta=1.0, group_size=8).p.round(3).tolist()
    [0.095]
    """
    g = _check.one_whole("group_size", group_size)

    def weight(p: FloatArray) -> FloatArray:
        return expected_update(rule, p, group_size=g)

    def derivative(p: FloatArray) -> FloatArray:
        return weight_derivative(rule, p, group_size=g)

    return _fixed_points(weight, derivative, p_ref, beta)


def kl_fixed_points_limit(p_ref: float, *, beta: float, eps: float = 1e-6) -> FixedPoints:
    """The same with the g -> infinity weight ``1/sqrt(pq + eps)`` of arXiv 2503.06639.

    Its gain diverges like 1/sqrt(eps) for p_ref -> 0 where the finite-g gain is at most
    sqrt(g-1)/beta: do not use it for hard prompts.

    >>> kl_fixed_points_limit(0.01, beta=1.0, eps=1e-6).p.round(3).tolist()[:2]
    [0.146, 0.987]
    """
    small = _check.single("eps", _check.within("eps", eps, 1e-100, np.inf, ends="low"))

    def weight(p: FloatArray) -> FloatArray:
        return 1.0 / np.sqrt(p * (1.0 - p) + small)

    def derivative(p: FloatArray) -> FloatArray:
        with np.errstate(over="ignore"):
            return -(1.0 - 2.0 * p) / 2.0 / (p * (1.0 - p) + small) ** 1.5

    return _fixed_points(weight, derivative, p_ref, beta)


def _fixed_points(weight: Weight, derivative: Weight, p_ref: float, beta: float) -> FixedPoints:
    ref = _check.single("p_ref", _check.within("p_ref", p_ref, 0.0, 1.0, ends="none"))
    base = logit_of(ref)
    cost = _check.single("beta", _check.positive("beta", beta))

    def excess(z: FloatArray) -> FloatArray:
        return base + weight(expit(z)) / cost - z

    def slope_at(z: FloatArray) -> FloatArray:
        return _check.result(expit(z) * expit(-z) * derivative(expit(z)) / cost - 1.0)

    # every root is p_ref moved by a weight that lies between its least and its largest value
    with np.errstate(over="ignore", divide="ignore"):
        value = weight(expit(np.linspace(-745.0, 745.0, 2001))) / cost
    low, high = base + float(value.min()) - 1.0, base + float(value.max()) + 1.0
    if not high - low < np.inf:
        raise ValueError(f"beta must be so large that w(p)/beta is finite, got {cost:g}")
    # p -> 1 beyond z = 37: split there, so that the scan stays fine where p moves
    inner = all_roots(excess, max(low, -745.0), min(high, 60.0), points=8001, slope=slope_at)
    outer = all_roots(excess, 60.0, high) if high > 60.0 else np.empty(0)
    z = np.concatenate([inner, outer])
    p = expit(z)
    slope = p * expit(-z) * derivative(p) / cost
    return FixedPoints(p, slope, np.abs(slope) < 1.0)


def weight_derivative(rule: Rule, p: npt.ArrayLike, *, group_size: npt.ArrayLike) -> FloatArray:
    """``w'(p) = (g-1) E_{M ~ Bin(g-2, p)}[d(M+1) - d(M)]`` with d(j) = A+(j+1) - A-(j); 0 at g = 1.

    Derived here.

    >>> from grpolab.theory.advantage import RLOO
    >>> weight_derivative(RLOO, 0.3, group_size=8).round(9).item()
    0.0
    """
    chance = _check.probability("p", p)
    g = _check.whole("group_size", group_size)

    def second(m: FloatArray, n: int) -> FloatArray:
        return (n + 1.0) * np.diff(pulls(rule, n + 2))

    return _check.result(np.where(g > 1, binomial_mean(second, chance, g - 2.0), 0.0))


def unique_beta(rule: Rule, *, group_size: int) -> float:
    """``sup_p p q |w'(p)|``: for any larger beta the fixed point is unique and stable.

    The maximum over 3001 logits, refined around the largest. Derived here.

    >>> from grpolab.theory.advantage import GRPO
    >>> [round(unique_beta(GRPO, group_size=g), 3) for g in (4, 8)]
    [0.045, 0.288]
    """
    g = _check.one_whole("group_size", group_size)

    def slope(z: FloatArray) -> FloatArray:
        p = expit(z)
        return _check.result(p * expit(-z) * np.abs(weight_derivative(rule, p, group_size=g)))

    grid = np.linspace(-30.0, 30.0, 3001)
    near = grid[np.argmax(slope(grid))]
    return float(slope(np.linspace(near - 0.02, near + 0.02, 2001)).max())


def k3_fixed_point(
    rule: Rule, p_ref: npt.ArrayLike, *, beta: npt.ArrayLike, group_size: int
) -> FloatArray:
    """Where GRPO with the k3 penalty as a loss rests: ``p (1-p) w(p) = beta (p - p_ref)``.

    k3 without the importance ratio has the gradient of the forward KL(reference || policy), which
    pulls by p - p_ref and not by log-odds: a hard prompt rises far above `kl_gain_ceiling`. p_ref
    in (0, 1) and beta > 0 broadcast; ValueError outside. For rules with w > 0 whose drift
    p (1-p) w(p) is concave (GRPO, RLOO, Dr. GRPO) it is the only one. Derived here.

    >>> from grpolab.theory.advantage import GRPO
    >>> k3_fixed_point(GRPO, 0.01, beta=1.0, group_size=8).round(4).item()
    0.473
    """
    ref, cost = np.broadcast_arrays(
        _check.within("p_ref", p_ref, 0.0, 1.0, ends="none"), _check.positive("beta", beta)
    )

    def balance(p: FloatArray) -> FloatArray:
        drift = p * (1.0 - p) * expected_update(rule, p, group_size=group_size)
        return _check.result(drift - cost * (p - ref))

    return _check.result(find_root(balance, ref, np.ones(ref.shape)))


def kl_gain_ceiling(
    group_size: npt.ArrayLike, *, beta: npt.ArrayLike, rule: Rule = GRPO
) -> FloatArray:
    """``max_p w(p)/beta``: the most logits by which the KL optimum lies above its reference.

    ``sqrt(g-1)/beta`` for advantages normalised by the ddof-0 std (GRPO); 2.47/beta for TRL's
    ddof 1 with eps, 1/beta for RLOO and g/beta for MaxRL at g = 8. With the exact reverse KL, in
    expectation, however small p_ref is; not for the k3 penalty without the importance ratio, see
    `k3_fixed_point`. group_size >= 1 and beta > 0 broadcast; ValueError outside. Derived here.

    >>> from grpolab.theory.advantage import MAXRL
    >>> kl_gain_ceiling(5, beta=0.5).item(), kl_gain_ceiling(8, beta=1.0, rule=MAXRL).item()
    (4.0, 8.0)
    """
    g = _check.whole("group_size", group_size)
    cost = _check.positive("beta", beta)
    most = {size: _largest_weight(rule, int(size)) for size in np.unique(g)}
    with np.errstate(over="ignore"):
        return _check.result(np.vectorize(most.get, otypes=[np.float64])(g) / cost)


def _largest_weight(rule: Rule, group_size: int) -> float:
    """max_p w(p): a mean of the pulls, so their largest where that is at an end; else searched."""
    pull = pulls(rule, group_size)
    top = float(pull.max())
    if top in (pull[0], pull[-1]):
        return top
    z = np.linspace(-40.0, 40.0, 4001)
    for _ in range(3):  # each time on a grid a thousand times finer
        weight = expected_update(rule, expit(z), group_size=group_size)
        best = z[int(np.argmax(weight))]
        z = np.linspace(best - (z[1] - z[0]), best + (z[1] - z[0]), 2001)
    return float(max(weight.max(), pull[0], pull[-1]))


def kl_step(
    rule: Rule,
    p: npt.ArrayLike,
    *,
    p_ref: npt.ArrayLike,
    beta: float,
    group_size: int,
    mirror: bool = False,
) -> FloatArray:
    """One exact inner optimum: ``logit p' = logit p_base + w(p)/beta``.

    p_base is p_ref, or p itself with ``mirror`` (the KL is to the previous policy, and p only
    rises). p and p_ref in (0, 1) broadcast. Derived here.

    >>> from grpolab.theory.advantage import RLOO
    >>> kl_step(RLOO, 0.5, p_ref=0.5, beta=1.0, group_size=4).round(6).item()
    0.731059
    """
    chance = _check.within("p", p, 0.0, 1.0, ends="none")
    ref = _check.within("p_ref", p_ref, 0.0, 1.0, ends="none")
    with np.errstate(over="ignore"):
        gain = expected_update(rule, chance, group_size=group_size) / _check.positive("beta", beta)
    return _check.result(expit(log_odds(chance if _check.flag("mirror", mirror) else ref) + gain))


def tilt(policy: npt.ArrayLike, correct: npt.ArrayLike, *, gain: float) -> FloatArray:
    """``pi_ref(y) e^(gain 1{y correct})/Z``: the KL optimum, [..., V]; gain = inf conditions on it.

    Shares inside each class are the reference's, so against a reference that has lost its diversity
    none comes back. ``correct`` are booleans, [V] or [..., V]. Raises ValueError for numbers in
    their place, a policy that does not sum to 1, and an infinite gain towards an empty class.

    >>> tilt([0.25, 0.25, 0.5], [True, False, False], gain=float("inf")).tolist()
    [1.0, 0.0, 0.0]
    """
    pi = _check.distribution("policy", policy)
    mark = _check.mask("correct", correct, pi.shape)
    shift = _check.single("gain", _check.within("gain", gain, -np.inf, np.inf))
    # scaled by e^-gain when that is the smaller number
    weight = pi * np.where(mark == (shift > 0), 1.0, np.exp(-abs(shift)))
    total = weight.sum(axis=-1, keepdims=True)
    if not np.all(total > 0):
        kind = "correct" if shift > 0 else "wrong"
        raise ValueError(f"policy must hold a {kind} response for gain = {gain:g}")
    return _check.result(weight / total)

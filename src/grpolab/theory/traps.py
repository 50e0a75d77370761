"""Forces that can make p fall, and where they win: interference, decay, Adam, clipping.

These are the bifurcations of the dynamics. The threshold p* is not one of them: it is the place
where half the groups have no signal, drift is smooth through it, and it falls like 1/g where the
unstable point of interference falls like g^(-1/2) with std scaling and not at all without. Noise is
no force: a single group of a policy over tokens may lower p (autoregressive.py), groups on average
do not.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from grpolab.theory import _check
from grpolab.theory._numeric import all_roots, find_root, logit_of
from grpolab.theory.advantage import Rule
from grpolab.theory.drift import expected_drift
from grpolab.theory.groups import FloatArray
from grpolab.theory.kl import weight_derivative
from grpolab.theory.objective import expected_update

_FAR = 746.0


class Equilibria(NamedTuple):
    """Rest points of p in rising order; stable where the drift falls through zero."""

    p: FloatArray  # [F]
    stable: npt.NDArray[np.bool_]  # [F]


def interference_threshold(
    rule: Rule, load: npt.ArrayLike, *, group_size: npt.ArrayLike
) -> FloatArray:
    """p_c, the lower root of ``p q w(p) = load``: below it a prompt is dragged down by the others.

    ``dz/dt = eta (p q w(p) - kappa M)``, load = kappa M the drift of the other prompts projected on
    this one. Unstable; its mirror image 1 - p_c is stable for a symmetric rule. The drift must rise
    from 0 to p = 1/2. nan where the load exceeds the drift at 1/2: everything falls. load > 0 and
    group_size >= 1 broadcast. Derived here.

    >>> from grpolab.theory.advantage import DR_GRPO, GRPO
    >>> [round(interference_threshold(r, 0.02, group_size=8).item(), 4) for r in (GRPO, DR_GRPO)]
    [0.0077, 0.0234]
    """
    push, g = np.broadcast_arrays(
        _check.positive("load", load), _check.whole("group_size", group_size)
    )

    def excess(p: FloatArray) -> FloatArray:
        return _check.result(expected_drift(rule, p, group_size=g) - push)

    return _check.result(find_root(excess, np.zeros(g.shape), np.full(g.shape, 0.5)))


def decay_equilibria(
    rule: Rule, *, group_size: int, weight_decay: float, p_prior: float = 0.5
) -> Equilibria:
    """Rest points of ``dz/d(eta t) = p q w(p) - weight_decay (z - logit p_prior)``.

    ``weight_decay`` is that of `Options`, per unit of learning rate; it acts towards the weights it
    is applied to, which for an adapter trained on top of an SFT adapter is the base model. p_prior
    in (0, 1), weight_decay > 0; ValueError outside. Found from
    sign changes on a grid of 20001 logits with its turning points, so that close pairs are seen;
    that there are no others is not proved. Derived here.

    >>> from grpolab.theory.advantage import GRPO
    >>> decay_equilibria(GRPO, group_size=8, weight_decay=0.1, p_prior=0.01).p.round(3).tolist()
    [0.014, 0.16, 0.511]
    """
    g = _check.one_whole("group_size", group_size)
    rate = _check.single("weight_decay", _check.positive("weight_decay", weight_decay))
    start = _check.single("p_prior", _check.within("p_prior", p_prior, 0.0, 1.0, ends="none"))
    base = logit_of(start)

    def net(z: FloatArray) -> FloatArray:
        return expected_drift(rule, expit(z), group_size=g) - rate * (z - base)

    def slope(z: FloatArray) -> FloatArray:
        p, q = expit(z), expit(-z)
        weight = expected_update(rule, p, group_size=g)
        turn = (q - p) * weight + p * q * weight_derivative(rule, p, group_size=g)
        return _check.result(p * q * turn - rate)

    # where decay alone exceeds the largest drift nothing can rest
    most = float(np.abs(expected_drift(rule, np.linspace(0, 1, 401), group_size=g)).max())
    with np.errstate(over="ignore"):
        reach = 1.1 * most / rate + 1.0
    low, high = max(base - reach, -_FAR), min(base + reach, _FAR)  # beyond, no drift is a double
    z = all_roots(net, low, high, points=20001, slope=slope)
    step = 1e-5
    return Equilibria(expit(z), net(z + step) < net(z - step))


def adam_rare_gain(beta1: npt.ArrayLike = 0.9, beta2: npt.ArrayLike = 0.999) -> FloatArray:
    """``(1-b1)/sqrt(1-b2)/(1 - b1/sqrt(b2))``: total move, in learning rates, of one lone gradient.

    Adam answers a gradient that comes once among zeros with this many full steps whatever its size,
    so groups without a signal do not slow Adam in proportion. b1 < sqrt(b2), both in [0, 1). Bias
    correction and eps are left out. Derived here.

    >>> adam_rare_gain(0.9, [0.999, 0.99, 0.95]).round(1).tolist()
    [31.8, 10.5, 5.8]
    """
    b1 = _check.within("beta1", beta1, 0.0, 1.0, ends="low")
    b2 = _check.within("beta2", beta2, 0.0, 1.0, ends="low")
    if not np.all(b1 < np.sqrt(b2)):
        raise ValueError("beta1 must lie below sqrt(beta2): else the lone gradient never dies out")
    return _check.result((1.0 - b1) / np.sqrt(1.0 - b2) / (1.0 - b1 / np.sqrt(b2)))

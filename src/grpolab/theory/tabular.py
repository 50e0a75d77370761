"""Tabular softmax policies over V responses: expected drift, shares inside a class, entropy.

theta are logits, pi = softmax(theta), ``correct`` marks the right responses; p = sum of pi over
them. Arrays have shape [..., V].
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from grpolab.theory import _check
from grpolab.theory.groups import FloatArray
from grpolab.theory.objective import TwoValued, expected_update


def _policy(
    policy: npt.ArrayLike, correct: npt.ArrayLike
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    pi = _check.probability("policy", policy)
    if not np.allclose(pi.sum(axis=-1), 1.0, atol=1e-9):
        raise ValueError(f"policy must sum to 1, got {pi.sum(axis=-1).ravel()[0]:g}")
    mark = np.asarray(correct)
    if mark.dtype != np.bool_ or mark.shape != pi.shape[-1:]:
        raise ValueError(f"correct must be {pi.shape[-1]} booleans, got shape {list(mark.shape)}")
    return pi, mark


def success_rate(policy: npt.ArrayLike, correct: npt.ArrayLike) -> FloatArray:
    """``p = sum of pi over correct``, shape [...].

    Derived here.

    >>> success_rate([0.25, 0.25, 0.5], [True, True, False]).item()
    0.5
    """
    pi, mark = _policy(policy, correct)
    return np.clip(pi @ mark.astype(np.float64), 0.0, 1.0)


def expected_logit_step(
    rule: TwoValued, policy: npt.ArrayLike, *, correct: npt.ArrayLike, group_size: int
) -> FloatArray:
    """``E[dtheta_y]/eta = w(p) pi_y (1{y correct} - p)``: vanilla gradient, one group, on policy.

    [..., V]. policy in [0, 1] summing to 1; ValueError outside. Derived here.

    >>> from grpolab.theory.advantage import RLOO
    >>> expected_logit_step(RLOO, [0.5, 0.5], correct=[True, False], group_size=4).tolist()
    [0.25, -0.25]
    """
    pi, mark = _policy(policy, correct)
    p = success_rate(pi, mark)[..., None]
    return expected_update(rule, p, group_size=group_size) * pi * (mark - p)


def expected_odds_drift(
    rule: TwoValued, policy: npt.ArrayLike, *, correct: npt.ArrayLike, group_size: int
) -> FloatArray:
    """``d logit p/d(eta t) = p q w(p) (C_c + C_i)`` with the collision chances inside each class.

    C_c = sum of squared shares among the correct responses, C_i among the wrong ones. At fixed p a
    policy of lower entropy has larger C and learns faster. nan where p is 0 or 1. Derived here.

    >>> from grpolab.theory.advantage import RLOO
    >>> expected_odds_drift(RLOO, [0.5, 0.5], correct=[True, False], group_size=4).item()
    0.5
    """
    pi, mark = _policy(policy, correct)
    p = success_rate(pi, mark)
    weight = expected_update(rule, p, group_size=group_size)
    with np.errstate(invalid="ignore", divide="ignore"):
        inside = (pi**2 @ mark) / p**2 + (pi**2 @ ~mark) / (1.0 - p) ** 2
        return p * (1.0 - p) * weight * inside


def expected_share_drift(
    shares: npt.ArrayLike, p: npt.ArrayLike, *, rule: TwoValued, group_size: int
) -> FloatArray:
    """``ds_j/d(eta t) = p q w(p) s_j (s_j - sum_k s_k^2)``: shares of correct responses, [..., n].

    The largest share wins: rich get richer under the vanilla gradient. Under the natural gradient
    the shares stand still in expectation. Derived here (cf. arXiv 2605.00365).

    >>> from grpolab.theory.advantage import RLOO
    >>> expected_share_drift([0.75, 0.25], 0.5, rule=RLOO, group_size=2).tolist()
    [0.0234375, -0.0234375]
    """
    s, _ = _policy(shares, np.ones(np.shape(shares)[-1:], dtype=np.bool_))
    chance = _check.probability("p", p)[..., None]
    speed = chance * (1.0 - chance) * expected_update(rule, chance, group_size=group_size)
    return _check.result(speed * s * (s - np.sum(s * s, axis=-1, keepdims=True)))


def group_update(
    rule: TwoValued,
    logits: npt.ArrayLike,
    *,
    correct: npt.ArrayLike,
    responses: npt.ArrayLike,
    learning_rate: float,
) -> FloatArray:
    """Logits after one on-policy update from one realised group; ``responses`` are indices [g].

    ``dtheta_y = (eta/g) [sum over i with y_i = y of A_i - pi_y sum_i A_i]``. With advantages that
    sum to zero it is >= 0 for every correct and <= 0 for every wrong response, so p cannot fall:
    for any group, any step size and any non-negative diagonal preconditioner (momentum, Adam).
    Without a baseline, with several inner epochs, shared parameters, decay or a wrong grader it
    can. Derived here.

    >>> from grpolab.theory.advantage import DR_GRPO
    >>> mark = [True, False]
    >>> group_update(DR_GRPO, [0, 0], correct=mark, responses=[0, 1], learning_rate=1.0).tolist()
    [0.25, -0.25]
    """
    theta = np.asarray(logits, dtype=np.float64)
    drawn = np.asarray(responses, dtype=np.int64)
    pi = np.exp(theta - theta.max())
    pi /= pi.sum()
    _, mark = _policy(pi, correct)
    if drawn.ndim != 1 or not drawn.size or drawn.min() < 0 or drawn.max() >= len(theta):
        raise ValueError(f"responses must be indices in 0..{len(theta) - 1}, got {drawn.tolist()}")
    reward = mark[drawn]
    right, wrong = rule.advantages(float(reward.sum()), len(drawn))
    advantage = np.where(reward, right, wrong)
    pull = np.bincount(drawn, weights=advantage, minlength=len(theta)) - pi * advantage.sum()
    return _check.result(
        theta + _check.positive("learning_rate", learning_rate) / len(drawn) * pull
    )


def entropy(policy: npt.ArrayLike) -> FloatArray:
    """``H = -sum pi log pi`` in nats along the last axis.

    Derived here.

    >>> entropy([0.5, 0.5, 0.0]).round(6).item()
    0.693147
    """
    pi = _check.probability("policy", policy)
    safe = np.where(pi > 0, pi, 1.0)
    total: FloatArray = -np.sum(pi * np.log(safe), axis=-1)
    return total


def entropy_drift(policy: npt.ArrayLike, step: npt.ArrayLike) -> FloatArray:
    """``dH = -Cov_pi(log pi, dtheta)``: first-order change of entropy when logits move by ``step``.

    Policy gradient has dtheta_y = eta pi_y A_y, natural gradient eta A_y (arXiv 2505.22617). [...,
    V].

    >>> entropy_drift([0.75, 0.25], [1.0, 0.0]).round(6).item()
    -0.20599
    """
    pi = _check.probability("policy", policy)
    move = np.asarray(step, dtype=np.float64)
    log_pi = np.log(np.where(pi > 0, pi, 1.0))
    centred = move - np.sum(pi * move, axis=-1, keepdims=True)
    total: FloatArray = -np.sum(pi * log_pi * centred, axis=-1)
    return total


def expected_entropy_drift(
    rule: TwoValued,
    policy: npt.ArrayLike,
    *,
    correct: npt.ArrayLike,
    group_size: int,
    natural: bool = False,
) -> FloatArray:
    """Entropy change per unit learning rate under the expected update of a rule.

    Vanilla: dtheta_y = w pi_y (1{y correct} - p); natural: dtheta_y = w (1{y correct} - p). Derived
    here. Derived here.

    >>> from grpolab.theory.advantage import RLOO
    >>> mark = [True, False]
    >>> expected_entropy_drift(RLOO, [0.75, 0.25], correct=mark, group_size=4).round(6).item()
    -0.077246
    """
    pi, mark = _policy(policy, correct)
    if not natural:
        return entropy_drift(pi, expected_logit_step(rule, pi, correct=mark, group_size=group_size))
    p = success_rate(pi, mark)[..., None]
    return entropy_drift(pi, expected_update(rule, p, group_size=group_size) * (mark - p))

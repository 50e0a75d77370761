"""Tabular softmax policies over V responses: expected drift, shares inside a class, entropy.

theta are logits, pi = softmax(theta), ``correct`` marks the right responses; p = sum of pi over
them. Arrays have shape [..., V].
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from grpolab.theory import _check
from grpolab.theory.advantage import Rule
from grpolab.theory.groups import FloatArray
from grpolab.theory.objective import expected_update
from grpolab.theory.rules import advantage_table


def _policy(
    policy: npt.ArrayLike, correct: npt.ArrayLike
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    pi = _check.distribution("policy", policy)
    return pi, _check.mask("correct", correct, pi.shape)


def success_rate(policy: npt.ArrayLike, correct: npt.ArrayLike) -> FloatArray:
    """``p = sum of pi over correct``, shape [...].

    Derived here.

    >>> success_rate([0.25, 0.25, 0.5], [True, True, False]).item()
    0.5
    """
    pi, mark = _policy(policy, correct)
    return _check.result(np.clip(np.sum(np.where(mark, pi, 0.0), axis=-1), 0.0, 1.0))


def expected_logit_step(
    rule: Rule, policy: npt.ArrayLike, *, correct: npt.ArrayLike, group_size: int
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


def group_update(
    rule: Rule,
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
    That rests on a logit of its own for every whole response. Where responses share parameters, as
    those of a policy over tokens do (`PrefixPolicy`), a single group can lower p, and only the
    expected change is known not to, to first order. So it can without a baseline, with several
    inner epochs, with prompts that share parameters, under decay and with a wrong grader. Derived
    here.

    >>> from grpolab.theory.advantage import DR_GRPO
    >>> mark = [True, False]
    >>> group_update(DR_GRPO, [0, 0], correct=mark, responses=[0, 1], learning_rate=1.0).tolist()
    [0.25, -0.25]
    """
    theta = _check.within("logits", logits, -np.inf, np.inf, ends="none")
    if theta.ndim != 1 or not theta.size:
        raise ValueError(f"logits must have shape [V], got {list(theta.shape)}")
    pi = np.exp(theta - theta.max())
    pi /= pi.sum()
    mark = _check.mask("correct", correct, pi.shape)
    drawn = _check.indices("responses", responses, len(theta))
    reward = mark[drawn]
    right, wrong = advantage_table(rule, len(drawn))
    advantage = np.where(reward, right[reward.sum()], wrong[reward.sum()])
    pull = np.bincount(drawn, weights=advantage, minlength=len(theta)) - pi * advantage.sum()
    rate = _check.single("learning_rate", _check.positive("learning_rate", learning_rate))
    return _check.result(theta + rate / len(drawn) * pull)


def entropy(policy: npt.ArrayLike) -> FloatArray:
    """``H = -sum pi log pi`` in nats along the last axis.

    Derived here.

    >>> entropy([0.5, 0.5, 0.0]).round(6).item()
    0.693147
    """
    pi = _check.distribution("policy", policy)
    safe = np.where(pi > 0, pi, 1.0)
    return _check.result(-np.sum(pi * np.log(safe), axis=-1))


def entropy_drift(policy: npt.ArrayLike, step: npt.ArrayLike) -> FloatArray:
    """``dH = -Cov_pi(log pi, dtheta)``: first-order change of entropy when logits move by ``step``.

    Policy gradient has dtheta_y = eta pi_y A_y, natural gradient eta A_y (arXiv 2505.22617). [...,
    V].

    >>> entropy_drift([0.75, 0.25], [1.0, 0.0]).round(6).item()
    -0.20599
    """
    pi = _check.distribution("policy", policy)
    move = _check.within("step", step, -np.inf, np.inf, ends="none")
    if move.shape[-1:] not in ((), pi.shape[-1:]):
        raise ValueError(f"step must hold {pi.shape[-1]} logits, got shape {list(move.shape)}")
    log_pi = np.log(np.where(pi > 0, pi, 1.0))
    centred = move - np.sum(pi * move, axis=-1, keepdims=True)
    total: FloatArray = -np.sum(pi * log_pi * centred, axis=-1)
    return total

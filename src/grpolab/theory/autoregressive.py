"""Policies over tokens: one softmax table per prefix, the smallest policy whose responses share.

A response is L tokens of V, numbered in base V with the first token in front; prefixes are numbered
breadth first, so that prefix n followed by token v is prefix n V + v + 1. Logits are [N, V] with
N = (V^L - 1)/(V - 1) prefixes.

Responses with a common prefix share its logits, and with them a gradient. What holds for a logit
per response (`group_update`: no group lowers p) does not hold here: the tokens of a right response
may lead to wrong ones more often. What holds for every policy is the expectation, to first order
in the learning rate: E[dp] = eta w(p) |grad p|^2.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from grpolab.theory import _check
from grpolab.theory.advantage import Rule
from grpolab.theory.groups import FloatArray, IntArray
from grpolab.theory.objective import expected_update
from grpolab.theory.rules import advantage_table

BoolArray = npt.NDArray[np.bool_]
MAX_RESPONSES = 1 << 20  # V^L that is enumerated


class Paths(NamedTuple):
    """Prefix and token at each place of each response, [V^L, L] each."""

    prefix: IntArray
    token: IntArray


def response_length(num_tokens: int, num_prefixes: int) -> int:
    """L of a table of N prefixes over V tokens; ValueError where no length has N prefixes.

    >>> response_length(2, 7)
    3
    """
    size, prefixes, length = 1, 0, 0
    while prefixes < num_prefixes and num_tokens > 1 and size <= MAX_RESPONSES:
        prefixes, size, length = prefixes + size, size * num_tokens, length + 1
    if num_tokens < 2 or prefixes != num_prefixes or size > MAX_RESPONSES:
        raise ValueError(
            f"logits must be [(V^L - 1)/(V - 1), V] with V >= 2 and V^L <= {MAX_RESPONSES}, got"
            f" [{num_prefixes}, {num_tokens}]"
        )
    return length


def response_paths(num_tokens: int, length: int) -> Paths:
    """The path of every response through the table of prefixes.

    >>> response_paths(2, 2).prefix.tolist()
    [[0, 1], [0, 1], [0, 2], [0, 2]]
    """
    place = np.arange(length)
    response = np.arange(num_tokens**length)[:, None]
    offset = (num_tokens**place - 1) // (num_tokens - 1)
    prefix = offset + response // num_tokens ** (length - place)
    return Paths(prefix, response // num_tokens ** (length - 1 - place) % num_tokens)


def _table(logits: npt.ArrayLike) -> tuple[FloatArray, FloatArray, Paths]:
    """Logits, chances of tokens [N, V] and paths."""
    table = _check.within("logits", logits, -np.inf, np.inf, ends="none")
    if table.ndim != 2:
        raise ValueError(f"logits must have shape [N, V], got {list(table.shape)}")
    length = response_length(table.shape[1], table.shape[0])
    token = np.exp(table - table.max(axis=-1, keepdims=True))
    token /= token.sum(axis=-1, keepdims=True)
    return table, token, response_paths(table.shape[1], length)


def response_probs(logits: npt.ArrayLike) -> FloatArray:
    """``pi(y) = prod_l softmax(logits[prefix_l])[y_l]`` of all V^L responses.

    >>> response_probs([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    _, token, paths = _table(logits)
    chance: FloatArray = np.prod(token[paths.prefix, paths.token], axis=-1)
    return chance


def success_gradient(logits: npt.ArrayLike, *, correct: npt.ArrayLike) -> FloatArray:
    """``grad p = sum_y pi(y) 1{y correct} grad log pi(y)`` in the logits, [N, V].

    >>> success_gradient([[0.0, 0.0]], correct=[True, False]).tolist()
    [[0.25, -0.25]]
    """
    _, token, paths = _table(logits)
    chance = np.prod(token[paths.prefix, paths.token], axis=-1)
    mark = _check.mask("correct", correct, chance.shape)
    return _pull(token, paths, np.where(mark, chance, 0.0))


def _pull(token: FloatArray, paths: Paths, weight: FloatArray) -> FloatArray:
    """``sum_y weight_y grad log pi(y)``, [N, V]."""
    out = np.zeros_like(token)
    np.add.at(out, (paths.prefix, paths.token), weight[:, None])
    pull: FloatArray = out - out.sum(axis=-1, keepdims=True) * token
    return pull


def prefix_update(
    rule: Rule,
    logits: npt.ArrayLike,
    *,
    correct: npt.ArrayLike,
    responses: npt.ArrayLike,
    learning_rate: float,
) -> FloatArray:
    """Logits [N, V] after one on-policy update from one realised group of response numbers [g].

    ``dtheta = (eta/g) sum_i A_i grad log pi(y_i)``. Unlike `group_update`, it can lower p. Here a
    right 00 and a wrong 10 raise the first token 0, after which success has chance 0.1 and not 0.9:

    >>> from grpolab.theory.advantage import GRPO
    >>> table, mark = np.log([[0.5, 0.5], [0.1, 0.9], [0.1, 0.9]]), [True, False, False, True]
    >>> moved = prefix_update(GRPO, table, correct=mark, responses=[0, 2], learning_rate=0.1)
    >>> round(float(response_probs(moved)[[0, 3]].sum()), 4)
    0.4881
    """
    table, token, paths = _table(logits)
    mark = _check.mask("correct", correct, (len(paths.token),))
    drawn = _check.indices("responses", responses, len(mark))
    rate = _check.single("learning_rate", _check.positive("learning_rate", learning_rate))
    reward = mark[drawn]
    right, wrong = advantage_table(rule, len(drawn))
    advantage = np.where(reward, right[reward.sum()], wrong[reward.sum()])
    weight = np.bincount(drawn, weights=advantage, minlength=len(mark)) / len(drawn)
    return table + rate * _pull(token, paths, weight)


def expected_gain(
    rule: Rule, p: npt.ArrayLike, *, squared_gradient: npt.ArrayLike, group_size: npt.ArrayLike
) -> FloatArray:
    """``E[dp]/eta = w(p) |grad p|^2`` to first order, for any policy and one prompt.

    ``squared_gradient`` is |grad p|^2 over all parameters. Not negative where w >= 0, so on policy
    and without shared prompts no rule with w >= 0 lowers p *on average*, in small steps; a single
    group can. For p = sigmoid(z) it is p q times `expected_drift`. Arguments broadcast; p in
    [0, 1]; ValueError outside. Derived here from arXiv 2510.13651's w.

    >>> from grpolab.theory.advantage import RLOO
    >>> expected_gain(RLOO, 0.5, squared_gradient=0.25**2, group_size=4).item()
    0.0625
    """
    square = _check.within("squared_gradient", squared_gradient, 0.0, np.inf, ends="low")
    with np.errstate(over="ignore"):
        return _check.result(square * expected_update(rule, p, group_size=group_size))

"""Groups whose members have unequal chances: stale, replayed or mixed-temperature rollouts.

Member i is correct with chance p_i, members are independent given these. An asynchronous trainer
fills a group from several versions of the policy, a replay buffer brings older members, a sampler
may use several temperatures. q_i = 1 - p_i; last axis of every array: the members, [..., g].
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from grpolab.theory import _check
from grpolab.theory._numeric import complement_log
from grpolab.theory.advantage import Rule
from grpolab.theory.groups import FloatArray
from grpolab.theory.rules import advantage_table


def _members(name: str, value: npt.ArrayLike) -> FloatArray:
    chance = _check.probability(name, value)
    if not chance.ndim or not chance.shape[-1]:
        raise ValueError(f"{name} must hold one chance per member, got shape {list(chance.shape)}")
    return chance


def unequal_count_pmf(p: npt.ArrayLike) -> FloatArray:
    """P(K = k) of independent members with chances p [..., g] (Poisson-binomial), [..., g + 1].

    One member after the other, by sums of positive terms. Raises ValueError for p outside [0, 1].

    >>> unequal_count_pmf([0.5, 1.0]).tolist()
    [0.0, 0.5, 0.5]
    """
    chance = _members("p", p)
    law = np.zeros((*chance.shape[:-1], chance.shape[-1] + 1))
    law[..., 0] = 1.0
    for i in range(chance.shape[-1]):
        one = chance[..., i, None]
        ahead = law * (1.0 - one)
        ahead[..., 1:] += law[..., :-1] * one
        law = ahead
    return law


def unequal_zero_std(p: npt.ArrayLike) -> FloatArray:
    """``prod p_i + prod (1 - p_i)``: all rewards of the group are equal; 1 at g = 1.

    Not a function of the mean m of the p_i, but at most `prob_zero_std` at m, by the inequality of
    means for both products; equal (beyond g = 1) only where all p_i are. So mixing policies in a
    group never costs mixed groups at a given mean. Derived here.

    >>> unequal_zero_std([0.5, 0.5]).item(), unequal_zero_std([0.0, 1.0]).item()
    (0.5, 0.0)
    """
    chance = _members("p", p)
    wrong = np.exp(np.sum(complement_log(chance), axis=-1))
    both = np.minimum(np.prod(chance, axis=-1) + wrong, 1.0)
    return _check.result(both if chance.shape[-1] > 1 else np.ones_like(both))


def unequal_variance(p: npt.ArrayLike) -> FloatArray:
    """``E[sigma^2] = (g-1)/g mean(p_i q_i) + Var(p_i)``, ddof 0 in both variances.

    Spread inside a group *adds* variance (mean(p_i q_i) = m(1-m) - Var(p_i), so that E[sigma^2] =
    (g-1)/g m(1-m) + Var(p_i)/g with m the mean), where spread over prompts takes it away. Derived
    here.

    >>> unequal_variance([0.5, 0.5]).item(), unequal_variance([0.0, 1.0]).item()
    (0.125, 0.25)
    """
    chance = _members("p", p)
    size = chance.shape[-1]
    inner = np.mean(chance * (1.0 - chance), axis=-1)
    return _check.result((size - 1) / size * inner + np.var(chance, axis=-1))


def stale_drift(
    rule: Rule, p: npt.ArrayLike, *, behaviour: npt.ArrayLike, importance: bool
) -> FloatArray:
    """Expected change of z = logit p, per unit learning rate, by a group that another policy drew.

    Member i was drawn with chance ``behaviour`` b_i [..., g]; the policy that is trained has chance
    p [...]. Its score of a reward is R - p. With ``importance`` ratios (p/b_i for right, q/(1-b_i)
    for wrong, not clipped) the drift is ``p q mean_i w_i``, w_i = E[A+(M_i+1) - A-(M_i)] with M_i
    the number correct among the others; without, for centred rules, ``E[K A+(K)]/g``, whatever p
    is. Where all b_i = b these are ``p q w(b)`` and ``b(1-b) w(b)``: without ratios a prompt that
    the trained policy has almost solved, or lost, is still pushed as the old one was. Derived here.

    Raises ValueError for numbers outside [0, 1], and for importance ratios with b_i = 0 or 1.

    >>> from grpolab.theory.advantage import RLOO
    >>> [stale_drift(RLOO, 0.1, behaviour=[0.5] * 8, importance=i).round(6).item()
    ...  for i in (True, False)]
    [0.09, 0.25]
    """
    chance = _check.probability("p", p)
    drawn = _members("behaviour", behaviour)
    if _check.flag("importance", importance):
        _check.within("behaviour", drawn, 0.0, 1.0, ends="none")
    size = drawn.shape[-1]
    right, wrong = advantage_table(rule, size)
    up, down = [], []
    for i in range(size):
        others = np.delete(drawn, i, axis=-1)
        law = unequal_count_pmf(others) if size > 1 else np.ones((*drawn.shape[:-1], 1))
        up.append(law @ right[1:])
        down.append(law @ wrong[:-1])
    pulled, pushed = np.stack(up, axis=-1), np.stack(down, axis=-1)
    if importance:
        total = chance * (1.0 - chance) * np.mean(pulled - pushed, axis=-1)
    else:
        total = (1.0 - chance) * np.mean(drawn * pulled, axis=-1) - chance * np.mean(
            (1.0 - drawn) * pushed, axis=-1
        )
    return _check.result(total)

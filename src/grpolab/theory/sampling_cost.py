"""What a mixed group costs, what dynamic sampling does to a step, and the best group size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from grpolab.theory import _check
from grpolab.theory.groups import Exchangeable, FloatArray
from grpolab.theory.zero_std import prob_mixed

Criterion = Literal["mixed", "std", "variance"]


class DynamicSampling(NamedTuple):
    """What drawing prompts until the batch is full of mixed groups amounts to."""

    expected_prompts: FloatArray
    step_scale: FloatArray


def dynamic_sampling(batch_size: npt.ArrayLike, *, prob_zero_std: npt.ArrayLike) -> DynamicSampling:
    """``B/(1-E d)`` prompts are drawn and the expected step is ``1/(1-E d)`` times as long.

    Three conditions: every draw is a *new* prompt from the same law (arXiv 2503.14476), groups
    without a signal contribute nothing (advantages that sum to zero, no KL or entropy term, not
    MaxRL or sign), and the step is linear in the gradient. Then the expected direction stays and
    only its length changes, so a fair test against no filtering rescales the step. The direction
    does change where the same prompt is drawn until its group is mixed, which weighs it by
    1/(1 - d_g(p)); where an epoch ends before the easy and hard prompts gave as many groups; and
    under Adam, which undoes the scale. prob_zero_std, the mean of d_g over prompts, in [0, 1);
    ValueError outside. Derived here.

    >>> dynamic_sampling(64, prob_zero_std=0.5)
    DynamicSampling(expected_prompts=np.float64(128.0), step_scale=np.float64(2.0))
    """
    batch = _check.whole("batch_size", batch_size)
    dead = _check.within("prob_zero_std", prob_zero_std, 0.0, 1.0, ends="low")
    scale = _check.result(1.0 / (1.0 - dead))
    return DynamicSampling(_check.result(batch * scale), scale)


def expected_rollouts_until_mixed(p: npt.ArrayLike) -> FloatArray:
    """``1/p + 1/q - 1 = 1/(pq) - 1``: rollouts, one by one, until both rewards were seen.

    Infinite at p = 0 and 1. p in [0, 1]; ValueError outside. Derived here (cf. arXiv 2509.25849).

    >>> expected_rollouts_until_mixed([0.5, 0.0]).tolist()
    [3.0, inf]
    """
    chance = _check.probability("p", p)
    with np.errstate(divide="ignore", over="ignore"):
        wait: FloatArray = 1.0 / (chance * (1.0 - chance)) - 1.0
    return wait


def expected_groups_until_mixed(p: npt.ArrayLike, group_size: npt.ArrayLike) -> FloatArray:
    """``1/(1 - d_g(p))``: groups drawn per mixed one; 2 at the threshold p*, infinite at p = 0, 1.

    Derived here.

    >>> expected_groups_until_mixed(0.5, 2).item()
    2.0
    """
    with np.errstate(divide="ignore", over="ignore"):
        wait: FloatArray = 1.0 / prob_mixed(p, group_size)
    return wait


def snr(p: npt.ArrayLike, group_size: npt.ArrayLike) -> FloatArray:
    """``E^2/Var = g pq / [(1-4pq) + 2pq/(g-1)]`` of the RLOO gradient of a logit; 0 at g = 1.

    The gradient of a one-parameter Bernoulli policy is s^2, the ddof-1 variance. Infinite nowhere
    in (0, 1) for finite g; 0 at both ends. p in [0, 1], group_size >= 1 broadcast. The gradient is
    a U-statistic of order two (arXiv 2603.01162); this variance derived here.

    >>> snr(0.5, 8).item()
    28.0
    """
    chance = _check.probability("p", p)
    g = _check.whole("group_size", group_size)
    pq = chance * (1.0 - chance)
    free = np.where(g > 1, g - 1.0, 1.0)
    return _check.result(
        np.where(g > 1, g * pq / ((1.0 - 2.0 * chance) ** 2 + 2.0 * pq / free), 0.0)
    )


def signal_per_rollout(
    law: Exchangeable, group_size: int, *, criterion: Criterion = "mixed"
) -> FloatArray:
    """Signal of a group over its rollouts, for prompts that follow ``law``; shape of law.mean.

    ``mixed``: P(0 < K < g)/g. ``std``: E[sigma]/g, the drift of std-normalised rules at a fixed
    learning rate. ``variance``: E[sigma^2]/g, that of unnormalised ones. Derived here.

    >>> from grpolab.theory import BetaBinomial
    >>> signal_per_rollout(BetaBinomial(mean=0.5, rho=0.0), 2, criterion="std").round(12).item()
    0.125
    """
    _check.choice("criterion", criterion, ("mixed", "std", "variance"))
    _check.law("law", law, "pmf")
    g = _check.summed("group_size", _check.one_whole("group_size", group_size))
    k = np.arange(g + 1, dtype=np.float64)
    spread = k * (g - k) / (g * g)
    value = {"mixed": (spread > 0).astype(float), "std": np.sqrt(spread), "variance": spread}
    total: FloatArray = law.pmf(g) @ value[criterion] / g
    return total


def best_group_size(
    law: Exchangeable, sizes: Sequence[int], *, criterion: Criterion = "mixed"
) -> FloatArray:
    """The smallest of ``sizes`` with the largest signal per rollout; shape of law.mean.

    Under ``mixed`` g = 2 and g = 3 tie for independent rewards, so ties go to the smaller.
    Derived here.

    >>> from grpolab.theory import BetaBinomial
    >>> best_group_size(BetaBinomial(mean=0.2, rho=0.3), [2, 3, 4, 8, 16]).item()
    2.0
    """
    order = sorted({int(g) for g in _check.whole("sizes", sizes).ravel()})
    if not order:
        raise ValueError("sizes must hold at least one group size")
    table = np.stack([signal_per_rollout(law, g, criterion=criterion) for g in order])
    # equal within rounding is a tie
    best = np.argmax(table >= table.max(axis=0) * (1 - 1e-12), axis=0)
    return _check.result(np.asarray(order)[best])

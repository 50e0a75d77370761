"""A grader that errs, and the signal to noise of one step for every rule.

The grader passes a right rollout with chance TPR and a wrong one with FPR, J = TPR - FPR. All that
a group shows then follows from the rate that is seen, r = FPR + J p; what moves the policy is the
truth behind the marks. Other names: e = FPR, d = 1 - TPR, r = e + (1 - e - d) p.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from grpolab.theory import _check
from grpolab.theory._numeric import binomial_pmf
from grpolab.theory.advantage import Rule
from grpolab.theory.groups import FloatArray
from grpolab.theory.rules import advantage_table


def _rates(true_positive: float, false_positive: float) -> tuple[float, float]:
    high = _check.single("true_positive", _check.probability("true_positive", true_positive))
    low = _check.single("false_positive", _check.probability("false_positive", false_positive))
    return high, low


def seen_rate(
    p: npt.ArrayLike, *, true_positive: float = 1.0, false_positive: float = 0.0
) -> FloatArray:
    """``r = FPR + (TPR - FPR) p``: the success rate that an erring grader shows.

    Every law of a group's marks is that of p at r: P(zero std) = d_g(r). Derived here.

    >>> seen_rate(0.5, true_positive=0.75, false_positive=0.25).item()
    0.5
    """
    high, low = _rates(true_positive, false_positive)
    chance = _check.probability("p", p)
    return _check.result(np.clip(low * (1.0 - chance) + high * chance, 0.0, 1.0))


def true_rate(
    seen: npt.ArrayLike, *, true_positive: float = 1.0, false_positive: float = 0.0
) -> FloatArray:
    """``p = (r - FPR)/(TPR - FPR)``: inverse of `seen_rate`; nan where no p shows r.

    With r = `critical_p` it is the p* of the truth: a grader with FPR >= p*(g) has none, as wrong
    answers that pass give groups a spread (and a wrong signal) at p = 0. Raises ValueError where
    TPR = FPR. Derived here.

    >>> from grpolab.theory import critical_p
    >>> true_rate(critical_p(8), true_positive=0.9, false_positive=0.05).round(4).item()
    0.0388
    """
    high, low = _rates(true_positive, false_positive)
    if high == low:
        raise ValueError("true_positive must differ from false_positive: marks say nothing else")
    rate = (_check.probability("seen", seen) - low) / (high - low)
    return _check.result(np.where((rate >= 0) & (rate <= 1), rate, np.nan))


def seen_rho(
    mean: npt.ArrayLike,
    rho: npt.ArrayLike,
    *,
    true_positive: float = 1.0,
    false_positive: float = 0.0,
) -> FloatArray:
    """``J^2 rho m(1-m)/(r(1-r))``: ICC of the marks, r the mean that is seen.

    Errors are independent given the rollout, so the spread of p over prompts shrinks by J and that
    of the marks does not. nan where r is 0 or 1. Derived here.

    >>> seen_rho(0.5, 0.4, true_positive=0.75, false_positive=0.25).item()
    0.1
    """
    high, low = _rates(true_positive, false_positive)
    m, corr = _check.probability("mean", mean), _check.probability("rho", rho)
    r = seen_rate(m, true_positive=high, false_positive=low)
    with np.errstate(divide="ignore", invalid="ignore"):
        return _check.result((high - low) ** 2 * corr * m * (1.0 - m) / (r * (1.0 - r)))


def cut_drift(
    rule: Rule,
    p: npt.ArrayLike,
    *,
    group_size: int,
    cut_right: float = 0.0,
    cut_wrong: float = 0.0,
    masked: bool = False,
) -> FloatArray:
    """Expected change of z = logit p where rollouts beyond a budget of tokens count as wrong.

    A right rollout is cut with chance a, a wrong one with b; geometric lengths of mean L and a
    budget of B tokens give (1 - 1/L)^B. With r = (1-a) p, U = E[A+(M+1)] and D = E[A-(M)] for
    M ~ Bin(g-1, r):

        p q [(1-a) U + a D - D],    masked: p q [(1-a) U - (1-b) D],

    where ``masked`` leaves cut rollouts without a loss of their own (DAPO's overlong filtering).
    Without it b does not matter. p, a, b in [0, 1], one group_size >= 1; ValueError outside.
    Derived here.

    >>> from grpolab.theory import RLOO
    >>> at = {"group_size": 2, "cut_right": 0.5}
    >>> [cut_drift(RLOO, 0.5, **at, masked=m).round(5).item() for m in (False, True)]
    [0.125, 0.15625]
    """
    chance = _check.probability("p", p)
    g = _check.one_whole("group_size", group_size)
    a, b = (
        _check.single(name, _check.probability(name, value))
        for name, value in (("cut_right", cut_right), ("cut_wrong", cut_wrong))
    )
    right, wrong = advantage_table(rule, g)
    law = binomial_pmf(((1.0 - a) * chance).ravel(), g - 1).reshape(*chance.shape, g)
    up, down = law @ right[1:], law @ wrong[:-1]
    given = (1.0 - a) * up
    taken = (1.0 - b) * down if _check.flag("masked", masked) else (1.0 - a) * down
    return _check.result(chance * (1.0 - chance) * (given - taken))


class StepNoise(NamedTuple):
    """Mean, variance and mean^2/variance of the change of z by one group, per learning rate."""

    mean: FloatArray
    variance: FloatArray
    snr: FloatArray  # nan where the change is 0 for sure, infinite where it is sure and not 0


def step_noise(
    rule: Rule,
    p: npt.ArrayLike,
    *,
    group_size: int,
    true_positive: float = 1.0,
    false_positive: float = 0.0,
) -> StepNoise:
    """``E[dz]^2/Var(dz)`` of one group for any rule, with or without errors of the grader.

    With M ~ Bin(g, r) marks, a = TPR p/r the chance that a marked rollout is right and c = (1-TPR)
    p/(1-r) that an unmarked one is: dz = (1/g) sum_i A_i (T_i - p), T_i the truth, has the mean
    [M A+ (a-p) + (g-M) A- (c-p)]/g given M and the variance [M A+^2 a(1-a) + (g-M) A-^2 c(1-c)]/g^2
    around it. Averages of n groups have n times the ratio. For RLOO without errors it is `snr`. p
    in [0, 1], one group_size >= 1; ValueError outside. Derived here (cf. arXiv 2603.01162, the
    U-statistic of centred rules).

    >>> from grpolab.theory import DR_GRPO, GRPO, RLOO, snr
    >>> [step_noise(rule, 0.1, group_size=8).snr.round(3).item() for rule in (RLOO, DR_GRPO, GRPO)]
    [1.082, 1.082, 1.259]
    >>> snr(0.1, 8).round(3).item()
    1.082
    """
    high, low = _rates(true_positive, false_positive)
    chance = _check.probability("p", p)
    g = _check.one_whole("group_size", group_size)
    r = np.asarray(seen_rate(chance, true_positive=high, false_positive=low))
    right, wrong = advantage_table(rule, g)
    k = np.arange(g + 1, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        a = np.where(r > 0, high * chance / r, 0.0)[..., None]
        c = np.where(r < 1, (1.0 - high) * chance / (1.0 - r), 0.0)[..., None]
    law = binomial_pmf(r.ravel(), g).reshape(*r.shape, g + 1)
    each = chance[..., None]
    centre = (k * right * (a - each) + (g - k) * wrong * (c - each)) / g
    inner = (k * right**2 * a * (1.0 - a) + (g - k) * wrong**2 * c * (1.0 - c)) / g**2
    mean = np.sum(law * centre, axis=-1)
    variance = np.sum(law * (inner + (centre - mean[..., None]) ** 2), axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = mean * (mean / variance)
    return StepNoise(_check.result(mean), _check.result(variance), _check.result(ratio))

"""What RL will make of a start, from success counts before it: rules that were fixed beforehand.

The rules are those of ``docs/preregistration.md``. Each maps the counts of a start to a score that
orders starts by the outcome. In the trial the transport and pass@8 chose well for final pass@10;
for final pass@1 neither pass@2 nor pass@k(budget) chose better than pass@1
(``docs/predictors.md``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from grpolab.theory import GroupCounts
from grpolab.theory.groups import FloatArray
from grpolab.validate.estimate.bootstrap import floored, half_width, mean_stderr
from grpolab.validate.forecast.levels import Level, level

BUDGETS, KS = (25, 100, 250, 450), (1.0, 1.375, 2.0, 2.25)
"""Knots of the budget law: RL steps, and the k whose pass@k before RL ranks pass@1 after them."""
SHIFT = 1.0
"""Shift in logits of the transport for final pass@1."""
SHIFT_AT_K, NOISE_AT_K = 1.75, 3.45
"""Shift in logits, and noise per prompt, of the transport for final pass@k with k > 1."""
_NODES = 64


def budget_k(steps: float) -> float:
    """k(s): the k whose pass@k before RL is to rank starts by pass@1 after ``steps`` RL steps.

    Linear in log(s) between (25, 1), (100, 1.375), (250, 2) and (450, 2.25), constant outside: the
    middles of the ranges that were found on nine ladders. Steps are those of the tiny models of
    the study; a step of another trainer moves a policy by another amount. ValueError for steps < 1.

    >>> budget_k(10), budget_k(100), round(budget_k(50), 4), budget_k(10_000)
    (1.0, 1.375, 1.1875, 2.25)
    """
    if not steps >= 1:
        raise ValueError(f"steps must be >= 1, got {steps}")
    return float(np.interp(np.log(steps), np.log(BUDGETS), KS))


def pass_at_any(num_samples: npt.ArrayLike, num_correct: npt.ArrayLike, k: float) -> FloatArray:
    """pass@k of prompts for any real k >= 1, by the same formula in gamma functions.

    ``1 - G(n-c+1) G(n-k+1) / (G(n-c-k+1) G(n+1))`` where n - c >= k, else 1; shape [M]. For whole k
    this is `theory.pass_at_k`, without bias; for others (1-p)^k has no unbiased estimator, and the
    bias is at most 1/(e n), .006 at n = 64. ValueError unless 1 <= k <= n.

    >>> pass_at_any(4, [0, 1, 2, 3], 2).round(6).tolist()
    [0.0, 0.5, 0.833333, 1.0]
    >>> pass_at_any(64, 32, 1.5).round(4).item()
    0.6485
    """
    n, c = (np.asarray(v, dtype=np.float64) for v in (num_samples, num_correct))
    if not 1 <= k <= n.min():
        raise ValueError(f"k must lie in [1, {int(n.min())}], the fewest samples, got {k}")
    if (c < 0).any() or (c > n).any():
        raise ValueError("num_correct must lie in 0..num_samples")
    room = np.maximum(n - c - k, 0.0)
    log_none = (
        special.gammaln(n - c + 1)
        + special.gammaln(n - k + 1)
        - special.gammaln(room + 1)
        - special.gammaln(n + 1)
    )
    some = np.where(n - c >= k, 0.0 - np.expm1(np.minimum(log_none, 0.0)), 1.0)
    return np.where(c == 0, 0.0, some)  # exactly: the logarithms cancel to a rounding error


def transport(
    num_samples: npt.ArrayLike,
    num_correct: npt.ArrayLike,
    *,
    k: int,
    shift: float,
    noise: float = 0.0,
) -> FloatArray:
    """pass@k of prompts [M] whose logits are moved: ``E[1 - (1 - expit(z + D + s e))^k]``.

    z = logit((c + 1/2) / (n + 1)), e standard normal, D = ``shift``, s = ``noise``; the mean over
    e by Gauss-Hermite quadrature. With s = 0 and D = 1 the mean over prompts is to first order
    mean p + mean p(1-p), which is pass@2. ValueError for k < 1 or a negative noise.

    >>> transport(64, [0, 32, 64], k=1, shift=1.0).round(4).tolist()
    [0.0206, 0.7311, 0.9972]
    """
    if k < 1:
        raise ValueError(f"k must be >= 1, got {k}")
    if not noise >= 0:
        raise ValueError(f"noise must be >= 0, got {noise}")
    n, c = (np.asarray(v, dtype=np.float64) for v in (num_samples, num_correct))
    z = special.logit((c + 0.5) / (n + 1))
    node, weight = np.polynomial.hermite_e.hermegauss(_NODES)
    moved = z[..., None] + shift + noise * node
    reached = -np.expm1(k * special.log_expit(-moved))
    return np.asarray(reached @ (weight / weight.sum()))


class OutcomeForecast(NamedTuple):
    """Score of a start under a rule, with its 95% interval over prompts.

    ``k`` is the k of the outcome pass@k. The interval says how far other prompts of the same kind
    would have given another score; it is no interval of the outcome. That is ``outcome``: what RL
    is to reach, from the designs that are finished, and None where they say nothing of it.
    """

    rule: str
    k: int
    steps: int
    value: float
    low: float
    high: float
    outcome: Level | None = None

    @property
    def estimate(self) -> tuple[float, float, float]:
        """The score with its interval."""
        return self.value, self.low, self.high

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        outcome = None if self.outcome is None else self.outcome._asdict()
        return {**self._asdict(), "outcome": outcome}


_Values = Callable[[FloatArray, FloatArray, int, int], FloatArray]
_RULES: Mapping[str, _Values] = MappingProxyType(
    {
        "pass@1": lambda n, c, steps, k: pass_at_any(n, c, 1),
        "pass@2": lambda n, c, steps, k: pass_at_any(n, c, 2),
        "pass@k(budget)": lambda n, c, steps, k: pass_at_any(n, c, budget_k(steps)),
        "transport": lambda n, c, steps, k: transport(
            n, c, k=k, shift=SHIFT if k == 1 else SHIFT_AT_K, noise=0.0 if k == 1 else NOISE_AT_K
        ),
        "pass@8": lambda n, c, steps, k: pass_at_any(n, c, 8),
    }
)
RULES = tuple(_RULES)
"""Names of the rules of `forecast_outcome`."""
FOR_MANY = ("transport", "pass@8")
"""Rules for outcomes pass@k with k > 1; the others, and the transport, are for pass@1."""
MEANT_FOR = tuple((rule, 10 if rule in FOR_MANY else 1) for rule in RULES)
"""Rules with the k of the outcome pass@k by which each is judged."""


def rule_fits(rule: str, k: int) -> bool:
    """Whether a rule is meant for the outcome pass@k.

    >>> rule_fits("pass@8", 1), rule_fits("transport", 1), rule_fits("pass@1", 10)
    (False, True, False)
    """
    return rule == "transport" or (rule in FOR_MANY) == (k > 1)


def default_rule(k: int) -> str:
    """The rule for the outcome pass@k where none is named.

    >>> default_rule(1), default_rule(10)
    ('pass@1', 'transport')
    """
    return "pass@1" if k == 1 else "transport"


def samples_needed(rule: str, *, steps: int) -> float:
    """Samples of every prompt that a rule needs.

    >>> samples_needed("pass@2", steps=100), samples_needed("transport", steps=100)
    (2.0, 1.0)
    """
    known = {"pass@2": 2.0, "pass@8": 8.0}
    return budget_k(steps) if rule == "pass@k(budget)" else known.get(rule, 1.0)


def outcome_scores(counts: GroupCounts, *, steps: int, rule: str, k: int = 1) -> FloatArray:
    """The score of every prompt under a rule, whose mean is that of the start; see below."""
    totals = counts.by_prompt()
    return score_values(totals.num_samples, totals.num_correct, steps=steps, rule=rule, k=k)


def score_values(
    num_samples: npt.ArrayLike, num_correct: npt.ArrayLike, *, steps: int, rule: str, k: int = 1
) -> FloatArray:
    """`outcome_scores` of arrays of counts, of any shape."""
    if rule not in _RULES:
        raise ValueError(f"rule must be one of {', '.join(RULES)}, got {rule!r}")
    if steps < 1:
        raise ValueError(f"steps must be >= 1, got {steps}")
    if k < 1:
        raise ValueError(f"k must be >= 1, got {k}")
    if not rule_fits(rule, k):
        use = f"for k = {k} use {' or '.join(FOR_MANY)}" if k > 1 else "for k = 1 use pass@1"
        raise ValueError(f"rule {rule} is for outcomes pass@{'1' if k > 1 else 'k, k > 1'}; {use}")
    n, c = (np.asarray(v, dtype=np.float64) for v in (num_samples, num_correct))
    if n.size and n.min() < samples_needed(rule, steps=steps):
        raise ValueError(
            f"rule {rule} needs {samples_needed(rule, steps=steps):g} samples of every prompt, got"
            f" {int(n.min())} of some"
        )
    return _RULES[rule](n, c, steps, k)


def forecast_outcome(
    counts: GroupCounts, *, steps: int, rule: str = "", k: int = 1
) -> OutcomeForecast:
    """Score of a start for pass@k after ``steps`` RL steps, by a rule fixed before its trial.

    The start with the highest score is the one to choose. Without ``rule`` it is ``pass@1`` for
    k = 1, which no rule beat in the trial, and ``transport`` above. The rules, each a mean over
    prompts:

    - ``pass@1``: mean p, the usual baseline.
    - ``pass@2``: the chance that one of two samples is right; for mean m and ICC r it is
      m + m (1 - m)(1 - r). To first order this is a shift of all logits by 1.
    - ``pass@k(budget)``: pass@k at k(s) of `budget_k`, which grows with the RL budget.
    - ``transport``: E[1 - (1 - expit(z + D + s e))^k] with (D, s) = (1, 0) for k = 1 and
      (1.75, 3.45) for k > 1, the values of the lead.
    - ``pass@8``: for k > 1; in the trial as good as a probe of 50 steps for pass@10.

    ``outcome`` is the level that RL reaches, with a 95% interval out of task: an interval for a
    task that none of the finished designs had (`grpolab.validate.forecast.levels` has the
    formula). It is wide, and None for a k or a budget that no design had.

    Limits. Scores order the starts of one ladder (same task, model, budget). Found on 34 ladders of
    models below a million weights; differences of less than .01 between starts lie within the noise
    of RL. Prompts that are solved after RL and never before cannot be foreseen from counts. Give
    counts of held-out prompts, sampled as RL samples, at least 16 per prompt.

    Parameters
    ----------
    counts : GroupCounts
        Success counts of the start; rows of one prompt are put together.
    steps : int
        RL steps planned.
    rule : str
        One of `RULES`, or empty.
    k : int
        The k of the outcome pass@k; above 1 only ``transport`` and ``pass@8`` apply.

    Returns
    -------
    OutcomeForecast
        The score with its 95% interval over prompts, and the level with its 95% interval.

    Raises
    ------
    ValueError
        An unknown rule, steps or k below 1, a rule of another outcome, or fewer samples of a
        prompt than the rule needs.

    Examples
    --------
    >>> found = forecast_outcome(GroupCounts([0, 2, 4], 4), steps=100, rule="pass@2")
    >>> found.rule, round(found.value, 4)
    ('pass@2', 0.6111)
    """
    rule = rule or default_rule(k)
    values = outcome_scores(counts, steps=steps, rule=rule, k=k)
    mean, error = float(values.mean()), mean_stderr(values)
    wide = half_width(error, free=len(values) - 1)
    low, high = floored(
        (mean - wide, mean + wide), values, np.ones(len(values)), rng=0, bounds=(0.0, 1.0)
    )
    reached = level(rule, k, steps=steps, score=mean, stderr=error)
    return OutcomeForecast(rule, k, steps, mean, low, high, reached)

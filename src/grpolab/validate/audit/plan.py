"""One planned group size: the share of groups without a signal, its bounds and its thresholds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from grpolab.theory.bounds import Band, zero_std_end
from grpolab.theory.critical import critical_p
from grpolab.theory.groups import GroupCounts
from grpolab.validate.estimate.icc import IccInterval
from grpolab.validate.forecast.law import fit_law
from grpolab.validate.forecast.zero_std import ZeroStdPrediction, natural_method, predict_zero_std


@dataclass(frozen=True, slots=True)
class Threshold:
    """p*: the mean at which half of the groups would have zero std, at the ICC of the audit.

    ``low`` and ``high`` are p* at the ends of the interval of the ICC. NaN where most groups are
    zero-std at every mean, and for an unknown ICC. Means above ``1 - value`` are as bad as those
    below ``value``, because the beta-binomial treats right and wrong alike.
    """

    value: float
    low: float
    high: float

    @property
    def upper(self) -> Threshold:
        """The threshold above which groups are all right too often."""
        return Threshold(1.0 - self.value, 1.0 - self.high, 1.0 - self.low)


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """One planned group size: the predicted zero-std share and what surrounds it.

    ``threshold`` is p* at the measured ICC, ``critical_p_prompt`` that of one prompt.
    ``bound_low`` and ``bound_high`` hold for any distribution of p with the measured mean and an
    ICC within its interval. ``signal`` is the mean over prompts of E[sigma] (NaN where most prompts
    have less than g samples).
    """

    prediction: ZeroStdPrediction
    threshold: Threshold
    critical_p_prompt: float
    bound_low: float
    bound_high: float
    signal: float

    @property
    def critical_p(self) -> float:
        """p* at the estimate of the ICC."""
        return self.threshold.value

    @property
    def frac_mixed(self) -> float:
        """Predicted share of groups that carry a signal."""
        return 1.0 - self.prediction.zero_std

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        p, star = self.prediction, self.threshold
        return {
            "predicted": p.zero_std, "low": p.low, "high": p.high, "iid_mean_p": p.iid_mean_p,
            "all_wrong": p.all_wrong, "all_right": p.all_right, "method": p.method,
            "num_fitted": p.num_fitted,
            "bound_low": self.bound_low, "bound_high": self.bound_high,
            "p_star": star.value, "p_star_interval": [star.low, star.high],
            "p_star_upper": star.upper.value,
            "p_star_upper_interval": [star.upper.low, star.upper.high],
            "p_star_one_prompt": self.critical_p_prompt,
            "mixed_per_1000_rollouts": 1000.0 * self.frac_mixed / p.group_size,
            "dynamic_sampling_factor": 1.0 / self.frac_mixed if self.frac_mixed > 0 else math.inf,
            "signal": self.signal,
        }  # fmt: skip


def make_plan(
    counts: GroupCounts, group_size: int, correlation: IccInterval | None, **options: Any
) -> GroupPlan:
    """Everything about one group size; ``options`` are those of `predict_zero_std`."""
    prediction = predict_zero_std(counts, group_size, **options)
    mean = float(counts.by_prompt().rate.mean())
    varied = 0.0 < mean < 1.0
    low, high = (
        bounds(group_size, mean, correlation) if varied else (prediction.low, prediction.high)
    )
    signal = math.nan
    if natural_method(counts, group_size) == "thinning":
        signal = float(fit_law(counts, "thinning").expected_std(group_size))
    return GroupPlan(
        prediction=prediction,
        threshold=_threshold(group_size, correlation),
        critical_p_prompt=float(critical_p(group_size)),
        bound_low=min(float(low), prediction.zero_std),  # the share has an error of its own
        bound_high=max(float(high), prediction.zero_std),
        signal=signal,
    )


def _threshold(group_size: int, correlation: IccInterval | None) -> Threshold:
    if correlation is None:
        return Threshold(math.nan, math.nan, math.nan)
    ends = (correlation.estimate, correlation.low, correlation.high)
    found = critical_p(group_size, rho=[min(max(rho, 0.0), 1.0) for rho in ends])
    return Threshold(*found.tolist())


def bounds(group_size: int, mean: float, correlation: IccInterval | None) -> Band:
    """Zero-std share of any law of p with this mean in (0, 1) and an ICC within its interval.

    Both bounds grow with the ICC, so its ends suffice. An unknown ICC may be anything in [0, 1].
    """
    low, high = 0.0, 1.0
    if correlation is not None:
        low, high = (min(max(end, 0.0), 1.0) for end in (correlation.low, correlation.high))
    least = zero_std_end(group_size, mean=mean, rho=low, side="low")
    most = zero_std_end(group_size, mean=mean, rho=high, side="high")
    return Band(least, most)

"""A number of the law of p that n samples per prompt do not determine: estimate and interval.

For g <= n the share of g-subsets is unbiased for anything that a group of g shows. Beyond n the
counts leave a range. The estimate is that of the smoothed mixture; the interval is the profile
likelihood over all laws of p, so that a wrong shape of the law cannot make it miss. Neither is
above what the samples themselves say of smaller groups, where a number falls as groups grow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from grpolab.theory.dependence import BetaBinomial
from grpolab.theory.groups import FloatArray, GroupCounts
from grpolab.validate.estimate import cells, smoothed
from grpolab.validate.forecast.law import LawOfP, ModelLaw, fit_law
from grpolab.validate.forecast.profile import Statistic, law_interval

ASSUMES: Mapping[str, str] = {
    "thinning": "the g-subsets of each prompt's own samples, no model",
    "smoothed mixture": "a law of p between the fitted beta and the most likely law; the interval"
    " holds for any law of p if the rollouts of a prompt are independent draws",
    "beta-binomial": "a beta law of the success rates, which the interval takes for true",
    "mixture": "the most likely law of p, which the interval takes for true",
    "posterior": "a beta law of the success rates, which the interval takes for true",
    "mean-p": "the mean success rate, taken for that of every prompt",
}
"""What a number and its interval rest on, by the method that a row names."""


class Beyond(NamedTuple):
    """Mean over prompts of a function of p: estimate and interval."""

    value: float
    low: float
    high: float


def beyond(counts: GroupCounts, statistic: Statistic, *, level: float = 0.95) -> Beyond:
    """Mean over prompts of ``statistic(p)``, for group sizes that n samples do not reach.

    ``statistic`` maps success rates [G] to values in [0, 1], see `profile.law_interval`. The
    estimate lies in its interval. Raises ValueError for tables marked ``filtered`` and where no
    prompt has two samples.

    >>> counts = GroupCounts([0, 0, 1, 2, 4, 4, 3, 0] * 10, 4)
    >>> found = beyond(counts, lambda p: p**8 + (1 - p) ** 8)
    >>> round(found.value, 2), round(found.low, 2), round(found.high, 2)
    (0.49, 0.29, 0.69)
    """
    data = cells.unfiltered(counts)
    cells.require_pairs(data)
    low, high = (float(end) for end in law_interval(data, statistic, level=level))
    law = smoothed.smoothed_law(data)
    value = float(law.weight @ statistic(law.support))
    return Beyond(min(max(value, low), high), low, high)


Share = Callable[[LawOfP, int], FloatArray]
"""A law and a group size to a share of groups that can only fall as groups grow."""


def at_rates(share: Share, group_size: int) -> Statistic:
    """The share as a function of success rates, one prompt each.

    >>> at_rates(lambda law, g: law.all_wrong(g), 2)(np.array([0.0, 0.5])).tolist()
    [1.0, 0.25]
    """
    return lambda p: share(ModelLaw(model=BetaBinomial(mean=p, rho=0.0)), group_size)


def falling(
    counts: GroupCounts,
    share: Share,
    group_size: int,
    *,
    rng: np.random.Generator | int,
    level: float = 0.95,
    num_resamples: int = 1000,
) -> Beyond:
    """`beyond` for a share of groups that can only fall as groups grow, whatever the law of p.

    The share in the largest groups that the samples of most prompts reach (`reach`) needs no model.
    It caps the estimate and both ends for a larger group. ``rng`` draws the resamples of its
    interval.

    >>> counts = GroupCounts([1, 2, 3, 2] * 10, 4)
    >>> falling(counts, lambda law, g: law.all_wrong(g), 8, rng=0).value
    0.0
    """
    value = extrapolated(counts, share, group_size)
    _, *ends = beyond(counts, at_rates(share, group_size), level=level)
    low, high = capped(counts, share, ends, rng=rng, level=level, num_resamples=num_resamples)
    return Beyond(value, min(low, value), max(high, value))


def capped(
    counts: GroupCounts,
    share: Share,
    ends: Sequence[float],
    *,
    rng: np.random.Generator | int,
    level: float = 0.95,
    num_resamples: int = 1000,
) -> tuple[float, float]:
    """Ends for a larger group, neither above that of the largest which the samples reach.

    >>> counts = GroupCounts([1, 2, 3, 2] * 10, 4)
    >>> low, high = capped(counts, lambda law, g: law.all_wrong(g), (0.0, 0.9), rng=0)
    >>> low, round(high, 4)
    (0.0, 0.0881)
    """
    least = reach(counts)
    within = fit_law(counts, "thinning").interval(
        lambda one: share(one, least), rng=rng, level=level, num_resamples=num_resamples
    )
    return min(ends[0], within[0]), min(ends[1], within[1])


def extrapolated(counts: GroupCounts, share: Share, group_size: int) -> float:
    """The estimate of `falling` alone."""
    found = (
        share(fit_law(counts, "smoothed mixture"), group_size),
        share(fit_law(counts, "thinning"), reach(counts)),
    )
    return min(map(float, found))


def reach(counts: GroupCounts) -> int:
    """The largest group that the samples of more than half of the prompts reach.

    >>> reach(GroupCounts([0, 2, 1], [4, 4, 3])), reach(GroupCounts([0, 2], [4, 3]))
    (4, 3)
    """
    sizes = np.sort(counts.by_prompt().num_samples)
    return int(sizes[(len(sizes) - 1) // 2])

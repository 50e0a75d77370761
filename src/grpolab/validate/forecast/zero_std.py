"""The share of groups without a signal at a planned group size, with an interval over prompts.

Thinning is exact and free of models for g <= n: the share of g-subsets of the samples of a prompt
that are all wrong or all right is unbiased for any exchangeable rewards. Each prompt is
thinned that has g samples, whatever the others have (see `partly`). For g > n the share is that of
a smoothed mixture (see `law`), and its interval holds for any law of p (`beyond`).
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from grpolab.theory.groups import GroupCounts
from grpolab.theory.zero_std import prob_zero_std
from grpolab.validate.estimate import cells
from grpolab.validate.forecast import partly
from grpolab.validate.forecast.beyond import beyond, extrapolated, falling, reach
from grpolab.validate.forecast.law import Method, fit_law


class ZeroStdPrediction(NamedTuple):
    """Share of groups without spread at a planned group size, with an interval over prompts.

    ``iid_mean_p`` is the share that the mean success rate alone would give, d_g(mean p): it is
    never larger than the truth on average (Jensen), and often far too small. ``num_fitted`` is the
    number of prompts without ``group_size`` samples, whose share is that of a fitted beta.
    """

    group_size: int
    zero_std: float
    all_wrong: float
    all_right: float
    low: float
    high: float
    iid_mean_p: float
    method: str
    num_fitted: int = 0


def predict_zero_std(
    counts: GroupCounts,
    group_size: int,
    *,
    rng: np.random.Generator | int,
    method: Method | Literal["auto"] = "auto",
    level: float = 0.95,
    num_resamples: int = 1000,
) -> ZeroStdPrediction:
    """Expected share of zero-std groups of ``group_size`` rollouts, one group per prompt.

    Parameters
    ----------
    counts : GroupCounts
        Successes per group.
    group_size : int
        Planned rollouts per group.
    rng : Generator or int
        Generator, or seed, of the bootstrap.
    method : {"auto", "thinning", "posterior", "beta-binomial", "mixture", ...}
        The law of p, see `law.fit_law`; "auto" is `natural_method`. The interval of the "smoothed
        mixture" holds for any law of p; that of every other method but thinning takes it for true.
    level : float
        Confidence level of the interval, in (0, 1).
    num_resamples : int
        Resamples of prompts; at most 200 for the mixture.

    Returns
    -------
    ZeroStdPrediction
        Shares of zero-std, all-wrong and all-right groups with an interval; of one prompt it is [0,
        1].

    Raises
    ------
    ValueError
        A filtered table, an unknown method, or too few samples for it.

    Examples
    --------
    >>> prediction = predict_zero_std(GroupCounts([0, 2, 4], 4), 2, rng=0)
    >>> round(prediction.zero_std, 6), prediction.iid_mean_p
    (0.777778, 0.5)
    """
    if group_size < 1:
        raise ValueError(f"group_size must be >= 1, got {group_size}")
    if method == "auto":
        method = natural_method(counts, group_size)
    law = fit_law(counts, method)
    if method == "smoothed mixture" and group_size > reach(counts):
        wrong, right, low, high = _extrapolated(
            counts, group_size, rng=rng, level=level, num_resamples=num_resamples
        )
        share = min(wrong + right, 1.0)
    else:
        share, wrong, right = (
            float(of(group_size)) for of in (law.zero_std, law.all_wrong, law.all_right)
        )
        if method == "smoothed mixture":
            _, low, high = beyond(counts, lambda p: prob_zero_std(p, group_size), level=level)
            low, high = min(low, share), max(high, share)
        else:
            low, high = law.interval(
                lambda one: one.zero_std(group_size), rng=rng, level=level,
                num_resamples=num_resamples,
            )  # fmt: skip
    return ZeroStdPrediction(
        group_size=group_size,
        zero_std=share,
        all_wrong=wrong,
        all_right=right,
        low=low,
        high=high,
        iid_mean_p=float(fit_law(counts, "mean-p").zero_std(group_size)),
        method=method,
        num_fitted=law.num_fitted(group_size),
    )


def _extrapolated(
    counts: GroupCounts, group_size: int, **options: Any
) -> tuple[float, float, float, float]:
    """Shares of all-wrong and all-right groups beyond the samples, and the ends of their sum."""
    wrong = extrapolated(counts, lambda law, g: law.all_wrong(g), group_size)
    right = extrapolated(counts, lambda law, g: law.all_right(g), group_size)
    _, low, high = falling(counts, lambda law, g: law.zero_std(g), group_size, **options)
    return wrong, right, min(low, wrong + right), max(high, wrong + right)


def natural_method(counts: GroupCounts, group_size: int) -> Method:
    """Thinning where more than half of the prompts have ``group_size`` samples, or smoothed.

    The prompts with fewer samples are then fitted, see `law.EmpiricalLaw`.

    >>> natural_method(GroupCounts([0, 2], 4), 4), natural_method(GroupCounts([0, 2], 4), 5)
    ('thinning', 'smoothed mixture')
    >>> natural_method(GroupCounts([0, 2, 1], [4, 4, 3]), 4)
    'thinning'
    """
    enough = len(counts) > 0 and partly.mostly(cells.tabulate(counts), group_size)
    return "thinning" if enough else "smoothed mixture"

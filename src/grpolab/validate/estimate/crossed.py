"""Means of paired differences over prompts and RL seeds, both drawn at random."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from grpolab.theory.groups import FloatArray

RL_NOISE = 0.0113
"""Standard deviation of a final score between RL seeds in the committed studies."""
PRIOR_FREE = 4
"""Degrees of freedom that `RL_NOISE` is worth beside what the rounds themselves show."""


class Difference(NamedTuple):
    """Mean of a [R, P] table of differences, its standard error and degrees of freedom."""

    value: float
    stderr: float
    free: float
    differ: int  # prompts whose mean difference is not 0


def crossed_mean(values: FloatArray, *, rl_noise: float = RL_NOISE) -> Difference:
    """Mean of differences [R, P] over R seeds and P prompts, both random and crossed.

    The variance is v_P / P + s2 / R. v_P is the variance over prompts of their means. s2, the part
    of the seed that all prompts share, is ``max(0, (MS_seed - MS_error) / P)`` of the two-way table
    with R - 1 degrees of freedom, moderated by ``2 rl_noise^2`` with `PRIOR_FREE` (Smyth 2004,
    doi:10.2202/1544-6115.1027); with one seed it is the latter alone. Degrees of freedom by
    Satterthwaite. ValueError for fewer than 2 prompts or a negative noise.

    >>> found = crossed_mean(np.array([[0.1, 0.3, 0.2, 0.2], [0.2, 0.2, 0.1, 0.3]]), rl_noise=0)
    >>> round(found.value, 6), round(found.stderr, 6)
    (0.2, 0.028868)
    """
    rounds, prompts = values.shape
    if prompts < 2:
        raise ValueError(f"there must be at least 2 prompts, got {prompts}")
    if not rl_noise >= 0:
        raise ValueError(f"rl_noise must be >= 0, got {rl_noise}")
    mean = float(values.mean())
    by_prompt, by_round = values.mean(axis=0), values.mean(axis=1)
    of_prompts = float(by_prompt.var(ddof=1)) / prompts
    shared, free = 2.0 * rl_noise**2, float(PRIOR_FREE)
    if rounds > 1:
        seen = max(float(by_round.var(ddof=1)) - residual_variance(values) / prompts, 0.0)
        free = PRIOR_FREE + rounds - 1.0
        shared = (PRIOR_FREE * shared + (rounds - 1) * seen) / free
    of_rounds = shared / rounds
    total = of_prompts + of_rounds
    parts = of_prompts**2 / (prompts - 1) + of_rounds**2 / free
    return Difference(
        mean,
        math.sqrt(total),
        total**2 / parts if parts > 0 else prompts - 1.0,
        int(np.sum(np.abs(by_prompt) > 1e-12)),
    )


def residual_variance(values: FloatArray) -> float:
    """MS_error of a two-way table [R, P] with R, P >= 2: what neither seed nor prompt explains.

    >>> residual_variance(np.array([[0.0, 0.5], [0.0, 1.0]]))
    0.0625
    """
    rounds, prompts = values.shape
    rest = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    return float(np.sum(rest**2) / ((rounds - 1) * (prompts - 1)))

"""From a score per problem back to the number of correct samples.

Some harnesses write only pass@k or a mean per problem. With n samples the unbiased pass@k takes at
most n - k + 2 different values, so the count can be read off, except that every count above n - k
gives 1.
"""

from __future__ import annotations

import math

import numpy as np

from grpolab.errors import UserError
from grpolab.theory.pass_at_k import pass_at_k

_SLACK = 0.05  # largest share of the samples that may stay open where pass@k = 1


def invert_pass_at_k(
    value: float, *, num_samples: int, k: int, where: str, tolerance: float = 1e-6
) -> tuple[int, int]:
    """Smallest and largest count c with ``1 - C(n-c, k) / C(n, k) = value``.

    >>> invert_pass_at_k(0.5, num_samples=4, k=2, where="f"), invert_pass_at_k(
    ...     1.0, num_samples=16, k=2, where="f"
    ... )
    ((1, 1), (15, 16))
    """
    if not 1 <= k <= num_samples:
        raise UserError(f"{where}: pass@{k} cannot come from {num_samples} samples")
    if not 0.0 <= value <= 1.0 or math.isnan(value):
        raise UserError(f"{where}: pass@{k} must lie in [0, 1], got {value}")
    table = pass_at_k(num_samples, np.arange(num_samples + 1), k)
    close = np.flatnonzero(np.abs(table - value) <= tolerance)
    if len(close) == 0:
        raise UserError(f"{where}: {value} is not a value of pass@{k} with {num_samples} samples")
    return int(close[0]), int(close[-1])


def settle(low: int, high: int, *, num_samples: int, where: str) -> int:
    """The upper count, or an error where too much stays open to call it known."""
    if (high - low) / num_samples > _SLACK:
        raise UserError(
            f"{where}: the score only says that {low} to {high} of {num_samples} samples are"
            " correct; a smaller k or verdicts per sample are needed"
        )
    return high

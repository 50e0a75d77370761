"""Does the held-out score fall while the training reward rises?

A rank test that may be looked at after every evaluation. Null hypothesis: the held-out scores
scatter independently around a level that is constant or rises. For every width w of `WIDTHS` the
evaluations are cut into blocks of w, and each block is compared with the one before by the
one-sided Mann-Whitney test (exact for the smaller width, without ties). The j-th comparison of a
width may spend the share 1 / (j (j + 1)) of `ALPHA` / number of widths. These shares sum to 1 over
all comparisons, so by the union bound a run raises a false alarm with a chance of at most `ALPHA`.
The condition that the training reward rose can only lower it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy import stats

ALPHA = 0.01
WIDTHS = (7, 14)
KEPT = 2 * max(WIDTHS)
"""Evaluations that must be kept."""


def has_fallen(evaluations: Sequence[Sequence[float]], *, look: int) -> bool:
    """Whether the scores of ``[score, training reward since the evaluation before]`` have fallen.

    ``look`` is the number of evaluations so far; the last `KEPT` of them are needed.

    >>> rising = [[0.4 + 0.01 * (i % 2), 0.1 * i] for i in range(7)]
    >>> falling = [[0.3 - 0.01 * i, 0.8 + 0.01 * i] for i in range(7)]
    >>> has_fallen([*rising, *falling], look=14), has_fallen([*falling, *rising], look=14)
    (True, False)
    """
    for width in WIDTHS:
        number, rest = divmod(look, width)
        if rest or number < 2 or len(evaluations) < 2 * width:
            continue
        before, now = evaluations[-2 * width : -width], evaluations[-width:]
        if not _mean(now, 1) > _mean(before, 1):
            continue
        level = ALPHA / len(WIDTHS) / ((number - 1) * number)
        scores = [row[0] for row in now], [row[0] for row in before]
        if stats.mannwhitneyu(*scores, alternative="less", method="auto").pvalue <= level:
            return True
    return False


def has_recovered(evaluations: Sequence[Sequence[float]]) -> bool:
    """Whether the last scores are no longer below those before them."""
    width = min(WIDTHS)
    return not _mean(evaluations[-width:], 0) < _mean(evaluations[-2 * width : -width], 0)


def _mean(rows: Sequence[Sequence[float]], column: int) -> float:
    known = [row[column] for row in rows if not math.isnan(row[column])]
    return sum(known) / len(known) if known else math.nan

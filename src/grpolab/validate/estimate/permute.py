"""p-values by permutation that stop early and reach far into the tail.

A test that may alarm once in a thousand commands needs p-values near 1e-5, and clean data should
cost next to nothing. So the permutations stop once the statistic has been exceeded often enough
(Besag & Clifford 1991, Biometrika 78), and where it hardly ever was, an exponential continues the
tail.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from grpolab.theory.groups import FloatArray

_ENOUGH = 10  # exceedances that end the search
_TAIL = 10  # exceedances below which the tail is continued
_MOST = 1999
_SURE, _SMALL = 280, 1e-8  # draws that are enough where the tail is that far away


def permutation_p(
    observed: float, draw: Callable[[int], FloatArray], *, most: int = _MOST, first: int = 40
) -> float:
    """Upper p-value of a statistic, ``draw(k)`` giving k values of it under permutation.

    After h = 10 exceedances in l draws it is h / l. With fewer than 10 in all draws it is
    ``0.1 exp(-(t - q) / m)`` with q the 90% quantile of the draws and m their mean excess over q:
    too large rather than too small, since the tails of sums of many bounded terms are thinner than
    exponential. ``first`` draws are made at once.

    >>> rng = np.random.default_rng(0)
    >>> 0.3 < permutation_p(0.0, rng.standard_normal) < 0.7
    True
    >>> permutation_p(8.0, rng.standard_normal) < 1e-6
    True
    """
    slack = 1e-9 * (1.0 + abs(observed))
    drawn: list[FloatArray] = []
    count, done, chunk = 0, 0, first
    while done < most:
        values = np.asarray(draw(min(chunk, most - done)), dtype=np.float64)
        above = np.flatnonzero(values >= observed - slack)
        if count + len(above) >= _ENOUGH:
            return float(_ENOUGH / (done + above[_ENOUGH - count - 1] + 1))
        count, done, chunk = count + len(above), done + len(values), min(2 * chunk, 320)
        drawn.append(values)
        if (
            count == 0
            and done >= _SURE
            and (found := tail_p(observed, np.concatenate(drawn))) < _SMALL
        ):
            return found
    return tail_p(observed, np.concatenate(drawn))


def tail_p(observed: float, draws: FloatArray) -> float:
    """Upper p-value among draws [B] under permutation, continued beyond them as said above."""
    count = int(np.sum(draws >= observed - 1e-9 * (1.0 + abs(observed))))
    edge = float(np.quantile(draws, 0.9))
    excess = draws[draws > edge] - edge
    if count >= _TAIL or len(excess) < _TAIL:  # often enough, or too few distinct values
        return (count + 1) / (len(draws) + 1)
    share = len(excess) / len(draws)
    return float(np.clip(share * np.exp(-(observed - edge) / excess.mean()), 1e-300, 1.0))

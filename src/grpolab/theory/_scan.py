"""All roots of a smooth function on an interval."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from grpolab.theory._root import find_root
from grpolab.theory.groups import FloatArray


def all_roots(
    function: Callable[[FloatArray], FloatArray], low: float, high: float, *, points: int = 4001
) -> FloatArray:
    """Rising roots found from sign changes on ``points`` evenly spaced points.

    Two roots closer than the spacing are missed, as is a root where the function only touches zero.
    """
    grid = np.linspace(low, high, points)
    sign = np.sign(function(grid))
    exact = grid[sign == 0]
    change = np.flatnonzero(sign[:-1] * sign[1:] < 0)
    between = find_root(function, grid[change], grid[change + 1])
    return np.sort(np.concatenate([exact, between]))

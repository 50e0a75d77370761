"""Gauss-Legendre rules on the unit interval, made once."""

from __future__ import annotations

from functools import cache

import numpy as np

from grpolab.theory.groups import FloatArray


@cache
def unit_rule(order: int) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights on (0, 1)."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    return (nodes + 1) / 2, weights / 2

"""Do prompts differ in difficulty, and what does that do to the share of groups without a signal?

Heterogeneity is not a fault of the sampler: it is there in every real data set, and it is what the
mean success rate hides.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import special

from grpolab.theory.groups import GroupCounts
from grpolab.validate.estimate import betabin, cells
from grpolab.validate.estimate.icc import icc


class Heterogeneity(NamedTuple):
    """Tests of one common success rate for all prompts, beside the size of the departure."""

    icc: float
    tarone_z: float
    tarone_p: float
    pearson_x2: float
    pearson_p: float
    likelihood_ratio: float
    likelihood_p: float


def heterogeneity(counts: GroupCounts) -> Heterogeneity:
    """Is the success rate the same for every prompt?

    Tarone's ``Z = [sum (y_i - n_i P)^2 / (P (1-P)) - N] / sqrt(2 sum n_i (n_i - 1))``, one-sided
    (Tarone 1979, Biometrika 66); Pearson's X^2 on k - 1 degrees of freedom; the likelihood ratio of
    the beta-binomial, whose null law is half a point mass at 0 and half chi-square on one degree of
    freedom, because rho = 0 lies on the boundary. One common outcome: statistics 0, p-values 1.
    Pearson's p-value needs n_i P (1 - P) of at least about 1.

    >>> table = GroupCounts([0] * 32 + [1] * 103 + [2] * 122 + [3] * 80, 3)
    >>> round(heterogeneity(table).tarone_z, 3)
    2.736
    """
    rho = icc(counts)  # also checks the table
    data = cells.tabulate(counts)
    y, n, w = data.num_correct, data.num_samples, data.weight
    size = float(w @ n)
    p = float(w @ y) / size
    if p in (0.0, 1.0):
        return Heterogeneity(rho, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0)
    square = (y - n * p) ** 2 / (p * (1 - p))
    z = (float(w @ square) - size) / math.sqrt(2.0 * float(w @ (n * (n - 1.0))))
    x2 = float(w @ (square / n))
    table = betabin.tails(data)
    plain = float(betabin.kernel(table, np.array([p]), np.array([0.0]))[0])
    ratio = max(0.0, 2.0 * (float(betabin.fit_cells(data).loglik[0]) - plain))
    return Heterogeneity(
        icc=rho,
        tarone_z=z,
        tarone_p=float(special.ndtr(-z)),
        pearson_x2=x2,
        pearson_p=float(special.chdtrc(data.num_clusters - 1, x2)),
        likelihood_ratio=ratio,
        likelihood_p=float(special.chdtrc(1, ratio)) / 2 if ratio > 0 else 1.0,
    )

"""Faults of the sampler that show inside one group: shared seeds, position and block effects.

None of these tests needs a prompt to be sampled twice, and none is fooled by difficulty: they ask
whether the members of a group are exchangeable, or coincide more often than their probabilities
say.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from grpolab import streams
from grpolab.theory.groups import FloatArray
from grpolab.validate.estimate.permute import permutation_p

_MANY = 500  # groups from which on chi-square is right far into the tail


class SeedTest(NamedTuple):
    """Duplicate rate inside groups against what the sequence probabilities predict."""

    duplicate_rate: float
    predicted: float
    stderr: float
    p_value: float
    num_groups: int


def duplicate_test(
    sequence_id: npt.ArrayLike, sum_logprob: npt.ArrayLike, *, group_id: npt.ArrayLike
) -> SeedTest:
    """Duplicates against log-probabilities: catches shared seeds without a single reward.

    Independent draws of one policy coincide with probability ``P(Y_i = Y_j) = E pi(Y)``, so the
    share of equal pairs of a group must agree with the mean of exp(sum_logprob). All arguments have
    shape [R], one entry per rollout; ``sum_logprob`` is under the law that was really sampled
    (temperature, top-p and top-k included). The test is a z-test over groups. Derived here.

    >>> result = duplicate_test([1, 1, 2, 2], [-5.0] * 4, group_id=[0, 0, 1, 1])
    >>> result.duplicate_rate, round(result.predicted, 6), result.p_value < 1e-6
    (1.0, 0.006738, True)
    """
    texts, logs, groups = (np.asarray(v) for v in (sequence_id, sum_logprob, group_id))
    if texts.ndim != 1 or texts.shape != logs.shape or texts.shape != groups.shape:
        raise ValueError("sequence_id, sum_logprob and group_id must have one shape [R]")
    if np.any(logs > 1e-6) or np.any(np.isnan(logs)):
        raise ValueError(f"sum_logprob must be log-probabilities <= 0, got {np.nanmax(logs)}")
    rows = np.unique(groups, return_inverse=True)[1]
    size = np.bincount(rows).astype(float)
    pair = np.stack([rows, np.unique(texts, return_inverse=True)[1]])
    keys, times = np.unique(pair, axis=1, return_counts=True)
    equal = np.bincount(keys[0], weights=times * (times - 1.0), minlength=len(size))
    use = size >= 2
    if use.sum() < 2:
        raise ValueError("group_id must name at least 2 groups of at least 2 rollouts")
    observed = equal[use] / (size * (size - 1))[use]
    predicted = (np.bincount(rows, weights=np.exp(np.minimum(logs, 0.0))) / size)[use]
    gap = observed - predicted
    stderr = float(np.std(gap, ddof=1) / math.sqrt(len(gap)))
    floor = math.sqrt(float(predicted.mean()) / max(float((size * (size - 1))[use].sum() / 2), 1.0))
    stderr = max(stderr, floor)
    z = float(gap.mean()) / stderr if stderr > 0 else (0.0 if gap.mean() == 0 else math.inf)
    p_value = float(2 * special.ndtr(-abs(z)))
    return SeedTest(float(observed.mean()), float(predicted.mean()), stderr, p_value, len(gap))


class PositionTest(NamedTuple):
    """Cochran's Q for the position inside the group."""

    statistic: float
    p_value: float
    frac_correct: FloatArray


def position_test(
    rewards: npt.ArrayLike, *, rng: np.random.Generator | int | None = None
) -> PositionTest:
    """Does the place of a rollout in its group matter? Cochran's Q, chi-square on g - 1 df.

    With ``rng`` the p-value of up to 500 mixed groups is that of a permutation within groups.

    ``rewards`` [M, g] of 0 and 1; given its total a group of independent rewards is a random
    order of them. Finds caching, ranks with another policy version, arrival order. Needs no
    repeated groups. Source: Cochran 1950, Biometrika 37.

    >>> position_test([[1, 0], [1, 0], [1, 0], [1, 0]]).statistic
    4.0
    """
    matrix = _binary_matrix(rewards)
    g = matrix.shape[1]
    row, column = matrix.sum(axis=1), matrix.sum(axis=0)
    spread = float(np.sum(row * (g - row)))
    if spread == 0:
        return PositionTest(0.0, 1.0, matrix.mean(axis=0))
    value = float((g - 1) * np.sum((column - column.mean()) ** 2) * g / spread)
    mixed = matrix[(row > 0) & (row < g)]
    if rng is None or len(mixed) > _MANY:
        p_value = float(special.chdtrc(g - 1, value))
    else:
        generator = streams.generator(rng, "positions")
        mixed = matrix[(row > 0) & (row < g)]

        def draw(times: int) -> FloatArray:
            columns = np.zeros((times, g))
            for start in range(0, len(mixed), 2000):
                some = np.broadcast_to(
                    mixed[start : start + 2000], (times, *mixed[start : start + 2000].shape)
                )
                columns += generator.permuted(some, axis=2).sum(axis=1)
            centred = columns - columns.mean(axis=1, keepdims=True)
            return np.asarray((g - 1) * (centred**2).sum(axis=1) * g / spread)

        p_value = permutation_p(value, draw)
    return PositionTest(value, p_value, matrix.mean(axis=0))


class TrendTest(NamedTuple):
    """Rank correlation of the place of a sample in its request with a number that it has."""

    correlation: float
    p_value: float
    num_prompts: int


def trend_test(values: npt.ArrayLike) -> TrendTest:
    """Do later samples of a request have larger, or smaller, values than earlier ones?

    ``values`` [P, n], NaN where there is no sample. Samples of a prompt are exchangeable, so with
    ranks r_i (ties shared) and places i, each about its mean, ``sum r_i i`` has mean 0 and variance
    ``sum r_i^2 sum i^2 / (n - 1)``, whatever the law of the values is. z-test of the sum over
    prompts; its tail is too large rather than too small. Prompts with equal values say nothing:
    NaN where there is no other. With log-probabilities it finds samples stored sorted by likelihood
    and a temperature that drifts. Derived here.

    >>> found = trend_test(np.tile([-1.0, -2.0, -3.0, -4.0], (9, 1)))
    >>> found.correlation, found.p_value < 1e-6
    (-1.0, True)
    """
    table = np.asarray(values, dtype=np.float64)
    total = variance = most = 0.0
    prompts = 0
    for row in table:
        seen = row[~np.isnan(row)]
        if len(seen) < 2 or np.ptp(seen) == 0:
            continue
        _, value, ties = np.unique(seen, return_inverse=True, return_counts=True)
        rank = (np.cumsum(ties) - (ties - 1) / 2)[value] - (len(seen) + 1) / 2
        place = np.arange(len(seen)) - (len(seen) - 1) / 2
        squares = float(rank @ rank) * float(place @ place)
        total += float(rank @ place)
        variance += squares / (len(seen) - 1)
        most += math.sqrt(squares)
        prompts += 1
    if not prompts:
        return TrendTest(math.nan, math.nan, 0)
    p_value = float(2 * special.ndtr(-abs(total) / math.sqrt(variance)))
    return TrendTest(total / most, p_value, prompts)


class BlockTest(NamedTuple):
    """Excess correlation of rewards that share a block of their group."""

    rho: float
    z: float
    p_value: float


def block_test(rewards: npt.ArrayLike, blocks: npt.ArrayLike) -> BlockTest:
    """Are rewards of one block (device, prefix, arrival window) of a group alike?

    ``rewards`` [M, g] of 0 and 1, ``blocks`` [g] or [M, g] of labels. Given its total K an
    exchangeable group has pair products of mean ``K(K-1) / (g(g-1))``; the excess over pairs that
    share a block is zero on average, whatever the prompts. z-test with the exact variance over all
    orders of each group. Derived here.

    >>> round(block_test([[1, 1, 0, 0], [0, 0, 1, 1]] * 20, [0, 0, 1, 1]).rho, 9)
    1.0
    """
    matrix = _binary_matrix(rewards)
    g = matrix.shape[1]
    labels = np.broadcast_to(np.asarray(blocks), matrix.shape)
    first, second = np.triu_indices(g, 1)
    same = labels[:, first] == labels[:, second]
    if same.all() or not same.any():
        return BlockTest(0.0, 0.0, 1.0)
    product = matrix[:, first] * matrix[:, second]
    mean, variance = _permuted_pairs(matrix.sum(axis=1), labels)
    spread = float(np.sqrt(variance.sum()))
    if spread == 0:
        return BlockTest(0.0, 0.0, 1.0)
    z = float(np.sum(same * product) - mean.sum()) / spread
    inside, across = float(product[same].mean()), float(product[~same].mean())
    gap = float(matrix.mean()) - across
    rho = (inside - across) / gap if gap > 0 else math.nan
    return BlockTest(rho, z, float(2 * special.ndtr(-abs(z))))


def _permuted_pairs(total: FloatArray, labels: Any) -> tuple[FloatArray, FloatArray]:
    """Mean and variance [M] of the number of correct pairs that share a block, over all orders.

    Two pairs that share a block have 2, 3 or 4 members together, and m given members are all
    correct in K(K-1).. / g(g-1).. (m factors each) of the orders.
    """
    g = labels.shape[1]
    partners = (labels[:, :, None] == labels[:, None, :]).sum(axis=2) - 1.0
    two = partners.sum(axis=1) / 2
    three = np.sum(partners * (partners - 1), axis=1)
    four = two**2 - two - three

    def all_correct(members: int) -> FloatArray:
        chance = np.ones(len(total))
        for j in range(members):
            chance = chance * np.maximum(total - j, 0.0) / max(g - j, 1)
        return chance

    mean = two * all_correct(2)
    square = mean + three * all_correct(3) + four * all_correct(4)
    return mean, np.maximum(square - mean**2, 0.0)


def _binary_matrix(rewards: npt.ArrayLike) -> FloatArray:
    matrix = np.asarray(rewards, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[1] < 2 or len(matrix) == 0:
        raise ValueError(f"rewards must have shape [M, g] with g >= 2, got {list(matrix.shape)}")
    if not np.all(np.isin(matrix, (0.0, 1.0))):
        raise ValueError("rewards must be 0 or 1")
    return matrix

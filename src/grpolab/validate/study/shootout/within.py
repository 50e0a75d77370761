"""Inside one family: how far a predictor orders the checkpoints, and what choosing by it costs.

Seeds share the depths, so a depth is one observation however many seeds there are: p-values permute
whole depths, the same way in every seed. With 5 depths no two-sided p-value is below 2/120. One
permutation gives the statistics of all predictors together, so their largest value under it
corrects for having tried them all (Westfall and Young 1993), dependence included.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from grpolab.streams import generator
from grpolab.theory.groups import FloatArray, IntArray
from grpolab.validate.estimate.bootstrap import percentile_interval
from grpolab.validate.study.shootout.table import DIRECTIONS, FamilyTable, known, picks, regret_of

_MOST_EXACT = 8  # depths of which all 8! = 40,320 orders are enumerated
_SLACK = 1e-9
_CHUNK = 500
_FEW = 16  # values whose ranks are sooner counted than sorted


class RankRow(NamedTuple):
    """How a predictor orders the checkpoints of one family, or of several, in one outcome.

    ``spearman`` and ``kendall`` (tau-b) are means over seeds (and families), with the sign of the
    data. ``p_value`` is two-sided; ``adjusted_p`` corrects it for all predictors of the call and
    ``min_p_value`` is the least that this design can give. ``low`` and ``high``: 95% interval of
    ``spearman`` over depths (over ladders, where there are several), which for 5 depths says
    little. A predictor without any order counts as 0.
    """

    predictor: str
    outcome: str
    spearman: float
    low: float
    high: float
    kendall: float
    p_value: float
    kendall_p_value: float
    adjusted_p: float
    min_p_value: float


class RegretRow(NamedTuple):
    """What choosing a start by a predictor costs in one family, against its best start.

    ``regret`` is the mean over seeds, ``worst`` the largest, ``relative`` the mean in units of
    what a start drawn at random costs, ``picks`` the depth chosen in each seed (the shallowest of
    equals).
    """

    family: str
    predictor: str
    outcome: str
    regret: float
    worst: float
    relative: float
    picks: tuple[int, ...]


def spearman_features(values: FloatArray) -> FloatArray:
    """Centred mid-ranks of the last axis at length 1: inner products are Spearman's rho.

    All zeros where the values are constant, so that no order counts as correlation 0.
    """
    ranks = _mid_ranks(values)
    return _unit(ranks - ranks.mean(axis=-1, keepdims=True))


def _mid_ranks(values: FloatArray) -> FloatArray:
    """Ranks of the last axis from 1, equal values sharing theirs; few values by comparison."""
    if values.shape[-1] > _FEW or np.isnan(values).any():
        return np.asarray(stats.rankdata(values, axis=-1))
    one, other = values[..., :, None], values[..., None, :]
    return np.asarray((one > other).sum(axis=-1) + ((one == other).sum(axis=-1) + 1) / 2)


def kendall_features(values: FloatArray) -> FloatArray:
    """Signs of all pairs of the last axis at length 1: inner products are tau-b."""
    first, second = np.triu_indices(values.shape[-1], 1)
    return _unit(np.sign(values[..., second] - values[..., first]))


def _unit(values: FloatArray) -> FloatArray:
    size = np.sqrt(np.sum(values**2, axis=-1, keepdims=True))
    return np.asarray(values / np.where(size > 0, size, 1.0))


def rank_rows(
    table: Sequence[FamilyTable],
    outcome: str,
    *,
    rng: np.random.Generator | int,
    predictors: Sequence[str] = tuple(DIRECTIONS),
    num_permutations: int = 20_000,
    num_resamples: int = 1000,
) -> list[RankRow]:
    """Rank correlation of every predictor with an outcome over families, joint permutation tests.

    Give one family for its own numbers, or several: the statistic is the mean over families of the
    mean over seeds, and families that share a ladder are permuted and resampled together. All
    orderings are enumerated where there are at most ``num_permutations`` of them. Predictors that
    some family lacks are left out. ``num_resamples`` 0 leaves the interval at [-1, 1].
    """
    names = known(table, predictors)
    if not names:
        raise ValueError("predictors must name a column that every family has")
    ladders = _by_ladder(table)
    rng = generator(rng, "rank rows")
    x = {f.name: np.stack([f.column(n) for n in names]) for f in table}  # [J, S, D]
    orders = list(_orderings(ladders, rng, num_permutations))
    found = {}
    for kind, features in (("spearman", spearman_features), ("kendall", kendall_features)):
        maps = {name: features(values) for name, values in x.items()}
        ones = [np.arange(len(group[0].depths))[None, :] for group in ladders]
        value = _statistic(ladders, maps, outcome, ones, features)[:, 0]
        chunks = [np.abs(_statistic(ladders, maps, outcome, o, features)) for o in orders]
        found[kind] = value, np.concatenate(chunks, axis=1)
    low, high = _interval(ladders, x, outcome, rng, num_resamples)
    value, drawn = found["spearman"]
    most = drawn.max(axis=0)
    tau, tau_drawn = found["kendall"]
    return [
        RankRow(
            name, outcome, float(value[j]), float(low[j]), float(high[j]), float(tau[j]),
            _tail(drawn[j], value[j]), _tail(tau_drawn[j], tau[j]), _tail(most, value[j]),
            _tail(drawn[j], drawn[j].max()),
        )
        for j, name in enumerate(names)
    ]  # fmt: skip


def _tail(drawn: FloatArray, value: float) -> float:
    return float(np.mean(drawn >= abs(value) - _SLACK))


def _by_ladder(table: Sequence[FamilyTable]) -> list[list[FamilyTable]]:
    groups: dict[str, list[FamilyTable]] = {}
    for family in table:
        groups.setdefault(family.ladder, []).append(family)
    for name, group in groups.items():
        if len({len(f.depths) for f in group}) > 1:
            raise ValueError(f"families of ladder {name} must have the same depths")
    return list(groups.values())


def _statistic(
    ladders: Sequence[Sequence[FamilyTable]],
    maps: Mapping[str, FloatArray],
    outcome: str,
    orders: Sequence[IntArray],
    features: Callable[[FloatArray], FloatArray],
) -> FloatArray:
    """Mean rank correlation [J, B], the outcome's depths in the orders [B, D] of each ladder."""
    total, count = np.zeros(()), 0
    for group, order in zip(ladders, orders, strict=True):
        for family in group:
            y = features(family.column(outcome)[:, order])  # [S, B, D']
            total = total + np.einsum("jsd,sbd->jb", maps[family.name], y) / len(family.seeds)
            count += 1
    return np.asarray(total / count)


def _orderings(
    ladders: Sequence[Sequence[FamilyTable]], rng: np.random.Generator, limit: int
) -> Iterator[list[IntArray]]:
    """Orders [B, D] of every ladder, in chunks; the order of the data is always the first."""
    sizes = [len(group[0].depths) for group in ladders]
    if max(sizes) <= _MOST_EXACT and math.prod(math.factorial(d) for d in sizes) <= limit:
        alone = [np.array(list(itertools.permutations(range(d)))) for d in sizes]
        rows = np.indices([len(a) for a in alone]).reshape(len(sizes), -1)
        orders = [a[r] for a, r in zip(alone, rows, strict=True)]
    else:
        orders = [np.argsort(rng.random((limit, d)), axis=1) for d in sizes]
        for order in orders:
            order[0] = np.arange(order.shape[1])
    for start in range(0, len(orders[0]), _CHUNK):
        yield [order[start : start + _CHUNK] for order in orders]


def _interval(
    ladders: Sequence[Sequence[FamilyTable]],
    x: Mapping[str, FloatArray],
    outcome: str,
    rng: np.random.Generator,
    num_resamples: int,
) -> tuple[FloatArray, FloatArray]:
    """95% bootstrap interval of Spearman's rho per predictor: depths are resampled whole.

    Where there are several ladders they are resampled too, and they set the number of clusters.
    """
    draws = []
    for group in ladders:
        size = len(group[0].depths)
        again = rng.integers(size, size=(num_resamples, size))
        alone = np.all(again == again[:, :1], axis=1)  # one depth has no order
        values = [
            np.einsum(
                "jsbd,sbd->jb",
                spearman_features(x[family.name][..., again]),
                spearman_features(family.column(outcome)[:, again]),
            )
            / len(family.seeds)
            for family in group
        ]
        draws.append(np.where(alone, np.nan, np.sum(values, axis=0)))
    stacked = np.stack(draws)  # [L, J, B]
    weight = np.array([len(group) for group in ladders])
    count = len(ladders)
    if count > 1:
        chosen = rng.integers(count, size=(count, num_resamples))
        total = np.take_along_axis(stacked, chosen[:, None, :], axis=0).sum(axis=0)
        mean = total / weight[chosen].sum(axis=0)
    else:
        mean = stacked[0] / weight[0]
    clusters = count if count > 1 else len(ladders[0][0].depths)
    if np.isnan(mean).all():  # no resample, or none with an order
        return np.full(len(mean), -1.0), np.full(len(mean), 1.0)
    ends = [percentile_interval(row, level=0.95, num_clusters=clusters) for row in mean]
    return np.array([e[0] for e in ends]), np.array([e[1] for e in ends])


def same_order(table: Sequence[FamilyTable], predictor: str, *, other: str = "depth") -> float:
    """Share of ladders in which two columns order the checkpoints alike, up or down.

    >>> from grpolab.validate.study.shootout.table import families
    >>> rows = [dict(task="t", regime="r", seed=0, depth=d, x=-d) for d in (1, 2, 3)]
    >>> same_order(families(rows), "x")
    1.0
    """
    alike = [
        np.abs(
            np.sum(
                spearman_features(f.column(predictor)) * spearman_features(f.column(other)), axis=1
            )
        )
        > 1 - _SLACK
        for f in table
    ]
    return float(np.mean(np.concatenate(alike)))


def regret_rows(
    family: FamilyTable,
    outcome: str,
    *,
    directions: Mapping[str, int] = DIRECTIONS,
) -> list[RegretRow]:
    """Regret of every predictor that the family has, of the deepest start and of a random one.

    The best start of each seed is known only after the fact, and as a maximum of measured values
    it is a little too good: the same for all predictors, so that differences are fair.

    >>> from grpolab.validate.study.shootout.table import families
    >>> rows = [dict(task="t", regime="r", seed=0, depth=d, x=d, y=y) for d, y in ((1, 3), (2, 2))]
    >>> [(r.predictor, r.regret) for r in regret_rows(families(rows)[0], "y", directions={"x": 1})]
    [('x', 1.0), ('deepest', 1.0), ('at random', 0.5)]
    """
    y = family.column(outcome)
    chance = regret_of(np.full(y.shape, 1.0 / y.shape[1]), y)
    choices = {n: picks(family, n, direction=d) for n, d in directions.items() if family.has(n)}
    choices["deepest"] = picks(family, "depth", direction=1)
    rows = [
        _regret_row(family, name, outcome, weights, y, chance) for name, weights in choices.items()
    ]
    mean = float(chance.mean())
    return [
        *rows,
        RegretRow(family.name, "at random", outcome, mean, float(chance.max()), 1.0, ()),
    ]


def _regret_row(
    family: FamilyTable,
    name: str,
    outcome: str,
    weights: FloatArray,
    y: FloatArray,
    chance: FloatArray,
) -> RegretRow:
    lost = regret_of(weights, y)
    mean, random = float(lost.mean()), float(chance.mean())
    chosen = family.depths[np.argmax(weights > 0, axis=1)]
    return RegretRow(
        family.name, name, outcome, mean, float(lost.max()),
        mean / random if random > 0 else 0.0, tuple(chosen.tolist()),
    )  # fmt: skip

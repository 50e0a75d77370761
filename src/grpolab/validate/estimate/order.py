"""Does the order of samples say something? Independent draws of one policy may be shuffled.

Given a prompt its samples are exchangeable, so shuffling them within prompts is a fair comparison
whatever the prompts and the policy are. Two things should then be as after shuffling: how alike the
samples at two places of a request are (`order_test`), and how often the samples of two requests
coincide (`neighbour_test`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from grpolab import streams
from grpolab.theory.groups import FloatArray, IntArray
from grpolab.theory.samples import unpack
from grpolab.validate.estimate.permute import permutation_p

_WORK = 200_000  # pairs of places that are compared per permutation
_PLACES = 64
_NONE = -1  # no sample at this place


class OrderTest(NamedTuple):
    """The pattern of places that stands out most, and the p-value over all patterns.

    ``pattern`` is "near" (places near each other are alike), "distance", "every" (places ``size``
    apart, or all that are a multiple of it), "block" (of ``size`` consecutive places) or "first"
    (place 0 against all others). ``agreement`` is the share of equal pairs of that pattern,
    ``expected`` the same after shuffling. NaN where nothing can be compared.
    """

    pattern: str
    size: int
    agreement: float
    expected: float
    p_value: float


class NeighbourTest(NamedTuple):
    """The coincidence of two requests that stands out most, and the p-value over all of them.

    Sample i of a request began like sample i + ``shift`` of the request ``lag`` later in the share
    ``agreement`` of all pairs; ``expected`` is the share after shuffling. ``lag`` 0: all requests
    agree place by place.
    """

    lag: int
    shift: int
    agreement: float
    expected: float
    p_value: float


def order_test(labels: IntArray, *, rng: np.random.Generator | int) -> OrderTest:
    """Are samples at some places of a request more, or less, alike than at others?

    ``labels`` [P, n]: equal numbers for equal samples (texts or verdicts), -1 where there is none.
    Counts of equal pairs over prompts for every pattern of places, standardised, the largest of
    them against its values with samples shuffled within prompts. Derived here.

    >>> blocks = np.repeat(np.arange(60).reshape(30, 2), 4, axis=1)
    >>> found = order_test(blocks, rng=0)
    >>> found.pattern, found.size, found.agreement, found.p_value < 1e-4
    ('block', 4, 1.0, True)
    """
    nothing = OrderTest("", 0, np.nan, np.nan, np.nan)
    if labels.ndim != 2 or labels.shape[1] < 3:
        return nothing
    table = labels[:, :_PLACES]
    first, second = _pairs(table.shape[1])
    table = table[:: max(1, len(table) * len(first) // (20 * _WORK))]  # a part of very many
    share = _equal_share(table, first, second)
    table, share = _part(table, share, (share > 0) & (share < 1), pairs=len(first))
    if len(table) < 2:
        return nothing
    patterns = _patterns(table.shape[1])
    weight = np.stack([p[2] for p in patterns])
    there = (table[:, first] >= 0) & (table[:, second] >= 0)
    expected = share @ there
    spread = np.sqrt(weight**2 @ ((share * (1 - share)) @ there) + 1.0)

    def scores(tables: IntArray) -> FloatArray:
        equal = _agreements(tables)
        return np.asarray((equal - expected) @ weight.T / spread)

    found = scores(table[None])[0]
    best = int(np.argmax(np.abs(found)))
    generator = streams.generator(rng, "order")
    p_value = permutation_p(
        float(np.abs(found[best])),
        lambda k: np.abs(scores(shuffled(table, k, generator))).max(axis=1),
    )
    name, size, which = patterns[best]
    if name == "near":  # told by neighbours
        which = (second - first == 1).astype(float)
    total = float(which @ there.sum(axis=0))
    return OrderTest(
        name if name != "near" or found[best] > 0 else "far", size,
        float(_agreements(table[None])[0] @ which / total), float(expected @ which / total),
        p_value,
    )  # fmt: skip


def _pairs(places: int) -> tuple[IntArray, IntArray]:
    """All pairs of places, by distance."""
    first = np.concatenate([np.arange(places - d) for d in range(1, places)])
    apart = np.repeat(np.arange(1, places), np.arange(places - 1, 0, -1))
    return first, first + apart


def _equal_share(table: IntArray, first: IntArray, second: IntArray) -> FloatArray:
    """Share of equal pairs of every prompt, [P]."""
    equal, pairs = np.zeros(len(table)), np.zeros(len(table))
    for start in range(0, len(table), 500):
        part = table[start : start + 500]
        there = (part[:, first] >= 0) & (part[:, second] >= 0)
        pairs[start : start + 500] = there.sum(axis=1)
        equal[start : start + 500] = (there & (part[:, first] == part[:, second])).sum(axis=1)
    return np.asarray(equal / np.maximum(pairs, 1))


def _part(
    table: IntArray, share: FloatArray, informative: npt.NDArray[np.bool_], *, pairs: int
) -> tuple[IntArray, FloatArray]:
    """Prompts that can tell, evenly spaced where they are more than the work allows."""
    rows = np.flatnonzero(informative)
    most = max(20, _WORK // max(pairs, 1))
    if len(rows) > most:
        rows = rows[np.linspace(0, len(rows) - 1, most).astype(int)]
    return table[rows], share[rows]


def _patterns(places: int) -> list[tuple[str, int, FloatArray]]:
    """Name, size and weight of the pairs of places of every pattern."""
    first, second = _pairs(places)
    apart = second - first
    found: list[tuple[str, int, FloatArray]] = [
        ("near", 1, (apart.mean() - apart) / apart.std()),
        ("first", 0, (first == 0).astype(float)),
    ]
    for d in range(1, places):
        found.append(("distance", d, (apart == d).astype(float)))
        if 2 * d < places:
            if d > 1:
                found.append(("every", d, (apart % d == 0).astype(float)))
                found.append(("block", d, (first // d == second // d).astype(float)))
        elif 2 * d == places and d > 1:
            found.append(("block", d, (first // d == second // d).astype(float)))
    return found


def _agreements(tables: IntArray) -> FloatArray:
    """Equal pairs over prompts for all pairs of places, in the order of `_pairs`; [B, pairs]."""
    found = []
    for d in range(1, tables.shape[2]):
        a, b = tables[:, :, d:], tables[:, :, :-d]
        found.append(((a == b) & (a >= 0)).sum(axis=1))
    return np.asarray(np.concatenate(found, axis=1), dtype=np.float64)


def shuffled(table: IntArray, times: int, rng: np.random.Generator) -> IntArray:
    """Samples in random order within every row, places without a sample kept; [B, P, ...]."""
    there = table if table.ndim == 2 else table[..., 0]
    keys = np.where(there >= 0, rng.random((times, *there.shape)), 2.0)
    order = np.argsort(keys, axis=2)
    if table.ndim == 2:
        return np.take_along_axis(np.broadcast_to(table, keys.shape), order, axis=2)
    wide = np.broadcast_to(table, (times, *table.shape))
    return np.take_along_axis(wide, order[..., None], axis=2)


def neighbour_test(starts: IntArray, *, rng: np.random.Generator | int) -> NeighbourTest:
    """Do samples of different requests coincide more often than chance has it?

    ``starts`` [P, n] are the first three tokens or words of every sample as
    `grpolab.theory.samples.pack` codes them, -1 where there is none, requests in the order they
    were made. Requests that share noise begin alike wherever their policies are alike. Compared
    are the next request at every shift (seeds s and s + 1, or half a request apart), every later
    request place by place (workers with one seed), and all requests at once (one seed for all).
    The largest standardised count of equal beginnings (of 1, 2 and 3 tokens) is held against its
    values with samples shuffled within prompts. Derived here.

    >>> noise = np.random.default_rng(0).integers(0, 50, 30 + 8)
    >>> seeds = noise[np.arange(30)[:, None] + np.arange(8)]  # seed + 1 for the next prompt
    >>> found = neighbour_test(seeds << 42, rng=0)
    >>> found.lag, found.shift, found.agreement, found.p_value < 1e-4
    (1, -1, 1.0, True)
    """
    nothing = NeighbourTest(0, 0, np.nan, np.nan, np.nan)
    if starts.ndim != 2 or len(starts) < 3 or starts.shape[1] < 2:
        return nothing
    places = min(starts.shape[1], _PLACES)
    rows = _some_requests(len(starts), places)
    part = starts[rows, :places]
    table = unpack(part.reshape(-1)).reshape(*part.shape, 3)
    codes = [np.unique(table[..., k], return_inverse=True)[1].reshape(part.shape) for k in range(3)]
    table = np.where((part >= 0)[..., None], np.stack(codes, axis=-1), _NONE).astype(np.int32)
    expected, spread = _neighbours_expected(table)
    if not np.any(spread > 1.0 + 1e-9):
        return nothing

    def scores(tables: IntArray) -> FloatArray:
        return np.asarray((_coincidences(tables) - expected) / spread)

    found = scores(table[None])[0]
    best = int(np.argmax(found))
    generator = streams.generator(rng, "neighbours")
    p_value = permutation_p(
        float(found[best]), lambda k: scores(shuffled(table, k, generator)).max(axis=1)
    )
    column = best // 3
    lag, shift = _comparisons(len(table), places)[column]
    lag = int(rows[lag] - rows[0])
    pairs = _pair_counts(table)[column]
    return NeighbourTest(
        lag, shift, float(_coincidences(table[None])[0][best] / pairs),
        float(expected[best] / pairs), p_value,
    )  # fmt: skip


def _some_requests(prompts: int, places: int) -> IntArray:
    """Requests that are compared: all, or eight runs of them, so that each worker's can be there.

    The work is that of all shifts of neighbours, 6 n^2 per request, and of all pairs of requests.
    """
    most = int(max(16, min(_WORK // places**2, (_WORK / places) ** 0.5)))
    if prompts <= most:
        return np.arange(prompts)
    starts = np.arange(8) * prompts // 8
    return np.concatenate([start + np.arange(most // 8) for start in starts])


def _comparisons(prompts: int, places: int) -> list[tuple[int, int]]:
    """(lag, shift) in the order of `_coincidences`; lag 0 stands for all lags."""
    shifts = [(1, s) for s in range(-(places - 1), places)]
    return [(0, 0), *shifts, *((lag, 0) for lag in range(2, prompts))]


def _both(
    now: npt.NDArray[Any], then: npt.NDArray[Any], lag: int, shift: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Samples i of a request and i + shift of the one ``lag`` later; views [..., P - lag, m]."""
    prompts, places = now.shape[-2:]
    now, then = now[..., : prompts - lag, :], then[..., lag:, :]
    if shift >= 0:
        return now[..., : places - shift], then[..., shift:]
    return now[..., -shift:], then[..., : places + shift]


def _coincidences(tables: IntArray) -> FloatArray:
    """Equal beginnings for every comparison and length of beginning, [B, comparisons * 3]."""
    now = np.ascontiguousarray(np.moveaxis(tables, 3, 1))  # [B, 3, P, n]: long rows, to be packed
    then = np.where(now < 0, -2, now)  # what is not there is equal to nothing
    comparisons = _comparisons(*tables.shape[1:3])[1:]
    stacked = np.empty((len(tables), len(comparisons), 3))
    for i, (lag, shift) in enumerate(comparisons):
        a, b = _both(now, then, lag, shift)
        equal = np.packbits((a == b).reshape(len(tables), 3, -1), axis=-1)
        stacked[:, i] = np.bitwise_count(equal).sum(axis=-1, dtype=np.int64)
    same_place = [i for i, (_, shift) in enumerate(comparisons) if shift == 0]
    everything = stacked[:, same_place].sum(axis=1, keepdims=True)
    return np.asarray(np.concatenate([everything, stacked], axis=1).reshape(len(tables), -1))


def _pair_counts(table: IntArray) -> FloatArray:
    """Pairs of samples of every comparison."""
    there = table[..., 0] >= 0
    comparisons = _comparisons(*there.shape)[1:]
    counts = [float(np.logical_and(*_both(there, there, *one)).sum()) for one in comparisons]
    total = sum(c for c, (_, shift) in zip(counts, comparisons, strict=True) if shift == 0)
    return np.asarray(np.maximum([total, *counts], 1.0))


def _neighbours_expected(table: IntArray) -> tuple[FloatArray, FloatArray]:
    """Mean and a scale of every count under shuffling, [comparisons * 3]."""
    prompts, places = table.shape[:2]
    there = table[..., 0] >= 0
    number = there.sum(axis=1)
    mean = np.zeros((prompts, prompts, 3))  # share of equal pairs of two requests
    for length in range(3):
        codes = np.unique(table[..., length], return_inverse=True)[1].reshape(prompts, places)
        counts = np.zeros((prompts, int(codes.max()) + 1))
        rows = np.repeat(np.arange(prompts), places)
        np.add.at(counts, (rows, codes.ravel()), (table[..., length] >= 0).ravel())
        mean[..., length] = counts @ counts.T
    mean /= np.maximum(np.outer(number, number), 1)[..., None]
    expected, variance = [], []
    for lag, shift in _comparisons(prompts, places)[1:]:
        pairs = np.logical_and(*_both(there, there, lag, shift)).sum(axis=1)[:, None]
        q = np.stack([np.diagonal(mean[..., k], lag) for k in range(3)], axis=1)
        expected.append((pairs * q).sum(axis=0))
        variance.append((pairs * q * (1 - q)).sum(axis=0))
    same_place = [i for i, (_, shift) in enumerate(_comparisons(prompts, places)[1:]) if shift == 0]
    total = [np.sum([values[i] for i in same_place], axis=0) for values in (expected, variance)]
    return (
        np.concatenate([total[0][None], np.array(expected)]).ravel(),
        np.sqrt(np.concatenate([total[1][None], np.array(variance)]).ravel() + 1.0),
    )

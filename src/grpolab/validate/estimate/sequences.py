"""Noise that requests share at offsets nobody knows, or in no order at all.

A counter of seeds that starts again gives requests the same seeds, shifted against each other by a
number that differs from pair to pair: at that shift, samples of one request are like those of
another (`sequence_test`). Where the order is lost as well, requests with one law of beginnings hold
each of them more equally often than independent draws do (`evenness_test`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import fft

from grpolab import streams
from grpolab.theory.groups import FloatArray, IntArray
from grpolab.theory.samples import unpack
from grpolab.validate.estimate.order import shuffled
from grpolab.validate.estimate.permute import permutation_p

_PLACES, _CELLS = 64, 65_536  # places, and pairs of requests by places, that are compared
_CODES = 40  # different beginnings that are told apart
_FLOOR = 2.0  # added to the variance of a sum of coincidences: rare beginnings say little
_PAIRS = 8  # at one distance that are looked at together
_TOGETHER = 0.02  # weight of these: few, so that one of them weighs as many single pairs
_SHARP, _MOST = 2.0, 80.0  # exp(80) fits single precision
_MARKS = 8  # beginnings of one length whose frequencies are compared
_RARE = 0.02

Table = npt.NDArray[np.float32]


class SequenceTest(NamedTuple):
    """The requests whose samples are most alike at some shift, and the p-value over all of them.

    Of the samples i of request ``first`` and i + ``shift`` of request ``second`` (by their order in
    the file) the share ``agreement`` are alike, ``expected`` of all pairs of their samples. With
    ``every`` that is so of all requests that are as far apart as these two. NaN where nothing can
    be compared.
    """

    first: int
    second: int
    every: bool
    shift: int
    agreement: float
    expected: float
    p_value: float


def sequence_test(labels: IntArray, *, rng: np.random.Generator | int) -> SequenceTest:
    """Do requests coincide at shifts of their own, one for each pair of requests?

    ``labels`` [P, n]: verdicts, or beginnings as `grpolab.theory.samples.pack` codes them, -1 where
    there is none. For every pair of requests and every shift, z is the number of coincidences over
    that of random order, standardised; so it is for all pairs at one distance together. The sum of
    exp(2 z) over both, the latter with weight 0.02, is held against its values with samples
    shuffled within requests. Beginnings are compared by the number of tokens by which they vary
    most. Derived here.

    >>> noise = np.random.default_rng(0)
    >>> luck, start = noise.random(60), noise.integers(0, 45, (30, 1))
    >>> rewards = luck[start + np.arange(15)] < np.linspace(0.2, 0.8, 30)[:, None]
    >>> sequence_test(rewards.astype(int), rng=0).p_value < 1e-4
    True
    """
    nothing = SequenceTest(0, 0, False, 0, np.nan, np.nan, np.nan)
    if labels.ndim != 2 or len(labels) < 3 or labels.shape[1] < 3:
        return nothing
    part = labels[:, :_PLACES]
    rows = _some(len(part), int((_CELLS / part.shape[1]) ** 0.5))
    table = max((_shared(c) for c in _codes(part[rows])), key=lambda t: float(_scale(t).sum()))
    scale = _scale(table)
    if table.max() < 0 or float(scale.max()) <= 0:
        return nothing
    places = table.shape[1]
    apart = np.delete(np.arange(2 * places), places)
    overlap = places - np.minimum(apart, 2 * places - apart)
    first, second = np.triu_indices(len(table), 1)
    which = np.unique(rows[second] - rows[first], return_inverse=True)[1]
    often = np.flatnonzero(np.bincount(which) >= _PAIRS)
    member = (which[:, None] == often).astype(np.float32)
    one = (1.0 / np.sqrt(overlap[:, None] * scale + _FLOOR)).astype(np.float32)
    all_of = (1.0 / np.sqrt(overlap[:, None] * (scale @ member) + _FLOOR)).astype(np.float32)

    def alike(samples: IntArray) -> tuple[Table, Table]:
        found = _correlations(samples)[apart]
        return found * one, (found @ member) * all_of

    def score(samples: IntArray) -> float:
        sharp = [np.exp(np.minimum(_SHARP * z, _MOST)).sum() for z in alike(samples)]
        return float(np.log(sharp[0] + _TOGETHER * sharp[1]))

    generator = streams.generator(rng, "sequences")
    p_value = permutation_p(
        score(table),
        lambda k: np.array([score(t) for t in shuffled(table, k, generator)]),
        first=20,
    )
    pairs, distances = alike(table)
    every = bool(distances.max(initial=0.0) > pairs.max())
    found = distances if every else pairs
    column, best = (int(v) for v in np.unravel_index(int(np.argmax(found)), found.shape))
    shift = int(apart[column]) - 2 * places * bool(apart[column] > places)
    shown = np.flatnonzero(which == often[best]) if every else np.array([best])
    i, j = int(rows[first[shown[0]]]), int(rows[second[shown[0]]])
    share, chance = _agreement(table[first[shown]], table[second[shown]], shift)
    return SequenceTest(i, j, every, shift, share, chance, p_value)


def _some(requests: int, most: int) -> IntArray:
    """All requests, or eight runs of them."""
    most = max(16, most)
    if requests <= most:
        return np.arange(requests)
    starts = np.arange(8) * requests // 8
    return np.concatenate([start + np.arange(most // 8) for start in starts])


def _codes(part: IntArray) -> list[IntArray]:
    """Tables [P, n] of small numbers, -1 for none: verdicts, or beginnings of 1, 2 and 3 tokens."""
    there = part >= 0
    if part.max(initial=0) <= 1:
        return [np.where(there, part, -1)]
    found = []
    for column in unpack(part.reshape(-1)).T:
        code = np.unique(column, return_inverse=True)[1].reshape(part.shape)
        found.append(np.where(there, code, -1))
    return found


def _shared(table: IntArray) -> IntArray:
    """The most frequent codes that two requests have, numbered anew; the others as none."""
    there = table >= 0
    rows = np.broadcast_to(np.arange(len(table))[:, None], table.shape)
    owned = np.zeros((len(table), int(table.max(initial=0)) + 1), np.int64)
    np.add.at(owned, (rows[there], table[there]), 1)
    times = np.where((owned > 0).sum(axis=0) >= 2, owned.sum(axis=0), 0)
    often = np.argsort(-times, kind="stable")[:_CODES]
    often = often[times[often] > 0]
    number = np.full(len(times) + 1, -1)
    number[often] = np.arange(len(often))
    return np.asarray(number[table])


def _centred(table: IntArray) -> Table:
    """Indicators of the codes about their mean in the request, [V, P, n]; 0 where there is none."""
    codes = np.arange(int(table.max(initial=0)) + 1)[:, None, None]
    marks = (table == codes).astype(np.float32)
    return np.asarray(marks - marks.mean(axis=2, keepdims=True))


def _scale(table: IntArray) -> FloatArray:
    """Variance of a coincidence of two samples in random order, for all pairs of requests."""
    x = _centred(table).transpose(1, 0, 2)
    own = (x @ x.transpose(0, 2, 1) / table.shape[1]).reshape(len(table), -1)
    return np.asarray((own @ own.T)[np.triu_indices(len(table), 1)], dtype=np.float64)


def _correlations(table: IntArray) -> Table:
    """Coincidences over those of random order, for all shifts and pairs; [2 n, pairs]."""
    size = 2 * table.shape[1]
    wave = fft.rfft(_centred(table), size, axis=2).transpose(2, 1, 0)
    both = np.conj(wave) @ wave.transpose(0, 2, 1)
    first, second = np.triu_indices(len(table), 1)
    return np.asarray(fft.irfft(both[:, first, second], size, axis=0))


def _agreement(a: IntArray, b: IntArray, shift: int) -> tuple[float, float]:
    """Share of equal samples of requests [K, n] at a shift, and of all pairs of samples."""
    n = a.shape[1]
    one, other = (a[:, : n - shift], b[:, shift:]) if shift >= 0 else (a[:, -shift:], b[:, :shift])
    there, everywhere = (one >= 0) & (other >= 0), (a[:, :, None] >= 0) & (b[:, None] >= 0)
    return (
        float(np.mean((one == other)[there])) if there.any() else np.nan,
        float(np.mean((a[:, :, None] == b[:, None])[everywhere])) if everywhere.any() else np.nan,
    )


class EvennessTest(NamedTuple):
    """The beginning whose frequency differs least between requests, in units of chance.

    ``ratio`` is the variance of its count over requests by that of independent draws with one law,
    ``share`` its share of all samples. NaN where nothing can be compared.
    """

    tokens: int
    share: float
    ratio: float
    p_value: float


def evenness_test(labels: IntArray, *, rng: np.random.Generator | int) -> EvennessTest:
    """Do requests hold a beginning equally often, more so than independent draws would?

    ``labels`` [P, n] as in `sequence_test`. With n draws per request the count of a beginning has
    at least the variance ``n q (1 - q)`` over requests, q its share, whatever their laws are:
    differences between requests add to it. Requests that share their seeds, in any order, fall
    below. The smallest ratio of the eight most frequent beginnings of 1, 2 and 3 tokens is held
    against its values with samples shuffled over all requests, which is the boundary. Derived here.

    >>> starts = np.random.default_rng(0).permuted(np.tile(np.arange(8) % 3, (40, 1)), axis=1)
    >>> found = evenness_test(starts << 42, rng=0)
    >>> found.ratio, found.p_value < 1e-4
    (0.0, True)
    """
    nothing = EvennessTest(0, np.nan, np.nan, np.nan)
    if labels.ndim != 2 or len(labels) < 3 or labels.shape[1] < 2:
        return nothing
    part = labels[(labels >= 0).all(axis=1), :_PLACES]
    if len(part) < max(3, len(labels) / 2):
        return nothing
    part = part[:: max(1, part.size // _CELLS)]
    marks, lengths = [], []
    for length, table in enumerate(_codes(part), 1):
        share = np.bincount(table.ravel()) / table.size
        often = np.argsort(-share, kind="stable")[:_MARKS]
        for code in often[(share[often] > _RARE) & (share[often] < 1 - _RARE)]:
            marks.append(table == code)
            lengths.append(length)
    if not marks:
        return nothing
    stacked = np.stack(marks, axis=-1).astype(np.float32)
    share = stacked.mean(axis=(0, 1), dtype=np.float64)
    chance = part.shape[1] * share * (1 - share) * (1 - 1 / len(part))

    def ratios(batch: Table) -> FloatArray:
        return np.asarray(batch.sum(axis=2).var(axis=1) / chance, dtype=np.float64)

    found = ratios(stacked[None])[0]
    best = int(np.argmin(found))
    generator = streams.generator(rng, "evenness")
    flat = stacked.reshape(part.size, -1)

    def draw(times: int) -> FloatArray:
        order = np.argsort(generator.random((times, part.size)), axis=1)
        lowest = ratios(flat[order].reshape(times, *stacked.shape)).min(axis=1)
        return np.asarray(-lowest)

    return EvennessTest(
        lengths[best], float(share[best]), float(found[best]),
        permutation_p(-float(found[best]), draw),
    )  # fmt: skip

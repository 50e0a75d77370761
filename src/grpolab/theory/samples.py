"""Samples one by one, in the order they were kept in: what counts forget.

Counts are all that an estimate needs. Whether the samples are independent draws, and all of those
that were made, shows in their order, and in which completions are equal.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from grpolab.theory.groups import FloatArray, IntArray

_BITS, _WORDS = 21, 3
_NONE = (1 << _BITS) - 1  # no such word: the text is shorter


class SampleTable(Protocol):
    """One row per sample, shape [R], in the order of the file; absent columns are None.

    ``text`` holds equal numbers for equal completions, -1 for none; ``length`` their characters;
    ``starts`` the beginning of the completion of every number.
    """

    @property
    def prompt(self) -> IntArray:
        """As in the counts."""
        ...

    @property
    def reward(self) -> FloatArray:
        """0, 1 or NaN."""
        ...

    @property
    def group(self) -> IntArray | None:
        """As in the counts."""
        ...

    @property
    def step(self) -> IntArray | None:
        """As in the counts."""
        ...

    @property
    def text(self) -> IntArray | None:
        """Numbers of the completions."""
        ...

    @property
    def length(self) -> IntArray | None:
        """Characters of the completions."""
        ...

    @property
    def starts(self) -> Sequence[str]:
        """First characters of the completions, by number."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class SampleRows:
    """Rows with a verdict, shape [R], in order; what tests of a sampler look at.

    ``request`` numbers the pairs of prompt and step as they appear, ``group`` the groups of all
    requests. ``start`` holds the first three words or tokens of a completion as `pack` codes them.
    The last three are None where there are no completions.
    """

    prompt: IntArray
    request: IntArray
    group: IntArray
    reward: FloatArray
    step: IntArray
    text: IntArray | None = None
    length: IntArray | None = None
    start: IntArray | None = None

    @property
    def rewards(self) -> IntArray:
        """Rewards as a table [P, n], one row per request; -1 where there is none."""
        return in_rows(self.request, self.reward.astype(np.int64))

    @property
    def texts(self) -> IntArray | None:
        """Texts as a table [P, n], one row per request; -1 where there is none."""
        return None if self.text is None else in_rows(self.request, self.text)

    @property
    def beginnings(self) -> IntArray | None:
        """Beginnings as a table [P, n], one row per request; -1 where there is none."""
        return None if self.start is None else in_rows(self.request, self.start)


def sample_rows(
    *,
    prompt: IntArray,
    reward: FloatArray,
    group: IntArray | None = None,
    step: IntArray | None = None,
    **texts: IntArray | None,
) -> SampleRows:
    """Rows from columns [R] of prompts, rewards, groups, steps and texts; no verdict, no row.

    >>> rows = sample_rows(prompt=np.array([7, 3, 7, 3]), reward=np.array([1.0, 0.0, np.nan, 1.0]))
    >>> rows.request.tolist(), rows.rewards.tolist()
    ([0, 1, 1], [[1, -1], [0, 1]])
    """
    seen = ~np.isnan(reward)
    zero = np.zeros(len(prompt), np.int64)
    key = [prompt[seen], (zero if step is None else step)[seen]]
    request = _by_appearance(pairs_of(*key))
    inner = _by_appearance(pairs_of(request, (zero if group is None else group)[seen]))
    columns = {name: None if v is None else v[seen] for name, v in texts.items()}
    return SampleRows(prompt[seen], request, inner, reward[seen], key[1], **columns)


def rows_of(table: SampleTable) -> SampleRows:
    """The rows of a file that a reader read."""
    start = None
    if table.text is not None and len(table.starts):
        codes = np.append(_start_codes(table.starts), -1)
        start = codes[np.where(table.text >= 0, table.text, -1)]
    return sample_rows(
        prompt=table.prompt, reward=table.reward, group=table.group, step=table.step,
        text=table.text, length=table.length, start=start,
    )  # fmt: skip


def pairs_of(first: IntArray, second: IntArray) -> IntArray:
    """Equal numbers for equal pairs, ordered as the pairs are.

    >>> pairs_of(np.array([5, 5, 2]), np.array([1, 3, 1])).tolist()
    [2, 3, 0]
    """
    values, code = np.unique(second, return_inverse=True)
    return np.asarray(np.unique(first, return_inverse=True)[1] * max(len(values), 1) + code)


def _by_appearance(keys: IntArray) -> IntArray:
    """Numbers 0, 1, ... of the distinct keys in order of first appearance."""
    _, first, code = np.unique(keys, return_index=True, return_inverse=True)
    place = np.empty(len(first), np.int64)
    place[np.argsort(first)] = np.arange(len(first))
    return np.asarray(place[code.reshape(-1)])


def in_rows(request: IntArray, values: npt.NDArray[Any]) -> IntArray:
    """Values [R] as a table [P, n], one row per request in order, the rest -1.

    >>> in_rows(np.array([0, 1, 0]), np.array([5, 6, 7])).tolist()
    [[5, 7], [6, -1]]
    """
    order = np.argsort(request, kind="stable")
    size = np.bincount(request)
    place = np.arange(len(request)) - np.repeat(np.cumsum(size) - size, size)
    table = np.full((len(size), int(size.max(initial=0))), -1, dtype=np.int64)
    table[request[order], place] = values[order]
    return table


def _start_codes(starts: Sequence[str]) -> IntArray:
    """The first three words of every text, as `pack` codes them."""
    found = np.full((len(starts), _WORDS), -1, np.int64)
    for row, text in enumerate(starts):
        for place, word in enumerate(text.split(maxsplit=_WORDS)[:_WORDS]):
            found[row, place] = zlib.crc32(word.encode("utf-8", "surrogatepass")) % _NONE
    return pack(found)


def pack(first: IntArray) -> IntArray:
    """Three codes per row [R, 3], each in 0..2^21 - 2 (or negative: there is none), as one number.

    >>> one, two, three = unpack(pack(np.array([[1, 2, -1], [1, 2, 7]]))).T.tolist()
    >>> one, two[0] == two[1], three[0] == three[1]
    ([1, 1], True, False)
    """
    codes = np.where(first < 0, _NONE, first % (_NONE + 1))
    return np.asarray((codes[:, 0] << 2 * _BITS) | (codes[:, 1] << _BITS) | codes[:, 2])


def unpack(start: IntArray) -> IntArray:
    """Codes of the first one, two and three words or tokens, [R, 3]: equal for equal beginnings."""
    return np.stack([start >> 2 * _BITS, start >> _BITS, start], axis=1)

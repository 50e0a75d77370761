"""Groups of rollouts by what the trainer learns from them, beside what the verdicts say.

A verdict (a threshold, one reward function of several) and the signal of the trainer are two
things. A group has a signal where what the trainer learns from differs: its advantages where they
are written, else its raw rewards.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from grpolab.figures.words import percent
from grpolab.theory.groups import FloatArray, IntArray, equal_rewards
from grpolab.validate.monitor.state import GroupTally
from grpolab.validate.readers.format import Samples

_WORTH = 0.05
"""Share of the groups from which on a difference between verdict and signal is worth a line."""
_COPIES, _LONG, _ALMOST_ALL = 0.5, 20, 0.95
"""Groups of equal completions are worth a line from a share of 0.5 on where their texts have 20
characters; shorter ones, which a sure policy may well repeat, from 0.95 on."""
_LONG_TEXT = 100  # characters that a policy hardly repeats
_FEW_OF = 4  # completions of a group from which few different ones mean something


class Contrast(NamedTuple):
    """Numbers of groups, over all files read.

    ``varies`` says in how many groups each of several reward functions differs.
    """

    groups: int = 0
    cancelled: int = 0  # verdicts differ, and the trainer sees no difference
    graded: int = 0  # one verdict, and the trainer sees a difference
    not_finite: int = 0  # the advantage of some rollout is NaN
    copies: int = 0  # all completions are one text
    repeated: int = 0  # at most half of four or more long completions differ
    distinct: int = 0  # different completions, summed over groups
    rollouts: int = 0  # of groups with texts
    characters: int = 0  # mean lengths of the texts of groups of copies, summed
    varies: Mapping[str, int] = MappingProxyType({})

    def plus(self, other: Contrast) -> Contrast:
        """The sums of both."""
        names = dict.fromkeys([*self.varies, *other.varies])
        varies = {n: self.varies.get(n, 0) + other.varies.get(n, 0) for n in names}
        sums = {
            name: value + getattr(other, name)
            for name, value in self._asdict().items()
            if name != "varies"
        }
        return Contrast(**sums, varies=varies)

    def remarks(self) -> list[str]:
        """What is worth a line."""
        if not self.groups:
            return []
        found = []
        if self.cancelled >= _WORTH * self.groups:
            found.append(
                f"in {self._share(self.cancelled)} the verdicts differ and what the trainer learns"
                " from does not: another reward cancels the one that is read, or hides it"
            )
        if self.graded >= _WORTH * self.groups:
            found.append(
                f"in {self._share(self.graded)} all verdicts are equal and the rewards that the"
                " trainer learns from differ: they count as groups with a signal"
            )
        if self.not_finite:
            found.append(
                f"in {self._share(self.not_finite)} an advantage is NaN or infinite: nothing is"
                " learned from them"
            )
        enough = _COPIES if self.characters >= _LONG * self.copies else _ALMOST_ALL
        if self.copies >= enough * self.groups:
            found.append(
                f"in {self._share(self.copies)} all completions are the same text"
                f" ({self.distinct / self.groups:.2g} distinct per group of"
                f" {self.rollouts / self.groups:.2g}): one seed for a whole group, or a policy that"
                " is nearly deterministic? Equal samples are one sample"
            )
        elif self.repeated >= _COPIES * self.groups:
            found.append(
                f"in {self._share(self.repeated)} at most half of the completions differ, long as"
                f" they are ({self.distinct / self.groups:.2g} different ones per group of"
                f" {self.rollouts / self.groups:.2g}): seeds or a prefix that samples share, or a"
                " low temperature? A group has as many draws as different completions"
            )
        if len(self.varies) > 1:
            found.append(
                "groups in which each reward function varies: "
                + ", ".join(f"{n} {percent(k / self.groups)}" for n, k in self.varies.items())
                + self._hidden()
            )
        return found

    def _hidden(self) -> str:
        """Which reward functions are constant in a group while others differ."""
        dead = [n for n, k in self.varies.items() if k < _WORTH * self.groups]
        alive = [n for n in self.varies if n not in dead]
        if not dead or not alive:
            return ""
        return f"; the spread is that of {' and '.join(alive)}, hardly any of {' and '.join(dead)}"

    def _share(self, count: int) -> str:
        return f"{count} of {self.groups} groups ({percent(count / self.groups)})"


def group_signal(samples: Samples, step: int | None) -> tuple[GroupTally | None, Contrast]:
    """The groups of a step (all rows where it is None), None where there is no row at all."""
    rows = np.arange(len(samples.prompt))
    if step is not None and samples.step is not None:
        rows = np.flatnonzero(samples.step == step)
    if not len(rows):
        return None, Contrast()
    place, column, shape = _cells(samples, rows)

    def table(values: FloatArray) -> FloatArray:
        out = np.full(shape, np.nan)
        out[place, column] = values[rows]
        return out

    reward, signal = table(samples.reward), table(samples.signal)
    there = np.zeros(shape, dtype=bool)
    there[place, column] = True
    seen = ~np.isnan(reward)
    broken = (there & ~np.isfinite(signal) & seen).any(axis=1)
    counts = (seen.sum(axis=1) >= 2) & ~broken
    differs = counts & ~equal_rewards(np.where(seen, signal, np.nan))
    correct = np.where(seen, reward, 0.0).sum(axis=1)
    size = seen.sum(axis=1)
    mixed = (correct > 0) & (correct < size)
    cancelled, wrong = counts & mixed & ~differs, counts & ~differs & (correct == 0)
    tally = GroupTally(
        num_groups=float(counts.sum()),
        num_informative=float(differs.sum()),
        num_all_wrong=math.nan if cancelled.any() else float(wrong.sum()),
        num_unseen=float((~counts).sum()),
        num_rollouts=float(size[counts].sum()),
        num_correct=float(correct[counts].sum()),
        num_not_finite=float(broken.sum()),
    )
    varies = {}
    if len(samples.rewards) > 1:
        usable = counts | broken
        varies = {
            name: int((usable & ~equal_rewards(table(values))).sum())
            for name, values in samples.rewards.items()
        }
    contrast = Contrast(
        varies=varies,
        groups=int((counts | broken).sum()),
        cancelled=int(cancelled.sum()),
        graded=int((differs & ~mixed).sum()),
        not_finite=int(broken.sum()),
    )
    return tally, contrast.plus(_texts(samples, rows, place, shape[0]))


def _cells(samples: Samples, rows: IntArray) -> tuple[IntArray, IntArray, tuple[int, int]]:
    """Group and place within it of every row, and the shape [groups, largest group]."""
    keys = [samples.prompt[rows]]
    keys += [key[rows] for key in (samples.group, samples.step) if key is not None]
    _, place = np.unique(np.stack(keys), axis=1, return_inverse=True)
    place = np.asarray(place).reshape(-1)
    order = np.argsort(place, kind="stable")
    size = np.bincount(place)
    column = np.empty_like(order)
    column[order] = np.arange(len(order)) - np.repeat(np.cumsum(size) - size, size)
    return place, column, (len(size), int(size.max()))


def _texts(samples: Samples, rows: IntArray, place: IntArray, groups: int) -> Contrast:
    """Numbers of different completions, where the file holds completions."""
    if samples.text is None or (samples.text[rows] < 0).any():
        return Contrast()
    pairs = np.unique(np.stack([place, samples.text[rows]]), axis=1)
    distinct, size = np.bincount(pairs[0], minlength=groups), np.bincount(place, minlength=groups)
    copies = (distinct == 1) & (size > 1)
    characters = repeated = 0
    if samples.length is not None:
        mean = np.bincount(place, weights=samples.length[rows], minlength=groups) / size
        characters = round(float(mean[copies].sum()))
        few = (size >= _FEW_OF) & (2 * distinct <= size) & (mean >= _LONG_TEXT)
        repeated = int(few.sum())
    return Contrast(
        copies=int(copies.sum()),
        repeated=repeated,
        distinct=int(distinct.sum()),
        rollouts=int(size.sum()),
        characters=characters,
    )

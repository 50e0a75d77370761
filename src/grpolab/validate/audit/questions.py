"""What completions and the order of prompts show, but no test can decide: questions to the reader.

A policy may be sure, a task may be sorted, a grader may be right: whatever these rules ask about
has an innocent explanation. They state what is in the file and what it would mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from grpolab.figures.words import counted, percent
from grpolab.theory.groups import FloatArray, IntArray
from grpolab.theory.samples import SampleRows, SampleTable, in_rows
from grpolab.validate.estimate.copies import LONG

_PROMPTS, _SAMPLES = 10, 4  # below that no pattern over prompts, or within them, means anything
_WHOLE = 20  # characters of a text that several prompts hardly share by being right
_RARELY = 1e-3  # chance of a run of prompts in random order that is worth a question
_TEXTS = 200  # prompts whose beginnings are compared
_MOST = 0.95


class _Prompts(NamedTuple):
    """Samples as tables [P, n] in the order of the file, -1 (or NaN) where there is none."""

    rewards: IntArray
    text: IntArray | None
    length: IntArray

    @property
    def size(self) -> IntArray:
        return np.asarray((self.rewards >= 0).sum(axis=1))

    @property
    def right(self) -> IntArray:
        return np.asarray((self.rewards == 1).sum(axis=1))


def questions(rows: SampleRows, table: SampleTable) -> list[str]:
    """Sentences on what the samples show, the most harmful first; none for a usual file."""
    text = rows.texts
    length = np.full(rows.rewards.shape, -1) if rows.length is None else rows.length
    one = _Prompts(
        rows.rewards, text, length if rows.length is None else in_rows(rows.request, rows.length)
    )
    found = [_one_verdict(one), _in_a_row(one)]
    if text is not None:
        found += [
            _mismatch(one, text), _empty(one, text), _one_text(one, text, table.starts),
            _repeated(one, text), _prefix(one, text, table.starts),
        ]  # fmt: skip
    return [sentence for sentence in found if sentence]


def _one_verdict(one: _Prompts) -> str:
    use = one.size >= _SAMPLES
    right, size = one.right[use], one.size[use]
    if use.sum() < _PROMPTS or np.any((right > 0) & (right < size)) or np.ptp(right) == 0:
        return ""
    differ = ""
    if one.text is not None:
        if float(_distinct(one.text[use]).mean()) <= 2:
            return ""
        differ = ", though its completions differ"
    return (
        f"no prompt has both right and wrong samples{differ}: was one verdict per prompt copied to"
        " all its samples? Then every prompt has one sample, and no forecast can be made"
    )


def _in_a_row(one: _Prompts) -> str:
    """A run of prompts that are all wrong (or right) where random order hardly has one."""
    prompts = len(one.size)
    if prompts < _PROMPTS or int(one.size.min()) < 2:
        return ""
    some = (one.right > 0) & (one.right < one.size)
    if _serial(one.right[some] / one.size[some]):
        return ""
    for what, mark in (("wrong", one.right == 0), ("right", one.right == one.size)):
        start, longest = _longest(mark)
        total = int(mark.sum())
        if longest < 4 or longest == prompts:
            continue
        steps = np.arange(longest)
        chance = (prompts - longest + 1) * float(np.prod((total - steps) / (prompts - steps)))
        if chance < _RARELY:
            cause = "engine or of the grader" if what == "wrong" else "grader"
            return (
                f"prompts {start + 1} to {start + longest} of {prompts} in the order of the file"
                f" are all {what}, {longest} in a row of {total} such prompts; random order has"
                f" such a run once in {_times(chance)} files. Is the file sorted by subject or"
                f" difficulty, or was it an outage of the {cause}? Then these are no observations"
            )
    return ""


def _serial(rate: FloatArray) -> bool:
    """Whether neighbours in the file are alike: the file is sorted somehow."""
    if len(rate) < 8 or np.ptp(rate) == 0:
        return False
    centred = rate - rate.mean()
    z = float(centred[1:] @ centred[:-1] / (centred @ centred)) * math.sqrt(len(rate))
    return z + 1 / math.sqrt(len(rate)) > 2.0


def _longest(mark: npt.NDArray[np.bool_]) -> tuple[int, int]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mark.astype(int), [0]])))
    starts, ends = edges[::2], edges[1::2]
    if not len(starts):
        return 0, 0
    best = int(np.argmax(ends - starts))
    return int(starts[best]), int(ends[best] - starts[best])


def _mismatch(one: _Prompts, text: IntArray) -> str:
    """Equal completions of a prompt with unequal verdicts: is each verdict in its own row?"""
    apart = expected = pairs = 0.0
    for texts, rewards in zip(text, one.rewards, strict=True):
        seen = texts >= 0
        n, right = int(seen.sum()), int(rewards[seen].sum())
        if n < 2 or right in (0, n):
            continue
        code = np.unique(texts[seen], return_inverse=True)[1]
        times, hits = np.bincount(code), np.bincount(code, weights=rewards[seen])
        equal = float((times * (times - 1)).sum()) / 2
        apart += float((hits * (times - hits)).sum())
        expected += equal * 2 * right * (n - right) / (n * (n - 1))
        pairs += equal
    if apart < 3 or apart < 0.02 * expected:
        return ""
    seen_as = (
        f"{percent(apart / pairs)} of the pairs of equal completions of a prompt that has both"
        " verdicts have different ones"
    )
    if expected >= 10 and apart > 0.7 * expected:
        return (
            f"{seen_as}, as many as if verdicts were dealt at random ({percent(expected / pairs)}):"
            " do the rows of completions and verdicts belong together? If not, only the total of"
            " all verdicts is right"
        )
    return (
        f"{seen_as} ({percent(expected / pairs)} if they were dealt at random): the grader is not a"
        " function of the completion (a flaky grader, a timeout, or verdicts in a wrong row)"
    )


def _empty(one: _Prompts, text: IntArray) -> str:
    empty = (text >= 0) & (one.length == 0)
    if not empty.any():
        return ""
    whole = int(np.sum(empty.sum(axis=1) == one.size))
    right = float((one.rewards[empty] == 1).mean())
    prompts = f", all of {counted(whole, 'prompt')} among them," if whole else ""
    return (
        f"{counted(int(empty.sum()), 'completion')} are empty{prompts} and count as"
        f" {'wrong' if right == 0 else f'{percent(right)} right'}: if the engine failed, they are"
        " no observations; leave their verdicts out"
    )


def _one_text(one: _Prompts, text: IntArray, starts: Sequence[str]) -> str:
    """One text that is all that several prompts have, and wrong: an error message?"""
    whole = (one.size >= 2) & (one.right == 0)
    whole &= np.all((text == text[:, :1]) | (text < 0), axis=1) & (text[:, 0] >= 0)
    whole &= one.length[:, 0] >= _WHOLE
    if not whole.any():
        return ""
    codes, times = np.unique(text[whole, 0], return_counts=True)
    best = int(np.argmax(times))
    if times[best] < 2:
        return ""
    said = " ".join(starts[int(codes[best])].split()) if len(starts) else ""
    quoted = f' ("{said[:60]}{"..." if len(said) > 60 else ""}")' if said else ""
    return (
        f"all samples of {counted(int(times[best]), 'prompt')} are one and the same text{quoted},"
        " all wrong: if it is an error of the engine, they are no observations"
    )


def _repeated(one: _Prompts, text: IntArray) -> str:
    """One long text several times in most prompts, all others once: greedy samples among drawn."""
    use = (one.size >= _SAMPLES) & (one.length.max(axis=1) >= LONG)
    if use.sum() < _PROMPTS:
        return ""
    most, second, size = [], [], []
    for row in text[use]:
        times = -np.sort(-np.unique(row[row >= 0], return_counts=True)[1])
        most.append(times[0] if len(times) else 0)
        second.append(times[1] if len(times) > 1 else 0)
        size.append(times.sum())
    top, next_one, n = (np.array(v) for v in (most, second, size))
    shown = (top >= 3) & (next_one == 1)
    if shown.mean() < 0.5:
        return ""
    return (
        f"in {int(shown.sum())} of {int(use.sum())} prompts one long completion comes"
        f" {float(top[shown].mean()):.1f} times of {float(n[shown].mean()):.1f} and all others"
        " differ: are some samples greedy, or copies from a cache? A policy hardly draws so; each"
        " such set is one sample"
    )


def _prefix(one: _Prompts, text: IntArray, starts: Sequence[str]) -> str:
    """Completions of each prompt share as many first words, other ones for each prompt."""
    use = np.flatnonzero((one.size >= _SAMPLES) & (_distinct(text) >= 3))
    if len(use) < _PROMPTS or not len(starts):
        return ""
    use = use[np.linspace(0, len(use) - 1, min(len(use), _TEXTS)).astype(int)]
    prefixes = [_common([starts[int(c)] for c in np.unique(row[row >= 0])]) for row in text[use]]
    words = np.array([len(p) for p in prefixes])
    least = int(np.quantile(words, 1 - _MOST, method="lower"))
    near = float(np.mean((words >= least) & (words <= least + 1)))
    kinds = len({tuple(p[: max(least, 1)]) for p in prefixes})
    if least == 0 or near < 0.75 or kinds < 6:
        return ""
    return (
        f"completions of a prompt share their first {counted(least, 'word')} in"
        f" {percent(float(np.mean(words >= least)))} of the prompts, other ones for each prompt,"
        " and part after that: was the beginning forced, or drawn once or greedily for all samples"
        " of a prompt? The rates are then those given this beginning, not the policy's (a policy"
        " that is sure of its first words looks the same)"
    )


def _common(texts: Sequence[str]) -> list[str]:
    """First words that all texts share."""
    split = [text.split() for text in (min(texts), max(texts))]
    n = 0
    while n < min(map(len, split)) and split[0][n] == split[1][n]:
        n += 1
    return split[0][:n]


def _distinct(text: IntArray) -> IntArray:
    """Number of different texts of every prompt."""
    ordered = np.sort(text, axis=1)
    new = np.diff(ordered, axis=1, prepend=-1) != 0
    return np.asarray((new & (ordered >= 0)).sum(axis=1))


def _times(chance: float) -> str:
    digits = max(0, math.floor(-math.log10(max(chance, 1e-300))))
    return f"{10**digits:,}" if digits <= 9 else f"10^{digits}"

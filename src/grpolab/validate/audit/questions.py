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
from grpolab.theory.samples import SampleRows, in_rows, sample_rows  # noqa: F401
from grpolab.validate.estimate.copies import LONG

_PROMPTS, _SAMPLES = 10, 4  # below that no pattern over prompts, or within them, means anything
_FEW = 5  # prompts of each kind from which no mixed one is strange
_WHOLE = 20  # characters of a text that several prompts hardly share by being right
_RARELY = 1e-3  # chance of a run of prompts in random order that is worth a question
_TEXTS = 200  # prompts whose beginnings are compared
_MOST = 0.95


class _Prompts(NamedTuple):
    """Samples and successes [P] of the prompts in the order of the file."""

    size: IntArray
    right: IntArray

    @property
    def mixed(self) -> npt.NDArray[np.bool_]:
        return (self.right > 0) & (self.right < self.size)


class _Texts(NamedTuple):
    """Distinct texts of all prompts [T]: whose, how often, how often right; and the table [P, n].

    ``length`` [P] is that of the longest text of a prompt.
    """

    prompt: IntArray
    times: IntArray
    right: IntArray
    table: IntArray
    length: IntArray

    @property
    def distinct(self) -> IntArray:
        return np.bincount(self.prompt, minlength=len(self.table))


def questions(rows: SampleRows, starts: Sequence[str] = ()) -> list[str]:
    """Sentences on what the samples show; none for a usual file.

    ``starts`` holds the beginning of the completion of every number in ``rows.text``.

    >>> rewards = np.random.default_rng(0).integers(0, 2, 120) * 1.0
    >>> rewards[40:80] = 0.0  # ten prompts of four samples
    >>> rows = sample_rows(prompt=np.arange(120) // 4, reward=rewards)
    >>> questions(rows)[0][:60]
    'prompts 10 to 20 of 30 in the order of the file are all wron'
    """
    if not len(rows.reward):
        return []
    one = _Prompts(
        np.bincount(rows.request),
        np.bincount(rows.request, weights=rows.reward).astype(np.int64),
    )
    texts = None if rows.text is None or rows.text.max() < 0 else _texts(rows)
    found = [_one_verdict(one, texts), _in_a_row(one)]
    if texts is not None:
        found += [
            _mismatch(one, texts), _empty(rows, one), _one_text(one, texts, starts),
            _repeated(one, texts), _prefix(texts, starts),
        ]  # fmt: skip
    return [sentence for sentence in found if sentence]


def _texts(rows: SampleRows) -> _Texts:
    assert rows.text is not None
    table, rewards = in_rows(rows.request, rows.text), rows.rewards
    order = np.argsort(table, axis=1)
    code, hit = (np.take_along_axis(v, order, axis=1) for v in (table, rewards))
    first = np.diff(code, axis=1, prepend=-2) != 0
    start = np.flatnonzero(first)
    times, right = np.diff(start, append=code.size), np.add.reduceat(hit.ravel(), start)
    there = code.ravel()[start] >= 0
    length = np.zeros(len(table), np.int64)
    if rows.length is not None:
        length = in_rows(rows.request, rows.length).max(axis=1)
    prompt = start // code.shape[1]
    return _Texts(prompt[there], times[there], right[there], table, length)


def _one_verdict(one: _Prompts, texts: _Texts | None) -> str:
    use = one.size >= _SAMPLES
    solved = int(np.sum(one.right[use] > 0))
    if one.mixed[use].any() or solved < _FEW or int(use.sum()) - solved < _FEW:
        return ""
    if texts is not None and float(texts.distinct[use].mean()) <= 2:
        return ""
    differ = "" if texts is None else ", though its completions differ"
    return (
        f"no prompt has both right and wrong samples{differ}: was one verdict per prompt copied to"
        " all its samples? Then every prompt has one sample, and no forecast can be made"
    )


def _in_a_row(one: _Prompts) -> str:
    """A run of prompts that are all wrong (or right) where random order hardly has one."""
    prompts = len(one.size)
    if prompts < _PROMPTS or int(one.size.min()) < 2:
        return ""
    if _serial((one.right / one.size)[one.mixed]):
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


def _mismatch(one: _Prompts, texts: _Texts) -> str:
    """Equal completions of a prompt with unequal verdicts: is each verdict in its own row?"""
    prompts = len(one.size)
    size = np.bincount(texts.prompt, weights=texts.times, minlength=prompts)
    right = np.bincount(texts.prompt, weights=texts.right, minlength=prompts)
    use = ((right > 0) & (right < size))[texts.prompt]
    whose, times, hits = texts.prompt[use], texts.times[use], texts.right[use]
    equal = times * (times - 1) / 2
    pairs, apart = float(equal.sum()), float((hits * (times - hits)).sum())
    unlike = 2 * right * (size - right) / np.maximum(size * (size - 1), 1)
    expected = float(equal @ unlike[whose])
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


def _empty(rows: SampleRows, one: _Prompts) -> str:
    if rows.text is None or rows.length is None:
        return ""
    empty = (rows.text >= 0) & (rows.length == 0)
    if not empty.any():
        return ""
    whole = int(np.sum(np.bincount(rows.request[empty], minlength=len(one.size)) == one.size))
    right = float(rows.reward[empty].mean())
    prompts = f", all of {counted(whole, 'prompt')} among them," if whole else ""
    return (
        f"{counted(int(empty.sum()), 'completion')} are empty{prompts} and count as"
        f" {'wrong' if right == 0 else f'{percent(right)} right'}: if the engine failed, they are"
        " no observations; leave their verdicts out"
    )


def _one_text(one: _Prompts, texts: _Texts, starts: Sequence[str]) -> str:
    """One text that is all that several prompts have, and wrong: an error message?"""
    whole = (one.size >= 2) & (one.right == 0) & (texts.distinct == 1) & (texts.length >= _WHOLE)
    whole &= (texts.table >= 0).sum(axis=1) == one.size
    if not whole.any():
        return ""
    codes, times = np.unique(texts.table[whole, 0], return_counts=True)
    best = int(np.argmax(times))
    if times[best] < 2:
        return ""
    said = " ".join(starts[int(codes[best])].split()) if len(starts) else ""
    quoted = f' ("{said[:60]}{"..." if len(said) > 60 else ""}")' if said else ""
    return (
        f"all samples of {counted(int(times[best]), 'prompt')} are one and the same text{quoted},"
        " all wrong: if it is an error of the engine, they are no observations"
    )


def _repeated(one: _Prompts, texts: _Texts) -> str:
    """One long text several times in most prompts, all others once: greedy samples among drawn."""
    use = (one.size >= _SAMPLES) & (texts.length >= LONG)
    if use.sum() < _PROMPTS:
        return ""
    often = texts.times >= 2
    kinds = np.bincount(texts.prompt[often], minlength=len(use))
    most = np.bincount(texts.prompt[often], weights=texts.times[often], minlength=len(use))
    shown = (use & (kinds == 1) & (most >= 3) & (texts.distinct >= 2))[use]
    top, n = most[use], one.size[use]
    if shown.mean() < 0.5:
        return ""
    return (
        f"in {int(shown.sum())} of {int(use.sum())} prompts one long completion comes"
        f" {float(top[shown].mean()):.1f} times of {float(n[shown].mean()):.1f} and all others"
        " differ: are some samples greedy, or copies from a cache? A policy hardly draws so; each"
        " such set is one sample"
    )


def _prefix(texts: _Texts, starts: Sequence[str]) -> str:
    """Completions of each prompt share as many first words, other ones for each prompt."""
    use = np.flatnonzero(texts.distinct >= 3)
    if len(use) < _PROMPTS or not len(starts):
        return ""
    use = use[np.linspace(0, len(use) - 1, min(len(use), _TEXTS)).astype(int)]
    prefixes = [
        _common([starts[int(c)] for c in np.unique(row[row >= 0])]) for row in texts.table[use]
    ]
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


def _times(chance: float) -> str:
    digits = max(0, math.floor(-math.log10(max(chance, 1e-300))))
    return f"{10**digits:,}" if digits <= 9 else f"10^{digits}"

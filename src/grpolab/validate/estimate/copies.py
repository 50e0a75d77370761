"""Completions that are copies: eight equal texts are one draw, whatever the count says.

Equal completions alone are no fault: a sure policy answers "4" eight times. Copies leave two traces
that a policy does not. Every text of a group comes a multiple of m times; and long texts, or wrong
ones, come in all samples of a group or in few, but never in all samples but one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import special

from grpolab.theory.groups import GroupCounts, IntArray
from grpolab.theory.samples import SampleRows, in_rows, pairs_of, sample_rows  # noqa: F401
from grpolab.validate.estimate.selection import upper_tail

_FACTORS = (2, 3, 5, 7)
LONG = 100
"""Characters of a completion from which a policy hardly repeats it."""
_SURE_LONG, _SURE_WRONG = 0.917, 0.956  # chance of its text, for a long one and for a wrong one
_LEAST_LONG, _LEAST_WRONG = 0.5, 0.7


class Copies(NamedTuple):
    """Copies in the groups that were looked at.

    ``size`` completions are one draw (0: all of a group are). ``num_groups`` of the ``out_of``
    groups that can tell show it; ``distinct`` is the mean number of distinct completions of a group
    and ``group_size`` the mean number of its samples.
    """

    size: int
    num_groups: int
    out_of: int
    distinct: float
    group_size: float
    p_value: float


def copies_test(rows: SampleRows) -> Copies | None:
    """Whether completions of a group are copies; None without texts or groups of two.

    Multiples: a group with two or more texts, all m-fold for a prime m, has a chance of at most 1/2
    under any law of its texts. Whole groups: where a text that no other prompt has comes twice in a
    group, a policy that gives it the chance q fills the group with chance q^n; q is taken as 0.917
    for texts of 100 characters and as 0.956 for wrong ones of any length, and q^n as at least 0.5
    and 0.7. Short right answers say nothing. Exact tests, Bonferroni. Derived here.

    >>> texts = np.repeat(np.arange(60), 4)  # 30 groups of 8: two texts, four times each
    >>> rows = sample_rows(prompt=texts // 2, reward=texts % 2.0, text=texts)
    >>> found = copies_test(rows)
    >>> found.size, found.distinct, found.p_value < 1e-6
    (4, 2.0, True)
    """
    if rows.text is None or np.all(rows.text < 0):
        return None
    times = _multiplicities(rows)
    size = times.sum(axis=1)
    use = size >= 2
    if not use.any():
        return None
    distinct, mean = (times[use] > 0).sum(axis=1).mean(), size[use].mean()
    found = [_multiples(times[use], m) for m in _FACTORS]
    found.append(_whole(rows, times))
    best = min(found, key=lambda f: f[3])
    return Copies(*best[:3], float(distinct), float(mean), min(1.0, len(found) * best[3]))


def _multiplicities(rows: SampleRows) -> IntArray:
    """How often each text of a group comes, [G, most], padded with zeros, largest first."""
    assert rows.text is not None
    group, text = rows.group[rows.text >= 0], rows.text[rows.text >= 0]
    _, first, times = np.unique(pairs_of(group, text), return_index=True, return_counts=True)
    groups = int(rows.group.max()) + 1
    table = np.maximum(in_rows(group[first], times), 0)
    found = np.zeros((groups, table.shape[1]), np.int64)
    found[: len(table)] = table
    return -np.sort(-found, axis=1)


def _multiples(times: IntArray, factor: int) -> tuple[int, int, int, float]:
    able = (times.sum(axis=1) >= 2 * factor) & (times[:, 0] < times.sum(axis=1))
    some = times[able]
    hits, total = int(np.sum(np.all(some % factor == 0, axis=1))), len(some)
    p_value = float(special.bdtrc(hits - 1, total, 0.5)) if hits else 1.0
    size = factor
    if hits:  # the largest number that divides nearly all multiplicities
        whole = some[np.all(some % factor == 0, axis=1)]
        common = np.gcd.reduce(whole, axis=1)
        while np.mean(common % (size * factor) == 0) > 0.9:
            size *= factor
    return size, hits, total, p_value


def _whole(rows: SampleRows, times: IntArray) -> tuple[int, int, int, float]:
    assert rows.text is not None
    size = times.sum(axis=1)
    twice = (size >= 3) & (times[:, 0] >= 2)
    first = np.zeros(len(size), np.int64)
    first[rows.group[::-1]] = np.arange(len(rows.group))[::-1]
    text = rows.text[first]
    owners = np.unique(pairs_of(rows.text, rows.prompt), return_index=True)[1]
    names, prompts = np.unique(rows.text[owners], return_counts=True)
    own = prompts[np.searchsorted(names, text)] == 1
    long = np.zeros(len(size), bool)
    if rows.length is not None:
        long = rows.length[first] >= LONG
    right = np.bincount(rows.group, weights=rows.reward, minlength=len(size))
    wrong = np.where(right <= 1, np.maximum(_SURE_WRONG**size, _LEAST_WRONG), 1.0)
    chance = np.where(long, np.maximum(_SURE_LONG**size, _LEAST_LONG), wrong)
    able = twice & own & (text >= 0) & (chance < 1.0)
    hits = int(np.sum(able & (times[:, 0] == size)))
    p_value = upper_tail(hits, chance[able]) if hits else 1.0
    return 0, hits, int(able.sum()), p_value


def without_copies(counts: GroupCounts, rows: SampleRows, found: Copies) -> GroupCounts:
    """The counts with one sample for all copies of one draw.

    With ``found.size`` 0 one sample for every text of a group, else one for ``size`` equal texts.
    A text that was judged both right and wrong counts as what it was judged more often.
    """
    assert rows.text is not None
    text = np.where(rows.text < 0, -1 - np.arange(len(rows.text)), rows.text)
    _, first, place, times = np.unique(
        pairs_of(rows.group, text), return_index=True, return_inverse=True, return_counts=True
    )
    group = rows.group[first]
    right = np.bincount(place, weights=rows.reward, minlength=len(times)) / times
    draws = np.ones(len(times), np.int64)
    if found.size:
        draws = np.maximum(1, np.round(times / found.size).astype(np.int64))
    groups = int(rows.group.max()) + 1
    size = np.bincount(group, weights=draws, minlength=groups)
    correct = np.bincount(group, weights=draws * (right > 0.5), minlength=groups)
    prompt, step = np.zeros(groups, np.int64), np.zeros(groups, np.int64)
    prompt[rows.group], step[rows.group] = rows.prompt, rows.step
    return GroupCounts(
        correct, size, prompt_id=prompt, step=step, prompt_names=counts.prompt_names,
        provenance=counts.provenance,
    )  # fmt: skip

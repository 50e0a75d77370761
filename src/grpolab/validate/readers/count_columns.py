"""Which columns of a table number what was right and what was drawn, and how they are written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from grpolab.validate.readers.columns import Column, encoded
from grpolab.validate.readers.verdict_words import fraction_of, number_of
from grpolab.validate.readers.words import (
    CORRECT,
    LOOSE_CORRECT,
    PROBLEM,
    RATE,
    SCORE,
    TEXT_OF_PROBLEM,
    TOTAL,
    WEAK,
    find_all,
    is_one_of,
    squeezed,
    words_of,
)

_RIGHT = frozenset((
    "correct", "passed", "pass", "passes", "passing", "solved", "success", "successes",
    "successful", "resolved", "right", "pos", "positive", "positives", "hits", "wins", "won", "ok",
    "true", "accepted", "1",
))  # fmt: skip
_WRONG = frozenset((
    "incorrect", "wrong", "failed", "fail", "fails", "failing", "failure", "failures", "losses",
    "lost", "neg", "negative", "negatives", "false", "unsolved", "unresolved", "misses", "rejected",
    "0",
))  # fmt: skip
_NUMBER = frozenset(("num", "n", "no", "count", "counts", "cnt", "number", "nr", "total", "sum"))
_DRAWN = frozenset((
    "samples", "rollouts", "completions", "answers", "responses", "trials", "attempts", "runs",
    "generations", "gens", "draws", "tries", "games", "all", "evaluated", "graded", "drawn",
    "sampled", "tested", "judged", "scored", "tried", "taken", "rolled", "run",
))  # fmt: skip
_BESIDE = frozenset(("of", "the", "per", "prompt", "problem", "question", "task", "in"))
_PLURAL = frozenset(("passes", "successes", "hits", "wins", "positives", "losses", "fails",
                     "failures", "misses", "negatives"))  # fmt: skip
_SHARE = frozenset((
    "rate", "accuracy", "acc", "pct", "percent", "percentage", "share", "fraction", "frac", "ratio",
    "mean", "avg", "average", "prob", "probability", "hat",
))  # fmt: skip
_OF_SHARE = frozenset((
    "pass", "solve", "solved", "success", "win", "correct", "score", "reward", "p", "at", "of", "1",
    "is", "empirical", "estimated", "observed",
))  # fmt: skip
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:[,' \u00a0\u202f_]\d{3})+")
_AGGREGATES = ("sum",), ("mean", "average", "avg")
"""What pandas calls the number of right samples and their share."""


class Pair(NamedTuple):
    """The column with what was right, as a number or as a share, and the one with the samples.

    With ``wrong`` the samples are both together; with ``is_fraction`` they stand in one column,
    such as ``3/8``.
    """

    correct: str
    total: str | int
    is_rate: bool = False
    wrong: str | None = None
    is_fraction: bool = False

    @property
    def columns(self) -> list[str]:
        """The columns that are read."""
        found = [self.correct, self.wrong, self.total if isinstance(self.total, str) else None]
        return list(dict.fromkeys(n for n in found if n))

    @property
    def said(self) -> str:
        """The pair in words."""
        if self.is_fraction:
            return f"{self.correct}"
        of = f"{self.correct} and {self.wrong}" if self.wrong else self.total
        return f"{self.correct} of {of}"


def pair_of(names: Sequence[str], head: Sequence[Mapping[str, Any]]) -> Pair | None:
    """The columns by their names; a verdict of one completion beside a number is no count.

    >>> pair_of(("id", "passed", "failed"), [{"id": 1, "passed": 3, "failed": 1}])
    Pair(correct='passed', total='', is_rate=False, wrong='failed', is_fraction=False)
    >>> pair_of(("id", "correct"), [{"id": 1, "correct": "3/4"}])
    Pair(correct='correct', total='', is_rate=False, wrong=None, is_fraction=True)
    """
    flat = [n for n in names if _is_flat(n, head) and numbers(n, head)]
    totals = find_all(TOTAL, flat) or [n for n in flat if _is_total(n)]
    sure = [t for t in totals if squeezed(t) not in ("k", "count")]
    listed = find_all(CORRECT, flat)
    made = [n for n in flat if _is_made_of(n, _RIGHT) and n not in totals]
    for correct in [*listed, *made]:
        total = next((t for t in totals if t != correct), None)
        if total is not None:
            return Pair(correct, total)
    sums, means = (find_all(known, flat) for known in _AGGREGATES)
    counts = find_all(("count", "size", "nobs"), flat)
    if counts and (sums or means):
        return Pair(sums[0], counts[0]) if sums else Pair(means[0], counts[0], is_rate=True)
    shares = [n for n in flat if is_share(n) and n not in totals]
    for name in [*find_all((*LOOSE_CORRECT, *RATE), flat), *shares]:
        if not sure or name == sure[0]:
            continue
        pair = Pair(name, sure[0], is_rate=is_share(name))
        if pair.is_rate or not _one_per_row(pair, head):
            return pair
    return _with_wrong(flat, head) or _fraction(names, head)


def is_share(name: str) -> bool:
    """Whether a column holds the share of the samples that were right.

    >>> [is_share(n) for n in ("accuracy", "mean_correct", "avg@4", "p_hat", "n", "score")]
    [True, True, True, True, False, False]
    """
    if is_one_of(name, RATE):
        return True
    words = words_of(name)
    rest = [w for w in words if w not in _SHARE and not w.isdigit()]
    return len(rest) < len(words) and set(rest) <= _OF_SHARE and not _SHARE.isdisjoint(words)


def are_shares(name: str, head: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a column holds numbers from 0 to 1 that are not all whole.

    >>> are_shares("p0", [{"p0": "0.25"}, {"p0": "1"}]), are_shares("p0", [{"p0": 1}])
    (True, False)
    """
    values = [v for row in head if (v := row.get(name)) not in (None, "")]
    numbers = [number_of(str(v)) for v in values]
    known = [n for n in numbers if n is not None and 0 <= n <= 1]
    return bool(values) and len(known) == len(values) and any(n != int(n) for n in known)


def wrong_counts(names: Sequence[str], head: Sequence[Mapping[str, Any]]) -> list[str]:
    """Columns that number the samples that were wrong."""
    return [
        n for n in names if numbers(n, head) and (_is_made_of(n, _WRONG) or _is_bare(n, _WRONG))
    ]


def _is_made_of(name: str, kind: frozenset[str]) -> bool:
    """Whether a name says that it numbers what is right, or wrong: ``total_correct``."""
    words = set(words_of(name))
    known = kind | _NUMBER | _DRAWN | _BESIDE
    numbered = not words.isdisjoint(_NUMBER | _DRAWN | _PLURAL) or name.startswith("#")
    return bool(words) and words <= known and not words.isdisjoint(kind) and numbered


def _is_bare(name: str, kind: frozenset[str]) -> bool:
    return squeezed(name) in kind


def _is_total(name: str) -> bool:
    words = set(words_of(name))
    return not words.isdisjoint(_DRAWN) and words <= (_NUMBER | _DRAWN | _BESIDE | {"sampled"})


def _with_wrong(flat: Sequence[str], head: Sequence[Mapping[str, Any]]) -> Pair | None:
    """Numbers of right and of wrong samples, with some row of several samples."""
    right = [n for n in flat if _is_made_of(n, _RIGHT) or _is_bare(n, _RIGHT)]
    wrong = wrong_counts(flat, head)
    if len(right) != 1 or len(wrong) != 1:
        return None
    if right[0].isdigit() and any(n.isdigit() and n not in (right[0], wrong[0]) for n in flat):
        return None  # one column per sample
    counts = [_count(row.get(n)) for row in head for n in (right[0], wrong[0])]
    whole = all(c == int(c) and c >= 0 for c in counts)
    return Pair(right[0], "", wrong=wrong[0]) if counts and whole and max(counts) > 1 else None


def _count(value: Any) -> float:
    try:
        return float(value or 0)
    except (TypeError, ValueError):
        return -1.0


def _fraction(names: Sequence[str], head: Sequence[Mapping[str, Any]]) -> Pair | None:
    """One column such as ``3/8``, where every problem has one row."""
    known = find_all((*CORRECT, *LOOSE_CORRECT, *RATE, *SCORE), names)
    shared = [n for n in names if _is_flat(n, head) and is_share(n)]
    ids = find_all((*PROBLEM, *WEAK, *TEXT_OF_PROBLEM), names)
    for name in dict.fromkeys([*known, *shared]):
        values = [v for row in head if (v := row.get(name)) not in (None, "")]
        found = [fraction_of(v) if isinstance(v, str) else None for v in values]
        if not found or any(part is None or part[1] < 2 for part in found):
            continue
        keys = [str(row.get(ids[0])) for row in head] if ids else []
        if len(set(keys)) == len(keys):
            return Pair(name, "", is_fraction=True)
    return None


def _is_flat(name: str, head: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a name is that of a column, not of a value inside an object."""
    return "." not in name or any(name in row for row in head)


def numbers(name: str, head: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a column holds numbers, no lists and no truth values."""
    values = [row.get(name) for row in head if row.get(name) is not None]
    return all(isinstance(v, int | float | str) and not isinstance(v, bool) for v in values)


def _one_per_row(pair: Pair, head: Sequence[Mapping[str, Any]]) -> bool:
    """Whether rows look like completions: right or wrong, whatever the number beside it."""
    values = {str(row.get(pair.correct)).strip().lower() for row in head}
    totals = {str(row.get(pair.total)) for row in head} if isinstance(pair.total, str) else set()
    binary = values <= {"0", "1", "0.0", "1.0", "true", "false", "none", ""}
    return binary and bool(values) and totals != {"1"} and len(head) > len(values)


def without_thousands(column: Column) -> Column:
    """Numbers without the marks between their thousands: ``1,024`` is 1024 in a column of counts.

    >>> without_thousands(["1,024", "7", None])
    ['1024', '7', None]
    """
    code, values = encoded(column)
    if not any(isinstance(v, str) and _THOUSANDS.fullmatch(v.strip()) for v in values):
        return column
    plain = [
        re.sub(r"[,' \u00a0\u202f_]", "", v.strip())
        if isinstance(v, str) and _THOUSANDS.fullmatch(v.strip())
        else v
        for v in values
    ]
    return [None if i < 0 else plain[i] for i in code.tolist()]

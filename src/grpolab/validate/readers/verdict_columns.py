"""Which columns of a table hold verdicts, told by their names and by what stands in them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from grpolab.validate.readers.nested import names_of, value_at
from grpolab.validate.readers.verdict_words import number_of
from grpolab.validate.readers.words import (
    OF_ONE_SAMPLE,
    OF_SAMPLES,
    SCORE,
    find,
    find_all,
    is_one_of,
    squeezed,
    words_of,
)

_LOOSE = frozenset((
    "acc", "accuracy", "outcome", "result", "results", "ok", "grade", "graded", "grades",
    "right", "outcomes", "raw_score", "status",
))  # fmt: skip
"""Names that hold a verdict in some tables and something else in others."""
_SAMPLE_WORDS = (
    "sample", "run", "trial", "attempt", "try", "completion", "rollout", "response", "generation",
    "gen", "seed", "epoch", "rep", "replicate", "correct", "pass", "passed", "score", "reward",
    "verdict", "result", "r", "s", "c", "k", "",
)  # fmt: skip
_NUMBER = re.compile(r"\d+")
_ROUNDED = 0.006  # by which a mean may be rounded


def has_lists(score: Sequence[str], head: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every row has a list of verdicts: then a row can be a problem."""
    values = [row.get(score[0]) for row in head]
    return bool(values) and all(isinstance(v, list) for v in values)


def known_score(names: Sequence[str], head: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The verdict by its known names, in the table, in lists of objects, or over columns."""
    for name in find_all(SCORE, names):
        values = [value_at(row, name) for row in head]
        if squeezed(name) in _LOOSE_NAMES and not _verdicts(values):
            continue
        if squeezed(name) in _WORDY and not _decides(values):
            continue
        if not _objects(value_at(row, name) for row in head) and not _is_mean(name, names, head):
            return (name,)
    for outer in names:
        found = None if _is_one_sample(outer) else find(SCORE, fields(outer, head))
        if found is not None:
            return (f"{outer}[].{found}",)
    inside = [n for n in names if n.count(".") == 1 and not _objects(value_at(r, n) for r in head)]
    inner = find(SCORE, [n.rpartition(".")[2] for n in inside])
    if inner is not None:
        return (next(n for n in inside if n.endswith(f".{inner}")),)
    return _wide(names, head) or _hidden(names, head)


_OF_GRADES = frozenset((
    "result", "results", "report", "test", "eval", "evaluation", "grade", "grading", "score",
    "scores", "verdict", "judge", "judgement", "outcome", "reward", "metrics",
))  # fmt: skip
"""Words of objects that hold what a grader said of one sample."""
_SAMPLES = OF_SAMPLES - {"result", "results", "output", "outputs"}


def _hidden(names: Sequence[str], head: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The verdict by a longer name (``correctness_math_verify``), or deeper in lists of objects."""
    for name in (n for n in names if "." not in n and not is_one_of(n, SCORE)):
        values = _values_of(name, head)
        wordy = not _WORDY.isdisjoint(words_of(name))
        if _is_called_verdict(name) and _holds_verdicts(values) and (not wordy or _decides(values)):
            return (name,)
    for name in (n for n in names if n.count(".") > 1 and is_one_of(n.rpartition(".")[2], SCORE)):
        graded = not _OF_GRADES.isdisjoint(words_of(name.partition(".")[0]))
        if graded and _holds_verdicts(_values_of(name, head)):
            return (name,)
    for outer in (n for n in names if not OF_SAMPLES.isdisjoint(words_of(n))):
        deep = [n for n in fields(outer, head) if n.count(".") == 1]
        inner = find(SCORE, [n.rpartition(".")[2] for n in deep])
        for key in (n for n in deep if inner and n.endswith(f".{inner}")):
            if _holds_verdicts(_values_of(f"{outer}[].{key}", head)):
                return (f"{outer}[].{key}",)
    return ()


def _is_one_sample(outer: str) -> bool:
    """Whether a list holds what belongs to one sample, such as the tests of a program."""
    words = words_of(outer)
    return bool(words) and not OF_ONE_SAMPLE.isdisjoint(words) and words[-1] not in _SAMPLES


def other_verdicts(
    names: Sequence[str], head: Sequence[Mapping[str, Any]], score: Sequence[str]
) -> tuple[tuple[str, ...], ...]:
    """What is called and written like a verdict as well: columns beside the chosen one.

    >>> other_verdicts(("id", "correct", "passed"), [{"correct": 1, "passed": 0}], ("correct",))
    (('passed',),)
    """
    if len(score) > 1:
        return ()
    outer, mark, _ = score[0].rpartition("[]." if "[]." in score[0] else ".")
    within = fields(outer, head) if mark == "[]." else names
    inside = [
        n.removeprefix(f"{outer}{mark}") for n in within if mark != "." or n.startswith(f"{outer}.")
    ]
    found = [
        name
        for part in inside
        if "." not in part
        and _is_called_verdict(part)
        and (name := f"{outer}{mark}{part}") != score[0]
        and _holds_verdicts(_values_of(name, head))
    ]
    wide = () if mark else _wide(names, head)
    return (*((n,) for n in found), *((wide,) if wide else ()))


_GRADED_BY = frozenset((
    "judge", "judged", "llm", "human", "manual", "auto", "rule", "rules", "gpt", "strict",
    "flexible", "flex", "lenient", "loose", "fuzzy", "regex", "sympy", "symbolic", "verifier",
    "verified", "grader", "base", "plus", "final", "new", "old", "v1", "v2", "is", "math", "verify",
    "llama", "qwen", "model", "answer", "sandbox", "exec", "execution", "unit", "overall",
))  # fmt: skip
"""Words beside a verdict that say who graded, or how."""


def _is_called_verdict(name: str) -> bool:
    if is_one_of(name, SCORE):
        return True
    words = [w for w in re.split(r"[^a-z0-9]+", name.lower()) if w not in _GRADED_BY]
    return bool(words) and is_one_of("_".join(words), SCORE)


def _values_of(name: str, head: Sequence[Mapping[str, Any]]) -> list[Any]:
    outer, mark, key = name.partition("[].")
    if not mark:
        return [value_at(row, name) for row in head]
    items = (i for row in head for i in (row.get(outer) or ()))
    return [value_at(i, key) for i in items if isinstance(i, dict)]


def _holds_verdicts(values: Sequence[Any]) -> bool:
    """Whether all values, or all in lists, are right, wrong or none."""
    flat = [i for v in values for i in (v if isinstance(v, list) else [v]) if i is not None]
    if any(isinstance(i, list | dict) for i in flat):
        return False
    numbers = {number_of(str(v)) for v in flat}
    known = {n for n in numbers if n is None or n == n}
    return bool(known) and known <= {-1.0, 0.0, 1.0, 100.0}


def _is_mean(name: str, names: Sequence[str], head: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a column holds the mean of verdicts that stand beside it in the same row."""
    found = [(n,) for n in find_all(SCORE, names) if n != name and has_lists((n,), head)]
    wide = [columns for columns in (_wide(names, head),) if name not in columns]
    return any(columns and _means(name, columns, head) for columns in (*found, *wide))


def _means(name: str, columns: Sequence[str], head: Sequence[Mapping[str, Any]]) -> bool:
    for row in head:
        value, listed = row.get(name), row.get(columns[0])
        items = listed if isinstance(listed, list) else [row.get(n) for n in columns]
        numbers = [n for i in items if i is not None and (n := number_of(str(i))) is not None]
        mean = number_of(str(value)) if not isinstance(value, list) else None
        if (
            mean is None
            or not numbers
            or min(
                abs(mean - sum(numbers) / len(numbers)),
                abs(mean / 100 - sum(numbers) / len(numbers)),
            )
            > _ROUNDED
        ):
            return False
    return True


_LOOSE_NAMES = frozenset(squeezed(name) for name in _LOOSE)


_WORDY = frozenset(("status", "outcome", "result", "ok"))
"""Of these those that are often "ok" or "success" of a request."""


def _decides(values: Sequence[Any]) -> bool:
    """Whether words say both right and wrong."""
    words = {v for v in values if isinstance(v, str)}
    numbers = {number_of(v) for v in words}
    return not words or (1.0 in numbers and 0.0 in numbers)


def _objects(values: Any) -> bool:
    return any(
        isinstance(v, dict) or (isinstance(v, list) and any(isinstance(i, dict) for i in v))
        for v in values
    )


def _verdicts(values: Any) -> bool:
    """Whether all values are verdicts or numbers, or lists of them."""
    flat = [i for v in values for i in (v if isinstance(v, list) else [v])]
    return all(
        v is None
        or isinstance(v, bool | int | float)
        or (isinstance(v, str) and number_of(v) is not None)
        for v in flat
    )


def fields(outer: str, head: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys of the objects in the lists of a column, dotted inside of objects."""
    items = [i for row in head if isinstance(row.get(outer), list) for i in row[outer]]
    if not items or not all(isinstance(i, dict) for i in items):
        return []
    return list(names_of(items))


def families(names: Sequence[str]) -> list[list[str]]:
    """Columns that differ by a running number alone, which begins at 0 or 1.

    >>> families(("id", "p0", "p1", "x7", "x8"))
    [['p0', 'p1']]
    """
    found: dict[str, list[str]] = {}
    for name in names:
        if len(_NUMBER.findall(name)) == 1:
            found.setdefault(common_name([name]), []).append(name)
    kept = []
    for members in found.values():
        numbers = sorted(place_of(name) for name in members)
        running = numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        if len(members) > 1 and running and numbers[0] <= 1 and "@" not in members[0]:
            kept.append(members)
    return kept


def common_name(members: Sequence[str]) -> str:
    """The name of a family of columns, with ``*`` for the number."""
    return _NUMBER.sub("*", members[0])


def _wide(names: Sequence[str], head: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Columns that differ by a running number alone and hold verdicts: one sample each."""
    for members in families(names):
        words = re.split(r"[^a-z]+", common_name(members).lower())
        if all(word in _SAMPLE_WORDS for word in words) and _binary(members, head):
            return tuple(sorted(members, key=place_of))
    return ()


def _binary(members: Sequence[str], head: Sequence[Mapping[str, Any]]) -> bool:
    found = [v for row in head for n in members if (v := row.get(n)) is not None]
    if any(isinstance(v, list | dict) for v in found):
        return False
    numbers = {number_of(str(v).lower()) for v in set(found)}
    kept = {n for n in numbers if n is None or n == n}
    return bool(kept & {0.0, 1.0}) and kept <= {-1.0, 0.0, 1.0}


def place_of(name: str) -> int:
    """The running number in the name of a column, 0 for none."""
    found = _NUMBER.findall(name)
    return int(found[-1][:18]) if found else 0

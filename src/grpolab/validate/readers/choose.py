"""Which column of a table is what: the problem, the verdict, and what numbers or splits samples.

A name that the user gave is taken as it is. Otherwise known names are tried, and what stands in the
columns decides between them.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grpolab.errors import UserError
from grpolab.validate.readers.format import ChoiceNeeded, Option, ReadOptions, listed
from grpolab.validate.readers.frame import Frame
from grpolab.validate.readers.nested import value_at
from grpolab.validate.readers.verdict_columns import (
    fields,
    has_lists,
    known_score,
    other_verdicts,
    place_of,
)
from grpolab.validate.readers.views import ROW
from grpolab.validate.readers.words import (
    ABOUT_PROBLEM,
    COMPLETION,
    CORRECT,
    ERROR,
    GOLD,
    GRADER,
    GROUP,
    HTTP,
    PART_OF_PROBLEM,
    POLICY,
    PROBLEM,
    SAMPLE,
    SCORE,
    SEED,
    STEP,
    TEXT_OF_PROBLEM,
    UNSET,
    WEAK,
    find,
    find_all,
    is_error,
    is_one_of,
    is_status,
)

NO_STEP = "none"
"""Value of ``--step`` that is no column: samples are not told apart by steps."""
_LONG = 80  # characters of a value that is a text, no label
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?(e[+-]?\d+)?")
_DECIMAL = re.compile(r"-?\d+\.\d+(e-?\d+)?")
_SETTINGS = 8  # values that a setting such as a temperature may have, with decimals


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """Names of columns; several for ``problem`` and ``group`` name one together.

    Several for ``score`` hold one sample each. ``outer[].inner`` is a value of the objects in a
    list. ``others`` may split the samples of a problem and are looked at for that alone;
    ``rivals`` could be the problem as well, where the chosen column turns out to be none; ``about``
    says what the problem is (its text, its answer), and ``verdicts`` are the score as well, where
    nobody named it. The score is the sum of a list where it is ``per_token``.
    """

    problem: tuple[str, ...]
    score: tuple[str, ...]
    group: tuple[str, ...] = ()
    step: str | None = None
    sample: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()
    text: str | None = None
    others: tuple[str, ...] = ()
    rivals: tuple[str, ...] = ()
    about: tuple[str, ...] = ()
    verdicts: tuple[tuple[str, ...], ...] = ()
    per_token: bool = False

    @property
    def label(self) -> str:
        """What was taken for the verdict, in words."""
        score = self.score[0] if len(self.score) == 1 else f"{self.score[0]} to {self.score[-1]}"
        return f"{score} by {'/'.join(self.problem or self.group) or 'row'}"


def is_table(names: Sequence[str], head: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a table has a verdict and something that it is the verdict on."""
    score = known_score(names, head)
    return bool(score) and bool(
        _ids(names) or find(GROUP, names) or has_lists(score, head) or _inner_ids(score, head)
    )


def roles_of(frame: Frame, options: ReadOptions) -> Roles:
    """The roles of the columns; ChoiceNeeded where a column is not found."""
    names, head = frame.names, frame.head
    score = _score(frame, options)
    outer = score[0].partition("[].")[0] if "[]." in score[0] else None
    problem = _problem(frame, options, score)
    group = _group(frame, options, problem)
    step = step_of(frame, options)
    taken = {*problem, *score, *group, step, outer}
    free = [n for n in names if n not in taken]
    within = [f"{outer}[].{n}" for n in fields(outer, head)] if outer else []
    within.sort(key=lambda n: -n.count("."))  # of equal last names the outermost
    inner = {n.replace("[].", ".").rpartition(".")[2]: n for n in within}
    flat = [n for n in free if "." not in n]
    errors = [n for n in flat if is_error(n) and _is_flag(n, [row.get(n) for row in head])]
    errors += [
        inner[n] for n in inner if is_error(n) and _is_flag(n, _inner_values(head, inner[n]))
    ]
    deep = (n for n in free if "." in n and n.partition(".")[0] not in errors)
    errors += [
        n
        for n in deep
        if (is_one_of(n.rpartition(".")[2], ERROR[:8]) or _is_beside_score(n, score))
        and _is_flag(n.rpartition(".")[2], [value_at(row, n) for row in head])
    ]
    status = [n for n in free if is_status(n) or is_one_of(n, HTTP)]
    status += [inner[n] for n in inner if is_status(n)]
    unset = [n for n in flat if is_one_of(n, UNSET) and _is_flag(n, [row.get(n) for row in head])]
    policy = [
        n
        for n in free
        if "." in n
        and n.partition(".")[0] not in errors
        and is_one_of(n.rpartition(".")[2], (*POLICY, *GRADER))
        and _is_flat(n, head)
    ]
    text = inner.get(find(COMPLETION, inner) or "") or _text(free, score, head)
    sample = [*find_all(SAMPLE, free), *find_all(SEED, free)]
    used = {*errors, *status, *unset, text, *sample}
    others = (*(n for n in flat if n not in used and _may_split(n, head)), *policy)
    told = {*errors, *status, *unset, *sample, *problem}
    alike = () if options.score else other_verdicts(names, head, score)
    verdicts = tuple(v for v in alike if told.isdisjoint(v))
    told_by = find_all((*TEXT_OF_PROBLEM, "problem", "prompt", *GOLD), flat)
    about = () if options.problem else tuple(n for n in told_by if _is_text(n, head))
    rivals = () if options.problem else tuple(n for n in _ids(free) if n not in used)
    return Roles(
        rivals=rivals, about=about, problem=problem, score=score, group=group, step=step,
        sample=tuple(sample), errors=tuple(errors), status=tuple(status), unset=tuple(unset),
        text=text, others=others, verdicts=verdicts,
    )  # fmt: skip


def _is_beside_score(name: str, score: Sequence[str]) -> bool:
    """Whether a value of the object that holds the verdict says that there is none."""
    outer, _, last = name.rpartition(".")
    return outer == score[0].rpartition(".")[0] and is_error(last)


def named(frame: Frame, wanted: str | None, what: str) -> str | None:
    """The column that the user named; UserError where there is none of this name."""
    if wanted is None or wanted in frame.names or _is_deep(frame, wanted):
        return wanted
    present = ", ".join(sorted(frame.names)) or "none"
    raise UserError(f"{frame.where}: no column {wanted!r} for the {what}; it has {present}")


def _is_deep(frame: Frame, name: str) -> bool:
    if "[]." in name:
        outer, _, inner = name.partition("[].")
        return inner in fields(outer, frame.head)
    return "." in name and any(value_at(row, name) is not None for row in frame.head)


def several(frame: Frame, wanted: str, what: str) -> tuple[str, ...]:
    """One column, or several with commas between them."""
    if wanted in frame.names:
        return (wanted,)
    return tuple(n for part in listed(wanted) if (n := named(frame, part, what)) is not None)


def _ids(names: Sequence[str]) -> list[str]:
    """Columns that may name a problem, the surest first; inside of objects where none is flat."""
    flat = find_all((*PROBLEM, *WEAK, *TEXT_OF_PROBLEM), names)
    deep = [n for n in names if "." in n and is_one_of(n.partition(".")[0], ABOUT_PROBLEM)]
    return flat or [n for n in deep if is_one_of(n.partition(".")[2], (*PROBLEM, *WEAK))]


def _inner_ids(score: Sequence[str], head: Sequence[Mapping[str, Any]]) -> list[str]:
    """Columns that may name a problem in the objects of a list, beside the score."""
    outer = score[0].partition("[].")[0] if score and "[]." in score[0] else None
    found = find_all((*PROBLEM, *WEAK), fields(outer, head)) if outer else []
    return [f"{outer}[].{name}" for name in found]


def _problem(frame: Frame, options: ReadOptions, score: tuple[str, ...]) -> tuple[str, ...]:
    if options.problem == ROW and ROW not in frame.names:
        return ()
    if options.problem is not None:
        return several(frame, options.problem, "problem")
    found = [n for n in _ids(frame.names) if n not in score]
    inner = _inner_ids(score, frame.head)
    if inner and (not found or is_one_of(inner[0].rpartition(".")[2], PROBLEM)):
        return (inner[0],)
    if found:
        return (found[0],)
    if find(GROUP, frame.names) or options.group is not None or has_lists(score, frame.head):
        return ()
    raise _needed(frame, "problem", [n for n in frame.names if n not in score])


def step_of(frame: Frame, options: ReadOptions) -> str | None:
    """The column of the step: the named one, else by the known names; None where there is none."""
    if options.step == NO_STEP:
        return None
    return named(frame, options.step, "step") or find(STEP, frame.names)


def _group(frame: Frame, options: ReadOptions, problem: tuple[str, ...]) -> tuple[str, ...]:
    if options.group is not None:
        return several(frame, options.group, "group")
    found = find(GROUP, [n for n in frame.names if n not in problem])
    return () if found is None else (found,)


def _score(frame: Frame, options: ReadOptions) -> tuple[str, ...]:
    if options.score is not None:
        wide = fnmatch.filter(frame.names, options.score)
        if options.score not in frame.names and wide and "*" in options.score:
            return tuple(sorted(wide, key=place_of))
        return several(frame, options.score, "score")
    found = known_score(frame.names, frame.head)
    if not found:
        taken = {options.problem, options.group, options.step}
        raise _needed(frame, "score", [n for n in frame.names if n not in taken])
    return found


def _needed(frame: Frame, option: Option, choices: Sequence[str]) -> ChoiceNeeded:
    columns = sorted(frame.names)
    why = f"no column for the {option} (columns: {', '.join(columns) or 'none'})"
    return ChoiceNeeded(frame.where, why, option=option, choices=sorted(choices))


def _may_split(name: str, head: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a column may say which policy, split or file a sample is of."""
    values = [v for row in head if (v := row.get(name)) is not None]
    if any(isinstance(v, list | dict) for v in values):
        return False
    if any(is_one_of(name, known) for known in (POLICY, GRADER, PART_OF_PROBLEM)):
        return True
    if not values:
        return False
    if is_one_of(name, (*CORRECT, *SCORE)):
        return False
    texts = [str(v) for v in values]
    if any(map(_DECIMAL.fullmatch, texts)) and len(set(texts)) > _SETTINGS:
        return False
    return max(map(len, texts)) <= _LONG and not (
        len(values) >= 20 and len(set(texts)) == len(texts)
    )


def _text(
    free: Sequence[str], score: Sequence[str], head: Sequence[Mapping[str, Any]]
) -> str | None:
    """The completion; of lists of verdicts one that is a list of the same length."""
    found = find_all(COMPLETION, free)
    if len(score) == 1 and has_lists(score, head):
        beside = (n for n in found if all(_beside(row.get(n), row[score[0]]) for row in head))
        return next(beside, found[0] if found else None)
    return found[0] if found else None


def _beside(texts: Any, verdicts: Any) -> bool:
    return isinstance(texts, list) and len(texts) == len(verdicts)


def _inner_values(head: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    """What stands under the key of the objects in a list, ``outer[].inner``."""
    outer, _, key = name.partition("[].")
    items = (i for row in head for i in row.get(outer) or () if isinstance(i, dict))
    return [value_at(i, key) for i in items]


def _is_flag(name: str, values: Sequence[Any]) -> bool:
    """Whether values say yes or no, or what went wrong: no measured numbers."""
    texts = {str(v) for v in values if v is not None and not isinstance(v, bool)}
    if is_one_of(name, ERROR):  # a code may be any whole number
        return not any(_DECIMAL.fullmatch(t) and not t.endswith(".0") for t in texts)
    return not any(_NUMBER.fullmatch(t) for t in texts - {"", "0", "1", "0.0", "1.0"})


def _is_text(name: str, head: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a column holds texts or numbers, no lists and objects."""
    values = [v for row in head if (v := row.get(name)) is not None]
    return bool(values) and all(isinstance(v, str | int | float) for v in values)


def _is_flat(name: str, head: Sequence[Mapping[str, Any]]) -> bool:
    return not any(isinstance(value_at(row, name), list | dict) for row in head)

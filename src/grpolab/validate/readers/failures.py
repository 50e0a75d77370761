"""Samples with an error or a status of the harness have no verdict; unless programs failed."""

from __future__ import annotations

import builtins
import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from grpolab.theory.groups import BoolArray, FloatArray, IntArray
from grpolab.validate.readers.choose import Roles
from grpolab.validate.readers.columns import Column, encoded
from grpolab.validate.readers.format import ChoiceNeeded, ReadOptions
from grpolab.validate.readers.source import Remarks
from grpolab.validate.readers.unrolled import Table
from grpolab.validate.readers.verdict_words import DOUBTFUL, FAILED_WORDS, plain_word
from grpolab.validate.readers.words import AT_FAULT, FAILED, HTTP, LATE, MAYBE, is_one_of, words_of

_EXCEPTION = re.compile(r"\b([A-Z]\w*(?:Error|Exception))\b")
"""The type of an exception, as Python writes it before its message."""
_FALSE = ("false", "0", "0.0", "no", "n", "f")
_REFUSED = 400  # the first code by which a server says that it did not answer
_NO_VERDICT, _MAY_BE_WRONG = 1, 2
_OF_PROGRAMS = frozenset((
    "parse", "parsing", "extraction", "extract", "format", "formatting", "compile", "compilation",
    "runtime", "syntax", "assertion", "test", "tests", "answer",
))  # fmt: skip
"""Words in the name of a column of errors that answers make."""
_OF_THE_MACHINE = (OSError, MemoryError, SystemError)
"""What the machine and the network raise; every other exception of Python is a program's own."""


def failed_samples(table: Table, roles: Roles, score: FloatArray) -> npt.NDArray[np.bool_]:
    """Samples whose error or status says that there is no verdict.

    A status such as ``failed`` and a flag such as ``is_valid`` may be the verdict once more; they
    count where their samples are wrong and others are wrong without them.
    """
    failed = [table.filled(name) for name in roles.errors]
    for name in roles.status:
        code, values = table.codes(name)
        words = [str(v).strip().lower().replace(" ", "_") for v in values]
        bad = [word in FAILED or word in LATE or _is_refusal(name, word) for word in words]
        failed.append(_at(code, bad))
        maybe = _at(code, [word in MAYBE for word in words])
        failed.append(maybe & _is_no_verdict(maybe, score))
    for name in roles.unset:
        code, values = table.codes(name)
        unset = _at(code, [str(v).strip().lower() in _FALSE for v in values])
        failed.append(unset & _is_no_verdict(unset, score))
    return np.any(failed, axis=0) if failed else np.zeros(1, dtype=bool)


def _at(code: IntArray, said: list[bool]) -> BoolArray:
    """What is said of the value of every row; nothing of none."""
    found: BoolArray = np.array([*said, False], dtype=bool)[code]
    return found


def _is_refusal(name: str, word: str) -> bool:
    """Whether a server answered with an error."""
    return is_one_of(name, HTTP) and word.isdigit() and (len(word) > 3 or int(word) >= _REFUSED)


def _is_no_verdict(flagged: BoolArray, score: FloatArray) -> bool:
    """Whether all flagged samples are wrong or unscored, and others are wrong without the flag."""
    seen = ~np.isnan(score)
    if not seen.any():
        return True
    wrong = score == np.min(score[seen])
    return bool(np.all((wrong | ~seen)[flagged]) and np.any(wrong & ~flagged) and np.any(
        seen & ~wrong))  # fmt: skip


def without_doubt(
    score: FloatArray, columns: Sequence[Column], where: str, options: ReadOptions
) -> FloatArray:
    """Scores in which words such as ``timeout`` are what the user says; ChoiceNeeded else.

    ``columns`` are those of the score. ``error`` is no verdict, and doubtful as well where no other
    word is there for a wrong answer.
    """
    mark = np.stack([_doubt(column) for column in columns], axis=1).reshape(-1)
    if not mark.any():
        return score
    sure = score[(mark == 0) & ~np.isnan(score)]
    alone = len(sure) > 0 and sure.min() > 0  # no other word for a wrong answer
    doubtful = (mark == _MAY_BE_WRONG) | ((mark == _NO_VERDICT) & alone)
    if not doubtful.any():
        return score
    if options.errors is not None:
        return np.where(doubtful, 0.0 if options.errors == "wrong" else np.nan, score)
    word = next(w for column in columns for w in _doubtful_words(column, alone=alone))
    raise ChoiceNeeded(
        where,
        f"{int(doubtful.sum())} verdicts are words such as {word!r:.40}: wrong answers, or outages"
        " without a verdict?",
        option="errors",
        value="wrong, or --errors missing",
        choices=("wrong", "missing"),
    )


def _doubt(column: Column) -> npt.NDArray[np.int8]:
    """For every row whether its verdict is a word for no verdict, or a doubtful one."""
    if not _has_words(column):
        return np.zeros(len(column), dtype=np.int8)
    code, values = encoded(column)
    words = [plain_word(v) if isinstance(v, str) else "" for v in values]
    marks = [
        _MAY_BE_WRONG if w in DOUBTFUL else _NO_VERDICT if w in FAILED_WORDS else 0 for w in words
    ]
    return np.array([*marks, 0], dtype=np.int8)[code]


def _doubtful_words(column: Column, *, alone: bool) -> list[str]:
    if not _has_words(column):
        return []
    words = [v for v in encoded(column).values if isinstance(v, str)]
    return [w for w in words if plain_word(w) in DOUBTFUL or (
        alone and plain_word(w) in FAILED_WORDS)]  # fmt: skip


def _has_words(column: Column) -> bool:
    if isinstance(column, list):
        return any(type(v) is str for v in column)
    import pyarrow as pa

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def without_errors(
    score: FloatArray,
    failed: npt.NDArray[np.bool_],
    table: Table,
    roles: Roles,
    options: ReadOptions,
    remarks: Remarks,
) -> FloatArray:
    """Scores without those of samples with an error, unless the errors are those of programs."""
    if options.errors == "wrong":
        remarks.add_of(table.frame.where, "samples with an error were taken as their score says")
        return score
    names = [*roles.errors, *roles.status, *roles.unset]
    scored = failed & ~np.isnan(score)
    if options.errors is None and scored.any():
        _ask_about_errors(score, failed, table, roles)
    if scored.any():
        remarks.add_of(
            table.frame.where,
            f"{int(failed.sum())} samples have an error ({', '.join(names)}) and so no verdict;"
            " --errors wrong takes them as their score says",
        )
    return np.where(failed, np.nan, score)


def _ask_about_errors(
    score: FloatArray,
    failed: npt.NDArray[np.bool_],
    table: Table,
    roles: Roles,
) -> None:
    """ChoiceNeeded where the errors look like those of wrong answers."""
    lowest = np.nanmin(score)
    wrong = score == lowest
    if not np.any(wrong & failed) or np.nanmax(score) == lowest:
        return
    words = [
        str(v) for n in roles.errors for v in table.codes(n).values[:100] if isinstance(v, str)
    ]
    late = _is_late(table, roles)
    of_programs = sum(is_of_program(w) for w in words) > len(words) / 2
    of_programs |= any(
        not _OF_PROGRAMS.isdisjoint(words_of(n.rpartition(".")[2])) and table.filled(n).any()
        for n in roles.errors
    )
    every = not np.any(wrong & ~failed) and not np.any(failed & ~wrong) and failed.sum() > 1
    if late or of_programs or every or _by_flags(failed, table, roles):
        names = ", ".join([*roles.errors, *roles.status, *roles.unset])
        shown = late or (f" such as {words[0]!r:.40}" if words else "")
        raise ChoiceNeeded(
            table.frame.where,
            f"{int(failed.sum())} samples have an error ({names}){shown}: wrong answers, or"
            " outages without a verdict?",
            option="errors",
            value="wrong, or --errors missing",
            choices=("wrong", "missing"),
        )


def _by_flags(failed: BoolArray, table: Table, roles: Roles) -> bool:
    """Whether a sample is said to have failed by a status or a flag that says no more."""
    sure = [table.filled(n) for n in roles.errors]
    for name in roles.status:
        code, values = table.codes(name)
        words = [str(v).strip().lower().replace(" ", "_") for v in values]
        sure.append(_at(code, [w in FAILED or _is_refusal(name, w) for w in words]))
    return bool(np.any(failed & ~np.any(sure, axis=0))) if sure else True


def _is_late(table: Table, roles: Roles) -> str:
    """What a status says of time limits, which may be those of programs; empty where nothing."""
    values = [str(v) for name in roles.status for v in table.codes(name).values]
    late = [v for v in values if v.strip().lower().replace(" ", "_") in LATE]
    return f" such as {late[0]!r}" if late else ""


def is_of_program(words: str) -> bool:
    """Whether an error is one that a wrong program, or a wrong answer, leaves behind.

    Told by the type of the exception, or by the first words where they are known (`AT_FAULT`).

    >>> is_of_program("NameError: name 'x' is not defined"), is_of_program("ConnectionError")
    (True, False)
    >>> is_of_program("Wrong answer on test 3"), is_of_program("HTTP 503")
    (True, False)
    """
    found = [getattr(builtins, name, None) for name in _EXCEPTION.findall(words)]
    known = [kind for kind in found if isinstance(kind, type) and issubclass(kind, Exception)]
    if known:
        return not issubclass(known[-1], _OF_THE_MACHINE)
    first = re.sub(r"[\W_]+", "_", words.strip().lower())
    return any(f"{first}_".startswith(f"{known}_") for known in AT_FAULT)

"""Samples with an error or a status of the harness have no verdict; unless programs failed."""

from __future__ import annotations

import builtins
import re

import numpy as np
import numpy.typing as npt

from grpolab.theory.groups import FloatArray
from grpolab.validate.readers.choose import Roles
from grpolab.validate.readers.format import ChoiceNeeded, ReadOptions
from grpolab.validate.readers.source import Remarks
from grpolab.validate.readers.unrolled import Table
from grpolab.validate.readers.words import AT_FAULT, FAILED, LATE

_EXCEPTION = re.compile(r"\b([A-Z]\w*(?:Error|Exception))\b")
"""The type of an exception, as Python writes it before its message."""
_OF_THE_MACHINE = (OSError, MemoryError, SystemError)
"""What the machine and the network raise; every other exception of Python is a program's own."""


def failed_samples(table: Table, roles: Roles) -> npt.NDArray[np.bool_]:
    """Samples whose error or status says that there is no verdict."""
    failed = [table.filled(name) for name in roles.errors]
    for name in roles.status:
        code, values = table.codes(name)
        words = [str(v).strip().lower().replace(" ", "_") for v in values]
        bad = [word in FAILED or word in LATE for word in words]
        failed.append(np.array([*bad, False], dtype=bool)[code])
    return np.any(failed, axis=0) if failed else np.zeros(1, dtype=bool)


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
    names = [*roles.errors, *roles.status]
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
    every = not np.any(wrong & ~failed) and not np.any(failed & ~wrong) and failed.sum() > 1
    if late or of_programs or every:
        names = ", ".join([*roles.errors, *roles.status])
        shown = late or (f" such as {words[0]!r:.40}" if words else "")
        raise ChoiceNeeded(
            table.frame.where,
            f"{int(failed.sum())} samples have an error ({names}){shown}: wrong answers, or"
            " outages without a verdict?",
            option="errors",
            value="wrong, or --errors missing",
            choices=("wrong", "missing"),
        )


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

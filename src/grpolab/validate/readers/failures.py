"""Samples with an error or a status of the harness have no verdict; unless programs failed."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from grpolab.theory.groups import FloatArray
from grpolab.validate.readers.choose import Roles
from grpolab.validate.readers.format import ChoiceNeeded, ReadOptions
from grpolab.validate.readers.source import Remarks
from grpolab.validate.readers.unrolled import Table
from grpolab.validate.readers.words import FAILED, LATE

_PROGRAM = re.compile(
    r"assertion|syntaxerror|indentationerror|nameerror|typeerror|indexerror|valueerror|keyerror"
    r"|attributeerror|zerodivision|recursionerror|wrong.?answer|mismatch|failed.?test|test.?failed"
    r"|expected|incorrect|no.?answer|parse|did not match|compil|runtime.?error|segfault",
    re.IGNORECASE,
)
"""What a judged program or a wrong answer leaves behind, rather than an outage."""


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
    of_programs = sum(_is_of_program(w) for w in words) > len(words) / 2
    every = not np.any(wrong & ~failed) and not np.any(failed & ~wrong) and failed.sum() > 1
    if late or of_programs or (every and not _outage(words)):
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


_OUTAGE = re.compile(
    r"time.?out|timed.?out|connect|rate.?limit|sandbox|\b[45]\d\d\b|unavailable|memory|\boom\b"
    r"|killed|network|reset|refused|server|docker|container|preempt|evict|cancel|harness|infra"
    r"|quota|overload|socket|ssl|api",
    re.IGNORECASE,
)


def _is_late(table: Table, roles: Roles) -> str:
    """What a status says of time limits, which may be those of programs; empty where nothing."""
    values = [str(v) for name in roles.status for v in table.codes(name).values]
    late = [v for v in values if v.strip().lower().replace(" ", "_") in LATE]
    return f" such as {late[0]!r}" if late else ""


def _is_of_program(words: str) -> bool:
    return bool(_PROGRAM.search(words)) and not _OUTAGE.search(words)


def _outage(words: Sequence[str]) -> bool:
    return bool(words) and sum(bool(_OUTAGE.search(w)) for w in words) > len(words) / 2

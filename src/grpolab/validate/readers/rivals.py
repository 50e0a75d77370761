"""Two columns that hold verdicts and differ: nobody but the user knows which one is meant."""

from __future__ import annotations

import contextlib

import numpy as np

from grpolab.errors import UserError
from grpolab.theory.groups import FloatArray, IntArray
from grpolab.validate.readers.choose import Roles
from grpolab.validate.readers.columns import Codes, scores
from grpolab.validate.readers.format import ChoiceNeeded
from grpolab.validate.readers.frame import Frame
from grpolab.validate.readers.unrolled import Table
from grpolab.validate.readers.words import CORRECT, LOOSE_CORRECT, find_all, is_one_of

_OF_REQUEST = ("success", "is_success", "successful", "ok", "status")
"""Names that say of a verdict, or of the request for a completion, that it went well."""
_LEVELS = (-1.0, 0.0, 1.0, 100.0)


def refuse_rivals(table: Table, roles: Roles, problem: Codes, score: FloatArray) -> None:
    """ChoiceNeeded where another column holds verdicts that differ from the chosen ones."""
    if len(roles.score) > 1 or not _is_binary(score):
        return
    chosen = roles.score[0]
    for names in roles.verdicts:
        if len(names) > 1 or _is_list(table, names[0]):
            if table.parent is None and 1 < len(problem.code) == len(problem.values):
                _ask_layout(table, chosen, names)
            continue
        other = _scores(table, names[0])
        if other is None or len(other) != len(score) or not _is_binary(other):
            continue
        seen = ~(np.isnan(score) | np.isnan(other))
        differ = int(np.count_nonzero((score > 0)[seen] != (other > 0)[seen]))
        kind = names[0].rpartition(".")[2]
        if not differ or (is_one_of(kind, _OF_REQUEST) and np.all(other[seen] > 0)):
            continue
        raise ChoiceNeeded(
            table.frame.where,
            f"{chosen} and {names[0]} both hold verdicts and differ in {differ} of"
            f" {int(seen.sum())} samples ({int((score > 0)[seen].sum())} and"
            f" {int((other > 0)[seen].sum())} are right)",
            option="score",
            value=f"{chosen}, or --score {names[0]}",
            choices=(chosen, names[0]),
        )


def refuse_rival_counts(frame: Frame, chosen: str, correct: IntArray, size: IntArray) -> None:
    """ChoiceNeeded where another column numbers correct samples and says otherwise."""
    for name in find_all((*CORRECT, *LOOSE_CORRECT), [n for n in frame.names if n != chosen]):
        try:
            other = scores(frame.columns([name])[name], frame.place, name)
        except UserError:
            continue
        whole = bool(np.all((other == np.round(other)) & (other >= 0) & (other <= size)))
        differ = int(np.count_nonzero(other != correct))
        if whole and other.max(initial=0) > 1 and differ:
            raise ChoiceNeeded(
                frame.where,
                f"{chosen} and {name} both number correct samples and differ in {differ} of"
                f" {len(other)} rows ({int(correct.sum())} and {int(other.sum())} are right)",
                option="num_correct",
                value=f"{chosen}, or --num-correct {name}",
                choices=(chosen, name),
            )


def _ask_layout(table: Table, chosen: str, names: tuple[str, ...]) -> None:
    """One verdict per problem, or the samples beside it?"""
    wide = len(names) > 1
    holds = "hold" if wide else "holds"
    shown = f"{names[0]} to {names[-1]}" if wide else names[0]
    pattern = names[0].replace("".join(c for c in names[0] if c.isdigit()), "*")
    option = pattern if wide else names[0]
    raise ChoiceNeeded(
        table.frame.where,
        f"{chosen} holds one verdict per problem, and {shown} {holds} several",
        option="score",
        value=f"'{option}' (samples), or --score {chosen}",
        choices=(option, chosen),
    )


def _is_binary(score: FloatArray) -> bool:
    return bool(np.all(np.isin(score, _LEVELS) | np.isnan(score)))


def _is_list(table: Table, name: str) -> bool:
    """Whether a column has several values per row, where the samples are rows."""
    if table.parent is not None:
        return False
    value = next((row[name] for row in table.frame.head if row.get(name) is not None), None)
    return isinstance(value, list)


def _scores(table: Table, name: str) -> FloatArray | None:
    """Another column by sample; None where it is none of verdicts, or of one for several."""
    column = table.columns.get(name) if table.parent is None else None
    column = table.inner.get(name, column)
    if column is None:
        return None
    with contextlib.suppress(UserError):
        return scores(column, table.place, name)
    return None

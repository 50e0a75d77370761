"""Rows of one problem that are about different things: an id that begins anew, or names none."""

from __future__ import annotations

import numpy as np

from grpolab.validate.readers.choose import Roles
from grpolab.validate.readers.columns import Codes, joined
from grpolab.validate.readers.format import ChoiceNeeded, ReadOptions, listed
from grpolab.validate.readers.unrolled import Table
from grpolab.validate.readers.words import GRADER, PART_OF_PROBLEM, POLICY, SECTION, is_one_of

_MOST = 0.5  # share of the problems with several samples


def refuse_unlike(table: Table, roles: Roles, problem: Codes, options: ReadOptions) -> None:
    """ChoiceNeeded where most problems have several texts or several right answers.

    Samples of different policies may be prompted differently, and an id may begin anew for every
    subject: such columns, and those of ``group_by``, tell problems apart here.
    """
    if not roles.about or len(roles.problem) != 1 or options.group_by == "none":
        return
    by = listed(options.group_by)
    apart = [
        name
        for name in roles.others
        if name in by
        or is_one_of(name.rpartition(".")[2], (*POLICY, *PART_OF_PROBLEM, *GRADER, SECTION))
    ]
    if any(n in table.inner for n in roles.problem):
        return
    whole = joined([problem, *(table.codes(name) for name in apart)])
    for name in roles.about:
        if name == roles.problem[0] or name in table.inner:
            continue
        other = table.codes(name)
        there = (whole.code >= 0) & (other.code >= 0)
        pairs = np.unique(whole.code[there] * len(other.values) + other.code[there])
        texts = np.bincount(pairs // max(len(other.values), 1), minlength=len(whole.values))
        several = np.bincount(whole.code[there], minlength=len(whole.values)) >= 2
        if not several.any() or np.mean(texts[several] >= 2) < _MOST:
            continue
        chosen = roles.problem[0]
        raise ChoiceNeeded(
            table.frame.where,
            f"{name} differs within {100 * np.mean(texts[several] >= 2):.0f}% of the problems that"
            f" {chosen} names",
            option="problem",
            value=f"{chosen},{name} (other problems), or --problem {chosen} (one problem)",
            choices=(f"{chosen},{name}", chosen),
        )

"""Does a predictor say where pass@1 misleads, and is it right where it does not?

An inversion: pass@1 before RL picks a start, and a shallower one ends better. A rule that always
picks shallow calls every inversion, and is exposed by the families that have none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from grpolab.theory.groups import FloatArray
from grpolab.validate.study.shootout.table import DIRECTIONS, FamilyTable, picks

MARGIN = 0.02
"""A lead in the outcome that is not larger is no inversion: nobody would act on it."""


class Truth(NamedTuple):
    """Whether a family has an inversion, from means over seeds and seed by seed.

    ``picked`` is the depth with the most pass@1 before RL, ``best`` the depth that ends best,
    ``lead`` what the best shallower depth gains over the pick (NaN where none is shallower),
    ``in_seeds`` the share of seeds with an inversion of their own.
    """

    family: str
    outcome: str
    picked: int
    best: int
    lead: float
    inverted: bool
    in_seeds: float


class Calls(NamedTuple):
    """Calls of a predictor over (family, seed): is its pick shallower than that of pass@1?

    Ties in a predictor count in parts. ``sensitivity``: share of inversions that it predicted;
    ``specificity``: share of ladders without one on which it predicted none; NaN where
    there are none.
    """

    predictor: str
    outcome: str
    hits: float
    misses: float
    false_alarms: float
    correct_silence: float

    @property
    def sensitivity(self) -> float:
        """``hits / (hits + misses)``."""
        return _share(self.hits, self.misses)

    @property
    def specificity(self) -> float:
        """``correct_silence / (correct_silence + false_alarms)``."""
        return _share(self.correct_silence, self.false_alarms)


def _share(part: float, rest: float) -> float:
    return part / (part + rest) if part + rest > 0 else float("nan")


def truth(family: FamilyTable, outcome: str, *, margin: float = MARGIN) -> Truth:
    """Whether some depth shallower than the pick of pass@1 ends better by more than ``margin``.

    And by no less than any deeper one: where deeper still would be better, shallow is no cure.

    >>> from grpolab.validate.study.shootout.table import families
    >>> rows = [dict(task="t", regime="r", seed=0, depth=d, pass_at_1=a, y=y)
    ...         for d, a, y in ((1, 0.2, 0.9), (2, 0.3, 0.5))]
    >>> found = truth(families(rows)[0], "y")
    >>> found.inverted, round(found.lead, 6)
    (True, 0.4)
    """
    before, after = family.column("pass_at_1"), family.column(outcome)
    mean_before, mean_after = before.mean(axis=0), after.mean(axis=0)
    pick = int(np.argmax(mean_before))
    lead = float(mean_after[:pick].max() - mean_after[pick]) if pick else float("nan")
    own = [inverted(b, a, margin=margin) for b, a in zip(before, after, strict=True)]
    return Truth(
        family.name,
        outcome,
        int(family.depths[pick]),
        int(family.depths[int(np.argmax(mean_after))]),
        lead,
        inverted(mean_before, mean_after, margin=margin),
        float(np.mean(own)),
    )


def inverted(before: FloatArray, after: FloatArray, *, margin: float = MARGIN) -> bool:
    """`truth` for one ladder: pass@1 before RL and the outcome by depth, both [D]."""
    pick = int(np.argmax(before))
    lead = after - after[pick]
    return bool(pick and lead[:pick].max() > margin and lead[:pick].max() >= lead.max())


def says_inversion(family: FamilyTable, predictor: str, *, direction: int) -> FloatArray:
    """Share of the predictor's choice that is shallower than the pick of pass@1, per seed [S]."""
    pick = np.argmax(family.column("pass_at_1"), axis=1)
    shallower = np.arange(len(family.depths)) < pick[:, None]
    return np.asarray(np.sum(picks(family, predictor, direction=direction) * shallower, axis=1))


def inversion_calls(
    table: Sequence[FamilyTable],
    outcome: str,
    *,
    directions: Mapping[str, int] = DIRECTIONS,
    margin: float = MARGIN,
) -> list[Calls]:
    """Right and wrong calls of every predictor over all seeds of the families that have it."""
    found = []
    for name, direction in directions.items():
        cells = np.zeros((2, 2))
        for family in table:
            if not family.has(name, "pass_at_1"):
                continue
            said = says_inversion(family, name, direction=direction)
            before, after = family.column("pass_at_1"), family.column(outcome)
            for s, share in enumerate(said.tolist()):
                cells[int(inverted(before[s], after[s], margin=margin))] += (1.0 - share, share)
        if cells.any():
            (silent, false), (misses, hits) = cells.tolist()
            found.append(Calls(name, outcome, hits, misses, false, silent))
    return found

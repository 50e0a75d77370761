"""Intervals of a grid counted cell by cell: a cell is a quantity of one law in one design."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from scipy import stats

from grpolab.theory.groups import FloatArray
from grpolab.validate.verify.calibration import FLOOR, at_least
from grpolab.validate.verify.laws import SampledLaw
from grpolab.validate.verify.registry import Check, Size

_FULL = 1_000_000  # groups from which on the whole grid is run
_LOW, _AGAIN = 0.92, 1000
"""Coverage of a cell under which it is measured anew, and the data sets for that: the least of many
cells is low by chance, and 60 data sets tell 0.93 from 0.85 only."""


def is_full(size: Size) -> bool:
    """Is the whole grid to be run, or a part?"""
    return size.groups >= _FULL


def trials_of(size: Size) -> int:
    """Data sets per cell."""
    return 120 if is_full(size) else 40


def rng_of(size: Size, law: SampledLaw, *cell: object) -> np.random.Generator:
    """A stream of its own for every cell."""
    return np.random.default_rng(size.cell_seed(law.name, *cell))


Hits = Mapping[str, int]
"""How many intervals of each quantity cover."""

Cover = Callable[[int, np.random.Generator], Hits]
"""Hits of a cell on so many data sets."""


class Tally:
    """Hits per quantity and cell, and over all laws of a design."""

    def __init__(self, trials: int) -> None:
        self.trials = trials
        self.hits: dict[str, dict[str, int]] = {}
        self.again: list[Check] = []

    def add(self, quantity: str, law: SampledLaw, design: object, hits: int) -> None:
        """Count the covered trials of one cell."""
        self.hits.setdefault(f"{quantity}: {{}}, {design}", {})[law.name] = hits

    def add_cells(
        self, hits: Hits, law: SampledLaw, design: object, *, size: Size, cover: Cover
    ) -> None:
        """Add cells of one law; a full run counts the low ones again on data sets not yet seen."""
        for name, covered in hits.items():
            self.add(name, law, design, covered)
        low = [name for name, covered in hits.items() if covered < _LOW * self.trials]
        if low and is_full(size):
            new = cover(_AGAIN, rng_of(size, law, design, "again"))
            self.again += [again(name, law, design, new[name]) for name in low]

    def checks(self) -> list[Check]:
        """One check per cell and one per design, then those of cells that were measured anew."""
        found = []
        for name, laws in self.hits.items():
            for law, hits in laws.items():
                found.append(
                    at_least(name.format(law), successes=hits, trials=self.trials, floor=FLOOR)
                )
            over = {"successes": sum(laws.values()), "trials": self.trials * len(laws)}
            found.append(at_least(name.format(f"all {len(laws)} laws"), **over, floor=FLOOR))
        return found + self.again


def again(quantity: str, law: SampledLaw, design: object, hits: int) -> Check:
    """Coverage of a cell on many data sets that were not seen before."""
    name = f"{quantity} over {_AGAIN} new data sets: {law.name}, {design}"
    return at_least(name, successes=hits, trials=_AGAIN, floor=FLOOR)


def median_at_most(name: str, values: FloatArray, *, bound: float) -> Check:
    """One-sided sign test of "the median is at most ``bound``"; values [N].

    >>> median_at_most("x", np.array([0.5] * 9 + [2.0]), bound=1.0).passed()
    True
    """
    total = len(values)
    above = int(np.sum(values > bound))
    p_value = float(stats.binom.sf(above - 1, total, 0.5))
    z = (2 * above - total) / math.sqrt(total)
    spread = float(np.subtract(*np.quantile(values, [0.84, 0.16])) / 2)
    error = math.sqrt(math.pi / 2 / total) * spread
    return Check(name, float(np.median(values)), bound, error, z, p_value, "calibration")

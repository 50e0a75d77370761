"""Intervals of the ICC on a grid of laws, prompts and samples: coverage, and width over the best.

Laws that are beta and laws that are not, rare successes, point masses, unsolvable prompts and
success rates of real models: a method that holds on one kind of law may fail on the next, and one
that holds on all may be needlessly wide. So the interval that is printed is held in every cell
against the narrower of the two plain methods that covers there.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from grpolab.theory.groups import FloatArray
from grpolab.validate.estimate.icc import icc_interval
from grpolab.validate.verify.calibration import FLOOR
from grpolab.validate.verify.laws import ROUGH, SMOOTH, SampledLaw, beta, real, unsolvable
from grpolab.validate.verify.registry import REGISTRY, Check, Evidence, Size
from grpolab.validate.verify.tally import Tally, is_full, median_at_most, rng_of, trials_of

WIDER = 1.3
"""How much wider than the best valid interval the printed one may be."""


class Design(NamedTuple):
    """Prompts and samples of each."""

    prompts: int
    samples: int

    def __str__(self) -> str:
        return f"{self.prompts} prompts, n={self.samples}"


LAWS = (*SMOOTH, *ROUGH, unsolvable(0.8, beta(2.0, 2.0)), *real())
DESIGNS = tuple(Design(prompts, n) for prompts in (20, 164) for n in (4, 8, 64))
_SMALL = (LAWS[0], LAWS[1], LAWS[10]), (DESIGNS[1], DESIGNS[4])
_PLAIN = ("bootstrap", "profile")
_RESAMPLES = 300


class Spans(NamedTuple):
    """Ends [T, 2] within [0, 1] of the 95% intervals of one method on T data sets of a law."""

    ends: FloatArray
    rho: float

    @property
    def hits(self) -> int:
        """Data sets whose interval holds the truth."""
        low, high = self.ends.T
        return int(np.sum((low <= self.rho + 1e-9) & (self.rho <= high + 1e-9)))

    @property
    def widths(self) -> FloatArray:
        """Length of every interval, [T]."""
        return np.asarray(self.ends[:, 1] - self.ends[:, 0])

    @property
    def covers(self) -> bool:
        """Is the measured coverage one that a valid interval has?"""
        return self.hits >= FLOOR * len(self.ends)


def measure(
    law: SampledLaw, design: Design, *, trials: int, rng: np.random.Generator
) -> dict[str, Spans]:
    """Intervals of "combined", which is printed, and of the plain methods on the same data sets.

    >>> coin = SampledLaw("coin", np.array([0.2, 0.8]))
    >>> found = measure(coin, Design(30, 8), trials=4, rng=np.random.default_rng(0))
    >>> list(found), found["combined"].ends.shape, round(found["combined"].rho, 2)
    (['combined', 'bootstrap', 'profile'], (4, 2), 0.36)
    """
    methods = ("combined", *_PLAIN)
    ends = np.empty((len(methods), trials, 2))
    for trial in range(trials):
        counts = law.draw(rng, prompts=design.prompts, samples=design.samples)
        for place, method in enumerate(methods):
            found = icc_interval(counts, rng=rng, interval=method, num_resamples=_RESAMPLES)
            ends[place, trial] = np.clip((found.low, found.high), 0.0, 1.0)
    return {method: Spans(own, law.rho) for method, own in zip(methods, ends, strict=True)}


def printed_hits(
    law: SampledLaw, design: Design, trials: int, rng: np.random.Generator
) -> dict[str, int]:
    """How many of the printed intervals cover."""
    hits = 0
    for _ in range(trials):
        counts = law.draw(rng, prompts=design.prompts, samples=design.samples)
        found = icc_interval(counts, rng=rng, num_resamples=_RESAMPLES)
        hits += max(found.low, 0.0) - 1e-9 <= law.rho <= found.high + 1e-9
    return {"ICC": hits}


def over_best(found: dict[str, Spans]) -> FloatArray | None:
    """Width [T] over that of the narrowest plain method that covers; None where neither does.

    None, too, where all prompts have one rate: an interval of [0, 0] covers there.
    """
    if found["combined"].rho < 1e-9:
        return None
    valid = [found[method].widths for method in _PLAIN if found[method].covers]
    if not valid:
        return None
    best = min(valid, key=lambda widths: float(widths.mean()))
    return np.asarray(found["combined"].widths / np.maximum(best, 1e-9))


@REGISTRY.register(
    "icc-interval",
    claim="the 95% interval of the ICC covers in at least 93% under any law of p, at most 1.3 times"
    " as wide as the best plain interval that covers",
    wrong="the profile of the beta-binomial, where p is no beta",
)
def _icc_interval(size: Size) -> Evidence:
    laws, designs = (LAWS, DESIGNS) if is_full(size) else _SMALL
    # the laws of a design are tested together, too, and in a full run they are many
    trials = trials_of(size) // 2 if is_full(size) else trials_of(size)
    printed, beta_only = Tally(trials), Tally(trials)
    widths: list[Check] = []
    for design in designs:
        for law in laws:
            found = measure(law, design, trials=trials, rng=rng_of(size, law, design))
            hits, cover = {"ICC": found["combined"].hits}, partial(printed_hits, law, design)
            printed.add_cells(hits, law, design, size=size, cover=cover)
            if "p = " in law.name:
                beta_only.add("ICC", law, design, found["profile"].hits)
            ratio = over_best(found)
            if ratio is not None:
                name = f"ICC over best: {law.name}, {design}"
                widths.append(median_at_most(name, ratio, bound=WIDER))
    return Evidence(printed.checks() + widths, beta_only.checks())

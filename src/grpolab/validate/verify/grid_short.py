"""Intervals where some prompts have fewer samples than a group: coverage on a grid of laws."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from grpolab.theory.groups import GroupCounts
from grpolab.theory.zero_std import prob_zero_std
from grpolab.validate.estimate import bootstrap
from grpolab.validate.forecast.law import fit_law
from grpolab.validate.forecast.zero_std import predict_zero_std
from grpolab.validate.verify.calibration import CALIBRATION
from grpolab.validate.verify.laws import ROUGH, SMOOTH, SampledLaw, points, real
from grpolab.validate.verify.registry import Evidence, Size
from grpolab.validate.verify.tally import Hits, Tally, is_full, rng_of, trials_of


class Design(NamedTuple):
    """Prompts of g samples, of which a share has fewer."""

    prompts: int
    group_size: int
    share: float
    samples: int

    @property
    def short(self) -> int:
        """Prompts that have fewer samples."""
        return round(self.share * self.prompts)

    def __str__(self) -> str:
        g = self.group_size
        return f"{self.prompts} prompts, n={g}, g={g}, {self.short} of them n={self.samples}"


DESIGNS = (Design(40, 8, 0.45, 1), Design(100, 16, 0.3, 2), Design(300, 8, 0.4, 4))
_TWO, _MANY = points((0.1, 0.4), (0.9, 0.6)), Design(1000, 8, 0.4, 4)
LAWS = (_TWO, *SMOOTH[::2], *ROUGH[::2], *real()[::3])


@CALIBRATION.register(
    "short-prompts",
    claim="where up to 45% of the prompts have fewer samples than a group, the 95% interval of the"
    " zero-std share covers in at least 93%",
    wrong="the interval by a fitted beta alone, for 1000 prompts of two kinds",
)
def _short_prompts(size: Size) -> Evidence:
    trials = trials_of(size)
    printed, by_beta = Tally(trials), Tally(trials)
    for design in DESIGNS if is_full(size) else DESIGNS[1:2]:
        for law in LAWS if is_full(size) else LAWS[:2]:
            cover = partial(_hits, law, design)
            hits = cover(trials, rng_of(size, law, design))
            printed.add_cells(hits, law, design, size=size, cover=cover)
    missed = _hits(_TWO, _MANY, trials, rng_of(size, _TWO, _MANY), by_beta=True)
    by_beta.add("zero std", _TWO, _MANY, missed["zero std"])
    return Evidence(printed.checks(), by_beta.checks())


def _hits(
    law: SampledLaw,
    design: Design,
    trials: int,
    rng: np.random.Generator,
    *,
    by_beta: bool = False,
) -> Hits:
    """How many of the printed intervals cover, or of those by a beta alone."""
    g = design.group_size
    truth = float(prob_zero_std(law.rates, g).mean())
    samples = np.full(design.prompts, g)
    samples[: design.short] = design.samples
    hits = 0
    for _ in range(trials):
        counts = GroupCounts(rng.binomial(samples, rng.choice(law.rates, design.prompts)), samples)
        if by_beta:
            drawn = fit_law(counts, "thinning").resampled(300, rng).zero_std(g)
            low, high = bootstrap.percentile_interval(
                drawn, level=0.95, num_clusters=design.prompts
            )
        else:
            found = predict_zero_std(counts, g, rng=rng, num_resamples=300)
            low, high = found.low, found.high
        hits += low <= truth <= high
    return {"zero std": hits}

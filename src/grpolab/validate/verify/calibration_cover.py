"""Calibration of the band of Cover@tau: it must hold at every tau at once."""

from __future__ import annotations

import numpy as np

from grpolab.theory.groups import GroupCounts
from grpolab.validate.estimate.bootstrap import exact_intervals
from grpolab.validate.forecast.cover import TAUS, cover_curve
from grpolab.validate.verify.calibration import CALIBRATION, at_least, repeats
from grpolab.validate.verify.laws import beta, points, unsolvable
from grpolab.validate.verify.registry import Evidence, Size

_LAWS = (beta(0.5, 1.5), unsolvable(0.4, beta(2.0, 2.0)), points((0.06, 0.7), (0.6, 0.3)))
_MOST = 200  # data sets: two linear programs per tau


@CALIBRATION.register(
    "cover-band",
    claim="the band of Cover@tau holds at every tau at once in at least 95% of data sets",
    wrong="the share of prompts with c/n >= tau, with exact intervals for all tau at once",
)
def _cover_band(size: Size) -> Evidence:
    evidence = Evidence([], [])
    trials, tau = min(repeats(size), _MOST), np.array(TAUS)
    for law in _LAWS:
        for prompts, samples in ((60, 4), (200, 16)):
            rng = np.random.default_rng(size.cell_seed("cover", law.name, prompts))
            truth = (law.rates[:, None] >= tau).mean(axis=0)
            held = plain = 0
            for _ in range(trials):
                correct = rng.binomial(samples, rng.choice(law.rates, prompts))
                found = cover_curve(GroupCounts(correct, samples), TAUS)
                held += bool(np.all((found.low <= truth) & (truth <= found.high)))
                above = (correct[:, None] / samples >= tau).sum(axis=0)
                low, high = exact_intervals(above, prompts, level=1.0 - 0.05 / len(above))
                plain += bool(np.all((low <= truth) & (truth <= high)))
            name = f"{law.name} prompts={prompts} n={samples}"
            evidence.checks.append(at_least(name, successes=held, trials=trials, floor=0.95))
            evidence.controls.append(at_least(name, successes=plain, trials=trials, floor=0.95))
    return evidence

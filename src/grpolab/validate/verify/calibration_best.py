"""Calibration of the chance that a checkpoint is the best: the claim is the rate at which it holds.

Over a grid of ladders, since within one cell no rule can claim what is right: who leads among five
equal checkpoints looks like one that is ahead by the standard error.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from grpolab.theory.groups import FloatArray
from grpolab.theory.pass_at_k import thin_std
from grpolab.validate.estimate import bootstrap
from grpolab.validate.estimate.best import best_chances
from grpolab.validate.verify.calibration import CALIBRATION, bias_below
from grpolab.validate.verify.laws import ROUGH, SMOOTH, SampledLaw, real
from grpolab.validate.verify.registry import Evidence, Size

LAWS: tuple[SampledLaw, ...] = (*SMOOTH, *ROUGH, *real())
WITHIN = 0.03
"""How far claims may be from the rate, on average over a band of claims."""
BANDS = (0.2, 0.35, 0.5, 0.7, 0.9, 1.01)

_Gaps = Callable[[np.random.Generator, int, float], npt.NDArray[np.floating]]
GAPS: dict[str, _Gaps] = {
    "equal": lambda rng, count, step: np.zeros(count),
    "nearly equal": lambda rng, count, step: rng.uniform(0.0, 0.5, count),
    "one ahead": lambda rng, count, step: step * (np.arange(count) == 0),
    "one behind": lambda rng, count, step: -step * (np.arange(count) == 0),
    "evenly spaced": lambda rng, count, step: step * np.arange(count),
    "normal": lambda rng, count, step: rng.normal(0.0, step, count),
    "pairs": lambda rng, count, step: step * (np.arange(count) // 2),
    "gaps of many sizes": lambda rng, count, step: np.cumsum(
        rng.choice([0.0, step / 10, step / 3, step], count)
    ),
}
"""True means of so many checkpoints for a step, in standard errors of a difference of two."""

_ATOMS = 400  # values that stand for a law where its noise is worked out
_LADDERS = 4_000


class Ladder(NamedTuple):
    """Signals [K, P] of checkpoints on the same prompts, and the true share [K] of the largest."""

    values: FloatArray
    truth: FloatArray


def draw_ladder(rng: np.random.Generator) -> Ladder:
    """2 to 8 checkpoints on 40 to 1,000 prompts with 4 to 64 samples, under any law of p.

    A checkpoint with less signal has lost the difference in prompts, which it never solves: those
    that the others lost, too, or others; the prompts may also be a sample of its own.

    >>> ladder = draw_ladder(np.random.default_rng(0))
    >>> ladder.values.shape, float(ladder.truth.max())
    ((7, 95), 1.0)
    """
    count, prompts = int(rng.integers(2, 9)), round(math.exp(rng.uniform(*np.log((40, 1000)))))
    samples = int(rng.choice([4, 8, 16, 32, 64]))
    group = int(rng.choice([g for g in (2, 4, 8, 16) if g <= samples]))
    law = LAWS[rng.integers(len(LAWS))].rates
    step = math.exp(rng.uniform(*np.log((0.3, 10.0))))
    gaps = GAPS[str(rng.choice(list(GAPS)))](rng, count, step)
    places = np.arange(samples + 1)
    signal = thin_std(np.full(samples + 1, samples), places, group)
    rates = np.quantile(law, (np.arange(_ATOMS) + 0.5) / _ATOMS)
    chance = stats.binom.pmf(places[:, None], samples, rates)
    mean = signal @ chance
    error = math.sqrt(2.0 * float((signal**2 @ chance - mean**2).mean()) / prompts)
    truth = np.clip(1.0 - (gaps.max() - gaps) * error / float(mean.mean()), 0.0, 1.0)
    shape = (count, prompts)
    lost = rng.random(shape if rng.random() < 0.5 else prompts) >= truth[:, None]
    own = rng.random(shape) < rng.choice([0.0, 0.0, 0.2, 1.0])
    p = np.where(own, rng.choice(law, shape), rng.choice(law, prompts))
    return Ladder(signal[rng.binomial(samples, np.where(lost, 0.0, p))], truth)


@CALIBRATION.register(
    "prob-best",
    claim="over a grid of ladders of 2 to 8 checkpoints the chances of being best and of having"
    " more are within 0.03 of the rates in every band of claims, from 0.2 on",
    wrong="the share of bootstrap resamples in which the leader leads",
)
def _prob_best(size: Size) -> Evidence:
    rng = np.random.default_rng(size.cell_seed("prob-best"))
    found = [_claims(rng) for _ in range(int(np.clip(size.groups // 1600, 200, _LADDERS)))]
    evidence = Evidence([], [])
    for name in ("best", "more", "resamples"):
        claim, hit = np.array([one[name] for one in found]).T
        into = evidence.controls if name == "resamples" else evidence.checks
        for low, high in itertools.pairwise(BANDS):
            some = (low <= claim) & (claim < high)
            if some.sum() >= 20:
                cell = f"{name}: claim {claim[some].mean():.3f} minus rate, claims from {low:g}"
                into.append(bias_below(cell, (claim - hit)[some], truth=0.0, bound=WITHIN))
    return evidence


def _claims(rng: np.random.Generator) -> dict[str, tuple[float, float]]:
    """Claim and truth of one ladder: of the leader, of one pair, of the leader by resamples."""
    values, truth = draw_ladder(rng)
    count, prompts = values.shape
    chances = best_chances(values, rng=rng)
    best = bootstrap.top_share(truth)
    weights = rng.multinomial(prompts, np.full(prompts, 1.0 / prompts), 200)
    leads = bootstrap.top_share(weights @ values.T).mean(axis=0)
    top, shown = int(chances.best.argmax()), int(leads.argmax())
    a, b = rng.choice(count, 2, replace=False)
    a, b = (a, b) if chances.more[a, b] >= 0.5 else (b, a)
    ahead = 1.0 * (truth[a] > truth[b]) + 0.5 * (truth[a] == truth[b])
    return {
        "best": (float(chances.best[top]), float(best[top])),
        "more": (float(chances.more[a, b]), float(ahead)),
        "resamples": (float(leads[shown]), float(best[shown])),
    }

"""Laws of p that estimators are tried on: smooth ones, point masses, and counts of real models."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import special, stats

from grpolab.store import read_json
from grpolab.theory.groups import FloatArray, GroupCounts

_ATOMS = 20_000  # quantiles that stand for a law
_QUANTILES = (np.arange(_ATOMS) + 0.5) / _ATOMS
_REAL = Path(__file__).with_name("real_laws.json")


class SampledLaw(NamedTuple):
    """A law of p over prompts as equally likely values [A]."""

    name: str
    rates: FloatArray

    @property
    def rho(self) -> float:
        """Var p / (mean (1 - mean))."""
        mean = float(self.rates.mean())
        return float(self.rates.var()) / (mean * (1 - mean))

    def draw(self, rng: np.random.Generator, *, prompts: int, samples: int) -> GroupCounts:
        """One group of ``samples`` rollouts for each of ``prompts`` prompts."""
        return GroupCounts(rng.binomial(samples, rng.choice(self.rates, prompts)), samples)

    def histograms(
        self, rng: np.random.Generator, *, prompts: int, samples: int, trials: int
    ) -> FloatArray:
        """Prompts with 0, 1, ..., n of n ``samples`` correct, in many data sets; [T, n + 1]."""
        correct = rng.binomial(samples, rng.choice(self.rates, (trials, prompts)))
        place = correct + (samples + 1) * np.arange(trials)[:, None]
        flat = np.bincount(place.ravel(), minlength=trials * (samples + 1))
        return flat.reshape(trials, samples + 1).astype(np.float64)


def beta(a: float, b: float) -> SampledLaw:
    """Beta(a, b)."""
    return SampledLaw(f"Beta({a}, {b})", stats.beta.ppf(_QUANTILES, a, b))


def logit_normal(mean: float, std: float) -> SampledLaw:
    """Logit p is normal."""
    rates = special.expit(mean + std * stats.norm.ppf(_QUANTILES))
    return SampledLaw(f"logit-normal({mean:g}, {std:g})", rates)


def unsolvable(share: float, law: SampledLaw) -> SampledLaw:
    """A share of prompts with p = 0 beside another law."""
    zeros = np.zeros(round(_ATOMS * share / (1 - share)))
    return SampledLaw(
        f"{share:.0%} unsolvable, else {law.name}", np.concatenate([zeros, law.rates])
    )


def points(*atoms: tuple[float, float]) -> SampledLaw:
    """Prompts of few kinds: (rate, share in tenths of percent or more)."""
    rates, shares = zip(*atoms, strict=True)
    name = "p = " + " or ".join(f"{rate:g}" for rate in rates)
    return SampledLaw(name, np.repeat(rates, [round(1000 * share) for share in shares]))


SMOOTH = (
    beta(0.5, 1.5), beta(0.1, 2.0), beta(1.0, 1.0), beta(4.0, 4.0), beta(0.3, 0.3),
    logit_normal(-1.0, 2.0), logit_normal(-3.0, 2.0), logit_normal(0.0, 0.5),
)  # fmt: skip
"""Betas, the uniform law and logit-normals."""

_SOLVED = SampledLaw(
    "30% unsolvable, 20% always solved, else Beta(2.0, 2.0)",
    np.concatenate([np.zeros(600), np.ones(400), np.quantile(beta(2.0, 2.0).rates,
                                                             (np.arange(1000) + 0.5) / 1000)]),
)  # fmt: skip

ROUGH = (
    unsolvable(0.4, beta(2.0, 2.0)), _SOLVED, points((0.05, 0.7), (0.9, 0.3)),
    points((0.3, 0.5), (0.7, 0.5)), points((0.02, 0.5), (0.5, 0.5)), points((0.3, 1.0)),
    points((0.02, 1.0)), points((0.01, 0.6), (0.99, 0.4)),
    points((0.1, 0.4), (0.5, 0.3), (0.97, 0.3)),
)  # fmt: skip
"""Point masses, and prompts that are never or always solved."""


@cache
def real() -> tuple[SampledLaw, ...]:
    """Success rates of real models, each prompt at the rate that its many samples showed."""
    return tuple(
        SampledLaw(
            entry["name"],
            np.repeat(
                [c / entry["samples"] for c, _ in entry["prompts_by_count"]],
                [prompts for _, prompts in entry["prompts_by_count"]],
            ),
        )
        for entry in read_json(_REAL)
    )

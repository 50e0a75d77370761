"""The grid on which intervals of the ICC are measured: laws of p, prompts, samples.

Laws that are beta and laws that are not, rare successes, point masses, unsolvable prompts and
success rates of a real model: a method that holds on one kind of law may fail on the next, and one
that holds on all may be needlessly wide. So every cell has the coverage and the mean width of each
method, and the width that the best of the covering methods has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import special, stats

from grpolab import streams
from grpolab.theory.groups import FloatArray, GroupCounts
from grpolab.validate.estimate.icc import INTERVALS, icc_interval

_ATOMS = 4000
_COVERS = 0.93  # coverage from which on a width counts

PROMPTS = (20, 50, 164, 500)
SAMPLES = (4, 8, 64)


def _quantiles() -> FloatArray:
    return (np.arange(_ATOMS) + 0.5) / _ATOMS


def _beta(a: float, b: float) -> FloatArray:
    return np.asarray(stats.beta.ppf(_quantiles(), a, b))


def _inflated(share: float, rates: FloatArray) -> FloatArray:
    return np.concatenate([np.zeros(round(len(rates) * share / (1 - share))), rates])


def _logit_normal(mean: float, sd: float) -> FloatArray:
    return np.asarray(special.expit(mean + sd * special.ndtri(_quantiles())))


LAWS: Mapping[str, FloatArray] = {
    "Beta(0.5, 1.5)": _beta(0.5, 1.5),
    "Beta(0.1, 2)": _beta(0.1, 2.0),
    "Beta(0.1, 0.1)": _beta(0.1, 0.1),
    "Beta(5, 5)": _beta(5.0, 5.0),
    "uniform": _quantiles(),
    "p = 0.05 or 0.9": np.repeat([0.05, 0.9], [7, 3]),
    "p = 0.2 or 0.4": np.array([0.2, 0.4]),
    "p = 0.02, 0.5 or 0.98": np.array([0.02, 0.5, 0.98]),
    "40% unsolvable, else Beta(2, 2)": _inflated(0.4, _beta(2.0, 2.0)),
    "80% unsolvable, else Beta(2, 2)": _inflated(0.8, _beta(2.0, 2.0)),
    "logit-normal(-2, 1.5)": _logit_normal(-2.0, 1.5),
    "logit-normal(1, 3)": _logit_normal(1.0, 3.0),
}
"""Equally likely success rates of each law; rates c / n of real prompts can be put beside them."""


class IccCell(NamedTuple):
    """One law with ``prompts`` of ``samples``, and what a method does there.

    ``coverage`` over ``trials`` data sets, mean ``width`` within [0, 1], and that width over the
    least of any method that covers in at least 93% (NaN where none does).
    """

    law: str
    prompts: int
    samples: int
    rho: float
    method: str
    trials: int
    coverage: float
    width: float
    ratio: float


def icc_of(rates: FloatArray) -> float:
    """Var p / (m (1 - m)) of equally likely rates.

    >>> icc_of(np.array([0.0, 1.0])), round(icc_of(np.array([0.25, 0.75])), 2)
    (1.0, 0.25)
    """
    mean = float(rates.mean())
    return float(rates.var()) / (mean * (1.0 - mean))


def measure_cell(
    name: str,
    rates: FloatArray,
    *,
    prompts: int,
    samples: int,
    trials: int,
    seed: int,
    methods: Sequence[str] = INTERVALS,
    num_resamples: int = 300,
) -> list[IccCell]:
    """Coverage and width of the 95% interval of every method on data sets drawn from one law.

    >>> cells = measure_cell("coin", np.array([0.2, 0.8]), prompts=30, samples=8, trials=4, seed=0)
    >>> [cell.method for cell in cells] == list(INTERVALS)
    True
    """
    rng = streams.generator(seed, "icc", name, prompts, samples)
    truth = icc_of(rates)
    ends = np.empty((trials, len(methods), 2))
    for trial in range(trials):
        counts = GroupCounts(rng.binomial(samples, rng.choice(rates, prompts)), samples)
        for i, method in enumerate(methods):
            found = icc_interval(counts, rng=rng, interval=method, num_resamples=num_resamples)
            ends[trial, i] = np.clip((found.low, found.high), 0.0, 1.0)
    covered = ((ends[..., 0] <= truth) & (truth <= ends[..., 1])).mean(axis=0)
    width = (ends[..., 1] - ends[..., 0]).mean(axis=0)
    good = width[covered >= _COVERS]
    best = float(good.min()) if good.size else np.nan
    return [
        IccCell(name, prompts, samples, truth, method, trials, float(c), float(w), float(w) / best)
        for method, c, w in zip(methods, covered, width, strict=True)
    ]


def measure_grid(
    *,
    trials: int,
    seed: int,
    laws: Mapping[str, FloatArray] = LAWS,
    prompts: Sequence[int] = PROMPTS,
    samples: Sequence[int] = SAMPLES,
    methods: Sequence[str] = INTERVALS,
    progress: Callable[[str], None] = lambda name: None,
) -> Iterator[IccCell]:
    """`measure_cell` for every law, number of prompts and number of samples."""
    for name, rates in laws.items():
        progress(name)
        for many in prompts:
            for n in samples:
                yield from measure_cell(
                    name, rates, prompts=many, samples=n, trials=trials, seed=seed, methods=methods
                )

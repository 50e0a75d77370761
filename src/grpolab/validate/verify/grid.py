"""Intervals on a grid of laws, prompts, samples and group sizes: coverage and width.

Laws are smooth, rough (point masses, prompts never or always solved) and those of real models.
Every cell is tested for itself, and every design over all laws together, where there are trials
enough to tell 0.93 from 0.95. Widths are compared with those of an interval that knows the law.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from grpolab.theory.bounds import zero_std_band
from grpolab.theory.groups import FloatArray, GroupCounts
from grpolab.theory.pass_at_k import expected_pass_at_k, thin_zero_std
from grpolab.theory.signal import expected_std
from grpolab.theory.zero_std import prob_zero_std
from grpolab.validate.estimate import bootstrap
from grpolab.validate.estimate.cells import CountCells
from grpolab.validate.forecast.beyond import Share, at_rates, capped
from grpolab.validate.forecast.interval import forecast_interval
from grpolab.validate.forecast.law import fit_rows
from grpolab.validate.forecast.pass_at_k import estimate_pass_at_k
from grpolab.validate.forecast.predict import share_prediction
from grpolab.validate.forecast.profile import law_interval
from grpolab.validate.forecast.zero_std import predict_zero_std
from grpolab.validate.verify.calibration import CALIBRATION, FLOOR, at_least, not_above
from grpolab.validate.verify.laws import ROUGH, SMOOTH, SampledLaw, points, real
from grpolab.validate.verify.registry import Check, Evidence, Size
from grpolab.validate.verify.tally import Hits, Tally, is_full, median_at_most, rng_of, trials_of


class Design(NamedTuple):
    """Prompts, samples of each, and the group size that is planned."""

    prompts: int
    samples: int
    group_size: int

    def __str__(self) -> str:
        return f"{self.prompts} prompts, n={self.samples}, g={self.group_size}"


class Run(NamedTuple):
    """A design, and the groups of the run that is predicted."""

    design: Design
    num_groups: int

    def __str__(self) -> str:
        return f"{self.design}, B={self.num_groups}"


BEYOND = (
    Design(20, 4, 8), Design(100, 1, 8), Design(100, 2, 8), Design(100, 8, 16), Design(250, 4, 8),
    Design(250, 8, 32), Design(500, 16, 32),
)  # fmt: skip
WITHIN = (Design(20, 8, 4), Design(100, 8, 8), Design(500, 16, 8))
NARROW = (Design(250, 8, 16), Design(250, 8, 32), Design(500, 16, 32))
"""Where the interval is to be narrower than what the mean and the correlation allow."""

RUNS = (Run(Design(100, 8, 8), 32), Run(Design(100, 8, 8), 256), Run(Design(100, 4, 8), 32),
        Run(Design(250, 8, 16), 256))  # fmt: skip

Statistic = Callable[[FloatArray], FloatArray]


def quantities(group_size: int) -> dict[str, Statistic]:
    """Functions of p within [0, 1] whose means over prompts a forecast reports."""
    g = group_size
    return {
        "zero std": lambda p: prob_zero_std(p, g),
        "all wrong": lambda p: np.asarray((1.0 - p) ** g),
        "signal": lambda p: 2.0 * expected_std(p, g),
        "pass@4g": lambda p: expected_pass_at_k(p, 4 * g),
    }


def _laws(size: Size) -> tuple[SampledLaw, ...]:
    """All laws, or in a small run some of each kind."""
    every = (*SMOOTH, *ROUGH, *real())
    return every if is_full(size) else every[::5]


def _part(designs: Iterable[Design], size: Size) -> list[Design]:
    return list(designs) if is_full(size) else list(designs)[::3]


def _counts(law: SampledLaw, design: Design, trials: int, rng: np.random.Generator) -> CountCells:
    """Many data sets of one design, as weights [T, n + 1] of the possible counts."""
    n = design.samples
    drawn = law.histograms(rng, prompts=design.prompts, samples=n, trials=trials)
    return CountCells(np.arange(n + 1), np.full(n + 1, n), drawn)


def _covered(ends: tuple[FloatArray, FloatArray], truth: FloatArray | float) -> int:
    low, high = ends
    return int(np.sum((low - 1e-9 <= truth) & (truth <= high + 1e-9)))


@CALIBRATION.register(
    "beyond",
    claim="beyond n samples the 95% interval for any law of p covers in at least 93%",
    wrong="the interval of a fitted beta, where prompts are of two kinds",
)
def _beyond(size: Size) -> Evidence:
    tally = Tally(trials_of(size))
    for design in _part(BEYOND, size):
        for law in _laws(size):
            hits = _beyond_hits(law, design, tally.trials, rng_of(size, law, design))
            cover = partial(_beyond_hits, law, design)
            tally.add_cells(hits, law, design, size=size, cover=cover)
    return Evidence(tally.checks(), _fitted_beta(size))


_FALLING: Mapping[str, Share] = {
    "zero std": lambda law, g: law.zero_std(g),
    "all wrong": lambda law, g: law.all_wrong(g),
    "signal": lambda law, g: 1.0 - 2.0 * law.expected_std(g),  # what is left of it
}


def _beyond_hits(law: SampledLaw, design: Design, trials: int, rng: np.random.Generator) -> Hits:
    g = design.group_size
    data = _counts(law, design, trials, rng)
    solved = quantities(g)["pass@4g"]
    hits = {}
    for name, share in _FALLING.items():
        statistic = at_rates(share, g)
        pairs = zip(_rows(data), *law_interval(data, statistic), strict=True)
        ends = [
            capped(counts, share, (low, high), rng=rng, num_resamples=300)
            for counts, low, high in pairs
        ]
        hits[name] = _covered(_columns(ends), float(statistic(law.rates).mean()))
    hits["pass@4g"] = _covered(law_interval(data, solved), float(solved(law.rates).mean()))
    return hits


def _rows(data: CountCells) -> Iterator[GroupCounts]:
    """The data sets of a batch, one prompt per count."""
    for weight in data.weight:
        correct = np.repeat(data.num_correct, weight.astype(np.int64))
        yield GroupCounts(correct, int(data.num_samples[0]))


def _columns(ends: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    low, high = np.transpose(ends)
    return low, high


def _fitted_beta(size: Size) -> list[Check]:
    law, design, trials = points((0.05, 0.7), (0.9, 0.3)), Design(250, 8, 16), trials_of(size) // 4
    rng = rng_of(size, law, "control")
    truth = float(prob_zero_std(law.rates, design.group_size).mean())
    hits = 0
    for _ in range(trials):
        counts = law.draw(rng, prompts=design.prompts, samples=design.samples)
        found = predict_zero_std(
            counts, design.group_size, rng=rng, method="beta-binomial", num_resamples=100
        )
        hits += found.low <= truth <= found.high
    name = f"zero std: {law.name}, {design}"
    return [at_least(name, successes=hits, trials=trials, floor=FLOOR)]


@CALIBRATION.register(
    "beyond-width",
    claim="on smooth laws that interval is at most 0.6 of the band that mean and ICC allow, from"
    " 250 prompts with 8 samples on; for shares of 0.05 on, 4 times that of who knows the beta",
    wrong="0.6 of the band from 20 prompts with 4 samples, even for who knows the beta",
)
def _beyond_width(size: Size) -> Evidence:
    evidence = Evidence([], [])
    trials = trials_of(size)
    for design in (*NARROW, Design(20, 4, 8)):
        for law in SMOOTH:
            g = design.group_size
            data = _counts(law, design, trials, rng_of(size, law, design))
            low, high = law_interval(data, quantities(g)["zero std"])
            band = zero_std_band(g, mean=float(law.rates.mean()), rho=law.rho)
            over_band = (high - low) / float(band.high - band.low)
            name = f"zero std over band: {law.name}, {design}"
            into = evidence.checks if design in NARROW else evidence.controls
            into.append(median_at_most(name, over_band, bound=0.6))
            if not law.name.startswith("Beta"):
                continue
            truth = float(prob_zero_std(law.rates, g).mean())
            fitted = fit_rows(data, "beta-binomial").zero_std(g)
            if design not in NARROW:
                known = np.array([2 * bootstrap.half_width(float(part.std(ddof=1)))
                                  for part in np.array_split(fitted, trials // 5)])  # fmt: skip
                name = f"beta over band: {law.name}, {design}"
                over = known / float(band.high - band.low)
                evidence.controls.append(median_at_most(name, over, bound=0.6))
            elif truth >= 0.05:
                over = (high - low) / (2 * bootstrap.half_width(float(fitted.std())))
                name = f"zero std over beta: {law.name}, {design}"
                evidence.checks.append(median_at_most(name, over, bound=4.0))
    return evidence


@CALIBRATION.register(
    "within",
    claim="up to n samples the 95% intervals of zero-std share and pass@g cover in at least 93%,"
    " at most 1.2 times as wide as with known variance",
    wrong="the plug-in (c/n)^g + (1-c/n)^g with the same bootstrap",
)
def _within(size: Size) -> Evidence:
    trials = trials_of(size)
    tally, plug = Tally(trials), Tally(trials)
    widths = []
    for design in _part(WITHIN, size):
        for law in _laws(size):
            spans = _thinned(law, design, trials, rng_of(size, law, design))
            hits = _within_hits(law, design, spans)
            plug.add("zero std", law, design, hits.pop("plug-in"))
            cover = partial(_within_anew, law, design)
            tally.add_cells(hits, law, design, size=size, cover=cover)
            known = _known_width(law, design)
            if law in SMOOTH and design.prompts >= 100:
                over = np.subtract(*spans["zero std"].T[::-1]) / known
                name = f"zero std over known variance: {law.name}, {design}"
                widths.append(median_at_most(name, over, bound=1.2))
    return Evidence(tally.checks() + widths, plug.checks())


def _thinned(
    law: SampledLaw, design: Design, trials: int, rng: np.random.Generator
) -> dict[str, FloatArray]:
    """Ends [T, 2] of the intervals of both quantities, and of the plug-in, on T data sets."""
    g = design.group_size
    found: dict[str, list[tuple[float, float]]] = {"zero std": [], "pass@g": [], "plug-in": []}
    for _ in range(trials):
        counts = law.draw(rng, prompts=design.prompts, samples=design.samples)
        share = predict_zero_std(counts, g, rng=rng, num_resamples=300)
        solved = estimate_pass_at_k(counts, g, rng=rng, num_resamples=300)
        of_prompts = prob_zero_std(counts.by_prompt().rate, g)
        half = bootstrap.half_width(bootstrap.mean_stderr(of_prompts))
        middle = float(of_prompts.mean())
        found["zero std"].append((share.low, share.high))
        found["pass@g"].append((solved.low, solved.high))
        found["plug-in"].append((middle - half, middle + half))
    return {name: np.array(ends) for name, ends in found.items()}


def _within_hits(
    law: SampledLaw, design: Design, spans: Mapping[str, FloatArray]
) -> dict[str, int]:
    g = design.group_size
    share = float(prob_zero_std(law.rates, g).mean())
    truth = {"zero std": share, "plug-in": share}
    truth["pass@g"] = float(expected_pass_at_k(law.rates, g).mean())
    return {name: _covered(_columns(ends), truth[name]) for name, ends in spans.items()}


def _within_anew(law: SampledLaw, design: Design, trials: int, rng: np.random.Generator) -> Hits:
    return _within_hits(law, design, _thinned(law, design, trials, rng))


def _known_width(law: SampledLaw, design: Design) -> float:
    """Width of a normal interval of the thinned share whose variance is known."""
    n, c = design.samples, np.arange(design.samples + 1)
    pmf = stats.binom.pmf(c[:, None], n, law.rates).mean(axis=1)
    values = thin_zero_std(n, c, design.group_size)
    variance = float(pmf @ values**2 - (pmf @ values) ** 2)
    return 2 * bootstrap.half_width(math.sqrt(variance / design.prompts))


@CALIBRATION.register(
    "first-groups",
    claim="the 95% interval of the zero-std share of the first B groups covers in at least 93%",
    wrong="the interval of the expected share, the noise of B groups left out",
)
def _first_groups(size: Size) -> Evidence:
    trials = trials_of(size)
    tally, expected = Tally(trials), Tally(trials)
    for run in RUNS if is_full(size) else RUNS[:3:2]:
        for law in _laws(size):
            hits = _run_hits(law, run, trials, rng_of(size, law, *run))
            expected.add("first groups", law, run, hits.pop("expected"))
            cover = partial(_run_hits, law, run)
            tally.add_cells(hits, law, run, size=size, cover=cover)
    return Evidence(tally.checks(), expected.checks())


def _run_hits(law: SampledLaw, run: Run, trials: int, rng: np.random.Generator) -> dict[str, int]:
    """Shares seen by the interval of a prediction, and by that of the expected share."""
    design, num_groups = run
    g = design.group_size
    data = _counts(law, design, trials, rng)
    shown = rng.binomial(g, rng.choice(law.rates, (trials, num_groups)))
    seen = np.mean((shown == 0) | (shown == g), axis=1)
    zero_std = quantities(g)["zero std"]
    if g <= design.samples:
        ends = _next(data, g, num_groups, rng)
    else:
        ends = share_prediction(data, zero_std, num_groups=num_groups)
    expected = _covered(law_interval(data, zero_std), seen)
    return {"first groups": _covered(ends, seen), "expected": expected}


def _next(
    data: CountCells, group_size: int, num_groups: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    ends = []
    for counts in _rows(data):
        found = forecast_interval(
            counts, group_size=group_size, num_groups=num_groups, rng=rng, num_draws=200
        )
        ends.append((found.low, found.high))
    return _columns(ends)


@CALIBRATION.register(
    "smoothed",
    claim="beyond n the smoothed mixture errs less than a beta on rough laws, on real ones no more",
    wrong="the mixture without smoothing errs no more on smooth laws",
)
def _smoothed(size: Size) -> Evidence:
    evidence = Evidence([], [])
    trials = trials_of(size)
    designs = Design(250, 4, 8), Design(250, 8, 16), Design(100, 4, 16)
    for design in _part(designs, size):
        for kind, laws in (("rough", ROUGH), ("real", real()), ("smooth", SMOOTH)):
            errors = [_errors(law, design, trials, rng_of(size, law, design)) for law in laws]
            pooled = {name: np.mean([e[name] for e in errors], axis=0) for name in errors[0]}
            other = "mixture" if kind == "smooth" else "beta-binomial"
            margin = 0.002 if kind == "real" else 0.0
            more = pooled["smoothed mixture"] - pooled[other] - margin
            name = f"{kind} laws against {other}: {design}"
            evidence.checks.append(not_above(name, more, margin=margin))
            if kind == "smooth":
                name = f"mixture on {kind} laws: {design}"
                evidence.controls.append(not_above(name, -more))
    return evidence


def _errors(
    law: SampledLaw, design: Design, trials: int, rng: np.random.Generator
) -> dict[str, FloatArray]:
    """Absolute errors [T] of the zero-std share by three methods."""
    data = _counts(law, design, trials, rng)
    g = design.group_size
    truth = float(prob_zero_std(law.rates, g).mean())
    return {
        "beta-binomial": np.abs(fit_rows(data, "beta-binomial").zero_std(g) - truth),
        "mixture": np.abs(fit_rows(data, "mixture").zero_std(g) - truth),
        "smoothed mixture": np.abs(fit_rows(data, "smoothed mixture").zero_std(g) - truth),
    }

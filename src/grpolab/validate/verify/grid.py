"""Intervals on a grid of laws, prompts, samples and group sizes: coverage and width.

Laws are smooth, rough (point masses, prompts never or always solved) and those of real models.
Every cell is tested for itself, and every design over all laws together, where there are trials
enough to tell 0.93 from 0.95. Widths are compared with those of an interval that knows the law.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from scipy import stats

from grpolab.theory.bounds import zero_std_band
from grpolab.theory.groups import FloatArray, GroupCounts
from grpolab.theory.pass_at_k import expected_pass_at_k, thin_zero_std
from grpolab.theory.signal import expected_std
from grpolab.theory.zero_std import prob_zero_std
from grpolab.validate.estimate import bootstrap
from grpolab.validate.estimate.cells import CountCells
from grpolab.validate.forecast.interval import forecast_interval
from grpolab.validate.forecast.law import fit_rows
from grpolab.validate.forecast.pass_at_k import estimate_pass_at_k
from grpolab.validate.forecast.predict import share_prediction
from grpolab.validate.forecast.profile import law_interval
from grpolab.validate.forecast.zero_std import predict_zero_std
from grpolab.validate.verify.calibration import CALIBRATION, FLOOR, at_least
from grpolab.validate.verify.laws import ROUGH, SMOOTH, SampledLaw, points, real
from grpolab.validate.verify.registry import Check, Evidence, Size

_FULL = 1_000_000  # groups from which on the whole grid is run


class Design(NamedTuple):
    """Prompts, samples of each, and the group size that is planned."""

    prompts: int
    samples: int
    group_size: int

    def __str__(self) -> str:
        return f"{self.prompts} prompts, n={self.samples}, g={self.group_size}"


BEYOND = (
    Design(20, 4, 8), Design(100, 1, 8), Design(100, 2, 8), Design(100, 8, 16), Design(250, 4, 8),
    Design(250, 8, 32), Design(500, 16, 32),
)  # fmt: skip
WITHIN = (Design(20, 8, 4), Design(100, 8, 8), Design(500, 16, 8))
NARROW = (Design(250, 8, 16), Design(250, 8, 32), Design(500, 16, 32))
"""Where the interval is to be narrower than what the mean and the correlation allow."""
RUNS = ((Design(100, 8, 8), 32), (Design(100, 8, 8), 256), (Design(100, 4, 8), 32),
        (Design(250, 8, 16), 256))  # fmt: skip
"""Designs, and the groups of the run that is predicted."""

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


def is_full(size: Size) -> bool:
    """Is the whole grid to be run, or a part?"""
    return size.groups >= _FULL


def trials_of(size: Size) -> int:
    """Data sets per cell."""
    return 120 if is_full(size) else 40


def _laws(size: Size) -> tuple[SampledLaw, ...]:
    """All laws, or in a small run some of each kind."""
    every = (*SMOOTH, *ROUGH, *real())
    return every if is_full(size) else every[::5]


def _part(designs: Iterable[Design], size: Size) -> list[Design]:
    return list(designs) if is_full(size) else list(designs)[::3]


def _rng(size: Size, law: SampledLaw, *cell: object) -> np.random.Generator:
    return np.random.default_rng(size.cell_seed(law.name, *cell))


def _counts(law: SampledLaw, design: Design, trials: int, rng: np.random.Generator) -> CountCells:
    """Many data sets of one design, as weights [T, n + 1] of the possible counts."""
    n = design.samples
    drawn = law.histograms(rng, prompts=design.prompts, samples=n, trials=trials)
    return CountCells(np.arange(n + 1), np.full(n + 1, n), drawn)


def _covered(ends: tuple[FloatArray, FloatArray], truth: FloatArray | float) -> int:
    low, high = ends
    return int(np.sum((low - 1e-9 <= truth) & (truth <= high + 1e-9)))


class Tally:
    """Hits per quantity and cell, and over all laws of a design."""

    def __init__(self, trials: int) -> None:
        self.trials = trials
        self.hits: dict[str, dict[str, int]] = {}

    def add(self, quantity: str, law: SampledLaw, design: object, hits: int) -> None:
        """Count the covered trials of one cell."""
        self.hits.setdefault(f"{quantity}: {{}}, {design}", {})[law.name] = hits

    def checks(self) -> list[Check]:
        """One check per cell and one per design."""
        found = []
        for name, laws in self.hits.items():
            for law, hits in laws.items():
                found.append(
                    at_least(name.format(law), successes=hits, trials=self.trials, floor=FLOOR)
                )
            over = {"successes": sum(laws.values()), "trials": self.trials * len(laws)}
            found.append(at_least(name.format(f"all {len(laws)} laws"), **over, floor=FLOOR))
        return found


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


@CALIBRATION.register(
    "beyond",
    claim="beyond n samples the 95% interval for any law of p covers in at least 93%",
    wrong="the interval of a fitted beta, where prompts are of two kinds",
)
def _beyond(size: Size) -> Evidence:
    trials = trials_of(size)
    tally = Tally(trials)
    for design in _part(BEYOND, size):
        for law in _laws(size):
            data = _counts(law, design, trials, _rng(size, law, design))
            for name, statistic in quantities(design.group_size).items():
                ends = law_interval(data, statistic)
                hits = _covered(ends, float(statistic(law.rates).mean()))
                tally.add(name, law, design, hits)
    return Evidence(tally.checks(), _fitted_beta(size))


def _fitted_beta(size: Size) -> list[Check]:
    law, design, trials = points((0.05, 0.7), (0.9, 0.3)), Design(250, 8, 16), trials_of(size) // 4
    rng = _rng(size, law, "control")
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
            data = _counts(law, design, trials, _rng(size, law, design))
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
            rng = _rng(size, law, design)
            found = [_thinned(law, design, rng) for _ in range(trials)]
            spans = {name: np.array([one[name] for one in found]) for name in found[0]}
            shown = quantities(design.group_size)
            truth = {
                "zero std": float(shown["zero std"](law.rates).mean()),
                "pass@g": float(expected_pass_at_k(law.rates, design.group_size).mean()),
            }
            for name, value in truth.items():
                ends = (spans[name][:, 0], spans[name][:, 1])
                tally.add(name, law, design, _covered(ends, value))
            ends = (spans["plug-in"][:, 0], spans["plug-in"][:, 1])
            plug.add("zero std", law, design, _covered(ends, truth["zero std"]))
            known = _known_width(law, design)
            if law in SMOOTH and design.prompts >= 100:
                over = np.subtract(*spans["zero std"].T[::-1]) / known
                name = f"zero std over known variance: {law.name}, {design}"
                widths.append(median_at_most(name, over, bound=1.2))
    return Evidence(tally.checks() + widths, plug.checks())


def _thinned(
    law: SampledLaw, design: Design, rng: np.random.Generator
) -> dict[str, tuple[float, float]]:
    counts = law.draw(rng, prompts=design.prompts, samples=design.samples)
    g = design.group_size
    share = predict_zero_std(counts, g, rng=rng, num_resamples=300)
    solved = estimate_pass_at_k(counts, g, rng=rng, num_resamples=300)
    rates = counts.by_prompt().rate
    half = bootstrap.half_width(bootstrap.mean_stderr(prob_zero_std(rates, g)))
    middle = float(prob_zero_std(rates, g).mean())
    return {
        "zero std": (share.low, share.high),
        "pass@g": (solved.low, solved.high),
        "plug-in": (middle - half, middle + half),
    }


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
    for design, num_groups in RUNS if is_full(size) else RUNS[:3:2]:
        for law in _laws(size):
            rng = _rng(size, law, design, num_groups)
            data = _counts(law, design, trials, rng)
            g = design.group_size
            shown = rng.binomial(g, rng.choice(law.rates, (trials, num_groups)))
            seen = np.mean((shown == 0) | (shown == g), axis=1)
            zero_std = quantities(g)["zero std"]
            if g <= design.samples:
                ends = _next(data, g, num_groups, rng)
            else:
                ends = share_prediction(data, zero_std, num_groups=num_groups)
            where = f"{design}, B={num_groups}"
            tally.add("first groups", law, where, _covered(ends, seen))
            expected.add("first groups", law, where, _covered(law_interval(data, zero_std), seen))
    return Evidence(tally.checks(), expected.checks())


def _next(
    data: CountCells, group_size: int, num_groups: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    ends = []
    for weight in data.weight:
        correct = np.repeat(data.num_correct, weight.astype(np.int64))
        found = forecast_interval(
            GroupCounts(correct, int(data.num_samples[0])), group_size=group_size,
            num_groups=num_groups, rng=rng, num_draws=200,
        )  # fmt: skip
        ends.append((found.low, found.high))
    low, high = np.transpose(ends)
    return low, high


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
            errors = [_errors(law, design, trials, _rng(size, law, design)) for law in laws]
            pooled = {name: np.mean([e[name] for e in errors], axis=0) for name in errors[0]}
            other = "mixture" if kind == "smooth" else "beta-binomial"
            margin = 0.002 if kind == "real" else 0.0
            more = pooled["smoothed mixture"] - pooled[other] - margin
            name = f"{kind} laws against {other}: {design}"
            evidence.checks.append(_not_above(name, more, margin))
            if kind == "smooth":
                name = f"mixture on {kind} laws: {design}"
                evidence.controls.append(_not_above(name, -more, 0.0))
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


def _not_above(name: str, differences: FloatArray, margin: float) -> Check:
    """One-sided z-test of "the mean of paired differences is at most 0"; shown with the margin."""
    mean, error = float(differences.mean()), bootstrap.mean_stderr(differences)
    z = mean / error if error > 0 else math.copysign(math.inf, mean)
    return Check(name, mean + margin, margin, error, z, float(stats.norm.sf(z)), "calibration")

"""How good the estimators are: coverage, size, power and bias, each measured by simulation.

These checks are slower than those of the formulas and run with `verify --full` only. The grid holds
the hard corners: 16 prompts, p near 0, groups of 2, as many samples as rollouts in a group, and
distributions of p that are no beta.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
from scipy import stats

from grpolab.theory.dependence import BetaBinomial
from grpolab.theory.groups import FloatArray, GroupCounts
from grpolab.theory.pass_at_k import expected_pass_at_k
from grpolab.theory.zero_std import prob_zero_std
from grpolab.validate.estimate import bootstrap, sampler
from grpolab.validate.estimate.heterogeneity import heterogeneity
from grpolab.validate.estimate.icc import icc, icc_interval
from grpolab.validate.estimate.independence import pair_contrast
from grpolab.validate.estimate.truncated import fit_truncated
from grpolab.validate.forecast.law import fit_law, model_law
from grpolab.validate.forecast.pass_at_k import estimate_pass_at_k, extrapolate_pass_at_k
from grpolab.validate.forecast.zero_std import predict_zero_std
from grpolab.validate.verify.laws import SampledLaw, beta, points, unsolvable
from grpolab.validate.verify.registry import Check, Evidence, Registry, Size

CALIBRATION = Registry()
"""Checks of estimators and tests, for `grpolab verify --full`."""

FLOOR = 0.93
"""What a 95% interval has to cover at least."""

_LAWS = (
    beta(0.5, 1.5),
    beta(0.1, 2.0),
    unsolvable(0.4, beta(2.0, 2.0)),
    points((0.05, 0.7), (0.9, 0.3)),
)
_DESIGNS = ((16, 8, 8), (164, 8, 8), (164, 8, 2))  # prompts, samples, group size


def repeats(size: Size) -> int:
    """Data sets per cell: 100 in a small run, 1000 in a full one."""
    return int(np.clip(size.groups // 400, 100, 1000))


def at_least(name: str, *, successes: int, trials: int, floor: float) -> Check:
    """One-sided exact test of "the rate is at least ``floor``".

    >>> round(at_least("x", successes=80, trials=100, floor=0.9).p_value, 4)
    0.002
    """
    error = math.sqrt(floor * (1 - floor) / trials)
    rate = successes / trials
    p_value = float(stats.binom.cdf(successes, trials, floor))
    return Check(name, rate, floor, error, (rate - floor) / error, p_value, "calibration")


def at_most(name: str, *, successes: int, trials: int, ceiling: float) -> Check:
    """One-sided exact test of "the rate is at most ``ceiling``"."""
    other = at_least(name, successes=trials - successes, trials=trials, floor=1 - ceiling)
    rate = successes / trials
    return Check(name, rate, ceiling, other.stderr, -other.z, other.p_value, "calibration")


def tally(trials: Iterable[Mapping[str, bool]]) -> dict[str, int]:
    """How often each named event happens over the trials.

    >>> tally([{"a": True, "b": False}, {"a": True, "b": True}])
    {'a': 2, 'b': 1}
    """
    found: dict[str, int] = {}
    for events in trials:
        for name, happened in events.items():
            found[name] = found.get(name, 0) + bool(happened)
    return found


def bias_below(name: str, values: FloatArray, *, truth: float, bound: float) -> Check:
    """One-sided z-test of "the mean is within ``bound`` of the truth"."""
    error = float(np.std(values, ddof=1) / math.sqrt(len(values)))
    excess = abs(float(values.mean()) - truth) - bound
    z = excess / error if error > 0 else math.copysign(math.inf, excess)
    return Check(
        name, float(values.mean()), truth, error, z, float(stats.norm.sf(z)), "calibration"
    )


def not_above(name: str, differences: FloatArray, *, margin: float = 0.0) -> Check:
    """One-sided z-test of "the mean of paired differences is at most 0"; shown with the margin."""
    mean, error = float(differences.mean()), bootstrap.mean_stderr(differences)
    z = mean / error if error > 0 else math.copysign(math.inf, mean)
    return Check(name, mean + margin, margin, error, z, float(stats.norm.sf(z)), "calibration")


def _covers(low: float, high: float, truth: float) -> bool:
    return low - 1e-12 <= truth <= high + 1e-12


def _pooled_interval(counts: GroupCounts) -> tuple[float, float]:
    """The interval of a mean that takes every rollout for an independent observation."""
    p, n = counts.mean_reward, int(counts.group_size.sum())
    half = bootstrap.half_width(math.sqrt(p * (1 - p) / n))
    return p - half, p + half


@CALIBRATION.register(
    "coverage",
    claim="95% intervals of ICC, zero-std share and pass@k cover in at least 93%",
    wrong="rollouts of a prompt taken for independent observations of the mean",
)
def _coverage(size: Size) -> Evidence:
    evidence = Evidence([], [])
    trials = repeats(size)
    for law in _LAWS:
        for prompts, samples, g in _DESIGNS:
            rng = np.random.default_rng(size.cell_seed("coverage", law.name, prompts, g))
            truth = {
                "icc": law.rho,
                "zero std": float(prob_zero_std(law.rates, g).mean()),
                "pass@k": float(expected_pass_at_k(law.rates, g).mean()),
                "pooled": float(law.rates.mean()),
            }
            tables = (law.draw(rng, prompts=prompts, samples=samples) for _ in range(trials))
            hits = tally(_covered(counts, g, rng, truth) for counts in tables)
            cell = f"{law.name}, {prompts} prompts, n={samples}, g={g}"
            for name, count in hits.items():
                check = at_least(f"{name}: {cell}", successes=count, trials=trials, floor=FLOOR)
                (evidence.controls if name == "pooled" else evidence.checks).append(check)
    return evidence


def _covered(
    counts: GroupCounts, g: int, rng: np.random.Generator, truth: Mapping[str, float]
) -> dict[str, bool]:
    """Whether each interval of one data set holds what it is of."""
    rho = icc_interval(counts, rng=rng, num_resamples=300)
    share = predict_zero_std(counts, g, rng=rng, num_resamples=300)
    solved = estimate_pass_at_k(counts, g, rng=rng, num_resamples=300)
    ends = {
        "icc": (rho.low, rho.high),
        "zero std": (share.low, share.high),
        "pass@k": (solved.low, solved.high),
        "pooled": _pooled_interval(counts),
    }
    return {name: _covers(low, high, truth[name]) for name, (low, high) in ends.items()}


def _repeated(
    rng: np.random.Generator, *, law: SampledLaw, prompts: int, rho: float
) -> tuple[GroupCounts, FloatArray]:
    """Two groups of 8 per prompt, correlated rho given the prompt; and the rewards [2P, 8]."""
    p = np.repeat(rng.choice(law.rates, prompts), 2)
    copied = rng.random(len(p)) < rho
    rewards = (rng.random((len(p), 8)) < p[:, None]).astype(float)
    rewards[copied] = rewards[copied, :1]
    ids = np.repeat(np.arange(prompts), 2)
    return GroupCounts(rewards.sum(axis=1), 8, prompt_id=ids), rewards


def _p_values(
    rng: np.random.Generator, *, law: SampledLaw, prompts: int, rho: float
) -> dict[str, float]:
    counts, rewards = _repeated(rng, law=law, prompts=prompts, rho=rho)
    plain = GroupCounts(rng.binomial(8, float(law.rates.mean()), prompts), 8)
    tests = heterogeneity(plain)
    return {
        "pair contrast": pair_contrast(counts, rng=rng, num_permutations=199).p_value,
        "position": sampler.position_test(rewards).p_value,
        "block": sampler.block_test(rewards, np.repeat([0, 1], 4)).p_value,
        "Tarone": tests.tarone_p,
        "likelihood ratio": tests.likelihood_p,
        "pooled": heterogeneity(counts).tarone_p,
    }


@CALIBRATION.register(
    "test-size",
    claim="tests of level 5% reject a true hypothesis at most 7% of the time",
    wrong="a pooled test of overdispersion as a test of independence given the prompt",
)
def _size(size: Size) -> Evidence:
    evidence = Evidence([], [])
    trials = repeats(size)
    for law in (_LAWS[0], _LAWS[2]):
        for prompts in (30, 164):
            rng = np.random.default_rng(size.cell_seed("size", law.name, prompts))
            runs = (_p_values(rng, law=law, prompts=prompts, rho=0.0) for _ in range(trials))
            hits = tally({name: p <= 0.05 for name, p in run.items()} for run in runs)
            for name, count in hits.items():
                cell = f"{name}: {law.name}, {prompts} prompts"
                check = at_most(cell, successes=count, trials=trials, ceiling=0.07)
                (evidence.controls if name == "pooled" else evidence.checks).append(check)
    return evidence


@CALIBRATION.register(
    "test-power",
    claim="164 prompts with two groups of 8 show a correlation of 0.1 in 90%, of 0.05 in 50%",
    wrong="the same power claimed where there is no dependence",
)
def _power(size: Size) -> Evidence:
    evidence = Evidence([], [])
    trials = repeats(size)
    for rho, floor in ((0.1, 0.9), (0.05, 0.5), (0.0, 0.5)):
        rng = np.random.default_rng(size.cell_seed("power", rho))
        count = 0
        for _ in range(trials):
            counts, _ = _repeated(rng, law=_LAWS[0], prompts=164, rho=rho)
            count += pair_contrast(counts, rng=rng, num_permutations=199).p_value <= 0.05
        check = at_least(f"pair contrast at {rho}", successes=count, trials=trials, floor=floor)
        (evidence.checks if rho > 0 else evidence.controls).append(check)
    return evidence


_ICC_METHODS = ("anova", "fleiss-cuzick", "pairwise", "kleinman-equal", "kleinman-size")


@CALIBRATION.register(
    "bias",
    claim="thinning and pass@k are unbiased; moment estimators of the ICC are within 0.02",
    wrong="d_g at the mean rate, plug-in pass@k, and an ICC clipped at 0",
)
def _bias(size: Size) -> Evidence:
    evidence = Evidence([], [])
    trials = 4 * repeats(size)
    g = 8
    for law in _LAWS:
        rng = np.random.default_rng(size.cell_seed("bias", law.name))
        tables = [law.draw(rng, prompts=164, samples=8) for _ in range(trials)]
        share = float(prob_zero_std(law.rates, g).mean())
        found = [predict_zero_std(t, g, rng=0, num_resamples=1) for t in tables]
        thinned = np.array([f.zero_std for f in found])
        naive = np.array([f.iid_mean_p for f in found])
        evidence.checks.append(bias_below(f"zero std: {law.name}", thinned, truth=share, bound=0))
        evidence.controls.append(bias_below(f"at mean p: {law.name}", naive, truth=share, bound=0))
        solved = float(expected_pass_at_k(law.rates, 4).mean())
        _pass_bias(evidence, law.name, tables, solved)
        for method in _ICC_METHODS:
            values = np.array([icc(t, method=method) for t in tables])
            name = f"{method}: {law.name}"
            evidence.checks.append(bias_below(name, values, truth=law.rho, bound=0.02))
    _clipping_bias(evidence, size, trials)
    return evidence


def _pass_bias(evidence: Evidence, name: str, tables: list[GroupCounts], solved: float) -> None:
    fair = np.array([estimate_pass_at_k(t, 4, rng=0, num_resamples=1).value for t in tables])
    plug = np.array([float(np.mean(1 - (1 - t.by_prompt().rate) ** 4)) for t in tables])
    evidence.checks.append(bias_below(f"pass@4: {name}", fair, truth=solved, bound=0))
    evidence.controls.append(bias_below(f"plug-in pass@4: {name}", plug, truth=solved, bound=0))


def _clipping_bias(evidence: Evidence, size: Size, trials: int) -> None:
    rng = np.random.default_rng(size.cell_seed("bias", "clipping"))
    tables = [GroupCounts(rng.binomial(8, 0.3, 164), 8) for _ in range(trials)]
    values = np.array([icc(t) for t in tables])
    evidence.checks.append(bias_below("anova: rho = 0", values, truth=0.0, bound=0.002))
    clipped = np.maximum(values, 0.0)
    evidence.controls.append(bias_below("clipped: rho = 0", clipped, truth=0.0, bound=0.002))


@CALIBRATION.register(
    "filter",
    claim="the share that filtering kept is covered in at least 80% (1000 beta prompts)",
    wrong="an ordinary beta-binomial fitted to the mixed groups",
)
def _filter(size: Size) -> Evidence:
    evidence = Evidence([], [])
    trials = repeats(size) // 5
    for law, g in ((beta(0.5, 1.5), 8), (beta(1.0, 2.0), 16)):
        rng = np.random.default_rng(size.cell_seed("filter", law.name, g))
        truth = 1.0 - float(prob_zero_std(law.rates, g).mean())
        hits, naive = 0, []
        for _ in range(trials):
            counts = law.draw(rng, prompts=1000, samples=g)
            mixed = counts.select(~(counts.all_wrong | counts.all_right))
            fit = fit_truncated(mixed, rng=rng, num_resamples=40)
            hits += _covers(fit.kept_low, fit.kept_high, truth)
            plain = predict_zero_std(mixed, g, rng=rng, method="beta-binomial", num_resamples=1)
            naive.append(1.0 - plain.zero_std)
        cell = f"{law.name}, g={g}"
        evidence.checks.append(at_least(cell, successes=hits, trials=trials, floor=0.8))
        evidence.controls.append(bias_below(cell, np.array(naive), truth=truth, bound=0.05))
    return evidence


def zero_std_errors(
    law: SampledLaw,
    *,
    prompts: int,
    samples: int,
    group_size: int,
    trials: int,
    rng: np.random.Generator,
) -> dict[str, FloatArray]:
    """Absolute errors [trials] of two beta-binomial forecasts of the zero-std share.

    "likelihood" is the fit that `law.fit_law` ships, "moments" takes the mean and the ANOVA ICC.

    >>> found = zero_std_errors(
    ...     _LAWS[0], prompts=30, samples=8, group_size=16, trials=3, rng=np.random.default_rng(0)
    ... )
    >>> {name: len(errors) for name, errors in found.items()}
    {'likelihood': 3, 'moments': 3}
    """
    truth = float(prob_zero_std(law.rates, group_size).mean())
    errors: dict[str, list[float]] = {"likelihood": [], "moments": []}
    for _ in range(trials):
        counts = law.draw(rng, prompts=prompts, samples=samples)
        rho = float(np.clip(icc(counts), 0.0, 1.0))
        moments = model_law(BetaBinomial(mean=counts.mean_reward, rho=rho))
        for name, one in (("likelihood", fit_law(counts, "beta-binomial")), ("moments", moments)):
            errors[name].append(abs(float(one.zero_std(group_size)) - truth))
    return {name: np.array(values) for name, values in errors.items()}


@CALIBRATION.register(
    "beta-binomial",
    claim="beyond n samples the beta-binomial by likelihood errs no more than that by moments",
    wrong="the moments (mean and ANOVA ICC) err no more than the likelihood",
)
def _beta_binomial(size: Size) -> Evidence:
    evidence = Evidence([], [])
    for law in _LAWS:
        for prompts, samples, g in ((128, 4, 8), (128, 8, 16), (128, 16, 32)):
            rng = np.random.default_rng(size.cell_seed("beta-binomial", law.name, samples))
            found = zero_std_errors(
                law, prompts=prompts, samples=samples, group_size=g, trials=repeats(size), rng=rng
            )
            cell = f"{law.name}, n={samples}, g={g}"
            more = found["likelihood"] - found["moments"]
            evidence.checks.append(not_above(cell, more))
            evidence.controls.append(not_above(cell, -more))
    return evidence


@CALIBRATION.register(
    "extrapolation",
    claim="pass@256 from 16 samples is covered in at least 93%, unsolvable prompts included",
    wrong="the beta-binomial alone where a fifth of the prompts is unsolvable",
)
def _extrapolation(size: Size) -> Evidence:
    evidence = Evidence([], [])
    trials = repeats(size) // 5
    for law in (beta(0.5, 1.5), unsolvable(0.2, beta(1.0, 3.0))):
        rng = np.random.default_rng(size.cell_seed("extrapolation", law.name))
        truth = float(expected_pass_at_k(law.rates, 256).mean())
        hits, fitted = 0, []
        for _ in range(trials):
            counts = law.draw(rng, prompts=164, samples=16)
            found = extrapolate_pass_at_k(counts, 256)
            hits += _covers(found.low, found.high, truth)
            fitted.append(found.beta_binomial)
        evidence.checks.append(at_least(law.name, successes=hits, trials=trials, floor=0.93))
        if "unsolvable" in law.name:
            control = bias_below(law.name, np.array(fitted), truth=truth, bound=0.02)
            evidence.controls.append(control)
    return evidence

"""Calibration of what is said of a sampler and of pairs of checkpoints: size and power.

Registered beside the other entries of `grpolab.validate.verify.calibration`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping

import numpy as np
from scipy import special, stats

from grpolab.theory.groups import FloatArray, GroupCounts, IntArray
from grpolab.theory.pass_at_k import thin_std
from grpolab.theory.samples import pack
from grpolab.validate.estimate.best import best_chances
from grpolab.validate.estimate.contrasts import contrasts, paired_gap
from grpolab.validate.estimate.order import NeighbourTest, OrderTest, neighbour_test, order_test
from grpolab.validate.estimate.sampler import trend_test
from grpolab.validate.estimate.selection import selection_test
from grpolab.validate.estimate.sequences import (
    EvennessTest,
    SequenceTest,
    evenness_test,
    sequence_test,
)
from grpolab.validate.verify.calibration import (
    CALIBRATION,
    at_least,
    at_most,
    bias_below,
    not_above,
    repeats,
    tally,
)
from grpolab.validate.verify.registry import Evidence, Size

_SAMPLES, _GROUP = 32, 8
_VOCABULARY = 60


def _signals(p: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Signal of every checkpoint and prompt [K, P] from 32 samples."""
    table = thin_std(np.full(_SAMPLES + 1, _SAMPLES), np.arange(_SAMPLES + 1), _GROUP)
    return np.asarray(table[rng.binomial(_SAMPLES, p)])


@CALIBRATION.register(
    "winners",
    claim="equal checkpoints, 2 to 8 on the same prompts, get a winner in at most 5% of triages",
    wrong="every pair tested at 5% on its own",
)
def _winners(size: Size) -> Evidence:
    evidence = Evidence([], [])
    trials = repeats(size)
    for count in (2, 5, 8):
        for prompts in (12, 128):
            rng = np.random.default_rng(size.cell_seed("winners", count, prompts))
            hits = tally(_winner(rng, count, prompts) for _ in range(trials))
            cell = f"{count} checkpoints, {prompts} prompts"
            for name, into in (("corrected", evidence.checks), ("alone", evidence.controls)):
                if count > 2 or into is evidence.checks:
                    into.append(at_most(cell, successes=hits[name], trials=trials, ceiling=0.05))
    return evidence


def _winner(rng: np.random.Generator, count: int, prompts: int) -> dict[str, bool]:
    """Whether equal checkpoints get a winner, with pairs corrected and with each on its own."""
    values = _signals(np.tile(rng.beta(0.4, 0.6, prompts), (count, 1)), rng)
    gaps = [paired_gap(a - b, span=0.5) for a, b in itertools.combinations(values, 2)]
    return {
        "corrected": any(one.decided for one in contrasts(gaps)),
        "alone": any(gap.p_value < 0.05 for gap in gaps),
    }


_TRUTHS = (
    ("equal", 0.0), ("one ahead", 0.3), ("one ahead", 1.0), ("one ahead", 3.0), ("ladder", 0.3),
    ("ladder", 1.0), ("ladder", 3.0), ("mixed", 3.0), ("one far behind", 10.0),
)  # fmt: skip
"""True means and their gaps, in standard errors of the difference of two."""
_BANDS = (0.0, 0.3, 0.5, 0.7, 0.9, 1.01)


@CALIBRATION.register(
    "prob-best",
    claim="over a grid of equal, nearly equal and different checkpoints the chances of being best"
    " and of having more are in no band of claims above the rates, and at most 0.12 below on"
    " average for 2 to 8 checkpoints",
    wrong="the share of bootstrap resamples in which the leader leads",
)
def _prob_best(size: Size) -> Evidence:
    evidence = Evidence([], [])
    rng = np.random.default_rng(size.cell_seed("prob-best"))
    found: dict[str, list[FloatArray]] = {"best": [], "more": [], "resamples": []}
    for count in (2, 3, 5, 8):
        tables = [
            _claims(rng, kind, gap, count, prompts)
            for kind, gap in _TRUTHS
            for prompts in (40, 200)
            for _ in range(repeats(size) // 20)
        ]
        for name, claims in found.items():
            claims.append(np.array([one[name] for one in tables]))
            into = evidence.controls if name == "resamples" else evidence.checks
            over = claims[-1][:, 0] - claims[-1][:, 1]
            cell = f"{name}: claim minus rate, {count} checkpoints"
            into.append(bias_below(cell, over, truth=0.0, bound=0.12))
    for name, claims in found.items():
        claim, hit = np.concatenate(claims).T
        into = evidence.controls if name == "resamples" else evidence.checks
        for low, high in itertools.pairwise(_BANDS):
            some = (low <= claim) & (claim < high)
            if some.sum() >= 20:
                cell = f"{name}: claim minus rate, claims from {low:g}"
                into.append(not_above(cell, claim[some] - hit[some]))
    return evidence


def _claims(
    rng: np.random.Generator, kind: str, gap: float, count: int, prompts: int
) -> dict[str, tuple[float, float]]:
    """Claim and truth of one table: of the leader, of one pair, of the leader by resamples."""
    truth = np.zeros(count)
    if kind == "ladder":
        truth = np.arange(count, dtype=np.float64) * gap
    elif kind == "mixed":
        truth[1:] = np.cumsum(rng.choice([0.0, gap / 10, gap / 3, gap], count - 1))
    else:
        truth[0] = gap if kind == "one ahead" else -gap
    spread = 0.1
    noise = rng.normal(0, 0.2, prompts) + rng.normal(0, spread, (count, prompts))
    values = spread * math.sqrt(2 / prompts) * truth[:, None] + noise
    chances = best_chances(values, rng=rng)
    best = 1.0 * (truth == truth.max())
    best /= best.sum()
    means = values[:, rng.integers(0, prompts, (200, prompts))].mean(axis=2)
    leads = np.bincount(means.argmax(axis=0), minlength=count) / 200
    top, shown = int(chances.best.argmax()), int(leads.argmax())
    a, b = rng.choice(count, 2, replace=False)
    a, b = (a, b) if chances.more[a, b] >= 0.5 else (b, a)
    ahead = 1.0 * (truth[a] > truth[b]) + 0.5 * (truth[a] == truth[b])
    return {
        "best": (float(chances.best[top]), float(best[top])),
        "more": (float(chances.more[a, b]), float(ahead)),
        "resamples": (float(leads[shown]), float(best[shown])),
    }


def _beginnings(rng: np.random.Generator, seeds: IntArray) -> IntArray:
    """Coded first tokens [P, n] of samples whose noise is that of their seed [P, n]."""
    names, row = np.unique(seeds, return_inverse=True)
    common = rng.dirichlet(np.full(_VOCABULARY, 0.1))
    own = rng.dirichlet(np.full(_VOCABULARY, 0.1), len(seeds))
    noise = rng.gumbel(size=(len(names), _VOCABULARY))
    law = np.log(0.5 * common + 0.5 * own + 1e-300)
    token = np.argmax(law[:, None] + noise[row.reshape(seeds.shape)], axis=2)
    coded = np.stack([token, np.full_like(token, -1), np.full_like(token, -1)], axis=-1)
    return pack(coded.reshape(-1, 3)).reshape(seeds.shape)


def _on_layouts(
    size: Size,
    entry: str,
    layouts: Mapping[str, IntArray],
    test: Callable[..., OrderTest | NeighbourTest | SequenceTest | EvennessTest],
) -> Evidence:
    """How often a test of first tokens rejects for each layout of seeds; the first is clean."""
    evidence = Evidence([], [])
    trials = repeats(size) // 5
    for name, seeds in layouts.items():
        rng = np.random.default_rng(size.cell_seed(entry, name))
        hits = tally(
            {name: test(_beginnings(rng, seeds), rng=rng).p_value < 0.05} for _ in range(trials)
        )
        _found(evidence, hits, trials, clean=next(iter(layouts)), ceiling=0.07)
    return evidence


@CALIBRATION.register(
    "neighbours",
    claim="requests with seeds of their own are rejected at 5% at most 7% of the time, and seeds"
    " that overlap are found in 95% at 64 prompts with 16 samples",
    wrong="the same power claimed where no seeds are shared",
)
def _neighbours(size: Size) -> Evidence:
    prompt, sample = np.arange(64)[:, None], np.arange(16)
    layouts = {
        "seeds of their own": 16 * prompt + sample,
        "seed + 1 per prompt": prompt + sample,
        "half a request apart": 8 * prompt + sample,
        "one seed for all": 0 * prompt + sample,
    }
    return _on_layouts(size, "neighbours", layouts, neighbour_test)


@CALIBRATION.register(
    "beginnings",
    claim="samples of their own are rejected at 5% at most 7% of the time, and seeds that repeat or"
    " a cached block of a request are found in 95% at 64 prompts with 16 samples",
    wrong="the same power claimed where nothing is shared",
)
def _shared_beginnings(size: Size) -> Evidence:
    first, sample = 16 * np.arange(64)[:, None], np.arange(16)
    layouts = {
        "samples of their own": first + sample,
        "seeds repeat after 8": first + sample % 8,
        "pairs of neighbours share": first + sample // 2,
        "the first 4 share": first + np.where(sample < 4, 0, sample),
    }
    return _on_layouts(size, "beginnings", layouts, order_test)


@CALIBRATION.register(
    "shifts",
    claim="requests with seeds of their own are rejected at 5% at most 7% of the time, and requests"
    " that start at random among 80 or 300 seeds are found in 95% at 64 prompts with 16 samples",
    wrong="the same power claimed where no seeds are shared",
)
def _shifts(size: Size) -> Evidence:
    prompt, sample = np.arange(64)[:, None], np.arange(16)
    draw = np.random.default_rng(size.cell_seed("shifts"))
    layouts = {
        "seeds of their own": 16 * prompt + sample,
        "starts among 80": draw.integers(0, 80, (64, 1)) + sample,
        "starts among 300": draw.integers(0, 300, (64, 1)) + sample,
    }
    return _on_layouts(size, "shifts", layouts, sequence_test)


@CALIBRATION.register(
    "evenness",
    claim="requests with seeds of their own are rejected at 5% at most 7% of the time, and one set"
    " of seeds for all requests, in another order for each, is found in 95% at 64 prompts with 16"
    " samples that draw half of their first tokens from one law",
    wrong="the same power claimed where no seeds are shared",
)
def _evenness(size: Size) -> Evidence:
    draw = np.random.default_rng(size.cell_seed("evenness"))
    layouts = {
        "seeds of their own": np.arange(64 * 16).reshape(64, 16),
        "one set in any order": draw.permuted(np.tile(np.arange(16), (64, 1)), axis=1),
    }
    return _on_layouts(size, "evenness", layouts, evenness_test)


@CALIBRATION.register(
    "likelihood",
    claim="samples in the order drawn are rejected at 5% at most 7% of the time, whatever the"
    " number of each prompt; a drifting temperature, and storage sorted by likelihood, are found in"
    " 95% at 64 prompts with 16 samples",
    wrong="the correlation of place and log-probability over the samples of all prompts",
)
def _likelihood(size: Size) -> Evidence:
    evidence = Evidence([], [])
    trials = repeats(size) // 2
    for name in ("as drawn", "as drawn, more samples of sure prompts", "drift", "sorted"):
        rng = np.random.default_rng(size.cell_seed("likelihood", name))
        hits = tally(_trends(rng, name) for _ in range(trials))
        _found(evidence, {name: hits["within"]}, trials, clean="as drawn", ceiling=0.07)
        if name.startswith("as drawn,"):
            pooled = at_most(name, successes=hits["pooled"], trials=trials, ceiling=0.07)
            evidence.controls.append(pooled)
    return evidence


def _trends(rng: np.random.Generator, kind: str) -> dict[str, bool]:
    """Whether ranks within prompts, and the pooled correlation, see an order of [64, 16] samples.

    Samples are 6 tokens of a softmax policy; a drift is from temperature 0.7 to 1.3.
    """
    logits = rng.gamma(2.0, 1.0, (64, 1, 1, 1)) * rng.normal(size=(64, 1, 6, 40))
    heat = np.linspace(0.7, 1.3, 16) if kind == "drift" else np.ones(16)
    tempered = logits / heat[:, None, None]
    token = np.argmax(tempered + rng.gumbel(size=tempered.shape), axis=-1)
    law = tempered - special.logsumexp(tempered, axis=-1, keepdims=True)
    values = np.take_along_axis(law, token[..., None], axis=-1).sum(axis=(2, 3))
    if kind == "sorted":
        values = -np.sort(-values, axis=1)
    elif kind != "as drawn" and kind != "drift":
        sure = np.argsort(np.argsort(values.mean(axis=1)))
        values[np.arange(16) >= 4 + sure[:, None] * 12 // 63] = np.nan
    place = np.broadcast_to(np.arange(16), values.shape)[~np.isnan(values)]
    pooled = stats.pearsonr(place, values[~np.isnan(values)]).pvalue
    return {"within": trend_test(values).p_value < 0.05, "pooled": bool(pooled < 0.05)}


def _found(
    evidence: Evidence, hits: Mapping[str, int], trials: int, *, clean: str, ceiling: float
) -> None:
    """Rejections where all is clean are few, and elsewhere 95% and more; by the name's start."""
    for name, count in hits.items():
        often = at_least(name, successes=count, trials=trials, floor=0.95)
        if name.startswith(clean):
            few = at_most(name, successes=count, trials=trials, ceiling=ceiling)
            evidence.checks.append(few)
            evidence.controls.append(often)
        else:
            evidence.checks.append(often)


@CALIBRATION.register(
    "selection",
    claim="counts of independent draws are rejected at 5% at most 5% of the time under any law;"
    " mixed groups only, and the best and worst of each group, are found in 95% of 1000 prompts",
    wrong="the same power claimed for all groups as drawn",
)
def _selection(size: Size) -> Evidence:
    evidence = Evidence([], [])
    trials = repeats(size)
    for a, b in ((0.5, 1.0), (1.0, 1.0)):
        rng = np.random.default_rng(size.cell_seed("selection", a, b))
        hits = tally(_selected(rng, a, b) for _ in range(trials))
        _found(evidence, hits, trials, clean="as drawn", ceiling=0.05)
    return evidence


def _selected(rng: np.random.Generator, a: float, b: float) -> dict[str, bool]:
    """Whether the test rejects groups of 8 as they were drawn, and two selections of them."""
    k = rng.binomial(8, rng.beta(a, b, 1000))
    tables = {
        "as drawn": GroupCounts(k, 8),
        "mixed only": GroupCounts(k[(k > 0) & (k < 8)], 8),
        "best and worst": GroupCounts((k > 0).astype(np.int64) + (k == 8), 2),
    }
    found = {name: selection_test(counts) for name, counts in tables.items()}
    return {
        f"{name}: Beta({a:g}, {b:g})": one is not None and one.p_value < 0.05
        for name, one in found.items()
    }

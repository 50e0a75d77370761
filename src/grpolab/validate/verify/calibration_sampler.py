"""Calibration of what is said of a sampler and of pairs of checkpoints: size and power.

Registered beside the other entries of `grpolab.validate.verify.calibration`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

import numpy as np
from scipy import special, stats

from grpolab.theory.groups import FloatArray, GroupCounts, IntArray
from grpolab.theory.pass_at_k import thin_std
from grpolab.theory.samples import pack, sample_rows
from grpolab.validate.estimate.contrasts import contrasts, paired_gap
from grpolab.validate.estimate.faults import alarms_of, sample_evidence
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
    repeats,
    tally,
)
from grpolab.validate.verify.registry import Evidence, Size

_SAMPLES, _GROUP = 32, 8
_LEVEL, _LADDERS = 0.02, 400
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


@CALIBRATION.register(
    "false-alarms",
    claim="all tests of the samples of 3 to 8 clean checkpoints, at one level of 2% together, alarm"
    " in at most 2% of ladders",
    wrong="each test at 2% on its own",
)
def _false_alarms(size: Size) -> Evidence:
    rng = np.random.default_rng(size.cell_seed("false-alarms"))
    trials = int(np.clip(size.groups // 4000, 12, _LADDERS))
    hits = tally(_alarmed(rng) for _ in range(trials))
    together, alone = (
        at_most(f"clean ladders, {name}", successes=hits[name], trials=trials, ceiling=_LEVEL)
        for name in ("together", "alone")
    )
    return Evidence([together], [alone])


def _alarmed(rng: np.random.Generator) -> dict[str, bool]:
    """Whether the tests of a clean ladder alarm, at one level together and at one each.

    Checkpoints are softmax policies of three tokens over prompts of their own, flat to sharp.
    """
    count, prompts = int(rng.integers(3, 9)), int(rng.integers(8, 41))
    samples = int(rng.choice([4, 8]))
    logits = rng.gamma(1.0, 2.0, (prompts, 1, 1, 1)) * rng.normal(size=(prompts, 1, 3, 12))
    found = []
    for sharper in range(count):
        noise = rng.gumbel(size=(prompts, samples, 3, 12))
        tokens = np.argmax((1.0 + sharper) * logits + noise, axis=-1).reshape(-1, 3)
        rows = sample_rows(
            prompt=np.repeat(np.arange(prompts), samples), reward=1.0 * (tokens[:, 0] < 6),
            text=pack(tokens), length=np.full(len(tokens), 3), start=pack(tokens),
        )  # fmt: skip
        found.append(sample_evidence(rows, rng=rng))
    single = [test.p_value for tests in found for test in tests.values()]
    return {
        "together": any(alarms_of(found, level=_LEVEL)),
        "alone": min(single, default=1.0) < _LEVEL,
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

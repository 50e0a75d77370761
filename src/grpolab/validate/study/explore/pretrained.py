"""The trial's claims asked of the study on a pretrained model: no design of the trial has one.

The study has four ladders and runs of its own length: a probe is its first evaluation after some
steps. A difference of regrets is that between the final scores of the two starts that are chosen,
with a 95% interval over held-out prompts and RL noise, for these ladders; where both rules choose
the same start there is no difference. Verdicts are by the rules of the protocol, on intervals that
are two-sided.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from grpolab.figures.tables import Column, Table
from grpolab.figures.words import counted, estimate, percent_interval
from grpolab.theory.groups import FloatArray
from grpolab.theory.pass_at_k import pass_at_k, thin_zero_std
from grpolab.validate.estimate.bootstrap import exact_interval, half_width
from grpolab.validate.estimate.crossed import crossed_mean
from grpolab.validate.forecast.outcome import budget_k, pass_at_any, score_values
from grpolab.validate.study.explore.courses import Courses
from grpolab.validate.study.explore.forecasts import held, scored
from grpolab.validate.study.families import REGIMES
from grpolab.validate.study.record import FILE, Record, Start
from grpolab.validate.study.trial.measures import Estimate
from grpolab.validate.study.trial.protocol import protocol

STUDY = "real"
HOLDS, SAME, NO_GAIN = "holds here", "same start chosen", "no gain here"
FAILS, OPEN = "fails here", "cannot tell"
K = 10
"""The k of the second outcome."""


class Ask(NamedTuple):
    """A claim: a rule, the one that it is compared with, and the k of the outcome pass@k."""

    claim: str
    first: str
    second: str
    k: int
    superior: bool


ASKED = (
    Ask("A", "pass@2", "pass@1", 1, superior=True),
    Ask("B", "pass@k(budget)", "pass@1", 1, superior=True),
    Ask("D", "transport", "pass@1", K, superior=True),
    Ask("E", "pass@8", "probe", K, superior=False),
    Ask("F", "probe", "pass@1", 1, superior=True),
    Ask("G", "probe+law", "probe", 1, superior=False),
)


def rules(one: Courses) -> Mapping[str, FloatArray]:
    """What each rule that a claim names says of the starts, [S, D]."""
    n = np.full(one.before.shape, one.samples)
    early = min(step for step in one.curve if step > 0)
    probe, size = one.curve[early], one.curve_samples
    told = score_values(n, one.before, steps=one.steps, rule="transport", k=K)

    def before(k: float) -> FloatArray:
        return np.asarray(pass_at_any(one.samples, one.before, k).mean(axis=-1))

    return {
        "pass@1": before(1),
        "pass@2": before(2),
        "pass@8": before(8),
        "pass@k(budget)": before(budget_k(one.steps)),
        "transport": told.mean(axis=-1),
        "probe": probe.mean(axis=(-1, -2)) / size,
        "probe+law": pass_at_any(size, probe, budget_k(one.steps - early)).mean(axis=(-1, -2)),
    }


class Found(NamedTuple):
    """A difference of regrets over ladders, and in how many of them the two rules differ."""

    value: Estimate
    differ: int
    ladders: int


def difference(designs: Sequence[Courses], first: str, second: str, k: int) -> Found:
    """Regret of the first rule minus that of the second, mean over ladders."""
    values, variance, parts = [], 0.0, 0.0
    for one in designs:
        scores = rules(one)
        end = pass_at_k(one.end_samples, one.end, k)
        for s in range(len(end)):
            mine, other = (int(np.argmax(scores[name][s])) for name in (first, second))
            if mine == other:
                values.append(0.0)
                continue
            found = crossed_mean(end[s, other] - end[s, mine])
            values.append(found.value)
            variance += found.stderr**2
            parts += found.stderr**4 / found.free
    mean, half = float(np.mean(values)), 0.0
    if variance:
        half = half_width(math.sqrt(variance) / len(values), free=variance**2 / parts)
    differ = sum(value != 0.0 for value in values)
    return Found(Estimate(mean, mean - half, mean + half), differ, len(values))


def judged(
    designs: Sequence[Courses], others: Sequence[Courses], entropy: Mapping[str, FloatArray]
) -> list[dict[str, Any]]:
    """One row per claim that the study can be asked.

    ``others`` are designs of other tasks, whose lines give the intervals; ``entropy`` is that of
    the starts of a design by its name, [S, D] nats.
    """
    if not designs:
        return []
    fixed = protocol().words
    margin, low = fixed["margin"]["mean_regret"], fixed["low_p"]
    says = {claim["id"]: claim["statement"] for claim in fixed["claims"]}
    rows = []
    for ask in ASKED:
        found = difference(designs, ask.first, ask.second, ask.k)
        rows.append(
            {
                "claim": ask.claim, "statement": says[ask.claim],
                "value": found.value if found.differ else None,
                "verdict": _verdict(ask, found, margin), "note": _note(ask, found),
            }
        )  # fmt: skip
    rows += [_doomed(designs, entropy, low, says["I"]), _silent(designs, low, says["J"])]
    return [*rows, *(_covered(designs, others, rule, k) for rule, k in (("pass@2", 1),
            ("transport", K)))]  # fmt: skip


def _verdict(ask: Ask, found: Found, margin: float) -> str:
    low, high = found.value.low, found.value.high
    if not ask.superior:
        return HOLDS if high <= margin else FAILS if low > margin else OPEN
    if not found.differ:
        return SAME
    return HOLDS if high < 0 else NO_GAIN if low > -margin else OPEN


def _note(ask: Ask, found: Found) -> str:
    _, low, high = _share(found.differ, found.ladders)
    return (
        f"another start than by {ask.second} in {found.differ} of {found.ladders} ladders"
        f" (95%: {percent_interval(low, high)} of such ladders)"
    )


def _share(hits: int, size: int) -> Estimate:
    """A share with its exact binomial interval."""
    return Estimate(hits / size if size else math.nan, *exact_interval(hits, size))


def _gains(one: Courses) -> FloatArray:
    return np.asarray(one.end_rate.mean(axis=(-1, -2)) - one.rate.mean(axis=-1))


def _doomed(
    designs: Sequence[Courses],
    entropy: Mapping[str, FloatArray],
    low: Mapping[str, Any],
    statement: str,
) -> dict[str, Any]:
    gains = np.concatenate(
        [
            _gains(one)[
                (one.rate.mean(axis=-1) < low["p_star"])
                & (entropy[one.name] < low["low_entropy"])
            ]
            for one in designs
        ]
    )  # fmt: skip
    lifted = int(np.sum(gains >= low["lifts_from"]))
    verdict = OPEN if not len(gains) else FAILS if lifted >= 2 else OPEN
    return {
        "claim": "I", "statement": statement, "value": None, "verdict": verdict,
        "note": f"{counted(len(gains), 'start')} low in both, {lifted} of them lift",
    }  # fmt: skip


def _silent(designs: Sequence[Courses], low: Mapping[str, Any], statement: str) -> dict[str, Any]:
    """Starts below p* without a measured signal: the claim says that they stall."""
    found = []
    for one in designs:
        mixed = 1 - thin_zero_std(one.samples, one.before, one.group_size).mean(axis=-1)
        silent = (one.rate.mean(axis=-1) < low["p_star"]) & (mixed < low["measured_variance_from"])
        found.append(_gains(one)[silent])
    gains = np.concatenate(found)
    lifted = int(np.sum(gains >= low["lifts_from"]))
    gained = f", gains {gains.min():+.3f} to {gains.max():+.3f}" if len(gains) else ""
    return {
        "claim": "J", "statement": statement, "value": None,
        "verdict": FAILS if len(gains) and lifted == len(gains) else OPEN,
        "note": f"{counted(len(gains), 'start')} without a measured signal, {lifted} of them"
        f" lift{gained}",
    }  # fmt: skip


def _covered(
    designs: Sequence[Courses], others: Sequence[Courses], rule: str, k: int
) -> dict[str, Any]:
    """Intervals of the outcome from designs of other tasks; the unit is the ladder."""
    known = [scored(one) for one in others]
    inside = [row for one in designs for row in held(known, scored(one), rule, k)]
    whole = _share(sum(all(row) for row in inside), len(inside))
    starts = [start for row in inside for start in row]
    return {
        "claim": "K", "statement": f"95% intervals of final pass@{k} from {rule} hold",
        "value": whole, "verdict": FAILS if whole.high < 0.95 else OPEN,
        "note": f"{sum(starts)} of {len(starts)} starts inside; value: share of ladders with all",
    }  # fmt: skip


def of_folder(results: Path, designs: Sequence[Courses]) -> list[dict[str, Any]]:
    """The rows of a folder of results; none where it holds no study on a pretrained model."""
    if not (results / STUDY / FILE).is_file():
        return []
    record = Record.read(results / STUDY)
    config, entropy = record.config, {}
    for family in config.parsed:
        entropy[f"{family.task} {family.regime}"] = np.array(
            [
                [
                    record.before[Start(family.task, family.data, seed, depth)]
                    .eval.of(record.classes[family.task][: REGIMES[family.regime].rl_classes])
                    .mean_token_entropy()
                    for depth in config.depths
                ]
                for seed in config.seeds
            ]
        )
    mine = [one for one in designs if one.name in entropy]
    tasks = {one.task for one in mine}
    return judged(mine, [one for one in designs if one.task not in tasks], entropy)


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """Every claim, what these ladders say of it, and why."""
    return Table(
        ["claim", Column("statement", words=True), Column("on the pretrained model", words=True),
         Column("value", _estimate), Column("note", words=True)],
        [(r["claim"], r["statement"], r["verdict"], r["value"], r["note"]) for r in rows],
        "Exploratory. Value, A to G: a difference of mean regrets, below 0 where the first rule is"
        " better, with its 95% interval over held-out prompts and RL noise for the two starts that"
        " are chosen; a dash where both rules always choose the same one.",
    )  # fmt: skip


def said(rows: Sequence[dict[str, Any]]) -> str:
    """How many claims hold, in a sentence."""
    if not rows:
        return "No study on a pretrained model has been run."

    def named(verdict: str) -> str:
        return ", ".join(dict.fromkeys(r["claim"] for r in rows if r["verdict"] == verdict))

    parts = [
        f"{verdict}: {named(verdict)}"
        for verdict in (HOLDS, SAME, NO_GAIN, FAILS, OPEN)
        if named(verdict)
    ]
    return f"Of the trial's claims, on this model: {'; '.join(parts)}."


def _estimate(value: Any) -> str:
    return "-" if value is None else estimate(tuple(value))

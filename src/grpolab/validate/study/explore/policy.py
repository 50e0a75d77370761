"""Triage, start, watch, switch: one policy replayed on committed courses, with what it costs.

Fixed before it was replayed: 16 samples of each held-out prompt for the ranking, a triage that
drops starts with fewer than a tenth of informative groups, probes of the best two up to the first
evaluation of the run, and the frozen forecast of `grpolab.validate.monitor.futility`, which
switches to the other start once a run is futile. Costs are rollouts: of the ranking, of training
and of the evaluation of probes, in units of one whole run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from grpolab.figures.tables import Column, Table
from grpolab.figures.words import estimate, number
from grpolab.streams import generator
from grpolab.theory.groups import FloatArray, IntArray
from grpolab.theory.pass_at_k import pass_at_k, thin_zero_std
from grpolab.validate.monitor.futility import FROZEN
from grpolab.validate.study.explore.courses import Courses
from grpolab.validate.study.monitor_trials.futility import chances
from grpolab.validate.study.trial.measures import over_designs

SAMPLES, LEAST_SIGNAL, DRAWS = 16, 0.1, 20


class Ladder(NamedTuple):
    """What a policy may look at, of one ladder and RL seed; D starts.

    ``one`` and ``two`` [D] are pass@1 and pass@2 of the ranking samples, ``informative`` the
    expected share of mixed groups, ``probe`` [D] the score after ``early`` of the steps, ``futile``
    the share of the steps after which a run is called futile (above 1: never), ``final`` [D] the
    outcome. ``ranking`` and ``asked`` are rollouts in units of a run.
    """

    one: FloatArray
    two: FloatArray
    informative: FloatArray
    probe: FloatArray
    early: float
    futile: FloatArray
    final: FloatArray
    ranking: float
    asked: float


class Played(NamedTuple):
    """What came of a policy: the final score, and its cost in units of a run."""

    final: float
    cost: float


def _order(ladder: Ladder, *, triage: bool) -> list[int]:
    """Starts by pass@2, those without a signal last."""
    silent = (ladder.informative < LEAST_SIGNAL) & triage
    return [int(start) for start in np.lexsort((-ladder.two, silent))]


def _once(ladder: Ladder, pick: int) -> Played:
    return Played(float(ladder.final[pick]), ladder.ranking + 1)


def _watch(ladder: Ladder, *, triage: bool) -> Played:
    first, second = _order(ladder, triage=triage)[:2]
    done = float(ladder.futile[first])
    if done >= 1:
        return _once(ladder, first)
    return Played(float(ladder.final[second]), ladder.ranking + done + 1)


def _probe(ladder: Ladder, *, watch: bool) -> Played:
    pair = _order(ladder, triage=True)[:2]
    lead, other = sorted(pair, key=lambda start: -ladder.probe[start])
    cost = ladder.ranking + 2 * (ladder.early + ladder.asked) + 1 - ladder.early
    done = max(float(ladder.futile[lead]), ladder.early)
    if not watch or ladder.futile[lead] >= 1:
        return Played(float(ladder.final[lead]), cost)
    return Played(float(ladder.final[other]), cost + done - ladder.early)


POLICIES: Mapping[str, Callable[[Ladder], Played]] = MappingProxyType(
    {
        "once, by pass@1": lambda ladder: _once(ladder, int(np.argmax(ladder.one))),
        "once, by pass@2": lambda ladder: _once(ladder, int(np.argmax(ladder.two))),
        "triage, pass@2": lambda ladder: _once(ladder, _order(ladder, triage=True)[0]),
        "triage, pass@2, monitor": lambda ladder: _watch(ladder, triage=True),
        "triage, probes of two": lambda ladder: _probe(ladder, watch=False),
        "triage, probes of two, monitor": lambda ladder: _probe(ladder, watch=True),
    }
)
"""The one policy is the last; the others leave something out."""


def replay(designs: Sequence[Courses]) -> list[dict[str, Any]]:
    """One row per policy: its regret in final pass@1 and its cost, over designs."""
    seen = [(one, ladders(one)) for one in designs]
    found = {
        name: np.array([_mean(one, mine, play) for one, mine in seen])
        for name, play in POLICIES.items()
    }
    base = found["once, by pass@1"]
    return [
        {
            "policy": name, "designs": len(designs), "regret": over_designs(values[:, 0]),
            "against": over_designs(values[:, 0] - base[:, 0]), "cost": over_designs(values[:, 1]),
        }
        for name, values in found.items()
    ]  # fmt: skip


Place = tuple[int, int]


def _mean(
    one: Courses, seen: Sequence[tuple[Place, Ladder]], play: Callable[[Ladder], Played]
) -> tuple[float, float]:
    """Mean regret and cost of a policy over the ladders, RL seeds and rankings of a design."""
    best = one.end_rate.mean(axis=(-1, -2)).max(axis=1)
    played = [(place, play(ladder)) for place, ladder in seen]
    regret = np.mean([best[s] - found.final for (s, _), found in played])
    return float(regret), float(np.mean([found.cost for _, found in played]))


def ladders(one: Courses) -> list[tuple[Place, Ladder]]:
    """Every ladder, RL seed and draw of ranking samples of a design, with (S, R)."""
    shape = one.end.shape
    run = one.steps * one.prompts_per_step * one.group_size
    early = min(step for step in one.curve if step > 0)
    futile = np.array([[[_futile(r.course()) for r in runs] for runs in row] for row in one.runs])
    final, probe = one.end_rate.mean(axis=-1), one.curve[early].mean(axis=-1) / one.curve_samples
    rng, found = generator(0, "ranking", one.name), []
    for _ in range(DRAWS):
        few: IntArray = rng.hypergeometric(one.before, one.samples - one.before, SAMPLES)
        scores = [pass_at_k(SAMPLES, few, k).mean(axis=-1) for k in (1, 2)]
        mixed = 1 - thin_zero_std(SAMPLES, few, min(one.group_size, SAMPLES)).mean(axis=-1)
        found += [
            (
                (s, r),
                Ladder(
                    scores[0][s], scores[1][s], mixed[s], probe[s, :, r], early / one.steps,
                    futile[s, :, r], final[s, :, r], shape[1] * shape[3] * SAMPLES / run,
                    shape[3] * one.curve_samples / run,
                ),
            )
            for s in range(shape[0])
            for r in range(shape[2])
        ]  # fmt: skip
    return found


def _futile(course: Sequence[Sequence[float]]) -> float:
    """Share of the steps at which a run is first called futile; 2 where it never is."""
    return next((c.done for c in chances(course, FROZEN) if c is not None and c.futile), 2.0)


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """All policies."""
    return Table(
        [Column("policy", words=True), Column("regret", estimate),
         Column("against pass@1", estimate), Column("cost in runs", estimate)],
        [(r["policy"], r["regret"], r["against"], r["cost"]) for r in rows],
    )  # fmt: skip


def said(rows: Sequence[dict[str, Any]]) -> str:
    """What the policy gains on choosing once, and what it costs more."""
    whole, once = rows[-1], rows[0]
    extra = whole["cost"][0] - once["cost"][0]
    low, high = whole["against"][1:]
    verdict = (
        "less beyond chance" if high < 0 else "more beyond chance" if low > 0
        else "which may be chance"
    )  # fmt: skip
    return (
        f"The whole policy ends {number(whole['regret'][0])} below the best start, choosing once by"
        f" pass@1 {number(once['regret'][0])}: a difference of {estimate(tuple(whole['against']))},"
        f" {verdict}. It costs {number(extra)} of a whole run more."
    )

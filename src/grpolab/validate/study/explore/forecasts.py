"""What finished designs say of the level that RL reaches: the content of ``levels.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from grpolab.figures.tables import Column, Table
from grpolab.figures.words import estimate
from grpolab.theory.groups import FloatArray
from grpolab.theory.pass_at_k import pass_at_k
from grpolab.validate.estimate.bootstrap import top_share
from grpolab.validate.forecast.levels import Levels, RuleLevels, best_start, level
from grpolab.validate.forecast.outcome import MEANT_FOR, score_values
from grpolab.validate.study.explore.courses import TRIAL, Courses
from grpolab.validate.study.trial.measures import line, moments, over_designs


class Scored(NamedTuple):
    """A design by rule: scores by prompt [S, D, P], and outcomes [S, D], mean over RL seeds."""

    name: str
    task: str
    steps: int
    x: Mapping[str, FloatArray]
    y: Mapping[str, FloatArray]


def scored(one: Courses) -> Scored:
    """The scores and the outcomes of a design."""
    n = np.full(one.before.shape, one.samples)
    return Scored(
        one.name, one.task, one.steps,
        {r: score_values(n, one.before, steps=one.steps, rule=r, k=k) for r, k in MEANT_FOR},
        {r: pass_at_k(one.end_samples, one.end, k).mean(axis=(-1, -2)) for r, k in MEANT_FOR},
    )  # fmt: skip


def known_levels(
    designs: Sequence[Scored],
    result: Mapping[str, Any] | None = None,
    rules: Sequence[tuple[str, int]] = MEANT_FOR,
) -> Levels:
    """The levels that these designs give; ``result`` is that of the trial.

    Claims have verdicts once all designs of the trial are in.
    """
    result = result or {"num_designs": 0, "verdicts": [], "done": []}
    whole = len(result["done"]) == result["num_designs"]
    return Levels(
        designs=tuple(d.name for d in designs),
        tasks=tuple(dict.fromkeys(d.task for d in designs)),
        of_trial=sum(d.name.startswith(TRIAL) for d in designs),
        trial_size=result["num_designs"],
        verdicts={v["claim"]: v["verdict"] for v in result["verdicts"]} if whole else {},
        steps=(min(d.steps for d in designs), max(d.steps for d in designs)),
        rules=tuple(_rule(designs, rule, k) for rule, k in rules),
    )


def as_file(known: Levels) -> dict[str, Any]:
    """What `grpolab.validate.forecast.levels.parse` reads."""
    return {**known._asdict(), "rules": [rule._asdict() for rule in known.rules]}


def _rule(designs: Sequence[Scored], rule: str, k: int) -> RuleLevels:
    x = [d.x[rule].mean(axis=-1) for d in designs]
    y = [d.y[rule] for d in designs]
    weight = np.concatenate([np.full(v.size, 1 / v.size) for v in x])
    every = np.concatenate([v.ravel() for v in x])
    mean = float(np.average(every, weights=weight))
    intercept, slope = _line(x, y)
    squares = []
    for i, one in enumerate(designs):
        rest = [j for j, other in enumerate(designs) if other.task != one.task]
        a, b = _line([x[j] for j in rest], [y[j] for j in rest]) if rest else (0.5, 0.0)
        squares.append(float(np.mean((y[i] - a - b * x[i]) ** 2)))
    inside = [(_centred(a), _centred(b)) for a, b in zip(x, y, strict=True)]
    slopes = [_slope(a, b) for a, b in inside]
    return RuleLevels(
        rule, k, intercept, slope, mean, float(np.average((every - mean) ** 2, weights=weight)),
        float(np.sqrt(np.mean(squares))), tuple(slopes),
        tuple(_spread(a, b, w) for (a, b), w in zip(inside, slopes, strict=True)),
    )  # fmt: skip


def _line(x: Sequence[FloatArray], y: Sequence[FloatArray]) -> tuple[float, float]:
    """Least squares, every design of weight 1."""
    sums = moments(x, y)
    return line((sums / sums[:, :1]).sum(axis=0))


def _centred(values: FloatArray) -> FloatArray:
    return np.asarray(values - values.mean(axis=1, keepdims=True))


def _slope(a: FloatArray, b: FloatArray) -> float:
    """Least squares through the centred values of a design, [S, D] each."""
    bottom = float(np.mean(a * a))
    return float(np.mean(a * b)) / bottom if bottom > 0 else 0.0


def _spread(a: FloatArray, b: FloatArray, slope: float) -> float:
    """Standard deviation that the slope leaves, D - 1 free per ladder, one less for the slope."""
    free = max(a.shape[0] * (a.shape[1] - 1) - 1, 1)
    return float(np.sqrt(np.sum((b - slope * a) ** 2) / free))


def judged(
    designs: Sequence[Scored], rules: Sequence[tuple[str, int]] = MEANT_FOR
) -> list[dict[str, Any]]:
    """How intervals and chances hold on designs of tasks that were left out.

    Per rule, means over designs with intervals: coverage and half width of intervals of the level,
    the chance claimed for the likeliest start, how often it was the best, and the Brier score of
    the chances beside that of equal ones.
    """
    rows = []
    for rule, k in rules:
        found = [_judge(designs, one, rule, k) for one in designs]
        means = {name: over_designs(np.array([f[name] for f in found])) for name in found[0]}
        rows.append({"rule": rule, "k": k, "designs": len(found), **means})
    return rows


def held(designs: Sequence[Scored], one: Scored, rule: str, k: int) -> list[list[bool]]:
    """Whether the 95% interval of the level holds each start of each ladder of a design.

    The levels are those of the designs of other tasks.
    """
    return [[hit for hit, _ in ladder] for ladder in _levels(_known(designs, one, rule, k), one)]


def _known(designs: Sequence[Scored], one: Scored, rule: str, k: int) -> Levels:
    rest = [d for d in designs if d.task != one.task]
    return known_levels(rest, rules=((rule, k),))._replace(steps=(one.steps, one.steps))


def _levels(known: Levels, one: Scored) -> list[list[tuple[bool, float]]]:
    """For each start of each ladder: whether its interval holds, and half its width."""
    rule, k = known.rules[0].rule, known.rules[0].k
    ladders = []
    for ladder, reached in zip(one.x[rule], one.y[rule], strict=True):
        seen = []
        for start, end in zip(ladder, reached, strict=True):
            error = float(start.std(ddof=1)) / len(start) ** 0.5
            found = level(
                rule, k, steps=one.steps, score=float(start.mean()), stderr=error, known=known
            )
            if found is not None:
                seen.append((bool(found.low <= end <= found.high), (found.high - found.low) / 2))
        ladders.append(seen)
    return ladders


def _judge(designs: Sequence[Scored], one: Scored, rule: str, k: int) -> dict[str, float]:
    known = _known(designs, one, rule, k)
    seen = [start for ladder in _levels(known, one) for start in ladder]
    claimed, hit, brier, equal = [], [], [], []
    for ladder, reached in zip(one.x[rule], one.y[rule], strict=True):
        chances = best_start(rule, k, steps=one.steps, values=ladder, known=known)
        assert chances is not None
        best = top_share(reached[None])[0]
        claimed.append(chances.max())
        hit.append(best[np.argmax(chances)])
        brier.append(np.sum((chances - best) ** 2))
        equal.append(np.sum((1 / len(best) - best) ** 2))
    values_of: dict[str, list[float]] = {
        "coverage": [inside for inside, _ in seen], "half_width": [half for _, half in seen],
        "claimed": claimed, "right": hit, "brier": brier, "brier_equal": equal,
    }  # fmt: skip
    return {name: float(np.mean(v)) for name, v in values_of.items()}


def table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """How intervals of the level and chances of the best start hold."""
    return Table(
        [
            Column("rule", words=True), "outcome", Column("coverage", estimate),
            Column("half width", estimate), Column("chance claimed", estimate),
            Column("was best", estimate), Column("Brier", estimate),
            Column("of equal chances", estimate),
        ],
        [
            (
                r["rule"], f"pass@{r['k']}", r["coverage"], r["half_width"], r["claimed"],
                r["right"], r["brier"], r["brier_equal"],
            )
            for r in rows
        ],
    )  # fmt: skip

"""Numbers per depth, inversions, forecast errors, starts and learning rates, from typed rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import stdtr

from grpolab.figures.ladder import Rung
from grpolab.theory import pass_at_k
from grpolab.theory.groups import FloatArray
from grpolab.validate.estimate.bootstrap import half_width
from grpolab.validate.estimate.contrasts import paired_gap
from grpolab.validate.estimate.crossed import crossed_mean
from grpolab.validate.study import shootout
from grpolab.validate.study.config import StudyConfig
from grpolab.validate.study.families import Family
from grpolab.validate.study.record import Record, RunKey, Samples
from grpolab.validate.study.results import (
    Best,
    Claim,
    FamilySummary,
    Inversion,
    Lead,
    Miss,
    Rate,
    StartRegret,
    Starts,
    Tuning,
)
from grpolab.validate.study.rows import (
    FORECASTS,
    METRICS,
    OUTCOMES,
    QUANTITIES,
    Gap,
    Quantity,
    Row,
    Window,
)


def family_summaries(record: Record, rows: Sequence[Row]) -> dict[str, FamilySummary]:
    """What is said of each family of starts."""
    found = {}
    for family in record.config.parsed:
        mine = [row for row in rows if row.family == family.name]
        rungs = by_depth(record.config, mine)
        found[family.name] = FamilySummary(
            task=family.task,
            regime=family.regime,
            by_depth=rungs,
            inversion=inversion(record, rungs, family=family),
            checkpoint_error=checkpoint_error(mine),
            early_error=early_error(mine),
        )
    return found


def by_depth(config: StudyConfig, rows: Sequence[Row], *, start: str = "") -> tuple[Rung, ...]:
    """Mean and standard deviation over seeds of every metric, one entry per depth."""
    out = []
    for depth in config.depths:
        mine = [row for row in rows if row.depth == depth]
        values = {n: [metric.read(row) for row in mine] for n, metric in METRICS.items()}
        known = {n: [v for v in column if v is not None] for n, column in values.items()}
        out.append(
            Rung(
                depth=depth,
                num_seeds=len(mine),
                mean={n: float(np.mean(v)) for n, v in known.items() if v},
                sd={n: float(np.std(v, ddof=1)) for n, v in known.items() if len(v) > 1},
                start=start,
            )
        )
    return tuple(out)


def starts(record: Record, rows: Sequence[Row], task: str) -> Starts:
    """One entry per family of a task, all at one depth: starts that differ in their SFT data."""
    families = [family for family in record.config.parsed if family.task == task]
    found = {f.regime: f for f in families}
    rungs = [
        by_depth(record.config, [r for r in rows if r.family == f.name], start=f.regime)[0]
        for f in families
    ]
    return Starts(
        by_start=tuple(rungs),
        claims=tuple(
            compare_starts(record, found[a], found[b])
            for a, b in CLAIMS
            if a in found and b in found
        ),
        regret=start_regrets(rows, families),
    )


def start_regrets(rows: Sequence[Row], families: Sequence[Family]) -> tuple[StartRegret, ...]:
    """What choosing among the starts by each predictor costs, mean over seeds."""
    place = {family.name: i for i, family in enumerate(families)}
    (table,) = shootout.families(
        {
            "task": row.task, "regime": "starts", "seed": row.seed, "depth": place[row.family],
            **{name: metric.read(row) for name, metric in METRICS.items()},
        }
        for row in rows
        if row.family in place
    )  # fmt: skip
    directions = {n: d for n, d in shootout.DIRECTIONS.items() if n != "depth" and table.has(n)}
    picks: dict[str, str] = {}
    regret: dict[str, dict[str, float]] = {}
    for outcome in (o for o in OUTCOMES if table.has(o)):
        for cell in shootout.regret_rows(table, outcome, directions=directions):
            if cell.predictor != "deepest":
                chosen = dict.fromkeys(families[i].regime for i in cell.picks)
                picks[cell.predictor] = ", ".join(chosen)
                regret.setdefault(cell.predictor, {})[outcome] = cell.regret
    return tuple(StartRegret(name, picks[name], costs) for name, costs in regret.items())


CLAIMS = (("half", "unique"), ("half", "short"))
"""Data-level claims of arXiv 2510.01624: the first start ends better after RL than the second."""


def compare_starts(record: Record, one: Family, two: Family) -> Claim:
    """Paired differences one - two before and after RL, over prompts and seeds."""
    depth = record.config.depths[0]

    def lead(k: int, *, after: bool) -> Lead:
        return over_seeds(_differences(record, (one, two), (depth, depth), k=k, after=after))[0]

    return Claim(
        better=one.regime,
        worse=two.regime,
        pass_at_1_before=lead(1, after=False),
        pass_at_1_after=lead(1, after=True),
        pass_at_10_before=lead(10, after=False),
        pass_at_10_after=lead(10, after=True),
    )


def inversion(record: Record, rungs: Sequence[Rung], *, family: Family) -> Inversion:
    """The checkpoint that pre-RL pass@1 picks against the one that ends best, paired by prompt.

    For each of pass@1 and pass@10 at the end of RL: the best depth, and its lead over the pick
    before and after RL, with 95% intervals over prompts.
    """
    picked = max(rungs, key=lambda rung: rung.mean["pass_at_1"]).depth

    def best(k: int) -> Best:
        depth = max(rungs, key=lambda rung: rung.mean[f"final_pass_at_{k}"]).depth
        if depth == picked:
            return Best(depth)
        pair = (family, family), (depth, picked)
        return Best(
            depth, _lead(record, *pair, k=k, after=False), _lead(record, *pair, k=k, after=True)
        )

    return Inversion(picked=picked, pass_at_1=best(1), pass_at_10=best(10))


def _lead(
    record: Record,
    families: tuple[Family, Family],
    depths: tuple[int, int],
    *,
    k: int,
    after: bool,
) -> Lead:
    """Mean over prompts and seeds of a difference in pass@k, 95% interval over prompts."""
    return interval(_differences(record, families, depths, k=k, after=after).ravel().tolist())


def _differences(
    record: Record,
    families: tuple[Family, Family],
    depths: tuple[int, int],
    *,
    k: int,
    after: bool,
) -> FloatArray:
    """Differences in pass@k of seeds and prompts, [R, P]."""
    table: list[list[float]] = []
    for seed in record.config.seeds:
        keys = [
            RunKey(f.task, f.regime, seed, depth, "plain")
            for f, depth in zip(families, depths, strict=True)
        ]
        one, two = (
            scores(record.runs[key].eval if after else record.before[key.start].eval, k)
            for key in keys
        )
        # RL is judged on the family's prompts only: the table from before RL may hold more
        asked = record.runs[keys[0]].eval.prompt_id.tolist()
        table.append([one[i] - two[i] for i in asked])
    return np.array(table)


def scores(samples: Samples, k: int) -> dict[int, float]:
    """Unbiased pass@k of every prompt."""
    totals = samples.counts().by_prompt()
    values = pass_at_k(totals.num_samples, totals.num_correct, k)
    return dict(zip(totals.prompt_id.tolist(), values.tolist(), strict=True))


def interval(differences: Sequence[float]) -> Lead:
    """Mean of paired differences over prompts, with its normal 95% interval.

    Where all differences are alike it is as wide as what the number of prompts can miss.
    """
    array = np.array(differences)
    gap = paired_gap(array)
    half = max(half_width(gap.stderr), gap.least) if len(array) > 1 else 1.0
    return Lead(gap.difference, gap.difference - half, gap.difference + half, len(array))


def over_seeds(table: FloatArray) -> tuple[Lead, float]:
    """Mean of paired differences [R, P], R seeds and P prompts, both random; and its p-value.

    A run moves all its prompts together, so prompts of one seed are not independent: the variance
    has a part of prompts and one of seeds, see `grpolab.validate.estimate.crossed.crossed_mean`.

    >>> lead, p_value = over_seeds(np.array([[0.1, 0.3, 0.2, 0.2], [0.2, 0.2, 0.1, 0.3]]))
    >>> round(lead.difference, 6), lead.num_prompts, p_value < 0.01
    (0.2, 8, True)
    """
    found = crossed_mean(table)
    least = paired_gap(table.ravel()).least
    half = max(half_width(found.stderr, free=found.free), least)
    p_value = 2 * float(stdtr(found.free, -abs(found.value) / found.stderr))
    return Lead(found.value, found.value - half, found.value + half, table.size), p_value


def checkpoint_error(rows: Sequence[Row]) -> dict[str, dict[str, Miss]]:
    """Mean and largest absolute error of each forecast over checkpoints, on independent draws."""

    def miss(quantity: Quantity, method: str) -> Miss:
        seen = METRICS[quantity].read
        guess = METRICS[f"{quantity}/{method}"].read
        error = np.abs([float(guess(row) or 0.0) - float(seen(row) or 0.0) for row in rows])
        return Miss(float(error.mean()), float(error.max()))

    return {q: {method: miss(q, method) for method in FORECASTS} for q in QUANTITIES}


def early_error(rows: Sequence[Row]) -> tuple[Window, ...]:
    """Per window of early RL steps, the measured mean and absolute errors, means over runs."""
    return tuple(
        Window(first.first, first.last, *(
            mean_gap([abs_gap(row.early.windows[i].of(q)) for row in rows]) for q in QUANTITIES
        ))
        for i, first in enumerate(rows[0].early.windows)
    )  # fmt: skip


def abs_gap(gap: Gap) -> Gap:
    """The gap with absolute errors."""
    return Gap(gap.measured, {name: abs(error) for name, error in gap.error.items()})


def mean_gap(gaps: Sequence[Gap]) -> Gap:
    """Means over several gaps."""
    return Gap(
        float(np.mean([gap.measured for gap in gaps])),
        {name: float(np.mean([gap.error[name] for gap in gaps])) for name in FORECASTS},
    )


def tuning(config: StudyConfig, rows: Sequence[Row]) -> Tuning:
    """Final pass rates per depth and learning rate, and the rate with the best mean over depths."""
    table = []
    for lr in (config.grpo_of(arm).lr for arm in config.arms):
        mine = {row.depth: row.after.final for row in rows if row.lr == lr}
        first, tenth = (
            {depth: final[name] for depth, final in mine.items()}
            for name in ("pass_at_1", "pass_at_10")
        )
        table.append(Rate(lr, float(np.mean(list(first.values()))), first, tenth))
    best = max(table, key=lambda rate: rate.mean_final_pass_at_1)
    start: Mapping[int, float] = {
        row.depth: row.before.measured.pass_rates["pass_at_1"] for row in rows
    }
    return Tuning(tuple(table), best.lr, start)

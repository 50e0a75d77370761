"""Tables on checkpoints, forecasts, arms and forces: for the report and the documentation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import numpy as np

from grpolab.figures.ladder import Rung
from grpolab.figures.tables import Column, Table
from grpolab.figures.words import interval, number
from grpolab.validate.estimate.bootstrap import half_width
from grpolab.validate.study.record import Thresholds
from grpolab.validate.study.results import (
    ArmRow,
    Change,
    FamilySummary,
    ForceRow,
    Lead,
    Tuning,
)
from grpolab.validate.study.rows import (
    FORECASTS,
    MAIN_OUTCOMES,
    QUANTITIES,
    Row,
    Window,
    label,
)

Families = Mapping[str, FamilySummary]
_FORECASTS = ("mean p", "beta-binomial", "thinning")

BEFORE = (
    "pass_at_1", "greedy", "pass_at_10", "pass_at_64", "token_entropy", "sequence_entropy",
    "distinct", "icc", "zero_std", "all_wrong", "all_right", "held_out_nll", "frac_truncated",
)  # fmt: skip
AFTER = (
    "pass_at_1", "corrected_peak_pass_at_1", "final_pass_at_1", "gain_pass_at_1",
    "pass_at_10", "corrected_peak_pass_at_10", "final_pass_at_10", "gain_pass_at_10",
    "pass_at_64", "corrected_peak_pass_at_64", "final_pass_at_64", "train_pass_at_1",
)  # fmt: skip
LADDER = (
    "pass_at_1", "token_entropy", "icc", "zero_std/mean-p", "zero_std", "pass_at_10",
    *MAIN_OUTCOMES,
)  # fmt: skip


def _precise(*names: str) -> list[Column]:
    return [Column(name, partial(number, digits=4)) for name in names]


def metrics(rungs: Iterable[Rung], names: Sequence[str], caption: str = "") -> Table:
    """Some metrics of every depth of a ladder, means over seeds."""
    return Table(
        ["SFT steps", *map(label, names)],
        [[r.depth, *(r.mean.get(name) for name in names)] for r in rungs],
        caption,
    )


def ladders(families: Families) -> Table:
    """Per family and depth: before RL, predicted and counted groups, after RL."""
    return Table(
        ["family", "SFT steps", *map(label, LADDER)],
        [
            [name, rung.depth, *(rung.mean.get(metric) for metric in LADDER)]
            for name, family in families.items()
            for rung in family.by_depth
        ],
    )


def by_class(rows: Sequence[Row], depths: Sequence[int]) -> Table:
    """A family by prompt class and depth, means over seeds."""
    lines = []
    for name in rows[0].before.by_class:
        for depth in depths:
            runs = [row for row in rows if row.depth == depth]
            before = [row.before.by_class[name] for row in runs]
            after = [row.after.by_class.get(name, {}) for row in runs]
            values = [
                [m.pass_rates["pass_at_1"], m.greedy, m.pass_rates["pass_at_10"], m.token_entropy,
                 m.sequence_entropy, m.distinct, m.icc, m.observed.zero_std, m.observed.all_wrong,
                 m.observed.all_right, m.predicted["mean-p"].zero_std,
                 m.predicted["thinning"].zero_std, m.held_out_nll, end["pass_at_1"],
                 end["pass_at_10"]]
                for m, end in zip(before, after, strict=True)
            ]  # fmt: skip
            lines.append([name, depth, *np.mean(values, axis=0).tolist()])
    names = (
        "pass_at_1", "greedy", "pass_at_10", "token_entropy", "sequence_entropy", "distinct",
        "icc", "zero_std", "all_wrong", "all_right", "zero_std/mean-p", "zero_std/thinning",
        "held_out_nll", "final_pass_at_1", "final_pass_at_10",
    )  # fmt: skip
    return Table(["class", "SFT steps", *map(label, names)], lines)


def signal(families: Families) -> Table:
    """Zero-std share and within-group variance: counted, and as three methods forecast them."""
    names = [n for q in QUANTITIES for n in (q, *(f"{q}/{method}" for method in FORECASTS))]
    return Table(
        ["family", "SFT steps", *_precise(*map(label, ("pass_at_1", "icc", *names)))],
        [
            [name, rung.depth, *(rung.mean[m] for m in ("pass_at_1", "icc", *names))]
            for name, family in families.items()
            for rung in family.by_depth
        ],
    )


def errors(families: Families) -> Table:
    """Mean (largest) absolute error of three forecasts over checkpoints."""
    return Table(
        ["family", "of", *_FORECASTS],
        [
            [name, label(quantity),
             *(f"{miss[f].mean:.4f} ({miss[f].max:.4f})" for f in FORECASTS)]
            for name, family in families.items()
            for quantity, miss in family.checkpoint_error.items()
        ],
    )  # fmt: skip


def early(families: Families) -> Table:
    """Absolute errors of the forecasts of the zero-std share, per window of RL steps."""
    return Table(
        ["family", "RL steps", "counted share", "mean p of the step", *_FORECASTS[1:]],
        [
            [name, _steps(w), w.zero_std.measured, *(w.zero_std.error[f] for f in FORECASTS)]
            for name, family in families.items()
            for w in family.early_error
        ],
        "Mean over runs of the window's measured value and of the absolute miss of each forecast.",
    )


def windows(found: Sequence[Window]) -> Table:
    """The same over all families, for both quantities."""
    return Table(
        ["quantity", "RL steps", *_precise("measured", *(f"miss: {f}" for f in _FORECASTS))],
        [
            [label(q), _steps(w), w.of(q).measured, *(w.of(q).error[f] for f in FORECASTS)]
            for q in QUANTITIES
            for w in found
        ],
        "Mean over runs of the window's measured value and of the absolute miss of each forecast.",
    )


def _steps(window: Window) -> str:
    return f"{window.first} to {window.last - 1}"


def inversions(families: Families) -> Table:
    """The pick of pass@1 before RL against the checkpoint that ends best."""
    rows = []
    for name, family in families.items():
        found = family.inversion
        for outcome, best in (("pass@1", found.pass_at_1), ("pass@10", found.pass_at_10)):
            rows.append([name, outcome, found.picked, best.best, best.before, best.after])
    return Table(
        ["family", "final", "pass@1 picks", "ends best", Column("lead before RL", lead),
         Column("lead after RL", lead)],
        rows,
    )  # fmt: skip


def lead(value: Lead | None) -> str:
    """A paired difference with its interval; a dash where there is none.

    >>> lead(Lead(0.1, -0.02, 0.22, 256)), lead(None)
    ('+0.100 [-0.020, +0.220]', '-')
    """
    if value is None:
        return number(None)
    return f"{value.difference:+.3f} [{value.low:+.3f}, {value.high:+.3f}]"


def thresholds(found: Thresholds, sizes: Sequence[int] = ()) -> Table:
    """Derived and simulated p*; ``sizes`` keeps some group sizes only."""
    return Table(
        ["g", "rho", "event", *_precise("derived", "simulated"),
         f"{100 * found.level:.0f}% interval"],
        [
            [r.group_size, f"{r.rho:g}", r.event, r.predicted, r.estimate,
             interval(r.low, r.high, digits=4)]
            for r in found.rows
            if not sizes or r.group_size in sizes
        ],
    )  # fmt: skip


def arms(rows: Sequence[ArmRow], question: str) -> Table:
    """Controls or rescue attempts, each beside the plain run of its depth."""
    places = {(r.family, r.depth) for r in rows if r.question == question}
    shown = [
        r for r in rows
        if r.question in ("plain", question) and (r.family, r.depth) in places
    ]  # fmt: skip
    shown.sort(key=lambda r: (r.family, r.depth, r.question != "plain"))
    against = Column("against plain", lead)
    return Table(
        ["family", "depth", "what", Column("T", partial(number, digits=2)), "entropy",
         "zero-std, first steps", *map(label, MAIN_OUTCOMES[:1]), against, label(MAIN_OUTCOMES[1]),
         against, "1st class", "2nd class", label("train_pass_at_1")],
        [
            [r.family, r.depth, r.summary, r.temperature, r.start_entropy, r.start_zero_std,
             r.final["pass_at_1"], r.against_plain.get("pass_at_1"),
             r.final["pass_at_10"], r.against_plain.get("pass_at_10"),
             r.final_by_class.get("first_class"), r.final_by_class.get("second_class"),
             r.train_pass_at_1]
            for r in shown
        ],
        "Means over seeds. Against plain: paired difference at the end, 95% over held-out prompts"
        " and seeds. T: temperature inside sampling, loss and evaluation. Classes: final pass@1.",
    )  # fmt: skip


def forces(rows: Sequence[ForceRow]) -> Table:
    """How far p moved on watched prompts."""
    kinds = {"never": "never solved", "always": "always solved", "others": "others"}
    return Table(
        ["family", "depth", "what acts", "zero-std groups", "gradient norm",
         *(Column(name, change) for name in kinds.values())],
        [
            [r.family, r.depth, r.force, r.frac_zero_std, r.mean_grad_norm,
             *(r.moved.get(kind) for kind in kinds)]
            for r in rows
        ],
        "Change of p over the short run, on fresh samples, with 95% intervals over prompts."
        " Interference: trained on the other prompts only; silent: trained on the prompts without"
        " signal only.",
    )  # fmt: skip


def change(value: Change | None, *, digits: int = 4) -> str:
    """A change of p with the half-width of its 95% interval.

    >>> change(Change(0.1, 0.2, 0.1, 0.01, 200.0), digits=2)
    '+0.10 ± 0.02'
    """
    if value is None:
        return number(None)
    return f"{value.change:+.{digits}f} ± {half_width(value.stderr):.{digits}f}"


def tuning(found: Tuning) -> Table:
    """Final pass@1 and pass@10 by learning rate and depth."""
    depths = list(found.pre_pass_at_1)
    before = ["before RL", None, *found.pre_pass_at_1.values(), *(None for _ in depths)]
    return Table(
        ["rate", "mean pass@1", *(f"pass@1, depth {d}" for d in depths),
         *(f"pass@10, depth {d}" for d in depths)],
        [
            before,
            *(
                [f"{r.lr:g}", r.mean_final_pass_at_1, *(r.final_pass_at_1[d] for d in depths),
                 *(r.final_pass_at_10[d] for d in depths)]
                for r in found.table
            ),
        ],
        "At the end of RL, on held-out prompts.",
    )  # fmt: skip

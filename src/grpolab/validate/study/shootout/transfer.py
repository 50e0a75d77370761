"""Out of sample: what is learned about a predictor on some ladders, judged on others.

Inside a ladder (one seed of one family) predictor and outcome are centred: the question is which
checkpoint of the ladder is best, not which task is easy. Predictor values on the ladder that is
judged are known before RL, so centring and ranking them there is fair; its outcomes are not used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy import optimize, stats

from grpolab.theory.groups import FloatArray
from grpolab.validate.estimate.bootstrap import top_share
from grpolab.validate.study.shootout.inversion import MARGIN, Calls, inverted
from grpolab.validate.study.shootout.table import DIRECTIONS, FamilyTable, picks, regret_of
from grpolab.validate.study.shootout.within import spearman_features

LeaveOut = Literal["seed", "family", "regime", "task", "ladder"]
Model = Literal["linear", "monotone"]
HeldOutPart = tuple[FamilyTable, int]

PENALTY = 0.1
"""Ridge penalty in units of the predictors' variance; fixed, not tuned on these data."""

COMBINATIONS: Mapping[str, tuple[str, ...]] = {
    "pass@1 + signal": ("pass_at_1", "signal"),
    "pass@1 + support": ("pass_at_1", "support"),
    "pass@1 + pass@64": ("pass_at_1", "pass_at_64"),
    "pass@64 + held-out NLL, SFT class": ("pass_at_64", "held_out_nll_sft_class"),
    "pass@1 + support + held-out NLL, SFT class": (
        "pass_at_1", "support", "held_out_nll_sft_class",
    ),
}  # fmt: skip
"""Where the policy is, and what RL can still reach: pairs and a triple, chosen by theory."""


class Transfer(NamedTuple):
    """One predictor or combination on the ladders that were held out together.

    ``r2`` is 1 - SSE / SST of centred outcomes (negative: worse than saying that all checkpoints
    are equal), ``spearman`` and ``regret`` means over those ladders, ``sse`` and ``sst`` what r2 is
    made of, ``coefficients`` outcome units per standard deviation of the predictor (monotone: the
    rise from the last rank to the first). ``calls``: is the start with the highest prediction
    shallower than the pick of pass@1, and should it be?
    """

    predictor: str
    outcome: str
    held_out: str
    r2: float
    spearman: float
    regret: float
    sse: float
    sst: float
    coefficients: tuple[float, ...]
    calls: Calls


class Chosen(NamedTuple):
    """The predictor with the least regret on the other ladders, and its regret on these."""

    outcome: str
    held_out: str
    predictor: str
    regret: float


def folds(
    table: Sequence[FamilyTable], leave_out: LeaveOut
) -> list[tuple[str, list[HeldOutPart], list[HeldOutPart]]]:
    """(name, ladders to learn from, ladders to judge) for each value of what is left out.

    "seed" learns from the other seeds of the same family; the others learn from all ladders of
    other families, regimes, tasks, or SFT ladders. Raises ValueError where there is only one value.
    """
    units = [(family, s) for family in table for s in range(len(family.seeds))]
    keys: Mapping[str, Callable[[HeldOutPart], str]] = {
        "family": lambda u: u[0].name,
        "regime": lambda u: u[0].regime,
        "task": lambda u: u[0].task,
        "ladder": lambda u: u[0].ladder,
        "seed": lambda u: f"{u[0].name} seed {u[0].seeds[u[1]]}",
    }
    if leave_out not in keys:
        raise ValueError(f"leave_out must be one of {', '.join(keys)}, got {leave_out!r}")
    key = keys[leave_out]
    found = []
    for name in dict.fromkeys(map(key, units)):
        judged = [u for u in units if key(u) == name]
        others = [u for u in units if key(u) != name]
        if leave_out == "seed":
            others = [u for u in others if u[0] is judged[0][0]]
        if not others:
            raise ValueError(f"leave_out {leave_out!r} needs two of them, got only {name}")
        found.append((name, others, judged))
    return found


def transfer(
    table: Sequence[FamilyTable],
    outcome: str,
    *,
    leave_out: LeaveOut,
    predictors: Mapping[str, tuple[str, ...]],
    model: Model = "linear",
    directions: Mapping[str, int] = DIRECTIONS,
    penalty: float = PENALTY,
) -> list[Transfer]:
    """Fit on the ladders that are left in, judge on those left out, for every predictor and fold.

    ``predictors`` names sets of columns, such as {"pass@1": ("pass_at_1",), **COMBINATIONS}; sets
    that some family lacks are left out. "linear": ridge on centred values, in which the sign is
    learned too. "monotone" (one column): isotonic regression on the rank inside the ladder, in the
    direction that was fixed beforehand. Depth enters as log2(1 + depth).
    """
    if model not in ("linear", "monotone"):
        raise ValueError(f"model must be 'linear' or 'monotone', got {model!r}")
    if penalty < 0:
        raise ValueError(f"penalty must be >= 0, got {penalty}")
    found = []
    for name, columns in predictors.items():
        if not all(family.has(*columns) for family in table):
            continue
        for held_out, others, judged in folds(table, leave_out):
            if model == "linear":
                predict, fitted = _ridge(others, columns, outcome, penalty)
            else:
                if len(columns) != 1:
                    raise ValueError(f"model 'monotone' takes one column, {name} has {columns}")
                predict, fitted = _isotonic(others, columns[0], outcome, directions)
            found.append(_judge(name, outcome, held_out, judged, predict, fitted))
    return found


def _centred(family: FamilyTable, seed: int, name: str) -> FloatArray:
    values = family.column(name)[seed]
    return np.asarray(values - values.mean())


def _ridge(
    units: Sequence[HeldOutPart], columns: Sequence[str], outcome: str, penalty: float
) -> tuple[Callable[[HeldOutPart], FloatArray], tuple[float, ...]]:
    """``(X'X/n + penalty I)^-1 X'y/n`` on columns scaled by their standard deviation there."""

    def design(unit: HeldOutPart) -> FloatArray:
        return np.stack([_centred(*unit, name) for name in columns], axis=1)

    x = np.concatenate([design(u) for u in units])
    y = np.concatenate([_centred(*u, outcome) for u in units])
    scale = np.sqrt(np.mean(x**2, axis=0))
    scale = np.where(scale > 0, scale, 1.0)
    x = x / scale
    gram = x.T @ x / len(y) + penalty * np.eye(len(scale))
    beta = np.linalg.lstsq(gram, x.T @ y / len(y), rcond=None)[0]
    return lambda unit: design(unit) / scale @ beta, tuple(beta.tolist())


def _isotonic(
    units: Sequence[HeldOutPart], name: str, outcome: str, directions: Mapping[str, int]
) -> tuple[Callable[[HeldOutPart], FloatArray], tuple[float, ...]]:
    """Pool-adjacent-violators fit of the centred outcome against the rank in the ladder, 0 to 1."""
    if name not in directions:
        raise ValueError(f"directions must hold {name!r}")

    def place(unit: HeldOutPart) -> FloatArray:
        values = directions[name] * unit[0].column(name)[unit[1]]
        return np.asarray((stats.rankdata(values) - 1.0) / (len(values) - 1.0))

    x = np.concatenate([place(u) for u in units])
    y = np.concatenate([_centred(*u, outcome) for u in units])
    knots, row = np.unique(x.round(9), return_inverse=True)
    weight = np.bincount(row)
    level = optimize.isotonic_regression(np.bincount(row, weights=y) / weight, weights=weight).x
    return lambda unit: np.interp(place(unit), knots, level), (float(level[-1] - level[0]),)


def _judge(
    name: str,
    outcome: str,
    held_out: str,
    units: Sequence[HeldOutPart],
    predict: Callable[[HeldOutPart], FloatArray],
    fitted: tuple[float, ...],
) -> Transfer:
    sse = sst = rho = lost = 0.0
    cells = np.zeros((2, 2))
    for unit in units:
        y = _centred(*unit, outcome)
        guess = predict(unit)
        guess = (guess - guess.mean()).round(12)
        sse += float(np.sum((y - guess) ** 2))
        sst += float(np.sum(y**2))
        rho += float(spearman_features(guess) @ spearman_features(y))
        weights = top_share(guess)
        lost += float(regret_of(weights[None], y[None])[0])
        before = unit[0].column("pass_at_1")[unit[1]]
        said = float(weights[: int(np.argmax(before))].sum())
        cells[int(inverted(before, y, margin=MARGIN))] += (1.0 - said, said)
    count = len(units)
    (silent, false), (misses, hits) = cells.tolist()
    return Transfer(
        name, outcome, held_out, _r2(sse, sst), rho / count, lost / count, sse, sst, fitted,
        Calls(name, outcome, hits, misses, false, silent),
    )  # fmt: skip


def _r2(sse: float, sst: float) -> float:
    return 1.0 - sse / sst if sst > 0 else float("nan")


def overall(rows: Sequence[Transfer]) -> list[Transfer]:
    """One row per predictor and outcome: r2 and calls over all that was held out, folds alike."""
    grouped: dict[tuple[str, str], list[Transfer]] = {}
    for row in rows:
        grouped.setdefault((row.predictor, row.outcome), []).append(row)
    return [
        Transfer(
            *key,
            "all",
            _r2(sum(r.sse for r in group), sum(r.sst for r in group)),
            float(np.mean([r.spearman for r in group])),
            float(np.mean([r.regret for r in group])),
            sum(r.sse for r in group),
            sum(r.sst for r in group),
            tuple(np.mean([r.coefficients for r in group], axis=0).tolist()),
            Calls(*key, *np.sum([r.calls[2:] for r in group], axis=0).tolist()),
        )
        for key, group in grouped.items()
    ]


def chosen_elsewhere(
    table: Sequence[FamilyTable],
    outcome: str,
    *,
    leave_out: LeaveOut,
    directions: Mapping[str, int] = DIRECTIONS,
) -> list[Chosen]:
    """What it costs to trust, on each held-out family, the predictor that did best on the others.

    Predictors are used in the direction fixed beforehand; equals share the choice.
    """
    names = [n for n in directions if all(f.has(n) for f in table)]

    def regrets(units: Sequence[HeldOutPart]) -> FloatArray:
        return np.array([np.mean([_unit_regret(u, n, outcome, directions[n]) for u in units])
                         for n in names])  # fmt: skip

    found = []
    for held_out, others, judged in folds(table, leave_out):
        weights = top_share(-regrets(others))
        winners = [n for n, w in zip(names, weights.tolist(), strict=True) if w > 0]
        cost = float(weights @ regrets(judged))
        found.append(Chosen(outcome, held_out, ", ".join(winners), cost))
    return found


def _unit_regret(unit: HeldOutPart, name: str, outcome: str, direction: int) -> float:
    family, seed = unit
    weights = picks(family, name, direction=direction)[seed : seed + 1]
    return float(regret_of(weights, family.column(outcome)[seed : seed + 1])[0])

"""What moves the success rates? Mechanisms simulated on the prompts of the studies, and compared.

Each mechanism moves the logit z of every prompt, from z = logit((c + 1/2)/(n + 1)) before RL; g is
the group size, M the prompts per step, E over a group of g at the prompt's p, mean over prompts:

- constant shift:     dz = dt
- own signal:         dz = E[sigma](p) dt                   a push in proportion to the signal
- own signal, Adam:   dz = E[sigma] / sqrt(E[sigma^2]) dt   rescaled prompt by prompt
- shared signal:      dz = mean E[sigma] dt                 one push for all, of the mean signal
- shared, Adam:       dz = m / sqrt(m^2 + v/M) dt           m and v: mean and variance over prompts

and then adds noise s e, e standard normal ("transport with noise"). t and s are fitted for a design
on all ladders but one, and the final pass@1 and pass@10 of that one are forecast.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from scipy import special

from grpolab.figures.tables import Column, Table
from grpolab.figures.words import estimate, interval, number
from grpolab.streams import generator
from grpolab.theory.groups import FloatArray
from grpolab.theory.signal import expected_std, expected_variance
from grpolab.validate.study.explore.courses import Courses
from grpolab.validate.study.explore.reach import outcomes_at
from grpolab.validate.study.trial.measures import over_designs

Mechanism = Literal[
    "constant shift", "own signal", "own signal, Adam", "shared signal", "shared, Adam"
]
MECHANISMS: tuple[Mechanism, ...] = (
    "constant shift", "own signal", "own signal, Adam", "shared signal", "shared, Adam"
)  # fmt: skip
KS = (1, 10)
TIMES = np.concatenate([[0.0], np.geomspace(0.05, 20.0, 30)])
NOISES = np.arange(0.0, 4.5, 0.5)
BINS = (0.0, 0.02, 0.1, 0.3, 0.6, 0.9, 1.0 + 1e-9)
_STEP = 0.1
_NODES = 31
_SPLITS = 10


@lru_cache(maxsize=8)
def _signals(group_size: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """A grid of z, and E[sigma] and E[sigma^2] on it."""
    z = np.linspace(-16.0, 16.0, 1601)
    p = special.expit(z)
    return z, np.asarray(expected_std(p, group_size)), np.asarray(expected_variance(p, group_size))


def push(
    mechanism: Mechanism, z: FloatArray, weight: FloatArray, *, group_size: int, batch: int
) -> FloatArray:
    """dz/dt of prompts with logits z [..., C], which are ``weight`` [..., C] of all prompts."""
    if mechanism == "constant shift":
        return np.ones_like(z)
    grid, first, second = _signals(group_size)
    mean, square = np.interp(z, grid, first), np.interp(z, grid, second)
    if mechanism == "own signal":
        return mean
    if mechanism == "own signal, Adam":
        return np.asarray(mean / np.sqrt(np.maximum(square, 1e-30)))
    both = np.sum(weight * mean, axis=-1, keepdims=True)
    if mechanism == "shared, Adam":
        spread = np.sum(weight * square, axis=-1, keepdims=True) - both**2
        both = both / np.sqrt(np.maximum(both**2 + np.maximum(spread, 0) / batch, 1e-30))
    return np.asarray(np.broadcast_to(both, z.shape))


def play(
    mechanism: Mechanism, weight: FloatArray, *, samples: int, group_size: int, batch: int
) -> FloatArray:
    """Logits at all `TIMES` [T, ..., C] of prompts with c = 0..samples right, C = samples + 1.

    ``weight`` [..., C] is the share of prompts at each c. Euler's method, steps of at most 0.1.

    >>> even = np.full(9, 1 / 9)
    >>> z = play("constant shift", even, samples=8, group_size=8, batch=32)
    >>> (z[-1] - z[0]).round(6).tolist() == [20.0] * 9
    True
    """
    c = np.arange(samples + 1)
    z = np.broadcast_to(special.logit((c + 0.5) / (samples + 1)), weight.shape)
    found = [z]
    for span in np.diff(TIMES):
        parts = int(np.ceil(span / _STEP))
        for _ in range(parts):
            rate = push(mechanism, z, weight, group_size=group_size, batch=batch)
            z = z + rate * (span / parts)
        found.append(z)
    return np.stack(found)


@lru_cache(maxsize=4)
def _noisy(k: int) -> tuple[FloatArray, FloatArray]:
    """A grid of z [Z], and pass@k there at every noise [N, Z]."""
    node, mass = np.polynomial.hermite_e.hermegauss(_NODES)
    z = np.linspace(-16.0, 40.0, 2801)
    moved = z[:, None] + NOISES[:, None, None] * node
    return z, np.asarray(-np.expm1(k * special.log_expit(-moved)) @ (mass / mass.sum()))


def reached(z: FloatArray, weight: FloatArray, k: int) -> FloatArray:
    """Mean pass@k at every noise, [N, ...], of prompts with logits z and their weights [..., C]."""
    grid, passed = _noisy(k)
    return np.stack([np.sum(np.interp(z, grid, row) * weight, axis=-1) for row in passed])


def errors(one: Courses) -> dict[Mechanism, dict[int, float]]:
    """Root mean square error of final pass@k of starts of ladders that were not fitted, by k."""
    size = one.samples
    weight = np.stack(
        [[np.bincount(c, minlength=size + 1) / len(c) for c in row] for row in one.before]
    )
    truth = np.stack([outcomes_at(one, k).mean(axis=-1) for k in KS])  # [K, S, D]
    found: dict[Mechanism, dict[int, float]] = {}
    for mechanism in MECHANISMS:
        z = play(
            mechanism, weight, samples=size, group_size=one.group_size,
            batch=one.prompts_per_step,
        )  # fmt: skip
        guess = np.stack([reached(z, weight, k) for k in KS])  # [K, N, T, S, D]
        square = (guess - truth[:, None, None]) ** 2
        missed = np.empty(truth.shape)
        for s in range(truth.shape[1]):
            rest = np.delete(square, s, axis=3).sum(axis=(0, 3, 4))
            n, t = np.unravel_index(int(np.argmin(rest)), rest.shape)
            missed[:, s] = square[:, n, t, s]
        found[mechanism] = {
            k: float(np.sqrt(missed[i].mean())) for i, k in enumerate(KS)
        }  # fmt: skip
    return found


def compare(designs: Sequence[Courses]) -> list[dict[str, Any]]:
    """One row per mechanism: its errors, and their difference from those of a constant shift."""
    found = [errors(one) for one in designs]
    rows = []
    for mechanism in MECHANISMS:
        row: dict[str, Any] = {"mechanism": mechanism, "designs": len(designs)}
        for k in KS:
            mine = np.array([f[mechanism][k] for f in found])
            base = np.array([f["constant shift"][k] for f in found])
            row[f"error_{k}"] = over_designs(mine)
            row[f"against_{k}"] = over_designs(mine - base)
        rows.append(row)
    return rows


def profile(designs: Sequence[Courses]) -> list[dict[str, Any]]:
    """How far prompts move, by their rate before RL: the shift in logits of the mean rate.

    Prompts are put into bins by one random half of their samples; the rate before RL is that of the
    other half. ``signal`` is E[sigma] there over its largest value.
    """
    shift = np.full((len(BINS) - 1, len(designs)), np.nan)
    level, signal = shift.copy(), shift.copy()
    for d, one in enumerate(designs):
        half, rng = one.samples // 2, generator(0, "profile", one.name)
        top = float(expected_std(0.5, one.group_size))
        parts: dict[int, list[tuple[float, float]]] = {}
        for _ in range(_SPLITS):
            first = rng.hypergeometric(one.before, one.samples - one.before, half)
            other = (one.before - first) / (one.samples - half)
            place = np.digitize(first / half, BINS) - 1
            after = one.end_rate.mean(axis=2)
            for b in range(len(BINS) - 1):
                if (place == b).sum() >= _SPLITS:
                    inside = place == b
                    parts.setdefault(b, []).append((other[inside].mean(), after[inside].mean()))
        for b, pairs in parts.items():
            before, end = np.mean(pairs, axis=0)
            if 0 < before < 1 and 0 < end < 1:
                level[b, d], shift[b, d] = before, special.logit(end) - special.logit(before)
                signal[b, d] = float(expected_std(before, one.group_size)) / top
    rows = []
    for b in range(len(BINS) - 1):
        known = ~np.isnan(shift[b])
        if known.any():
            rows.append(
                {
                    "from": BINS[b], "to": min(BINS[b + 1], 1.0), "designs": int(known.sum()),
                    "before": float(level[b, known].mean()),
                    "signal": float(signal[b, known].mean()),
                    "shift": over_designs(shift[b, known]),
                }
            )  # fmt: skip
    return rows


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """All mechanisms."""
    heads = ("error, pass@1", "against constant", "error, pass@10", "against constant ")
    return Table(
        [Column("mechanism", words=True), *(Column(head, estimate) for head in heads)],
        [
            (r["mechanism"], r["error_1"], r["against_1"], r["error_10"], r["against_10"])
            for r in rows
        ],
    )


def profile_table(rows: Sequence[dict[str, Any]]) -> Table:
    """The shift by the rate before RL, beside the signal there."""
    return Table(
        [Column("p before", words=True), "designs", "mean p", "signal", Column("shift", estimate)],
        [
            (f"{r['from']:g} to {r['to']:g}", r["designs"], r["before"], r["signal"], r["shift"])
            for r in rows
        ],
    )


def said(rows: Sequence[dict[str, Any]]) -> str:
    """Which mechanism forecasts the ends of left-out ladders best, and which surely worse."""
    best = min(rows, key=lambda r: r["error_1"][0] + r["error_10"][0])
    parts = []
    for r in rows[1:]:
        for k in KS:
            value, low, high = r[f"against_{k}"]
            if low > 0 or high < 0:
                word = "worse" if low > 0 else "better"
                parts.append(f"{r['mechanism']} is {word} for pass@{k}"
                             f" ({number(value)}, {interval(low, high)})")  # fmt: skip
    surely = "; ".join(parts) if parts else "no other one differs from it beyond chance"
    return (
        f"The least errors are those of: {best['mechanism']}. Against a constant shift: {surely}."
    )

"""Forecasts that move with the policy: the law of p over prompts, carried along by training.

Rollouts from before RL say what the first steps hold. Later the policy has moved; the mean reward
shows how far, and a law of motion says what that does to each prompt. Two laws: every prompt
follows its own mean-field drift (hard prompts hardly move, unsolved ones stay), or one common shift
of all logits (what is learned on one prompt helps them all alike).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from grpolab.theory.groups import FloatArray
from grpolab.theory.signal import expected_std
from grpolab.theory.zero_std import prob_zero_std
from grpolab.validate.estimate.mixture import Mixture

Motion = Literal["drift", "shift"]

_LOGIT_BOUND = 30.0
_GRID = np.linspace(-_LOGIT_BOUND, _LOGIT_BOUND, 1201)
_STEP = 0.05
_REACH = 60.0


class Moved(NamedTuple):
    """Mean reward, zero-std share and mean within-group variance after each amount; shapes [T]."""

    mean: FloatArray
    zero_std: FloatArray
    variance: FloatArray


def drift_forecast(
    law: Mixture, amounts: npt.ArrayLike, *, group_size: int, motion: Motion = "drift"
) -> Moved:
    """What groups hold once training has gone on for ``amounts`` [T] of mean-field time.

    "drift": ``dz/dt = m_g(p) = E[sigma]`` for every prompt, std-normalised GRPO on a one-parameter
    policy; "shift": ``z + t``. ``law`` is the distribution of p before (see `mixture.fit_mixture`);
    prompts with p = 0 or 1 stay. Amounts within +-60; negative ones run backwards. Derived here.

    >>> law = Mixture(np.array([0.0, 0.5]), np.array([0.5, 0.5]), 0.0, 0.0)
    >>> drift_forecast(law, [0.0, 60.0], group_size=2).zero_std.round(2).tolist()
    [0.75, 0.98]
    """
    path = _path(law, np.asarray(amounts, dtype=np.float64), group_size, motion)
    spread = path * (1.0 - path) * (group_size - 1) / group_size
    return Moved(
        path @ law.weight, prob_zero_std(path, group_size) @ law.weight, spread @ law.weight
    )


def _path(law: Mixture, amounts: FloatArray, group_size: int, motion: Motion) -> FloatArray:
    """Success rates [T, A] of the atoms after each amount."""
    if amounts.ndim != 1 or len(amounts) == 0:
        raise ValueError(f"amounts must have shape [T], got {list(amounts.shape)}")
    if not np.all(np.abs(amounts) <= _REACH):
        raise ValueError(f"amounts must lie within +-{_REACH:g}, got {np.abs(amounts).max():g}")
    start = np.clip(special.logit(law.support), -_LOGIT_BOUND, _LOGIT_BOUND)
    if motion == "shift":
        inner = (law.support > 0) & (law.support < 1)
        return np.asarray(special.expit(start + amounts[:, None] * inner))
    if motion != "drift":
        raise ValueError(f"motion must be 'drift' or 'shift', got {motion!r}")
    speed = expected_std(special.expit(_GRID), group_size)
    path = np.empty((len(amounts), len(start)))
    for sign in (1.0, -1.0):
        side = np.flatnonzero(amounts * sign >= 0)
        order = side[np.argsort(sign * amounts[side])]
        z, now = start.copy(), 0.0
        for i in order.tolist():
            goal = float(sign * amounts[i])
            steps = int(np.ceil((goal - now) / _STEP))
            for _ in range(steps):
                z = _midpoint(z, sign * (goal - now) / steps, speed)
            now = goal
            path[i] = z
    return np.asarray(special.expit(path))


def _midpoint(z: FloatArray, step: float, speed: FloatArray) -> FloatArray:
    half = z + step / 2 * np.interp(z, _GRID, speed)
    return np.asarray(z + step * np.interp(half, _GRID, speed))


def fit_rate(
    law: Mixture,
    mean_reward: npt.ArrayLike,
    *,
    group_size: int,
    schedule: npt.ArrayLike | None = None,
    motion: Motion = "drift",
) -> float:
    """Mean-field time per step that brings the mean reward closest to what the first steps show.

    ``mean_reward`` [T] of steps 0..T-1; ``schedule`` [T] is the learning rate of each step in units
    of its full value (default 1), so that step t has seen ``rate * sum(schedule[:t])``. Least
    squares over rates in [-1, 1].

    >>> law = Mixture(np.array([0.2, 0.6]), np.array([0.5, 0.5]), 0.0, 0.0)
    >>> moved = drift_forecast(law, 0.1 * np.arange(40), group_size=8)
    >>> round(fit_rate(law, moved.mean, group_size=8), 4)
    0.1
    """
    seen = np.asarray(mean_reward, dtype=np.float64)
    clock = elapsed(len(seen), schedule=schedule)
    bound = min(1.0, _REACH / max(float(clock.max()), 1.0))
    table = np.linspace(-bound * clock.max(), bound * clock.max(), 241)
    means = drift_forecast(law, table, group_size=group_size, motion=motion).mean

    def error(rate: float) -> float:
        return float(np.sum((np.interp(rate * clock, table, means) - seen) ** 2))

    start = min(np.linspace(-bound, bound, 81), key=error)
    width = bound / 20
    found = optimize.minimize_scalar(
        error, bounds=(max(start - width, -bound), min(start + width, bound)), method="bounded",
        options={"xatol": 1e-6},
    )  # fmt: skip
    return float(found.x)


def elapsed(num_steps: int, *, schedule: npt.ArrayLike | None = None) -> FloatArray:
    """Full-rate steps taken before each of ``num_steps`` steps, [T].

    >>> elapsed(3).tolist()
    [0.0, 1.0, 2.0]
    """
    if num_steps < 1:
        raise ValueError(f"num_steps must be >= 1, got {num_steps}")
    size = np.ones(num_steps) if schedule is None else np.asarray(schedule, dtype=np.float64)
    if size.shape != (num_steps,):
        raise ValueError(f"schedule must have shape [{num_steps}], got {list(size.shape)}")
    return np.concatenate([[0.0], np.cumsum(size)[:-1]])

"""Tabular softmax policies over V responses: mode collapse is simulated, not assumed.

The logits of prompt x are ``base[x] + sum_d features[x, d] W[d]``. Without features every prompt
has weights of its own; with features prompts share them, and a step on one prompt moves the
logits of another by the inner product of their features (low-rank or block interference).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from grpolab.simulate import _kernels_softmax as kernels
from grpolab.simulate._models import Ran, means, memory, run_models
from grpolab.simulate._philox import stream_key
from grpolab.simulate.options import Options
from grpolab.simulate.settings import Settings
from grpolab.theory import _check
from grpolab.theory.advantage import GRPO, Rule
from grpolab.theory.groups import FloatArray, IntArray
from grpolab.theory.rules import advantage_table

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class SoftmaxState:
    """Where the models stand after ``step`` steps; handed back, the run goes on bit for bit."""

    step: int
    weights: FloatArray  # [S, D, V]
    velocity: FloatArray  # [S, D, V], zeros without momentum
    square: FloatArray  # [S, D, V], zeros without Adam
    base: FloatArray  # [S, P, V]
    features: FloatArray  # [P, D]
    correct: BoolArray  # [S, P, V]
    reference: FloatArray  # [S, P, V] log-probabilities

    @property
    def logits(self) -> FloatArray:
        """Logits, shape [S, P, V]."""
        logits: FloatArray = self.base + np.einsum("pd,sdv->spv", self.features, self.weights)
        return logits

    @property
    def probs(self) -> FloatArray:
        """Chances of the responses, shape [S, P, V]."""
        return softmax(self.logits)

    @property
    def p(self) -> FloatArray:
        """Success chances, shape [S, P]."""
        chance: FloatArray = np.sum(np.where(self.correct, self.probs, 0.0), axis=-1)
        return np.minimum(chance, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class SoftmaxTrajectory:
    """Means over all prompts of all models; policies before each step, groups at each step.

    ``frac_equal_pairs`` is the share of pairs of a group whose responses are the same; given the
    policy its expectation is ``mean_collision``.
    """

    group_size: int
    num_prompts: int
    mean_p: FloatArray  # [T + 1]
    std_p: FloatArray  # [T + 1]
    mean_entropy: FloatArray  # [T + 1], nats per response
    mean_collision: FloatArray  # [T + 1], sum of squared chances
    frac_all_wrong: FloatArray  # [T]
    frac_all_right: FloatArray  # [T]
    mean_variance: FloatArray  # [T]
    mean_distinct: FloatArray  # [T], distinct responses in a group
    frac_equal_pairs: FloatArray  # [T]
    mean_groups_drawn: FloatArray  # [T]
    state: SoftmaxState
    snapshot_step: IntArray  # [N]
    snapshot_p: FloatArray  # [N, S, P]

    @property
    def frac_zero_std(self) -> FloatArray:
        """Share of groups whose verdicts are all equal, shape [T]."""
        return np.minimum(self.frac_all_wrong + self.frac_all_right, 1.0)


def softmax(logits: FloatArray) -> FloatArray:
    """``exp(z_y) / sum_k exp(z_k)`` over the last axis.

    >>> softmax(np.zeros(4)).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    chance: FloatArray = shifted / shifted.sum(axis=-1, keepdims=True)
    return chance


def simulate_softmax(
    logits: npt.ArrayLike | SoftmaxState,
    correct: npt.ArrayLike | None = None,
    *,
    group_size: int,
    learning_rate: float,
    num_steps: int,
    seed: int,
    rule: Rule = GRPO,
    options: Options | None = None,
    num_models: int = 1,
    features: npt.ArrayLike | None = None,
    base: npt.ArrayLike | None = None,
    reference: npt.ArrayLike | None = None,
    snapshot_every: int = 0,
    threads: int | None = None,
) -> SoftmaxTrajectory:
    """Simulate GRPO on tabular softmax policies with one group per prompt and step.

    logits: the start, [V], [P, V] or [S, P, V] (models of their own), or the state of an earlier
    run; correct: which responses are right, of the same shape. num_models copies are simulated.
    features [P, D] share weights between prompts; gradients of prompts add up. ``base`` is where
    weight decay pulls to (default: the start; not with features), ``reference`` the logits of the
    KL reference (default: the start). Options without meaning here (p_prior, p_ref, pressure) must
    keep their defaults. Raises ValueError for bad input.

    >>> run = simulate_softmax([0.0, 0.0, 0.0, 0.0], [True, False, False, False], group_size=8,
    ...                        learning_rate=0.5, num_steps=40, seed=0, num_models=50)
    >>> float(run.mean_p[0]), round(float(run.mean_p[-1]), 2)
    (0.25, 0.98)
    """
    asked = Settings(
        group_size=group_size, learning_rate=learning_rate, num_steps=num_steps, seed=seed,
        rule=rule, options=options, number=num_models, snapshot_every=snapshot_every,
        threads=threads,
    )  # fmt: skip
    if isinstance(logits, SoftmaxState):
        return _run(logits, asked.for_tables(continued=logits.step > 0))
    state = _start(logits, correct, features, base, reference, asked.number)
    return _run(state, asked.for_tables(continued=False))


def _run(start: SoftmaxState, asked: Settings) -> SoftmaxTrajectory:
    models, prompts, size = start.base.shape
    weights, velocity, square = (a.copy() for a in (start.weights, start.velocity, start.square))
    advantage = advantage_table(asked.rule, asked.group_size)
    plan = asked.extra.plan(asked.group_size, asked.learning_rate)
    key = stream_key(asked.seed, "softmax models")
    groups = (prompts, 4, asked.group_size)
    older, kept, kept_log = memory(weights, asked.extra, groups, (prompts, size))

    def kernel(rows: slice, first: int, sums: IntArray, moments: FloatArray, block: int) -> None:
        kernels.softmax_models(
            weights[rows], velocity[rows], square[rows], older[rows], kept[rows], kept_log[rows],
            start.base[rows], start.features, start.reference[rows], start.correct[rows],
            np.uint64(rows.start * prompts), key.low, key.high, np.uint64(first),
            advantage.correct, advantage.wrong, plan, sums, moments, block,
        )  # fmt: skip

    ran = run_models(
        asked, kernel, start=start.step, models=models, prompts=prompts,
        work=models * prompts * size, p_now=lambda: replace(start, weights=weights).p,
    )  # fmt: skip
    state = replace(
        start, step=start.step + asked.num_steps, weights=weights, velocity=velocity, square=square
    )
    return _trajectory(state, ran, asked.group_size)


def _trajectory(state: SoftmaxState, ran: Ran, group_size: int) -> SoftmaxTrajectory:
    sums, moments, _ = ran
    chance, p = state.probs, state.p
    prompts, drawn = p.size, sums.column(3)
    with np.errstate(divide="ignore", invalid="ignore"):
        distinct, equal = sums.column(4) / drawn, sums.column(5) / drawn
    return SoftmaxTrajectory(
        **means(ran, p, chance, group_size),
        num_prompts=prompts,
        mean_collision=moments.plain(4, (chance * chance).sum(axis=-1)),
        mean_distinct=distinct,
        frac_equal_pairs=equal / max(1, group_size * (group_size - 1) // 2),
        state=state,
    )


def _start(
    logits: npt.ArrayLike,
    correct: npt.ArrayLike | None,
    features: npt.ArrayLike | None,
    base: npt.ArrayLike | None,
    reference: npt.ArrayLike | None,
    num_models: int,
) -> SoftmaxState:
    """State at step 0. Without features prompts become models of their own, which run apart."""
    start = _table("logits", logits, None)
    shape = np.shape(_check.numbers("logits", logits))
    if np.shape(np.asarray(correct)) != shape:
        raise ValueError(f"correct must be true or false in the shape {list(shape)}")
    right = _check.mask("correct", np.asarray(correct), shape)
    ground = start if base is None else _table("base", base, start.shape)
    anchor = start if reference is None else _table("reference", reference, start.shape)
    prompts, size = start.shape[1:]
    if features is None:
        share, per_model = np.ones((1, 1)), 1
        first = start - ground
    else:
        share, per_model = _features(features, prompts), prompts
        if base is not None:
            raise ValueError("base must not be given together with features")
        first = np.zeros((len(start), share.shape[1], size))

    def copies(table: npt.NDArray[Any], rows: int) -> npt.NDArray[Any]:
        return np.tile(table, (num_models, 1, 1)).reshape(-1, rows, size)

    weights = copies(first, share.shape[1])
    log_ref = np.log(softmax(anchor))
    return SoftmaxState(
        0, weights, np.zeros_like(weights), np.zeros_like(weights), copies(ground, per_model),
        share, copies(right.reshape(start.shape), per_model), copies(log_ref, per_model),
    )  # fmt: skip


def _features(values: npt.ArrayLike, prompts: int) -> FloatArray:
    share = np.ascontiguousarray(_check.numbers("features", values))
    if share.ndim != 2 or len(share) != prompts or not np.all(np.isfinite(share)):
        raise ValueError(f"features must be finite in the shape [{prompts}, D]")
    return share


def _table(name: str, values: npt.ArrayLike, shape: tuple[int, ...] | None) -> FloatArray:
    """Logits as [S, P, V]."""
    table = _check.numbers(name, values)
    if not 1 <= table.ndim <= 3 or table.size == 0 or not np.all(np.isfinite(table)):
        raise ValueError(f"{name} must be finite [V], [P, V] or [S, P, V], got {values!r}")
    table = table.reshape((1,) * (3 - table.ndim) + table.shape)
    if shape is not None and table.shape != shape:
        raise ValueError(f"{name} must have the shape of logits, {list(shape)}")
    return table
